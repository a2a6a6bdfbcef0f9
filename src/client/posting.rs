//! Commands whose reply the listener is told: queued under locks of the listener's own, and written once those are let go.

use crate::client::clock::Span;
use crate::client::encode::Ink;
use crate::client::listener::Tag;
use crate::client::queue::{Due, Flush, Place, State};
use crate::client::shared::Shared;
use crate::error::Error;
use std::time::Duration;
use tokio::time::Instant;

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
        self.queue_tagged(&mut self.lock(), tag, Span::of(patience), encode)
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
        self.queue_tagged(&mut state, tag, Span::of(patience), encode)?;
        let alone = state.slots.sent() == 0;
        // Who observes is told of a command before it is written.
        Ok(if self.witness.is_some() || state.writes_here(flush, alone) {
            Due::Write
        } else {
            state.rouse().map_or(Due::Nothing, Due::Wake)
        })
    }

    /// The same for the last command of all, at a time that the caller knows: what is to be written is taken for it at once.
    ///
    /// # Errors
    ///
    /// As [`Shared::post`].
    #[inline]
    pub(crate) fn post_only(
        &self,
        tag: Tag,
        (patience, flush, now): (Span, Flush, Instant),
        encode: impl FnOnce(&mut Ink),
    ) -> Result<Due, Error> {
        let mut state = self.lock();
        self.queue_tagged(&mut state, tag, patience, encode)?;
        let alone = state.slots.sent() == 0;
        if self.witness.is_some() {
            return Ok(Due::Write);
        }
        let draft = match state.writes_here(flush, alone) {
            true => self.draft(&mut state, self.clock.time(now)),
            false => None,
        };
        Ok(match draft {
            Some(draft) => Due::Send(draft),
            None => state.rouse().map_or(Due::Nothing, Due::Wake),
        })
    }

    #[inline(always)] // one function with whoever posts
    fn queue_tagged(
        &self,
        state: &mut State,
        tag: Tag,
        patience: Span,
        encode: impl FnOnce(&mut Ink),
    ) -> Result<(), Error> {
        let len = state.enqueue(Place::End, encode)?;
        state.slots.push_tagged(tag, len, patience);
        if let Some(witness) = &self.witness {
            let trace = state.trace(witness, (len, 1));
            state.untold.push(trace);
        }
        Ok(())
    }

    /// Sees to it that what was posted is written.
    pub(crate) fn settle(&self, flush: Flush) {
        self.observe_posted();
        let state = self.lock();
        if state.out.is_empty() {
            return; // the driver was faster
        }
        let alone = state.slots.sent() == 0;
        self.kick(state, flush, alone);
    }
}
