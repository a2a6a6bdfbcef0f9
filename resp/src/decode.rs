//! Bytes to frames: resumable at every byte, iterative, without copying.
//!
//! What has been read is never read again, and is taken off the input, so that a large frame need not lie in one piece. There
//! are two ways through: values of the common types that are whole go straight where they belong, at the top and inside of
//! aggregates ([`Rules::find`]); everything else, and whatever is not there yet or not in order, takes one step at a time.

use crate::input::{Input, Segment};
use crate::parse::Parser;
use crate::simple::Found;
use crate::slots::put;
use crate::value::{Rules, textual};
use crate::{DecodeError, Frame, Limits, Protocol};
use bytes::{Buf as _, BytesMut};

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
    /// the frame share its memory; where that is larger than an ordinary read of 64 KiB, they are copied out of it unless they are
    /// large themselves.
    ///
    /// # Errors
    ///
    /// If nobody can tell any more where a frame ends. That is final: every later call gives the same error.
    #[inline]
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Frame>, DecodeError> {
        let mut frame = Frame::Null;
        Ok(if self.next(input, &mut frame)? { Some(frame) } else { None })
    }

    /// As [`Decoder::decode`], into `frame`, whose storage is used again: an array, map, set or push costs no allocation when the
    /// last one was as large. Tells whether there is a frame; if not, `frame` is null.
    ///
    /// # Errors
    ///
    /// As [`Decoder::decode`].
    #[inline]
    pub fn decode_into(
        &mut self,
        input: &mut BytesMut,
        frame: &mut Frame,
    ) -> Result<bool, DecodeError> {
        if !frame.is_plain() {
            self.parser.reuse(std::mem::take(frame));
        }
        self.next(input, frame)
    }

    /// Writes the next frame to a place that waits, and tells whether there is one.
    #[inline(always)] // short values are written in place only if it is seen that the place waits
    fn next(&mut self, input: &mut BytesMut, place: &mut Frame) -> Result<bool, DecodeError> {
        let mut long = None;
        if self.is_between(input.len()) {
            match self.parser.rules.find(input, place) {
                Some(Found::Short(size)) => {
                    input.advance(size);
                    return Ok(true);
                }
                Some(Found::Long(header, len)) => long = Some((header, len)),
                None => {}
            }
        }
        match self.other(input, long)? {
            Some(frame) => {
                put(place, frame);
                Ok(true)
            }
            None => {
                put(place, Frame::Null);
                Ok(false)
            }
        }
    }

    /// A frame that is not short, or not all there. What begins with a bulk string that is whole is known to.
    fn other(
        &mut self,
        input: &mut BytesMut,
        long: Option<(usize, usize)>,
    ) -> Result<Option<Frame>, DecodeError> {
        if let Some((header, len)) = long {
            let input = Input::new(input, 0, &mut self.segment);
            return Ok(Some(Frame::Bulk(input.last_string(header, len))));
        }
        if self.is_between(input.len()) {
            if let Some(len) = self.parser.rules.text(input) {
                let kind = input.first().copied().unwrap_or_default();
                let input = Input::new(input, 0, &mut self.segment);
                return Ok(Some(textual(kind, input.last_string(1, len))));
            }
        }
        self.advance(input)
    }

    /// Whether a frame may begin here that need not be held against any limit.
    #[inline]
    fn is_between(&self, arrived: usize) -> bool {
        matches!(self.phase, Phase::Between) && self.parser.rules.is_ample(arrived, 0)
    }

    fn advance(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, DecodeError> {
        match self.phase {
            Phase::Poisoned(error) if !defect!(38) => return Err(error),
            _ => {}
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
