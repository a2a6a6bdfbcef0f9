//! `Frame`: one decoded RESP2 or RESP3 value.

use crate::DecodeError;
use bytes::Bytes;

/// One decoded value of any RESP2 or RESP3 type. Bytes stay bytes, maps stay in order.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
#[repr(u64)]
pub enum Frame {
    /// `_`, `$-1` and `*-1`.
    #[default]
    Null,
    /// `+OK`
    Simple(Bytes),
    /// `-ERR text`
    Error(Bytes),
    /// `:1`
    Integer(i64),
    /// `$3` and three bytes, or the chunks of a streamed string.
    Bulk(Bytes),
    /// `*2` and two elements.
    Array(Vec<Self>),
    /// `#t`, `#f`
    Boolean(bool),
    /// `,1.5`
    Double(f64),
    /// `(123…`: the digits with their sign.
    BigNumber(Bytes),
    /// `!3` and three bytes.
    BulkError(Bytes),
    /// `=7`, three bytes of format, a colon and the text.
    Verbatim(Box<Verbatim>),
    /// `%1` and one pair, in wire order, duplicates kept.
    Map(Vec<(Self, Self)>),
    /// `~2` and two elements, in wire order, duplicates kept.
    Set(Vec<Self>),
    /// `>2` and two elements: nobody asked for it. Inside an aggregate it is an element like any other.
    Push(Vec<Self>),
    /// `|1`, one pair, and the value that it annotates.
    Attributed(Box<Attributed>),
    /// Framed well but wrong inside, or nested too deep: stands for the whole top-level reply.
    Invalid(DecodeError),
}

/// A verbatim string: its format and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verbatim {
    /// Three bytes, such as `txt` or `mkd`.
    pub format: [u8; 3],
    /// The text, without format and colon.
    pub text: Bytes,
}

/// A value with the attributes that the server sent in front of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Attributed {
    /// Pairs in wire order.
    pub attributes: Vec<(Frame, Frame)>,
    /// What they annotate.
    pub frame: Frame,
}

impl Frame {
    /// The value without the attributes in front of it.
    pub fn without_attributes(self) -> Self {
        let mut frame = self;
        while let Self::Attributed(attributed) = frame {
            frame = attributed.frame;
        }
        frame
    }
}
