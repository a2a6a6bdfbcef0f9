//! Whether to look at the socket again before the thread sleeps: for a while after the last traffic, and less often where that
//! never pays. Pure.
//!
//! A thread that sleeps is woken by the kernel, which can take longer than the server needs to answer. A thread that looks
//! again and again keeps a core busy, which the server may need; then its answers come no sooner, and that is noticed.

use crate::client::clock::Time;
use std::time::Duration;

/// So many answers in a row that did not come in time are no accident.
const PATIENCE: u32 = 3;
/// After that so many occasions are left out at most, doubled each time, before it is tried again.
const MOST_LEFT_OUT: u32 = 1_024;

/// More than this in a row is more than any time worth waiting for.
const MOST_LOOKS: u32 = 1 << 14;

#[derive(Debug)]
pub(crate) struct Spin {
    limit: Duration,
    since: Time,
    on: bool,
    /// How often it has gone on since: a clock that stands still, as in tests, must not keep it on.
    looks: u32,
    misses: u32,
    left_out: u32,
}

impl Spin {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, since: Time::default(), on: false, looks: 0, misses: 0, left_out: 0 }
    }

    /// Something was written, or read.
    pub(crate) fn traffic(&mut self, heard: bool, now: Time) {
        if self.limit.is_zero() {
            return;
        }
        if heard && self.on {
            self.misses = 0;
        }
        self.since = now;
        self.looks = 0;
        self.on = self.left_out == 0;
        if !heard {
            self.left_out = self.left_out.saturating_sub(1);
        }
    }

    /// Whether to look again. `owed` says that an answer is on its way.
    pub(crate) fn goes_on(&mut self, owed: bool, now: Time) -> bool {
        if !self.on {
            return false;
        }
        if now < self.since.after(self.limit) && self.looks < MOST_LOOKS {
            self.looks += 1;
            return true;
        }
        self.on = false;
        if owed {
            self.misses += 1;
            if self.misses >= PATIENCE {
                self.left_out = (1 << (self.misses - PATIENCE).min(31)).min(MOST_LEFT_OUT);
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_micros(50);

    fn at(micros: u32) -> Time {
        Time::default().after(micros * Duration::from_micros(1))
    }

    #[test]
    fn goes_on_for_a_while_after_the_last_traffic() {
        let mut spin = Spin::new(LIMIT);
        assert!(!spin.goes_on(false, at(0)), "there was none");
        spin.traffic(false, at(0));
        assert!(spin.goes_on(true, at(49)));
        spin.traffic(true, at(49));
        assert!(spin.goes_on(false, at(98)));
        assert!(!spin.goes_on(false, at(99)));
        assert!(!spin.goes_on(false, at(100)), "it is over");
    }

    #[test]
    fn where_it_never_pays_it_is_left_out_more_and_more_often() {
        let mut spin = Spin::new(LIMIT);
        let mut tried = 0;
        for round in 0..4_000 {
            let begun = 1_000 * round;
            spin.traffic(false, at(begun));
            tried += u32::from(spin.goes_on(true, at(begun)));
            assert!(!spin.goes_on(true, at(begun + 60)), "the answer was late");
            spin.traffic(true, at(begun + 200));
            spin.goes_on(false, at(begun + 300));
        }
        assert!((5..30).contains(&tried), "{tried}");
    }

    #[test]
    fn one_answer_in_time_makes_up_for_those_that_were_late() {
        let mut spin = Spin::new(LIMIT);
        for round in 0..100 {
            let begun = 1_000 * round;
            spin.traffic(false, at(begun));
            assert!(spin.goes_on(true, at(begun + 10)), "round {round}");
            let late = round % 3 > 0;
            let answered = begun + if late { 100 } else { 40 };
            assert_eq!(spin.goes_on(true, at(answered)), !late);
            spin.traffic(true, at(answered));
        }
    }

    #[test]
    fn without_a_limit_it_never_begins() {
        let mut spin = Spin::new(Duration::ZERO);
        spin.traffic(false, at(0));
        assert!(!spin.goes_on(true, at(0)));
    }
}
