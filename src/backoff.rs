//! How long to wait before the next try: exponential, capped, with full jitter.
//!
//! Pure: entropy is handed in. The jitter is drawn after the cap, so that a fleet that has reached the cap does not
//! move in step ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015).

use std::hash::{Hash, Hasher};
use std::time::Duration;

/// The shape of a series of waits: each is drawn evenly from zero to a ceiling that grows by `factor` up to `cap`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    start: Duration,
    factor: f64,
    cap: Duration,
}

/// The factor is a number, and at least 1.
impl Eq for Backoff {}

impl Hash for Backoff {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.start, self.factor.to_bits(), self.cap).hash(state);
    }
}

impl Backoff {
    /// Ceilings of `start`, `start * factor`, `start * factor²`, … and never more than `cap`.
    ///
    /// A `factor` below 1 or not a number counts as 1, a `cap` below `start` as `start`.
    pub fn new(start: Duration, factor: f64, cap: Duration) -> Self {
        let factor = if factor >= 1.0 { factor } else { 1.0 };
        Self { start, factor, cap: cap.max(start) }
    }

    /// The ceiling of the wait after `tries` failures.
    pub(crate) fn ceiling(&self, tries: u32) -> Duration {
        let growth = self.factor.powi(i32::try_from(tries.min(1_000)).unwrap_or(i32::MAX));
        let ceiling = self.start.as_secs_f64() * growth;
        if ceiling < self.cap.as_secs_f64() { Duration::from_secs_f64(ceiling) } else { self.cap }
    }

    /// The wait after `tries` failures; `entropy` is any evenly distributed number.
    pub(crate) fn delay(&self, tries: u32, entropy: u64) -> Duration {
        let ceiling = self.ceiling(tries).as_nanos();
        let drawn = (ceiling * u128::from(entropy)) >> 64;
        Duration::from_nanos(u64::try_from(drawn).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn ceilings_grow_by_the_factor_and_stop_at_the_cap() {
        let backoff = Backoff::new(2 * MS, 2.0, 9 * MS);
        let ceilings: Vec<_> = (0..5).map(|tries| backoff.ceiling(tries)).collect();
        assert_eq!(ceilings, [2 * MS, 4 * MS, 8 * MS, 9 * MS, 9 * MS]);
        assert_eq!(backoff.ceiling(u32::MAX), 9 * MS);
    }

    #[test]
    fn jitter_spans_the_whole_ceiling_even_at_the_cap() {
        let backoff = Backoff::new(2 * MS, 2.0, 9 * MS);
        assert_eq!(backoff.delay(50, 0), Duration::ZERO);
        assert_eq!(backoff.delay(50, u64::MAX / 2), Duration::from_nanos(4_499_999));
        assert_eq!(backoff.delay(50, u64::MAX), 9 * MS - Duration::from_nanos(1));
    }

    #[test]
    fn senseless_shapes_are_made_usable() {
        let backoff = Backoff::new(5 * MS, f64::NAN, MS);
        assert_eq!(backoff.ceiling(0), 5 * MS);
        assert_eq!(backoff.ceiling(99), 5 * MS);
    }
}
