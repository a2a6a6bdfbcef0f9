//! What comes out does not depend on who decodes, nor on how the bytes arrive.

use crate::reference::{self, Verdict};
use crate::ways::Way;
use crate::{Case, tree};
use bytes::BytesMut;
use resp::{DecodeError, Decoder, Frame};

/// `resp` and the naive decoder agree on every frame of the input, on what is wrong, and on where each frame ends; and what is
/// decoded into the last frame's storage is the same.
pub(super) fn diff_ref(data: &[u8]) {
    let Some(case) = Case::read(data) else { return };
    compare(&case, &mut BytesMut::new());
    let mut decoder = Decoder::new(case.protocol, case.limits);
    let mut reusing = Decoder::new(case.protocol, case.limits);
    let mut input = BytesMut::from(case.wire);
    let (mut again, mut reused) = (input.clone(), Frame::Null);
    loop {
        let got = decoder.decode(&mut input);
        let got_again = reusing.decode_into(&mut again, &mut reused);
        match got {
            Ok(Some(frame)) => {
                assert_eq!(got_again, Ok(true));
                assert!(same(&frame, &reused), "{frame:?} by itself, {reused:?} into the last one");
                assert_eq!(input.len(), again.len(), "bytes left");
                let is_push = frame.is_push();
                assert_eq!(is_push, matches!(frame.without_attributes(), Frame::Push(_)));
            }
            Ok(None) => return assert_eq!(got_again, Ok(false)),
            Err(error) => {
                assert_eq!(got_again, Err(error));
                return assert_printable(error);
            }
        }
    }
}

/// The first half of the property `diff_ref`, with a buffer that is used again: for very many short inputs.
///
/// # Panics
///
/// If the decoders do not agree.
pub fn compare(case: &Case<'_>, input: &mut BytesMut) {
    let mut decoder = Decoder::new(case.protocol, case.limits);
    input.clear();
    input.extend_from_slice(case.wire);
    let mut rest = case.wire;
    loop {
        let wanted = reference::decode(rest, case.protocol, &case.limits);
        let got = decoder.decode(input);
        assert_same(&wanted, &got);
        match wanted {
            Verdict::Value(_, len) | Verdict::Invalid { len, .. } => {
                rest = &rest[len..];
                assert_eq!(input.len(), rest.len(), "bytes left behind a frame of {len}");
            }
            Verdict::Incomplete => return,
            Verdict::Lost(..) => return assert_final(&mut decoder, &got, input),
        }
    }
}

/// What an error says of hostile bytes can be shown to anybody.
pub(super) fn assert_printable(error: DecodeError) {
    let text = error.to_string();
    assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{text:?}");
}

/// An error is final, and nothing is taken off the input after it.
fn assert_final(
    decoder: &mut Decoder,
    error: &Result<Option<Frame>, DecodeError>,
    input: &mut BytesMut,
) {
    input.extend_from_slice(b"+OK\r\n");
    let before = input.len();
    assert_eq!(&decoder.decode(input), error, "an error is final");
    assert_eq!(input.len(), before, "nothing is taken after an error");
}

fn assert_same(wanted: &Verdict, got: &Result<Option<Frame>, DecodeError>) {
    let agreed = match (wanted, got) {
        (Verdict::Value(wanted, _), Ok(Some(frame))) => {
            invalid(frame).is_none() && tree(frame) == *wanted
        }
        (Verdict::Invalid { kind, len, push }, Ok(Some(frame))) => {
            let is_push = frame.is_push();
            invalid(frame).is_some_and(|error| {
                error.kind() == *kind && error.offset() <= *len as u64 && is_push == *push
            })
        }
        (Verdict::Incomplete, Ok(None)) => true,
        (Verdict::Lost(kind, at), Err(error)) => {
            error.kind() == *kind && error.offset() <= *at as u64
        }
        _ => false,
    };
    assert!(agreed, "wanted {wanted:?}, got {got:?}");
}

/// What is wrong inside a reply or a push.
pub(super) fn invalid(frame: &Frame) -> Option<DecodeError> {
    match frame {
        Frame::Invalid(error) => Some(*error),
        Frame::Push(items) => match items[..] {
            [Frame::Invalid(error)] => Some(error),
            _ => None,
        },
        _ => None,
    }
}

/// Whether two frames are the same, with not-a-number equal to itself.
fn same(one: &Frame, other: &Frame) -> bool {
    match (invalid(one), invalid(other)) {
        (None, None) => tree(one) == tree(other),
        _ => one == other,
    }
}

/// Everything that comes out of pieces.
#[derive(Debug)]
struct Decoded {
    frames: Vec<Frame>,
    error: Option<DecodeError>,
    /// Bytes that were not taken off.
    left: usize,
}

fn decode<'a>(case: &Case<'_>, way: Way, pieces: impl Iterator<Item = &'a [u8]>) -> Decoded {
    let mut decoder = Decoder::new(case.protocol, case.limits);
    let mut input = BytesMut::new();
    let (mut frames, mut storage) = (Vec::new(), Frame::Null);
    for piece in pieces {
        input.extend_from_slice(piece);
        let drained = way.drain(&mut decoder, &mut input, &mut storage, &mut frames);
        if let Err(error) = drained {
            let left = input.len();
            let again = way.drain(&mut decoder, &mut input, &mut storage, &mut frames);
            assert_eq!((again, input.len()), (Err(error), left), "an error is final");
            return Decoded { frames, error: Some(error), left };
        }
    }
    Decoded { frames, error: None, left: input.len() }
}

/// However the bytes are cut, and in whatever way they are decoded, the same frames and the same error come out.
pub(super) fn chunked(data: &[u8]) {
    let Some(case) = Case::read(data) else { return };
    let seed = usize::from(case.seed);
    let whole = decode(&case, Way::OneByOne, std::iter::once(case.wire));
    let cuts: [(&str, Vec<&[u8]>); 3] = [
        ("whole", vec![case.wire]),
        ("in pieces", case.pieces().collect()),
        ("byte by byte", case.wire.chunks(1).collect()),
    ];
    for (at, (how, pieces)) in cuts.iter().enumerate() {
        let [one, other] = [Way::OneByOne, Way::among(&Way::ALL, at + seed)].map(|way| {
            let cut = decode(&case, way, pieces.iter().copied());
            assert_decoded(&whole, &cut, how, way);
            cut.left
        });
        assert_eq!(one, other, "bytes left {how}");
    }
    let (front, back) = case.wire.split_at(seed % (case.wire.len() + 1));
    let way = Way::among(&Way::ALL, seed);
    assert_decoded(&whole, &decode(&case, way, [front, back].into_iter()), "in two", way);
    // Every pair of cuts of a short input, of one in so many.
    if case.wire.len() <= 24 && case.seed.is_multiple_of(64) {
        for first in 0..=case.wire.len() {
            for second in first..=case.wire.len() {
                let pieces = [&case.wire[..first], &case.wire[first..second], &case.wire[second..]];
                let way = Way::among(&Way::ALL, second);
                assert_decoded(&whole, &decode(&case, way, pieces.into_iter()), "in three", way);
            }
        }
    }
}

fn assert_decoded(whole: &Decoded, cut: &Decoded, how: &str, way: Way) {
    let frames = whole.frames.len() == cut.frames.len()
        && whole.frames.iter().zip(&cut.frames).all(|(one, other)| same(one, other));
    assert!(frames && whole.error == cut.error, "whole: {whole:?}, {how}, {way:?}: {cut:?}");
}

/// Whatever ends before a frame does is incomplete, and what is lost is lost at the byte that proves it.
pub(super) fn prefix(data: &[u8]) {
    let Some(case) = Case::read(data) else { return };
    let mut rest = case.wire;
    loop {
        let (len, lost) = match reference::decode(rest, case.protocol, &case.limits) {
            Verdict::Value(_, len) | Verdict::Invalid { len, .. } => (len, false),
            Verdict::Incomplete => (rest.len() + 1, false),
            Verdict::Lost(_, len) => (len, true),
        };
        let cuts = [len / 2, len - 2.min(len), len - 1, usize::from(case.seed) % len];
        for cut in cuts {
            let got = decode_once(&case, &rest[..cut]);
            assert_eq!(got, Ok(None), "{cut} of {len} bytes");
        }
        if lost {
            let got = decode_once(&case, &rest[..len]);
            assert!(got.is_err(), "{len} bytes are enough to see that it is lost: {got:?}");
        }
        if lost || len > rest.len() {
            return;
        }
        rest = &rest[len..];
    }
}

fn decode_once(case: &Case<'_>, bytes: &[u8]) -> Result<Option<Frame>, DecodeError> {
    Decoder::new(case.protocol, case.limits).decode(&mut BytesMut::from(bytes))
}
