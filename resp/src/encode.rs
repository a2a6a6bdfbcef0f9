//! Commands and replies into a caller's `BytesMut`: the exact size first, then one pass, integers formatted in place.

use crate::number::{Decimal, digits};
use crate::{Frame, Protocol};
use bytes::{BufMut, BytesMut};

const CRLF: &[u8] = b"\r\n";

/// Appends one command: an array of bulk strings. There is to be one at least: servers pass over an empty array without an answer.
///
/// What is sent again and again may be encoded once: its bytes can be appended as they are, for the cost of copying them.
///
/// Lengths are written as they are; whether a server accepts an argument of more than 512 MiB is for the caller to know.
pub fn command<A: AsRef<[u8]>>(args: &[A], out: &mut BytesMut) {
    let size: usize = args.iter().map(|arg| bulk_len(arg.as_ref().len())).sum();
    out.reserve(header_len(args.len()) + size);
    header(b'*', args.len(), out);
    for arg in args {
        put_bulk(b'$', arg.as_ref(), out);
    }
}

/// Appends `*len`; that many calls of [`bulk`] or [`bulk_i64`] are to follow.
#[inline]
pub fn array_header(len: usize, out: &mut impl BufMut) {
    header(b'*', len, out);
}

/// Appends one bulk string.
#[inline]
pub fn bulk(bytes: &[u8], out: &mut impl BufMut) {
    put_bulk(b'$', bytes, out);
}

/// Appends one bulk string that holds `number` in decimal.
pub fn bulk_i64(number: i64, out: &mut impl BufMut) {
    bulk(Decimal::signed(number).as_bytes(), out);
}

/// Appends a reply, as a server does. What RESP2 has no type for is sent the way servers send it there: maps as flat arrays,
/// sets and pushes as arrays, booleans as integers, doubles, big numbers and verbatim strings as bulk strings; attributes are
/// left out.
///
/// A simple string or error is cut at the first CR or LF, an invalid frame is sent as an error, and a push without children,
/// which no client would accept, with a null in it: nothing a caller puts into a frame can change the number of frames.
pub fn frame(frame: &Frame, protocol: Protocol, out: &mut BytesMut) {
    // Depth first on a stack of our own: a frame may be deeper than the thread's stack.
    let mut open = vec![Next::Value(frame)];
    while let Some(next) = open.pop() {
        match next {
            Next::Value(value) => self::value(value, protocol, out, &mut open),
            Next::Values(values) => {
                if let [first, rest @ ..] = values {
                    open.push(Next::Values(rest));
                    open.push(Next::Value(first));
                }
            }
            Next::Pairs(pairs) => {
                if let [(key, value), rest @ ..] = pairs {
                    open.push(Next::Pairs(rest));
                    open.push(Next::Value(value));
                    open.push(Next::Value(key));
                }
            }
        }
    }
}

enum Next<'a> {
    Value(&'a Frame),
    Values(&'a [Frame]),
    Pairs(&'a [(Frame, Frame)]),
}

fn value<'a>(frame: &'a Frame, protocol: Protocol, out: &mut BytesMut, open: &mut Vec<Next<'a>>) {
    let resp3 = protocol == Protocol::Resp3;
    match frame {
        Frame::Null => out.extend_from_slice(if resp3 { b"_\r\n" } else { b"$-1\r\n" }),
        Frame::Simple(text) => line(b'+', text, out),
        Frame::Error(text) => line(b'-', text, out),
        Frame::Integer(number) => line(b':', Decimal::signed(*number).as_bytes(), out),
        Frame::Bulk(bytes) => reserved_bulk(bytes, out),
        Frame::Boolean(yes) if resp3 => line(b'#', if *yes { b"t" } else { b"f" }, out),
        Frame::Boolean(yes) => line(b':', if *yes { b"1" } else { b"0" }, out),
        Frame::Double(number) if resp3 => line(b',', double(*number).as_bytes(), out),
        Frame::Double(number) => reserved_bulk(double(*number).as_bytes(), out),
        Frame::BigNumber(text) if resp3 => line(b'(', text, out),
        Frame::BigNumber(text) => reserved_bulk(text, out),
        Frame::BulkError(bytes) if resp3 => {
            out.reserve(bulk_len(bytes.len()));
            put_bulk(b'!', bytes, out);
        }
        Frame::BulkError(text) => line(b'-', text, out),
        Frame::Verbatim(verbatim) if resp3 => {
            let len = verbatim.text.len() + 4;
            out.reserve(bulk_len(len));
            header(b'=', len, out);
            out.put_slice(&verbatim.format);
            out.put_u8(b':');
            out.put_slice(&verbatim.text);
            out.put_slice(CRLF);
        }
        Frame::Verbatim(verbatim) => reserved_bulk(&verbatim.text, out),
        Frame::Array(items) => children(b'*', items, out, open),
        Frame::Set(items) => children(if resp3 { b'~' } else { b'*' }, items, out, open),
        Frame::Push(items) if resp3 && items.is_empty() => out.extend_from_slice(b">1\r\n_\r\n"),
        Frame::Push(items) => children(if resp3 { b'>' } else { b'*' }, items, out, open),
        Frame::Map(pairs) => {
            let (kind, len) = if resp3 { (b'%', pairs.len()) } else { (b'*', pairs.len() * 2) };
            header(kind, len, out);
            open.push(Next::Pairs(pairs));
        }
        Frame::Attributed(attributed) => {
            open.push(Next::Value(&attributed.frame));
            if resp3 {
                header(b'|', attributed.attributes.len(), out);
                open.push(Next::Pairs(&attributed.attributes));
            }
        }
        Frame::Invalid(error) => line(b'-', format!("ERR invalid frame: {error}").as_bytes(), out),
    }
}

fn reserved_bulk(bytes: &[u8], out: &mut BytesMut) {
    out.reserve(bulk_len(bytes.len()));
    bulk(bytes, out);
}

fn children<'a>(kind: u8, items: &'a [Frame], out: &mut BytesMut, open: &mut Vec<Next<'a>>) {
    header(kind, items.len(), out);
    open.push(Next::Values(items));
}

fn line(kind: u8, text: &[u8], out: &mut BytesMut) {
    let end = memchr::memchr2(b'\r', b'\n', text).unwrap_or(text.len());
    out.reserve(end + 3);
    out.put_u8(kind);
    out.extend_from_slice(text.get(..end).unwrap_or_default());
    out.extend_from_slice(CRLF);
}

fn double(number: f64) -> String {
    if number.is_nan() { "nan".to_owned() } else { number.to_string() }
}

#[inline]
fn put_bulk(kind: u8, bytes: &[u8], out: &mut impl BufMut) {
    header(kind, bytes.len(), out);
    out.put_slice(bytes);
    out.put_slice(CRLF);
}

#[inline]
fn header(kind: u8, len: usize, out: &mut impl BufMut) {
    match u8::try_from(len) {
        Ok(short @ 0..=9) => out.put_slice(&[kind, b'0' + short, b'\r', b'\n']),
        Ok(short @ 10..=99) => {
            out.put_slice(&[kind, b'0' + short / 10, b'0' + short % 10, b'\r', b'\n']);
        }
        _ => long_header(kind, len, out),
    }
}

#[inline(never)]
fn long_header(kind: u8, len: usize, out: &mut impl BufMut) {
    out.put_u8(kind);
    out.put_slice(Decimal::unsigned(len as u64).as_bytes());
    out.put_slice(CRLF);
}

fn header_len(len: usize) -> usize {
    1 + digits(len) + 2
}

fn bulk_len(len: usize) -> usize {
    header_len(len) + len + 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(value: &Frame, protocol: Protocol) -> String {
        let mut out = BytesMut::new();
        frame(value, protocol, &mut out);
        String::from_utf8_lossy(&out).replace("\r\n", " ")
    }

    #[test]
    fn commands_are_arrays_of_bulk_strings_of_exactly_the_reserved_size() {
        for lengths in [&[0][..], &[1, 9, 10], &[99, 100, 255, 256, 1000], &[5; 300]] {
            let args: Vec<_> = lengths.iter().map(|&len| vec![b'x'; len]).collect();
            let size: usize = lengths.iter().map(|&len| bulk_len(len)).sum();
            let mut out = BytesMut::new();
            command(&args, &mut out);
            assert_eq!(out.len(), header_len(args.len()) + size);
        }
        let mut out = BytesMut::new();
        bulk_i64(i64::MIN, &mut out);
        assert_eq!(&out[..], b"$20\r\n-9223372036854775808\r\n");
    }

    #[test]
    fn resp2_gets_what_it_has_types_for() {
        let map = Frame::Map(vec![(Frame::Simple("k".into()), Frame::Boolean(true))]);
        assert_eq!(encoded(&map, Protocol::Resp3), "%1 +k #t ");
        assert_eq!(encoded(&map, Protocol::Resp2), "*2 +k :1 ");
        assert_eq!(encoded(&Frame::Double(1.5), Protocol::Resp3), ",1.5 ");
        assert_eq!(encoded(&Frame::Double(1.5), Protocol::Resp2), "$3 1.5 ");
        assert_eq!(encoded(&Frame::Null, Protocol::Resp3), "_ ");
        assert_eq!(encoded(&Frame::Null, Protocol::Resp2), "$-1 ");
        assert_eq!(encoded(&Frame::Set(vec![Frame::Null]), Protocol::Resp2), "*1 $-1 ");
        assert_eq!(
            encoded(&Frame::Push(vec![]), Protocol::Resp3),
            ">1 _ ",
            "`>0` would be an error"
        );
    }

    #[test]
    fn line_end_in_a_simple_string_cannot_make_another_frame() {
        let sly = Frame::Error("ERR a\r\n+OK".into());
        assert_eq!(encoded(&sly, Protocol::Resp3), "-ERR a ");
    }
}
