//! One open level of a frame: an aggregate with the children that have come, or a streamed string.

use crate::Frame;
use crate::input::Input;
use crate::simple::Stop;
use crate::slots::{Items, Pairs};
use crate::value::Rules;
use crate::work::look;

/// The fewest bytes that a value takes: `_`, CR, LF.
pub(crate) const SMALLEST: usize = 3;

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

impl Aggregate {
    pub(crate) fn is_paired(self) -> bool {
        matches!(self, Self::Map | Self::Attribute | Self::Annotation)
    }
}

#[derive(Debug)]
pub(crate) struct Level {
    pub(crate) kind: Aggregate,
    pub(crate) build: Build,
    pub(crate) streamed: bool,
    /// Children to come, keys and values each. Of a stream: children that may come, and of a streamed string, bytes.
    pub(crate) left: u64,
}

#[derive(Debug)]
pub(crate) enum Build {
    Items(Items),
    Pairs(Pairs),
    Chunks(Vec<u8>),
    /// Of a damaged reply.
    Counted,
    CountedChunks,
}

impl Level {
    pub(crate) fn is_string(&self) -> bool {
        matches!(self.build, Build::Chunks(_) | Build::CountedChunks)
    }

    /// Reads simple values straight into their places, as many as there are, where `elsewhere` places wait on other levels. Tells
    /// whether all children are there.
    pub(crate) fn fill(&mut self, elsewhere: usize, input: &mut Input<'_>, rules: &Rules) -> bool {
        loop {
            let (read, stop) = match &mut self.build {
                Build::Items(items) => items.fill(input, rules),
                Build::Pairs(pairs) => pairs.fill(input, rules),
                _ => return false,
            };
            self.left = self.left.saturating_sub(read as u64);
            match stop {
                Stop::Full => {}
                Stop::Long(header, len) => self.add(Frame::Bulk(input.string(header, len))),
                Stop::Other => return false,
            }
            if self.left == 0 {
                return true;
            }
            if self.waiting() == 0 {
                self.make(room(self.left, input.rest().len(), elsewhere));
                if self.waiting() == 0 {
                    return false;
                }
            }
        }
    }

    /// Places that wait, keys and values each.
    pub(crate) fn waiting(&self) -> usize {
        match &self.build {
            Build::Items(items) => items.waiting(),
            Build::Pairs(pairs) => pairs.waiting(),
            _ => 0,
        }
    }

    /// Makes places for so many children.
    fn make(&mut self, room: usize) {
        if let Build::Items(items) = &mut self.build {
            items.make(room);
        } else if let Build::Pairs(pairs) = &mut self.build {
            pairs.make(room / 2);
        }
    }

    /// Adds a child.
    pub(crate) fn add(&mut self, value: Frame) {
        self.left = self.left.saturating_sub(1);
        match &mut self.build {
            Build::Items(items) => items.add(value),
            Build::Pairs(pairs) => pairs.add(value),
            Build::Chunks(_) | Build::Counted | Build::CountedChunks => {}
        }
    }

    /// Adds to a streamed string.
    pub(crate) fn chunk(&mut self, bytes: &[u8]) {
        self.left = self.left.saturating_sub(bytes.len() as u64);
        if let Build::Chunks(chunks) = &mut self.build {
            look(bytes.len());
            chunks.extend_from_slice(bytes);
        }
    }

    /// The frame that this has become; of a damaged reply, something in its place.
    pub(crate) fn finish(self) -> Frame {
        match (self.kind, self.build) {
            (Aggregate::Set, Build::Items(items)) => Frame::Set(items.finish()),
            (Aggregate::Push, Build::Items(items)) => Frame::Push(items.finish()),
            (_, Build::Items(items)) => Frame::Array(items.finish()),
            (_, Build::Pairs(pairs)) => Frame::Map(pairs.finish()),
            (_, Build::Chunks(chunks)) => Frame::Bulk(chunks.into()),
            (_, Build::Counted | Build::CountedChunks) => Frame::Null,
        }
    }

    /// The reply is damaged: only counts from here on.
    pub(crate) fn forget(&mut self) {
        self.build = if self.is_string() { Build::CountedChunks } else { Build::Counted };
    }
}

/// For how many of `left` children there may be places: for those that may have arrived, less the places that wait elsewhere.
pub(crate) fn room(left: u64, arrived: usize, elsewhere: usize) -> usize {
    let room = (defect!(39, 1 << 18, arrived) / SMALLEST).saturating_sub(elsewhere);
    usize::try_from(left).unwrap_or(usize::MAX).min(room)
}
