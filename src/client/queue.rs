//! What stands under the lock that callers and driver share, and what may be done while one holds it.
//!
//! Invariant: bytes in `out` and unsent slots correspond one to one, in order (see `slots.rs`).

mod account;
mod flush;

pub(crate) use flush::Flush;

use crate::client::canary::Canary;
use crate::client::clock::{Span, Time};
use crate::client::crowd::Crowd;
use crate::client::encode::{self, Ink};
use crate::client::listener::Outbox;
use crate::client::pen::{Draft, Pen, Wrote};
use crate::client::room::Line;
use crate::client::slots::Slots;
use crate::client::stats::Stats;
use crate::client::trace::Trace;
use crate::error::{Error, ErrorKind, Outcome};
use crate::observe::Witness;
use crate::url::Address;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

/// What looking through the deadlines may cost: this much time each passes before it is done again.
const SWEEP_PER_SLOT: Duration = Duration::from_nanos(64);

/// What a command counts beside its bytes.
const BYTES_PER_PLACE: usize = 128;
/// A write buffer of this size is kept, whether it was needed or not.
const KEPT_CAPACITY: usize = 4 << 10;

/// The state under the lock.
pub(crate) struct State {
    /// Encoded commands that nobody has taken to the socket yet.
    pub(crate) out: Ink,
    pub(crate) slots: Slots,
    /// The writing half, unless somebody is writing or there is no connection.
    pub(crate) pen: Option<Box<Pen>>,
    /// Rises with every connection, so that a pen of an earlier one is not put back.
    pub(crate) epoch: u64,
    /// Whether several callers are about to ask again: nobody writes for itself alone before the driver had its turn.
    pub(crate) crowded: bool,
    crowd: Crowd,
    /// Set while calls fail at once.
    pub(crate) unusable: Option<Error>,
    /// When something came from the server last; none while there is no connection.
    pub(crate) last_byte: Option<Time>,
    /// Why the last attempt to connect failed.
    pub(crate) last_failure: Option<Error>,
    /// Set once no more calls are taken.
    pub(crate) closing: bool,
    pub(crate) driver: Option<Waker>,
    /// Whether the driver has been woken and has not looked yet.
    pub(crate) notified: bool,
    /// When the first deadline comes, of those that are known.
    pub(crate) sweep_at: Time,
    /// When the driver will look by itself.
    pub(crate) looks_at: Time,
    /// Whether it is to look at the socket for a while after each write.
    pub(crate) looks: bool,
    /// In nanoseconds; the most that there is while none was measured. Read without the lock.
    pub(crate) smallest_rtt: Arc<AtomicU64>,
    /// Counters; what the slots know is not in them.
    pub(crate) stats: Stats,
    /// The longest queue since memory was given back last.
    peak: usize,
    /// Those who wait for room.
    pub(crate) line: Line,
    /// Commands whose start their observer was not told yet.
    pub(crate) untold: Vec<Arc<Trace>>,
    max_bytes: usize,
}

/// Where a caller stands who has something to queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Behind all who wait for room.
    End,
    /// It is the first of them.
    First,
}

/// What is still to be done about a command that was queued, once no other lock is held either.
pub(crate) enum Due {
    /// The driver was woken before, and has not looked yet.
    Nothing,
    /// Waking the driver.
    Wake(Waker),
    /// Writing it here: [`Shared::settle`](crate::client::shared::Shared::settle).
    Write,
    /// Writing what was taken out of the queue: [`Shared::send`](crate::client::shared::Shared::send).
    Send(Draft),
}

impl State {
    /// As before the first attempt to connect.
    pub(crate) fn new(canary: Canary, max_bytes: usize) -> Self {
        Self {
            out: Ink::new(),
            slots: Slots::new(canary),
            pen: None,
            epoch: 0,
            crowded: false,
            crowd: Crowd::default(),
            unusable: None,
            last_byte: None,
            last_failure: None,
            closing: false,
            driver: None,
            notified: false,
            sweep_at: Time::NEVER,
            looks_at: Time::NEVER,
            looks: false,
            smallest_rtt: Arc::new(AtomicU64::new(u64::MAX)),
            stats: Stats::default(),
            peak: 0,
            line: Line::default(),
            untold: Vec::new(),
            max_bytes,
        }
    }

    /// Encodes one command at the end of the queue, and gives its length; its slot is still to be pushed.
    ///
    /// # Errors
    ///
    /// If nothing was queued: closed, refused by the server for good, or too much is queued.
    #[inline]
    pub(crate) fn enqueue(
        &mut self,
        place: Place,
        encode: impl FnOnce(&mut Ink),
    ) -> Result<usize, Error> {
        let stands_behind = place == Place::End && !self.line.is_empty();
        if self.unusable.is_some() || self.closing || self.is_full() || stands_behind {
            return Err(self.refusal());
        }
        let before = self.out.len();
        encode(&mut self.out);
        Ok(self.out.len() - before)
    }

    /// Has the last `commands` commands observed, of `len` bytes in all, which share a slot.
    #[cold]
    pub(crate) fn trace(
        &mut self,
        witness: &Arc<Witness>,
        (len, commands): (usize, usize),
    ) -> Arc<Trace> {
        let encoded = self.out.len().checked_sub(len).and_then(|begin| self.out.get(begin..));
        let trace = Arc::new(Trace::new(witness, encoded.unwrap_or_default(), commands));
        self.slots.observe_last(Arc::clone(&trace));
        trace
    }

    /// Whether so much is on its way that nothing more is taken.
    #[inline]
    fn is_full(&self) -> bool {
        self.slots.bytes() + self.slots.len() * BYTES_PER_PLACE > self.max_bytes && !defect!(6)
    }

    /// Whom to wake because there is room again, or because there will never be.
    #[inline]
    pub(crate) fn call_in(&mut self, wakers: &mut Vec<Waker>) {
        if !self.line.is_empty() {
            self.call_some_in(wakers);
        }
    }

    #[cold]
    fn call_some_in(&mut self, wakers: &mut Vec<Waker>) {
        if self.unusable.is_some() || self.closing {
            self.line.call_all(wakers);
        } else if !self.is_full() {
            wakers.extend(self.line.call_first());
        }
    }

    #[cold]
    pub(crate) fn refusal(&self) -> Error {
        match &self.unusable {
            Some(error) => error.clone(),
            None if self.closing => Error::closed(Outcome::NotSent),
            None => Error::new(
                ErrorKind::Overloaded,
                Outcome::NotSent,
                format!(
                    "{} bytes are queued already, which is more than max_queued_bytes",
                    self.slots.bytes()
                ),
            ),
        }
    }

    /// The driver begins a turn.
    #[inline(always)] // two callers, one of which has thousands to serve
    pub(crate) fn begin_turn(&mut self, driver: &Waker, now: Time) {
        self.notified = defect!(17);
        if !self.driver.as_ref().is_some_and(|waker| waker.will_wake(driver)) {
            self.driver = Some(driver.clone());
        }
        self.stamp(now);
    }

    /// The driver, if it is asleep and nobody has woken it yet.
    #[inline]
    pub(crate) fn rouse(&mut self) -> Option<Waker> {
        if std::mem::replace(&mut self.notified, true) { None } else { self.driver.clone() }
    }

    /// Tells the time of what was queued since it was told last.
    pub(crate) fn stamp(&mut self, now: Time) {
        self.sweep_at = self.sweep_at.min(self.slots.stamp(now));
    }

    /// Whether there is nothing to write, for whoever may write.
    #[inline]
    pub(crate) fn has_written_all(&self) -> bool {
        self.out.is_empty() && self.pen.as_deref().is_some_and(Pen::is_dry)
    }

    /// Takes the pen, with all that is queued in it.
    ///
    /// # Errors
    ///
    /// What writing comes to without: all is written, or nothing can be.
    #[inline]
    pub(crate) fn take_pen(&mut self, now: Time) -> Result<Box<Pen>, Wrote> {
        if self.has_written_all() { Err(Wrote::All) } else { self.take_wet_pen(now) }
    }

    #[inline(always)]
    fn take_wet_pen(&mut self, now: Time) -> Result<Box<Pen>, Wrote> {
        let mut pen = self.pen.take().ok_or(Wrote::NoPen)?;
        if let Some(error) = pen.take_broken() {
            return Err(Wrote::Broken(error));
        }
        if pen.is_dry() {
            self.dip(&mut pen, now);
        }
        Ok(pen)
    }

    /// Takes the pen, which is there and dry, with all that is queued in it.
    #[inline(always)]
    pub(crate) fn take_dry_pen(&mut self, now: Time) -> Option<Box<Pen>> {
        let mut pen = self.pen.take()?;
        self.dip(&mut pen, now);
        Some(pen)
    }

    #[inline(always)]
    fn dip(&mut self, pen: &mut Pen, now: Time) {
        let due = self.is_due();
        self.peak = self.peak.max(self.out.len());
        pen.dip(&mut self.out, self.slots.unsent());
        self.sweep_at = self.sweep_at.min(self.slots.all_sent(now));
        if due {
            self.divide();
        }
    }

    /// Puts the pen back after a write, and tells what that came to. A pen of an earlier connection is dropped: what is in it
    /// counts as sent.
    #[inline(always)]
    pub(crate) fn put_back(&mut self, mut pen: Box<Pen>, wrote: Wrote) -> Wrote {
        let (writes, bytes) = pen.take_counts();
        self.stats.writes += writes;
        self.stats.bytes_out += bytes;
        if !pen.is_of(self.epoch) {
            return Wrote::NoPen;
        }
        if matches!(wrote, Wrote::Broken(_)) {
            pen.break_off();
        }
        self.pen = Some(pen);
        match wrote {
            Wrote::All if !self.out.is_empty() => Wrote::More,
            wrote => wrote,
        }
    }

    /// Answers the callers whose deadline has come, and takes back what they had queued.
    pub(crate) fn expire(&mut self, now: Time, server: &Address, out: &mut Outbox) {
        self.stamp(now);
        if self.sweep_at > now {
            return;
        }
        let next_in_line = self.line.call_overdue(now, &mut out.wakers);
        let known = self.circumstances(now, server);
        let expired = self.slots.expire(now, self.last_failure.as_ref(), Some(&known), out);
        self.stats.timeouts += expired.count;
        if expired.unsent {
            self.withdraw(out);
        }
        self.let_canary_sing();
        // With very many commands in flight, deadlines are kept less exactly, and not at the cost of everything else.
        let len = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.sweep_at = expired.next.min(next_in_line).max(now.after(SWEEP_PER_SLOT * len));
    }

    /// Gives memory back that a burst has taken.
    pub(crate) fn trim(&mut self) {
        self.slots.trim();
        let needed = (4 * std::mem::take(&mut self.peak)).max(KEPT_CAPACITY);
        if self.out.is_empty() && self.out.capacity() > needed {
            self.out = Ink::new();
        }
        if let Some(pen) = &mut self.pen {
            pen.trim(needed);
        }
    }

    /// A round trip took this long.
    pub(crate) fn note_round_trip(&mut self, took: Span) {
        // Nobody else writes it, and mostly there is nothing to write.
        if took.nanos() < self.smallest_rtt.load(Ordering::Relaxed) {
            self.smallest_rtt.store(took.nanos(), Ordering::Relaxed);
        }
    }

    /// Queues the canary if it is time for it to sing.
    #[inline]
    pub(crate) fn let_canary_sing(&mut self) {
        if self.slots.is_canary_due() && !self.closing {
            self.queue_canary();
        }
    }

    #[cold]
    fn queue_canary(&mut self) {
        if let Some(words) = self.slots.canary_due() {
            let before = self.out.len();
            encode::command(&[&b"PING"[..], &words], &mut self.out);
            self.slots.push_canary(self.out.len() - before);
        }
    }

    /// Takes the commands that nobody waits for any more out of the buffer.
    pub(crate) fn withdraw(&mut self, out: &mut Outbox) {
        let old = std::mem::take(&mut self.out);
        let (mut rest, kept) = (&old[..], &mut self.out);
        self.slots.withdraw(out, |len, keep| {
            let (command, later) = rest.split_at(len.min(rest.len()));
            rest = later;
            if keep || defect!(18) {
                kept.extend_from_slice(command);
            }
        });
    }
}
