//! Whether a history of lock calls could have come from one lock with leases: a linearizability checker after Wing, Gong and
//! Lowe, one lock at a time.
//!
//! Each call has an effect at one moment between its beginning and its end. An acquire that was granted took a free lock; one
//! that was denied found it held; one with an unknown outcome may have had its effect at any later moment, or never. A hold ends
//! by its release, or by its lease, which is no earlier than its owner's claim. The search tries every order that real time
//! allows, and remembers where it has been.

use crate::history::{Answer, Attempt};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;
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
                // Nobody in a process overtakes those who wait in it: then nothing is said of the lock.
                if !attempts.iter().any(|other| is_ahead(other, attempt)) {
                    let effect = Effect::FindHeld;
                    steps.push(Step { from, until: ended, effect, optional: false });
                }
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
                if attempt.waits {
                    // The server may have given it the lock before, and nobody heard of that until the lease was over.
                    let unheard = number + attempts.len();
                    for effect in [Effect::Take(unheard), Effect::End(unheard)] {
                        steps.push(Step { from, until: NEVER, effect, optional: true });
                    }
                }
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

/// Which steps are done, a bit for each.
type Done = Rc<[u64]>;

/// Depth-first over which steps are done and who holds the lock.
struct Search<'a> {
    /// By when they may happen at the earliest.
    steps: &'a [Step],
    /// Those without which the history is not explained.
    required: Vec<u64>,
    seen: HashSet<(Done, Option<usize>)>,
    /// What may be tried yet: a step after what is done, and who holds the lock then.
    pending: Vec<(Done, usize, Option<usize>)>,
}

impl<'a> Search<'a> {
    fn new(steps: &'a [Step]) -> Self {
        let mut required = vec![0; steps.len().div_ceil(64)];
        for (at, step) in steps.iter().enumerate() {
            if !(step.optional && step.until == NEVER) {
                mark(&mut required, at);
            }
        }
        Self { steps, required, seen: HashSet::new(), pending: Vec::new() }
    }

    /// Whether some order explains the history; a search that grows too long says so, too.
    fn succeeds(&mut self) -> bool {
        let mut state = (Done::from(vec![0; self.required.len()]), None);
        loop {
            let (done, holder) = &state;
            let left =
                self.required.iter().zip(&**done).any(|(required, done)| required & !done != 0);
            if !left || self.seen.len() > MOST_STATES {
                return true;
            }
            if self.seen.insert((Done::clone(done), *holder)) {
                self.expand(done, *holder);
            }
            let Some((before, at, holder)) = self.pending.pop() else { return false };
            let mut done = before.to_vec();
            mark(&mut done, at);
            state = (done.into(), holder);
        }
    }

    /// The steps that are not done, earliest first.
    fn open<'b>(&'b self, done: &'b [u64]) -> impl Iterator<Item = (usize, &'b Step)> {
        let whole = done.iter().take_while(|word| **word == u64::MAX).count() * 64;
        let steps = self.steps.iter().enumerate().skip(whole);
        steps.filter(|(at, _)| done[at / 64] >> (at % 64) & 1 == 0)
    }

    /// Notes every state that one more step leads to.
    fn expand(&mut self, done: &Done, holder: Option<usize>) {
        // Whatever is next begins before everything that is open has ended.
        let mut horizon = NEVER;
        let mut next: Vec<_> = Vec::new();
        for (at, step) in self.open(done) {
            if step.from > horizon {
                break;
            }
            horizon = horizon.min(step.until);
            next.push((at, *step));
        }
        next.retain(|(_, step)| step.from <= horizon);
        // To find the lock held changes nothing: where that is possible, nothing is gained by something else before it.
        let found = next.iter().position(|(_, step)| step.effect == Effect::FindHeld);
        if let (Some(found), Some(_)) = (found, holder) {
            self.pending.push((Done::clone(done), next[found].0, holder));
            return;
        }
        // What ends soonest is tried first, and what need not happen last: most histories are explained without it.
        next.sort_by_key(|(_, step)| (!step.optional, Reverse(step.until)));
        for (at, step) in next {
            let next = match (step.effect, holder) {
                (Effect::Take(hold), None) => Some(hold),
                (Effect::End(hold), Some(held)) if hold == held => None,
                // A hold that is over already, or never began, can end without effect; there is no need to where nobody saw it end.
                (Effect::End(hold), other) if other != Some(hold) && step.until != NEVER => other,
                _ => continue,
            };
            self.pending.push((Done::clone(done), at, next));
        }
    }
}

fn mark(steps: &mut [u64], at: usize) {
    steps[at / 64] |= 1 << (at % 64);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Who;
    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};

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
    fn grant_of_which_nobody_heard_may_have_held_the_lock_before_that_of_which_somebody_did() {
        let mut waits = granted(0, 60, 100);
        let denied = attempt(Answer::Denied, 20, 25, 0);
        assert_eq!(check(&[waits.clone(), denied.clone(), granted(30, 40, 55)]).len(), 1);
        waits.waits = true;
        assert!(check(&[waits, denied, granted(30, 40, 55)]).is_empty());
    }

    #[test]
    fn unknown_outcome_may_have_held_the_lock_or_not() {
        let ghost = attempt(Answer::Unknown, 0, 5, 0);
        let denied = attempt(Answer::Denied, 20, 25, 0);
        assert!(check(&[ghost.clone(), denied]).is_empty());
        assert!(check(&[ghost, granted(20, 25, 50)]).is_empty());
    }

    /// Whether some order explains the history, tried without any thrift: every step that time allows, as the effects say.
    fn is_explained(steps: &[Step], done: &mut Vec<bool>, holder: Option<usize>) -> bool {
        let open: Vec<usize> = (0..steps.len()).filter(|&at| !done[at]).collect();
        if open.iter().all(|&at| steps[at].optional && steps[at].until == NEVER) {
            return true;
        }
        let horizon = open.iter().map(|&at| steps[at].until).min().unwrap_or(NEVER);
        open.into_iter().filter(|&at| steps[at].from <= horizon).any(|at| {
            let next = match (steps[at].effect, holder) {
                (Effect::Take(hold), None) => Some(hold),
                (Effect::End(hold), Some(held)) if hold == held => None,
                (Effect::FindHeld, Some(held)) => Some(held),
                (Effect::End(hold), other) if other != Some(hold) => other,
                _ => return false,
            };
            done[at] = true;
            let explained = is_explained(steps, done, next);
            done[at] = false;
            explained
        })
    }

    #[test]
    fn what_the_search_leaves_out_would_explain_nothing_more() {
        let mut rng = StdRng::seed_from_u64(7);
        let mut explained = 0;
        for _ in 0..3_000 {
            let attempts: Vec<_> = (0..rng.random_range(2..6))
                .map(|task| {
                    let answer =
                        [Answer::Granted, Answer::Granted, Answer::Denied, Answer::Unknown];
                    let called = rng.random_range(0..12);
                    let ended = called + rng.random_range(0..4);
                    let claimed = ended + rng.random_range(0..6);
                    let mut attempt =
                        attempt(answer[rng.random_range(0..4)], called, ended, claimed);
                    attempt.who.process = task;
                    if attempt.answer == Answer::Granted && rng.random_bool(0.6) {
                        let let_go = ended + rng.random_range(0..4);
                        attempt.let_go = Some(MS * let_go);
                        attempt.released = Some(MS * (let_go + rng.random_range(0..3)));
                    }
                    attempt
                })
                .collect();
            let steps = steps(&attempts.iter().collect::<Vec<_>>());
            let expected = is_explained(&steps, &mut vec![false; steps.len()], None);
            assert_eq!(Search::new(&steps).succeeds(), expected, "{attempts:#?}");
            explained += usize::from(expected);
        }
        assert!((300..2_700).contains(&explained), "{explained}: some of both");
    }
}
