//! Why bytes are not RESP: what is wrong, and where.

use std::fmt;

/// Framing is lost, or (inside [`Frame::Invalid`](crate::Frame::Invalid)) one reply is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeError {
    kind: DecodeErrorKind,
    offset: u64,
}

/// What is wrong with the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The first byte names no type, or none of the protocol that was agreed on.
    UnknownType(u8),
    /// A CR without LF, or an LF without CR, inside a line.
    BareLineEnd,
    /// A payload of known length is not followed by CR LF.
    MissingTerminator,
    /// An integer is not a sign and digits that fit 64 bits.
    BadInteger,
    /// A length is not plain digits, or is one that the type does not have.
    BadLength,
    /// A null with something in it.
    BadNull,
    /// A boolean other than `t` and `f`.
    BadBoolean,
    /// A double outside its grammar.
    BadDouble,
    /// A big number outside its grammar.
    BadBigNumber,
    /// A verbatim string without format and colon.
    BadVerbatim,
    /// A push without its kind.
    BadPush,
    /// The end of a stream where none is open.
    StrayEnd,
    /// A streamed map ends behind a key.
    OddMap,
    /// Something other than a chunk inside a streamed string, or a chunk outside one.
    BadChunk,
    /// More levels than allowed.
    TooDeep,
    /// A line or a payload longer than allowed.
    TooLong,
    /// An aggregate of more children than allowed.
    TooMany,
    /// A frame of more bytes than allowed.
    FrameTooLarge,
    /// A request that no server accepts.
    BadRequest,
}

impl DecodeError {
    pub(crate) fn new(kind: DecodeErrorKind, offset: u64) -> Self {
        Self { kind, offset }
    }

    /// What is wrong.
    pub fn kind(&self) -> DecodeErrorKind {
        self.kind
    }

    /// Bytes between the start of the top-level frame and the fault; of a request, the line that has it, or its end.
    pub fn offset(&self) -> u64 {
        self.offset
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use DecodeErrorKind as Kind;
        let fault = match self.kind {
            Kind::UnknownType(b'H') => "'H' begins no RESP value: this looks like HTTP",
            Kind::UnknownType(0x15 | 0x16) => {
                "this looks like TLS: the port wants an encrypted connection"
            }
            Kind::UnknownType(byte) => {
                write!(f, "'{}' begins no value", byte.escape_ascii())?;
                ""
            }
            Kind::BareLineEnd => "a line has a CR or LF that does not end it",
            Kind::MissingTerminator => "a payload is not followed by CR LF",
            Kind::BadInteger => "an integer is not one, or does not fit 64 bits",
            Kind::BadLength => "a length is not plain digits, or not allowed here",
            Kind::BadNull => "a null has something in it",
            Kind::BadBoolean => "a boolean is neither t nor f",
            Kind::BadDouble => "a double is not a number",
            Kind::BadBigNumber => "a big number is not a sign and digits",
            Kind::BadVerbatim => "a verbatim string has no format and colon",
            Kind::BadPush => "a push does not say its kind",
            Kind::StrayEnd => "a stream ends that was not open",
            Kind::OddMap => "a streamed map ends behind a key",
            Kind::BadChunk => "a streamed string has something else than chunks",
            Kind::TooDeep => "more levels than allowed",
            Kind::TooLong => "a line or payload longer than allowed",
            Kind::TooMany => "an aggregate of more children than allowed",
            Kind::FrameTooLarge => "a frame of more bytes than allowed",
            Kind::BadRequest => "a request that no server accepts",
        };
        write!(f, "{fault} (byte {} of the frame)", self.offset)
    }
}

impl std::error::Error for DecodeError {}
