//! However the bytes arrive, the same comes out: every split, every prefix, byte by byte, and nested in anything.

use crate::table::{self, Row, Verdict};
use crate::{Outcome, decoder, feed, is_same};
use bytes::BytesMut;
use resp::{Frame, Protocol};

/// Each row as it is, behind other replies, and as a part of everything that can hold it.
fn shapes() -> Vec<(Protocol, Vec<u8>)> {
    let mut shapes = Vec::new();
    for Row { protocol, wire, verdict } in table::rows() {
        let around = |before: &str, after: &str| {
            (protocol, [before.as_bytes(), &wire, after.as_bytes()].concat())
        };
        shapes.push(around("", ""));
        shapes.push(around("+OK\r\n:1\r\n$1\r\nx\r\n", ""));
        let ends = !matches!(verdict, Verdict::Breaks(_));
        let after = |text| if ends { text } else { "" };
        shapes.push(around("*3\r\n:1\r\n", after(":2\r\n+OK\r\n")));
        if protocol == Protocol::Resp2 {
            continue;
        }
        shapes.push(around("%2\r\n+k\r\n", after("_\r\n*1\r\n:1\r\n")));
        shapes.push(around("%1\r\n", after(":1\r\n:2\r\n")));
        shapes.push(around("~1\r\n", ""));
        shapes.push(around(">2\r\n+x\r\n", after("+OK\r\n")));
        shapes.push(around("|1\r\n+k\r\n", after(":1\r\n:2\r\n")));
        shapes.push(around("|1\r\n:1\r\n:2\r\n", after(":3\r\n")));
        shapes.push(around("*?\r\n", after(".\r\n:1\r\n")));
        shapes.push(around("%?\r\n", after("*?\r\n.\r\n.\r\n")));
        shapes.push(around("*2\r\n#x\r\n", after("+OK\r\n"))); // where the reply is damaged already
    }
    shapes
}

fn whole(protocol: Protocol, wire: &[u8]) -> Outcome {
    feed(&mut decoder(protocol), [wire])
}

#[test]
fn every_split_gives_what_the_whole_gives() {
    let mut pairs = 0_u32;
    for (protocol, wire) in shapes() {
        let wanted = whole(protocol, &wire);
        let shown = wire.escape_ascii();
        for first in 0..=wire.len() {
            let (a, b) = wire.split_at(first);
            assert_eq!(feed(&mut decoder(protocol), [a, b]), wanted, "{first}: {shown}");
            if wire.len() > 24 {
                continue;
            }
            for second in 0..=b.len() {
                let (b, c) = b.split_at(second);
                let pieces = [a, b, c];
                assert_eq!(feed(&mut decoder(protocol), pieces), wanted, "{pieces:?}");
                pairs += 1;
            }
        }
        let bytes = wire.chunks(1).flat_map(|byte| [byte, &[]]);
        assert_eq!(feed(&mut decoder(protocol), bytes), wanted, "byte by byte: {shown}");
    }
    assert!(pairs > 50_000, "only {pairs} pairs of splits were tried");
}

#[test]
fn every_prefix_of_a_frame_asks_for_more() {
    for row in table::rows() {
        let frames = !matches!(row.verdict, Verdict::Breaks(_));
        for end in 0..row.wire.len() {
            let outcome = whole(row.protocol, &row.wire[..end]);
            assert!(outcome.is_open(), "{end}: {}: {outcome:?}", row.wire.escape_ascii());
        }
        assert_eq!(whole(row.protocol, &row.wire).frames.len(), usize::from(frames));
    }
}

#[test]
fn frames_before_an_error_come_first() {
    let outcome = whole(Protocol::Resp3, b"+OK\r\n*1\r\n:1\r\n#x\r\n$3\r\nabcX\r\n:5\r\n");
    assert_eq!(outcome.frames.len(), 3);
    assert_eq!(outcome.error.unwrap().offset(), 7, "counted from the frame that is broken");
}

#[test]
fn storage_that_is_used_again_changes_nothing() {
    for (protocol, wire) in shapes() {
        let (mut reusing, mut input) = (decoder(protocol), BytesMut::from(&wire[..]));
        let old = || (Frame::Integer(1), Frame::Null);
        let mut frame = Frame::Map(vec![old(), old()]);
        let mut again = Outcome { frames: vec![], error: None, drained: false };
        loop {
            match reusing.decode_into(&mut input, &mut frame) {
                Ok(true) => again.frames.push(frame.clone()),
                Ok(false) => {
                    assert_eq!(frame, Frame::Null);
                    again.drained = input.is_empty();
                    break;
                }
                Err(error) => {
                    again.error = Some(error);
                    break;
                }
            }
        }
        assert_eq!(again, whole(protocol, &wire), "{}", wire.escape_ascii());
    }
}

/// As `feed`, with all frames of a piece taken together.
fn feed_together<'a>(protocol: Protocol, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let (mut decoder, mut input) = (decoder(protocol), BytesMut::new());
    let mut outcome = Outcome { frames: vec![], error: None, drained: false };
    for piece in pieces {
        input.extend_from_slice(piece);
        for frame in decoder.frames(&mut input) {
            match frame {
                Ok(frame) => outcome.frames.push(frame),
                Err(error) => outcome.error = Some(error), // the last, or this would not end
            }
        }
        if let Some(error) = outcome.error {
            let left = input.len();
            let again: Vec<_> = decoder.frames(&mut input).collect();
            assert_eq!((again, input.len()), (vec![Err(error)], left), "poisoned for ever");
            return outcome;
        }
    }
    outcome.drained = input.is_empty();
    outcome
}

#[test]
fn frames_of_a_read_are_the_same_together_as_one_by_one() {
    for (protocol, wire) in shapes() {
        let wanted = whole(protocol, &wire);
        let shown = wire.escape_ascii();
        for at in 0..=wire.len() {
            let (a, b) = wire.split_at(at);
            assert_eq!(feed_together(protocol, [a, b]), wanted, "{at}: {shown}");
        }
        let bytes = wire.chunks(1).flat_map(|byte| [byte, &[]]);
        assert_eq!(feed_together(protocol, bytes), wanted, "byte by byte: {shown}");
    }
}

#[test]
fn frames_that_are_not_asked_for_stay_in_the_input() {
    let (mut decoder, mut input) =
        (decoder(Protocol::Resp3), BytesMut::from(":1\r\n-ERR\r\n:3\r\n$40\r\n"));
    let mut frames = decoder.frames(&mut input);
    assert_eq!(frames.next(), Some(Ok(Frame::Integer(1))));
    drop(frames);
    assert_eq!(input, "-ERR\r\n:3\r\n$40\r\n");
    let mut frame = Frame::Array(vec![Frame::Null]);
    let mut frames = decoder.frames(&mut input);
    assert_eq!(frames.decode_into(&mut frame), Ok(true));
    assert_eq!(frame, Frame::Error("ERR".into()));
    assert!(!frames.is_drained());
    assert_eq!(frames.next(), Some(Ok(Frame::Integer(3))));
    assert!(!frames.is_drained(), "a frame has begun");
    assert_eq!(frames.decode_into(&mut frame), Ok(false));
    assert_eq!(frame, Frame::Null);
    assert_eq!(frames.next(), None);
    drop(frames);
    input.extend_from_slice(&[b'x'; 40]);
    input.extend_from_slice(b"\r\n");
    let mut frames = decoder.frames(&mut input);
    assert_eq!(frames.next(), Some(Ok(Frame::bulk(vec![b'x'; 40]))));
    assert!(frames.is_drained());
    drop(frames);
    assert_eq!(input, "");
    for mut frame in [Frame::Integer(7), Frame::Array(vec![Frame::Null])] {
        input.extend_from_slice(b"X");
        assert!(decoder.decode_into(&mut input, &mut frame).is_err());
        assert_eq!(frame, Frame::Null, "nothing of an earlier reply is left");
    }
}

#[test]
fn memory_larger_than_an_ordinary_read_changes_nothing() {
    for (protocol, wire) in shapes() {
        let mut input = BytesMut::with_capacity(1 << 20);
        input.extend_from_slice(&wire);
        let (mut decoder, mut frames) = (decoder(protocol), Vec::new());
        while let Ok(Some(frame)) = decoder.decode(&mut input) {
            frames.push(frame);
        }
        let wanted = whole(protocol, &wire).frames;
        assert_eq!(frames.len(), wanted.len());
        let same = frames.iter().zip(&wanted).all(|(one, other)| is_same(one, other));
        assert!(same, "{}", wire.escape_ascii());
    }
}

/// Large frames cannot be cut everywhere: at odd places that repeat seldom.
#[test]
fn large_frames_may_be_cut_anywhere() {
    let mut wire = b"*4\r\n+".to_vec();
    wire.extend_from_slice(&[b's'; 70_001]);
    wire.extend_from_slice(b"\r\n$200003\r\n");
    wire.extend_from_slice(&[b'\r'; 200_003]);
    wire.extend_from_slice(b"\r\n%300\r\n");
    for number in 0..300 {
        wire.extend_from_slice(
            format!("${}\r\n{number}\r\n:{number}\r\n", number.to_string().len()).as_bytes(),
        );
    }
    wire.extend_from_slice(b"$?\r\n;90001\r\n");
    wire.extend_from_slice(&[b'c'; 90_001]);
    wire.extend_from_slice(b"\r\n;0\r\n+OK\r\n");
    let wanted = whole(Protocol::Resp3, &wire);
    assert_eq!(wanted.frames.len(), 2);
    for size in [3, 997, 1_448, 16_384, 65_536, 131_071] {
        assert!(feed(&mut decoder(Protocol::Resp3), wire.chunks(size)) == wanted, "{size}");
    }
}
