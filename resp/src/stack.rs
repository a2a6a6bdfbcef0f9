//! Aggregates that are being put together: an explicit stack, so that no nesting can exhaust the thread's.
//!
//! There are places only for children whose bytes may have arrived: three bytes each at least, counted once over all open
//! levels. Once a reply is damaged, levels only count.

use crate::input::Input;
use crate::level::{Aggregate, Build, Level, room};
use crate::slots::{Items, Pairs, vacate};
use crate::value::Rules;
use crate::{Attributed, DecodeErrorKind as Kind, Frame};

/// Storage of an earlier frame is kept up to this many children, pairs counted once.
const SPARE: usize = 1 << 10;

/// How many children an aggregate has; pairs count once.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Size {
    Of(u64),
    /// Until its end comes, this many at most.
    Stream(u64),
}

/// All open aggregates of one frame, outermost first.
#[derive(Debug, Default)]
pub(crate) struct Stack {
    levels: Vec<Level>,
    /// Places that wait on the open levels, keys and values each.
    waiting: usize,
    /// Of the levels, outermost first, how many are attributes in front of the whole frame that wait for it.
    in_front: usize,
    /// Whether the frame, without attributes, is a push.
    is_push: bool,
    /// Places of an earlier frame, all of which wait, for the next aggregate that is opened.
    spare: Vec<Frame>,
    spare_pairs: Vec<(Frame, Frame)>,
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
        if self.levels.len() == self.in_front {
            self.is_push = kind == Aggregate::Push;
        }
        let (streamed, count) = match size {
            Size::Of(count) => (false, count),
            Size::Stream(at_most) => (true, at_most),
        };
        let left = count.saturating_mul(if kind.is_paired() && !defect!(35) { 2 } else { 1 });
        // A stream may end at once, and would keep what it does not need.
        let expected = if streamed { 0 } else { left };
        let build = match arrived {
            None => Build::Counted,
            Some(arrived) => self.build(kind, expected, room(expected, arrived, self.waiting)),
        };
        let level = Level { kind, build, streamed, left };
        self.waiting += level.waiting();
        self.levels.push(level);
        if kind == Aggregate::Attribute && left == 0 {
            self.await_value();
        }
    }

    /// Begins an aggregate of so many children, with places for some.
    fn build(&mut self, kind: Aggregate, children: u64, room: usize) -> Build {
        let children = usize::try_from(children).unwrap_or(usize::MAX);
        if kind.is_paired() {
            let spare = std::mem::take(&mut self.spare_pairs);
            let mut pairs = Pairs::reusing(spare, children / 2);
            pairs.make(room.saturating_sub(pairs.waiting()) / 2);
            Build::Pairs(pairs)
        } else {
            let mut items = Items::reusing(std::mem::take(&mut self.spare), children);
            items.make(room.saturating_sub(items.waiting()));
            Build::Items(items)
        }
    }

    /// Opens a streamed string of at most so many bytes.
    pub(crate) fn open_chunks(&mut self, at_most: u64, damaged: bool) {
        let build = if damaged { Build::CountedChunks } else { Build::Chunks(Vec::new()) };
        self.levels.push(Level { kind: Aggregate::Array, build, streamed: true, left: at_most });
    }

    /// The bytes that may still come, if only a chunk may come next.
    pub(crate) fn wants_chunk(&self) -> Option<u64> {
        self.levels.last().filter(|level| level.is_string()).map(|level| level.left)
    }

    /// Adds to the streamed string.
    pub(crate) fn chunk(&mut self, bytes: &[u8]) {
        if let Some(level) = self.levels.last_mut() {
            level.chunk(bytes);
        }
    }

    /// Whether the innermost level may have one value more.
    pub(crate) fn admit(&self) -> Result<(), Kind> {
        match self.levels.last() {
            Some(level) if level.streamed && level.left == 0 && !defect!(32) => Err(Kind::TooMany),
            _ => Ok(()),
        }
    }

    /// Whether the innermost level is a stream that may end here.
    pub(crate) fn may_end(&self) -> Result<(), Kind> {
        match self.levels.last() {
            Some(level) if !level.streamed => Err(Kind::StrayEnd),
            Some(level) if level.kind == Aggregate::Map && level.left % 2 == 1 && !defect!(31) => {
                Err(Kind::OddMap)
            }
            Some(_) => Ok(()),
            None => Err(Kind::StrayEnd),
        }
    }

    /// Reads simple values straight into the innermost aggregate, as many as there are; gives the aggregate once it is whole.
    pub(crate) fn fill(&mut self, input: &mut Input<'_>, rules: &Rules) -> Option<Frame> {
        let level = self.levels.last_mut()?;
        let fillable = !level.streamed
            && matches!(
                level.kind,
                Aggregate::Array | Aggregate::Set | Aggregate::Push | Aggregate::Map
            )
            && rules.is_ample(input.rest().len(), input.position());
        if !fillable {
            return None;
        }
        let elsewhere = self.waiting - level.waiting();
        let whole = level.fill(elsewhere, input, rules);
        self.waiting = elsewhere + level.waiting();
        whole.then(|| self.close())
    }

    /// Closes the innermost level.
    pub(crate) fn close(&mut self) -> Frame {
        let Some(level) = self.levels.pop() else { return Frame::Null };
        self.waiting = self.waiting.saturating_sub(level.waiting());
        level.finish()
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
            let before = level.waiting();
            level.add(value);
            self.waiting = self.waiting + level.waiting() - before;
            if level.streamed || level.left > 0 {
                return None;
            }
            if level.kind == Aggregate::Attribute && !defect!(33) {
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
        if self.in_front + 1 == self.levels.len() && !defect!(12) {
            self.in_front += 1;
        }
    }

    /// The value with the attributes that have waited for it.
    fn annotated(&mut self, frame: Frame) -> Frame {
        let whole = self.close();
        self.in_front = self.in_front.min(self.levels.len());
        match whole {
            Frame::Map(attributes) if !defect!(34) => {
                Frame::Attributed(Box::new(Attributed { attributes, frame }))
            }
            _ => frame,
        }
    }

    /// The reply is damaged: from here on levels only count.
    pub(crate) fn forget(&mut self) {
        self.waiting = 0;
        self.levels.iter_mut().for_each(Level::forget);
    }

    /// Takes the storage of a frame that is not needed any more.
    #[inline(never)] // a frame of one value has none, and should not have to make room for this
    pub(crate) fn reuse(&mut self, frame: Frame) {
        match frame {
            Frame::Array(mut items) | Frame::Set(mut items) | Frame::Push(mut items)
                if items.capacity() <= SPARE =>
            {
                items.iter_mut().for_each(vacate);
                self.spare = items;
            }
            Frame::Map(mut pairs) if pairs.capacity() <= SPARE => {
                pairs.iter_mut().for_each(|(key, value)| {
                    vacate(key);
                    vacate(value);
                });
                self.spare_pairs = pairs;
            }
            _ => {}
        }
    }
}
