//! Whether a history of lock calls could have come from one lock with leases: a linearizability checker after Wing, Gong and
//! Lowe, one lock at a time.
//!
//! Each call has an effect at one moment between its beginning and its end. An acquire that was granted took a free lock; one
//! that was denied found it held; one with an unknown outcome may have had its effect at any later moment, or never. A hold ends
//! by its release, or by its lease, which is no earlier than its owner's claim. The search tries every order that real time
//! allows, and remembers where it has been.

use crate::history::{Answer, Attempt};
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

/// Histories that need a longer search are let pass: those with many calls of unknown outcome that overlap.
const MOST_STATES: usize = 100_000;
/// Beyond any run.
const NEVER: Duration = Duration::MAX;

/// One thing that happened to one lock.
#[derive(Debug, Clone, Copy)]
struct Step {
    from: Duration,
    until: Duration,
    effect: Effect,
    /// It may not have happened at all.
    optional: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// By the hold with this number.
    Take(usize),
    /// The hold with this number ends.
    End(usize),
    FindHeld,
}

/// Complaints about locks whose history no lock could have had; attempts may come in any order.
pub fn check(attempts: &[Attempt]) -> Vec<String> {
    let mut by_lock: BTreeMap<usize, Vec<&Attempt>> = BTreeMap::new();
    for attempt in attempts {
        by_lock.entry(attempt.lock).or_default().push(attempt);
    }
    let mut found = Vec::new();
    for (lock, attempts) in by_lock {
        if !Search::new(&steps(&attempts)).succeeds() {
            found.push(format!("the history of lock{lock} is not that of a lock"));
        }
    }
    found
}

fn steps(attempts: &[&Attempt]) -> Vec<Step> {
    let mut steps = Vec::new();
    for (number, attempt) in attempts.iter().enumerate() {
        let from = attempt.called;
        let ended = attempt.ended.unwrap_or(NEVER);
        match attempt.answer {
            Answer::Denied => {
                // Nobody in a process overtakes those who wait in it.
                let optional = attempts.iter().any(|other| is_ahead(other, attempt));
                let until = if optional { NEVER } else { ended };
                steps.push(Step { from, until, effect: Effect::FindHeld, optional });
            }
            Answer::Unknown => {
                // It may be undone at any moment once it has had its effect.
                let (take, end) = (Effect::Take(number), Effect::End(number));
                steps.push(Step { from, until: NEVER, effect: take, optional: true });
                steps.push(Step { from, until: NEVER, effect: end, optional: true });
            }
            Answer::Granted => {
                let take = Effect::Take(number);
                steps.push(Step { from, until: ended, effect: take, optional: false });
                // By the release, which may come late or never, or by the lease.
                let earliest = attempt.let_go.map_or(attempt.claimed, |at| at.min(attempt.claimed));
                let latest = attempt.released.unwrap_or(NEVER);
                let end = Effect::End(number);
                steps.push(Step { from: earliest, until: latest, effect: end, optional: true });
            }
        }
    }
    steps.sort_by_key(|step| (step.from, step.until));
    steps
}

/// Whether another call was under way in the same process: it may have come first, also where it was noted later.
fn is_ahead(other: &Attempt, attempt: &Attempt) -> bool {
    let process = |attempt: &Attempt| (attempt.who.process, attempt.who.life);
    let ended = |attempt: &Attempt| attempt.ended.unwrap_or(NEVER);
    process(other) == process(attempt)
        && other.who != attempt.who
        && other.called <= ended(attempt)
        && attempt.called <= ended(other)
}

/// Depth-first over which steps are done and who holds the lock.
struct Search<'a> {
    steps: &'a [Step],
    seen: HashSet<(Vec<u64>, Option<usize>)>,
}

impl<'a> Search<'a> {
    fn new(steps: &'a [Step]) -> Self {
        Self { steps, seen: HashSet::new() }
    }

    /// Whether some order explains the history; a search that grows too long says so, too.
    fn succeeds(&mut self) -> bool {
        let mut pending = vec![(vec![0; self.steps.len().div_ceil(64)], None)];
        while let Some((done, holder)) = pending.pop() {
            if self.is_over(&done) || self.seen.len() > MOST_STATES {
                return true;
            }
            if self.seen.insert((done.clone(), holder)) {
                self.expand(&done, holder, &mut pending);
            }
        }
        false
    }

    fn is_done(done: &[u64], at: usize) -> bool {
        done[at / 64] >> (at % 64) & 1 == 1
    }

    fn is_over(&self, done: &[u64]) -> bool {
        let mut open = self.steps.iter().enumerate().filter(|(at, _)| !Self::is_done(done, *at));
        open.all(|(_, step)| step.optional && step.until == NEVER)
    }

    /// Adds every state that one more step leads to.
    fn expand(
        &self,
        done: &[u64],
        holder: Option<usize>,
        pending: &mut Vec<(Vec<u64>, Option<usize>)>,
    ) {
        let open = || self.steps.iter().enumerate().filter(|(at, _)| !Self::is_done(done, *at));
        // Whatever is next begins before everything that is open has ended.
        let horizon = open().map(|(_, step)| step.until).min().unwrap_or(NEVER);
        // What need not happen is tried last: most histories are explained without it.
        let mut next: Vec<_> = open().filter(|(_, step)| step.from <= horizon).collect();
        next.sort_by_key(|(_, step)| !step.optional);
        for (at, step) in next {
            let next = match (step.effect, holder) {
                (Effect::Take(hold), None) => Some(hold),
                (Effect::End(hold), Some(held)) if hold == held => None,
                (Effect::FindHeld, Some(held)) => Some(held),
                // A hold that is over already, or never began, can end without effect.
                (Effect::End(hold), other) if other != Some(hold) => other,
                _ => continue,
            };
            let mut done = done.to_vec();
            done[at / 64] |= 1 << (at % 64);
            pending.push((done, next));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Who;

    const MS: Duration = Duration::from_millis(1);

    fn attempt(answer: Answer, called: u32, ended: u32, claimed: u32) -> Attempt {
        let who = Who { process: 0, life: 1, task: 0 };
        let begun = Attempt::new(who, 0, MS * called);
        Attempt { ended: Some(MS * ended), answer, claimed: MS * claimed, ..begun }
    }

    fn granted(called: u32, ended: u32, claimed: u32) -> Attempt {
        attempt(Answer::Granted, called, ended, claimed)
    }

    #[test]
    fn holds_that_follow_each_other_are_a_lock() {
        let mut first = granted(0, 2, 100);
        (first.let_go, first.released) = (Some(MS * 10), Some(MS * 12));
        assert!(check(&[first, granted(5, 20, 50)]).is_empty());
    }

    #[test]
    fn second_holder_before_the_first_one_ends_is_not_a_lock() {
        assert_eq!(check(&[granted(0, 2, 100), granted(5, 20, 50)]).len(), 1);
    }

    #[test]
    fn lease_that_ran_out_makes_room() {
        assert!(check(&[granted(0, 2, 100), granted(5, 101, 200)]).is_empty());
    }

    #[test]
    fn denial_of_a_free_lock_is_not_a_lock() {
        let mut first = granted(0, 2, 100);
        (first.let_go, first.released) = (Some(MS * 10), Some(MS * 12));
        let denied = attempt(Answer::Denied, 20, 25, 0);
        assert_eq!(check(&[first.clone(), denied]).len(), 1);
        let denied = attempt(Answer::Denied, 11, 25, 0);
        assert!(check(&[first, denied]).is_empty(), "the release may have come after it");
    }

    #[test]
    fn denial_behind_someone_who_waits_in_the_same_process_needs_no_holder() {
        for (process, task, complaints) in [(0, 2, 0), (0, 0, 1), (3, 2, 1)] {
            let denied = attempt(Answer::Denied, 0, 2, 0);
            let mut holds = granted(3, 4, 100);
            (holds.who.process, holds.let_go, holds.released) = (1, Some(MS * 10), Some(MS * 12));
            let mut waits = granted(1, 50, 90);
            (waits.who.process, waits.who.task) = (process, task);
            assert_eq!(check(&[denied, holds, waits]).len(), complaints, "{process}/{task}");
        }
    }

    #[test]
    fn unknown_outcome_may_have_held_the_lock_or_not() {
        let ghost = attempt(Answer::Unknown, 0, 5, 0);
        let denied = attempt(Answer::Denied, 20, 25, 0);
        assert!(check(&[ghost.clone(), denied]).is_empty());
        assert!(check(&[ghost, granted(20, 25, 50)]).is_empty());
    }
}
