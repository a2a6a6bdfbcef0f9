//! Who has the lock in this process, alone, by the seat or by the line on the server; and whether anything is left to remember.

use super::alone::Alone;
use super::fair::Fair;
use super::held::Held;
use super::passing::Turns;
use super::words::Claim;
use super::{Gate, Seat};
use tokio::time::Instant;

impl Gate {
    /// Who holds the lock in this process, and until when for certain.
    pub(crate) fn holder(&self) -> Option<(Claim, Instant)> {
        if let Some(alone) = &self.alone {
            return alone.holder();
        }
        match &self.seat {
            Seat::Held(held) => Some((held.claim, held.surely_over())),
            Seat::Passing(passing) => Some((passing.from.claim, passing.from.surely_over())),
            Seat::Empty | Seat::Head(_) => {
                let held = self.fair.iter().find_map(Fair::held)?;
                Some((held.claim, held.surely_over()))
            }
        }
    }

    /// Whether there is nothing to remember.
    #[inline]
    pub(crate) fn is_vacant(&self) -> bool {
        self.alone.is_none()
            && matches!(self.seat, Seat::Empty)
            && self.line.is_empty()
            && self.has_no_fair()
            && self.leaving.is_empty()
            && self.rivals.are_forgotten()
    }

    /// Forgets what a vacant gate remembers of its key; what it has allocated stays, for the next one.
    #[inline]
    pub(crate) fn reset(&mut self) {
        self.turns = Turns::default();
        self.line_due = None;
        self.closed = false;
    }

    /// Whether there is nothing to remember of fair claims.
    #[inline]
    pub(crate) fn has_no_fair(&self) -> bool {
        self.fair.is_empty() && self.behind.is_empty() && self.heeds.is_none()
    }

    /// Whether releases are still to be answered.
    pub(crate) fn is_leaving(&self) -> bool {
        let alone = self.alone.as_ref().is_some_and(Alone::is_leaving);
        alone || !self.leaving.is_empty() || matches!(self.seat, Seat::Passing(_))
    }

    pub(crate) fn held_by(&mut self, claim: Claim) -> Option<&mut Held> {
        if let Some(at) = self.fair_at(claim) {
            return self.fair.get_mut(at).and_then(Fair::held_mut);
        }
        match &mut self.seat {
            Seat::Held(held) if held.claim == claim => Some(held),
            _ => None,
        }
    }
}
