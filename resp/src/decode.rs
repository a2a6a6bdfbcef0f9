//! Bytes to frames.
use crate::{DecodeError, Frame, Limits};
use bytes::BytesMut;

/// RESP2 or RESP3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a third protocol would be a new major version")]
pub enum Protocol {
    /// Up to Redis 5, and after `HELLO 2`.
    Resp2,
    /// After `HELLO 3`.
    Resp3,
}

/// Turns bytes into frames.
#[derive(Debug)]
pub struct Decoder;

impl Decoder {
    /// A decoder at the start of a frame.
    pub fn new(_protocol: Protocol, _limits: Limits) -> Self {
        Self
    }
    /// Takes the next frame off `input`; `None` asks for more bytes.
    /// # Errors
    /// If framing is lost. Final.
    pub fn decode(&mut self, _input: &mut BytesMut) -> Result<Option<Frame>, DecodeError> {
        todo!()
    }
}
