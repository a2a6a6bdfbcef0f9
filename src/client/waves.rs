//! When commands were queued, without asking the clock for each of them.
//!
//! Whoever queues a command rarely needs the time; the driver, which is woken for it, needs it for all that came since its
//! last turn. These commands are one wave, and share the time at which the driver saw them. Pure.

use crate::client::clock::Time;
use std::collections::VecDeque;

/// Names a wave.
pub(crate) type Wave = u32;

/// The times of the waves that still have commands.
#[derive(Debug, Default)]
pub(crate) struct Waves {
    first: Wave,
    times: VecDeque<Time>,
}

impl Waves {
    /// The wave that a command queued now belongs to; its time is still to come.
    #[inline]
    pub(crate) fn next(&self) -> Wave {
        self.first.wrapping_add(self.times.len() as Wave)
    }

    /// Gives the next wave its time, and begins another.
    pub(crate) fn stamp(&mut self, now: Time) {
        self.times.push_back(now);
    }

    /// When a wave was seen; `None` if it was not.
    #[inline]
    pub(crate) fn time(&self, wave: Wave) -> Option<Time> {
        self.times.get(wave.wrapping_sub(self.first) as usize).copied()
    }

    /// Gives memory back that a burst has taken.
    pub(crate) fn trim(&mut self, capacity: usize) {
        self.times.shrink_to(capacity);
    }

    /// No command of an earlier wave is left.
    #[inline]
    pub(crate) fn forget_before(&mut self, wave: Wave) {
        if self.first != wave {
            self.forget(wave);
        }
    }

    fn forget(&mut self, wave: Wave) {
        while self.first != wave && self.times.pop_front().is_some() {
            self.first = self.first.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn wave_has_its_time_until_it_is_forgotten_also_when_numbers_wrap() {
        let mut waves = Waves { first: Wave::MAX, times: VecDeque::new() };
        let at = |ms| Time::default().after(Duration::from_millis(ms));
        let [early, middle, late] = [1, 2, 3].map(|ms| {
            let wave = waves.next();
            assert_eq!(waves.time(wave), None);
            waves.stamp(at(ms));
            wave
        });
        assert_eq!(
            [early, middle, late].map(|wave| waves.time(wave)),
            [1, 2, 3].map(|ms| Some(at(ms)))
        );
        waves.forget_before(middle);
        assert_eq!((waves.time(early), waves.time(middle)), (None, Some(at(2))));
        waves.forget_before(waves.next());
        assert_eq!(waves.time(late), None);
    }
}
