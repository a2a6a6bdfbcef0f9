//! When commands were queued, without asking the clock for each of them.
//!
//! Whoever queues a command rarely needs the time; the driver, which is woken for it, needs it for all that came since its
//! last turn. These commands are one wave, and share the time at which the driver saw them. Pure.

use crate::client::clock::{Span, Time};
use crate::client::stats::Stats;
use std::collections::VecDeque;

/// Names a wave.
pub(crate) type Wave = u32;

/// The times of the waves that still have commands.
#[derive(Debug, Default)]
pub(crate) struct Waves {
    first: Wave,
    /// The time of the first, if there is one: a lone command is the only wave.
    oldest: Option<Time>,
    /// The times of all others, of which there are none without a first.
    later: VecDeque<Time>,
}

impl Waves {
    /// The wave that a command queued now belongs to; its time is still to come.
    #[inline]
    pub(crate) fn next(&self) -> Wave {
        self.first.wrapping_add((usize::from(self.oldest.is_some()) + self.later.len()) as Wave)
    }

    /// Gives the next wave its time, and begins another.
    #[inline]
    pub(crate) fn stamp(&mut self, now: Time) {
        match self.oldest {
            None => self.oldest = Some(now),
            Some(_) => self.later.push_back(now),
        }
    }

    /// When a wave was seen; `None` if it was not.
    #[inline]
    pub(crate) fn time(&self, wave: Wave) -> Option<Time> {
        match wave.wrapping_sub(self.first) {
            0 => self.oldest,
            number => self.later.get(number as usize - 1).copied(),
        }
    }

    /// Gives memory back that a burst has taken.
    pub(crate) fn trim(&mut self, capacity: usize) {
        self.later.shrink_to(capacity);
    }

    /// No command of an earlier wave is left.
    #[inline]
    pub(crate) fn forget_before(&mut self, wave: Wave) {
        if self.first != wave {
            self.forget(wave);
        }
    }

    fn forget(&mut self, wave: Wave) {
        while self.first != wave && self.oldest.is_some() {
            self.oldest = self.later.pop_front();
            self.first = self.first.wrapping_add(1);
        }
    }
}

/// How long replies took that came together: the same for all of one wave.
#[derive(Debug)]
pub(crate) struct Tally<'a> {
    now: Time,
    stats: &'a mut Stats,
    /// Of the replies that were noted last, and not yet put down.
    wave: Wave,
    replies: u64,
    took: Span,
    shortest: Span,
}

impl<'a> Tally<'a> {
    pub(crate) fn new(now: Time, stats: &'a mut Stats) -> Self {
        Self { now, stats, wave: 0, replies: 0, took: Span::ZERO, shortest: Span::MAX }
    }

    /// A reply came to a command of this wave.
    #[inline]
    pub(crate) fn note(&mut self, wave: Wave, waves: &Waves) {
        if self.wave != wave || self.replies == 0 {
            self.turn_to(wave, waves);
        }
        self.replies += 1;
    }

    fn turn_to(&mut self, wave: Wave, waves: &Waves) {
        self.put_down();
        let began = waves.time(wave).unwrap_or(self.now);
        (self.wave, self.took) = (wave, self.now.span_since(began));
        self.shortest = self.shortest.min(self.took);
    }

    fn put_down(&mut self) {
        if self.replies > 0 {
            self.stats.took(self.took, std::mem::take(&mut self.replies));
        }
    }

    /// Puts all of it down; tells what the quickest took, which is [`Span::MAX`] if there was none.
    pub(crate) fn finish(mut self) -> Span {
        self.put_down();
        self.shortest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn wave_has_its_time_until_it_is_forgotten_also_when_numbers_wrap() {
        let mut waves = Waves { first: Wave::MAX, ..Waves::default() };
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

    #[test]
    fn replies_are_put_down_by_wave_with_what_the_quickest_took() {
        let mut waves = Waves::default();
        let (mut stats, at) =
            (Stats::default(), |ms| Time::default().after(Duration::from_millis(ms)));
        let [early, late] = [1, 4].map(|ms| {
            let wave = waves.next();
            waves.stamp(at(ms));
            wave
        });
        let mut tally = Tally::new(at(5), &mut stats);
        for wave in [early, early, late, waves.next()] {
            tally.note(wave, &waves);
        }
        assert_eq!(tally.finish(), Span::ZERO, "of a wave that nobody has seen yet");
        let counted: Vec<_> = stats.round_trips().filter(|(_, count)| *count > 0).collect();
        let below = |nanos: u64| Duration::from_nanos(nanos.next_power_of_two());
        assert_eq!(counted, [(below(2), 1), (below(1_000_000), 1), (below(4_000_000), 2)]);
        assert_eq!(Tally::new(at(5), &mut stats).finish(), Span::MAX);
    }
}
