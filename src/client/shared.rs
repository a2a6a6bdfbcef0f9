//! What callers and driver of one connection share: the write buffer with a queue of reply slots beside it.
//!
//! A caller encodes straight into the buffer and pushes its slot, both under one short lock; the driver (`driver.rs`)
//! swaps the buffer out, writes, reads, fills the slots and wakes. A caller that finds nothing on its way writes
//! by itself, and so does a dropped guard that finds nothing queued: the bytes are with the kernel before the call
//! returns. The lock is never held across a system call.
//!
//! Invariant: bytes in `out` and unsent slots correspond one to one, in order (see `slots.rs`).

use crate::client::canary::Canary;
use crate::client::handshake::{Session, Setup};
use crate::client::listener::{Listener, Outbox, Tag};
use crate::client::pen::{Pen, Wrote};
use crate::client::slots::{SlotId, Slots};
use crate::client::watch;
use crate::config::Config;
use crate::error::{Error, ErrorKind, Outcome};
use crate::seam::after;
use bytes::BytesMut;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;
use tokio::time::Instant;

/// What callers and driver share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) setup: Setup,
    state: Mutex<State>,
    phase: watch::Sender<Phase>,
    listener: Option<Arc<dyn Listener>>,
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

/// The state under the lock.
pub(crate) struct State {
    /// Encoded commands that nobody has taken to the socket yet.
    pub(crate) out: BytesMut,
    pub(crate) slots: Slots,
    /// The writing half, unless somebody is writing or there is no connection.
    pub(crate) pen: Option<Pen>,
    /// Rises with every connection, so that a pen of an earlier one is not put back.
    pub(crate) epoch: u64,
    /// How many callers the last batch of replies woke. While it is above one they are about to ask again, and nobody
    /// writes before the driver had its turn: their commands leave in one write.
    pub(crate) crowd: usize,
    /// Set while calls fail at once.
    pub(crate) unusable: Option<Error>,
    /// Why the last attempt to connect failed.
    pub(crate) last_failure: Option<Error>,
    /// Set once no more calls are taken.
    pub(crate) closing: bool,
    pub(crate) driver: Option<Waker>,
    /// Whether the driver has been woken and has not looked yet.
    pub(crate) notified: bool,
    /// When the driver will look for callers whose deadline has come.
    pub(crate) sweep_at: Option<Instant>,
    /// Whether that has moved forward since the driver looked.
    sweep_is_late: bool,
    pub(crate) smallest_rtt: Option<Duration>,
}

/// When a command's bytes go to the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flush {
    /// By the caller if nothing is on its way, else by the driver with whatever else has come.
    Auto,
    /// By the caller, with all that is queued ahead, unless somebody is writing at this very moment.
    Now,
    /// By the driver.
    Later,
}

impl State {
    /// Answers the callers whose deadline has come, and takes back what they had queued.
    pub(crate) fn expire(&mut self, now: Instant, out: &mut Outbox) {
        if self.slots.expire(now, self.last_failure.as_ref(), out) {
            self.withdraw();
        }
        self.let_canary_sing(now);
        self.sweep_at = self.slots.next_deadline();
    }

    /// Queues the canary if it is time for it to sing.
    pub(crate) fn let_canary_sing(&mut self, now: Instant) {
        if self.closing {
            return;
        }
        if let Some(words) = self.slots.canary_due() {
            let before = self.out.len();
            resp::encode::command(&[&b"PING"[..], &words], &mut self.out);
            self.slots.push_canary(self.out.len() - before, now);
        }
    }

    /// Who writes what was just queued. `alone` says that nothing is on its way but what the caller has queued.
    fn kick(&mut self, flush: Flush, alone: bool) -> Kick {
        let write = self.pen.as_ref().is_some_and(Pen::is_dry)
            && match flush {
                Flush::Auto => alone && self.crowd <= 1,
                Flush::Now => true,
                Flush::Later => false,
            };
        let wake = (!write || self.sweep_is_late) && !self.notified;
        self.notified |= wake;
        let driver = if wake { self.driver.clone() } else { None };
        Kick { write, driver }
    }

    /// The driver begins a turn.
    pub(crate) fn begin_turn(&mut self) {
        self.notified = false;
        self.sweep_is_late = false;
    }

    /// Takes the commands that nobody waits for any more out of the buffer.
    pub(crate) fn withdraw(&mut self) {
        let mut old = std::mem::take(&mut self.out);
        let out = &mut self.out;
        self.slots.withdraw(|len, keep| {
            let command = old.split_to(len);
            if keep {
                out.extend_from_slice(&command);
            }
        });
    }
}

impl Shared {
    /// As before the first attempt to connect.
    pub(crate) fn new(config: Config, setup: Setup, listener: Option<Arc<dyn Listener>>) -> Self {
        let state = State {
            out: BytesMut::new(),
            slots: Slots::new(Canary::new(config.seam.entropy())),
            pen: None,
            epoch: 0,
            crowd: 0,
            unusable: None,
            last_failure: None,
            closing: false,
            driver: None,
            notified: false,
            sweep_at: None,
            sweep_is_late: false,
            smallest_rtt: None,
        };
        Self {
            config,
            setup,
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

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock panics half-way, so what a panicking thread left is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn announce(&self, phase: Phase) {
        if let Some(listener) = self.listener() {
            listener.changed(&phase);
        }
        self.phase.send(phase);
    }

    /// Writes all that is queued, as far as the socket takes it.
    pub(crate) fn flush(&self, cx: &mut Context<'_>) -> Wrote {
        loop {
            let mut pen = {
                let mut state = self.lock();
                let Some(mut pen) = state.pen.take() else { return Wrote::NoPen };
                if let Some(error) = pen.take_broken() {
                    return Wrote::Broken(error);
                }
                if pen.is_dry() {
                    if state.out.is_empty() {
                        state.pen = Some(pen);
                        return Wrote::All;
                    }
                    pen.dip(&mut state.out);
                    state.slots.all_sent();
                }
                pen
            };
            let wrote = pen.write(cx);
            let mut state = self.lock();
            if !pen.is_of(state.epoch) {
                return Wrote::NoPen; // the connection was lost meanwhile: what is in the pen counts as sent
            }
            let kept = state.pen.insert(pen);
            match wrote {
                Wrote::Broken(error) => {
                    kept.break_off();
                    return Wrote::Broken(error);
                }
                Wrote::All if !state.out.is_empty() => {}
                wrote => return wrote,
            }
        }
    }

    /// As a caller: writes, and leaves to the driver what could not be written.
    fn flush_here(&self) {
        match self.flush(&mut Context::from_waker(Waker::noop())) {
            Wrote::All => {}
            Wrote::Blocked | Wrote::NoPen | Wrote::Broken(_) => self.wake_driver(),
        }
    }

    fn wake_driver(&self) {
        let waker = {
            let mut state = self.lock();
            state.notified = true;
            state.driver.clone()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Ends the connection once what is queued has been written and answered, or soon.
    pub(crate) fn close(&self) {
        self.lock().closing = true;
        self.wake_driver();
    }

    /// Queues one command, or as many as `batch` says, which `encode` appends whole.
    ///
    /// # Errors
    ///
    /// If nothing was queued: closed, refused by the server for good, or too much is queued.
    pub(crate) fn submit(
        &self,
        patience: Duration,
        flush: Flush,
        batch: Option<usize>,
        encode: impl FnOnce(&mut BytesMut),
    ) -> Result<SlotId, Error> {
        let (id, kick) = {
            let mut state = self.lock();
            let (len, now, deadline) = self.enqueue(&mut state, patience, encode)?;
            let id = state.slots.push(len, now, deadline);
            if let Some(replies) = batch {
                state.slots.make_batch(id, replies);
            }
            let alone = state.slots.len() == 1;
            (id, state.kick(flush, alone))
        };
        self.perform(kick);
        Ok(id)
    }

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
        encode: impl FnOnce(&mut BytesMut),
    ) -> Result<(), Error> {
        let mut state = self.lock();
        let (len, now, deadline) = self.enqueue(&mut state, patience, encode)?;
        state.slots.push_tagged(tag, len, now, deadline);
        Ok(())
    }

    /// Sees to it that what was posted is written.
    pub(crate) fn settle(&self, flush: Flush) {
        let kick = {
            let mut state = self.lock();
            if state.out.is_empty() && !state.sweep_is_late {
                return; // the driver was faster
            }
            let alone = state.slots.owed(self.config.response_timeout).is_none();
            state.kick(flush, alone)
        };
        self.perform(kick);
    }

    /// Encodes one command at the end of the queue; its slot is still to be pushed.
    fn enqueue(
        &self,
        state: &mut State,
        patience: Duration,
        encode: impl FnOnce(&mut BytesMut),
    ) -> Result<(usize, Instant, Instant), Error> {
        if let Some(error) = &state.unusable {
            return Err(error.clone());
        }
        if state.closing {
            return Err(Error::closed(Outcome::NotSent));
        }
        if state.slots.bytes() > self.config.max_queued_bytes {
            return Err(overloaded(state.slots.bytes()));
        }
        let now = Instant::now();
        let deadline = after(now, patience);
        let before = state.out.len();
        encode(&mut state.out);
        if state.sweep_at.is_none_or(|at| deadline < at) {
            state.sweep_at = Some(deadline);
            state.sweep_is_late = true;
        }
        Ok((state.out.len() - before, now, deadline))
    }

    fn perform(&self, kick: Kick) {
        if kick.write {
            self.flush_here();
        }
        if let Some(driver) = kick.driver {
            driver.wake();
        }
    }
}

/// What whoever has queued something does next, without the lock.
struct Kick {
    write: bool,
    driver: Option<Waker>,
}

fn overloaded(queued: usize) -> Error {
    Error::new(
        ErrorKind::Overloaded,
        Outcome::NotSent,
        format!("{queued} bytes are queued already, which is more than max_queued_bytes"),
    )
}
