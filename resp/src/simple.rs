//! The short way: values of the common types that are whole and in order.
//!
//! What is anything else is left alone, for the long way round to find out. So is everything where a limit is so low that what
//! has arrived might reach it, and nothing here has to look at limits.

use crate::input::Input;
use crate::line::{more_digits, plain_integer};
use crate::slots::{put, put_short};
use crate::str::{INLINE, Str};
use crate::value::Rules;
use crate::work::look;
use crate::{Frame, Protocol};
use memchr::memchr2;

/// What is at the front of the input.
pub(crate) enum Found {
    /// A value of so many bytes that refers to no input. It was written.
    Short(usize),
    /// A bulk string that is not short: the bytes of its header, and its own.
    Long(usize, usize),
}

/// Why reading short values came to an end.
pub(crate) enum Stop {
    /// No place waits any more.
    Full,
    /// A bulk string that is not short comes next: the bytes of its header, and its own.
    Long(usize, usize),
    /// Something else comes next, or what comes is not all there.
    Other,
}

impl Stop {
    fn at(found: Option<Found>) -> Self {
        match found {
            Some(Found::Long(header, len)) => Self::Long(header, len),
            _ => Self::Other,
        }
    }
}

impl Rules {
    /// Whether what has arrived is below every limit.
    #[inline]
    pub(crate) fn is_ample(&self, arrived: usize, position: u64) -> bool {
        let arrived = arrived as u64;
        arrived <= self.limits.payload && arrived <= self.limits.frame.saturating_sub(position)
    }

    /// Finds a value of a common type that is whole. A short one is written to `place`, which waits.
    #[inline(always)] // the loops around it are the hottest there are
    pub(crate) fn find(&self, rest: &[u8], place: &mut Frame) -> Option<Found> {
        let (&kind, line) = rest.split_first()?;
        look(1);
        let size = match kind {
            b'$' => {
                let Some((header, len)) = bulk_header(line) else {
                    if !line.starts_with(b"-1\r\n") {
                        return None;
                    }
                    put(place, Frame::Null);
                    return Some(Found::Short(5));
                };
                let string = line.get(header..)?;
                if !is_ended(string.get(len..)?) {
                    return None;
                }
                if len > INLINE {
                    return Some(Found::Long(1 + header, len));
                }
                look(len);
                put_short(place, string, len);
                1 + header + len + 2
            }
            b':' => {
                let (number, len) = plain_integer(line)?;
                put(place, Frame::Integer(number));
                1 + len
            }
            b'+' if line.starts_with(b"OK\r\n") => {
                look(4);
                put(place, Frame::Simple(Str::OK));
                5
            }
            b'_' if line.starts_with(b"\r\n") && self.protocol == Protocol::Resp3 => {
                look(2);
                put(place, Frame::Null);
                3
            }
            _ => return None,
        };
        Some(Found::Short(size))
    }

    /// Reads short values to places that wait, as many as there are; tells how many, and why no more.
    pub(crate) fn shorts(&self, input: &mut Input<'_>, places: &mut [Frame]) -> (usize, Stop) {
        let (mut tail, mut count, mut stop) = (input.rest(), 0, Stop::Full);
        let arrived = tail.len();
        for place in places {
            match self.find(tail, place) {
                Some(Found::Short(size)) => tail = tail.get(size..).unwrap_or_default(),
                found => {
                    stop = Stop::at(found);
                    break;
                }
            }
            count += 1;
        }
        let read = arrived - tail.len();
        input.skip(read);
        (count, stop)
    }

    /// As [`Rules::shorts`], by pairs; the last key may be without its value.
    pub(crate) fn short_pairs(
        &self,
        input: &mut Input<'_>,
        places: &mut [(Frame, Frame)],
    ) -> (usize, Stop) {
        let (mut tail, mut count, mut stop) = (input.rest(), 0, Stop::Full);
        let arrived = tail.len();
        for (key, value) in places {
            match self.find(tail, key) {
                Some(Found::Short(size)) => tail = tail.get(size..).unwrap_or_default(),
                found => {
                    stop = Stop::at(found);
                    break;
                }
            }
            count += 1;
            match self.find(tail, value) {
                Some(Found::Short(size)) => tail = tail.get(size..).unwrap_or_default(),
                found => {
                    stop = Stop::at(found);
                    break;
                }
            }
            count += 1;
        }
        let read = arrived - tail.len();
        input.skip(read);
        (count, stop)
    }

    /// The length of a simple string or error at the front of the input that is whole.
    pub(crate) fn text(&self, rest: &[u8]) -> Option<usize> {
        let [b'+' | b'-', line @ ..] = rest else { return None };
        let found = memchr2(b'\r', b'\n', line);
        look(1 + found.unwrap_or(line.len()));
        found.filter(|&len| line.get(len..).is_some_and(is_ended))
    }
}

#[inline]
fn is_ended(behind: &[u8]) -> bool {
    look(2);
    behind.starts_with(b"\r\n")
}

/// How long the header of a bulk string is, behind its type byte, and the string; `None` where it is unusual, or not all there.
#[inline(always)]
fn bulk_header(line: &[u8]) -> Option<(usize, usize)> {
    // The shortest is 0, and twice CR LF.
    let &[a, b, c, d, e] = line.first_chunk()?;
    let digit = |byte: u8| usize::from(byte.wrapping_sub(b'0'));
    let (first, second, third) = (digit(a), digit(b), digit(c));
    look(1);
    if first > 9 {
        return None;
    }
    look(2);
    if (b, c) == (b'\r', b'\n') {
        return Some((3, first));
    }
    if second > 9 {
        return None;
    }
    look(1);
    if (c, d) == (b'\r', b'\n') {
        return Some((4, 10 * first + second));
    }
    if third > 9 {
        return None;
    }
    let number = 100 * first + 10 * second + third;
    if (d, e) == (b'\r', b'\n') {
        look(1);
        return Some((5, number));
    }
    long_header(line, number)
}

/// A header of four digits and more.
#[inline(never)]
fn long_header(line: &[u8], number: usize) -> Option<(usize, usize)> {
    let (len, header) = more_digits(line, 3, number as u64, 15)?;
    Some((header, usize::try_from(len).ok()?))
}
