//! Gathers the replies to a batch, whose commands share one slot. Pure.

use resp::Frame;

/// The replies so far.
#[derive(Debug)]
pub(crate) struct Gather {
    missing: usize,
    replies: Vec<Frame>,
}

impl Gather {
    /// Nothing yet, of so many.
    pub(crate) fn new(replies: usize) -> Self {
        Self { missing: replies, replies: Vec::new() }
    }

    /// Takes one more, and keeps it if it is `wanted`; gives all that it kept once none is missing.
    pub(crate) fn take_in(&mut self, reply: Frame, wanted: bool) -> Option<Vec<Frame>> {
        self.missing = self.missing.saturating_sub(1);
        if wanted {
            self.replies.push(reply);
        }
        (self.missing == 0).then(|| self.give_up())
    }

    /// How many are still to come.
    pub(crate) fn missing(&self) -> usize {
        self.missing
    }

    /// What has come, if the rest does not matter any more.
    pub(crate) fn give_up(&mut self) -> Vec<Frame> {
        std::mem::take(&mut self.replies)
    }
}
