//! Whether to look at the socket again before the thread sleeps: for a while after the last traffic, where that pays. Pure.
//!
//! A thread that sleeps is woken by the kernel, which can take longer than the server needs to answer. A thread that looks
//! again and again keeps a core busy, which the server may need; then its answers come later. Which it is cannot be known, but
//! seen: answers are timed in rounds, with looking and without, and what was faster is kept until it is tried again.

use crate::client::clock::{Span, Time};
use std::time::Duration;

/// Answers in a round.
const ROUND: usize = 32;
/// Rounds until the other way is tried again: first, and at most, doubled each time that nothing has changed.
const FIRST_HOLD: u32 = 8;
const LONGEST_HOLD: u32 = 128;
/// More than this in a row is more than any time worth waiting for.
const MOST_LOOKS: u32 = 1 << 14;

#[derive(Debug)]
pub(crate) struct Spin {
    limit: Duration,
    since: Time,
    on: bool,
    /// How often it has gone on since: a clock that stands still, as in tests, must not keep it on.
    looked: u32,
    way: Way,
    /// The answers of this round, so far.
    round: [Span; ROUND],
    answers: usize,
    /// What the last round of each way came to, looking first.
    medians: [Option<Span>; 2],
    /// Rounds until the other way is tried, and how many that were last time.
    left: u32,
    hold: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Looks,
    Sleeps,
}

impl Way {
    fn other(self) -> Self {
        match self {
            Self::Looks => Self::Sleeps,
            Self::Sleeps => Self::Looks,
        }
    }
}

impl Spin {
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            limit,
            since: Time::default(),
            on: false,
            looked: 0,
            way: Way::Looks,
            round: [Span::ZERO; ROUND],
            answers: 0,
            medians: [None; 2],
            left: 0,
            hold: FIRST_HOLD,
        }
    }

    /// Whether it looks after what is written next.
    pub(crate) fn looks(&self) -> bool {
        !self.limit.is_zero() && self.way == Way::Looks
    }

    /// Something was written, or read.
    pub(crate) fn traffic(&mut self, now: Time) {
        if self.looks() {
            (self.since, self.looked, self.on) = (now, 0, true);
        } else {
            self.on = false;
        }
    }

    /// The server took this long to answer.
    pub(crate) fn answered(&mut self, took: Span) {
        if self.limit.is_zero() {
            return;
        }
        if let Some(place) = self.round.get_mut(self.answers) {
            *place = took;
        }
        self.answers += 1;
        if self.answers == ROUND {
            self.answers = 0;
            self.end_round();
        }
    }

    fn end_round(&mut self) {
        self.round.sort_unstable();
        let median = self.round.get(ROUND / 2).copied();
        let [looking, sleeping] = &mut self.medians;
        match self.way {
            Way::Looks => *looking = median,
            Way::Sleeps => *sleeping = median,
        }
        if self.left > 0 {
            self.left -= 1;
            if self.left == 0 {
                self.way = self.way.other();
            }
            return;
        }
        let (Some(looking), Some(sleeping)) = (*looking, *sleeping) else {
            self.way = self.way.other();
            return;
        };
        // Looking has to pay for the core that it keeps busy.
        let pays = looking.nanos() < sleeping.nanos() - sleeping.nanos() / 10;
        let best = if pays { Way::Looks } else { Way::Sleeps };
        // This was the round of the other way: where it has lost again, it is tried less often.
        self.hold = if best == self.way { FIRST_HOLD } else { (2 * self.hold).min(LONGEST_HOLD) };
        self.left = self.hold;
        self.way = best;
    }

    /// Whether to look again.
    pub(crate) fn goes_on(&mut self, now: Time) -> bool {
        if !self.on {
            return false;
        }
        self.looked += 1;
        self.on = now < self.since.after(self.limit) && self.looked < MOST_LOOKS;
        self.on
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_micros(50);
    const MICRO: Duration = Duration::from_micros(1);

    fn at(micros: u32) -> Time {
        Time::default().after(micros * MICRO)
    }

    /// So many calls, which take so long when looked for and when not; tells how many were looked for.
    fn calls(spin: &mut Spin, calls: u32, (looking, sleeping): (u32, u32)) -> u32 {
        let mut looked = 0;
        for _ in 0..calls {
            spin.traffic(at(0));
            let looks = spin.goes_on(at(1));
            looked += u32::from(looks);
            let took = if looks { looking } else { sleeping };
            spin.answered(Span::of(took * MICRO));
        }
        looked
    }

    #[test]
    fn goes_on_for_a_while_after_the_last_traffic() {
        let mut spin = Spin::new(LIMIT);
        assert!(!spin.goes_on(at(0)), "there was none");
        spin.traffic(at(0));
        assert!(spin.goes_on(at(49)));
        spin.traffic(at(49));
        assert!(spin.goes_on(at(98)));
        assert!(!spin.goes_on(at(99)));
        assert!(!spin.goes_on(at(98)), "it is over");
        spin.traffic(at(100));
        assert_eq!((0..).take_while(|_| spin.goes_on(at(100))).count(), MOST_LOOKS as usize - 1);
    }

    #[test]
    fn what_is_faster_is_kept_and_the_other_tried_now_and_then() {
        let mut spin = Spin::new(LIMIT);
        let looked = calls(&mut spin, 100_000, (20, 100));
        assert!((97_000..100_000).contains(&looked), "{looked}");
        let mut spin = Spin::new(LIMIT);
        let looked = calls(&mut spin, 100_000, (300, 100));
        assert!((100..3_000).contains(&looked), "{looked}");
        let looked = calls(&mut spin, 100_000, (95, 100));
        assert!(looked < 3_000, "a twentieth is not worth a core: {looked}");
    }

    #[test]
    fn change_of_what_is_faster_is_noticed() {
        let mut spin = Spin::new(LIMIT);
        for (cost, looks) in [((20, 100), true), ((300, 100), false), ((20, 100), true)] {
            calls(&mut spin, 10_000, cost);
            assert_eq!(calls(&mut spin, 1_000, cost) > 500, looks, "{cost:?}");
        }
    }

    #[test]
    fn without_a_limit_it_never_begins() {
        let mut spin = Spin::new(Duration::ZERO);
        assert_eq!(calls(&mut spin, 100, (1, 100)), 0);
    }
}
