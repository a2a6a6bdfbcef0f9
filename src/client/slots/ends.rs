//! How commands end without a reply: late, withdrawn, or lost with their connection. Pure.

use super::Slots;
use crate::client::clock::Time;
use crate::client::listener::{BOUND, Outbox};
use crate::client::slot::Caller;
use crate::client::trace::End;
use crate::error::{Circumstances, Error, Outcome};

/// What a look at the deadlines came to.
#[derive(Debug, PartialEq)]
pub(crate) struct Expired {
    /// How many there were.
    pub(crate) count: u64,
    /// Whether some were not sent: [`Slots::withdraw`] takes those back.
    pub(crate) unsent: bool,
    /// The next deadline.
    pub(crate) next: Time,
}

impl Slots {
    /// Answers the callers whose deadline has come; `cause` is why nothing was sent, where that is known, and
    /// `known` is what else there is to say.
    ///
    /// Sent commands keep their slots, and the canary has reason to sing.
    pub(crate) fn expire(
        &mut self,
        now: Time,
        cause: Option<&Error>,
        known: Option<&Circumstances>,
        out: &mut Outbox,
    ) -> Expired {
        let mut expired = Expired { count: 0, unsent: false, next: Time::NEVER };
        for (position, &index) in self.order.iter().enumerate() {
            let Some(slot) = self.slots.get_mut(index).filter(|slot| slot.is_wanted()) else {
                continue;
            };
            let Some(seen) = self.waves.time(slot.wave) else { break };
            let deadline = seen.later(slot.patience);
            if deadline > now || defect!(10) && position < self.sent {
                expired.next = expired.next.min(deadline);
                continue;
            }
            let error = if position < self.sent {
                self.canary.doubt();
                let outcome = defect!(9, Outcome::NotSent, Outcome::Unknown);
                Error::timed_out(slot.patience.duration(), outcome, None, known)
            } else {
                expired.unsent = !defect!(5);
                Error::timed_out(slot.patience.duration(), Outcome::NotSent, cause, known)
            };
            expired.count += 1;
            slot.answer(Err(error), out);
        }
        expired
    }

    /// Drops the unsent commands that nobody waits for any more; `keep` is told the length of each unsent command and
    /// whether it stays, in the order of the write buffer.
    pub(crate) fn withdraw(&mut self, out: &mut Outbox, mut keep: impl FnMut(usize, bool)) {
        let mut unsent = self.order.split_off(self.sent.min(self.order.len()));
        unsent.retain(|&index| {
            let Some(slot) = self.slots.get_mut(index) else { return false };
            let wanted = slot.is_wanted() || matches!(slot.caller, Caller::Canary);
            keep(slot.len, wanted);
            if !wanted {
                slot.owed = false;
                self.bytes -= slot.len;
                slot.end(|| End::Withdrawn, out);
                if matches!(slot.caller, Caller::Gone) {
                    self.free.push(index);
                }
            }
            wanted
        });
        self.order.append(&mut unsent);
    }

    /// The connection is lost: fails every command that was sent, except the last ones whose `unwritten` bytes never
    /// reached the socket whole; those count as unsent again. Returns how many of the unwritten bytes they take.
    pub(crate) fn disconnected(
        &mut self,
        unwritten: usize,
        error: &Error,
        out: &mut Outbox,
    ) -> usize {
        let mut kept = 0;
        while let Some(slot) = self.sent.checked_sub(1).and_then(|last| self.order.get(last)) {
            let len = self.slots.get(*slot).map_or(0, |slot| slot.len);
            if kept + len > unwritten {
                break;
            }
            kept += len;
            self.sent -= 1;
        }
        let lost = error.with_outcome(defect!(8, Outcome::NotSent, Outcome::Unknown));
        for _ in 0..std::mem::take(&mut self.sent) {
            self.answer_oldest(Err(lost.clone()), out);
        }
        kept
    }

    /// Fails the commands that were for the connection that is lost, and were not sent: [`Slots::withdraw`] takes those back.
    pub(crate) fn release_bound(&mut self, error: &Error, out: &mut Outbox) {
        let error = error.with_outcome(Outcome::NotSent);
        for &index in self.order.iter().skip(self.sent) {
            let Some(slot) = self.slots.get_mut(index) else { continue };
            if matches!(slot.caller, Caller::Listener(tag) if tag & BOUND != 0 && !defect!(63)) {
                slot.answer(Err(error.clone()), out);
            }
        }
    }

    /// Fails every command that is left, none of which was sent.
    pub(crate) fn fail_all(&mut self, error: &Error, out: &mut Outbox) {
        self.sent = 0;
        let error = error.with_outcome(Outcome::NotSent);
        while !self.order.is_empty() {
            self.answer_oldest(Err(error.clone()), out);
        }
    }
}
