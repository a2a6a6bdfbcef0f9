//! The frames of one read: where the next one begins is kept beside the input, which is told once, at the end.

use crate::simple::Found;
use crate::slots::put;
use crate::{DecodeError, Decoder, Frame};
use bytes::{Buf as _, BytesMut};
use std::iter::FusedIterator;

/// The frames at the front of an input, one after the other; made by [`Decoder::frames`].
///
/// Ends where more bytes are needed, or behind an error, which is final as [`Decoder::decode`] says. What was read is taken off the
/// input when this is dropped, at the latest: it is not to be forgotten with [`std::mem::forget`], or frames come twice.
#[derive(Debug)]
#[must_use = "nothing is decoded by itself"]
pub struct Frames<'a> {
    decoder: &'a mut Decoder,
    input: &'a mut BytesMut,
    /// Bytes at the front of the input that were read and not yet taken off.
    at: usize,
    /// Whether a frame may begin at `at` that need not be held against any limit, and can be taken off unseen.
    is_between: bool,
    /// Whether there was an error.
    is_lost: bool,
}

impl<'a> Frames<'a> {
    #[inline]
    pub(crate) fn new(decoder: &'a mut Decoder, input: &'a mut BytesMut) -> Self {
        let is_between = decoder.is_between(input);
        Self { decoder, input, at: 0, is_between, is_lost: false }
    }

    /// As [`Decoder::decode_into`].
    ///
    /// # Errors
    ///
    /// As [`Decoder::decode`].
    #[inline(always)] // where it is called, what was read stays in a register
    pub fn decode_into(&mut self, frame: &mut Frame) -> Result<bool, DecodeError> {
        if !frame.is_plain() {
            self.decoder.reuse(std::mem::take(frame));
        }
        self.fill(frame)
    }

    /// Writes the next frame to a place that waits, and tells whether there is one.
    #[inline(always)] // short values are written in place only if it is seen that the place waits
    pub(crate) fn fill(&mut self, place: &mut Frame) -> Result<bool, DecodeError> {
        let mut long = None;
        if self.is_between {
            let rest = self.input.get(self.at..).unwrap_or_default();
            match self.decoder.rules().find(rest, place) {
                Some(Found::Short(size)) => {
                    self.at += size;
                    return Ok(true);
                }
                Some(Found::Long(header, len)) => long = Some((header, len)),
                // Nearly every read ends with a frame.
                None if rest.is_empty() => {
                    put(place, Frame::Null);
                    return Ok(false);
                }
                None => {}
            }
        }
        // The long way round is told by value, so that nothing of this need lie in memory.
        let at = std::mem::take(&mut self.at);
        let found = self.decoder.other(self.input, defect!(41, 0, at), long);
        if !defect!(42) {
            self.is_between = self.decoder.is_between(self.input);
        }
        match found {
            Ok(Some(frame)) => {
                put(place, frame);
                Ok(true)
            }
            Ok(None) => {
                put(place, Frame::Null);
                Ok(false)
            }
            Err(error) => {
                put(place, Frame::Null);
                self.is_lost = true;
                Err(error)
            }
        }
    }
}

impl Frames<'_> {
    /// Whether nothing is left of what has arrived: behind a frame, there is no other then, and no beginning of one.
    #[inline]
    pub fn is_drained(&self) -> bool {
        self.at == self.input.len()
    }
}

impl Iterator for Frames<'_> {
    type Item = Result<Frame, DecodeError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.is_lost && !defect!(43) {
            return None;
        }
        // The frame is written where it is returned: moving it would cost more than decoding it.
        let mut next = Some(Ok(Frame::Null));
        let Some(Ok(place)) = &mut next else { return next };
        match self.fill(place) {
            Ok(true) => {}
            Ok(false) => next = None,
            Err(error) => next = Some(Err(error)),
        }
        next
    }
}

impl FusedIterator for Frames<'_> {}

impl Drop for Frames<'_> {
    #[inline]
    fn drop(&mut self) {
        self.input.advance(self.at);
    }
}
