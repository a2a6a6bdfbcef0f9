//! Whether to look at the socket again before the thread sleeps: for a while after the last traffic, where that pays. Pure.
//!
//! A thread that sleeps is woken by the kernel, which can take longer than the server needs to answer. A thread that looks
//! again and again keeps a core busy, which the server may need; then its answers come later. Which it is cannot be known, but
//! seen: answers are timed in rounds, with looking and without, and what was faster is kept until it is tried again.
//!
//! The trial changes what it measures. While a thread looks, the kernel moves the server to another core, and leaves it there for
//! a while when the thread sleeps again: each wake-up then crosses cores, and takes four times as long as on one. So a trial of
//! sleeping goes on until it was slow often enough to tell, and for as long as it is not slow more often than not.

use crate::client::clock::{Span, Time};
use std::time::Duration;

/// Answers in a round.
const ROUND: usize = 32;
/// Rounds that are not judged after a change.
const UNSETTLED: u32 = 1;
/// Slow rounds in a row until looking is given up.
const IMPATIENCE: u32 = 4;
/// Rounds of looking until sleeping is tried: at the very beginning, then at least and at most, doubled each time that it has lost.
const FIRST_LOOK: u32 = 2;
const SHORTEST_LOOK: u32 = 64;
const LONGEST_LOOK: u32 = 2048;
/// Rounds of sleeping well until looking is tried, because much may have changed: at least and at most, doubled each time.
const SHORTEST_SLEEP: u32 = 256;
const LONGEST_SLEEP: u32 = 4096;
/// More than this in a row is more than any time worth waiting for.
const MOST_LOOKS: u32 = 1 << 14;

/// Slow rounds, less the good ones, until sleeping is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Patience {
    /// Where one thread does everything: the server stays where it was moved, and that shows at once.
    Short = 8,
    /// Where any of several threads may be woken: the server comes back to one of them, mostly within as many rounds.
    Long = 48,
}

#[derive(Debug)]
pub(crate) struct Spin {
    limit: Duration,
    patience: u32,
    since: Time,
    on: bool,
    /// How often it has gone on since: a clock that stands still, as in tests, must not keep it on.
    looked: u32,
    way: Way,
    /// The answers of this round, so far.
    round: [Span; ROUND],
    answers: usize,
    /// What the last round of each way came to.
    looking: Span,
    sleeping: Span,
    /// Rounds of this way that are not judged any more.
    unsettled: u32,
    /// Rounds until the other way is tried.
    left: u32,
    /// Rounds since the last change, and how many of them were slow, as far as it counts.
    rounds: u32,
    slow: u32,
    /// How long looking and sleeping may go on before the other is tried.
    look_for: u32,
    sleep_for: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Looks,
    Sleeps,
}

impl Spin {
    pub(crate) fn new(limit: Duration, patience: Patience) -> Self {
        Self {
            limit,
            patience: patience as u32,
            since: Time::default(),
            on: false,
            looked: 0,
            way: Way::Looks,
            round: [Span::ZERO; ROUND],
            answers: 0,
            looking: Span::MAX,
            sleeping: Span::MAX,
            unsettled: UNSETTLED,
            left: FIRST_LOOK,
            rounds: 0,
            slow: 0,
            look_for: SHORTEST_LOOK,
            sleep_for: SHORTEST_SLEEP,
        }
    }

    /// Whether it ever looks.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.limit.is_zero()
    }

    /// Whether it is looking.
    pub(crate) fn is_on(&self) -> bool {
        self.on
    }

    /// Whether it looks after what is written next.
    pub(crate) fn looks(&self) -> bool {
        self.is_wanted() && self.way == Way::Looks
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
        if !self.is_wanted() {
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
        if self.unsettled > 0 {
            self.unsettled -= 1;
            return;
        }
        self.rounds += 1;
        self.round.sort_unstable();
        let Some(&median) = self.round.get(ROUND / 2) else { return };
        match self.way {
            Way::Looks => self.has_looked(median),
            Way::Sleeps => self.has_slept(median),
        }
    }

    /// Looking has to pay for the core that it keeps busy.
    fn pays(&self) -> bool {
        self.looking.nanos() < self.sleeping.nanos() - self.sleeping.nanos() / 10
    }

    fn has_looked(&mut self, median: Span) {
        self.looking = median;
        self.slow = if self.pays() { 0 } else { self.slow + 1 };
        self.left -= 1;
        if self.left == 0 || self.slow == IMPATIENCE {
            self.change(Way::Sleeps, self.sleep_for);
        }
    }

    fn has_slept(&mut self, median: Span) {
        self.sleeping = median;
        if !self.pays() {
            self.slow = self.slow.saturating_sub(1);
            self.left -= 1;
            if self.left == 0 {
                self.sleep_for = (2 * self.sleep_for).min(LONGEST_SLEEP);
                self.change(Way::Looks, FIRST_LOOK);
            }
            return;
        }
        self.slow += 1;
        if self.slow == self.patience {
            let hopeless = self.rounds < 2 * self.patience;
            let longer = (2 * self.look_for).min(LONGEST_LOOK);
            self.look_for = if hopeless { longer } else { SHORTEST_LOOK };
            self.sleep_for = SHORTEST_SLEEP;
            self.change(Way::Looks, self.look_for);
        }
    }

    fn change(&mut self, way: Way, rounds: u32) {
        (self.way, self.left, self.unsettled) = (way, rounds, UNSETTLED);
        (self.rounds, self.slow) = (0, 0);
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
        let mut spin = Spin::new(LIMIT, Patience::Short);
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
        let mut spin = Spin::new(LIMIT, Patience::Short);
        let looked = calls(&mut spin, 100_000, (20, 100));
        assert!((97_000..100_000).contains(&looked), "{looked}");
        let mut spin = Spin::new(LIMIT, Patience::Short);
        let looked = calls(&mut spin, 100_000, (300, 100));
        assert!((100..1_500).contains(&looked), "{looked}");
        let looked = calls(&mut spin, 100_000, (95, 100));
        assert!(looked < 1_500, "a twentieth is not worth a core: {looked}");
    }

    #[test]
    fn change_of_what_is_faster_is_noticed() {
        let mut spin = Spin::new(LIMIT, Patience::Short);
        for (cost, looks) in [((20, 100), true), ((300, 100), false), ((20, 100), true)] {
            calls(&mut spin, 20_000, cost);
            assert_eq!(calls(&mut spin, 1_000, cost) > 500, looks, "{cost:?}");
        }
        let looked = calls(&mut spin, 1_000, (300, 100));
        assert!(looked < 300, "what does not pay any more is left at once: {looked}");
    }

    /// A server that is moved to another core while it is looked for; it comes back after so many calls, if ever.
    fn moving(spin: &mut Spin, comes_back_after: u32, looking: u32) -> [u32; 3] {
        let (mut looked, mut near, mut far, mut away) = (0, 0, 0, 0);
        for _ in 0..300_000 {
            spin.traffic(at(0));
            let took = if spin.goes_on(at(1)) {
                (looked, away) = (looked + 1, comes_back_after);
                looking
            } else if away > 0 {
                (far, away) = (far + 1, away - 1);
                55
            } else {
                near += 1;
                15
            };
            spin.answered(Span::of(took * MICRO));
        }
        [looked, near, far].map(|calls| calls / 3_000)
    }

    #[test]
    fn server_that_looking_has_moved_is_given_time_to_come_back() {
        let [looked, near, far] = moving(&mut Spin::new(LIMIT, Patience::Long), 1_000, 38);
        assert!(near > 90, "of 100 calls {looked} looked, and of those that slept {far} came late");
        let [looked, near, far] = moving(&mut Spin::new(LIMIT, Patience::Short), u32::MAX, 22);
        assert!(looked > 97, "it never came back: {near} of 100 were near, {far} far");
    }

    #[test]
    fn without_a_limit_it_never_begins() {
        let mut spin = Spin::new(Duration::ZERO, Patience::Short);
        assert_eq!(calls(&mut spin, 100, (1, 100)), 0);
    }
}
