//! Commands whose reply the listener is told: queued under locks of the listener's own, and written once those are let go.

use crate::client::clock::Span;
use crate::client::encode::Ink;
use crate::client::listener::Tag;
use crate::client::queue::{Due, Flush, Place};
use crate::client::shared::Shared;
use crate::error::Error;
use std::time::Duration;

impl Shared {
    /// Queues one command whose reply the listener is told under `tag`. Nothing is written before [`Shared::settle`], or
    /// before the driver's next turn: that is for the caller to see to.
    ///
    /// # Errors
    ///
    /// As [`Shared::submit`]; then the listener is not told.
    pub(crate) fn post(
        &self,
        tag: Tag,
        patience: Duration,
        encode: impl FnOnce(&mut Ink),
    ) -> Result<(), Error> {
        let mut state = self.lock();
        let len = state.enqueue(Place::End, encode)?;
        state.slots.push_tagged(tag, len, Span::of(patience));
        if let Some(witness) = &self.witness {
            let trace = state.trace(witness, (len, 1));
            state.untold.push(trace);
        }
        Ok(())
    }

    /// The same, and tells what is to be done so that this command, and those posted before it, are written.
    ///
    /// # Errors
    ///
    /// As [`Shared::post`].
    pub(crate) fn post_last(
        &self,
        tag: Tag,
        patience: Duration,
        flush: Flush,
        encode: impl FnOnce(&mut Ink),
    ) -> Result<Due, Error> {
        let mut state = self.lock();
        let len = state.enqueue(Place::End, encode)?;
        state.slots.push_tagged(tag, len, Span::of(patience));
        if let Some(witness) = &self.witness {
            let trace = state.trace(witness, (len, 1));
            state.untold.push(trace);
            return Ok(Due::Write);
        }
        let alone = state.slots.sent() == 0;
        Ok(if state.writes_here(flush, alone) {
            Due::Write
        } else {
            state.rouse().map_or(Due::Nothing, Due::Wake)
        })
    }

    /// Sees to it that what was posted is written.
    pub(crate) fn settle(&self, flush: Flush) {
        self.observe_posted();
        let state = self.lock();
        if state.out.is_empty() {
            return; // the driver was faster
        }
        let alone = state.slots.owed(Span::of(self.config.response_timeout)).is_none();
        self.kick(state, flush, alone);
    }
}
