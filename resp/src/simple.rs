//! The short way: values of the common types that are whole and in order.
//!
//! What is anything else is left alone, for the long way round to find out. Strings that follow each other are found first and
//! then cut from one piece of the input, because cutting the input costs more than cutting the piece.

use crate::input::{Input, Segment};
use crate::line::{more_digits, plain_integer};
use crate::value::{Rules, status, textual};
use crate::work::look;
use crate::{Frame, Protocol};
use bytes::{Buf as _, Bytes, BytesMut};
use memchr::memchr2;

/// The most strings that are cut from one piece.
const RUN: usize = 64;

/// Strings that follow each other: where each begins and how long it is.
#[derive(Debug, Default)]
pub(crate) struct Run {
    strings: Vec<(usize, usize)>,
    /// Where the last one ends.
    end: usize,
}

impl Rules {
    /// Takes the most frequent answer to a command that changes something off the input, if it is there.
    #[inline]
    pub(crate) fn take_ok(&self, input: &mut BytesMut) -> bool {
        let found = input.starts_with(b"+OK\r\n") && self.limits.frame >= 5;
        if found {
            look(5);
            input.advance(5);
        }
        found
    }

    /// Takes a top-level value off the input.
    #[inline]
    pub(crate) fn whole(&self, input: &mut BytesMut, segment: &mut Segment) -> Option<Frame> {
        match input.first()? {
            b':' => {
                look(1);
                let (number, size) = plain_integer(input.get(1..)?)?;
                if !self.fits(0, size + 1) {
                    return None;
                }
                input.advance(size + 1);
                Some(Frame::Integer(number))
            }
            b'$' => match bulk_header(input) {
                Some((header, len)) => {
                    self.whole_string(header, len, input, segment).map(Frame::Bulk)
                }
                None => self.whole_scalar(input),
            },
            b'+' | b'-' => self.whole_text(input, segment),
            _ => self.whole_scalar(input),
        }
    }

    fn whole_scalar(&self, input: &mut BytesMut) -> Option<Frame> {
        let (frame, size) = self.scalar(input)?;
        if !self.fits(0, size) {
            return None;
        }
        input.advance(size);
        Some(frame)
    }

    fn whole_text(&self, input: &mut BytesMut, segment: &mut Segment) -> Option<Frame> {
        let (&kind, line) = input.split_first()?;
        let found = memchr2(b'\r', b'\n', line);
        look(1 + found.unwrap_or(line.len()));
        let len = found?;
        if kind == b'+' && self.fits(len, len + 3) {
            let shared = line.get(..len).and_then(status);
            if let Some(shared) = shared.filter(|_| line.get(len..).is_some_and(is_ended)) {
                input.advance(len + 3);
                return Some(shared);
            }
        }
        self.whole_string(1, len, input, segment).map(|text| textual(kind, text))
    }

    /// A string behind its header, and CR LF behind it; nothing if that is not so, or it is not to be sliced.
    #[inline]
    fn whole_string(
        &self,
        header: usize,
        len: usize,
        input: &mut BytesMut,
        segment: &mut Segment,
    ) -> Option<Bytes> {
        let end = header + len;
        let sliced = input.get(end..).is_some_and(is_ended)
            && self.fits(len, end + 2)
            && len > 0
            && !segment.is_large(input);
        if !sliced {
            return None;
        }
        let mut piece = input.split_to(end + 2);
        piece.truncate(end);
        let mut string = piece.freeze();
        string.advance(header);
        Some(string)
    }

    /// Whether a string may be so long, and a frame.
    #[inline]
    fn fits(&self, string: usize, frame: usize) -> bool {
        string as u64 <= self.limits.payload && frame as u64 <= self.limits.frame
    }

    /// Finds the bulk strings that come next, so many at most; tells whether there are any.
    #[inline]
    pub(crate) fn find(&self, run: &mut Run, input: &Input<'_>, at_most: u64) -> bool {
        run.strings.clear();
        let rest = input.rest();
        let arrived = rest.len() as u64;
        // Ordinary input is not even as long as a string or a frame may be, unless that is very little.
        if rest.first() != Some(&b'$')
            || !input.is_ordinary()
            || arrived > self.limits.payload
            || arrived > self.budget(input)
        {
            return false;
        }
        run.strings.reserve(RUN);
        let (mut tail, mut at) = (rest, 0);
        for _ in 0..usize::try_from(at_most).unwrap_or(RUN).min(RUN) {
            let Some((header, len)) = bulk_header(tail) else { break };
            let Some([b'\r', b'\n', next @ ..]) = tail.get(header + len..) else { break };
            look(2);
            run.strings.push((at + header, len));
            run.end = at + header + len;
            at = run.end + 2;
            tail = next;
        }
        !run.strings.is_empty()
    }

    /// A value that refers to no input, and its size.
    #[inline]
    pub(crate) fn scalar(&self, rest: &[u8]) -> Option<(Frame, usize)> {
        let (&kind, line) = rest.split_first()?;
        look(1);
        match kind {
            b':' => plain_integer(line).map(|(number, len)| (Frame::Integer(number), 1 + len)),
            b'+' if line.starts_with(b"OK\r\n") => status(b"OK").map(|ok| (ok, 5)),
            b'$' if line.starts_with(b"-1\r\n") => Some((Frame::Null, 5)),
            b'_' if line.starts_with(b"\r\n") && self.protocol == Protocol::Resp3 => {
                Some((Frame::Null, 3))
            }
            _ => None,
        }
    }

    /// Reads a value that refers to no input.
    #[inline]
    pub(crate) fn next_scalar(&self, input: &mut Input<'_>) -> Option<Frame> {
        let (frame, size) = self.scalar(input.rest())?;
        if size as u64 > self.budget(input) {
            return None;
        }
        input.skip(size);
        Some(frame)
    }
}

impl Run {
    /// How many strings there are.
    #[inline]
    pub(crate) fn len(&self) -> u64 {
        self.strings.len() as u64
    }

    /// Cuts the strings from the input.
    #[inline]
    pub(crate) fn cut(&self, input: &mut Input<'_>) -> impl Iterator<Item = Frame> {
        let piece = input.piece(self.end);
        self.strings.iter().map(move |&(at, len)| Frame::Bulk(piece.slice(at..at + len)))
    }
}

#[inline]
fn is_ended(behind: &[u8]) -> bool {
    look(2);
    behind.starts_with(b"\r\n")
}

/// How long the header of a bulk string is, and the string; `None` where it is unusual, or not all there.
#[inline]
fn bulk_header(rest: &[u8]) -> Option<(usize, usize)> {
    // The shortest is `$0`, and twice CR LF.
    let &[kind, a, b, c, d, e] = rest.first_chunk()?;
    let digit = |byte: u8| usize::from(byte.wrapping_sub(b'0'));
    let (first, second, third) = (digit(a), digit(b), digit(c));
    if kind != b'$' || first > 9 {
        look(2);
        return None;
    }
    if (b, c) == (b'\r', b'\n') {
        look(4);
        return Some((4, first));
    }
    if (c, d) == (b'\r', b'\n') && second <= 9 {
        look(5);
        return Some((5, 10 * first + second));
    }
    if second > 9 || third > 9 {
        look(4);
        return None;
    }
    let number = 100 * first + 10 * second + third;
    if (d, e) == (b'\r', b'\n') {
        look(6);
        return Some((6, number));
    }
    look(4);
    let (len, header) = more_digits(rest, 4, number as u64)?;
    Some((header, usize::try_from(len).ok()?))
}
