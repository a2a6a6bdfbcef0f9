//! Other processes that want the same key: whether there are any, and whether they tell when they release it.
//!
//! A push by the server wakes a waiter at every change of the key, so also when the lock is renewed or handed over
//! inside another process. While several processes contend, that is most of the time in vain. So whoever has met rivals
//! tells them when it frees the key, and whoever knows that the holder does so listens to that instead.
//!
//! Who is told first and asks fastest would win again and again. So whoever frees the key while callers of its own still wait
//! says that too, and who was too slow twice says that it waits: others who have had the lock since then let it go first, for a
//! moment. In the end processes take turns, and at each release only one of them asks.

use crate::lock::gate::words::{Ears, Terms};
use crate::lock::options::Wakeup;
use crate::seam::after;
use std::time::Duration;
use tokio::time::Instant;

/// For how long a rival is believed to be still about.
const LINGER: Duration = Duration::from_secs(2);
/// For how long somebody who has spoken is believed to speak the next time: it remembers its rivals for longer.
const REPUTATION: Duration = Duration::from_millis(1_500);
/// How many of those are remembered.
const SPEAKERS: usize = 32;
/// How often somebody else was faster before a process says that it waits.
const LOSSES: u8 = 2;

/// What is known of rivals.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Rivals {
    until: Option<Instant>,
    /// There were some when the hold began that goes on.
    kept: bool,
    /// Announcements on the key's channel are heard, or will be, before what is sent next is answered.
    pub(crate) listening: bool,
    /// Processes that have spoken, in the order of their last turns; those that had none come first.
    speakers: Vec<Speaker>,
    /// How many of them come before this process, if it has had a turn.
    before: Option<usize>,
    /// How often others were faster, since then.
    losses: u8,
    /// When this process said last that it waits.
    said: Option<Instant>,
}

/// A process that has announced a release, or that it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Speaker {
    process: u64,
    heard: Instant,
    /// It waits, as it said.
    waits: bool,
}

impl Rivals {
    /// Another process had the key, or waits for it.
    pub(crate) fn met(&mut self, now: Instant) {
        self.until = Some(after(now, LINGER));
    }

    /// Whether there have been any lately.
    pub(crate) fn are_about(&self, now: Instant) -> bool {
        self.kept || self.until.is_some_and(|until| now < until)
    }

    /// Whether they are to be told when the key is freed.
    pub(crate) fn are_told(&self, terms: &Terms, now: Instant) -> bool {
        match terms.wakeup {
            Wakeup::Auto => self.are_about(now),
            Wakeup::Announce => true,
            Wakeup::Track | Wakeup::Poll => false,
        }
    }

    /// A hold begins or ends; for as long as it lasts, rivals are believed to wait.
    pub(crate) fn keep(&mut self, holding: bool, now: Instant) {
        self.kept = holding && self.are_about(now);
    }

    /// A process has announced a release, and whether callers of its own still wait: its turn was the last one.
    pub(crate) fn spoke(&mut self, process: u64, waits: bool, now: Instant) {
        self.forget_silent(now);
        if let Some(at) = self.place(process) {
            self.remove(at);
        }
        if self.speakers.len() == SPEAKERS {
            self.remove(0);
        }
        self.speakers.push(Speaker { process, heard: now, waits });
    }

    /// A process says that it waits.
    pub(crate) fn pleaded(&mut self, process: u64, now: Instant) {
        self.forget_silent(now);
        let speaker = Speaker { process, heard: now, waits: true };
        if let Some(known) = self.speakers.iter_mut().find(|known| known.process == process) {
            *known = speaker;
        } else if self.speakers.len() < SPEAKERS {
            self.speakers.insert(0, speaker);
            self.before = self.before.map(|before| before + 1);
        }
    }

    /// A turn of this process is over, and rivals have been told whether callers of its own still wait.
    pub(crate) fn had_turn(&mut self, waits: bool, now: Instant) {
        if self.are_forgotten() {
            return;
        }
        self.before = Some(self.speakers.len());
        (self.losses, self.said) = (0, waits.then_some(now));
    }

    /// How many wait whose last turn was before that of this process; none that would not be heard of.
    pub(crate) fn ahead(&self, now: Instant) -> u32 {
        let before = self.before.filter(|_| self.listening && !defect!(52)).unwrap_or_default();
        let first = self.speakers.iter().take(before);
        let ahead = first.filter(|speaker| speaker.waits && speaker.is_remembered(now)).count();
        u32::try_from(ahead).unwrap_or(u32::MAX)
    }

    /// Those who were to go first have not come.
    pub(crate) fn pass_over(&mut self) {
        let before = self.before.unwrap_or_default();
        self.speakers.iter_mut().take(before).for_each(|speaker| speaker.waits = false);
    }

    /// Somebody else was faster. Tells whether to say now that this process waits.
    pub(crate) fn lost(&mut self, now: Instant) -> bool {
        self.losses = self.losses.saturating_add(1);
        let known = self.said.is_some_and(|said| now < after(said, REPUTATION / 2));
        if self.losses < LOSSES || known || defect!(53) {
            return false;
        }
        (self.losses, self.said) = (0, Some(now));
        true
    }

    /// Whether a process will be heard when it releases the key.
    pub(crate) fn will_hear(&self, process: u64, now: Instant) -> bool {
        let known = self.speakers.iter().find(|speaker| speaker.process == process);
        self.listening && known.is_some_and(|speaker| speaker.is_remembered(now))
    }

    fn place(&self, process: u64) -> Option<usize> {
        self.speakers.iter().position(|speaker| speaker.process == process)
    }

    fn remove(&mut self, at: usize) {
        self.speakers.remove(at);
        self.before = self.before.map(|before| before - usize::from(at < before));
    }

    fn forget_silent(&mut self, now: Instant) {
        while let Some(at) = self.speakers.iter().position(|speaker| !speaker.is_remembered(now)) {
            self.remove(at);
        }
    }

    /// When they are forgotten.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.until
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Instant) {
        if self.until.is_some_and(|until| now >= until) {
            self.forget();
        }
    }

    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Whether there is nothing to remember.
    pub(crate) fn are_forgotten(&self) -> bool {
        self.until.is_none()
    }
}

impl Speaker {
    fn is_remembered(&self, now: Instant) -> bool {
        now < after(self.heard, REPUTATION)
    }
}

impl Terms {
    /// How a waiter learns of a release, by what it wants and what the connection hears.
    pub(crate) fn mode(&self, ears: Ears) -> Wakeup {
        match (self.wakeup, ears.tracks, ears.hears) {
            (Wakeup::Auto, true, true) => Wakeup::Auto,
            (Wakeup::Auto | Wakeup::Track, true, _) => Wakeup::Track,
            (Wakeup::Auto | Wakeup::Announce, _, true) => Wakeup::Announce,
            _ => Wakeup::Poll,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn rivals_linger_and_are_forgotten() {
        let (mut rivals, now) = (Rivals::default(), Instant::now());
        assert!(!rivals.are_about(now) && rivals.are_forgotten());
        rivals.met(now);
        rivals.tick(now + SECOND);
        assert!(rivals.are_about(now + SECOND));
        assert_eq!(rivals.due(), Some(now + 2 * SECOND));
        assert!(!rivals.are_about(now + 2 * SECOND));
        rivals.tick(now + 2 * SECOND);
        assert!(rivals.are_forgotten());
    }

    #[test]
    fn only_who_has_spoken_lately_to_a_listener_is_relied_on() {
        let (mut rivals, now) = (Rivals::default(), Instant::now());
        rivals.spoke(1, false, now);
        assert!(!rivals.will_hear(1, now), "nobody listens");
        rivals.listening = true;
        assert!(rivals.will_hear(1, now) && !rivals.will_hear(2, now));
        assert!(!rivals.will_hear(1, now + 10 * SECOND));
        for process in 2..=33 {
            rivals.spoke(process, false, now);
        }
        assert!(!rivals.will_hear(1, now) && rivals.will_hear(2, now), "the oldest is forgotten");
    }

    /// Another process has had its turn, then we.
    fn contended(waits: bool, now: Instant) -> Rivals {
        let mut rivals = Rivals { listening: true, ..Rivals::default() };
        rivals.met(now);
        rivals.spoke(1, waits, now);
        assert_eq!(rivals.ahead(now), 0, "we have had no turn");
        rivals.had_turn(true, now);
        rivals
    }

    #[test]
    fn who_waits_goes_before_those_who_have_had_a_turn_since_its_own() {
        let now = Instant::now();
        assert_eq!(contended(false, now).ahead(now), 0, "it does not wait");
        let mut rivals = contended(true, now);
        assert_eq!(rivals.ahead(now), 1);
        assert_eq!(rivals.ahead(now + REPUTATION), 0, "it may have gone");
        rivals.pleaded(2, now);
        assert_eq!(rivals.ahead(now), 2, "who has had no turn goes first");
        rivals.spoke(2, true, now);
        rivals.spoke(1, true, now);
        assert_eq!(rivals.ahead(now), 0, "both have had a turn after ours");
        rivals.had_turn(true, now);
        assert_eq!(rivals.ahead(now), 2);
        rivals.pass_over();
        assert_eq!(rivals.ahead(now), 0, "neither has come");
        rivals.pleaded(1, now);
        assert_eq!(rivals.ahead(now), 1);
        rivals.listening = false;
        assert_eq!(rivals.ahead(now), 0, "nobody would tell when it is our turn");
    }

    #[test]
    fn who_loses_twice_says_that_it_waits_unless_it_has_said_so() {
        let now = Instant::now();
        let mut rivals = Rivals { listening: true, ..Rivals::default() };
        assert!(!rivals.lost(now) && rivals.lost(now));
        assert!(!rivals.lost(now) && !rivals.lost(now), "it has been said");
        assert!(rivals.lost(now + SECOND));
        let mut told = contended(false, now);
        assert!(!told.lost(now) && !told.lost(now), "it was said with the release");
    }
}
