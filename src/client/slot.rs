//! `Slot`: the place of one command among those that wait for a reply. Pure.

use crate::client::clock::Span;
use crate::client::gather::Gather;
use crate::client::listener::{Notice, Outbox, Tag};
use crate::client::trace::{End, Trace};
use crate::client::waves::Wave;
use crate::error::Error;
use resp::Frame;
use std::sync::Arc;
use std::task::Waker;

/// Whose a slot is.
#[derive(Debug)]
pub(crate) enum Caller {
    /// Waits, and was polled with this waker last.
    Waiting(Option<Waker>),
    /// Has an answer to fetch.
    Answered(Result<Frame, Error>),
    /// Went away, or never was: the reply is dropped.
    Gone,
    /// Nobody: the reply must be the canary's words.
    Canary,
    /// The connection's listener, who knows the command by this tag.
    Listener(Tag),
}

/// The place of one command.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) generation: u32,
    pub(crate) wave: Wave,
    /// Whether the slot is in `order`.
    pub(crate) owed: bool,
    pub(crate) caller: Caller,
    /// Encoded length of the command.
    pub(crate) len: usize,
    /// How long its caller waits, from when the wave was seen.
    pub(crate) patience: Span,
    /// What few commands have.
    pub(crate) extra: Option<Box<Extra>>,
}

/// What a slot has beside its caller, if it is one of a batch or somebody observes the client.
#[derive(Debug, Default)]
pub(crate) struct Extra {
    pub(crate) batch: Option<Gather>,
    /// Who is told of the end.
    pub(crate) trace: Option<Arc<Trace>>,
}

/// What an abandoned slot held: dropping a waker may run code that nobody here knows.
pub(crate) type Abandoned = Caller;

impl Slot {
    /// Begins another use of a slot that holds nothing any more.
    #[inline(always)] // of what queues a call, as all around it
    pub(crate) fn reuse(&mut self, new: Self) {
        let Self { generation, wave, owed, caller, len, patience, extra } = new;
        (self.generation, self.wave, self.owed) = (generation, wave, owed);
        (self.len, self.patience) = (len, patience);
        // Dropping what is known to be empty would be two calls.
        match std::mem::replace(&mut self.caller, caller) {
            Caller::Gone => {}
            other => drop(other),
        }
        if let Some(old) = std::mem::replace(&mut self.extra, extra) {
            drop(old);
        }
    }

    /// Whether nobody needs it any more.
    pub(crate) fn is_free(&self) -> bool {
        !self.owed && matches!(self.caller, Caller::Gone)
    }

    /// Whether anybody still waits for the reply.
    #[inline]
    pub(crate) fn is_wanted(&self) -> bool {
        matches!(self.caller, Caller::Waiting(_) | Caller::Listener(_))
    }

    /// Leaves an answer for a caller whose waker was taken.
    #[inline]
    pub(crate) fn fill(&mut self, answer: Result<Frame, Error>) {
        let empty = std::mem::replace(&mut self.caller, Caller::Answered(answer));
        debug_assert!(matches!(empty, Caller::Waiting(None)), "{empty:?} is lost");
        std::mem::forget(empty); // to look whether it holds anything would cost as much as the answer
    }

    /// The replies so far, if it is a batch's.
    pub(crate) fn batch(&self) -> Option<&Gather> {
        self.extra.as_ref().and_then(|extra| extra.batch.as_ref())
    }

    pub(crate) fn batch_mut(&mut self) -> Option<&mut Gather> {
        self.extra.as_mut().and_then(|extra| extra.batch.as_mut())
    }

    /// Its command ends, for whoever observes that, unless it has before.
    pub(crate) fn end(&mut self, end: impl FnOnce() -> End, out: &mut Outbox) {
        if let Some(trace) = self.extra.as_mut().and_then(|extra| extra.trace.take()) {
            out.ends.push((trace, end()));
        }
    }

    /// Answers whoever still waits, and puts down whom to tell.
    pub(crate) fn answer(&mut self, answer: Result<Frame, Error>, out: &mut Outbox) {
        let is_batch = self.batch().is_some();
        self.end(|| End::of(&answer, is_batch), out);
        match &mut self.caller {
            Caller::Waiting(waker) => {
                if let Some(waker) = waker.take() {
                    out.wakers.push(waker);
                }
                self.fill(answer);
            }
            Caller::Listener(tag) => {
                out.notices.push(Notice::Reply(*tag, answer));
                self.caller = Caller::Gone;
            }
            // Gave up before, and may not have fetched that yet.
            Caller::Answered(_) | Caller::Gone | Caller::Canary => {}
        }
    }
}
