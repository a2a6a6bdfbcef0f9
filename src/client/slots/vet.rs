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
        replies > self.sent || self.canary.is_out()
    }

    /// Looks at replies that came together. What is wrong with one of them is wrong with all: nobody can tell where it began.
    ///
    /// # Errors
    ///
    /// If they cannot be the answers to the oldest commands.
    pub(crate) fn vet<'a>(&self, replies: impl Iterator<Item = &'a Frame>) -> Result<(), Slip> {
        let sent = self.order.iter().take(self.sent).filter_map(|&index| self.slots.get(index));
        let mut sent = sent.flat_map(|slot| std::iter::repeat_n(slot, replies_of(slot)));
        for reply in replies {
            let Some(slot) = sent.next() else {
                return Err(Slip::Unasked(reply.clone()));
            };
            if !self.canary.allows(reply, matches!(slot.caller, Caller::Canary)) {
                return Err(Slip::Shifted);
            }
        }
        Ok(())
    }
}

/// How many replies of a command, or of a batch, are still to come.
fn replies_of(slot: &Slot) -> usize {
    slot.batch().map_or(1, Gather::missing)
}
