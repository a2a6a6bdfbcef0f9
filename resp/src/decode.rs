//! Bytes to frames: resumable at every byte, iterative, without copying.
//!
//! What has been read is never read again, and is taken off the input, so that a large frame need not lie in one piece. There
//! are two ways through: values of the common types that are whole go straight where they belong, at the top and inside of
//! aggregates ([`Rules::find`]); everything else, and whatever is not there yet or not in order, takes one step at a time.

use crate::frames::Frames;
use crate::input::{Input, Segment};
use crate::parse::Parser;
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

    /// Changes the protocol, between frames: before the answer to `HELLO` is decoded, which comes in the new one.
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.parser.rules.protocol = protocol;
    }

    /// Takes the next frame off the front of `input`; `None` asks for more bytes behind it.
    ///
    /// Bytes may be taken off before the frame is whole: `input` is to be handed in as it was left, with more appended. Slices in
    /// the frame share its memory; where its capacity was larger than an ordinary read of 64 KiB, they are copied out of it unless
    /// they are large themselves.
    ///
    /// # Errors
    ///
    /// If nobody can tell any more where a frame ends. That is final: every later call gives the same error.
    #[inline]
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Frame>, DecodeError> {
        self.frames(input).next().transpose()
    }

    /// As [`Decoder::decode`], into `frame`, whose storage is used again: an array, map, set or push of at most 1,024 children that
    /// are no aggregates costs no allocation when the last one was as large. Tells whether there is a frame; if not, and after an
    /// error, `frame` is null.
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
        self.frames(input).decode_into(frame)
    }

    /// All frames at the front of `input`, as [`Decoder::decode`] and [`Decoder::decode_into`] give them one by one: the way to read
    /// many small ones, because the input is not touched in between.
    ///
    /// ```
    /// # use bytes::BytesMut;
    /// # use resp::{Decoder, Frame, Limits, Protocol};
    /// let mut decoder = Decoder::new(Protocol::Resp3, Limits::default());
    /// let mut received = BytesMut::from(":1\r\n:2\r\n:");
    /// let frames: Vec<_> = decoder.frames(&mut received).collect::<Result<_, _>>()?;
    /// assert_eq!(frames, [Frame::Integer(1), Frame::Integer(2)]);
    /// # Ok::<(), resp::DecodeError>(())
    /// ```
    #[inline]
    pub fn frames<'a>(&'a mut self, input: &'a mut BytesMut) -> Frames<'a> {
        Frames::new(self, input)
    }

    #[inline]
    pub(crate) fn rules(&self) -> &Rules {
        &self.parser.rules
    }

    /// Takes the storage of a frame that is not needed any more.
    #[inline]
    pub(crate) fn reuse(&mut self, frame: Frame) {
        self.parser.reuse(frame);
    }

    /// Whether a frame may begin here that need not be held against any limit, and can be taken off unseen.
    #[inline]
    pub(crate) fn is_between(&self, input: &BytesMut) -> bool {
        matches!(self.phase, Phase::Between)
            && self.parser.rules.is_ample(input.len(), 0)
            && self.segment.knows(input)
    }

    /// A frame that is not short, or not all there, behind `at` bytes that were read before. If it is a bulk string that is all
    /// there, `long` has the lengths of its header and of its bytes.
    #[inline(never)]
    pub(crate) fn other(
        &mut self,
        input: &mut BytesMut,
        at: usize,
        long: Option<(usize, usize)>,
    ) -> Result<Option<Frame>, DecodeError> {
        if let Some((header, len)) = long {
            let input = Input::new(input, at, 0, &mut self.segment);
            return Ok(Some(Frame::Bulk(input.last_string(header, len))));
        }
        if self.is_between(input) {
            let rest = input.get(at..).unwrap_or_default();
            if let Some(len) = self.parser.rules.text(rest) {
                let kind = rest.first().copied().unwrap_or_default();
                let input = Input::new(input, at, 0, &mut self.segment);
                return Ok(Some(textual(kind, input.last_string(1, len))));
            }
        }
        input.advance(at);
        self.advance(input)
    }

    fn advance(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, DecodeError> {
        match self.phase {
            Phase::Poisoned(error) if !defect!(38) => return Err(error),
            _ => {}
        }
        if buffer.len() == self.seen {
            return Ok(None);
        }
        let mut input = Input::new(buffer, 0, self.consumed, &mut self.segment);
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
