//! `Frame`: one decoded RESP2 or RESP3 value.

use crate::DecodeError;
use crate::str::Str;

/// One decoded value of any RESP2 or RESP3 type. Bytes stay bytes, maps stay in order.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
#[repr(u64)]
pub enum Frame {
    /// `_`, `$-1` and `*-1`.
    #[default]
    Null,
    /// `+OK`
    Simple(Str),
    /// `-ERR text`
    Error(Str),
    /// `:1`
    Integer(i64),
    /// `$3` and three bytes, or the chunks of a streamed string.
    Bulk(Str),
    /// `*2` and two elements.
    Array(Vec<Self>),
    /// `#t`, `#f`
    Boolean(bool),
    /// `,1.5`
    Double(f64),
    /// `(123…`: the digits with their sign.
    BigNumber(Str),
    /// `!3` and three bytes.
    BulkError(Str),
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
    pub text: Str,
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
    /// A bulk string of these bytes.
    pub fn bulk(bytes: impl Into<Str>) -> Self {
        Self::Bulk(bytes.into())
    }

    /// Whether this is a push, perhaps with attributes in front of it: no reply to anything.
    pub fn is_push(&self) -> bool {
        let mut frame = self;
        while let Self::Attributed(attributed) = frame {
            frame = &attributed.frame;
        }
        matches!(frame, Self::Push(_))
    }

    /// Whether it owns nothing that dropping would give back.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        match self {
            Self::Null | Self::Integer(_) | Self::Boolean(_) | Self::Double(_) => true,
            Self::Bulk(string) | Self::Simple(string) => string.is_inline(),
            _ => false,
        }
    }

    /// The value without the attributes in front of it.
    pub fn without_attributes(self) -> Self {
        let mut frame = self;
        while let Self::Attributed(attributed) = frame {
            frame = attributed.frame;
        }
        frame
    }
}
