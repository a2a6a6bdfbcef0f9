//! Places in a line. What those who wait want of the lock is mostly the same for all of them, and is kept once: a place takes a third
//! of what a waiter does.

use crate::lock::gate::head::Waiter;
use crate::lock::gate::words::{Claim, Patience, Terms};
use std::collections::VecDeque;

/// How many terms are looked through for those of somebody who comes.
const LOOKED_THROUGH: usize = 8;

/// Who waits, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Places {
    places: VecDeque<Place>,
    /// What they want, each by its number; none once nobody waits.
    terms: Vec<Terms>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Place {
    claim: Claim,
    patience: Patience,
    terms: usize,
    /// As whichever of those it came to stand here, where that is not the order of this line.
    arrival: u64,
}

impl Places {
    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(crate) fn first(&self) -> Option<Waiter> {
        self.places.front().and_then(|place| self.waiter(*place))
    }

    pub(crate) fn pop_first(&mut self) -> Option<Waiter> {
        let waiter = self.places.pop_front().and_then(|place| self.waiter(place));
        self.forget_terms();
        waiter
    }

    pub(crate) fn push_first(&mut self, waiter: Waiter) {
        let place = self.place(waiter, 0);
        self.places.push_front(place);
    }

    pub(crate) fn push_last(&mut self, waiter: Waiter) {
        let place = self.place(waiter, 0);
        self.places.push_back(place);
    }

    /// Puts a claim before all that arrived later.
    pub(crate) fn insert(&mut self, waiter: Waiter, arrival: u64) {
        let at = self.places.partition_point(|place| place.arrival < arrival);
        let place = self.place(waiter, arrival);
        self.places.insert(at, place);
    }

    /// The one that arrived first, and as whichever.
    pub(crate) fn pop_earliest(&mut self) -> Option<(Waiter, u64)> {
        let arrival = self.places.front()?.arrival;
        self.pop_first().map(|waiter| (waiter, arrival))
    }

    pub(crate) fn last_arrival(&self) -> Option<u64> {
        self.places.back().map(|place| place.arrival)
    }

    /// Takes a claim out of the line; tells whether it stood there.
    pub(crate) fn remove(&mut self, claim: Claim) -> bool {
        let at = self.places.iter().position(|place| place.claim == claim);
        let removed = at.and_then(|at| self.places.remove(at)).is_some();
        self.forget_terms();
        removed
    }

    /// The same, of a claim, what it wants, and as whichever it arrived.
    pub(crate) fn take(&mut self, claim: Claim) -> Option<(Waiter, u64)> {
        let at = self.places.iter().position(|place| place.claim == claim)?;
        let place = self.places.remove(at)?;
        let waiter = self.waiter(place);
        self.forget_terms();
        waiter.map(|waiter| (waiter, place.arrival))
    }

    /// Keeps those for whom `stays` says so.
    pub(crate) fn retain(&mut self, mut stays: impl FnMut(Claim, Patience) -> bool) {
        self.places.retain(|place| stays(place.claim, place.patience));
        self.forget_terms();
    }

    /// Takes out those for whom `goes` says so.
    pub(crate) fn take_those(
        &mut self,
        mut goes: impl FnMut(Patience) -> bool,
    ) -> Vec<(Waiter, u64)> {
        let (terms, mut gone) = (&self.terms, Vec::new());
        self.places.retain(|place| {
            let goes = goes(place.patience);
            let waiter = waiter(terms, *place).filter(|_| goes);
            gone.extend(waiter.map(|waiter| (waiter, place.arrival)));
            !goes
        });
        self.forget_terms();
        gone
    }

    fn waiter(&self, place: Place) -> Option<Waiter> {
        waiter(&self.terms, place)
    }

    fn place(&mut self, waiter: Waiter, arrival: u64) -> Place {
        let Waiter { claim, terms, patience } = waiter;
        // Those that nobody wants any more are left behind, up to as many as there are places.
        if self.terms.len() > 2 * self.places.len() + LOOKED_THROUGH {
            self.tidy();
        }
        Place { claim, patience, terms: self.number(terms), arrival }
    }

    fn number(&mut self, terms: Terms) -> usize {
        let known = self.terms.iter().enumerate().rev().take(LOOKED_THROUGH);
        let known = known.into_iter().find(|(_, known)| **known == terms).map(|(at, _)| at);
        known.unwrap_or_else(|| {
            self.terms.push(terms);
            self.terms.len() - 1
        })
    }

    /// Lets go of terms that nobody in the line wants.
    fn tidy(&mut self) {
        let before = std::mem::take(&mut self.terms);
        for at in 0..self.places.len() {
            let wanted = self.places.get(at).and_then(|place| before.get(place.terms)).copied();
            let number = wanted.map(|terms| self.number(terms));
            if let (Some(place), Some(number)) = (self.places.get_mut(at), number) {
                place.terms = number;
            }
        }
    }

    fn forget_terms(&mut self) {
        if self.places.is_empty() {
            self.terms.clear();
        }
    }
}

fn waiter(terms: &[Terms], place: Place) -> Option<Waiter> {
    let Place { claim, patience, terms: number, .. } = place;
    terms.get(number).map(|terms| Waiter { claim, terms: *terms, patience })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::gate::tests::terms;
    use std::time::Duration;

    fn waiter(claim: u64, beat: u64) -> Waiter {
        let terms = Terms { heartbeat: Some(Duration::from_secs(beat)), ..terms() };
        Waiter { claim: Claim(claim), terms, patience: Patience::Endless }
    }

    #[test]
    fn everybody_gets_what_it_wants_in_the_order_of_coming() {
        let mut line = Places::default();
        (1..=3).for_each(|claim| line.push_last(waiter(claim, claim % 2)));
        line.push_first(waiter(9, 1));
        assert_eq!(line.terms.len(), 2, "what two want alike is kept once");
        assert!(line.remove(Claim(2)) && !line.remove(Claim(2)));
        line.retain(|claim, _| claim != Claim(1));
        assert_eq!(line.first(), Some(waiter(9, 1)));
        assert_eq!([line.pop_first(), line.pop_first()], [Some(waiter(9, 1)), Some(waiter(3, 1))]);
        assert_eq!((line.pop_first(), line), (None, Places::default()));
    }

    #[test]
    fn line_in_which_everybody_wants_something_else_keeps_no_more_than_that() {
        let mut line = Places::default();
        (0..20).for_each(|claim| line.push_last(waiter(claim, claim)));
        for claim in 20..1_000 {
            line.push_last(waiter(claim, claim));
            assert_eq!(line.pop_first(), Some(waiter(claim - 20, claim - 20)));
            assert!(line.terms.len() < 60, "{} terms", line.terms.len());
        }
    }
}
