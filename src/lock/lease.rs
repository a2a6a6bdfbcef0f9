//! How long a grant may be relied on, and when to prolong it.
//!
//! The server counts a lease from when it ran the command, we from before we sent it, less an allowance for clocks that
//! run at different speeds: so we always let go first. Pure: instants are handed in.

use crate::error::Error;
use std::time::Duration;
use tokio::time::Instant;

/// The longest lease that a server's clock, and ours, can count.
const MAX_MILLIS: u64 = u64::MAX / 4;
/// Smallest round trips that a lease must have room for: there, back, and a renewal in between.
pub(crate) const ROUND_TRIPS: u64 = 3;

/// The length of a lease, in whole milliseconds, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Lease {
    millis: u64,
    /// For how long the server keeps the key beyond that.
    delay_millis: u64,
    /// What is asked for at every hold is made once, in nanoseconds to be small.
    valid_nanos: u64,
    renew_nanos: u64,
}

impl Lease {
    /// # Errors
    ///
    /// If the length rounds down to nothing, or is beyond what can be counted.
    pub(crate) fn new(length: Duration) -> Result<Self, Error> {
        match u64::try_from(length.as_millis()) {
            Ok(0) => Err(Error::config("a lease must last at least one millisecond")),
            Ok(millis) if millis <= MAX_MILLIS => Ok(Self::of(millis, 0)),
            _ => Err(Error::config(format!("a lease must last at most {MAX_MILLIS} milliseconds"))),
        }
    }

    fn of(millis: u64, delay_millis: u64) -> Self {
        let (length, drift) = (Duration::from_millis(millis), drift(millis));
        let validity = length.saturating_sub(defect!(27, Duration::ZERO, drift));
        // What does not fit, who takes a lock for longer than there were locks, counts as that.
        let [valid_nanos, renew_nanos] = [validity, length / 3]
            .map(|duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
        Self { millis, delay_millis, valid_nanos, renew_nanos }
    }

    /// The same, but the server keeps the key for longer, during which nobody has the lock.
    ///
    /// # Errors
    ///
    /// If both together are beyond what can be counted.
    pub(crate) fn with_delay(self, delay: Duration) -> Result<Self, Error> {
        match u64::try_from(delay.as_millis()) {
            Ok(delay_millis) if delay_millis <= MAX_MILLIS - self.millis => {
                Ok(Self { delay_millis, ..self })
            }
            _ => Err(Error::config(format!(
                "a lease and its delay must last at most {MAX_MILLIS} milliseconds together"
            ))),
        }
    }

    /// The same, or what is left of the key's life to a moment beyond which it may not reach; `None` if nothing is left of it.
    pub(crate) fn at_most(self, left: Duration) -> Option<Self> {
        let left = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        let millis = self.millis.min(left.saturating_sub(self.delay_millis));
        (millis > 0).then_some(Self::of(millis, self.delay_millis))
    }

    /// The same, but no longer than this; with all of its delay.
    pub(crate) fn no_longer_than(self, most: Duration) -> Self {
        let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX).max(1);
        Self::of(self.millis.min(most), self.delay_millis)
    }

    /// The same, but no shorter than this.
    pub(crate) fn no_shorter_than(self, least: Duration) -> Self {
        let least = u64::try_from(least.as_millis()).unwrap_or(u64::MAX).min(MAX_MILLIS);
        Self::of(self.millis.max(least), self.delay_millis)
    }

    /// The number on the wire.
    pub(crate) fn ttl_ms(self) -> i64 {
        i64::try_from(self.millis + self.delay_millis).unwrap_or(i64::MAX)
    }

    #[inline]
    pub(crate) fn length(self) -> Duration {
        Duration::from_millis(self.millis)
    }

    #[inline]
    pub(crate) fn is_shorter_than(self, nanos: u64) -> bool {
        self.millis.saturating_mul(1_000_000) < nanos
    }

    /// Until when a lease whose command was sent at `sent` may be relied on.
    #[inline]
    pub(crate) fn deadline(self, sent: Instant) -> Instant {
        sent + Duration::from_nanos(self.valid_nanos)
    }

    /// When the server has ended the lease for certain, if the command was sent at `sent` and ran within a round trip.
    pub(crate) fn surely_over(self, sent: Instant) -> Instant {
        sent + self.length() + Duration::from_millis(self.delay_millis) + drift(self.millis)
    }

    /// Whether the key outlives the lease.
    pub(crate) fn is_delayed(self) -> bool {
        self.delay_millis > 0
    }

    /// When to renew, with time left for two more tries.
    #[inline]
    pub(crate) fn renew_at(self, sent: Instant) -> Instant {
        sent + Duration::from_nanos(self.renew_nanos)
    }

    /// In so many nanoseconds from when its command was sent nothing is to be done about it.
    #[inline]
    pub(crate) fn rest_nanos(self) -> u64 {
        self.renew_nanos.min(self.valid_nanos)
    }

    /// How long to wait before an unconfirmed renewal is tried again.
    pub(crate) fn retry_after(self) -> Duration {
        (self.length() / 10).min(Duration::from_millis(250))
    }
}

/// Oscillators that differ by 0.1 % each, and two ticks of a millisecond clock.
fn drift(millis: u64) -> Duration {
    Duration::from_micros(2 * millis + 2_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn lengths_that_nobody_can_count_are_refused() {
        assert!(Lease::new(Duration::ZERO).is_err());
        assert!(Lease::new(Duration::from_micros(999)).is_err());
        assert!(Lease::new(Duration::MAX).is_err());
        assert!(Lease::new(Duration::from_millis(MAX_MILLIS + 1)).is_err());
        let longest = Lease::new(Duration::from_millis(MAX_MILLIS)).unwrap();
        let _far_away = longest.surely_over(Instant::now());
        assert!(longest.ttl_ms() > 0);
    }

    #[test]
    fn we_let_go_before_the_server_does() {
        let (lease, sent) = (Lease::new(10_000 * MS).unwrap(), Instant::now());
        assert_eq!(lease.deadline(sent), sent + 9_978 * MS);
        assert_eq!(lease.surely_over(sent), sent + 10_022 * MS);
        assert_eq!(lease.renew_at(sent), sent + 10_000 * MS / 3);
    }

    #[test]
    fn delay_is_the_servers_and_no_part_of_the_validity() {
        let sent = Instant::now();
        let lease = Lease::new(10_000 * MS).unwrap().with_delay(5_000 * MS).unwrap();
        assert_eq!((lease.ttl_ms(), lease.deadline(sent)), (15_000, sent + 9_978 * MS));
        assert_eq!(lease.surely_over(sent), sent + 15_022 * MS);
        assert_eq!(lease.at_most(7_000 * MS).unwrap().length(), 2_000 * MS);
        assert_eq!(lease.at_most(5_000 * MS), None, "only the delay is left");
        assert_eq!(lease.no_longer_than(2_000 * MS).ttl_ms(), 7_000);
        assert_eq!(lease.no_shorter_than(2_000 * MS), lease);
        assert_eq!(lease.no_shorter_than(12_000 * MS).ttl_ms(), 17_000);
        assert!(lease.with_delay(Duration::MAX).is_err());
    }

    #[test]
    fn lease_shorter_than_its_drift_has_no_validity() {
        let (lease, sent) = (Lease::new(MS).unwrap(), Instant::now());
        assert_eq!(lease.deadline(sent), sent);
    }
}
