//! Who has the lock in this process, by the seat or by the line on the server.

use super::fair::Fair;
use super::held::Held;
use super::words::Claim;
use super::{Gate, Seat};
use tokio::time::Instant;

impl Gate {
    /// Who holds the lock in this process, and until when for certain.
    pub(crate) fn holder(&self) -> Option<(Claim, Instant)> {
        match &self.seat {
            Seat::Held(held) => Some((held.claim, held.surely_over())),
            Seat::Passing(passing) => Some((passing.from.claim, passing.from.surely_over())),
            Seat::Empty | Seat::Head(_) => {
                let held = self.fair.iter().find_map(Fair::held)?;
                Some((held.claim, held.surely_over()))
            }
        }
    }

    /// Whether there is nothing to remember of fair claims.
    pub(crate) fn has_no_fair(&self) -> bool {
        self.fair.is_empty() && self.heeds.is_none()
    }

    /// Whether releases are still to be answered.
    pub(crate) fn is_leaving(&self) -> bool {
        !self.leaving.is_empty() || matches!(self.seat, Seat::Passing(_))
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
