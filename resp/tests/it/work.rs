//! How often bytes are looked at: three times at most, however they arrive.

use crate::decoder;
use crate::table;
use bytes::BytesMut;
use resp::{Limits, Protocol, RequestDecoder, work};
use std::time::{Duration, Instant};

/// The bytes that a decoder looks at, fed in pieces, with an empty piece behind each.
fn examined(protocol: Protocol, wire: &[u8], piece: usize) -> u64 {
    let before = work::examined();
    let (mut decoder, mut input) = (decoder(protocol), BytesMut::new());
    for piece in wire.chunks(piece) {
        for piece in [piece, &[]] {
            input.extend_from_slice(piece);
            while let Ok(Some(_)) = decoder.decode(&mut input) {}
        }
    }
    work::examined() - before
}

fn check(protocol: Protocol, wire: &[u8]) {
    for piece in [1, 2, 3, 7, 1_000, usize::MAX] {
        let examined = examined(protocol, wire, piece);
        let start = wire.get(..60).unwrap_or(wire).escape_ascii();
        assert!(
            examined <= 3 * wire.len() as u64,
            "{examined} of {} in {piece}: {start}",
            wire.len()
        );
        assert!(examined > 0);
    }
}

#[test]
fn no_byte_is_looked_at_more_than_three_times() {
    for row in table::rows() {
        check(row.protocol, &row.wire);
        check(row.protocol, &[b"*3\r\n:1\r\n", &row.wire[..]].concat());
        check(row.protocol, &[b"*2\r\n:x\r\n", &row.wire[..]].concat());
    }
    for inner in [
        "+OK\r\n",
        "$1\r\nx\r\n",
        ":1\r\n",
        "$-1\r\n",
        "*1\r\n:1\r\n",
        "+not shared\r\n",
        "$100\r\n",
    ] {
        check(Protocol::Resp2, inner.repeat(500).as_bytes());
        check(Protocol::Resp2, format!("*1000\r\n{}", inner.repeat(1_000)).as_bytes());
    }
    for long in ["+", "-", "(", ",", ":", "$", "*", "$?\r\n;99999\r\n", "$99999\r\n"] {
        check(Protocol::Resp3, format!("{long}{}", "1".repeat(5_000)).as_bytes());
        check(Protocol::Resp3, format!("*1\r\n{long}{}\r\n", "1".repeat(5_000)).as_bytes());
    }
}

#[test]
fn nothing_is_looked_at_when_nothing_has_come() {
    for wire in [
        "+abc",
        "+abc\r",
        "$3",
        "$3\r",
        "$3\r\nabc",
        "$3\r\nabc\r",
        "*2\r\n:1",
        "*?\r\n.",
        "|1\r\n",
    ] {
        let (mut decoder, mut input) = (decoder(Protocol::Resp3), BytesMut::from(wire));
        assert_eq!(decoder.decode(&mut input), Ok(None));
        let before = work::examined();
        for _ in 0..1_000 {
            assert_eq!(decoder.decode(&mut input), Ok(None));
        }
        assert_eq!(work::examined(), before, "{wire:?}");
    }
}

#[test]
fn requests_are_looked_at_as_seldom() {
    let line = format!("SET key {}\r\n", "x".repeat(10_000));
    let array = "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n".repeat(100);
    for wire in [line, array, "*1\r\n$".to_owned() + &"1".repeat(10)] {
        for piece in [1, 10, usize::MAX] {
            let before = work::examined();
            let (mut decoder, mut input) =
                (RequestDecoder::new(Limits::default()), BytesMut::new());
            for piece in wire.as_bytes().chunks(piece) {
                input.extend_from_slice(piece);
                while let Ok(Some(_)) = decoder.decode(&mut input) {}
            }
            let examined = work::examined() - before;
            assert!(examined <= 3 * wire.len() as u64, "{examined} of {} in {piece}", wire.len());
        }
    }
}

/// Even unoptimised; what matters is that nothing is quadratic.
#[test]
fn mebibyte_byte_by_byte_is_quick() {
    let mut wire = b"*45592\r\n".to_vec();
    wire.extend_from_slice(&b"$16\r\n0123456789abcdef\r\n".repeat(45_592));
    let begun = Instant::now();
    check_whole(&wire);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

fn check_whole(wire: &[u8]) {
    let (mut decoder, mut input) = (decoder(Protocol::Resp2), BytesMut::new());
    let mut frames = 0;
    for byte in wire.chunks(1) {
        input.extend_from_slice(byte);
        frames += usize::from(decoder.decode(&mut input).expect("in order").is_some());
    }
    assert_eq!((frames, input.len()), (1, 0));
}
