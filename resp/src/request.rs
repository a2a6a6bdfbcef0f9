//! Requests, as a server reads them, with a server's strictness.

use crate::DecodeErrorKind as Kind;
use crate::line::{Fault, Line};
use crate::{DecodeError, Limits};
use bytes::{Buf as _, Bytes, BytesMut};

/// The longest line: an inline request, or a count.
const MAX_LINE: u64 = 64 << 10;
/// The most arguments of one request.
const MAX_ARGS: u64 = (1 << 31) - 1;

/// Turns the bytes that a client sends into requests.
#[derive(Debug)]
pub struct RequestDecoder {
    limits: Limits,
    line: Line,
    args: Vec<Bytes>,
    /// Arguments to come.
    left: u64,
    /// Length of the argument that is coming.
    payload: Option<usize>,
    consumed: u64,
    poison: Option<DecodeError>,
}

impl RequestDecoder {
    /// A decoder at the start of a request.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            line: Line::default(),
            args: Vec::new(),
            left: 0,
            payload: None,
            consumed: 0,
            poison: None,
        }
    }

    /// Takes the next request, which has at least one argument, off the front of `input`; `None` asks for more bytes behind it.
    ///
    /// Arrays of bulk strings and inline requests are read; empty ones are skipped, as servers do.
    ///
    /// # Errors
    ///
    /// If it is no request. That is final: every later call gives the same error.
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Vec<Bytes>>, DecodeError> {
        if let Some(poison) = self.poison {
            return Err(poison);
        }
        self.run(input).map_err(|(kind, offset)| {
            let error = DecodeError::new(kind, self.consumed + offset as u64);
            self.poison = Some(error);
            error
        })
    }

    fn run(&mut self, input: &mut BytesMut) -> Result<Option<Vec<Bytes>>, Fault> {
        loop {
            let moved = if self.left > 0 { self.argument(input)? } else { self.begin(input)? };
            if !moved {
                return Ok(None);
            }
            if self.left == 0 && !self.args.is_empty() {
                self.consumed = 0;
                return Ok(Some(std::mem::take(&mut self.args)));
            }
        }
    }

    /// The first line of a request; tells whether there was one.
    fn begin(&mut self, input: &mut BytesMut) -> Result<bool, Fault> {
        match input.first() {
            None => Ok(false),
            Some(b'*') => {
                let Some(count) = self.count(input, MAX_ARGS)? else { return Ok(false) };
                self.left = count;
                Ok(true)
            }
            Some(_) => self.inline(input),
        }
    }

    fn argument(&mut self, input: &mut BytesMut) -> Result<bool, Fault> {
        let len = match self.payload {
            Some(len) => len,
            None => {
                match input.first() {
                    None => return Ok(false),
                    Some(b'$') => {}
                    Some(_) => return Err((Kind::BadRequest, 0)),
                }
                let Some(len) = self.count(input, self.limits.payload)? else { return Ok(false) };
                usize::try_from(len).map_err(|_| (Kind::TooLong, 0))?
            }
        };
        // A server does not look at the two bytes behind an argument, and neither do we.
        if input.len() < len + 2 {
            self.payload = Some(len);
            return Ok(false);
        }
        self.payload = None;
        self.args.push(input.split_to(len).freeze());
        input.advance(2);
        self.consumed += len as u64 + 2;
        self.left -= 1;
        Ok(true)
    }

    /// A count behind its type byte: digits without sign and leading zeros. A negative number of arguments counts as none.
    fn count(&mut self, input: &mut BytesMut, max: u64) -> Result<Option<u64>, Fault> {
        let rest = input.get(1..).unwrap_or_default();
        let found = self.line.text(rest, MAX_LINE).map_err(|(kind, at)| (kind, at + 1))?;
        let Some(len) = found else { return Ok(None) };
        let text = rest.get(..len).unwrap_or_default();
        let many = input.first() == Some(&b'*');
        let count = match text {
            [b'-', digits @ ..] if many && plain(digits) => 0,
            [b'0', _, ..] => return Err((Kind::BadLength, 1)),
            digits if plain(digits) => std::str::from_utf8(digits)
                .ok()
                .and_then(|digits| digits.parse().ok())
                .filter(|&count| count <= max)
                .ok_or((if many { Kind::TooMany } else { Kind::TooLong }, 1))?,
            _ => return Err((Kind::BadLength, 1)),
        };
        input.advance(len + 3);
        self.consumed += len as u64 + 3;
        Ok(Some(count))
    }

    /// A request typed by hand: words, quoted where they have blanks. An LF alone ends it.
    fn inline(&mut self, input: &mut BytesMut) -> Result<bool, Fault> {
        let from = self.line.resume();
        let fresh = input.get(from..).unwrap_or_default();
        let Some(found) = memchr::memchr(b'\n', fresh) else {
            self.line.pause(input.len());
            let over = input.len() as u64 > MAX_LINE;
            return if over { Err((Kind::TooLong, input.len())) } else { Ok(false) };
        };
        self.line.pause(0);
        let end = from + found;
        let line = input.split_to(end + 1);
        self.consumed += line.len() as u64;
        let text = line.get(..end).unwrap_or_default();
        self.args = words(text.strip_suffix(b"\r").unwrap_or(text)).ok_or((Kind::BadRequest, 0))?;
        // A browser that is made to talk to a server sends this: whoever it works for is not to get through.
        if self
            .args
            .first()
            .is_some_and(|word| word.as_ref() == b"POST" || word.as_ref() == b"Host:")
        {
            return Err((Kind::BadRequest, 0));
        }
        Ok(true)
    }
}

fn plain(digits: &[u8]) -> bool {
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

/// Splits a line into words; `None` if a quote is not closed, or not followed by a blank.
fn words(line: &[u8]) -> Option<Vec<Bytes>> {
    let mut words = Vec::new();
    let mut rest = line.trim_ascii_start();
    while let Some(&first) = rest.first() {
        let (word, after) = match first {
            b'"' => double_quoted(rest.get(1..)?)?,
            b'\'' => single_quoted(rest.get(1..)?)?,
            _ => {
                let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
                (rest.get(..end)?.to_vec(), rest.get(end..)?)
            }
        };
        if after.first().is_some_and(|byte| !byte.is_ascii_whitespace()) {
            return None;
        }
        words.push(word.into());
        rest = after.trim_ascii_start();
    }
    Some(words)
}

fn double_quoted(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    loop {
        let (byte, after) = match rest {
            [b'"', after @ ..] => return Some((word, after)),
            [b'\\', b'x', high, low, after @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                (hex(*high) << 4 | hex(*low), after)
            }
            [b'\\', escaped, after @ ..] => {
                let byte = match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                };
                (byte, after)
            }
            [byte, after @ ..] => (*byte, after),
            [] => return None,
        };
        word.push(byte);
        rest = after;
    }
}

fn single_quoted(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    loop {
        let (byte, after) = match rest {
            [b'\'', after @ ..] => return Some((word, after)),
            [b'\\', b'\'', after @ ..] => (b'\'', after),
            [byte, after @ ..] => (*byte, after),
            [] => return None,
        };
        word.push(byte);
        rest = after;
    }
}

fn hex(digit: u8) -> u8 {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).unwrap_or_default()
}
