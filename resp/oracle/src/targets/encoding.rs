//! What is encoded is decoded, and counted, as what it was.

use super::decoding::{assert_printable, invalid};
use crate::requests::{Asked, request as reference};
use crate::{Case, Entropy, Grammar, tree};
use bytes::BytesMut;
use rand::RngExt as _;
use resp::{DecodeError, Decoder, Frame, Limits, Protocol, RequestDecoder, encode};

/// A frame survives encoding and decoding, and what was decoded is encoded in one way only.
pub(super) fn round_trip(data: &[u8]) {
    let Some(case) = Case::read(data) else { return };
    if data.first().is_some_and(|choice| choice & 2 == 2) {
        let mut entropy = Entropy::new(case.wire);
        let frame = Grammar::new(&mut entropy, Protocol::Resp3, 100).frame();
        assert_survives(&frame);
        return assert_settles(&frame, case.protocol);
    }
    let mut decoder = Decoder::new(case.protocol, case.limits);
    let mut input = BytesMut::from(case.wire);
    while let Ok(Some(frame)) = decoder.decode(&mut input) {
        if invalid(&frame).is_some() {
            let mut wire = BytesMut::new();
            encode::frame(&frame, case.protocol, &mut wire);
            let encoded = decode_all(&wire, case.protocol);
            assert!(matches!(encoded[..], [Frame::Error(_) | Frame::Push(_) | Frame::Array(_)]));
        } else {
            assert_survives(&frame);
            assert_settles(&frame, case.protocol);
        }
    }
}

/// RESP3 shows all of a frame.
fn assert_survives(frame: &Frame) {
    let mut wire = BytesMut::new();
    encode::frame(frame, Protocol::Resp3, &mut wire);
    match &decode_all(&wire, Protocol::Resp3)[..] {
        [decoded] => assert_eq!(tree(decoded), tree(frame), "through {wire:?}"),
        others => panic!("{frame:?} became {others:?}"),
    }
}

/// Whatever the protocol cannot show is left out the first time, and nothing after that.
fn assert_settles(frame: &Frame, protocol: Protocol) {
    let mut once = BytesMut::new();
    encode::frame(frame, protocol, &mut once);
    let decoded = decode_all(&once, protocol);
    let [decoded] = &decoded[..] else { panic!("{frame:?} became {decoded:?}") };
    let mut twice = BytesMut::new();
    encode::frame(decoded, protocol, &mut twice);
    assert_eq!(once, twice, "{frame:?}");
}

fn decode_all(wire: &BytesMut, protocol: Protocol) -> Vec<Frame> {
    let mut decoder = Decoder::new(protocol, Limits::default());
    let mut input = wire.clone();
    let mut frames = Vec::new();
    while let Some(frame) = decoder.decode(&mut input).expect("what we encode can be decoded") {
        frames.push(frame);
    }
    assert!(input.is_empty(), "bytes left of {wire:?}");
    frames
}

/// Many frames one behind the other, the first of them perhaps before both sides have agreed on RESP3: each takes its own bytes
/// off the input and no others, and neither pushes between them nor attributes before them change the number of replies.
pub(super) fn stream(data: &[u8]) {
    let Some(case) = Case::read(data) else { return };
    let mut entropy = Entropy::new(case.wire);
    let (mut wire, mut ends) = (Vec::new(), Vec::new());
    let agreed = usize::from(case.seed % 4); // frames before that
    let protocol = |frame| if frame < agreed { Protocol::Resp2 } else { case.protocol };
    for frame in 0..entropy.random_range(0..12) {
        let kind = entropy.random_range(0..4);
        let mut grammar = Grammar::new(&mut entropy, protocol(frame), 12).spoiled(8);
        let is_push = kind == 3 && protocol(frame) == Protocol::Resp3;
        if is_push {
            grammar = grammar.spoiled(0);
            grammar.push(&mut wire);
        } else {
            if kind == 2 && protocol(frame) == Protocol::Resp3 {
                wire.extend_from_slice(b"|1\r\n+ttl\r\n:3\r\n");
            }
            grammar.reply(&mut wire);
        }
        ends.push((wire.len(), is_push));
    }
    let mut decoder = Decoder::new(protocol(0), Limits::default());
    let mut input = BytesMut::new();
    let (mut fed, mut count, mut ends) = (0, 0, ends.into_iter());
    for piece in (Case { wire: &wire, ..case }).pieces() {
        input.extend_from_slice(piece);
        fed += piece.len();
        while let Some(frame) = decoder.decode(&mut input).expect("a sound stream") {
            let (end, is_push) = ends.next().expect("a frame that was sent");
            assert_eq!(fed - input.len(), end, "{frame:?} takes its own bytes");
            let frame = frame.without_attributes();
            assert_eq!(matches!(frame, Frame::Push(_)), is_push, "{frame:?}");
            count += 1;
            decoder.set_protocol(protocol(count));
        }
    }
    assert_eq!(ends.next(), None, "every frame came");
    assert!(input.is_empty(), "nothing is left");
}

/// What is asked is read as it was asked, whatever the arguments hold; and any bytes are read as a naive reader reads them.
pub(super) fn request(data: &[u8]) {
    let Some(case) = Case::read(data) else { return };
    if data.first().is_some_and(|choice| choice & 2 == 2) {
        let commands = commands(&mut Entropy::new(case.wire));
        let mut wire = BytesMut::new();
        for command in &commands {
            ask(command, &mut wire);
        }
        let (read, error) =
            read(&Case { wire: &wire, limits: Limits::default(), ..case }, true, false);
        assert_eq!((read, error), (commands, None));
        return;
    }
    let (mut wanted, mut rest) = (Vec::new(), case.wire);
    let error = loop {
        match reference(rest, &case.limits, wanted.is_empty() && case.seed % 2 == 1) {
            Asked::Request(args, len) => {
                wanted.push(args);
                rest = &rest[len..];
            }
            Asked::Incomplete => break None,
            Asked::Lost(kind) => break Some(kind),
        }
    };
    for cut in [false, true] {
        let (read, lost) = read(&case, cut, case.seed % 2 == 1);
        assert_eq!((&read, lost.map(|lost| lost.kind())), (&wanted, error), "cut: {cut}");
    }
}

fn commands(entropy: &mut Entropy<'_>) -> Vec<Vec<Vec<u8>>> {
    let argument = |entropy: &mut Entropy<'_>| {
        if entropy.random_ratio(1, 8) {
            return entropy.random::<i64>().to_string().into_bytes();
        }
        let len = if entropy.random_ratio(1, 8) { 300 } else { 12 };
        (0..entropy.random_range(0..len)).map(|_| entropy.random()).collect()
    };
    let count = entropy.random_range(0..5);
    let lengths: Vec<usize> = (0..count).map(|_| entropy.random_range(1..6)).collect();
    lengths.into_iter().map(|len| (0..len).map(|_| argument(entropy)).collect()).collect()
}

/// Both ways to encode a command come to the same.
fn ask(command: &[Vec<u8>], wire: &mut BytesMut) {
    let start = wire.len();
    encode::command(command, wire);
    let mut by_hand = BytesMut::new();
    encode::array_header(command.len(), &mut by_hand);
    for argument in command {
        let number = std::str::from_utf8(argument).ok().and_then(|text| text.parse::<i64>().ok());
        match number.filter(|number| number.to_string().as_bytes() == argument) {
            Some(number) => encode::bulk_i64(number, &mut by_hand),
            None => encode::bulk(argument, &mut by_hand),
        }
    }
    assert_eq!(wire[start..], by_hand[..]);
}

fn read(case: &Case<'_>, cut: bool, restricted: bool) -> (Vec<Vec<Vec<u8>>>, Option<DecodeError>) {
    let mut decoder = RequestDecoder::new(case.limits);
    if restricted {
        decoder.restrict();
    }
    let mut input = BytesMut::new();
    let mut read: Vec<Vec<Vec<u8>>> = Vec::new();
    let pieces = if cut { case.pieces().collect() } else { vec![case.wire] };
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(args)) => {
                    read.push(args.iter().map(|arg| arg.to_vec()).collect());
                    decoder.trust(); // the first request has logged in
                }
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.decode(&mut input), Err(error), "an error is final");
                    assert_printable(error);
                    return (read, Some(error));
                }
            }
        }
    }
    (read, None)
}
