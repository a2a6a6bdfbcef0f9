//! Short ways to write reply frames. Pure.

use crate::blocking::Block;
use crate::number;
use bytes::{Bytes, BytesMut};
use resp::{Frame, Protocol, Str, encode};
use std::time::Duration;

/// What becomes of a command.
#[derive(Debug)]
pub(crate) enum Answer {
    /// One reply.
    Frame(Frame),
    /// A text that RESP3 sends as a verbatim string.
    Text(String),
    /// A nil that RESP2 writes as `*-1`.
    NullArray,
    /// A reply that is encoded already.
    Whole(BytesMut),
    /// Nothing, or what was sent meanwhile stands for it.
    Sent,
    /// None yet; the connection's other requests wait with it.
    Block(Box<Block>),
    /// One reply, after a time in which the whole server stands still.
    Stall(Duration, Frame),
    /// One reply, and a look at who may go on.
    Unpause(Frame),
    /// One reply, and the end of the connection.
    Close(Frame),
}

impl Answer {
    /// Appends the reply to `out`.
    pub(crate) fn encode(&self, protocol: Protocol, out: &mut BytesMut) {
        match self {
            Self::Frame(frame)
            | Self::Stall(_, frame)
            | Self::Unpause(frame)
            | Self::Close(frame) => encode::frame(frame, protocol, out),
            Self::Text(text) if matches!(protocol, Protocol::Resp2) => {
                encode::bulk(text.as_bytes(), out);
            }
            Self::Text(text) => {
                out.extend_from_slice(format!("={}\r\ntxt:{text}\r\n", text.len() + 4).as_bytes());
            }
            Self::NullArray if matches!(protocol, Protocol::Resp2) => {
                out.extend_from_slice(b"*-1\r\n");
            }
            Self::NullArray => encode::frame(&Frame::Null, protocol, out),
            Self::Whole(bytes) => out.extend_from_slice(bytes),
            Self::Sent | Self::Block(_) => {}
        }
    }
}

pub(crate) fn ok() -> Frame {
    simple("OK")
}

pub(crate) fn simple(text: &'static str) -> Frame {
    Frame::Simple(text.into())
}

pub(crate) fn bulk(text: impl Into<Bytes>) -> Frame {
    Frame::bulk(text.into())
}

/// A name of ours as a bulk string.
pub(crate) fn word(text: &str) -> Frame {
    Frame::bulk(Str::copy_from_slice(text.as_bytes()))
}

pub(crate) fn count(number: usize) -> Frame {
    Frame::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

pub(crate) fn flag(yes: bool) -> Frame {
    Frame::Integer(i64::from(yes))
}

/// The value, or nil.
pub(crate) fn maybe(value: Option<Bytes>) -> Frame {
    value.map_or(Frame::Null, Frame::bulk)
}

pub(crate) fn bulks(values: impl IntoIterator<Item = Bytes>) -> Frame {
    Frame::Array(values.into_iter().map(Frame::bulk).collect())
}

/// A score: a double in RESP3, a bulk string in RESP2.
pub(crate) fn score(number: f64, protocol: Protocol) -> Frame {
    match protocol {
        Protocol::Resp3 => Frame::Double(number),
        Protocol::Resp2 => Frame::bulk(number::print_float(number)),
    }
}
