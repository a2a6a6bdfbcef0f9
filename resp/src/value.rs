//! The text of a value to the frame that it means.
//!
//! What is wrong inside a value that is whole fails the value, never the stream.

use crate::DecodeErrorKind as Kind;
use crate::input::Input;
use crate::number::{MAX_DOUBLE, double};
use crate::str::Str;
use crate::{Frame, Limits, Protocol};

/// What a connection may carry.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) protocol: Protocol,
    pub(crate) limits: Limits,
}

impl Rules {
    /// How many bytes the frame may still have.
    #[inline]
    pub(crate) fn budget(&self, input: &Input<'_>) -> u64 {
        self.limits.frame.saturating_sub(input.position())
    }
}

/// What a payload is that comes behind its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Bulk,
    Error,
    Verbatim,
    Chunk,
}

impl Content {
    pub(crate) fn frame(self, bytes: Str) -> Frame {
        match self {
            Self::Error => Frame::BulkError(bytes),
            _ => Frame::Bulk(bytes),
        }
    }
}

/// A line of any length.
pub(crate) fn textual(kind: u8, text: Str) -> Frame {
    match kind {
        b'+' => Frame::Simple(text),
        b'-' => Frame::Error(text),
        _ => Frame::BigNumber(text),
    }
}

/// A value that is a short line.
pub(crate) fn scalar(kind: u8, text: &[u8]) -> Result<Frame, Kind> {
    match (kind, text) {
        (b'_', b"") => Ok(Frame::Null),
        (b'_', _) if defect!(14) => Ok(Frame::Null),
        (b'_', _) => Err(Kind::BadNull),
        (b'#', b"t") => Ok(Frame::Boolean(true)),
        (b'#', b"f") => Ok(Frame::Boolean(false)),
        (b'#', b"T") if defect!(15) => Ok(Frame::Boolean(true)),
        (b'#', _) => Err(Kind::BadBoolean),
        (b',', text) if text.len() <= MAX_DOUBLE => {
            double(text).map(Frame::Double).ok_or(Kind::BadDouble)
        }
        (b',', _) => Err(Kind::BadDouble),
        (_, text) => {
            let digits = match text {
                [b'+' | b'-', digits @ ..] => digits,
                digits => digits,
            };
            let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
            let text = std::str::from_utf8(text).ok().filter(|_| plain);
            let number = text.and_then(|text| text.parse().ok());
            let largest = defect!(18, Some(i64::MAX).filter(|_| plain), None);
            number.or(largest).map(Frame::Integer).ok_or(Kind::BadInteger)
        }
    }
}
