//! When what is queued leaves, and whether a caller or the driver writes it. What a crowd is, `crowd.rs` says.

use super::State;
use crate::client::clock::Time;
use crate::client::pen::Pen;

/// A queue of so many bytes leaves at once, as a portion of a crowd does (`crowd.rs`).
const LONG: usize = 16 << 10;

/// When a command's bytes go to the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Flush {
    /// By the caller if nothing is on its way or enough has come together, else by the driver with whatever else has come.
    Auto,
    /// By the caller, with all that is queued ahead, unless somebody is writing at this very moment.
    Now,
    /// By the driver.
    #[default]
    Later,
}

impl State {
    /// Whether a caller who has queued something is to write it. `alone` says that nothing else is on its way. In a crowd it is
    /// the one who completes a portion of it.
    #[inline]
    pub(crate) fn writes_here(&self, flush: Flush, alone: bool) -> bool {
        let wants = match flush {
            Flush::Auto => (alone && !self.crowded) || self.is_due(),
            Flush::Now => true,
            Flush::Later => false,
        };
        wants && self.pen.as_deref().is_some_and(Pen::is_dry)
    }

    /// Whether so much is queued that it is to leave at once, whoever is about to add to it.
    #[inline(always)] // of what queues a call
    fn is_due(&self) -> bool {
        self.crowd.has_portion(self.slots.pushed()) || self.out.len() >= LONG
    }

    /// As the driver, at the end of a turn in which so many were answered: whether to let callers ask before it writes.
    pub(crate) fn lets_ask(&mut self, answered: usize, now: Time) -> bool {
        let asked = self.slots.pushed();
        self.crowded = if answered > 1 {
            self.crowd.woke(answered, asked, now);
            self.divide();
            true
        } else {
            let waits = !self.out.is_empty() && !self.is_due();
            waits && self.crowd.is_worth_waiting_for(asked, now)
        };
        self.crowded
    }

    /// Says which command is the next to write all that is queued then.
    #[inline(never)] // rare beside what calls it
    pub(super) fn divide(&mut self) {
        let left = self.slots.pushed() - self.slots.unsent() as u64;
        self.crowd.divide(left, self.slots.sent() == 0);
    }
}
