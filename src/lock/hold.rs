//! `Hold`: what a guard can look at without asking anybody: until when its lock is held, and why it is not any more.
//!
//! Begun and confirmed under the book's lock, ended by whoever ends it first, read without a lock: so the caller of a claim that asked
//! the short way finds here also what became of that. A hold ends once. Its deadline counts on the monotonic clock, which stands still while the machine sleeps; so the wall clock
//! is looked at beside it.

use crate::lock::error::LostCause;
use crate::lock::fence::FencingToken;
use crate::lock::gate::Term;
use crate::seam::after;
use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Shared by a guard and the book. Most are never confirmed again, so to begin one takes no arithmetic.
pub(crate) struct Hold {
    /// Both clocks before the command was sent that began it; or when a grant was heard of that nobody had asked for, whose deadline
    /// makes up for what the machine may have slept by then. What is shared as a number counts from there.
    begun: Clocks,
    /// Until when it lasts by that command.
    deadline: Instant,
    /// Which grant it is, as a number; zero if nobody asked.
    fence: AtomicU64,
    status: AtomicU8,
    /// How many nanoseconds later it ends by what confirmed it last.
    longer: AtomicI64,
    /// When that was sent, in nanoseconds.
    confirmed_by: AtomicU64,
    /// How often it was confirmed.
    confirmed: AtomicU64,
    /// By how many nanoseconds the wall clock had moved further than the other one by then.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Clocks {
    pub(crate) now: Instant,
    /// Since 1970.
    pub(crate) wall: Duration,
}

impl Clocks {
    /// By how many nanoseconds the wall clock has moved further than the other one since an earlier look.
    fn ahead(self, then: Self) -> i64 {
        let moved = clamp(nanos(self.wall)).saturating_sub(clamp(nanos(then.wall)));
        moved.saturating_sub(clamp(nanos(self.now.saturating_duration_since(then.now))))
    }

    /// How long the machine may have slept since an earlier look.
    pub(crate) fn slept(self, then: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.ahead(then)).unwrap_or_default())
    }
}

/// It has not begun: the server was asked, and its answer is on its way. Only the claim's own caller looks at it then.
const ASKED: u8 = 0;
const HELD: u8 = 1;
const RELEASED: u8 = 2;
/// The same, and the server has said so.
const FREED: u8 = 3;
/// Codes from here on are causes, in this order.
const LOST: u8 = 4;
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
    /// A hold that will last until `deadline`, by a command that is sent, or a grant that was heard of, once these clocks have been looked
    /// at.
    pub(crate) fn asked(begun: Clocks, deadline: Instant) -> Self {
        Self {
            begun,
            deadline,
            fence: AtomicU64::new(0),
            status: AtomicU8::new(ASKED),
            longer: AtomicI64::new(0),
            confirmed_by: AtomicU64::new(0),
            confirmed: AtomicU64::new(1),
            ahead: AtomicI64::new(0),
            changed: Notify::new(),
        }
    }

    /// Makes another hold, as [`Hold::asked`] does, of one that nobody looks at any more.
    #[inline]
    pub(crate) fn ask_anew(&mut self, begun: Clocks, deadline: Instant) {
        (self.begun, self.deadline) = (begun, deadline);
        *self.fence.get_mut() = defect!(45, *self.fence.get_mut(), 0);
        *self.status.get_mut() = ASKED;
        *self.longer.get_mut() = 0;
        *self.confirmed_by.get_mut() = 0;
        *self.confirmed.get_mut() = 1;
        *self.ahead.get_mut() = 0;
    }

    /// What was asked for is held, with this fence.
    #[inline]
    pub(crate) fn begin(&self, fence: Option<FencingToken>) {
        if let Some(fence) = fence.filter(|_| !defect!(45) || self.fence().is_none()) {
            self.fence.store(fence.as_u64(), Ordering::Relaxed);
        }
        self.status.store(HELD, Ordering::Release);
    }

    /// Whether what was asked for came to be held.
    #[inline]
    pub(crate) fn has_begun(&self) -> bool {
        self.status.load(Ordering::Acquire) != ASKED
    }

    /// The server has said that the key of a hold that was released is free.
    #[inline]
    pub(crate) fn set_freed(&self) {
        self.status.store(FREED, Ordering::Release);
    }

    #[inline]
    pub(crate) fn is_freed(&self) -> bool {
        self.status.load(Ordering::Acquire) == FREED
    }

    /// Which grant it is, if anybody asked.
    pub(crate) fn fence(&self) -> Option<FencingToken> {
        FencingToken::of(self.fence.load(Ordering::Relaxed))
    }

    /// Both clocks before the command was sent that began it.
    pub(crate) fn clocks(&self) -> Clocks {
        self.begun
    }

    /// The hold lasts for this term, whose command was sent after these clocks were looked at.
    pub(crate) fn confirm(&self, term: Term, clocks: Clocks) {
        let (first, last) = (self.nanos(self.deadline), self.nanos(term.deadline));
        self.ahead.store(clocks.ahead(self.begun), Ordering::Relaxed);
        self.longer.store(clamp(last).saturating_sub(clamp(first)), Ordering::Release);
        self.confirmed_by.store(self.nanos(term.sent), Ordering::Release);
        self.confirmed.fetch_add(1, Ordering::Release);
        self.changed.notify_waiters();
    }

    fn nanos(&self, at: Instant) -> u64 {
        nanos(at.saturating_duration_since(self.begun.now))
    }

    /// Until when the hold may be relied on.
    #[inline]
    pub(crate) fn deadline(&self) -> Instant {
        let longer = self.longer.load(Ordering::Acquire);
        let by = || Duration::from_nanos(longer.unsigned_abs());
        match longer {
            0 => self.deadline,
            1.. => after(self.deadline, by()),
            _ => self.deadline.checked_sub(by()).unwrap_or(self.begun.now),
        }
    }

    /// When the command was sent that confirmed it last, and how often it was confirmed.
    pub(crate) fn confirmation(&self) -> (Instant, u64) {
        let times = self.confirmed.load(Ordering::Acquire);
        let by = Duration::from_nanos(self.confirmed_by.load(Ordering::Acquire));
        (after(self.begun.now, by), times)
    }

    /// What the hold is, as far as anybody has found out.
    pub(crate) fn status(&self) -> Status {
        match self.status.load(Ordering::Acquire) {
            ASKED | HELD => Status::Held,
            RELEASED | FREED => Status::Released,
            code => {
                let cause = CAUSES.get(usize::from(code - LOST)).copied();
                Status::Lost(cause.unwrap_or(LostCause::Unconfirmed))
            }
        }
    }

    /// Whether its deadline has come.
    #[inline]
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        now >= self.deadline()
    }

    /// How long the hold may be relied on; zero once it has ended. It is in doubt as well if the wall clock has run ahead by
    /// more than is left: then the machine may have slept through the deadline.
    pub(crate) fn validity(&self, clocks: Clocks) -> Validity {
        if self.status() != Status::Held {
            return Validity::Ended;
        }
        let left = self.deadline().saturating_duration_since(clocks.now);
        if left.is_zero() {
            return Validity::Ended;
        }
        let slept = clocks.ahead(self.begun).saturating_sub(self.ahead.load(Ordering::Relaxed));
        if u64::try_from(slept).is_ok_and(|slept| slept >= nanos(left) && !defect!(36)) {
            Validity::Doubtful
        } else {
            Validity::Left(left)
        }
    }

    /// Ends the hold, unless it has ended before; tells whether this call did.
    #[inline]
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

/// What fits: a quarter of a thousand years do.
fn clamp(nanos: u64) -> i64 {
    i64::try_from(nanos).unwrap_or(i64::MAX)
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

    fn held(begun: Clocks, deadline: Instant) -> Hold {
        let hold = Hold::asked(begun, deadline);
        hold.begin(None);
        hold
    }

    #[test]
    fn wall_clock_that_runs_ahead_by_what_is_left_casts_doubt_until_confirmed() {
        let start = Instant::now();
        let at = |now: u32, wall: u32| clocks(start, now * SECOND, wall * SECOND);
        let hold = held(at(0, 0), start + 10 * SECOND);
        assert_eq!(hold.validity(at(4, 4)), Validity::Left(6 * SECOND));
        assert_eq!(hold.validity(at(4, 9)), Validity::Left(6 * SECOND), "ahead, and time left");
        assert_eq!(hold.validity(at(4, 10)), Validity::Doubtful, "may have slept for 6 s");
        assert_eq!(hold.validity(at(4, 0)), Validity::Left(6 * SECOND), "set back");
        let confirm = |sent: u32, deadline: u32, clocks| {
            let [sent, deadline] = [sent, deadline].map(|seconds| start + seconds * SECOND);
            hold.confirm(Term { sent, deadline }, clocks);
            assert_eq!((hold.deadline(), hold.confirmation().0), (deadline, sent));
        };
        confirm(4, 14, at(4, 10));
        assert_eq!(hold.confirmation().1, 2);
        assert_eq!(hold.validity(at(5, 11)), Validity::Left(9 * SECOND));
        assert_eq!(hold.validity(at(13, 20)), Validity::Doubtful, "may have slept for 1 s more");
        assert_eq!(hold.validity(at(14, 20)), Validity::Ended);
        confirm(6, 8, at(6, 12));
        assert_eq!(hold.validity(at(7, 13)), Validity::Left(SECOND), "less than before");
        assert!(hold.is_over(start + 8 * SECOND) && !hold.is_over(start + 7 * SECOND));
    }

    #[test]
    fn hold_that_begins_anew_keeps_nothing_of_the_one_before() {
        let start = Instant::now();
        let at = |now: u32, wall: u32| clocks(start, now * SECOND, wall * SECOND);
        let (first, fence) = (start + 10 * SECOND, FencingToken::parse(b"5-1"));
        let mut hold = Hold::asked(at(0, 0), first);
        assert!(!hold.has_begun());
        hold.begin(fence);
        assert_eq!((hold.has_begun(), hold.fence()), (true, fence));
        hold.confirm(Term { sent: start + 4 * SECOND, deadline: first + 4 * SECOND }, at(4, 10));
        assert!(hold.end(Status::Released) && !hold.is_freed());
        hold.set_freed();
        assert_eq!((hold.status(), hold.is_freed()), (Status::Released, true));
        hold.ask_anew(at(20, 30), start + 30 * SECOND);
        assert!(!hold.has_begun() && !hold.is_freed());
        hold.begin(None);
        assert_eq!((hold.status(), hold.fence()), (Status::Held, None));
        assert_eq!(
            (hold.deadline(), hold.confirmation()),
            (start + 30 * SECOND, (start + 20 * SECOND, 1))
        );
        assert_eq!(hold.validity(at(24, 34)), Validity::Left(6 * SECOND));
        assert_eq!(hold.validity(at(24, 40)), Validity::Doubtful);
    }

    #[test]
    fn hold_ends_once() {
        let start = Instant::now();
        let at = clocks(start, Duration::ZERO, Duration::ZERO);
        for cause in CAUSES {
            let hold = held(at, start + SECOND);
            assert_eq!(hold.status(), Status::Held);
            assert!(hold.end(Status::Lost(cause)));
            assert!(!hold.end(Status::Released));
            assert_eq!(hold.status(), Status::Lost(cause));
            assert_eq!(hold.validity(at), Validity::Ended);
        }
    }
}
