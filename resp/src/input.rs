//! The input while a frame is read from it: what has been read is taken off late, and many steps at once.
//!
//! Strings are slices of the input. Where its memory is larger than an ordinary read, small ones are copied out instead, so that
//! they do not keep all of it alive.

use crate::str::{INLINE, Str};
use crate::work::look;
use bytes::{Buf as _, Bytes, BytesMut};

/// What any slice may pin: one ordinary read.
const SEGMENT: usize = 64 << 10;
/// A slice of a larger segment has at least this part of it.
const WORTHWHILE: usize = 16;

/// What is known of the memory behind the input, of which only the end can be seen.
#[derive(Debug, Default)]
pub(crate) struct Segment {
    /// Where the last one ended that was larger than an ordinary read.
    end: usize,
    /// How large it was when it was first seen.
    size: usize,
}

impl Segment {
    /// Whether the input need not be looked at before its front is taken off: its memory is small, or known to be large.
    #[inline]
    pub(crate) fn knows(&self, input: &BytesMut) -> bool {
        let capacity = input.capacity();
        capacity <= SEGMENT || self.end == input.as_ptr().addr() + capacity
    }

    /// The size of the input's memory where that is more than an ordinary read, and nothing otherwise. What is left of a large one
    /// still ends where it ended.
    #[inline]
    fn large(&mut self, input: &BytesMut) -> Option<usize> {
        let capacity = input.capacity();
        let end = input.as_ptr().addr() + capacity;
        if capacity > SEGMENT {
            self.size = if self.end == end { self.size.max(capacity) } else { capacity };
            self.end = end;
        }
        (self.end == end).then_some(self.size)
    }
}

/// A buffer that a frame is read from.
pub(crate) struct Input<'a> {
    buffer: &'a mut BytesMut,
    /// Bytes at the front that were read and not yet taken off.
    at: usize,
    /// Bytes of the current top-level frame that were taken off before.
    taken: u64,
    /// The size of the memory, if it is large.
    large: Option<usize>,
}

impl<'a> Input<'a> {
    /// A buffer of whose front `at` bytes were read, and of the current frame `taken` bytes before that.
    #[inline]
    pub(crate) fn new(
        buffer: &'a mut BytesMut,
        at: usize,
        taken: u64,
        segment: &mut Segment,
    ) -> Self {
        let large = segment.large(buffer);
        Self { buffer, at, taken, large }
    }

    /// What is there and not yet read.
    #[inline]
    pub(crate) fn rest(&self) -> &[u8] {
        self.buffer.get(self.at..).unwrap_or_default()
    }

    /// How many bytes of the current top-level frame were read.
    #[inline]
    pub(crate) fn position(&self) -> u64 {
        self.taken + self.at as u64
    }

    #[inline]
    pub(crate) fn skip(&mut self, len: usize) {
        self.at += len;
    }

    /// Reads a string of `len` bytes, all of which are there, and the CR LF behind it, `before` bytes ahead of here.
    #[inline]
    pub(crate) fn slice(&mut self, before: usize, len: usize) -> Bytes {
        let start = self.at + before;
        let end = start + len;
        if len == 0 {
            self.at = end + 2;
            return Bytes::new();
        }
        let mut bytes = self.buffer.split_to(end).freeze();
        bytes.advance(start);
        self.taken += end as u64;
        self.at = 2;
        bytes
    }

    /// As [`Input::slice`], copied out where a slice would keep too much alive.
    pub(crate) fn bytes(&mut self, before: usize, len: usize) -> Bytes {
        if self.keeps_too_much(len) {
            Bytes::copy_from_slice(self.copied(before, len))
        } else {
            self.slice(before, len)
        }
    }

    /// Whether a slice of so many bytes would keep more memory alive than it is worth.
    fn keeps_too_much(&self, len: usize) -> bool {
        self.large.is_some_and(|size| len <= SEGMENT || size / WORTHWHILE > len)
    }

    /// As [`Input::bytes`], in place where they are few.
    pub(crate) fn string(&mut self, before: usize, len: usize) -> Str {
        if len <= INLINE {
            Str::copy_from_slice(self.copied(before, len))
        } else {
            self.bytes(before, len).into()
        }
    }

    /// As [`Input::string`], and takes all of it off at once.
    pub(crate) fn last_string(mut self, before: usize, len: usize) -> Str {
        if len <= INLINE || self.keeps_too_much(len) {
            let string = self.string(before, len);
            self.finish();
            return string;
        }
        let end = self.at + before + len;
        let mut piece = self.buffer.split_to(end + 2);
        piece.truncate(end);
        let mut bytes = piece.freeze();
        bytes.advance(self.at + before);
        bytes.into()
    }

    /// The bytes of a string to copy.
    fn copied(&mut self, before: usize, len: usize) -> &[u8] {
        look(len);
        let start = self.at + before;
        self.at = start + len + 2;
        self.buffer.get(start..start + len).unwrap_or_default()
    }

    /// What was read so far belongs to no frame.
    pub(crate) fn forget(&mut self) {
        self.buffer.advance(self.at);
        (self.at, self.taken) = (0, 0);
    }

    /// Takes off what was read; gives how many bytes of the frame that makes.
    #[inline]
    pub(crate) fn finish(self) -> u64 {
        self.buffer.advance(self.at);
        self.position()
    }
}
