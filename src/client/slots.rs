//! Pairs replies with commands: one slot per command, first in, first out.
//!
//! Invariant: `order` holds every command that still owes or expects a reply, oldest first; the first `sent` of them
//! have left the write buffer, the bytes of the others are in it, in the same order. A slot stays in `order` when its
//! caller goes or gives up, until the reply has come, so no reply can ever reach another caller. That the server keeps to
//! the order is what the canary (`canary.rs`) proves from time to time.
//!
//! A batch of commands has one slot for all of them: it leaves, is withdrawn and fails as one, so that no half of a
//! transaction can ever be sent.
//!
//! Pure: time comes in as an argument, once for all commands of a wave (`waves.rs`), and wakers and notices go out to be
//! delivered outside the lock.

mod ends;
mod vet;

pub(crate) use vet::Slip;

use crate::client::canary::{Canary, Words};
use crate::client::clock::{Span, Time};
use crate::client::gather::Gather;
use crate::client::listener::{Notice, Outbox, Tag};
use crate::client::slot::{Abandoned, Caller, Extra, Slot};
use crate::client::trace::Trace;
use crate::client::waves::{Tally, Waves};
use crate::error::{Error, Outcome};
use resp::Frame;
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// So many slots are kept, whether they were needed or not.
const KEPT_SLOTS: usize = 16;

/// Names one use of one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotId {
    index: usize,
    generation: u32,
}

/// An answer that the server owes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Owed {
    pub(crate) since: Time,
    /// How long its caller said that it may take, where that is longer than usual.
    pub(crate) allowed_until: Time,
}

/// All slots of one connection.
#[derive(Debug)]
pub(crate) struct Slots {
    canary: Canary,
    slots: Vec<Slot>,
    free: Vec<usize>,
    order: VecDeque<usize>,
    sent: usize,
    bytes: usize,
    /// How many slots were pushed. It numbers them: no two uses of one slot have the same, also after memory was given back.
    pushed: u64,
    /// The most slots in use since memory was given back last.
    peak: usize,
    waves: Waves,
    /// Whether there is a wave whose time is still to come, and the shortest patience in it.
    unseen: bool,
    hurry: Span,
}

impl Slots {
    pub(crate) fn new(canary: Canary) -> Self {
        Self {
            canary,
            slots: Vec::new(),
            free: Vec::new(),
            order: VecDeque::new(),
            sent: 0,
            bytes: 0,
            pushed: 0,
            peak: 0,
            waves: Waves::default(),
            unseen: false,
            hurry: Span::MAX,
        }
    }

    /// How many commands there were so far.
    pub(crate) fn pushed(&self) -> u64 {
        self.pushed
    }

    /// Commands that were sent and not answered.
    pub(crate) fn sent(&self) -> usize {
        self.sent
    }

    /// Commands that were queued and not sent.
    #[inline]
    pub(crate) fn unsent(&self) -> usize {
        self.order.len() - self.sent
    }

    /// Gives memory back that a burst has taken: what is four times as much as was needed since this was done last.
    pub(crate) fn trim(&mut self) {
        let needed = (2 * std::mem::take(&mut self.peak)).max(KEPT_SLOTS);
        if self.slots.capacity() > 2 * needed {
            // A slot in use stays where it is, and the others behind the last of those go.
            let in_use = self.slots.iter().rposition(|slot| !slot.is_free()).map_or(0, |at| at + 1);
            let kept = in_use.max(needed);
            self.slots.truncate(kept);
            self.slots.shrink_to(kept);
            // The lowest are used first from now on, so that the last ones become free.
            self.free.retain(|&index| index < kept);
            self.free.sort_unstable_by(|left, right| right.cmp(left));
            self.free.shrink_to(kept);
        }
        self.order.shrink_to(needed);
        self.waves.trim(needed);
    }

    /// Commands that wait for their reply, sent or not.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// Encoded bytes of all commands that wait for their reply.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends a slot for a command of `len` bytes that was just put at the end of the write buffer. Whoever waits is woken by
    /// `waker`, or polls.
    #[inline(always)]
    pub(crate) fn push(&mut self, len: usize, patience: Span, waker: Option<Waker>) -> SlotId {
        self.push_for(Caller::Waiting(waker), len, patience)
    }

    /// The same for a command whose reply goes to the listener.
    #[inline]
    pub(crate) fn push_tagged(&mut self, tag: Tag, len: usize, patience: Span) {
        self.push_for(Caller::Listener(tag), len, patience);
    }

    /// Whether it is time for the canary to sing.
    #[inline]
    pub(crate) fn is_canary_due(&self) -> bool {
        self.canary.is_due()
    }

    /// What the canary is to sing now, if it is time. The caller puts it at the end of the write buffer, and says so with
    /// [`Slots::push_canary`].
    pub(crate) fn canary_due(&mut self) -> Option<Words> {
        self.canary.due()
    }

    /// Appends a slot for the canary's command, for which nobody has a deadline.
    pub(crate) fn push_canary(&mut self, len: usize) {
        let hurry = self.hurry;
        self.push_for(Caller::Canary, len, Span::ZERO);
        self.hurry = hurry;
    }

    /// Lets the canary sing when it can next.
    pub(crate) fn doubt(&mut self) {
        self.canary.doubt();
    }

    #[inline(always)] // with what queues a call it is one function: entering and leaving another costs a fourth of this
    fn push_for(&mut self, caller: Caller, len: usize, patience: Span) -> SlotId {
        self.pushed += 1;
        let (generation, wave) = (self.pushed as u32, self.waves.next());
        let slot = Slot { generation, wave, owed: true, caller, len, patience, extra: None };
        let index = self.free.pop().unwrap_or(self.slots.len());
        match self.slots.get_mut(index) {
            Some(vacant) => vacant.reuse(slot),
            None => self.slots.push(slot),
        }
        self.order.push_back(index);
        self.bytes += len;
        self.unseen = true;
        self.hurry = self.hurry.min(patience);
        SlotId { index, generation }
    }

    /// The same for several commands with a reply each, which are answered together.
    pub(crate) fn push_batch(&mut self, replies: usize, len: usize, patience: Span) -> SlotId {
        let id = self.push(len, patience, None);
        if let Some(slot) = self.slots.get_mut(id.index) {
            let batch = Some(Gather::new(replies));
            slot.extra = Some(Box::new(Extra { batch, trace: None }));
        }
        id
    }

    /// The command that was pushed last is observed.
    pub(crate) fn observe_last(&mut self, trace: Arc<Trace>) {
        let last = self.order.back().and_then(|&index| self.slots.get_mut(index));
        if let Some(slot) = last {
            slot.extra.get_or_insert_default().trace = Some(trace);
        }
    }

    /// Tells the time of what was queued since it was told last; gives the first of the deadlines that this makes.
    #[inline]
    pub(crate) fn stamp(&mut self, now: Time) -> Time {
        if !std::mem::take(&mut self.unseen) {
            return Time::NEVER;
        }
        self.waves.stamp(now);
        now.later(std::mem::replace(&mut self.hurry, Span::MAX))
    }

    /// Says that the write buffer was handed on whole; gives the first deadline as [`Slots::stamp`] does.
    #[inline(always)]
    pub(crate) fn all_sent(&mut self, now: Time) -> Time {
        self.sent = self.order.len();
        self.peak = self.peak.max(self.sent);
        self.stamp(now)
    }

    /// Takes the reply to the oldest command out of its place.
    ///
    /// # Errors
    ///
    /// If the reply cannot be the oldest command's; nobody gets it, and no later one can be trusted.
    #[inline]
    pub(crate) fn complete(
        &mut self,
        reply: &mut Frame,
        tally: &mut Tally<'_>,
        out: &mut Outbox,
    ) -> Result<(), Slip> {
        let oldest = if self.sent > 0 { self.order.pop_front() } else { None };
        let Some((index, slot)) = oldest.and_then(|at| Some((at, self.slots.get_mut(at)?))) else {
            return defect!(3, Ok(()), Err(Slip::Unasked(std::mem::take(reply))));
        };
        tally.note(slot.wave, &self.waves);
        // One who waits for one reply: nearly always. The reply moves once.
        let (Caller::Waiting(_) | Caller::Listener(_), None) = (&slot.caller, &slot.extra) else {
            self.order.push_front(index);
            return self.complete_unusual(std::mem::take(reply), out);
        };
        if self.canary.is_shifted(reply, false) {
            self.order.push_front(index);
            return Err(Slip::Shifted);
        }
        let reply = Ok(std::mem::take(reply));
        match &mut slot.caller {
            Caller::Listener(tag) => {
                out.notices.push(Notice::Reply(*tag, reply));
                out.replies += 1;
                slot.caller = Caller::Gone;
                self.free.push(index);
            }
            caller => {
                if let Caller::Waiting(waker) = caller {
                    if let Some(waker) = waker.take() {
                        out.wakers.push(waker);
                    }
                }
                slot.fill(reply);
            }
        }
        slot.owed = false;
        self.bytes -= slot.len;
        let next = if self.order.is_empty() { self.waves.next() } else { slot.wave };
        self.waves.forget_before(next);
        self.sent -= 1;
        Ok(())
    }

    /// The same where the oldest command is a batch, is observed, or has no caller who waits.
    fn complete_unusual(&mut self, reply: Frame, out: &mut Outbox) -> Result<(), Slip> {
        let Some(slot) = self.order.front().and_then(|&index| self.slots.get_mut(index)) else {
            return Ok(());
        };
        if self.canary.is_shifted(&reply, matches!(slot.caller, Caller::Canary)) {
            return Err(Slip::Shifted);
        }
        let wanted = matches!(slot.caller, Caller::Waiting(_));
        let reply = match slot.batch_mut() {
            Some(_) if defect!(19) && !wanted => reply,
            None => reply,
            Some(batch) => match batch.take_in(reply, wanted) {
                Some(replies) => Frame::Array(replies),
                None => return Ok(()),
            },
        };
        self.sent -= 1;
        self.answer_oldest(Ok(reply), out);
        Ok(())
    }

    /// Looks for the answer of a command; remembers the waker where there is none yet.
    #[inline(always)] // one function with the lock around it
    pub(crate) fn poll(&mut self, id: SlotId, cx: &Context<'_>) -> Poll<Result<Frame, Error>> {
        let Some(slot) = self.slots.get_mut(id.index).filter(|s| s.generation == id.generation)
        else {
            return Poll::Ready(Err(Error::closed(Outcome::Unknown)));
        };
        if let Caller::Waiting(waker) = &mut slot.caller {
            match waker {
                Some(waker) if waker.will_wake(cx.waker()) => {}
                _ => *waker = Some(cx.waker().clone()),
            }
            return Poll::Pending;
        }
        match std::mem::replace(&mut slot.caller, Caller::Gone) {
            Caller::Answered(answer) => {
                if !slot.owed {
                    self.free.push(id.index);
                }
                Poll::Ready(answer)
            }
            Caller::Waiting(_) | Caller::Gone | Caller::Canary | Caller::Listener(_) => {
                Poll::Ready(Err(Error::closed(Outcome::Unknown)))
            }
        }
    }

    /// As [`Slots::poll`], for a batch: what has come, and why the rest will not.
    pub(crate) fn poll_batch(
        &mut self,
        id: SlotId,
        cx: &Context<'_>,
    ) -> Poll<(Vec<Frame>, Option<Error>)> {
        self.poll(id, cx).map(|answer| match answer {
            Ok(Frame::Array(replies)) => (replies, None),
            Ok(reply) => (vec![reply], None),
            Err(error) => {
                let slot = self.slots.get_mut(id.index).filter(|s| s.generation == id.generation);
                let batch = slot.and_then(Slot::batch_mut);
                (batch.map(Gather::give_up).unwrap_or_default(), Some(error))
            }
        })
    }

    /// The caller went away; the slot stays until its reply has come. Gives what the caller leaves behind, to be dropped
    /// without the lock.
    pub(crate) fn abandon(&mut self, id: SlotId) -> Option<Abandoned> {
        let slot = self.slots.get_mut(id.index).filter(|s| s.generation == id.generation)?;
        if matches!(slot.caller, Caller::Gone) {
            return None; // answered and fetched before
        }
        let left = std::mem::replace(&mut slot.caller, Caller::Gone);
        if defect!(1) {
            slot.owed = false;
            self.order.retain(|&index| index != id.index);
            self.sent = self.sent.saturating_sub(1);
        }
        if !slot.owed {
            self.free.push(id.index);
        }
        Some(left)
    }

    /// The answer that is due next, if the server owes one. Calls usually get `patience`.
    pub(crate) fn owed(&self, patience: Span) -> Option<Owed> {
        let slot = self.oldest().filter(|_| self.sent > 0)?;
        let since = self.waves.time(slot.wave)?;
        // A caller says how long it may take; what the listener asks gets no more time than usual.
        let longer = slot.patience > patience && !matches!(slot.caller, Caller::Listener(_));
        let allowed_until = if longer { since.later(slot.patience) } else { since };
        Some(Owed { since, allowed_until })
    }

    fn oldest(&self) -> Option<&Slot> {
        self.order.front().and_then(|&index| self.slots.get(index))
    }

    /// Takes the oldest command out of `order` and answers its caller.
    fn answer_oldest(&mut self, answer: Result<Frame, Error>, out: &mut Outbox) {
        let Some(index) = self.order.pop_front() else { return };
        let Some(slot) = self.slots.get_mut(index) else { return };
        self.waves.forget_before(slot.wave);
        slot.owed = false;
        self.bytes -= slot.len;
        if matches!(slot.caller, Caller::Canary) {
            self.canary.silenced();
            slot.caller = Caller::Gone;
        }
        slot.answer(answer, out);
        if matches!(slot.caller, Caller::Gone) {
            self.free.push(index);
        }
    }
}

#[cfg(test)]
mod tests;
