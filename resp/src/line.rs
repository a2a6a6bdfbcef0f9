//! Lines of a frame: how far an unfinished one has been looked at, so that one that arrives byte by byte is read once.
//!
//! Every function is given what follows the type byte, and answers `None` while the line is incomplete. Offsets in faults count
//! from there, and name the first byte that proves the fault, so that they are the same however the bytes arrive.

use crate::DecodeErrorKind as Kind;
use crate::work::look;
use memchr::memchr2;

/// The longest line that holds a count, an integer, a boolean or a null.
pub(crate) const MAX_SHORT: usize = 32;

/// No length or count reaches 2⁶³ − 2, whatever the limits say.
pub(crate) const MAX_COUNT: u64 = (1 << 63) - 3;

/// What is wrong, and at which byte.
pub(crate) type Fault = (Kind, usize);

/// A ceiling, and what is wrong with what goes beyond it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ceiling {
    pub(crate) max: u64,
    pub(crate) fault: Kind,
}

/// What a length line may say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowed {
    pub(crate) ceiling: Ceiling,
    pub(crate) zero: bool,
    pub(crate) null: bool,
    pub(crate) stream: bool,
    /// Nobody has tried to read it as a plain number before: a string has been tried the short way.
    pub(crate) fresh: bool,
}

/// What a length line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    Of(u64),
    /// `-1`
    Null,
    /// `?`
    Stream,
}

/// How far the current line has been looked at.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Line {
    at: usize,
    shape: Shape,
    value: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Shape {
    #[default]
    Start,
    Digits,
    Minus,
    Null,
    Stream,
    /// Behind the CR.
    Ended(Count),
}

impl Line {
    /// The length of a line of text, without its CR LF.
    pub(crate) fn text(&mut self, rest: &[u8], limit: Ceiling) -> Result<Option<usize>, Fault> {
        let fresh = rest.get(self.at..).unwrap_or_default();
        let found = memchr2(b'\r', b'\n', fresh);
        let end = found.map_or(rest.len(), |found| self.at + found);
        look((end + 2).min(rest.len()) - self.at);
        if end as u64 > limit.max && !defect!(4) {
            return Err((limit.fault, usize::try_from(limit.max).unwrap_or(end)));
        }
        match (rest.get(end), rest.get(end + 1)) {
            (None, _) | (Some(b'\r'), None) => {
                self.at = defect!(3, 0, end);
                Ok(None)
            }
            (Some(b'\r'), Some(&next)) if next == b'\n' || defect!(1) => {
                *self = Self::default();
                Ok(Some(end))
            }
            #[cfg(resp_defects)]
            (Some(b'\n'), Some(_)) if defect!(2) => {
                *self = Self::default();
                Ok(Some(end.saturating_sub(1)))
            }
            (Some(b'\r'), Some(_)) => Err((Kind::BareLineEnd, end + 1)),
            _ => Err((Kind::BareLineEnd, end)),
        }
    }

    /// How many bytes of an unfinished line were looked at, for a caller that looks by itself.
    pub(crate) fn resume(&self) -> usize {
        self.at
    }

    pub(crate) fn pause(&mut self, at: usize) {
        self.at = at;
    }

    /// A length, and the bytes of its line with CR LF.
    pub(crate) fn count(
        &mut self,
        rest: &[u8],
        allowed: Allowed,
    ) -> Result<Option<(Count, usize)>, Fault> {
        if self.at == 0 && allowed.fresh {
            // Nearly always the line is there, and short.
            if let Some((number, len)) = plain_number(rest, 0) {
                if number <= allowed.ceiling.max && (number > 0 || allowed.zero) {
                    return Ok(Some((Count::Of(number), len)));
                }
            }
        }
        while let Some(&byte) = rest.get(self.at) {
            look(1);
            if let Some(count) = self.next(byte, allowed).map_err(|kind| (kind, self.at))? {
                let len = self.at + 1;
                *self = Self::default();
                return Ok(Some((count, len)));
            }
            self.at += 1;
        }
        Ok(None)
    }

    /// One more byte of a length line; the count at its LF.
    fn next(&mut self, byte: u8, allowed: Allowed) -> Result<Option<Count>, Kind> {
        self.shape = match (self.shape, byte) {
            (Shape::Digits, b'0'..=b'9') if self.at == MAX_SHORT && !defect!(8) => {
                return Err(Kind::TooLong);
            }
            (Shape::Start | Shape::Digits, b'0'..=b'9') => {
                let digit = u64::from(byte - b'0');
                let value = self.value.checked_mul(10).and_then(|value| value.checked_add(digit));
                let max = allowed.ceiling.max.min(MAX_COUNT);
                let value = value.filter(|&value| value <= max || defect!(7));
                let value = value.ok_or(allowed.ceiling.fault)?;
                self.value = defect!(7, value & 0xffff_ffff, value);
                Shape::Digits
            }
            (Shape::Start, b'+') if defect!(6) => Shape::Start,
            (Shape::Start, b'-') if allowed.null || defect!(9) => Shape::Minus,
            (Shape::Minus, b'1') => Shape::Null,
            (Shape::Minus, b'2') if defect!(5) => Shape::Null,
            (Shape::Start, b'?') if allowed.stream || defect!(10) => Shape::Stream,
            (Shape::Digits, b'\r') if self.value == 0 && !allowed.zero && !defect!(11) => {
                return Err(Kind::BadPush);
            }
            (Shape::Digits, b'\r') => Shape::Ended(Count::Of(self.value)),
            (Shape::Null, b'\r') => Shape::Ended(Count::Null),
            (Shape::Stream, b'\r') => Shape::Ended(Count::Stream),
            (Shape::Ended(count), b'\n') => return Ok(Some(count)),
            (Shape::Ended(_), _) | (_, b'\n') => return Err(Kind::BareLineEnd),
            _ => return Err(Kind::BadLength),
        };
        Ok(None)
    }

    /// A line with nothing in it: the bytes of its CR LF.
    pub(crate) fn nothing(&mut self, rest: &[u8], other: Kind) -> Result<Option<usize>, Fault> {
        while let Some(&byte) = rest.get(self.at) {
            look(1);
            match (self.at, byte) {
                (0, b'\r') => self.at = 1,
                (1, b'\n') => {
                    *self = Self::default();
                    return Ok(Some(2));
                }
                (0, b'\n') | (1, _) => return Err((Kind::BareLineEnd, self.at)),
                _ => return Err((other, self.at)),
            }
        }
        Ok(None)
    }
}

/// A short integer in a line that is whole, and the bytes of that line with CR LF; `None` where [`Line::text`] has to look.
#[inline(always)]
pub(crate) fn plain_integer(rest: &[u8]) -> Option<(i64, usize)> {
    const CRLF: u64 = u16::from_le_bytes(*b"\r\n") as u64;
    let Some(word) = rest.first_chunk() else {
        // The last of what has arrived, as all that a lone command is answered.
        return match *rest {
            [only @ b'0'..=b'9', b'\r', b'\n'] => {
                look(3);
                Some((i64::from(only - b'0'), 3))
            }
            _ => other_integer(rest, 0, 0),
        };
    };
    let word = u64::from_le_bytes(*word);
    let only = word as u8 ^ b'0';
    if (word >> 8) & 0xffff == CRLF && only <= 9 {
        look(3); // yes, no, or how many of few
        return Some((i64::from(only), 3));
    }
    let count = leading_digits(word);
    if count == 0 {
        return other_integer(rest, 0, 0);
    }
    let number = joined(word, count);
    // With six digits, CR LF are the end of the word.
    if count > 6 {
        return other_integer(rest, count, number);
    }
    look(count + 2);
    ((word >> (8 * count)) & 0xffff == CRLF).then_some((number as i64, count + 2))
}

/// How many bytes of a word are digits before one is none, the lowest first.
#[inline(always)]
fn leading_digits(word: u64) -> usize {
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    let digits = word ^ (EACH * b'0' as u64);
    // The high bit of each byte that is no digit; above the first of them it may be wrong.
    let others = (digits.wrapping_add(EACH * (0x7f - 9)) | digits) & (EACH << 7);
    others.trailing_zeros() as usize / 8
}

/// The number that the first `count` bytes of a word are, one at least: put together by twos, by fours and by eights, as if zeros
/// were in front.
#[inline(always)]
fn joined(word: u64, count: usize) -> u64 {
    let padded = (word & u64::from_le_bytes([0x0f; 8])) << (64 - 8 * count);
    let digits = defect!(44, padded.swap_bytes(), padded);
    let twos = (digits.wrapping_mul(10) + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (twos.wrapping_mul(100) + (twos >> 16)) & 0x0000_ffff_0000_ffff;
    (fours.wrapping_mul(10_000) + (fours >> 32)) & 0xffff_ffff
}

/// An integer of at most 18 digits, the first `count` of which have come to `number`: with a sign, or a line that is shorter or
/// longer than most.
#[inline(never)]
fn other_integer(rest: &[u8], count: usize, number: u64) -> Option<(i64, usize)> {
    look(count);
    let negative = count == 0 && rest.first() == Some(&b'-');
    let (number, len) = match count {
        0 => plain_number(rest, usize::from(negative))?,
        _ => more_digits(rest, count, number, 18 - count)?,
    };
    let number = i64::try_from(number).ok()?; // always: it has 18 digits at most
    Some((if negative { -number } else { number }, len))
}

/// The number that begins at `from`, of at most 18 digits, and where its line ends, behind CR LF; `None` where the line is
/// anything else, or not whole.
#[inline(always)]
pub(crate) fn plain_number(rest: &[u8], from: usize) -> Option<(u64, usize)> {
    let first = digit(*rest.get(from)?);
    look(1);
    more_digits(rest, from + 1, first?, 17)
}

/// As [`plain_number`], where the digits before `at` have come to `number`; with `at_most` so many more there are no more than
/// 18, which cannot overflow.
#[inline(always)] // a call would cost more than most numbers
pub(crate) fn more_digits(
    rest: &[u8],
    mut at: usize,
    mut number: u64,
    at_most: usize,
) -> Option<(u64, usize)> {
    let from = at;
    loop {
        let &byte = rest.get(at)?;
        look(1);
        let Some(digit) = digit(byte) else { break };
        number = number.wrapping_mul(10).wrapping_add(digit);
        at += 1;
    }
    look(1);
    let whole = rest.get(at..)?.starts_with(b"\r\n");
    (whole && at - from <= at_most).then_some((number, at + 2))
}

#[inline]
fn digit(byte: u8) -> Option<u64> {
    let digit = byte.wrapping_sub(b'0');
    (digit <= 9).then_some(u64::from(digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_integers_are_those_that_the_standard_library_reads_whatever_comes_behind() {
        let digits = "123456789012345678";
        let texts = (1..=digits.len()).flat_map(|len| [&digits[..len], &"000000000"[..len.min(9)]]);
        for text in texts.flat_map(|text| [text.to_owned(), format!("-{text}")]) {
            for behind in ["", ":", ":1\r\n:2\r\n", "999999999", "\u{fffd}\u{fffd}\u{fffd}"] {
                let line = format!("{text}\r\n{behind}");
                let wanted = (text.parse().unwrap(), text.len() + 2);
                assert_eq!(plain_integer(line.as_bytes()), Some(wanted), "{line:?}");
            }
        }
    }

    #[test]
    fn whatever_else_a_line_may_be_is_no_plain_integer() {
        for text in
            ["", "-", "+1", "--1", "-+1", " 1", "1 ", "1a", "a1", "1234567890123456789", "½"]
        {
            for end in ["\r\n", "\r\n:1\r\n", "\n", "\r", "\r1", "\rx234567", ""] {
                let line = format!("{text}{end}");
                assert_eq!(plain_integer(line.as_bytes()), None, "{line:?}");
            }
        }
        for byte in (0..=255_u8).filter(|byte| !byte.is_ascii_digit() && *byte != b'\r') {
            for at in 1..8 {
                let mut line = *b"1234567\r\n:";
                line[at] = byte;
                assert_eq!(plain_integer(&line), None, "{}", line.escape_ascii());
            }
        }
    }
}
