//! When a waiter tries again, and when it gives up.
//!
//! Waits grow at random, begin anew when the holder changes, and end no later than the holder's lease or the caller's
//! deadline; at the deadline there is one last attempt. Pure: time and entropy are handed in.

use crate::backoff::Backoff;
use std::time::Duration;
use tokio::time::Instant;

/// What a server rounds away from a lease that it tells in milliseconds.
const ROUNDING: Duration = Duration::from_millis(1);

/// One caller's patience.
#[derive(Debug)]
pub(crate) struct Waiting<'a> {
    backoff: &'a Backoff,
    deadline: Option<Instant>,
    tries: u32,
    holder: Vec<u8>,
}

impl<'a> Waiting<'a> {
    /// Without a deadline it never gives up.
    pub(crate) fn new(backoff: &'a Backoff, deadline: Option<Instant>) -> Self {
        Self { backoff, deadline, tries: 0, holder: Vec::new() }
    }

    /// Somebody holds the lock with this value, for `left` if that is known: when to try again, or `None` to give up.
    pub(crate) fn held(
        &mut self,
        value: &[u8],
        left: Option<Duration>,
        now: Instant,
        entropy: u64,
    ) -> Option<Instant> {
        if self.holder != value {
            self.holder = value.to_vec();
            self.tries = 0;
        }
        let at = self.again(now, entropy)?;
        Some(match left.and_then(|left| now.checked_add(left + ROUNDING)) {
            Some(over) => at.min(over),
            None => at,
        })
    }

    /// An attempt came to nothing: when to try again, or `None` to give up.
    pub(crate) fn again(&mut self, now: Instant, entropy: u64) -> Option<Instant> {
        if self.is_over(now) {
            return None;
        }
        let at = now + self.backoff.delay(self.tries, entropy);
        self.tries = self.tries.saturating_add(1);
        Some(self.deadline.map_or(at, |deadline| at.min(deadline)))
    }

    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| now >= deadline)
    }

    /// What is left of the caller's patience, if it has an end.
    pub(crate) fn left(&self, now: Instant) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    /// Draws the whole ceiling, less a nanosecond.
    const HIGH: u64 = u64::MAX;

    fn backoff() -> Backoff {
        Backoff::new(2 * MS, 2.0, 100 * MS)
    }

    fn wait(at: Option<Instant>, now: Instant) -> u128 {
        let exact = at.expect("gave up") - now;
        (exact + Duration::from_nanos(1)).as_millis()
    }

    #[test]
    fn waits_grow_and_begin_anew_with_another_holder() {
        let (backoff, now) = (backoff(), Instant::now());
        let mut waiting = Waiting::new(&backoff, None);
        let mut held = |value: &[u8]| wait(waiting.held(value, None, now, HIGH), now);
        assert_eq!([held(b"a"), held(b"a"), held(b"a")], [2, 4, 8]);
        assert_eq!([held(b"b"), held(b"b"), held(b"a")], [2, 4, 2]);
    }

    #[test]
    fn wait_ends_with_the_holders_lease() {
        let (backoff, now) = (Backoff::new(50 * MS, 1.0, 50 * MS), Instant::now());
        let mut waiting = Waiting::new(&backoff, None);
        assert_eq!(waiting.held(b"a", Some(7 * MS), now, HIGH), Some(now + 8 * MS));
        assert_eq!(wait(waiting.held(b"a", Some(Duration::MAX - MS), now, HIGH), now), 50);
    }

    #[test]
    fn last_attempt_is_at_the_deadline_and_then_it_is_over() {
        let (backoff, now) = (Backoff::new(50 * MS, 1.0, 50 * MS), Instant::now());
        let deadline = now + 20 * MS;
        let mut waiting = Waiting::new(&backoff, Some(deadline));
        assert_eq!(waiting.held(b"a", Some(30 * MS), now, HIGH), Some(deadline));
        assert_eq!(waiting.held(b"a", Some(10 * MS), deadline, HIGH), None);
        assert_eq!(waiting.again(deadline, HIGH), None);
        assert_eq!(waiting.left(now), Some(20 * MS));
    }
}
