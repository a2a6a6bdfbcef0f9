//! Commands as clients send them, looked at where they lie: a server that does no work has no use for more.

use std::io::{self, Read};

/// So many words of a command are looked at.
const WORDS: usize = 8;
const ROOM: usize = 256 << 10;
/// More digits are no length that a client sends.
const DIGITS: usize = 9;

/// What has come, and from where on nobody has looked at it.
pub(crate) struct Requests {
    received: Vec<u8>,
    begin: usize,
    end: usize,
}

/// One command.
pub(crate) struct Request<'a> {
    first: [&'a [u8]; WORDS],
    len: usize,
}

impl<'a> Request<'a> {
    /// Its first words, or all of them.
    pub(crate) fn words(&self) -> &[&'a [u8]] {
        &self.first[..self.len.min(WORDS)]
    }
}

impl Requests {
    pub(crate) fn new() -> Self {
        Self { received: vec![0; ROOM], begin: 0, end: 0 }
    }

    /// Waits for more; tells whether more can come.
    ///
    /// # Errors
    ///
    /// If the connection is lost.
    pub(crate) fn read(&mut self, from: &mut impl Read) -> io::Result<bool> {
        self.received.copy_within(self.begin..self.end, 0);
        (self.begin, self.end) = (0, self.end - self.begin);
        if self.end == self.received.len() {
            self.received.resize(2 * self.end, 0);
        }
        let len = from.read(&mut self.received[self.end..])?;
        self.end += len;
        Ok(len > 0)
    }

    /// The next command, if all of it has come.
    ///
    /// # Errors
    ///
    /// If it is not an array of bulk strings.
    pub(crate) fn next(&mut self) -> io::Result<Option<Request<'_>>> {
        let mut rest = &self.received[self.begin..self.end];
        let before = rest.len();
        let Some(request) = request(&mut rest)? else { return Ok(None) };
        self.begin += before - rest.len();
        Ok(Some(request))
    }
}

fn request<'a>(rest: &mut &'a [u8]) -> io::Result<Option<Request<'a>>> {
    let Some(len) = number(b'*', rest)? else { return Ok(None) };
    let mut first = [&b""[..]; WORDS];
    for at in 0..len {
        let Some(bytes) = number(b'$', rest)? else { return Ok(None) };
        let (Some(word), Some(behind)) = (rest.get(..bytes), rest.get(bytes + 2..)) else {
            return Ok(None);
        };
        if let Some(place) = first.get_mut(at) {
            *place = word;
        }
        *rest = behind;
    }
    Ok(Some(Request { first, len }))
}

/// A mark, a number and a line end.
fn number(mark: u8, rest: &mut &[u8]) -> io::Result<Option<usize>> {
    let Some((&found, digits)) = rest.split_first() else { return Ok(None) };
    if found != mark {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut number = 0;
    for (at, &digit) in digits.iter().enumerate() {
        match digit {
            b'0'..=b'9' if at < DIGITS => number = 10 * number + usize::from(digit - b'0'),
            b'\r' => {
                let Some(behind) = digits.get(at + 2..) else { break };
                *rest = behind;
                return Ok(Some(number));
            }
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
    Ok(None)
}
