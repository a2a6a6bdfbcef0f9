//! `Hold`: what a guard can look at without asking anybody: until when its lock is held, and why it is not any more.
//!
//! Written under the book's lock, read without one. A hold ends once. Its deadline counts on the monotonic clock, which stands
//! still while the machine sleeps; so the wall clock is looked at beside it.

use crate::lock::error::LostCause;
use crate::lock::fence::FencingToken;
use crate::seam::after;
use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Shared by a guard and the book.
pub(crate) struct Hold {
    /// All instants here count from it.
    start: Instant,
    /// Which grant it is, if anybody asked.
    pub(crate) fence: Option<FencingToken>,
    status: AtomicU8,
    /// Nanoseconds since `start`.
    deadline: AtomicU64,
    /// When the command was sent that confirmed it last, in nanoseconds since `start`.
    confirmed_by: AtomicU64,
    /// How often it was confirmed.
    confirmed: AtomicU64,
    /// By how many nanoseconds the wall clock was ahead of `start` when the hold was last confirmed.
    ahead: AtomicI64,
    /// Notified when it is confirmed and when it ends.
    changed: Notify,
}

/// What a hold is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Held,
    Released,
    Lost(LostCause),
}

/// Both clocks at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clocks {
    pub(crate) now: Instant,
    /// Since 1970.
    pub(crate) wall: Duration,
}

const HELD: u8 = 0;
const RELEASED: u8 = 1;
/// Codes from here on are causes, in this order.
const LOST: u8 = 2;
const CAUSES: [LostCause; 7] = [
    LostCause::Expired,
    LostCause::Unconfirmed,
    LostCause::Deleted,
    LostCause::TakenOver,
    LostCause::Failover,
    LostCause::MaxHold,
    LostCause::Closed,
];

impl Hold {
    /// A hold that is held until `deadline`.
    pub(crate) fn new(start: Instant, deadline: Instant, clocks: Clocks) -> Self {
        let mut hold = Self {
            start,
            fence: None,
            status: AtomicU8::new(HELD),
            deadline: AtomicU64::new(0),
            confirmed_by: AtomicU64::new(0),
            confirmed: AtomicU64::new(0),
            ahead: AtomicI64::new(0),
            changed: Notify::new(),
        };
        hold.begin(deadline, clocks);
        hold
    }

    /// Makes another hold, held until `deadline`, of one that nobody looks at any more.
    pub(crate) fn begin(&mut self, deadline: Instant, clocks: Clocks) {
        let now = self.nanos(clocks.now);
        self.fence = defect!(45, self.fence, None);
        *self.status.get_mut() = HELD;
        *self.ahead.get_mut() = ahead(now, clocks.wall);
        *self.deadline.get_mut() = self.nanos(deadline);
        *self.confirmed_by.get_mut() = now;
        *self.confirmed.get_mut() = 1;
    }

    /// The hold lasts until `deadline`, as was found out by what was sent at `clocks`.
    pub(crate) fn confirm(&self, deadline: Instant, clocks: Clocks) {
        let now = self.nanos(clocks.now);
        self.ahead.store(ahead(now, clocks.wall), Ordering::Relaxed);
        self.deadline.store(self.nanos(deadline), Ordering::Release);
        self.confirmed_by.store(now, Ordering::Release);
        self.confirmed.fetch_add(1, Ordering::Release);
        self.changed.notify_waiters();
    }

    fn nanos(&self, at: Instant) -> u64 {
        nanos(at.saturating_duration_since(self.start))
    }

    fn instant(&self, nanos: &AtomicU64) -> Instant {
        after(self.start, Duration::from_nanos(nanos.load(Ordering::Acquire)))
    }

    /// Until when the hold may be relied on.
    pub(crate) fn deadline(&self) -> Instant {
        self.instant(&self.deadline)
    }

    /// When the command was sent that confirmed it last, and how often it was confirmed.
    pub(crate) fn confirmation(&self) -> (Instant, u64) {
        let times = self.confirmed.load(Ordering::Acquire);
        (self.instant(&self.confirmed_by), times)
    }

    /// What the hold is, as far as anybody has found out.
    pub(crate) fn status(&self) -> Status {
        match self.status.load(Ordering::Acquire) {
            HELD => Status::Held,
            RELEASED => Status::Released,
            code => {
                let cause = CAUSES.get(usize::from(code - LOST)).copied();
                Status::Lost(cause.unwrap_or(LostCause::Unconfirmed))
            }
        }
    }

    /// Whether its deadline has come.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.nanos(now) >= self.deadline.load(Ordering::Acquire)
    }

    /// How long the hold may be relied on; zero once it has ended. It is in doubt as well if the wall clock has run ahead by
    /// more than is left: then the machine may have slept through the deadline.
    pub(crate) fn validity(&self, clocks: Clocks) -> Validity {
        if self.status() != Status::Held {
            return Validity::Ended;
        }
        let now = self.nanos(clocks.now);
        let left = self.deadline.load(Ordering::Acquire).saturating_sub(now);
        if left == 0 {
            return Validity::Ended;
        }
        let slept = ahead(now, clocks.wall).saturating_sub(self.ahead.load(Ordering::Relaxed));
        if u64::try_from(slept).is_ok_and(|slept| slept >= left && !defect!(36)) {
            Validity::Doubtful
        } else {
            Validity::Left(Duration::from_nanos(left))
        }
    }

    /// Ends the hold, unless it has ended before; tells whether this call did.
    pub(crate) fn end(&self, status: Status) -> bool {
        let code = match status {
            Status::Held => return false,
            Status::Released => RELEASED,
            Status::Lost(cause) => {
                let at = CAUSES.iter().position(|other| *other == cause).unwrap_or(1);
                LOST + u8::try_from(at).unwrap_or(1)
            }
        };
        let (order, failed) = (Ordering::AcqRel, Ordering::Acquire);
        let ended = self.status.compare_exchange(HELD, code, order, failed).is_ok();
        // Who releases it has it to itself: nobody can be waiting for its end.
        if ended && code != RELEASED {
            self.changed.notify_waiters();
        }
        ended
    }

    /// Waits until `found` finds something.
    pub(crate) async fn until<T>(&self, found: impl Fn(&Self) -> Option<T>) -> T {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(found) = found(self) {
                return found;
            }
            changed.await;
        }
    }
}

/// By how many nanoseconds the wall clock is ahead of another that shows `now`.
fn ahead(now: u64, wall: Duration) -> i64 {
    let clamp = |nanos: u64| i64::try_from(nanos).unwrap_or(i64::MAX);
    clamp(nanos(wall)).saturating_sub(clamp(now))
}

/// What fits: half a thousand years do.
fn nanos(duration: Duration) -> u64 {
    let seconds = duration.as_secs().saturating_mul(1_000_000_000);
    seconds.saturating_add(u64::from(duration.subsec_nanos()))
}

/// How long a hold may be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Validity {
    Left(Duration),
    /// The clocks disagree: only the server knows.
    Doubtful,
    Ended,
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").field("status", &self.status()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn clocks(start: Instant, now: Duration, wall: Duration) -> Clocks {
        Clocks { now: start + now, wall: 1_000_000 * SECOND + wall }
    }

    #[test]
    fn wall_clock_that_runs_ahead_by_what_is_left_casts_doubt_until_confirmed() {
        let start = Instant::now();
        let at = |now: u32, wall: u32| clocks(start, now * SECOND, wall * SECOND);
        let hold = Hold::new(start, start + 10 * SECOND, at(0, 0));
        assert_eq!(hold.validity(at(4, 4)), Validity::Left(6 * SECOND));
        assert_eq!(hold.validity(at(4, 9)), Validity::Left(6 * SECOND), "ahead, and time left");
        assert_eq!(hold.validity(at(4, 10)), Validity::Doubtful, "may have slept for 6 s");
        assert_eq!(hold.validity(at(4, 0)), Validity::Left(6 * SECOND), "set back");
        hold.confirm(start + 14 * SECOND, at(4, 10));
        assert_eq!(hold.validity(at(5, 11)), Validity::Left(9 * SECOND));
        assert_eq!(hold.validity(at(14, 20)), Validity::Ended);
    }

    #[test]
    fn hold_ends_once() {
        let start = Instant::now();
        let at = clocks(start, Duration::ZERO, Duration::ZERO);
        for cause in CAUSES {
            let hold = Hold::new(start, start + SECOND, at);
            assert_eq!(hold.status(), Status::Held);
            assert!(hold.end(Status::Lost(cause)));
            assert!(!hold.end(Status::Released));
            assert_eq!(hold.status(), Status::Lost(cause));
            assert_eq!(hold.validity(at), Validity::Ended);
        }
    }
}
