//! What a hostile or broken peer may make us hold, and how deep it may send us.

use crate::{decoder, feed};
use bytes::BytesMut;
use resp::{DecodeErrorKind as Kind, Decoder, Frame, Limits, Protocol};
use std::time::{Duration, Instant};

fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

/// The kind and the offset of the error, and how many frames came before it.
fn broken(limits: Limits, wire: &str) -> Option<(Kind, u64, usize)> {
    let whole = feed(&mut Decoder::new(Protocol::Resp3, limits), [wire.as_bytes()]);
    let in_bytes = feed(&mut Decoder::new(Protocol::Resp3, limits), wire.as_bytes().chunks(1));
    assert_eq!(whole, in_bytes, "{wire:?}");
    whole.error.map(|error| (error.kind(), error.offset(), whole.frames.len()))
}

#[test]
fn payloads_are_refused_at_their_header() {
    let limits = limits(|limits| limits.payload = 10);
    for wire in [
        "$10\r\n0123456789\r\n",
        "+0123456789\r\n",
        "(0123456789\r\n",
        "!10\r\n0123456789\r\n",
        "=10\r\ntxt:456789\r\n",
        "$?\r\n;5\r\n01234\r\n;5\r\n56789\r\n;0\r\n",
    ] {
        assert_eq!(broken(limits, wire), None, "{wire:?}");
    }
    for (wire, at) in [
        ("$11", 2),
        ("!11", 2),
        ("=11", 2),
        ("+0123456789a", 11),
        ("-0123456789a", 11),
        ("(01234567890", 11),
        (",01234567890", 11),
        ("$?\r\n;5\r\n01234\r\n;6", 16),
        ("$?\r\n;11", 6),
        ("*2\r\n#x\r\n$?\r\n;5\r\n01234\r\n;6", 24),
    ] {
        assert_eq!(broken(limits, wire), Some((Kind::TooLong, at, 0)), "{wire:?}");
    }
}

#[test]
fn children_are_counted_in_headers_and_streams() {
    let limits = limits(|limits| limits.children = 2);
    for wire in ["*2\r\n:1\r\n:2\r\n", "%2\r\n:1\r\n:2\r\n:3\r\n:4\r\n", "*?\r\n:1\r\n:2\r\n.\r\n"]
    {
        assert_eq!(broken(limits, wire), None, "{wire:?}");
    }
    for (wire, at) in [
        ("*3", 1),
        ("~3", 1),
        (">3", 1),
        ("%3", 1),
        ("|3", 1),
        ("*?\r\n:1\r\n:2\r\n:", 12),
        ("%?\r\n:1\r\n:2\r\n:3\r\n:4\r\n|", 20),
        ("*2\r\n#x\r\n*?\r\n:1\r\n:2\r\n_", 20),
    ] {
        assert_eq!(broken(limits, wire), Some((Kind::TooMany, at, 0)), "{wire:?}");
    }
}

#[test]
fn streamed_map_without_a_limit_ends_behind_a_value_and_not_behind_a_key() {
    let limits = limits(|limits| limits.children = u64::MAX);
    assert_eq!(broken(limits, "%?\r\n.\r\n%?\r\n:1\r\n:2\r\n.\r\n"), None);
    assert_eq!(broken(limits, "%?\r\n:1\r\n."), Some((Kind::OddMap, 8, 0)));
}

#[test]
fn frames_are_bounded_as_a_whole() {
    let limits = limits(|limits| limits.frame = 20);
    for wire in [
        "$13\r\n0123456789abc\r\n",
        "+0123456789abcdefg\r\n",
        "*2\r\n+abcde\r\n:12345\r\n",
        "*2\r\n$4\r\nabcd\r\n:123\r\n",
        "+ok\r\n+ok\r\n+ok\r\n+ok\r\n+ok\r\n",
    ] {
        assert_eq!(broken(limits, wire), None, "{wire:?}");
    }
    for (wire, at) in [
        ("$14\r\n", 4),
        ("*1\r\n$10\r\n", 8),
        ("+0123456789abcdefgh", 18),
        ("*2\r\n+abcde\r\n:123456", 18),
        ("*3\r\n+abcde\r\n+abc\r\n_", 18),
        ("*3\r\n+abcde\r\n+ab\r\n*2\r\n", 20),
        ("*3\r\n+abcde\r\n+ab\r\n$-1\r\n", 21),
        ("*3\r\n+abcde\r\n+ab\r\n$?\r\n", 20),
        ("*3\r\n#x\r\n+abcde\r\n:12", 18),
    ] {
        let found = broken(limits, wire);
        assert!(
            matches!(found, Some((Kind::FrameTooLarge, offset, 0)) if offset == at),
            "{wire:?}: {found:?}"
        );
    }
    assert!(feed(&mut Decoder::new(Protocol::Resp3, limits), [&b"*1\r\n$8\r\n"[..]]).is_open());
}

#[test]
fn lengths_near_overflow_are_refused_whatever_the_limits() {
    let open = limits(|limits| {
        limits.payload = u64::MAX;
        limits.children = u64::MAX;
        limits.frame = u64::MAX;
    });
    for kind in ["$", "*", "%", "~", ">", "|", "!", "="] {
        for number in [
            "9223372036854775806",
            "9223372036854775807",
            "9223372036854775808",
            "18446744073709551615",
            "18446744073709551616",
            "99999999999999999999999999999999",
        ] {
            let wire = format!("{kind}{number}");
            let found = broken(open, &wire);
            let refused = matches!(found, Some((Kind::TooLong | Kind::TooMany, ..)));
            assert!(refused, "{wire}: {found:?}");
        }
        // One less is believed, and costs nothing until it comes.
        let wire = format!("{kind}9223372036854775805\r\n");
        let outcome = feed(&mut Decoder::new(Protocol::Resp3, open), [wire.as_bytes()]);
        assert!(outcome.is_open(), "{wire:?}: {outcome:?}");
    }
}

#[test]
fn short_lines_end_after_32_bytes() {
    let none = "0".repeat(31);
    for kind in ["$", "*", "~", "%", ":"] {
        let wire = format!("{kind}{none}1\r\n");
        let outcome = feed(&mut decoder(Protocol::Resp3), [wire.as_bytes()]);
        assert!(outcome.error.is_none(), "{wire:?}: {outcome:?}");
        assert_eq!(
            broken(Limits::default(), &format!("{kind}{none}01")).map(|error| error.0),
            Some(Kind::TooLong)
        );
    }
}

#[test]
fn double_of_more_than_8_kib_fails_that_reply_only() {
    let digits = |count| format!(",{}\r\n:1\r\n", "1".repeat(count));
    let outcome = feed(&mut decoder(Protocol::Resp3), [digits(8 << 10).as_bytes()]);
    assert_eq!(outcome.frames, [Frame::Double(f64::INFINITY), Frame::Integer(1)]);
    let outcome = feed(&mut decoder(Protocol::Resp3), [digits((8 << 10) + 1).as_bytes()]);
    let [Frame::Invalid(error), Frame::Integer(1)] = &outcome.frames[..] else {
        panic!("{outcome:?}")
    };
    assert_eq!(error.kind(), Kind::BadDouble);
}

/// Ways to nest, and the innermost value.
const NESTS: [(&str, &str, &str); 9] = [
    ("*1\r\n", ":1\r\n", ""),
    ("~1\r\n", ":1\r\n", ""),
    (">1\r\n", ":1\r\n", ""),
    ("%1\r\n:0\r\n", ":1\r\n", ""),
    ("%1\r\n", ":1\r\n", ":0\r\n"),
    ("|1\r\n:0\r\n:0\r\n", ":1\r\n", ""),
    ("|1\r\n", ":0\r\n", ":0\r\n:1\r\n"),
    ("|0\r\n", ":1\r\n", ""),
    ("*?\r\n", ":1\r\n", ".\r\n"),
];

fn nested(levels: usize, (open, inner, close): (&str, &str, &str)) -> Vec<u8> {
    [&open.repeat(levels), inner, &close.repeat(levels), "+next\r\n"].concat().into_bytes()
}

fn is_too_deep(frame: &Frame) -> bool {
    match frame {
        Frame::Push(items) => matches!(&items[..], [only] if is_too_deep(only)),
        Frame::Invalid(error) => error.kind() == Kind::TooDeep,
        _ => false,
    }
}

#[test]
fn reply_that_is_too_deep_fails_alone() {
    for nest in NESTS {
        for (levels, deep) in [(128, false), (129, true), (7_995, true), (65_536, true)] {
            let mut input = BytesMut::from(&nested(levels, nest)[..]);
            let mut decoder = decoder(Protocol::Resp3);
            let frame = decoder.decode(&mut input).unwrap().unwrap();
            assert_eq!(is_too_deep(&frame), deep, "{levels} of {nest:?}");
            let next = decoder.decode(&mut input).unwrap();
            assert_eq!(next, Some(Frame::Simple("next".into())), "{levels} of {nest:?}");
        }
    }
}

#[test]
fn beyond_65_536_levels_framing_counts_as_lost() {
    for nest in NESTS {
        for levels in [65_537, 1_000_000] {
            let begun = Instant::now();
            let outcome = feed(&mut decoder(Protocol::Resp3), [&nested(levels, nest)[..]]);
            let error = outcome.error.expect("too deep");
            assert_eq!(error.kind(), Kind::TooDeep, "{levels} of {nest:?}");
            assert!(begun.elapsed() < Duration::from_secs(2), "{levels} of {nest:?}");
        }
    }
}

#[test]
fn depth_is_the_same_however_it_arrives() {
    for nest in NESTS {
        for levels in [128, 129, 300] {
            let wire = nested(levels, nest);
            let whole = feed(&mut decoder(Protocol::Resp3), [&wire[..]]);
            assert_eq!(feed(&mut decoder(Protocol::Resp3), wire.chunks(1)), whole);
        }
    }
}

#[test]
fn chunks_are_a_level() {
    for (levels, deep) in [(127, false), (128, true)] {
        let wire = [&"*1\r\n".repeat(levels), "$?\r\n;1\r\nx\r\n;0\r\n+next\r\n"].concat();
        let outcome = feed(&mut decoder(Protocol::Resp3), [wire.as_bytes()]);
        assert_eq!(is_too_deep(&outcome.frames[0]), deep);
        assert_eq!(outcome.frames.len(), 2);
    }
}

/// What is done with a frame as deep as any limit allows is done on the smallest stack that tokio's workers have, and
/// unoptimised builds need the most of it.
#[test]
fn frame_of_the_greatest_depth_fits_an_ordinary_stack() {
    for nest in NESTS {
        let deepest = limits(|limits| limits.depth = usize::MAX);
        let used = move || {
            let mut decoder = Decoder::new(Protocol::Resp3, deepest);
            let levels = Limits::MAX_DEPTH;
            let mut input = BytesMut::from(&nested(levels, nest)[..]);
            let frame = decoder.decode(&mut input).unwrap().unwrap();
            assert!(!is_too_deep(&frame));
            let other = frame.clone();
            assert!(frame == other && !format!("{frame:?}").is_empty());
            let mut input = BytesMut::from(&nested(levels + 1, nest)[..]);
            assert!(is_too_deep(&decoder.decode(&mut input).unwrap().unwrap()));
        };
        std::thread::Builder::new().stack_size(2 << 20).spawn(used).unwrap().join().unwrap();
    }
}
