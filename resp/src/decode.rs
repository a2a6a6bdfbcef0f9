//! Bytes to frames: resumable at every byte, iterative, without copying.
//!
//! What has been read is taken off the input at once, so nothing is looked at twice, and a large frame need not lie in one
//! piece. Strings are slices of the input; only where the input is larger than an ordinary read are small ones copied out, so
//! that they do not keep all of it alive.

use crate::DecodeErrorKind as Kind;
use crate::limits::{HARD_DEPTH, MAX_DEPTH};
use crate::line::{Count, Fault, Line, MAX_SHORT};
use crate::number::is_big_number;
use crate::stack::{Aggregate, Misplaced, Size, Stack};
use crate::value::{Content, content, scalar, status, textual};
use crate::{DecodeError, Frame, Limits, Protocol};
use bytes::{Buf as _, Bytes, BytesMut};

/// What a slice may pin: one ordinary read.
const SEGMENT: usize = 64 << 10;

/// Turns the bytes that a server sends into frames.
#[derive(Debug)]
pub struct Decoder {
    protocol: Protocol,
    limits: Limits,
    line: Line,
    payload: Option<Payload>,
    stack: Stack,
    /// Bytes of the current top-level frame that were taken off the input.
    consumed: u64,
    /// What is wrong inside the current top-level frame.
    damage: Option<DecodeError>,
    poison: Option<DecodeError>,
    /// Where the last input ended that was larger than an ordinary read.
    large_end: usize,
}

/// A payload whose length is known and whose bytes are to come.
#[derive(Debug, Clone, Copy)]
struct Payload {
    kind: Content,
    len: usize,
}

/// What one step came to.
enum Step {
    /// The input ends within a value.
    More,
    /// Something was read that is no value by itself.
    Open,
    Value(Frame),
}

impl Decoder {
    /// A decoder at the start of a frame.
    pub fn new(protocol: Protocol, limits: Limits) -> Self {
        let limits = Limits { depth: limits.depth.min(MAX_DEPTH), ..limits };
        Self {
            protocol,
            limits,
            line: Line::default(),
            payload: None,
            stack: Stack::default(),
            consumed: 0,
            damage: None,
            poison: None,
            large_end: 0,
        }
    }

    /// Changes the protocol, between frames: after the answer to `HELLO`.
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// Takes the next frame off the front of `input`; `None` asks for more bytes behind it.
    ///
    /// Bytes may be taken off before the frame is whole: `input` is to be handed in as it was left, with more appended. Slices in
    /// the frame share its memory.
    ///
    /// # Errors
    ///
    /// If nobody can tell any more where a frame ends. That is final: every later call gives the same error.
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Frame>, DecodeError> {
        if let Some(poison) = self.poison {
            return Err(poison);
        }
        self.run(input).map_err(|(kind, offset)| {
            let error = DecodeError::new(kind, self.consumed + offset as u64);
            self.poison = Some(error);
            error
        })
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
        self.stack.reuse(std::mem::take(frame));
        match self.decode(input)? {
            Some(decoded) => {
                *frame = decoded;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    fn run(&mut self, input: &mut BytesMut) -> Result<Option<Frame>, Fault> {
        loop {
            let step = match self.payload {
                Some(payload) => self.payload(payload, input)?,
                None => self.value(input)?,
            };
            let value = match step {
                Step::More => return Ok(None),
                Step::Open => continue,
                Step::Value(value) => value,
            };
            if let Some(frame) = self.stack.deliver(value).map_err(misplaced)? {
                self.consumed = 0;
                return Ok(Some(match self.damage.take() {
                    Some(damage) => Frame::Invalid(damage),
                    None => frame,
                }));
            }
        }
    }

    /// A value, or the start of one.
    fn value(&mut self, input: &mut BytesMut) -> Result<Step, Fault> {
        let Some((&kind, rest)) = input.split_first() else { return Ok(Step::More) };
        if self.stack.wants_chunk() && kind != b';' {
            return Err((Kind::BadChunk, 0));
        }
        match kind {
            b':' => {
                if let Some((number, len)) = self.line.integer(rest) {
                    self.skip(input, 1 + len);
                    return Ok(Step::Value(Frame::Integer(number)));
                }
                self.line(kind, MAX_SHORT as u64, input)
            }
            b'+' | b'-' => self.line(kind, self.limits.payload, input),
            b'$' | b'*' => self.counted(kind, input),
            _ if self.protocol == Protocol::Resp2 => Err((Kind::UnknownType(kind), 0)),
            b'_' | b'#' | b'.' => self.line(kind, MAX_SHORT as u64, input),
            b',' | b'(' => self.line(kind, self.limits.payload, input),
            b'!' | b'=' | b'%' | b'~' | b'>' | b'|' => self.counted(kind, input),
            b';' if self.stack.wants_chunk() => self.counted(kind, input),
            b';' => Err((Kind::BadChunk, 0)),
            _ => Err((Kind::UnknownType(kind), 0)),
        }
    }

    /// A value that is a line.
    fn line(&mut self, kind: u8, max: u64, input: &mut BytesMut) -> Result<Step, Fault> {
        let rest = input.get(1..).unwrap_or_default();
        let found = self.line.text(rest, max).map_err(|(kind, at)| (kind, at + 1))?;
        let Some(len) = found else {
            self.check_frame(input.len(), 0)?;
            return Ok(Step::More);
        };
        self.check_frame(len + 3, 0)?;
        let text = input.get(1..1 + len).unwrap_or_default();
        let frame = match kind {
            b'+' | b'-' | b'(' => {
                if kind == b'(' && !is_big_number(text) {
                    self.damaged(Kind::BadBigNumber);
                }
                let shared = if kind == b'+' { status(text) } else { None };
                let Some(frame) = shared else {
                    self.skip(input, 1);
                    let text = self.take(input, len);
                    self.skip(input, 2);
                    return Ok(Step::Value(textual(kind, text)));
                };
                frame
            }
            b'.' => {
                if len > 0 {
                    return Err((Kind::StrayEnd, 1));
                }
                self.stack.end_stream().map_err(misplaced)?
            }
            _ => match scalar(kind, text) {
                Ok(frame) => frame,
                Err(fault) => {
                    self.damaged(fault);
                    Frame::Null
                }
            },
        };
        self.skip(input, len + 3);
        Ok(Step::Value(frame))
    }

    /// A value that begins with a count.
    fn counted(&mut self, kind: u8, input: &mut BytesMut) -> Result<Step, Fault> {
        let rest = input.get(1..).unwrap_or_default();
        let found = self.line.count(rest).map_err(|(kind, at)| (kind, at + 1))?;
        let Some((count, len)) = found else { return Ok(Step::More) };
        match kind {
            b'$' | b'!' | b'=' | b';' => self.string(kind, count, len + 1, input),
            _ => self.aggregate(kind, count, len + 1, input),
        }
    }

    fn string(
        &mut self,
        kind: u8,
        count: Count,
        header: usize,
        input: &mut BytesMut,
    ) -> Result<Step, Fault> {
        let content = match kind {
            b'$' => Content::Bulk,
            b'!' => Content::Error,
            b'=' => Content::Verbatim,
            _ => Content::Chunk,
        };
        let len = match count {
            Count::Of(0) if content == Content::Chunk => {
                self.skip(input, header);
                return Ok(Step::Value(self.stack.close()));
            }
            Count::Of(len) => len,
            Count::Null if content == Content::Bulk => {
                self.skip(input, header);
                return Ok(Step::Value(Frame::Null));
            }
            Count::Stream if content == Content::Bulk && self.protocol == Protocol::Resp3 => {
                self.deeper(1)?;
                self.stack.open_chunks(self.damage.is_some());
                self.skip(input, header);
                return Ok(Step::Open);
            }
            Count::Null | Count::Stream => return Err((Kind::BadLength, 1)),
        };
        let before = self.stack.chunks().map_or(0, |chunks| chunks.len() as u64);
        let len = match usize::try_from(len) {
            Ok(size) if before + len <= self.limits.payload => size,
            _ => return Err((Kind::TooLong, 1)),
        };
        self.check_frame(header, len)?;
        self.skip(input, header);
        let payload = Payload { kind: content, len };
        self.payload = Some(payload);
        self.payload(payload, input)
    }

    /// The bytes of a string whose length is known.
    fn payload(&mut self, payload: Payload, input: &mut BytesMut) -> Result<Step, Fault> {
        let Payload { kind, len } = payload;
        match (input.get(len), input.get(len + 1)) {
            (Some(b'\r'), Some(b'\n')) => {}
            (None, _) | (Some(b'\r'), None) => return Ok(Step::More),
            (Some(b'\r'), Some(_)) => return Err((Kind::MissingTerminator, len + 1)),
            (Some(_), _) => return Err((Kind::MissingTerminator, len)),
        }
        self.payload = None;
        if kind == Content::Chunk {
            if let (Some(chunks), Some(bytes)) = (self.stack.chunks(), input.get(..len)) {
                chunks.extend_from_slice(bytes);
            }
            self.skip(input, len + 2);
            return Ok(Step::Open);
        }
        if kind == Content::Verbatim && (len < 4 || input.get(3) != Some(&b':')) {
            self.damaged(Kind::BadVerbatim);
        }
        let bytes = self.take(input, len);
        self.skip(input, 2);
        Ok(Step::Value(content(kind, bytes)))
    }

    fn aggregate(
        &mut self,
        kind: u8,
        count: Count,
        header: usize,
        input: &mut BytesMut,
    ) -> Result<Step, Fault> {
        let aggregate = match kind {
            b'*' => Aggregate::Array,
            b'~' => Aggregate::Set,
            b'>' => Aggregate::Push,
            b'%' => Aggregate::Map,
            _ => Aggregate::Attribute,
        };
        let may_stream = matches!(aggregate, Aggregate::Array | Aggregate::Set | Aggregate::Map)
            && self.protocol == Protocol::Resp3;
        let size = match count {
            Count::Null if aggregate == Aggregate::Array => {
                self.skip(input, header);
                return Ok(Step::Value(Frame::Null));
            }
            Count::Of(0) if aggregate == Aggregate::Push => return Err((Kind::BadPush, 1)),
            Count::Of(count) if count > self.limits.children => return Err((Kind::TooMany, 1)),
            Count::Of(count) => Size::Of(count),
            Count::Stream if may_stream => Size::Stream(self.limits.children),
            Count::Null | Count::Stream => return Err((Kind::BadLength, 1)),
        };
        self.check_frame(header, 0)?;
        let empty = size == Size::Of(0) && aggregate != Aggregate::Attribute;
        if !empty {
            self.deeper(1)?;
        }
        self.skip(input, header);
        let arrived = if self.damage.is_none() { Some(input.len()) } else { None };
        if empty {
            return Ok(Step::Value(match aggregate {
                Aggregate::Set => Frame::Set(Vec::new()),
                Aggregate::Map => Frame::Map(Vec::new()),
                _ => Frame::Array(Vec::new()),
            }));
        }
        self.stack.open(aggregate, size, arrived);
        Ok(Step::Open)
    }

    /// One level more is about to be opened.
    fn deeper(&mut self, at: usize) -> Result<(), Fault> {
        if self.stack.depth() >= HARD_DEPTH {
            return Err((Kind::TooDeep, at));
        }
        if self.stack.depth() >= self.limits.depth {
            self.damaged(Kind::TooDeep);
        }
        Ok(())
    }

    /// The frame can be skipped but not be used.
    fn damaged(&mut self, kind: Kind) {
        if self.damage.is_none() {
            self.damage = Some(DecodeError::new(kind, self.consumed));
            self.stack.forget();
        }
    }

    /// # Errors
    ///
    /// If the frame grows beyond its limit with `here` more bytes that are there and `coming` that are not.
    fn check_frame(&self, here: usize, coming: usize) -> Result<(), Fault> {
        let size = self.consumed.saturating_add(here as u64).saturating_add(coming as u64);
        if size > self.limits.frame { Err((Kind::FrameTooLarge, 0)) } else { Ok(()) }
    }

    fn skip(&mut self, input: &mut BytesMut, len: usize) {
        input.advance(len);
        self.consumed += len as u64;
    }

    /// Takes the bytes of a string off the input.
    fn take(&mut self, input: &mut BytesMut, len: usize) -> Bytes {
        self.consumed += len as u64;
        if self.damage.is_some() || len == 0 {
            input.advance(len);
            return Bytes::new();
        }
        if len <= SEGMENT && self.is_large(input) {
            let copy = Bytes::copy_from_slice(input.get(..len).unwrap_or_default());
            input.advance(len);
            return copy;
        }
        input.split_to(len).freeze()
    }

    /// Whether the input's memory is larger than an ordinary read, as far as it can be seen: what is left of a large one still ends
    /// where it ended.
    fn is_large(&mut self, input: &BytesMut) -> bool {
        let capacity = input.capacity();
        let end = input.as_ptr().addr() + capacity;
        if capacity > SEGMENT {
            self.large_end = end;
        }
        end == self.large_end
    }
}

fn misplaced(misplaced: Misplaced) -> Fault {
    let kind = match misplaced {
        Misplaced::StrayEnd => Kind::StrayEnd,
        Misplaced::OddMap => Kind::OddMap,
        Misplaced::TooMany => Kind::TooMany,
    };
    (kind, 0)
}
