//! A naive reader of requests, as a server reads them.

use resp::{DecodeErrorKind as Kind, Limits};

/// Bytes of a line: a count, or a request typed by hand.
const LINE: usize = 64 << 10;
/// Arguments of one request.
const ARGS: u64 = (1 << 31) - 1;
/// Arguments, and bytes of one, from somebody who has yet to log in.
const RESTRICTED: (u64, u64) = (10, 16 << 10);

/// What the front of some bytes is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no fourth answer")]
pub enum Asked {
    /// The arguments of a request, and how many bytes it took with the empty ones before it.
    Request(Vec<Vec<u8>>, usize),
    /// The beginning of a request, or nothing.
    Incomplete,
    /// No request.
    Lost(Kind),
}

/// Reads one request off the front of `input`, from somebody who has yet to log in or not.
pub fn request(input: &[u8], limits: &Limits, restricted: bool) -> Asked {
    let (mut args, mut limits) = (ARGS, *limits);
    if restricted {
        (args, limits.payload) = (RESTRICTED.0, limits.payload.min(RESTRICTED.1));
    }
    let mut reader = Reader { input, at: 0, args };
    match reader.request(&limits) {
        Ok(args) => Asked::Request(args, reader.at),
        Err(Stop::More) => Asked::Incomplete,
        Err(Stop::Lost(kind)) => Asked::Lost(kind),
    }
}

enum Stop {
    More,
    Lost(Kind),
}

struct Reader<'a> {
    input: &'a [u8],
    at: usize,
    /// The most arguments.
    args: u64,
}

impl<'a> Reader<'a> {
    fn request(&mut self, limits: &Limits) -> Result<Vec<Vec<u8>>, Stop> {
        loop {
            let args = if self.peek()? == b'*' { self.array(limits)? } else { self.inline()? };
            let Some(name) = args.first() else { continue };
            // A browser was made to talk to a server.
            if name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:") {
                return Err(Stop::Lost(Kind::BadRequest));
            }
            return Ok(args);
        }
    }

    fn array(&mut self, limits: &Limits) -> Result<Vec<Vec<u8>>, Stop> {
        let mut args = Vec::new();
        let start = self.at;
        for _ in 0..self.count(true, self.args)? {
            if self.peek()? != b'$' {
                return Err(Stop::Lost(Kind::BadRequest));
            }
            let len = self.count(false, limits.payload)?;
            if ((self.at - start) as u64).saturating_add(len).saturating_add(2) > limits.frame {
                return Err(Stop::Lost(Kind::FrameTooLarge));
            }
            let len = usize::try_from(len).map_err(|_| Stop::More)?;
            let end = self.at.checked_add(len).ok_or(Stop::More)?;
            args.push(self.input.get(self.at..end).ok_or(Stop::More)?.to_vec());
            self.at = end;
            // Whatever these two are: a server does not look.
            self.byte()?;
            self.byte()?;
        }
        Ok(args)
    }

    /// What stands behind the type byte: digits without sign and leading zeros, that fit 64 bits with a sign; a negative number of
    /// arguments is none.
    fn count(&mut self, negative: bool, most: u64) -> Result<u64, Stop> {
        self.byte()?;
        let text = std::str::from_utf8(self.line()?).unwrap_or_default();
        match text.parse::<i64>() {
            Ok(number) if number.to_string() != text => Err(Stop::Lost(Kind::BadLength)),
            Ok(number) if number < 0 && negative => Ok(0),
            Ok(number) => match u64::try_from(number) {
                Ok(number) if number <= most => Ok(number),
                Ok(_) if negative => Err(Stop::Lost(Kind::TooMany)),
                Ok(_) => Err(Stop::Lost(Kind::TooLong)),
                Err(_) => Err(Stop::Lost(Kind::BadLength)),
            },
            Err(_) => Err(Stop::Lost(Kind::BadLength)),
        }
    }

    fn line(&mut self) -> Result<&'a [u8], Stop> {
        let start = self.at;
        loop {
            match self.byte()? {
                b'\r' => break,
                b'\n' => return Err(Stop::Lost(Kind::BareLineEnd)),
                _ if self.at - start > LINE => return Err(Stop::Lost(Kind::TooLong)),
                _ => {}
            }
        }
        if self.byte()? != b'\n' {
            return Err(Stop::Lost(Kind::BareLineEnd));
        }
        Ok(&self.input[start..self.at - 2])
    }

    fn inline(&mut self) -> Result<Vec<Vec<u8>>, Stop> {
        let start = self.at;
        while self.byte()? != b'\n' {
            if self.at - start > LINE {
                return Err(Stop::Lost(Kind::TooLong));
            }
        }
        let line = &self.input[start..self.at - 1];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // A server keeps such a line as a C string.
        if line.contains(&0) {
            return Err(Stop::Lost(Kind::BadRequest));
        }
        words(line).ok_or(Stop::Lost(Kind::BadRequest))
    }

    fn peek(&self) -> Result<u8, Stop> {
        self.input.get(self.at).copied().ok_or(Stop::More)
    }

    fn byte(&mut self) -> Result<u8, Stop> {
        let byte = self.peek()?;
        self.at += 1;
        Ok(byte)
    }
}

/// Splits a line into words, as servers do: a quote may open anywhere in a word, and its end is the word's.
fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut bytes = line.iter().copied().peekable();
    loop {
        while bytes.next_if(|&byte| blank(byte)).is_some() {}
        if bytes.peek().is_none() {
            return Some(words);
        }
        let mut word = Vec::new();
        while let Some(byte) = bytes.next() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => break,
                b'"' | b'\'' => {
                    quoted(byte, &mut bytes, &mut word)?;
                    if bytes.peek().is_some_and(|&byte| !blank(byte)) {
                        return None;
                    }
                    break;
                }
                other => word.push(other),
            }
        }
        words.push(word);
    }
}

fn blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn quoted(
    quote: u8,
    bytes: &mut std::iter::Peekable<impl Iterator<Item = u8> + Clone>,
    word: &mut Vec<u8>,
) -> Option<()> {
    loop {
        let byte = bytes.next()?;
        if byte == quote {
            return Some(());
        }
        if byte != b'\\' {
            word.push(byte);
            continue;
        }
        if quote == b'\'' {
            word.push(if bytes.next_if_eq(&b'\'').is_some() { b'\'' } else { b'\\' });
            continue;
        }
        let mut ahead = bytes.clone();
        let digits = (ahead.next(), ahead.next().and_then(hex), ahead.next().and_then(hex));
        if let (Some(b'x'), Some(high), Some(low)) = digits {
            word.push(high << 4 | low);
            *bytes = ahead;
            continue;
        }
        word.push(match bytes.next() {
            None => b'\\',
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'b') => 8,
            Some(b'a') => 7,
            Some(other) => other,
        });
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
