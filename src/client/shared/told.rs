//! What an observer is told of a connection, if there is one: always without the lock.

use super::{Phase, Shared};
use crate::client::pen::{Pen, Wrote};
use crate::client::queue::State;
use crate::observe::{ConnectionEvent, Witness};
use crate::sync::MutexGuard;

impl Shared {
    pub(super) fn tell_phase(&self, phase: &Phase) {
        let Some(witness) = &self.witness else { return };
        match phase {
            Phase::Connecting(None) => {}
            Phase::Connecting(Some(error)) => witness.is_down(error),
            Phase::Ready(_) => witness.opened(),
            Phase::Refused(error) => witness.changed(&ConnectionEvent::Refused { error }),
            Phase::Closed(_) => witness.changed(&ConnectionEvent::Closed),
        }
    }

    #[cold]
    pub(super) fn put_back_told(&self, witness: &Witness, pen: Box<Pen>, wrote: Wrote) -> Wrote {
        let counts = pen.counts();
        let wrote = self.lock().put_back(pen, wrote);
        witness.wrote(counts);
        wrote
    }

    /// Tells that a command was queued, the last one, without the lock that is then taken again.
    #[cold]
    pub(super) fn observe<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        last: (usize, usize),
    ) -> MutexGuard<'a, State> {
        let trace = self.witness.as_ref().map(|witness| state.trace(witness, last));
        drop(state);
        if let Some(trace) = trace {
            trace.start();
        }
        self.lock()
    }

    /// Tells what was posted, which could not be told while it was.
    pub(crate) fn observe_posted(&self) {
        if self.witness.is_some() {
            let untold = std::mem::take(&mut self.lock().untold);
            untold.iter().for_each(|trace| trace.start());
        }
    }
}
