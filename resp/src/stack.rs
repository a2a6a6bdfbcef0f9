//! Aggregates that are being put together: an explicit stack, so that no nesting can exhaust the thread's.
//!
//! Storage is reserved only for children whose bytes may have arrived: three bytes each at least, counted once over all open
//! levels. Once a reply is damaged, levels only count.

use crate::input::Input;
use crate::simple::Run;
use crate::value::Rules;
use crate::{Attributed, DecodeErrorKind as Kind, Frame};

/// The fewest bytes that a value takes: `_`, CR, LF.
pub(crate) const SMALLEST: usize = 3;
/// Storage of an earlier frame is kept up to this many children, pairs counted once.
const SPARE: usize = 1 << 10;

type Pairs = Vec<(Frame, Frame)>;

/// The types that have children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aggregate {
    Array,
    Set,
    Push,
    Map,
    Attribute,
    /// Attributes that are whole and wait for the value that they annotate.
    Annotation,
}

/// How many children an aggregate has; pairs count once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    Of(u64),
    /// Until its end comes, this many at most.
    Stream(u64),
}

/// All open aggregates of one frame, outermost first.
#[derive(Debug, Default)]
pub(crate) struct Stack {
    levels: Vec<Level>,
    /// Children for which storage was reserved on the open levels.
    granted: usize,
    /// Of the levels, outermost first, how many are attributes in front of the whole frame that wait for it.
    in_front: usize,
    /// Whether the frame, without attributes, is a push.
    is_push: bool,
    /// Storage of an earlier frame, for the next aggregate that is opened.
    spare: Vec<Frame>,
    spare_pairs: Pairs,
    run: Run,
}

#[derive(Debug)]
struct Level {
    kind: Aggregate,
    build: Build,
    streamed: bool,
    /// Children to come, keys and values each. Of a stream: children that may come, and of a streamed string, bytes.
    left: u64,
    granted: usize,
}

#[derive(Debug)]
enum Build {
    Items(Vec<Frame>),
    /// While a value is to come, the last pair has null in its place.
    Pairs(Pairs),
    Chunks(Vec<u8>),
    /// Of a damaged reply.
    Counted,
    CountedChunks,
}

impl Stack {
    #[inline]
    pub(crate) fn depth(&self) -> usize {
        self.levels.len()
    }

    /// Whether the frame that has just become whole is a push, perhaps with attributes in front of it.
    pub(crate) fn was_push(&mut self) -> bool {
        std::mem::take(&mut self.is_push)
    }

    /// Opens an aggregate that has children, or attributes; `arrived` bytes of what follows are there. `None` of them matters in
    /// a damaged reply.
    pub(crate) fn open(&mut self, kind: Aggregate, size: Size, arrived: Option<usize>) {
        let paired = matches!(kind, Aggregate::Map | Aggregate::Attribute);
        let (streamed, count) = match size {
            Size::Of(count) => (false, count),
            Size::Stream(at_most) => (true, at_most),
        };
        if self.levels.len() == self.in_front {
            self.is_push = kind == Aggregate::Push;
        }
        let left = count.saturating_mul(if paired { 2 } else { 1 });
        let mut granted = 0;
        let build = match arrived {
            None => Build::Counted,
            Some(arrived) => {
                // A stream may end at once, and would keep what it does not need.
                if !streamed {
                    let room = (arrived / SMALLEST).saturating_sub(self.granted);
                    granted = usize::try_from(left).unwrap_or(usize::MAX).min(room);
                }
                self.build(kind, granted)
            }
        };
        self.granted += granted;
        self.levels.push(Level { kind, build, streamed, left, granted });
        if kind == Aggregate::Attribute && left == 0 {
            self.await_value();
        }
    }

    fn build(&mut self, kind: Aggregate, granted: usize) -> Build {
        match kind {
            Aggregate::Array | Aggregate::Set | Aggregate::Push => {
                let mut items = std::mem::take(&mut self.spare);
                items.reserve_exact(granted);
                Build::Items(items)
            }
            Aggregate::Map => {
                let mut pairs = std::mem::take(&mut self.spare_pairs);
                pairs.reserve_exact(granted / 2);
                Build::Pairs(pairs)
            }
            Aggregate::Attribute | Aggregate::Annotation => {
                Build::Pairs(Vec::with_capacity(granted / 2))
            }
        }
    }

    /// Opens a streamed string of at most so many bytes.
    pub(crate) fn open_chunks(&mut self, at_most: u64, damaged: bool) {
        let build = if damaged { Build::CountedChunks } else { Build::Chunks(Vec::new()) };
        let kind = Aggregate::Array;
        self.levels.push(Level { kind, build, streamed: true, left: at_most, granted: 0 });
    }

    /// The bytes that may still come, if only a chunk may come next.
    pub(crate) fn wants_chunk(&self) -> Option<u64> {
        let level = self.levels.last()?;
        matches!(level.build, Build::Chunks(_) | Build::CountedChunks).then_some(level.left)
    }

    /// Adds to the streamed string.
    pub(crate) fn chunk(&mut self, bytes: &[u8]) {
        let Some(level) = self.levels.last_mut() else { return };
        level.left = level.left.saturating_sub(bytes.len() as u64);
        if let Build::Chunks(chunks) = &mut level.build {
            crate::work::look(bytes.len());
            chunks.extend_from_slice(bytes);
        }
    }

    /// Whether the innermost level may have one value more.
    pub(crate) fn admit(&self) -> Result<(), Kind> {
        match self.levels.last() {
            Some(level) if level.streamed && level.left == 0 => Err(Kind::TooMany),
            _ => Ok(()),
        }
    }

    /// Whether the innermost level is a stream that may end here.
    pub(crate) fn may_end(&self) -> Result<(), Kind> {
        match self.levels.last() {
            Some(level) if !level.streamed => Err(Kind::StrayEnd),
            Some(level) if level.kind == Aggregate::Map && level.left % 2 == 1 => Err(Kind::OddMap),
            Some(_) => Ok(()),
            None => Err(Kind::StrayEnd),
        }
    }

    /// Reads simple values straight into the innermost aggregate, as many as there are; gives the aggregate once it is whole.
    pub(crate) fn fill(&mut self, input: &mut Input<'_>, rules: &Rules) -> Option<Frame> {
        let level = self.levels.last_mut()?;
        if level.streamed {
            return None;
        }
        match (level.kind, &mut level.build) {
            (Aggregate::Array | Aggregate::Set | Aggregate::Push, Build::Items(items)) => {
                while level.left > 0 {
                    if !rules.find(&mut self.run, input, level.left) {
                        items.push(rules.next_scalar(input)?);
                        level.left -= 1;
                        continue;
                    }
                    level.left -= self.run.len();
                    items.extend(self.run.cut(input));
                }
            }
            (Aggregate::Map, Build::Pairs(pairs)) => {
                while level.left > 0 {
                    if !rules.find(&mut self.run, input, level.left) {
                        let value = rules.next_scalar(input)?;
                        level.left -= 1;
                        match pairs.last_mut() {
                            Some((_, empty)) if level.left % 2 == 0 => *empty = value,
                            _ => pairs.push((value, Frame::Null)),
                        }
                        continue;
                    }
                    let odd = level.left % 2 == 1;
                    level.left -= self.run.len();
                    let mut strings = self.run.cut(input);
                    if odd {
                        pairs.last_mut()?.1 = strings.next()?;
                    }
                    while let Some(key) = strings.next() {
                        pairs.push((key, strings.next().unwrap_or_default()));
                    }
                }
            }
            _ => return None,
        }
        Some(self.close())
    }

    /// Closes the innermost level.
    pub(crate) fn close(&mut self) -> Frame {
        let Some(level) = self.levels.pop() else { return Frame::Null };
        self.granted -= level.granted;
        match (level.kind, level.build) {
            (Aggregate::Set, Build::Items(items)) => Frame::Set(items),
            (Aggregate::Push, Build::Items(items)) => Frame::Push(items),
            (_, Build::Items(items)) => Frame::Array(items),
            (_, Build::Pairs(pairs)) => Frame::Map(pairs),
            (_, Build::Chunks(chunks)) => Frame::Bulk(chunks.into()),
            (_, Build::Counted | Build::CountedChunks) => Frame::Null,
        }
    }

    /// Puts a value where it belongs; gives the top-level frame once that is whole.
    pub(crate) fn deliver(&mut self, value: Frame) -> Option<Frame> {
        let mut value = value;
        loop {
            let Some(level) = self.levels.last_mut() else { return Some(value) };
            if level.kind == Aggregate::Annotation {
                value = self.annotated(value);
                continue;
            }
            level.left = level.left.saturating_sub(1);
            match &mut level.build {
                Build::Items(items) => items.push(value),
                Build::Pairs(pairs) => match pairs.last_mut() {
                    Some((_, empty)) if level.left % 2 == 0 => *empty = value,
                    _ => pairs.push((value, Frame::Null)),
                },
                Build::Chunks(_) | Build::Counted | Build::CountedChunks => {}
            }
            if level.streamed || level.left > 0 {
                return None;
            }
            if level.kind == Aggregate::Attribute {
                self.await_value();
                return None;
            }
            value = self.close();
        }
    }

    /// The innermost level is attributes, and whole.
    fn await_value(&mut self) {
        if let Some(level) = self.levels.last_mut() {
            level.kind = Aggregate::Annotation;
        }
        if self.in_front + 1 == self.levels.len() {
            self.in_front += 1;
        }
    }

    /// The value with the attributes that have waited for it.
    fn annotated(&mut self, frame: Frame) -> Frame {
        let whole = self.close();
        self.in_front = self.in_front.min(self.levels.len());
        match whole {
            Frame::Map(attributes) => Frame::Attributed(Box::new(Attributed { attributes, frame })),
            _ => frame,
        }
    }

    /// The reply is damaged: from here on levels only count.
    pub(crate) fn forget(&mut self) {
        self.granted = 0;
        for level in &mut self.levels {
            level.granted = 0;
            level.build = match level.build {
                Build::Chunks(_) | Build::CountedChunks => Build::CountedChunks,
                _ => Build::Counted,
            };
        }
    }

    /// Takes the storage of a frame that is not needed any more.
    #[inline]
    pub(crate) fn reuse(&mut self, frame: Frame) {
        match frame {
            Frame::Array(mut items) | Frame::Set(mut items) | Frame::Push(mut items)
                if items.capacity() <= SPARE =>
            {
                for item in items.drain(..) {
                    if let Frame::Bulk(bytes) = item {
                        drop(bytes);
                    }
                }
                self.spare = items;
            }
            Frame::Map(mut pairs) if pairs.capacity() <= SPARE => {
                pairs.clear();
                self.spare_pairs = pairs;
            }
            _ => {}
        }
    }
}
