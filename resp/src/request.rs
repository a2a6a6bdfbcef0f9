//! Requests, as a server reads them, with a server's strictness.

use crate::DecodeErrorKind as Kind;
use crate::inline::words;
use crate::input::{Input, Segment};
use crate::line::{Ceiling, Fault, Line};
use crate::work::look;
use crate::{DecodeError, Limits};
use bytes::{Bytes, BytesMut};

/// The longest line: an inline request, or a count.
const MAX_LINE: u64 = 64 << 10;
/// The most arguments of one request.
const MAX_ARGS: u64 = (1 << 31) - 1;
/// The most arguments from somebody who has not logged in, and the longest.
const STRANGERS_ARGS: u64 = 10;
const STRANGERS_PAYLOAD: u64 = 16 << 10;

/// Turns the bytes that a client sends into requests.
#[derive(Debug)]
pub struct RequestDecoder {
    limits: Limits,
    restricted: bool,
    line: Line,
    args: Vec<Bytes>,
    /// Arguments to come.
    left: u64,
    /// Length of the argument that is coming.
    payload: Option<usize>,
    /// Bytes of the request that were taken off the input.
    consumed: u64,
    /// How long the input was when more was asked for.
    seen: usize,
    poison: Option<DecodeError>,
    segment: Segment,
}

impl RequestDecoder {
    /// A decoder at the start of a request. Of the limits, those of one argument and of the whole request count; a request has at
    /// most 2³¹ − 1 arguments.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            restricted: false,
            line: Line::default(),
            args: Vec::new(),
            left: 0,
            payload: None,
            consumed: 0,
            seen: 0,
            poison: None,
            segment: Segment::default(),
        }
    }

    /// From the next header on, no more than ten arguments of 16 KiB each: what a server reads from somebody who has yet to log in.
    pub fn restrict(&mut self) {
        self.restricted = true;
    }

    /// The client has logged in: takes [`RequestDecoder::restrict`] back.
    pub fn trust(&mut self) {
        self.restricted = false;
    }

    /// Takes the next request, which has at least one argument, off the front of `input`; `None` asks for more bytes behind it.
    ///
    /// Arrays of bulk strings and inline requests are read; empty ones are skipped, as servers do. The two bytes behind an argument
    /// are not looked at, as servers do not. Arguments share the memory of `input` as [`Decoder::decode`](crate::Decoder::decode)
    /// says.
    ///
    /// # Errors
    ///
    /// If it is no request. That is final: every later call gives the same error.
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Vec<Bytes>>, DecodeError> {
        if let Some(poison) = self.poison {
            return Err(poison);
        }
        if input.len() == self.seen {
            return Ok(None);
        }
        let mut reading = Input::new(input, 0, self.consumed, &mut self.segment);
        let result = self.run(&mut reading);
        let position = reading.finish();
        match result {
            Ok(None) => {
                (self.consumed, self.seen) = (position, input.len());
                Ok(None)
            }
            Ok(request) => {
                (self.consumed, self.seen) = (0, 0);
                Ok(request)
            }
            Err((kind, offset)) => {
                let error = DecodeError::new(kind, position + offset as u64);
                self.poison = Some(error);
                Err(error)
            }
        }
    }

    fn run(&mut self, input: &mut Input<'_>) -> Result<Option<Vec<Bytes>>, Fault> {
        loop {
            let moved = if self.left > 0 { self.argument(input)? } else { self.begin(input)? };
            if !moved {
                return Ok(None);
            }
            if self.left > 0 {
                continue;
            }
            if self.args.is_empty() {
                input.forget();
                continue;
            }
            // A browser that is made to talk to a server sends this: whoever it works for is not to get through.
            let name = self.args.first().map(Bytes::as_ref).unwrap_or_default();
            if name.eq_ignore_ascii_case(b"POST") || name.eq_ignore_ascii_case(b"Host:") {
                return Err((Kind::BadRequest, 0));
            }
            return Ok(Some(std::mem::take(&mut self.args)));
        }
    }

    /// The first line of a request; tells whether there was one.
    fn begin(&mut self, input: &mut Input<'_>) -> Result<bool, Fault> {
        let Some(&kind) = input.rest().first() else { return Ok(false) };
        look(1);
        if kind != b'*' {
            return self.inline(input);
        }
        let max = if self.restricted { STRANGERS_ARGS } else { MAX_ARGS };
        let limit = Ceiling { max, fault: Kind::TooMany };
        let Some(count) = self.count(limit, input)? else { return Ok(false) };
        self.left = count;
        Ok(true)
    }

    fn argument(&mut self, input: &mut Input<'_>) -> Result<bool, Fault> {
        let len = match self.payload {
            Some(len) => len,
            None => {
                let Some(&kind) = input.rest().first() else { return Ok(false) };
                look(1);
                if kind != b'$' {
                    return Err((Kind::BadRequest, 0));
                }
                let max = if self.restricted { STRANGERS_PAYLOAD } else { u64::MAX };
                let limit = Ceiling { max: self.limits.payload.min(max), fault: Kind::TooLong };
                let Some(len) = self.count(limit, input)? else { return Ok(false) };
                if input.position().saturating_add(len).saturating_add(2) > self.limits.frame {
                    return Err((Kind::FrameTooLarge, 0));
                }
                let len = usize::try_from(len).map_err(|_| (Kind::TooLong, 0))?;
                self.payload = Some(len);
                len
            }
        };
        if input.rest().len() < len.saturating_add(2) {
            return Ok(false);
        }
        self.payload = None;
        self.args.push(input.bytes(0, len));
        self.left -= 1;
        Ok(true)
    }

    /// A count behind its type byte: digits without leading zeros. A negative number of arguments counts as none.
    fn count(&mut self, limit: Ceiling, input: &mut Input<'_>) -> Result<Option<u64>, Fault> {
        let many = limit.fault == Kind::TooMany;
        let rest = input.rest().get(1..).unwrap_or_default();
        let line = Ceiling { max: MAX_LINE, fault: Kind::TooLong };
        let found = self.line.text(rest, line).map_err(|(kind, at)| (kind, at + 1))?;
        let Some(len) = found else { return Ok(None) };
        let text = rest.get(..len).unwrap_or_default();
        look(len);
        let count = match text {
            b"0" => 0,
            [b'-', digits @ ..] if many => {
                let size = parsed(digits).filter(|&size| size <= i64::MIN.unsigned_abs());
                size.map(|_| 0).ok_or((Kind::BadLength, 1))?
            }
            digits => {
                let size = parsed(digits).filter(|&size| size <= i64::MAX.unsigned_abs());
                size.ok_or((Kind::BadLength, 1))?
            }
        };
        if count > limit.max {
            return Err((limit.fault, 1));
        }
        input.skip(len + 3);
        Ok(Some(count))
    }

    /// A request typed by hand. An LF alone ends it.
    fn inline(&mut self, input: &mut Input<'_>) -> Result<bool, Fault> {
        let rest = input.rest();
        let from = self.line.resume();
        let fresh = rest.get(from..).unwrap_or_default();
        let found = memchr::memchr(b'\n', fresh);
        let end = found.map_or(rest.len(), |found| from + found);
        look(fresh.len().min(end - from + 1));
        if end as u64 > MAX_LINE {
            return Err((Kind::TooLong, usize::try_from(MAX_LINE).unwrap_or(end)));
        }
        if found.is_none() {
            self.line.pause(end);
            return Ok(false);
        }
        self.line.pause(0);
        let text = rest.get(..end).unwrap_or_default();
        look(end);
        self.args = words(text.strip_suffix(b"\r").unwrap_or(text)).ok_or((Kind::BadRequest, 0))?;
        input.skip(end + 1);
        Ok(true)
    }
}

/// A positive number in plain digits, without zeros in front.
fn parsed(digits: &[u8]) -> Option<u64> {
    match digits {
        [b'1'..=b'9', ..] => {}
        [b'0', ..] if defect!(40) => {}
        _ => return None,
    }
    let mut number: u64 = 0;
    for &byte in digits {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number = number.checked_mul(10)?.checked_add(digit)?;
    }
    Some(number)
}
