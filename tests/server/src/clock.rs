//! The server's clock: tokio's, plus what a test has moved it by.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// A moment on the server's wall clock, in microseconds since 1970, and on tokio's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Now {
    us: i64,
    at: Instant,
}

impl Now {
    /// Milliseconds since 1970.
    pub(crate) fn ms(self) -> i64 {
        self.us / 1000
    }

    /// So many milliseconds later.
    pub(crate) fn after_ms(self, ms: u64) -> Self {
        let us = i64::try_from(ms.saturating_mul(1000)).unwrap_or(i64::MAX);
        let at = self.at.checked_add(Duration::from_millis(ms)).unwrap_or(self.at);
        Self { us: self.us.saturating_add(us), at }
    }

    /// How long it is until `later`; nothing if that has passed.
    pub(crate) fn until(self, later: Self) -> Duration {
        let us = later.us.saturating_sub(self.us);
        Duration::from_micros(u64::try_from(us).unwrap_or(0))
    }

    /// The same moment on tokio's clock.
    pub(crate) fn at(self) -> Instant {
        self.at
    }

    /// Microseconds since 1970.
    pub(crate) fn us(self) -> i64 {
        self.us
    }
}

/// Wall time at an instant, and how to get from there to now.
#[derive(Debug)]
pub(crate) struct Clock {
    origin: Instant,
    wall_us: i64,
    /// Microseconds that it gains in a second of tokio's.
    gains_us: i64,
}

impl Clock {
    /// A clock that agrees with the machine's now, and goes with tokio's from here.
    pub(crate) fn new() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { origin: Instant::now(), wall_us: micros(wall), gains_us: 0 }
    }

    pub(crate) fn now(&self) -> Now {
        let at = Instant::now();
        let elapsed = micros(at.saturating_duration_since(self.origin));
        let gained = elapsed.saturating_mul(self.gains_us) / 1_000_000;
        Now { us: self.wall_us.saturating_add(elapsed).saturating_add(gained), at }
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        self.wall_us = self.wall_us.saturating_add(micros(by));
    }

    /// From now on gains so many microseconds in a second, or loses them.
    pub(crate) fn drift(&mut self, gains_us: i64) {
        self.wall_us = self.now().us;
        self.origin = Instant::now();
        self.gains_us = gains_us;
    }

    /// Sets the wall clock, forward or back.
    pub(crate) fn set(&mut self, since_1970: Duration) {
        self.origin = Instant::now();
        self.wall_us = micros(since_1970);
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
