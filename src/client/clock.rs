//! Time as a connection keeps it: nanoseconds since the connection began, so that to add and to compare cost one
//! instruction each, and slots stay small.

use crate::seam::after;
use std::time::Duration;
use tokio::time::Instant;

/// A moment in the life of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Time(u64);

impl Time {
    /// Later than anything that happens.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    pub(crate) fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(nanos(wait)))
    }

    /// How long `earlier` was before; zero if it was not.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos_since(earlier))
    }

    /// The same as a number, where it is only compared.
    pub(crate) fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Tells the time of one connection.
#[derive(Debug)]
pub(crate) struct Clock {
    began: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { began: Instant::now() }
    }

    pub(crate) fn now(&self) -> Time {
        Time(nanos(self.began.elapsed()))
    }

    /// For timers.
    pub(crate) fn instant(&self, time: Time) -> Instant {
        after(self.began, Duration::from_nanos(time.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_that_mean_never_do_not_overflow() {
        let late = Time::default().after(Duration::MAX);
        assert_eq!(late, Time::NEVER);
        assert_eq!(late.after(Duration::from_secs(1)), Time::NEVER);
        assert_eq!(Time::default().since(late), Duration::ZERO);
        assert!(Clock::start().instant(late) > Instant::now());
    }
}
