//! What replies can and cannot be, before anybody is given the first of them. Pure.

use super::Slots;
use crate::client::gather::Gather;
use crate::client::slot::{Caller, Slot};
use resp::Frame;

/// Why a reply can be nobody's.
#[derive(Debug, PartialEq)]
pub(crate) enum Slip {
    /// No command has been sent that it could answer.
    Unasked(Frame),
    /// Replies no longer belong to their commands.
    Shifted,
}

impl Slots {
    /// Whether so many replies that came together are to be looked at before anybody is given the first: there is one too
    /// many, or the canary's may be among them.
    pub(crate) fn must_vet(&self, replies: usize) -> bool {
        replies > self.sent && !defect!(3) || self.canary.is_out()
    }

    /// Looks at replies that came together, at most so many. What is wrong with one of them is wrong with all: nobody can tell
    /// where it began.
    ///
    /// # Errors
    ///
    /// If they cannot be the answers to the oldest commands.
    pub(crate) fn vet<'a>(
        &self,
        replies: impl Iterator<Item = &'a Frame>,
        at_most: usize,
    ) -> Result<(), Slip> {
        let canary = self.before_canary(at_most);
        // Every command is owed one at least.
        let owed = if at_most > self.sent { self.owed_replies() } else { at_most };
        for (at, reply) in replies.enumerate() {
            if at >= owed {
                return Err(Slip::Unasked(reply.clone()));
            }
            if !self.canary.allows(reply, canary == Some(at)) {
                return Err(Slip::Shifted);
            }
        }
        Ok(())
    }

    /// How many replies come before the canary's own, where that may be among the next `at_most`.
    fn before_canary(&self, at_most: usize) -> Option<usize> {
        if !self.canary.is_out() {
            return None;
        }
        let mut before = 0;
        for &index in self.order.iter().take(self.sent.min(at_most)) {
            let slot = self.slots.get(index)?;
            if matches!(slot.caller, Caller::Canary) {
                return Some(before);
            }
            before += replies_of(slot);
        }
        None
    }

    /// How many replies the commands that were sent are still to get.
    fn owed_replies(&self) -> usize {
        let sent = self.order.iter().take(self.sent).filter_map(|&index| self.slots.get(index));
        sent.map(replies_of).sum()
    }
}

/// How many replies of a command, or of a batch, are still to come.
fn replies_of(slot: &Slot) -> usize {
    match slot.extra {
        None => 1,
        Some(_) => slot.batch().map_or(1, Gather::missing),
    }
}
