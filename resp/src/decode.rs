//! Bytes to frames: resumable at every byte, iterative, without copying.
//!
//! What has been read is never read again, and is taken off the input, so that a large frame need not lie in one piece. There
//! are two ways through: values of the common types that are whole go straight where they belong, at the top and inside of
//! aggregates ([`Rules::simple`]); everything else, and whatever is not there yet or not in order, takes one step at a time.

use crate::input::{Input, Segment};
use crate::parse::Parser;
use crate::value::{Rules, status};
use crate::{DecodeError, Frame, Limits, Protocol};
use bytes::BytesMut;

/// Turns the bytes that a server sends into frames.
#[derive(Debug)]
pub struct Decoder {
    phase: Phase,
    parser: Parser,
    /// Bytes of the current top-level frame that were taken off the input.
    consumed: u64,
    /// How long the input was when more was asked for.
    seen: usize,
    segment: Segment,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Between,
    Within,
    Poisoned(DecodeError),
}

impl Decoder {
    /// A decoder at the start of a frame.
    pub fn new(protocol: Protocol, limits: Limits) -> Self {
        let limits = Limits { depth: limits.depth.min(Limits::MAX_DEPTH), ..limits };
        Self {
            phase: Phase::Between,
            parser: Parser::new(Rules { protocol, limits }),
            consumed: 0,
            seen: 0,
            segment: Segment::default(),
        }
    }

    /// Changes the protocol, between frames: after the answer to `HELLO`.
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.parser.rules.protocol = protocol;
    }

    /// Takes the next frame off the front of `input`; `None` asks for more bytes behind it.
    ///
    /// Bytes may be taken off before the frame is whole: `input` is to be handed in as it was left, with more appended. Slices in
    /// the frame share its memory; where that is larger than an ordinary read of 64 KiB, small strings are copied out of it.
    ///
    /// # Errors
    ///
    /// If nobody can tell any more where a frame ends. That is final: every later call gives the same error.
    #[inline]
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Frame>, DecodeError> {
        if matches!(self.phase, Phase::Between) {
            if self.parser.rules.take_ok(input) {
                return Ok(status(b"OK"));
            }
            if let Some(frame) = self.parser.rules.whole(input, &mut self.segment) {
                return Ok(Some(frame));
            }
        }
        self.advance(input)
    }

    /// As [`Decoder::decode`], into `frame`, whose storage is used again: an array, map, set or push costs no allocation when the
    /// last one was as large. Tells whether there is a frame; if not, `frame` is null.
    ///
    /// # Errors
    ///
    /// As [`Decoder::decode`].
    pub fn decode_into(
        &mut self,
        input: &mut BytesMut,
        frame: &mut Frame,
    ) -> Result<bool, DecodeError> {
        self.parser.reuse(std::mem::take(frame));
        match self.decode(input)? {
            Some(decoded) => {
                *frame = decoded;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    fn advance(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, DecodeError> {
        if let Phase::Poisoned(error) = self.phase {
            return Err(error);
        }
        if buffer.len() == self.seen {
            return Ok(None);
        }
        let mut input = Input::new(buffer, self.consumed, &mut self.segment);
        let result = self.parser.run(&mut input);
        let position = input.finish();
        match result {
            Ok(Some(frame)) => {
                (self.phase, self.consumed, self.seen) = (Phase::Between, 0, 0);
                Ok(Some(frame))
            }
            Ok(None) => {
                (self.phase, self.consumed, self.seen) = (Phase::Within, position, buffer.len());
                Ok(None)
            }
            Err((kind, offset)) => {
                let error = DecodeError::new(kind, position + offset as u64);
                self.phase = Phase::Poisoned(error);
                Err(error)
            }
        }
    }
}
