//! What callers and driver of one connection share: the write buffer with a queue of reply slots beside it.
//!
//! A caller encodes straight into the buffer and pushes its slot, both under one short lock; the driver (`driver.rs`)
//! swaps the buffer out, writes, reads, fills the slots and wakes. A caller that finds nothing on its way writes
//! by itself, and so does a dropped guard that finds nothing queued: the bytes are with the kernel before the call
//! returns. In a crowd it is the caller who completes a portion of it, so that the server has work while the rest still ask
//! (`crowd.rs`). The lock is never held across a system call.

mod told;

use crate::client::canary::Canary;
use crate::client::clock::{Clock, Span, Time};
use crate::client::encode::Ink;
use crate::client::handshake::{Session, Setup};
use crate::client::listener::Listener;
use crate::client::pen::{Draft, Pen, Wrote};
use crate::client::queue::{Flush, Place, State};
use crate::client::room::Ticket;
use crate::client::slots::SlotId;
use crate::client::watch;
use crate::config::{Config, Overflow};
use crate::error::{Error, ErrorKind, Outcome};
use crate::observe::{Purpose, Witness};
use crate::sync::{Mutex, MutexGuard};
use resp::Frame;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// How often one turn of the driver writes what was queued while it wrote: others may queue for ever.
const WRITES_PER_TURN: usize = 4;

/// What callers and driver share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) setup: Setup,
    pub(crate) clock: Clock,
    /// How long calls wait, unless somebody says otherwise.
    pub(crate) patience: Span,
    /// How long a server that owes an answer may be silent.
    stall: Span,
    state: Mutex<State>,
    smallest_rtt: Arc<AtomicU64>,
    phase: watch::Sender<Phase>,
    listener: Option<Arc<dyn Listener>>,
    pub(crate) witness: Option<Arc<Witness>>,
}

/// What a connection is doing.
#[derive(Debug, Clone)]
pub(crate) enum Phase {
    /// Dialling, or waiting to dial again, and why.
    Connecting(Option<Error>),
    /// Usable.
    Ready(Arc<Session>),
    /// Turned away for good with these words; dialling goes on, in case somebody changes that.
    Refused(Error),
    /// Over.
    Closed(Error),
}

impl Shared {
    /// As before the first attempt to connect.
    pub(crate) fn new(
        config: Config,
        purpose: Purpose,
        setup: Setup,
        listener: Option<Arc<dyn Listener>>,
    ) -> Self {
        let canary = Canary::new(config.seam.entropy());
        let state = State::new(canary, config.max_queued_bytes);
        Self {
            witness: config.witness(purpose),
            patience: Span::of(config.response_timeout),
            stall: Span::of(config.stall_timeout),
            config,
            setup,
            clock: Clock::start(),
            smallest_rtt: Arc::clone(&state.smallest_rtt),
            state: Mutex::new(state),
            phase: watch::Sender::new(Phase::Connecting(None)),
            listener,
        }
    }

    pub(crate) fn listener(&self) -> Option<&dyn Listener> {
        self.listener.as_deref()
    }

    /// What the connection is doing, now and from now on.
    pub(crate) fn phases(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock panics half-way, so what a panicking thread left is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The smallest time from a command to its reply so far, handshakes included, in nanoseconds.
    #[inline]
    pub(crate) fn smallest_rtt_nanos(&self) -> Option<u64> {
        let nanos = self.smallest_rtt.load(Ordering::Relaxed);
        (nanos < u64::MAX).then_some(nanos)
    }

    pub(crate) fn announce(&self, phase: Phase) {
        if let Some(listener) = self.listener() {
            listener.changed(&phase);
        }
        self.tell_phase(&phase);
        self.phase.send(phase);
    }

    /// The driver will announce in its first turn that the connection is open; calls may come from now on.
    pub(crate) fn will_open(&self, session: Arc<Session>) {
        self.phase.send(Phase::Ready(session));
    }

    /// As the driver: writes all that is queued, as far as the socket takes it.
    pub(crate) fn flush(&self, cx: &mut Context<'_>) -> Wrote {
        for _ in 0..WRITES_PER_TURN {
            let taken = {
                let mut state = self.lock();
                // Mostly there is nothing to write, and then nobody needs the time.
                if state.has_written_all() {
                    Err(Wrote::All)
                } else {
                    state.take_pen(self.clock.now())
                }
            };
            let wrote = match taken {
                Ok(pen) => self.write(pen, Some(cx)),
                Err(wrote) => wrote,
            };
            match wrote {
                Wrote::More => {}
                wrote => return wrote,
            }
        }
        cx.waker().wake_by_ref();
        Wrote::More
    }

    /// Writes what is in the pen, and puts it back; who is to be woken when the socket takes more has a context.
    #[inline(always)]
    pub(crate) fn write(&self, mut pen: Box<Pen>, cx: Option<&mut Context<'_>>) -> Wrote {
        let wrote = pen.write(cx);
        match &self.witness {
            None => self.lock().put_back(pen, wrote),
            Some(witness) => self.put_back_told(witness, pen, wrote),
        }
    }

    fn wake_driver(&self) {
        let driver = {
            let mut state = self.lock();
            state.notified = true;
            state.driver.clone()
        };
        driver.into_iter().for_each(Waker::wake);
    }

    /// Ends the connection once what is queued has been written and answered, or soon.
    pub(crate) fn close(&self) {
        self.lock().closing = true;
        self.wake_driver();
    }

    /// Queues one command, which `encode` appends whole. Whoever waits for the reply is woken by `waker`, or polls.
    ///
    /// # Errors
    ///
    /// If nothing was queued: closed, refused by the server for good, or too much is queued.
    #[inline]
    pub(crate) fn submit(
        &self,
        patience: Span,
        flush: Flush,
        waker: Option<Waker>,
        encode: impl FnOnce(&mut Ink),
    ) -> Result<SlotId, Error> {
        let mut state = self.lock();
        let len = state.enqueue(Place::End, encode)?;
        Ok(self.submitted(state, len, (patience, flush), waker))
    }

    /// The rest of [`Shared::submit`], which is the same for every command.
    fn submitted<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        len: usize,
        (patience, flush): (Span, Flush),
        waker: Option<Waker>,
    ) -> SlotId {
        let id = state.slots.push(len, patience, waker);
        if self.witness.is_some() {
            state = self.observe(state, (len, 1));
        }
        let alone = state.slots.len() == 1;
        self.kick(state, flush, alone);
        id
    }

    /// Looks for the reply to a command; remembers the waker where there is none yet.
    #[inline(always)]
    pub(crate) fn poll(&self, id: SlotId, cx: &Context<'_>) -> Poll<Result<Frame, Error>> {
        self.lock().slots.poll(id, cx)
    }

    /// Joins the line of those who wait for room, if callers are to wait and there is none.
    ///
    /// # Errors
    ///
    /// Whatever `refused` is, if there is no point in waiting.
    #[cold]
    pub(crate) fn stand_in_line(
        &self,
        refused: Error,
        patience: Duration,
        waker: &Waker,
    ) -> Result<(Ticket, Time), Error> {
        if refused.kind() != ErrorKind::Overloaded || self.config.overflow == Overflow::Fail {
            return Err(refused);
        }
        let deadline = self.clock.now().after(patience);
        let (ticket, driver) = {
            let mut state = self.lock();
            let ticket = state.line.join(deadline, waker.clone());
            state.sweep_at = state.sweep_at.min(deadline);
            // There may be room by now, and nobody else who would notice.
            (ticket, state.rouse())
        };
        driver.into_iter().for_each(Waker::wake);
        Ok((ticket, deadline))
    }

    /// As [`Shared::submit`], for a caller in line; `None` if it has to wait on.
    pub(crate) fn submit_from_line(
        &self,
        ticket: Ticket,
        (patience, deadline): (Duration, Time),
        waker: &Waker,
        encode: impl FnOnce(&mut Ink),
    ) -> Option<Result<SlotId, Error>> {
        let mut state = self.lock();
        let enqueued = if state.line.is_first(ticket) {
            state.enqueue(Place::First, encode)
        } else {
            Err(state.refusal())
        };
        let (left, result) = match enqueued {
            Ok(len) => {
                let left = state.line.leave(ticket);
                let id = state.slots.push(len, Span::of(patience), Some(waker.clone()));
                if self.witness.is_some() {
                    state = self.observe(state, (len, 1));
                }
                (left, Some(Ok(id)))
            }
            Err(error) if error.kind() != ErrorKind::Overloaded => {
                (state.line.leave(ticket), Some(Err(error)))
            }
            Err(error) if self.clock.now() >= deadline => {
                let known = state.circumstances(self.clock.now(), &self.config.address);
                let (outcome, cause) = (Outcome::NotSent, Some(&error));
                let error = Error::timed_out(patience, outcome, cause, Some(&known));
                (state.line.leave(ticket), Some(Err(error)))
            }
            Err(_) => (state.line.wait_on(ticket, waker), None),
        };
        let mut next = Vec::new();
        state.call_in(&mut next);
        match &result {
            Some(Ok(_)) => self.kick(state, Flush::Later, false),
            _ => drop(state),
        }
        drop(left);
        next.drain(..).for_each(Waker::wake);
        result
    }

    /// A caller in line goes away.
    pub(crate) fn leave_line(&self, ticket: Ticket) {
        let mut next = Vec::new();
        let left = {
            let mut state = self.lock();
            let left = state.line.leave(ticket);
            state.call_in(&mut next);
            left
        };
        drop(left);
        next.drain(..).for_each(Waker::wake);
    }

    /// Queues several commands, which `encode` appends together, and which are answered together.
    ///
    /// # Errors
    ///
    /// As [`Shared::submit`].
    pub(crate) fn submit_batch(
        &self,
        patience: Duration,
        replies: usize,
        encode: impl FnOnce(&mut Ink),
    ) -> Result<SlotId, Error> {
        let mut state = self.lock();
        let len = state.enqueue(Place::End, encode)?;
        let id = state.slots.push_batch(replies, len, Span::of(patience));
        if self.witness.is_some() {
            state = self.observe(state, (len, replies));
        }
        let alone = state.slots.len() == 1;
        self.kick(state, Flush::Auto, alone);
        Ok(id)
    }

    /// Sees to it that what was queued is written, here or by the driver.
    #[inline(always)] // one function with what has queued the command
    pub(crate) fn kick(&self, mut state: MutexGuard<'_, State>, flush: Flush, alone: bool) {
        if state.writes_here(flush, alone) {
            return self.write_here(state);
        }
        let driver = state.rouse();
        drop(state);
        driver.into_iter().for_each(Waker::wake);
    }

    /// As a caller who may: writes all that is queued.
    #[inline(always)]
    fn write_here(&self, mut state: MutexGuard<'_, State>) {
        let now = self.clock.now();
        if let Some(pen) = state.take_dry_pen(now) {
            let draft = self.draft_with(pen, &mut state, now);
            drop(state);
            self.send(draft);
        }
    }

    /// Takes all that is queued, for a caller to write it; nothing if that cannot be now.
    #[inline]
    pub(crate) fn draft(&self, state: &mut State, now: Time) -> Option<Draft> {
        state.take_pen(now).ok().map(|pen| self.draft_with(pen, state, now))
    }

    #[inline(always)]
    fn draft_with(&self, pen: Box<Pen>, state: &mut State, now: Time) -> Draft {
        // The driver sleeps on, unless its timer would ring too late or it is to look at the socket.
        let due = state.sweep_at.min(now.later(self.stall));
        let wake = due < state.looks_at || state.looks;
        Draft { pen, driver: if wake { state.rouse() } else { None } }
    }

    /// Writes what was taken; to be called without any lock.
    #[inline(always)]
    pub(crate) fn send(&self, draft: Draft) {
        match self.write(draft.pen, None) {
            Wrote::All => {}
            // What is left, or has come since, is the driver's.
            Wrote::Blocked | Wrote::More | Wrote::NoPen | Wrote::Broken(_) => self.wake_driver(),
        }
        draft.driver.into_iter().for_each(Waker::wake);
    }
}
