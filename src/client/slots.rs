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
    pub(crate) fn stamp(&mut self, now: Time) -> Time {
        if !std::mem::take(&mut self.unseen) {
            return Time::NEVER;
        }
        self.waves.stamp(now);
        now.later(std::mem::replace(&mut self.hurry, Span::MAX))
    }

    /// Says that the write buffer was handed on whole; gives the first deadline as [`Slots::stamp`] does.
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
        self.waves.forget_before(slot.wave);
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
mod tests {
    use super::*;
    use crate::client::listener::Notice;
    use crate::client::slots::ends::Expired;
    use crate::client::stats::Stats;
    use crate::error::ErrorKind;

    use std::time::Duration;

    const PATIENCE: Duration = Duration::from_secs(1);

    fn empty() -> Slots {
        Slots::new(Canary::new(7))
    }

    fn start() -> (Slots, Time) {
        (empty(), Time::default().after(PATIENCE))
    }

    fn sing(slots: &mut Slots) -> Frame {
        slots.doubt();
        let words = slots.canary_due().expect("none is on its way");
        slots.push_canary(20);
        Frame::bulk(bytes::Bytes::copy_from_slice(&words))
    }

    fn push(slots: &mut Slots) -> SlotId {
        slots.push(10, Span::of(PATIENCE), None)
    }

    fn poll(slots: &mut Slots, id: SlotId) -> Poll<Result<Frame, Error>> {
        slots.poll(id, &Context::from_waker(Waker::noop()))
    }

    fn try_complete(slots: &mut Slots, reply: Frame, now: Time) -> Result<Span, Slip> {
        complete_into(slots, reply, now, &mut Outbox::default())
    }

    fn complete_into(
        slots: &mut Slots,
        mut reply: Frame,
        now: Time,
        out: &mut Outbox,
    ) -> Result<Span, Slip> {
        let mut stats = Stats::default();
        let mut tally = Tally::new(now, &mut stats);
        slots.complete(&mut reply, &mut tally, out).map(|()| tally.finish())
    }

    fn vet(slots: &Slots, replies: &[&Frame]) -> Result<(), Slip> {
        slots.vet(replies.iter().copied(), replies.len())
    }

    fn complete(slots: &mut Slots, reply: Frame, now: Time) {
        try_complete(slots, reply, now).unwrap();
    }

    fn lost() -> Error {
        Error::new(ErrorKind::Disconnected, Outcome::Unknown, "lost")
    }

    #[track_caller]
    fn assert_integer(polled: Poll<Result<Frame, Error>>, wanted: i64) {
        match polled {
            Poll::Ready(Ok(Frame::Integer(got))) => assert_eq!(got, wanted),
            other => panic!("{other:?}, wanted {wanted}"),
        }
    }

    #[track_caller]
    fn assert_outcome(polled: Poll<Result<Frame, Error>>, wanted: Outcome) {
        match polled {
            Poll::Ready(Err(error)) => assert_eq!(error.outcome(), wanted),
            other => panic!("{other:?}, wanted {wanted:?}"),
        }
    }

    #[test]
    fn reply_of_an_abandoned_command_reaches_nobody_else() {
        let (mut slots, now) = start();
        let [first, second, third] = [(); 3].map(|()| push(&mut slots));
        slots.all_sent(now);
        slots.abandon(first);
        slots.abandon(second);
        for number in 1..=3 {
            complete(&mut slots, Frame::Integer(number), now);
        }
        assert_integer(poll(&mut slots, third), 3);
        assert_eq!((slots.len(), slots.bytes(), slots.free.len()), (0, 0, 3));
    }

    #[test]
    fn reply_to_a_command_that_was_not_sent_is_given_back() {
        let (mut slots, now) = start();
        push(&mut slots);
        assert_eq!(
            try_complete(&mut slots, Frame::Integer(1), now).unwrap_err(),
            Slip::Unasked(Frame::Integer(1))
        );
        assert_eq!(slots.len(), 1);
    }

    #[test]
    fn canary_that_hears_its_own_words_costs_nobody_anything() {
        let (mut slots, now) = start();
        let words = sing(&mut slots);
        let next = push(&mut slots);
        slots.all_sent(now);
        complete(&mut slots, words, now);
        complete(&mut slots, Frame::Integer(1), now);
        assert_integer(poll(&mut slots, next), 1);
        assert_eq!((slots.len(), slots.bytes(), slots.free.len()), (0, 0, 2));
    }

    #[test]
    fn reply_that_was_lost_is_noticed_by_the_canary_behind_it() {
        let (mut slots, now) = start();
        let late = push(&mut slots);
        slots.all_sent(now);
        slots.expire(now.after(PATIENCE), None, None, &mut Outbox::default());
        assert_outcome(poll(&mut slots, late), Outcome::Unknown);
        let words = sing(&mut slots);
        slots.all_sent(now);
        // The answer to the canary comes where the lost one was expected.
        assert_eq!(try_complete(&mut slots, words, now).unwrap_err(), Slip::Shifted);
    }

    #[test]
    fn reply_that_came_twice_is_noticed_by_the_canary_behind_it() {
        let (mut slots, now) = start();
        push(&mut slots);
        sing(&mut slots);
        let next = push(&mut slots);
        slots.all_sent(now);
        complete(&mut slots, Frame::Integer(1), now);
        assert_eq!(try_complete(&mut slots, Frame::Integer(1), now).unwrap_err(), Slip::Shifted);
        assert!(poll(&mut slots, next).is_pending(), "nobody was given it");
    }

    #[test]
    fn replies_that_came_together_are_all_refused_for_what_is_wrong_with_one() {
        let (mut slots, now) = start();
        push(&mut slots);
        slots.all_sent(now);
        let [one, two] = [Frame::Integer(1), Frame::Integer(2)];
        assert!(!slots.must_vet(1) && slots.must_vet(2));
        assert_eq!(vet(&slots, &[&one, &two]), Err(Slip::Unasked(two.clone())));
        let words = sing(&mut slots);
        push(&mut slots);
        slots.all_sent(now);
        assert!(slots.must_vet(1));
        assert_eq!(vet(&slots, &[&one, &words, &two]), Ok(()));
        assert_eq!(vet(&slots, &[&one, &two, &words]), Err(Slip::Shifted));
        assert_eq!(vet(&slots, &[&words]), Err(Slip::Shifted));
    }

    #[test]
    fn batch_may_be_answered_as_often_as_it_has_commands() {
        let (mut slots, now) = start();
        push_batch(&mut slots, 3);
        slots.all_sent(now);
        complete(&mut slots, Frame::Integer(1), now);
        let [two, three, four] = [2, 3, 4].map(Frame::Integer);
        assert_eq!(vet(&slots, &[&two, &three]), Ok(()));
        let stray = Err(Slip::Unasked(four.clone()));
        assert_eq!(vet(&slots, &[&two, &three, &four]), stray);
    }

    #[test]
    fn canary_that_was_not_sent_survives_a_withdrawal_and_a_lost_connection() {
        let (mut slots, now) = start();
        let words = sing(&mut slots);
        push(&mut slots);
        slots.stamp(now);
        slots.expire(now.after(PATIENCE), None, None, &mut Outbox::default());
        let mut seen = Vec::new();
        slots.withdraw(&mut Outbox::default(), |len, keep| seen.push((len, keep)));
        assert_eq!(seen, [(20, true), (10, false)]);
        slots.disconnected(0, &lost(), &mut Outbox::default());
        slots.all_sent(now);
        complete(&mut slots, words, now);
        sing(&mut slots);
        slots.all_sent(now);
        slots.disconnected(0, &lost(), &mut Outbox::default());
        sing(&mut slots); // the one before was lost: there is room for another
    }

    #[test]
    fn expired_command_keeps_its_slot_until_its_reply_has_come() {
        let (mut slots, now) = start();
        let [late, prompt] = [push(&mut slots), slots.push(10, Span::of(2 * PATIENCE), None)];
        slots.all_sent(now);
        assert!(!slots.expire(now.after(PATIENCE), None, None, &mut Outbox::default()).unsent);
        assert_outcome(poll(&mut slots, late), Outcome::Unknown);
        complete(&mut slots, Frame::Integer(1), now);
        complete(&mut slots, Frame::Integer(2), now);
        assert_integer(poll(&mut slots, prompt), 2);
        assert_eq!(slots.free.len(), 2);
    }

    #[test]
    fn expired_command_that_was_not_sent_is_withdrawn_from_the_buffer() {
        let (mut slots, now) = start();
        let sent = push(&mut slots);
        slots.all_sent(now);
        let late = push(&mut slots);
        let patient = slots.push(7, Span::of(2 * PATIENCE), None);
        assert!(slots.stamp(now) > now);
        assert!(slots.expire(now.after(PATIENCE), None, None, &mut Outbox::default()).unsent);
        let mut seen = Vec::new();
        slots.withdraw(&mut Outbox::default(), |len, keep| seen.push((len, keep)));
        assert_eq!(seen, [(10, false), (7, true)]);
        assert_outcome(poll(&mut slots, late), Outcome::NotSent);
        assert_outcome(poll(&mut slots, sent), Outcome::Unknown);
        slots.all_sent(now);
        complete(&mut slots, Frame::Integer(1), now);
        complete(&mut slots, Frame::Integer(2), now);
        assert_integer(poll(&mut slots, patient), 2);
    }

    #[test]
    fn deadline_counts_from_when_a_command_was_seen() {
        let ((mut slots, now), mut out) = (start(), Outbox::default());
        push(&mut slots);
        slots.push(10, Span::of(PATIENCE / 2), None);
        assert_eq!(slots.stamp(now), now.after(PATIENCE / 2), "the first of both");
        assert_eq!(slots.stamp(now.after(PATIENCE)), Time::NEVER, "nothing new has come");
        let unseen = push(&mut slots);
        let expired = slots.expire(now.after(PATIENCE), None, None, &mut out);
        assert_eq!(expired, Expired { count: 2, unsent: true, next: Time::NEVER });
        slots.withdraw(&mut Outbox::default(), |_, _| {});
        assert!(poll(&mut slots, unseen).is_pending(), "it has no deadline yet");
        let later = now.after(2 * PATIENCE);
        assert_eq!(slots.all_sent(later), later.after(PATIENCE));
        let took = try_complete(&mut slots, Frame::Null, later.after(PATIENCE / 4)).unwrap();
        assert_eq!(took.duration(), PATIENCE / 4);
        assert_eq!(slots.len(), 0);
    }

    #[test]
    fn slots_of_a_burst_are_given_back_once_it_is_over() {
        let (mut slots, now) = start();
        let burst: Vec<_> = (0..1000).map(|_| push(&mut slots)).collect();
        slots.all_sent(now);
        for number in 0..1000 {
            complete(&mut slots, Frame::Integer(number), now);
        }
        slots.trim();
        assert!(slots.slots.capacity() >= 1000, "they were needed a moment ago");
        // All but one of its callers fetch their reply, and others go on calling.
        for (id, number) in burst[..999].iter().zip(0..) {
            assert_integer(poll(&mut slots, *id), number);
        }
        slots.trim();
        assert_integer(poll(&mut slots, burst[999]), 999);
        slots.trim();
        assert!(slots.slots.capacity() <= 2 * KEPT_SLOTS, "{}", slots.slots.capacity());
        assert!(
            slots.order.capacity() <= 2 * KEPT_SLOTS && slots.free.capacity() <= 2 * KEPT_SLOTS
        );
        let next = push(&mut slots);
        slots.all_sent(now);
        complete(&mut slots, Frame::Integer(7), now);
        assert_integer(poll(&mut slots, next), 7);
        assert_outcome(poll(&mut slots, burst[0]), Outcome::Unknown);
    }

    #[test]
    fn answer_is_owed_once_sent_and_may_take_as_long_as_its_caller_said() {
        let (mut slots, now) = start();
        push(&mut slots);
        slots.push(10, Span::of(9 * PATIENCE), None);
        assert_eq!(slots.owed(Span::of(PATIENCE)), None);
        slots.all_sent(now);
        assert_eq!(slots.owed(Span::of(PATIENCE)), Some(Owed { since: now, allowed_until: now }));
        complete(&mut slots, Frame::Null, now);
        let allowed_until = now.after(9 * PATIENCE);
        assert_eq!(slots.owed(Span::of(PATIENCE)), Some(Owed { since: now, allowed_until }));
    }

    #[test]
    fn patience_of_a_listener_keeps_no_silent_connection() {
        let (mut slots, now) = start();
        slots.push_tagged(7, 10, Span::of(60 * PATIENCE));
        slots.all_sent(now);
        assert_eq!(slots.owed(Span::of(PATIENCE)), Some(Owed { since: now, allowed_until: now }));
    }

    #[test]
    fn lost_connection_keeps_only_what_never_reached_the_socket_whole() {
        let (mut slots, now) = start();
        let ids = [(); 4].map(|()| push(&mut slots));
        slots.all_sent(now);
        // 25 of 40 bytes did not get out: the third and fourth command whole, the second in part.
        assert_eq!(slots.disconnected(25, &lost(), &mut Outbox::default()), 20);
        assert_outcome(poll(&mut slots, ids[0]), Outcome::Unknown);
        assert_outcome(poll(&mut slots, ids[1]), Outcome::Unknown);
        assert_eq!((slots.len(), slots.sent), (2, 0));
        slots.all_sent(now);
        complete(&mut slots, Frame::Integer(3), now);
        complete(&mut slots, Frame::Integer(4), now);
        assert_integer(poll(&mut slots, ids[2]), 3);
        assert_integer(poll(&mut slots, ids[3]), 4);
    }

    fn push_batch(slots: &mut Slots, replies: usize) -> SlotId {
        slots.push_batch(replies, 10 * replies, Span::of(PATIENCE))
    }

    fn poll_batch(slots: &mut Slots, id: SlotId) -> Poll<(Vec<Frame>, Option<Error>)> {
        slots.poll_batch(id, &Context::from_waker(Waker::noop()))
    }

    #[test]
    fn batch_is_answered_once_all_its_replies_have_come() {
        let (mut slots, now) = start();
        let batch = push_batch(&mut slots, 2);
        let next = push(&mut slots);
        slots.all_sent(now);
        complete(&mut slots, Frame::Integer(1), now);
        assert!(poll_batch(&mut slots, batch).is_pending());
        complete(&mut slots, Frame::Integer(2), now);
        complete(&mut slots, Frame::Integer(3), now);
        assert_integer(poll(&mut slots, next), 3);
        let Poll::Ready((replies, None)) = poll_batch(&mut slots, batch) else {
            panic!("not answered")
        };
        assert_eq!(replies, [Frame::Integer(1), Frame::Integer(2)]);
        assert_eq!((slots.len(), slots.bytes(), slots.free.len()), (0, 0, 2));
    }

    #[test]
    fn abandoned_or_expired_batch_takes_all_its_replies_with_it() {
        let (mut slots, now) = start();
        let abandoned = push_batch(&mut slots, 2);
        let expired = push_batch(&mut slots, 3);
        let next = slots.push(10, Span::of(2 * PATIENCE), None);
        slots.all_sent(now);
        complete(&mut slots, Frame::Integer(1), now);
        slots.abandon(abandoned);
        complete(&mut slots, Frame::Integer(2), now);
        complete(&mut slots, Frame::Integer(3), now);
        slots.expire(now.after(PATIENCE), None, None, &mut Outbox::default());
        let Poll::Ready((replies, Some(error))) = poll_batch(&mut slots, expired) else {
            panic!("not expired")
        };
        assert_eq!((replies, error.outcome()), (vec![Frame::Integer(3)], Outcome::Unknown));
        for number in 4..=6 {
            complete(&mut slots, Frame::Integer(number), now);
        }
        assert_integer(poll(&mut slots, next), 6);
        assert_eq!((slots.len(), slots.bytes(), slots.free.len()), (0, 0, 3));
    }

    #[test]
    fn batch_that_was_written_in_part_is_not_sent_again() {
        let (mut slots, now) = start();
        let torn = push_batch(&mut slots, 2);
        let whole = push_batch(&mut slots, 2);
        slots.all_sent(now);
        assert_eq!(slots.disconnected(30, &lost(), &mut Outbox::default()), 20);
        let Poll::Ready((_, Some(error))) = poll_batch(&mut slots, torn) else {
            panic!("not failed")
        };
        assert_eq!(error.outcome(), Outcome::Unknown);
        assert!(poll_batch(&mut slots, whole).is_pending());
    }

    #[test]
    fn slot_is_not_answered_through_an_id_of_its_earlier_use() {
        let (mut slots, now) = start();
        let old = push(&mut slots);
        slots.all_sent(now);
        complete(&mut slots, Frame::Integer(1), now);
        assert_integer(poll(&mut slots, old), 1);
        let new = push(&mut slots);
        assert_eq!(old.index, new.index);
        slots.abandon(old);
        slots.all_sent(now);
        complete(&mut slots, Frame::Integer(2), now);
        assert_integer(poll(&mut slots, new), 2);
    }

    #[test]
    fn callers_that_wait_are_woken_once_when_all_is_failed() {
        let mut slots = empty();
        let ids = [(); 3].map(|()| push(&mut slots));
        assert!(poll(&mut slots, ids[0]).is_pending());
        slots.abandon(ids[1]);
        let mut out = Outbox::default();
        slots.fail_all(&lost(), &mut out);
        assert_eq!(out.wakers.len(), 1);
        assert_outcome(poll(&mut slots, ids[0]), Outcome::NotSent);
        assert_outcome(poll(&mut slots, ids[2]), Outcome::NotSent);
        assert_eq!((slots.len(), slots.bytes(), slots.free.len()), (0, 0, 3));
    }

    /// The tags that the listener was told of, with the integer or the outcome each came with.
    fn told(out: &mut Outbox) -> Vec<(Tag, Result<i64, Outcome>)> {
        let notices = out.notices.drain(..);
        notices
            .map(|notice| match notice {
                Notice::Reply(tag, Ok(Frame::Integer(number))) => (tag, Ok(number)),
                Notice::Reply(tag, Err(error)) => (tag, Err(error.outcome())),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn listener_is_told_the_reply_and_needs_not_fetch_it() {
        let ((mut slots, now), mut out) = (start(), Outbox::default());
        slots.push_tagged(70, 10, Span::of(PATIENCE));
        let caller = push(&mut slots);
        slots.push_tagged(71, 10, Span::of(PATIENCE));
        slots.all_sent(now);
        for number in 1..=3 {
            complete_into(&mut slots, Frame::Integer(number), now, &mut out).unwrap();
        }
        assert_eq!((out.replies, out.wakers.len()), (2, 0), "the caller had not been polled");
        assert_eq!(told(&mut out), [(70, Ok(1)), (71, Ok(3))]);
        assert_integer(poll(&mut slots, caller), 2);
        assert_eq!((slots.len(), slots.bytes(), slots.free.len()), (0, 0, 3));
    }

    #[test]
    fn listener_is_told_once_what_became_of_a_command_that_failed() {
        let ((mut slots, now), mut out) = (start(), Outbox::default());
        slots.push_tagged(1, 10, Span::of(PATIENCE));
        slots.push_tagged(2, 10, Span::of(3 * PATIENCE));
        slots.all_sent(now);
        slots.push_tagged(3, 10, Span::of(PATIENCE));
        slots.push_tagged(4, 10, Span::of(3 * PATIENCE));
        slots.stamp(now);
        let expired = slots.expire(now.after(PATIENCE), None, None, &mut out);
        assert_eq!(expired, Expired { count: 2, unsent: true, next: now.after(3 * PATIENCE) });
        slots.withdraw(&mut Outbox::default(), |_, _| {});
        assert_eq!(told(&mut out), [(1, Err(Outcome::Unknown)), (3, Err(Outcome::NotSent))]);
        slots.disconnected(0, &lost(), &mut out);
        assert_eq!(told(&mut out), [(2, Err(Outcome::Unknown))], "the late one was told before");
        slots.fail_all(&lost(), &mut out);
        assert_eq!(told(&mut out), [(4, Err(Outcome::NotSent))]);
        assert_eq!((slots.len(), slots.bytes(), slots.free.len()), (0, 0, 4));
    }
}
