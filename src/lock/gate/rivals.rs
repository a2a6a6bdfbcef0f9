//! Other processes that want the same key: whether there are any, and whether they tell when they release it.
//!
//! A push by the server wakes a waiter at every change of the key, so also when the lock is renewed or handed over
//! inside another process. While several processes contend, that is most of the time in vain. So whoever has met rivals
//! tells them when it frees the key, and whoever knows that the holder does so listens to that instead.

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
const SPEAKERS: usize = 16;

/// What is known of rivals.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Rivals {
    until: Option<Instant>,
    /// There were some when the hold began that goes on.
    kept: bool,
    /// Announcements on the key's channel are heard, or will be, before what is sent next is answered.
    pub(crate) listening: bool,
    /// Processes that have announced a release, and when.
    speakers: Vec<(u64, Instant)>,
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

    /// A process has announced a release.
    pub(crate) fn spoke(&mut self, process: u64, now: Instant) {
        self.speakers.retain(|(other, heard)| *other != process && now < after(*heard, REPUTATION));
        if self.speakers.len() == SPEAKERS {
            self.speakers.remove(0);
        }
        self.speakers.push((process, now));
    }

    /// Whether a process will be heard when it releases the key.
    pub(crate) fn will_hear(&self, process: u64, now: Instant) -> bool {
        let known = self.speakers.iter().find(|(other, _)| *other == process);
        self.listening && known.is_some_and(|(_, heard)| now < after(*heard, REPUTATION))
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
        rivals.spoke(1, now);
        assert!(!rivals.will_hear(1, now), "nobody listens");
        rivals.listening = true;
        assert!(rivals.will_hear(1, now) && !rivals.will_hear(2, now));
        assert!(!rivals.will_hear(1, now + 10 * SECOND));
        for process in 2..=17 {
            rivals.spoke(process, now);
        }
        assert!(!rivals.will_hear(1, now) && rivals.will_hear(2, now), "the oldest is forgotten");
    }
}
