//! Notices a server that is not there any more, without any help of the operating system: a half-open connection, a frozen
//! process, a cable that was pulled.
//!
//! Nothing heard for `keepalive` and no answer owed: the canary asks. An answer owed and nothing heard for `stall_timeout`: the
//! connection is lost. Both from the last byte that came, so a long reply that keeps coming is no silence. A call whose caller
//! said how long it may take, longer than calls usually do, is given that time before its silence counts. Pure.

use crate::client::clock::{Span, Time};
use crate::client::slots::Owed;
use crate::config::Config;
use std::time::Duration;

/// How long one open socket has been silent.
#[derive(Debug)]
pub(crate) struct Pulse {
    keepalive: Span,
    stall: Span,
    heard: Time,
}

/// What to make of the silence.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Silence {
    /// Not long enough to mean anything.
    Short,
    /// Ask whether anybody is there.
    Doubtful,
    /// Nobody is.
    Dead(Duration),
}

impl Pulse {
    /// Of a socket that answered just now.
    pub(crate) fn new(config: &Config, now: Time) -> Self {
        let (keepalive, stall) = (Span::of(config.keepalive), Span::of(config.stall_timeout));
        Self { keepalive, stall, heard: now }
    }

    /// Something came.
    pub(crate) fn heard(&mut self, now: Time) {
        self.heard = now;
    }

    /// When the silence will mean something, if it goes on.
    pub(crate) fn due(&self, owed: Option<Owed>) -> Time {
        match owed {
            Some(owed) => owed.since.max(self.heard).later(self.stall).max(owed.allowed_until),
            None => self.heard.later(self.keepalive),
        }
    }

    /// What the silence means.
    pub(crate) fn feel(&mut self, owed: Option<Owed>, now: Time) -> Silence {
        if now < self.due(owed) {
            return Silence::Short;
        }
        if owed.is_some() && !defect!(11) {
            return Silence::Dead(now.since(self.heard));
        }
        self.heard = now; // the next question comes a whole interval later
        defect!(12, Silence::Short, Silence::Doubtful)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn at(ms: u32) -> Time {
        Time::default().after(ms * MS)
    }

    fn pulse() -> Pulse {
        Pulse { keepalive: Span::of(10 * MS), stall: Span::of(4 * MS), heard: at(0) }
    }

    #[test]
    fn silence_without_a_debt_leads_to_a_question_each_interval() {
        let mut pulse = pulse();
        assert_eq!(pulse.due(None), at(10));
        assert_eq!(pulse.feel(None, at(9)), Silence::Short);
        assert_eq!(pulse.feel(None, at(10)), Silence::Doubtful);
        assert_eq!(pulse.due(None), at(20));
    }

    #[test]
    fn debt_is_forgiven_no_longer_than_the_silence_may_last() {
        let mut pulse = pulse();
        let owed = |since, until| Some(Owed { since: at(since), allowed_until: at(until) });
        assert_eq!(pulse.feel(owed(7, 7), at(10)), Silence::Short);
        assert_eq!(pulse.feel(owed(7, 7), at(11)), Silence::Dead(11 * MS));
        pulse.heard(at(10));
        assert_eq!(pulse.feel(owed(7, 7), at(13)), Silence::Short, "a byte came at 10");
        assert_eq!(pulse.feel(owed(7, 30), at(29)), Silence::Short, "its caller allowed it");
        assert_eq!(pulse.feel(owed(7, 30), at(30)), Silence::Dead(20 * MS));
    }
}
