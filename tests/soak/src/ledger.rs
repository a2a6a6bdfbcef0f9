//! Who relied on which lock, and when, over all processes; two who did at once are a violation.
//!
//! Lines of one process come in order, those of different ones do not: so holds are compared once they are over, with all
//! that are remembered. Memory is bounded: what ended long ago is forgotten.

use crate::line::{Line, Nanos, now};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;

/// For how long holds are remembered: longer than any lease, and than any line is late.
const MEMORY: Nanos = 120_000_000_000;

/// A process, by a number that no other has.
pub(crate) type Body = usize;

#[derive(Debug, Clone, Copy)]
struct Hold {
    body: Body,
    attempt: u64,
    from: Nanos,
    until: Nanos,
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { body, attempt, from, until } = self;
        write!(f, "attempt {attempt} of worker {body} from {from} to {until} ns")
    }
}

/// An attempt whose lock is not let go yet.
#[derive(Debug, Clone, Copy)]
struct Open {
    lock: usize,
    granted: Option<Nanos>,
    claimed: Nanos,
}

/// What is known of all holds.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    open: BTreeMap<(Body, u64), Open>,
    held: BTreeMap<usize, VecDeque<Hold>>,
    pub(crate) holds: u64,
    pub(crate) found: Vec<String>,
}

impl Ledger {
    /// A process said something.
    pub(crate) fn heard(&mut self, body: Body, line: &Line) {
        match *line {
            Line::Called { attempt, lock, .. } => {
                self.open.insert((body, attempt), Open { lock, granted: None, claimed: 0 });
            }
            Line::Granted { attempt, at } => {
                if let Some(open) = self.open.get_mut(&(body, attempt)) {
                    open.granted = Some(at);
                }
            }
            Line::Claimed { attempt, until } => {
                if let Some(open) = self.open.get_mut(&(body, attempt)) {
                    open.claimed = open.claimed.max(until);
                }
            }
            Line::Without { attempt, .. } => {
                self.open.remove(&(body, attempt));
            }
            Line::LetGo { attempt, at } => {
                if let Some(open) = self.open.remove(&(body, attempt)) {
                    self.close(body, attempt, open, at);
                }
            }
            _ => {}
        }
    }

    /// A process is dead since then: it relies on nothing any more.
    pub(crate) fn died(&mut self, body: Body, at: Nanos) {
        let theirs = self.open.range((body, 0)..=(body, u64::MAX));
        let theirs: Vec<_> = theirs.map(|(key, open)| (*key, *open)).collect();
        for (key, open) in theirs {
            self.open.remove(&key);
            self.close(body, key.1, open, at);
        }
    }

    /// How many attempts have not come to an end.
    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    fn close(&mut self, body: Body, attempt: u64, open: Open, at: Nanos) {
        let Some(from) = open.granted else { return };
        let hold = Hold { body, attempt, from, until: open.claimed.min(at) };
        let held = self.held.entry(open.lock).or_default();
        for other in held.iter().filter(|other| other.from < hold.until && hold.from < other.until)
        {
            self.found.push(format!("lock{} was held twice: by {other} and by {hold}", open.lock));
        }
        held.push_back(hold);
        self.holds += 1;
        let forgotten = now().saturating_sub(MEMORY);
        while held.front().is_some_and(|hold| hold.until < forgotten) {
            held.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(ledger: &mut Ledger, body: Body, attempt: u64, times: [Nanos; 3]) {
        let [granted, claimed, let_go] = times.map(|time| now() + time);
        ledger.heard(body, &Line::Called { attempt, lock: 1, task: 0, at: granted });
        ledger.heard(body, &Line::Granted { attempt, at: granted });
        ledger.heard(body, &Line::Claimed { attempt, until: claimed });
        ledger.heard(body, &Line::LetGo { attempt, at: let_go });
    }

    const SECOND: Nanos = 1_000_000_000;

    #[test]
    fn holds_one_after_another_are_well() {
        let mut ledger = Ledger::default();
        hold(&mut ledger, 1, 1, [0, 10 * SECOND, SECOND]);
        hold(&mut ledger, 2, 1, [2 * SECOND, 3 * SECOND, 30 * SECOND]);
        hold(&mut ledger, 1, 2, [4 * SECOND, 10 * SECOND, 5 * SECOND]);
        assert_eq!((ledger.holds, ledger.open(), ledger.found.len()), (3, 0, 0));
    }

    #[test]
    fn holds_at_the_same_time_are_found_whichever_is_told_first() {
        let mut ledger = Ledger::default();
        hold(&mut ledger, 1, 1, [2 * SECOND, 10 * SECOND, 5 * SECOND]);
        hold(&mut ledger, 2, 1, [SECOND, 9 * SECOND, 3 * SECOND]);
        assert_eq!(ledger.found.len(), 1);
    }

    #[test]
    fn the_dead_rely_on_nothing_and_before_their_death_they_did() {
        let mut ledger = Ledger::default();
        let begun = now();
        ledger.heard(1, &Line::Called { attempt: 7, lock: 1, task: 0, at: begun });
        ledger.heard(1, &Line::Granted { attempt: 7, at: begun });
        ledger.heard(1, &Line::Claimed { attempt: 7, until: begun + 10 * SECOND });
        ledger.died(1, begun + 2 * SECOND);
        hold(&mut ledger, 2, 1, [3 * SECOND, 9 * SECOND, 4 * SECOND]);
        assert_eq!(ledger.found.len(), 0);
        hold(&mut ledger, 2, 2, [SECOND, 9 * SECOND, SECOND + 1]);
        assert_eq!(ledger.found.len(), 1);
    }
}
