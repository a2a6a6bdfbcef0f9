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
        self.later(Span::of(wait))
    }

    #[inline]
    pub(crate) fn later(self, by: Span) -> Self {
        Self(self.0.saturating_add(by.0))
    }

    /// How long `earlier` was before; zero if it was not.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        self.span_since(earlier).duration()
    }

    #[inline]
    pub(crate) fn span_since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

/// A duration as a connection keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span(u64);

impl Span {
    /// Longer than anything takes.
    pub(crate) const MAX: Self = Self(u64::MAX);
    pub(crate) const ZERO: Self = Self(0);

    #[inline]
    pub(crate) fn of(duration: Duration) -> Self {
        let seconds = duration.as_secs().saturating_mul(1_000_000_000);
        Self(seconds.saturating_add(u64::from(duration.subsec_nanos())))
    }

    pub(crate) fn nanos(self) -> u64 {
        self.0
    }

    pub(crate) fn duration(self) -> Duration {
        Duration::from_nanos(self.0)
    }
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
        self.time(Instant::now())
    }

    /// An instant as the connection's time.
    #[inline]
    pub(crate) fn time(&self, instant: Instant) -> Time {
        // Of the standard library's instants, which is what tokio's come to after some more steps.
        let passed = instant.into_std().duration_since(self.began.into_std());
        Time(Span::of(passed).0)
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
