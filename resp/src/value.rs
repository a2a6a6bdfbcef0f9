//! The text of a value to the frame that it means.
//!
//! Nothing here knows where a value ends: what comes in is whole. What is wrong inside fails the value, never the stream.

use crate::DecodeErrorKind as Kind;
use crate::number::{MAX_DOUBLE, double};
use crate::{Frame, Verbatim};
use bytes::Bytes;

/// What a payload is that comes behind its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Bulk,
    Error,
    Verbatim,
    Chunk,
}

/// The common statuses, which are the same bytes each time and cost no reference count.
pub(crate) fn status(text: &[u8]) -> Option<Frame> {
    let text: &'static [u8] = match text {
        b"OK" => b"OK",
        b"QUEUED" => b"QUEUED",
        b"PONG" => b"PONG",
        _ => return None,
    };
    Some(Frame::Simple(Bytes::from_static(text)))
}

/// A line of any length.
pub(crate) fn textual(kind: u8, text: Bytes) -> Frame {
    match kind {
        b'+' => Frame::Simple(text),
        b'-' => Frame::Error(text),
        _ => Frame::BigNumber(text),
    }
}

/// A payload that has a length in front.
pub(crate) fn content(kind: Content, bytes: Bytes) -> Frame {
    match kind {
        Content::Error => Frame::BulkError(bytes),
        Content::Verbatim => verbatim(bytes),
        Content::Bulk | Content::Chunk => Frame::Bulk(bytes),
    }
}

/// A value that is a short line.
pub(crate) fn scalar(kind: u8, text: &[u8]) -> Result<Frame, Kind> {
    match (kind, text) {
        (b'_', b"") => Ok(Frame::Null),
        (b'_', _) => Err(Kind::BadNull),
        (b'#', b"t") => Ok(Frame::Boolean(true)),
        (b'#', b"f") => Ok(Frame::Boolean(false)),
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
            number.map(Frame::Integer).ok_or(Kind::BadInteger)
        }
    }
}

/// Splits format and text; what lacks them was marked as damaged before.
fn verbatim(bytes: Bytes) -> Frame {
    let Some(&[a, b, c, _]) = bytes.get(..4) else { return Frame::Null };
    Frame::Verbatim(Verbatim { format: [a, b, c], text: bytes.slice(4..) })
}
