//! Requests as a server reads them: what it accepts, what it refuses, and that nothing a caller says becomes a second request.

use bytes::{Bytes, BytesMut};
use resp::{DecodeErrorKind as Kind, Limits, RequestDecoder, encode};

#[derive(Debug, PartialEq)]
struct Outcome {
    requests: Vec<Vec<Bytes>>,
    error: Option<(Kind, u64)>,
}

fn feed<'a>(mut decoder: RequestDecoder, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let (mut input, mut requests) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(request)) => requests.push(request),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.decode(&mut input), Err(error), "poisoned for ever");
                    return Outcome { requests, error: Some((error.kind(), error.offset())) };
                }
            }
        }
    }
    Outcome { requests, error: None }
}

/// In one piece, in any two, and byte by byte.
fn read(wire: &[u8]) -> Outcome {
    let new = || RequestDecoder::new(Limits::default());
    let whole = feed(new(), [wire]);
    assert_eq!(feed(new(), wire.chunks(1)), whole, "{}", wire.escape_ascii());
    if wire.len() < 300 {
        for at in 0..=wire.len() {
            let (a, b) = wire.split_at(at);
            assert_eq!(feed(new(), [a, &[], b]), whole, "{at}: {}", wire.escape_ascii());
        }
    }
    whole
}

fn accepted(wire: impl AsRef<[u8]>, wanted: &[&[&str]]) {
    let outcome = read(wire.as_ref());
    let wanted: Vec<Vec<Bytes>> = wanted
        .iter()
        .map(|request| request.iter().map(|arg| Bytes::copy_from_slice(arg.as_bytes())).collect())
        .collect();
    assert_eq!(
        outcome,
        Outcome { requests: wanted, error: None },
        "{}",
        wire.as_ref().escape_ascii()
    );
}

fn refused(wire: impl AsRef<[u8]>, kind: Kind) {
    let outcome = read(wire.as_ref());
    let found = outcome.error.map(|(kind, _)| kind);
    assert_eq!(found, Some(kind), "{}", wire.as_ref().escape_ascii());
}

#[test]
fn arrays_of_bulk_strings_are_requests() {
    accepted("*1\r\n$4\r\nPING\r\n", &[&["PING"]]);
    accepted("*2\r\n$3\r\nGET\r\n$0\r\n\r\n*1\r\n$4\r\nPING\r\n", &[&["GET", ""], &["PING"]]);
    accepted("*2\r\n$4\r\nECHO\r\n$6\r\n\r\n*1\r\n\r\n", &[&["ECHO", "\r\n*1\r\n"]]);
}

#[test]
fn bytes_behind_an_argument_are_not_looked_at() {
    accepted("*2\r\n$3\r\nGET??$1\r\nkxx*1\r\n$4\r\nPING!!", &[&["GET", "k"], &["PING"]]);
}

#[test]
fn requests_without_arguments_are_skipped() {
    accepted(
        "*0\r\n*-1\r\n*-9223372036854775808\r\n\r\n \t\r\n\n*1\r\n$4\r\nPING\r\n",
        &[&["PING"]],
    );
}

#[test]
fn counts_are_plain_digits_without_zeros_in_front() {
    for count in
        ["", "+1", "01", "00", " 1", "1 ", "-", "-0", "-01", "--1", "1.0", "a", "0x1", "\u{663}"]
    {
        refused(format!("*{count}\r\n$4\r\nPING\r\n"), Kind::BadLength);
    }
    for count in ["", "+4", "04", "00", "-1", "-0", " 4", "4 ", "a"] {
        refused(format!("*1\r\n${count}\r\nPING\r\n"), Kind::BadLength);
    }
    for count in ["9223372036854775808", "-9223372036854775809", "18446744073709551616"] {
        refused(format!("*{count}\r\n"), Kind::BadLength);
    }
}

#[test]
fn counts_are_bounded() {
    refused("*2147483648\r\n", Kind::TooMany);
    accepted("*2147483647\r\n", &[]);
    refused("*1\r\n$536870913\r\n", Kind::TooLong);
    accepted("*1\r\n$536870912\r\n", &[]);
}

#[test]
fn arguments_are_bulk_strings() {
    for wire in ["*1\r\n:1\r\n", "*1\r\n*1\r\n", "*1\r\n+", "*2\r\n$4\r\nPING\r\nX", "*1\r\n\r"] {
        refused(wire, Kind::BadRequest);
    }
}

#[test]
fn line_ends_are_checked_in_counts() {
    refused("*1\n", Kind::BareLineEnd);
    refused("*1\rX", Kind::BareLineEnd);
    refused("*1\r\n$4\n", Kind::BareLineEnd);
}

#[test]
fn request_as_a_whole_is_bounded() {
    let mut limits = Limits::default();
    limits.frame = 40;
    let wire = b"*2\r\n$4\r\nECHO\r\n$18\r\n012345678901234567\r\n*2\r\n$4\r\nECHO\r\n$20\r\n";
    let outcome = feed(RequestDecoder::new(limits), [&wire[..]]);
    assert_eq!(outcome.requests.len(), 1);
    assert_eq!(outcome.error.map(|error| error.0), Some(Kind::FrameTooLarge));
}

#[test]
fn strangers_send_ten_arguments_of_16_kib_at_most() {
    let wires = ["*11\r\n".to_owned(), "*1\r\n$16385\r\n".to_owned()];
    for (wire, kind) in wires.iter().zip([Kind::TooMany, Kind::TooLong]) {
        let restricted = || {
            let mut decoder = RequestDecoder::new(Limits::default());
            decoder.restrict();
            decoder
        };
        let error = feed(restricted(), [wire.as_bytes()]).error.map(|error| error.0);
        assert_eq!(error, Some(kind), "{wire:?}");
        let mut trusted = restricted();
        trusted.trust();
        assert_eq!(feed(trusted, [wire.as_bytes()]).error, None, "{wire:?}");
        let one_less = wire.replace("11", "10").replace("16385", "16384");
        assert_eq!(feed(restricted(), [one_less.as_bytes()]).error, None, "{one_less:?}");
    }
}

#[test]
fn lines_by_hand_are_requests() {
    accepted("PING\r\n", &[&["PING"]]);
    accepted("PING\n", &[&["PING"]]);
    accepted("  SET\tkey   'a b'  \r\nGET key\n", &[&["SET", "key", "a b"], &["GET", "key"]]);
    accepted("SET k \"\\x41\\r\\n\"\r\n", &[&["SET", "k", "A\r\n"]]);
    accepted("+OK\r\n$3\r\n", &[&["+OK"], &["$3"]]);
}

#[test]
fn lines_by_hand_have_balanced_quotes_and_no_nul() {
    for line in ["SET k \"a\r\n", "SET k 'a\r\n", "SET k \"a\"b\r\n", "a\0b\r\n", "\0\n"] {
        refused(line, Kind::BadRequest);
    }
}

#[test]
fn lines_are_at_most_64_kib() {
    let long = "x".repeat(64 << 10);
    accepted(format!("{long}\n"), &[&[&long]]);
    refused(format!("{long}x"), Kind::TooLong);
    refused(format!("{long}x\n"), Kind::TooLong);
    refused(format!("*{}1", "0".repeat(64 << 10)), Kind::TooLong);
    refused(format!("*1\r\n${}1", "0".repeat(64 << 10)), Kind::TooLong);
}

#[test]
fn browsers_do_not_get_through() {
    refused("POST / HTTP/1.1\r\n", Kind::BadRequest);
    refused("post /\n", Kind::BadRequest);
    refused("Host: localhost\r\n", Kind::BadRequest);
    refused("GET k\r\nhost: x\r\n", Kind::BadRequest);
    refused("*1\r\n$4\r\nPOST\r\n", Kind::BadRequest);
}

#[test]
fn argument_cannot_become_a_second_request() {
    for arg in [&b"\r\n*1\r\n$4\r\nPING\r\n"[..], b"", b"\0\xff\n", b"\r", &[b'$'; 300]] {
        let mut out = BytesMut::new();
        encode::command(&[&b"SET"[..], b"key", arg], &mut out);
        encode::array_header(2, &mut out);
        encode::bulk(arg, &mut out);
        encode::bulk_i64(-7, &mut out);
        let outcome = read(&out);
        assert_eq!(outcome.error, None);
        assert_eq!(outcome.requests, [vec![&b"SET"[..], b"key", arg], vec![arg, b"-7"]]);
    }
}
