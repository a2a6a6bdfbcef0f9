//! One value, or a part of one, at a time: the long way round, which stops and goes on at any byte.

use crate::DecodeErrorKind as Kind;
use crate::input::Input;
use crate::level::{Aggregate, SMALLEST};
use crate::limits::HARD_DEPTH;
use crate::line::{Allowed, Ceiling, Count, Fault, Line, MAX_COUNT, MAX_SHORT};
use crate::number::is_big_number;
use crate::stack::{Size, Stack};
use crate::value::{Content, Rules, scalar, textual};
use crate::work::look;
use crate::{DecodeError, Frame, Protocol, Verbatim};

/// How far the current top-level frame has been read.
#[derive(Debug)]
pub(crate) struct Parser {
    pub(crate) rules: Rules,
    state: State,
    line: Line,
    stack: Stack,
    /// Where in the frame the current value begins.
    value_at: u64,
    /// What is wrong inside the frame.
    damage: Option<DecodeError>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// A type byte is to come.
    Start,
    /// Behind the type byte.
    Line(u8),
    /// A payload whose length is known.
    Payload(Content, usize),
}

/// What one step came to.
enum Step {
    /// The input ends within a value.
    More,
    /// Something was read that is no value by itself.
    Open,
    Value(Frame),
}

impl Parser {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            state: State::Start,
            line: Line::default(),
            stack: Stack::default(),
            value_at: 0,
            damage: None,
        }
    }

    /// Takes the storage of a frame that is not needed any more.
    #[inline]
    pub(crate) fn reuse(&mut self, frame: Frame) {
        self.stack.reuse(frame);
    }

    /// Reads until a top-level frame is whole, or there is nothing more.
    pub(crate) fn run(&mut self, input: &mut Input<'_>) -> Result<Option<Frame>, Fault> {
        loop {
            let filled = match self.state {
                State::Start => self.stack.fill(input, &self.rules),
                _ => None,
            };
            let value = match filled {
                Some(aggregate) => aggregate,
                None => match self.step(input)? {
                    Step::More => return Ok(None),
                    Step::Open => continue,
                    Step::Value(value) => value,
                },
            };
            if let Some(frame) = self.stack.deliver(value) {
                return Ok(Some(self.settled(frame)));
            }
        }
    }

    /// The frame that came out, or what stands for it: a push that is damaged is still nobody's reply.
    fn settled(&mut self, frame: Frame) -> Frame {
        let was_push = self.stack.was_push();
        match self.damage.take() {
            Some(_) if defect!(37) => frame,
            Some(damage) if was_push && !defect!(36) => Frame::Push(vec![Frame::Invalid(damage)]),
            Some(damage) => Frame::Invalid(damage),
            None => frame,
        }
    }

    /// A value, or the start of one, or as much of it as there is.
    fn step(&mut self, input: &mut Input<'_>) -> Result<Step, Fault> {
        let kind = match self.state {
            State::Payload(content, len) => return self.payload(content, 0, len, input),
            State::Line(kind) => kind,
            State::Start => {
                let Some(&kind) = input.rest().first() else { return Ok(Step::More) };
                look(1);
                self.admit(kind, input).map_err(|kind| (kind, 0))?;
                self.value_at = input.position();
                self.state = State::Line(kind);
                kind
            }
        };
        let step = match kind {
            b'+' | b'-' | b',' | b'(' => self.line(kind, self.rules.limits.payload, input)?,
            b':' | b'_' | b'#' => self.line(kind, MAX_SHORT as u64, input)?,
            b'.' => self.end(input)?,
            b'$' | b'!' | b'=' | b';' => self.string(kind, input)?,
            _ => self.aggregate(kind, input)?,
        };
        if matches!((&step, self.state), (Step::Open | Step::Value(_), State::Line(_))) {
            self.state = State::Start;
        }
        Ok(step)
    }

    /// Whether a value of this type may come here.
    fn admit(&self, kind: u8, input: &Input<'_>) -> Result<(), Kind> {
        match kind {
            b'+' | b'-' | b':' | b'$' | b'*' => {}
            b'_' | b'#' | b',' | b'(' | b'!' | b'=' | b'%' | b'~' | b'>' | b'|' | b'.' | b';'
                if self.rules.protocol == Protocol::Resp3 => {}
            _ => return Err(Kind::UnknownType(kind)),
        }
        if (kind == b';') != self.stack.wants_chunk().is_some() && !defect!(29) {
            return Err(Kind::BadChunk);
        }
        match kind {
            b';' => {}
            b'.' if defect!(30) => {}
            b'.' => self.stack.may_end()?,
            _ => self.stack.admit()?,
        }
        if self.rules.budget(input) < SMALLEST as u64 {
            return Err(Kind::FrameTooLarge);
        }
        Ok(())
    }

    /// A value that is a line.
    fn line(&mut self, kind: u8, max: u64, input: &mut Input<'_>) -> Result<Step, Fault> {
        let rest = input.rest().get(1..).unwrap_or_default();
        let room = self.rules.budget(input).saturating_sub(SMALLEST as u64);
        let limit = if room < max {
            Ceiling { max: room, fault: Kind::FrameTooLarge }
        } else {
            Ceiling { max, fault: Kind::TooLong }
        };
        let found = self.line.text(rest, limit).map_err(behind_type)?;
        let Some(len) = found else { return Ok(Step::More) };
        let text = rest.get(..len).unwrap_or_default();
        let frame = match kind {
            b'+' | b'-' | b'(' => {
                if kind == b'(' {
                    look(len);
                    if !is_big_number(text) && !defect!(19) {
                        #[cfg(resp_defects)]
                        if defect!(20) {
                            return Err((Kind::BadBigNumber, 0));
                        }
                        self.damaged(Kind::BadBigNumber);
                    }
                }
                if self.damage.is_none() {
                    return Ok(Step::Value(textual(kind, input.string(1, len))));
                }
                Frame::Null
            }
            _ => {
                look(len);
                match scalar(kind, text) {
                    Ok(frame) => frame,
                    Err(fault) => {
                        self.damaged(fault);
                        Frame::Null
                    }
                }
            }
        };
        input.skip(len + 3);
        Ok(Step::Value(frame))
    }

    /// The end of a streamed aggregate.
    fn end(&mut self, input: &mut Input<'_>) -> Result<Step, Fault> {
        let rest = input.rest().get(1..).unwrap_or_default();
        let found = self.line.nothing(rest, Kind::StrayEnd).map_err(behind_type)?;
        let Some(len) = found else { return Ok(Step::More) };
        input.skip(1 + len);
        Ok(Step::Value(self.stack.close()))
    }

    /// A value that begins with its length.
    fn string(&mut self, kind: u8, input: &mut Input<'_>) -> Result<Step, Fault> {
        let content = match kind {
            b'$' => Content::Bulk,
            b'!' => Content::Error,
            b'=' => Content::Verbatim,
            _ => Content::Chunk,
        };
        let is_bulk = content == Content::Bulk;
        let max = self.stack.wants_chunk().unwrap_or(self.rules.limits.payload);
        let allowed = Allowed {
            ceiling: Ceiling { max, fault: Kind::TooLong },
            zero: true,
            null: is_bulk,
            stream: is_bulk && self.rules.protocol == Protocol::Resp3,
            fresh: !is_bulk,
        };
        let Some((count, header)) = self.count(allowed, input)? else { return Ok(Step::More) };
        let len = match count {
            Count::Of(0) if content == Content::Chunk => {
                input.skip(header);
                return Ok(Step::Value(self.stack.close()));
            }
            Count::Of(len) => len,
            Count::Null => {
                input.skip(header);
                return Ok(Step::Value(Frame::Null));
            }
            Count::Stream => {
                self.deeper(header)?;
                self.stack.open_chunks(self.rules.limits.payload, self.damage.is_some());
                input.skip(header);
                return Ok(Step::Open);
            }
        };
        let size = usize::try_from(len).ok().filter(|size| size.checked_add(header + 2).is_some());
        let size = size.ok_or((Kind::TooLong, header - 1))?;
        if len.saturating_add(header as u64 + 2) > self.rules.budget(input) && !defect!(28) {
            return Err((Kind::FrameTooLarge, header - 1));
        }
        self.state = State::Payload(content, size);
        self.payload(content, header, size, input)
    }

    /// The bytes of a string whose length is known, behind a header.
    fn payload(
        &mut self,
        content: Content,
        header: usize,
        len: usize,
        input: &mut Input<'_>,
    ) -> Result<Step, Fault> {
        let end = header + len;
        let rest = input.rest();
        let terminator = (rest.get(end), rest.get(end + 1));
        match terminator {
            (Some(b'\r'), Some(b'\n')) => look(2),
            (Some(_), Some(_)) if defect!(13) => {}
            (None, _) => {
                input.skip(header);
                return Ok(Step::More);
            }
            (Some(b'\r'), None) => {
                look(1);
                input.skip(header);
                return Ok(Step::More);
            }
            (Some(b'\r'), Some(_)) => return Err((Kind::MissingTerminator, end + 1)),
            (Some(_), _) => return Err((Kind::MissingTerminator, end)),
        }
        self.state = State::Start;
        if content == Content::Chunk {
            self.stack.chunk(rest.get(header..end).unwrap_or_default());
            input.skip(end + 2);
            return Ok(Step::Open);
        }
        if content == Content::Verbatim
            && (len < 4 || rest.get(header + 3) != Some(&b':') && !defect!(21))
        {
            self.damaged(Kind::BadVerbatim);
        }
        if self.damage.is_some() {
            input.skip(end + 2);
            return Ok(Step::Value(Frame::Null));
        }
        Ok(Step::Value(match (content, rest.get(header..header + 3)) {
            (Content::Verbatim, Some(&[a, b, c])) => {
                let before = defect!(22, 3, 4);
                let text = input.string(header + before, len - before);
                Frame::Verbatim(Box::new(Verbatim { format: [a, b, c], text }))
            }
            _ => content.frame(input.string(header, len)),
        }))
    }

    /// A value that begins with the number of its children, up to the first of them.
    fn aggregate(&mut self, kind: u8, input: &mut Input<'_>) -> Result<Step, Fault> {
        let aggregate = match kind {
            b'*' => Aggregate::Array,
            b'~' => Aggregate::Set,
            b'>' => Aggregate::Push,
            b'%' => Aggregate::Map,
            _ => Aggregate::Attribute,
        };
        let max = defect!(27, u64::MAX, self.rules.limits.children);
        let allowed = Allowed {
            ceiling: Ceiling { max, fault: Kind::TooMany },
            zero: aggregate != Aggregate::Push,
            null: aggregate == Aggregate::Array,
            stream: matches!(kind, b'*' | b'~' | b'%') && self.rules.protocol == Protocol::Resp3,
            fresh: true,
        };
        let Some((count, header)) = self.count(allowed, input)? else { return Ok(Step::More) };
        let empty = match (count, aggregate) {
            (Count::Null, _) => Some(defect!(24, Frame::Array(Vec::new()), Frame::Null)),
            (Count::Of(0), Aggregate::Array) => {
                Some(defect!(23, Frame::Null, Frame::Array(Vec::new())))
            }
            (Count::Of(0), Aggregate::Set) => Some(Frame::Set(Vec::new())),
            (Count::Of(0), Aggregate::Map) => Some(Frame::Map(Vec::new())),
            _ => None,
        };
        if let Some(empty) = empty {
            input.skip(header);
            return Ok(Step::Value(empty));
        }
        self.deeper(header)?;
        input.skip(header);
        let arrived = if self.damage.is_none() { Some(input.rest().len()) } else { None };
        let size = match count {
            Count::Of(count) => Size::Of(count),
            _ => Size::Stream(max.min(MAX_COUNT)),
        };
        self.stack.open(aggregate, size, arrived);
        Ok(Step::Open)
    }

    /// A count, and the bytes of the header that it ends.
    fn count(
        &mut self,
        allowed: Allowed,
        input: &Input<'_>,
    ) -> Result<Option<(Count, usize)>, Fault> {
        let rest = input.rest().get(1..).unwrap_or_default();
        let found = self.line.count(rest, allowed).map_err(behind_type)?;
        let found = found.map(|(count, len)| (count, len + 1));
        match found {
            Some((_, header)) if header as u64 > self.rules.budget(input) => {
                Err((Kind::FrameTooLarge, header - 1))
            }
            _ => Ok(found),
        }
    }

    /// One level more is about to be opened, at the end of a header.
    fn deeper(&mut self, header: usize) -> Result<(), Fault> {
        if self.stack.depth() >= HARD_DEPTH {
            return Err((Kind::TooDeep, header - 1));
        }
        let depth = defect!(25, self.rules.limits.depth + 1, self.rules.limits.depth);
        if self.stack.depth() >= depth {
            #[cfg(resp_defects)]
            if defect!(26) {
                return Err((Kind::TooDeep, header - 1));
            }
            self.damaged(Kind::TooDeep);
        }
        Ok(())
    }

    /// The frame can be skipped but not be used.
    fn damaged(&mut self, kind: Kind) {
        if self.damage.is_none() {
            self.damage = Some(DecodeError::new(kind, self.value_at));
            self.stack.forget();
        }
    }
}

fn behind_type((kind, at): Fault) -> Fault {
    (kind, at + 1)
}
