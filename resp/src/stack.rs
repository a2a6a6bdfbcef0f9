//! Aggregates that are being put together: an explicit stack, so that no nesting can exhaust the thread's.
//!
//! Storage is reserved only for children whose bytes may have arrived: three bytes each at least, counted once over all open
//! levels. Once a reply is damaged, levels only count.

use crate::{Attributed, Frame};
use bytes::BytesMut;

/// The fewest bytes that a value takes: `_`, CR, LF.
const SMALLEST: usize = 3;

type Pairs = Vec<(Frame, Frame)>;

/// The types that have children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aggregate {
    Array,
    Set,
    Push,
    Map,
    Attribute,
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
    /// Storage of an earlier frame, for the next aggregate that is opened.
    spare: Vec<Frame>,
    spare_pairs: Pairs,
}

#[derive(Debug)]
struct Level {
    build: Build,
    /// Children to come, keys and values each; of a stream, children that may come.
    left: u64,
    streamed: bool,
    paired: bool,
    granted: usize,
}

#[derive(Debug)]
enum Build {
    Array(Vec<Frame>),
    Set(Vec<Frame>),
    Push(Vec<Frame>),
    Map(Pairs, Option<Frame>),
    Attribute(Pairs, Option<Frame>),
    /// Attributes that wait for the value they annotate.
    Annotated(Pairs),
    Chunks(BytesMut),
    /// Of a damaged reply. Attributes are followed by the value that they annotate.
    Counted(Counted),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counted {
    Plain,
    Attribute,
    Chunks,
}

/// Why a stream cannot end here, or a value cannot come here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misplaced {
    StrayEnd,
    OddMap,
    TooMany,
}

impl Stack {
    pub(crate) fn depth(&self) -> usize {
        self.levels.len()
    }

    /// Opens an aggregate that has children, or attributes; `arrived` bytes of what follows are there. `None` of them matters in
    /// a damaged reply.
    pub(crate) fn open(&mut self, kind: Aggregate, size: Size, arrived: Option<usize>) {
        let paired = matches!(kind, Aggregate::Map | Aggregate::Attribute);
        let (streamed, count) = match size {
            Size::Of(count) => (false, count),
            Size::Stream(at_most) => (true, at_most),
        };
        let left = count.saturating_mul(if paired { 2 } else { 1 });
        let mut granted = 0;
        let build = match arrived {
            None if kind == Aggregate::Attribute => Build::Counted(Counted::Attribute),
            None => Build::Counted(Counted::Plain),
            Some(arrived) => {
                let room = (arrived / SMALLEST).saturating_sub(self.granted);
                granted = usize::try_from(left).unwrap_or(usize::MAX).min(room);
                self.build(kind, granted)
            }
        };
        self.granted += granted;
        self.levels.push(Level { build, left, streamed, paired, granted });
        if kind == Aggregate::Attribute && left == 0 {
            self.complete();
        }
    }

    fn build(&mut self, kind: Aggregate, granted: usize) -> Build {
        match kind {
            Aggregate::Array => Build::Array(self.items(granted)),
            Aggregate::Set => Build::Set(self.items(granted)),
            Aggregate::Push => Build::Push(self.items(granted)),
            Aggregate::Attribute => Build::Attribute(Vec::with_capacity(granted / 2), None),
            Aggregate::Map => {
                let mut pairs = std::mem::take(&mut self.spare_pairs);
                pairs.reserve(granted / 2);
                Build::Map(pairs, None)
            }
        }
    }

    fn items(&mut self, granted: usize) -> Vec<Frame> {
        let mut items = std::mem::take(&mut self.spare);
        items.reserve(granted);
        items
    }

    /// Opens a streamed string.
    pub(crate) fn open_chunks(&mut self, damaged: bool) {
        let build =
            if damaged { Build::Counted(Counted::Chunks) } else { Build::Chunks(BytesMut::new()) };
        self.levels.push(Level { build, left: 0, streamed: true, paired: false, granted: 0 });
    }

    /// Whether only a chunk may come next.
    pub(crate) fn wants_chunk(&self) -> bool {
        let build = self.levels.last().map(|level| &level.build);
        matches!(build, Some(Build::Chunks(_) | Build::Counted(Counted::Chunks)))
    }

    /// The bytes of the streamed string so far; none in a damaged reply.
    pub(crate) fn chunks(&mut self) -> Option<&mut BytesMut> {
        match self.levels.last_mut().map(|level| &mut level.build) {
            Some(Build::Chunks(chunks)) => Some(chunks),
            _ => None,
        }
    }

    /// Closes the innermost stream at its end.
    pub(crate) fn end_stream(&mut self) -> Result<Frame, Misplaced> {
        match self.levels.last() {
            Some(level) if level.streamed && level.paired && level.left % 2 == 1 => {
                Err(Misplaced::OddMap)
            }
            Some(level) if level.streamed => Ok(self.close()),
            _ => Err(Misplaced::StrayEnd),
        }
    }

    /// Closes the innermost level.
    pub(crate) fn close(&mut self) -> Frame {
        let Some(level) = self.levels.pop() else { return Frame::Null };
        self.granted -= level.granted;
        match level.build {
            Build::Array(items) => Frame::Array(items),
            Build::Set(items) => Frame::Set(items),
            Build::Push(items) => Frame::Push(items),
            Build::Map(pairs, _) => Frame::Map(pairs),
            Build::Chunks(chunks) => Frame::Bulk(chunks.freeze()),
            Build::Attribute(..) | Build::Annotated(_) | Build::Counted(_) => Frame::Null,
        }
    }

    /// Puts a value where it belongs; gives the top-level frame once that is whole.
    pub(crate) fn deliver(&mut self, value: Frame) -> Result<Option<Frame>, Misplaced> {
        let mut value = value;
        loop {
            let Some(level) = self.levels.last_mut() else { return Ok(Some(value)) };
            if let Build::Annotated(pairs) = &mut level.build {
                let attributes = std::mem::take(pairs);
                self.close();
                value = Frame::Attributed(Box::new(Attributed { attributes, frame: value }));
                continue;
            }
            if level.left == 0 {
                return Err(Misplaced::TooMany); // only a stream can be full and open
            }
            level.left -= 1;
            level.build.add(value);
            if level.streamed || level.left > 0 {
                return Ok(None);
            }
            match self.complete() {
                Some(whole) => value = whole,
                None => return Ok(None),
            }
        }
    }

    /// The innermost level has all its children: closes it, unless it is attributes, which wait for their value.
    fn complete(&mut self) -> Option<Frame> {
        let level = self.levels.last_mut()?;
        match &mut level.build {
            Build::Attribute(pairs, _) => level.build = Build::Annotated(std::mem::take(pairs)),
            Build::Counted(counted @ Counted::Attribute) => *counted = Counted::Plain,
            _ => return Some(self.close()),
        }
        (level.left, level.paired) = (1, false);
        None
    }

    /// The reply is damaged: from here on levels only count.
    pub(crate) fn forget(&mut self) {
        self.granted = 0;
        for level in &mut self.levels {
            level.granted = 0;
            level.build = Build::Counted(match level.build {
                Build::Attribute(..) | Build::Counted(Counted::Attribute) => Counted::Attribute,
                Build::Chunks(_) | Build::Counted(Counted::Chunks) => Counted::Chunks,
                _ => Counted::Plain,
            });
        }
    }

    /// Takes the storage of a frame that is not needed any more.
    pub(crate) fn reuse(&mut self, frame: Frame) {
        match frame {
            Frame::Array(mut items) | Frame::Set(mut items) | Frame::Push(mut items) => {
                items.clear();
                self.spare = items;
            }
            Frame::Map(mut pairs) => {
                pairs.clear();
                self.spare_pairs = pairs;
            }
            _ => {}
        }
    }
}

impl Build {
    fn add(&mut self, value: Frame) {
        match self {
            Self::Array(items) | Self::Set(items) | Self::Push(items) => items.push(value),
            Self::Map(pairs, key) | Self::Attribute(pairs, key) => match key.take() {
                Some(key) => pairs.push((key, value)),
                None => *key = Some(value),
            },
            Self::Annotated(_) | Self::Chunks(_) | Self::Counted(_) => {}
        }
    }
}
