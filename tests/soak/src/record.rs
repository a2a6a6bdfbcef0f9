//! One history, from what the processes tell in it: what each attempt came to, and whether a lock could have had it.

use crate::body::Heard;
use crate::ledger::{self, Ledger};
use crate::line::{Line, Nanos, Without};
use std::collections::BTreeMap;
use std::time::Duration;
use tenure_sim::{Answer, Attempt, Who, check_history};

/// Everything that was told in a history.
#[derive(Debug, Default)]
pub(crate) struct Record {
    attempts: BTreeMap<(ledger::Body, u64), Attempt>,
    ledger: Ledger,
    wrong: Vec<String>,
}

impl Record {
    /// A process said something.
    pub(crate) fn heard(&mut self, Heard(body, line): &Heard) {
        self.ledger.heard(*body, line);
        let time = Duration::from_nanos;
        let mut change = |attempt: u64, change: &dyn Fn(&mut Attempt)| {
            self.attempts.entry((*body, attempt)).and_modify(change);
        };
        match *line {
            Line::Called { attempt, lock, task, at } => {
                let who = Who { process: *body, life: 0, task };
                self.attempts.insert((*body, attempt), Attempt::new(who, lock, time(at)));
            }
            Line::Granted { attempt, at } => change(attempt, &|attempt| {
                (attempt.ended, attempt.answer) = (Some(time(at)), Answer::Granted);
            }),
            Line::Without { attempt, at, why } => change(attempt, &|attempt| {
                let answer = match why {
                    Without::Denied => Answer::Denied,
                    Without::Unknown => Answer::Unknown,
                };
                (attempt.ended, attempt.answer) = (Some(time(at)), answer);
            }),
            Line::Claimed { attempt, until } => change(attempt, &|attempt| {
                attempt.claimed = attempt.claimed.max(time(until));
            }),
            Line::LetGo { attempt, at } => {
                change(attempt, &|attempt| attempt.let_go = Some(time(at)));
            }
            Line::Released { attempt, at } => {
                change(attempt, &|attempt| attempt.released = Some(time(at)));
            }
            Line::Wrong(ref what) => self.complain(format!("worker {body}: {what}")),
            Line::Played { busy } if busy > 0 => {
                self.complain(format!("worker {body} has {busy} left that never comes to an end"));
            }
            _ => {}
        }
    }

    /// A process is dead since then. What it left on the server stays until its lease ends.
    pub(crate) fn died(&mut self, body: ledger::Body, at: Nanos) {
        self.ledger.died(body, at);
    }

    pub(crate) fn complain(&mut self, what: String) {
        self.wrong.push(what);
    }

    /// How many attempts ended so.
    pub(crate) fn count(&self, answer: Answer) -> u64 {
        self.attempts.values().filter(|attempt| attempt.answer == answer).count() as u64
    }

    /// What did not hold.
    pub(crate) fn judge(mut self) -> Vec<String> {
        if self.ledger.open() > 0 {
            self.complain(format!("{} attempts never came to an end", self.ledger.open()));
        }
        let attempts: Vec<Attempt> = self.attempts.into_values().collect();
        let mut wrong = self.wrong;
        wrong.append(&mut self.ledger.found);
        wrong.append(&mut check_history(&attempts));
        if !wrong.is_empty() {
            let begun = attempts.iter().map(|attempt| attempt.called).min().unwrap_or_default();
            wrong.extend(attempts.iter().map(|attempt| told(attempt, begun)));
        }
        wrong
    }
}

/// An attempt in one line, with times since the beginning of its history.
fn told(attempt: &Attempt, begun: Duration) -> String {
    let since = |at: Duration| format!("{:.3}", at.saturating_sub(begun).as_secs_f64() * 1e3);
    let perhaps = |at: Option<Duration>| at.map_or_else(|| "never".to_owned(), since);
    let Who { process, task, .. } = attempt.who;
    format!(
        "  lock{} by {process}/{task}: asked {} ms, {:?} {}, claimed until {}, let go {}, released {}",
        attempt.lock,
        since(attempt.called),
        attempt.answer,
        perhaps(attempt.ended),
        since(attempt.claimed),
        perhaps(attempt.let_go),
        perhaps(attempt.released)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Granted, claimed, let go, released: by one process, from one moment on.
    fn hold(record: &mut Record, body: ledger::Body, from: Nanos, released: bool) {
        let mut say = |line| record.heard(&Heard(body, line));
        say(Line::Called { attempt: from, lock: 0, task: 0, at: from });
        say(Line::Granted { attempt: from, at: from + 1 });
        say(Line::Claimed { attempt: from, until: from + 100 });
        say(Line::LetGo { attempt: from, at: from + 10 });
        if released {
            say(Line::Released { attempt: from, at: from + 12 });
        }
    }

    #[test]
    fn holds_one_after_another_are_a_lock_and_holds_at_once_are_not() {
        let mut record = Record::default();
        hold(&mut record, 1, 1_000, true);
        hold(&mut record, 2, 1_020, true);
        assert_eq!(record.count(Answer::Granted), 2);
        assert!(record.judge().is_empty());
        let mut record = Record::default();
        hold(&mut record, 1, 1_000, true);
        hold(&mut record, 2, 1_005, true);
        assert!(!record.judge().is_empty());
    }

    #[test]
    fn denial_after_a_confirmed_release_is_not_that_of_a_lock() {
        for (released, wrong) in [(true, true), (false, false)] {
            let mut record = Record::default();
            hold(&mut record, 1, 1_000, released);
            record.heard(&Heard(2, Line::Called { attempt: 0, lock: 0, task: 0, at: 1_020 }));
            let denied = Line::Without { attempt: 0, at: 1_030, why: Without::Denied };
            record.heard(&Heard(2, denied));
            assert_eq!(!record.judge().is_empty(), wrong, "released: {released}");
        }
    }

    #[test]
    fn lock_of_the_dead_is_not_granted_before_its_lease_ends() {
        for (granted, wrong) in [(1_050, true), (1_150, false)] {
            let mut record = Record::default();
            record.heard(&Heard(1, Line::Called { attempt: 0, lock: 0, task: 0, at: 1_000 }));
            record.heard(&Heard(1, Line::Granted { attempt: 0, at: 1_001 }));
            record.heard(&Heard(1, Line::Claimed { attempt: 0, until: 1_100 }));
            record.died(1, 1_020);
            hold(&mut record, 2, granted, true);
            assert_eq!(!record.judge().is_empty(), wrong, "granted at {granted}");
        }
    }
}
