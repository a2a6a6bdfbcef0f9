//! Requests, as a server reads them.
use crate::{DecodeError, Limits};
use bytes::{Bytes, BytesMut};

/// Turns bytes into requests.
#[derive(Debug)]
pub struct RequestDecoder;

impl RequestDecoder {
    /// A decoder at the start of a request.
    pub fn new(_limits: Limits) -> Self {
        Self
    }
    /// Takes the next request (its arguments, at least one) off `input`; `None` asks for more bytes.
    /// # Errors
    /// If framing is lost. Final.
    pub fn decode(&mut self, _input: &mut BytesMut) -> Result<Option<Vec<Bytes>>, DecodeError> {
        todo!()
    }
}
