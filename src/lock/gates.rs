//! The gates of one client's locks, found by their keys.
//!
//! A gate that has nothing to remember is vacant. The last ones that became so stay where they are, so that a lock that is
//! taken again and again is found at once; the others are closed, and their places used again.

use crate::error::Error;
use crate::lock::gate::{Gate, Terms};
use crate::lock::plan::{Hashed, Key, Plan};
use crate::lock::token::Signature;
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tokio::time::Instant;

/// How many vacant gates are kept at most.
const KEPT: usize = 1_024;

#[derive(Default)]
pub(crate) struct Gates {
    entries: Vec<Entry>,
    free: Vec<usize>,
    index: HashMap<Key, usize, Hashed>,
    /// Those that became vacant, the oldest first. Some are in use again.
    vacated: VecDeque<usize>,
    in_use: usize,
}

/// One gate and what its decisions are about.
#[derive(Default)]
pub(crate) struct Entry {
    pub(crate) gate: Gate,
    pub(crate) key: Option<Key>,
    pub(crate) channel: Bytes,
    /// That of the lock by which somebody came here last, for others of the same kind.
    plan: Option<Arc<Plan>>,
    /// Who held the lock when last seen, and when that lease is over.
    pub(crate) seen: Option<(Bytes, Option<Instant>)>,
    /// Why the server could not be asked last.
    pub(crate) last_error: Option<Error>,
    /// When the timers look at it.
    pub(crate) armed: Option<Instant>,
    /// How many nanoseconds that was ahead when it was decided.
    pub(crate) armed_nanos: u64,
    /// Whether releases of it are listened for.
    pub(crate) listening: bool,
    /// Whether grants of it are.
    pub(crate) heeding: bool,
    in_use: bool,
    /// Whether it is among the vacated ones.
    vacated: bool,
}

impl Entry {
    /// Whether the timers look at it by then.
    #[inline]
    pub(crate) fn is_looked_at_by(&self, due: Instant) -> bool {
        self.armed.is_some_and(|armed| armed <= due)
    }

    /// Whether the timers look at it, and so many nanoseconds from now at the latest: whenever they were set, it was no further ahead
    /// than that. Who has read the clock before they were set, and then had to wait for the book, may be looked at so much later.
    #[inline]
    pub(crate) fn is_looked_at_within(&self, nanos: u64) -> bool {
        self.armed.is_some() && self.armed_nanos <= nanos
    }
}

impl Gates {
    #[inline]
    pub(crate) fn get(&self, at: usize) -> Option<&Entry> {
        self.entries.get(at)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut Entry> {
        self.entries.get_mut(at)
    }

    /// The gate of a key, opened if need be.
    #[inline]
    pub(crate) fn of(&mut self, plan: &Arc<Plan>) -> usize {
        let last = plan.gate();
        if self.entries.get(last).is_some_and(|entry| entry.key.as_ref() == Some(&plan.key)) {
            return last;
        }
        let at = self.index.get(&plan.key).copied().unwrap_or_else(|| self.open(plan));
        if let Some(entry) = self.entries.get_mut(at) {
            entry.plan = Some(Arc::clone(plan));
        }
        plan.note_gate(at);
        at
    }

    /// A plan by which somebody has come to a key's gate, if it is the same as one of these.
    pub(crate) fn plan(
        &self,
        key: &Key,
        terms: &Terms,
        signature: &Signature,
    ) -> Option<Arc<Plan>> {
        let plan = self.entries.get(*self.index.get(key)?)?.plan.as_ref()?;
        (plan.terms == *terms && *plan.signature == *signature).then(|| Arc::clone(plan))
    }

    fn open(&mut self, plan: &Plan) -> usize {
        let at = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry::default());
            self.entries.len() - 1
        });
        if let Some(entry) = self.entries.get_mut(at) {
            entry.key = Some(plan.key.clone());
            entry.channel = plan.channel.clone();
        }
        self.index.insert(plan.key.clone(), at);
        at
    }

    /// The gate of a key, if it is in use.
    pub(crate) fn find(&self, key: &Key) -> Option<usize> {
        let at = self.index.get(key).copied()?;
        self.entries.get(at).is_some_and(|entry| entry.in_use).then_some(at)
    }

    /// The gates that are in use, in the order of their places: what they send then is the same in every run.
    pub(crate) fn in_use(&self) -> Vec<usize> {
        let places = self.entries.iter().enumerate();
        places.filter(|(_, entry)| entry.in_use).map(|(at, _)| at).collect()
    }

    /// Whether no gate is in use.
    pub(crate) fn are_vacant(&self) -> bool {
        self.in_use == 0
    }

    /// Whether no release is still to be answered.
    pub(crate) fn are_quiet(&self) -> bool {
        self.entries.iter().all(|entry| !entry.gate.is_leaving())
    }

    /// A gate to which somebody comes while it is vacant. None if others are there.
    #[inline]
    pub(crate) fn enter(&mut self, at: usize) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(at).filter(|entry| !entry.in_use)?;
        entry.in_use = true;
        self.in_use += 1;
        Some(entry)
    }

    /// Takes note of whether a gate is in use, after something happened there; tells whether it is.
    #[inline]
    pub(crate) fn note_use(&mut self, at: usize) -> bool {
        let Some(entry) = self.entries.get_mut(at) else { return true };
        let before = std::mem::replace(&mut entry.in_use, !entry.gate.is_vacant());
        match (before, entry.in_use) {
            (false, true) => self.in_use += 1,
            (true, false) => self.in_use -= 1,
            _ => {}
        }
        entry.in_use
    }

    /// Has a vacant gate forget what it was for. What its timer was set for stays: most often it is due no earlier when it is
    /// used next.
    pub(crate) fn vacate(&mut self, at: usize) {
        if let Some(entry) = self.entries.get_mut(at).filter(|entry| entry.key.is_some()) {
            entry.gate.reset();
            (entry.seen, entry.last_error, entry.listening) = (None, None, false);
            self.note_vacancy(at);
        }
    }

    /// The same of one that somebody had to himself, which has nothing to forget. True if all are vacant.
    #[inline]
    pub(crate) fn leave(&mut self, at: usize) -> bool {
        if let Some(entry) = self.entries.get_mut(at).filter(|entry| entry.in_use) {
            debug_assert!(entry.gate.is_vacant() && entry.seen.is_none() && !entry.listening);
            entry.in_use = false;
            self.in_use -= 1;
            self.note_vacancy(at);
        }
        self.in_use == 0
    }

    #[inline]
    fn note_vacancy(&mut self, at: usize) {
        let Some(entry) = self.entries.get_mut(at) else { return };
        if !std::mem::replace(&mut entry.vacated, true) {
            self.vacated.push_back(at);
            if self.vacated.len() > KEPT {
                self.close_oldest();
            }
        }
    }

    #[cold]
    fn close_oldest(&mut self) {
        let Some(at) = self.vacated.pop_front() else { return };
        let Some(entry) = self.entries.get_mut(at) else { return };
        entry.vacated = false;
        if entry.in_use {
            return;
        }
        entry.plan = None;
        if let Some(key) = entry.key.take() {
            self.index.remove(&key);
            self.free.push(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::options::Options;
    use crate::lock::plan::Kind;

    const PLAIN: Kind = Kind { fair: false, fenced: false };

    fn key(name: &str) -> Key {
        Key::new(Bytes::from(name.to_owned()), &Hashed::default())
    }

    fn plan(name: &str) -> Arc<Plan> {
        let terms = Terms::new(&Options::new(), PLAIN).unwrap();
        Plan::new(key(name), terms, Signature::new(["", "", ""], 1, 1).into(), 1).into()
    }

    #[test]
    fn plan_is_shared_by_all_who_want_the_same() {
        let mut gates = Gates::default();
        let job = plan("job");
        gates.of(&job);
        let known = |name: &str, kind, label| {
            let terms = Terms::new(&Options::new(), kind).unwrap();
            gates.plan(&key(name), &terms, &Signature::new([label, "", ""], 1, 1))
        };
        assert!(known("job", PLAIN, "").is_some_and(|plan| Arc::ptr_eq(&plan, &job)));
        assert!(known("job", Kind { fenced: true, ..PLAIN }, "").is_none());
        assert!(known("job", PLAIN, "billing").is_none());
        assert!(known("other", PLAIN, "").is_none());
    }

    #[test]
    fn lock_that_is_taken_again_finds_its_gate_and_others_do_not() {
        let mut gates = Gates::default();
        let [mine, same, other] = ["a", "a", "b"].map(plan);
        let at = gates.of(&mine);
        gates.vacate(at);
        assert_eq!((gates.of(&mine), gates.of(&same)), (at, at));
        assert_ne!(gates.of(&other), at);
        assert_eq!(gates.find(&mine.key), None, "nobody uses it");
        assert!(gates.are_vacant() && gates.in_use().is_empty());
    }

    #[test]
    fn gate_that_is_left_is_vacant_and_kept_as_others_are() {
        let mut gates = Gates::default();
        let plans: Vec<_> = (0..2 * KEPT).map(|number| plan(&number.to_string())).collect();
        for plan in &plans {
            let at = gates.of(plan);
            assert!(gates.enter(at).is_some() && gates.enter(at).is_none());
            assert_eq!(gates.find(&plan.key), Some(at));
            assert!(gates.leave(at) && gates.leave(at) && gates.are_vacant());
            assert_eq!((gates.find(&plan.key), gates.of(plan)), (None, at));
        }
        assert_eq!(gates.index.len(), KEPT);
        let [first, second] = [0, 1].map(|plan| gates.of(&plans[plan]));
        gates.enter(first);
        gates.enter(second);
        assert!(!gates.leave(first) && gates.leave(second));
    }

    #[test]
    fn vacant_gates_are_bounded_and_their_places_used_again() {
        let mut gates = Gates::default();
        let plans: Vec<_> = (0..3 * KEPT).map(|number| plan(&number.to_string())).collect();
        for plan in plans.iter().chain(&plans) {
            let at = gates.of(plan);
            assert!(!gates.note_use(at));
            gates.vacate(at);
            assert_eq!(gates.of(plan), at);
        }
        assert_eq!(gates.index.len(), KEPT);
        assert!(gates.entries.len() <= KEPT + 1);
        assert_eq!(gates.entries.len(), gates.index.len() + gates.free.len());
    }
}
