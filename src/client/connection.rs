//! One connection as its callers see it: a shared write buffer with a queue of reply slots beside it.
//!
//! A caller encodes straight into the buffer and pushes its slot, both under one short lock; the driver (`driver.rs`)
//! swaps the buffer out, writes, reads, fills the slots and wakes. A caller that finds nothing on its way writes
//! by itself, and so does a dropped guard that finds nothing queued: the bytes are with the kernel before the call
//! returns. Whoever holds the [`Pen`] may write, and nobody else; the lock is never held across a system call.
//!
//! Invariant: bytes in `out` and unsent slots correspond one to one, in order (see `slots.rs`).

use crate::client::convert::answer;
use crate::client::driver;
use crate::client::handshake::{Session, Setup};
use crate::client::slots::{SlotId, Slots};
use crate::config::Config;
use crate::error::{Error, ErrorKind, Outcome};
use crate::net::Writer;
use bytes::BytesMut;
use resp::Frame;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// A buffer that grew beyond this for a burst is given back afterwards.
const KEPT_CAPACITY: usize = 256 << 10;

/// A handle on one connection; when the last one is dropped, the connection ends.
#[derive(Clone)]
pub(crate) struct Connection(Arc<Owner>);

struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What callers and driver share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) setup: Setup,
    state: Mutex<State>,
    phase: watch::Sender<Phase>,
}

/// What a connection is doing.
#[derive(Debug, Clone)]
pub(crate) enum Phase {
    /// Dialling, or waiting to dial again.
    Connecting,
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
    pub(crate) smallest_rtt: Option<Duration>,
}

/// The writing half with the bytes that are on their way to the socket.
pub(crate) struct Pen {
    writer: Writer,
    ink: BytesMut,
    written: usize,
    epoch: u64,
    broken: Option<io::Error>,
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

/// What writing came to.
#[derive(Debug)]
pub(crate) enum Wrote {
    /// Nothing is left.
    All,
    /// The socket takes no more for now; its waker is registered.
    Blocked,
    /// There is no pen: somebody else is writing, or there is no connection.
    NoPen,
    Broken(io::Error),
}

impl State {
    /// Answers the callers whose deadline has come, and takes back what they had queued.
    pub(crate) fn expire(&mut self, now: Instant, wakers: &mut Vec<Waker>) {
        if self.slots.expire(now, self.last_failure.as_ref(), wakers) {
            self.withdraw();
        }
        self.sweep_at = self.slots.next_deadline();
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

impl Pen {
    pub(crate) fn new(writer: Writer, epoch: u64) -> Self {
        Self { writer, ink: BytesMut::new(), written: 0, epoch, broken: None }
    }

    fn is_dry(&self) -> bool {
        self.written == self.ink.len() && self.broken.is_none()
    }

    /// What is left of bytes that were taken out of the queue.
    pub(crate) fn unwritten(&self) -> &[u8] {
        self.ink.get(self.written..).unwrap_or_default()
    }

    fn write(&mut self, cx: &mut Context<'_>) -> Wrote {
        while let Some(rest) = self.ink.get(self.written..).filter(|rest| !rest.is_empty()) {
            match self.writer.poll_write(cx, rest) {
                Poll::Pending => return Wrote::Blocked,
                Poll::Ready(Ok(0)) => return Wrote::Broken(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => self.written += count,
                Poll::Ready(Err(error)) => return Wrote::Broken(error),
            }
        }
        self.written = 0;
        if self.ink.capacity() > KEPT_CAPACITY {
            self.ink = BytesMut::new();
        } else {
            self.ink.clear();
        }
        match self.writer.poll_flush(cx) {
            Poll::Ready(Err(error)) => Wrote::Broken(error),
            _ => Wrote::All,
        }
    }
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock panics half-way, so what a panicking thread left is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn announce(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// Writes all that is queued, as far as the socket takes it.
    pub(crate) fn flush(&self, cx: &mut Context<'_>) -> Wrote {
        loop {
            let mut pen = {
                let mut state = self.lock();
                let Some(mut pen) = state.pen.take() else { return Wrote::NoPen };
                if let Some(error) = pen.broken.take() {
                    return Wrote::Broken(error);
                }
                if pen.is_dry() {
                    if state.out.is_empty() {
                        state.pen = Some(pen);
                        return Wrote::All;
                    }
                    std::mem::swap(&mut state.out, &mut pen.ink);
                    state.slots.all_sent();
                }
                pen
            };
            let wrote = pen.write(cx);
            let mut state = self.lock();
            if state.epoch != pen.epoch {
                return Wrote::NoPen; // the connection was lost meanwhile: what is in the pen counts as sent
            }
            let kept = state.pen.insert(pen);
            match wrote {
                Wrote::Broken(error) => {
                    kept.broken = Some(io::ErrorKind::BrokenPipe.into());
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

    /// Asks the server for a sign of life that nobody waits for.
    pub(crate) fn ping(&self) {
        let ping = |out: &mut BytesMut| resp::encode::command(&[b"PING"], out);
        if let Ok(id) = self.submit(self.config.response_timeout, Flush::Now, ping) {
            self.lock().slots.abandon(id);
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
    fn close(&self) {
        self.lock().closing = true;
        self.wake_driver();
    }

    fn submit(
        &self,
        patience: Duration,
        flush: Flush,
        encode: impl FnOnce(&mut BytesMut),
    ) -> Result<SlotId, Error> {
        let now = Instant::now();
        let deadline = now + patience;
        let (id, here, waker) = {
            let mut state = self.lock();
            if let Some(error) = &state.unusable {
                return Err(error.clone());
            }
            if state.closing {
                return Err(Error::closed(Outcome::NotSent));
            }
            if state.slots.bytes() > self.config.max_queued_bytes {
                return Err(overloaded(state.slots.bytes()));
            }
            let before = state.out.len();
            encode(&mut state.out);
            let len = state.out.len() - before;
            let id = state.slots.push(len, now, deadline);
            let alone = state.slots.len() == 1 && state.crowd <= 1;
            let here = state.pen.as_ref().is_some_and(Pen::is_dry)
                && match flush {
                    Flush::Auto => alone,
                    Flush::Now => true,
                    Flush::Later => false,
                };
            let sweep_is_late = state.sweep_at.is_none_or(|at| deadline < at);
            if sweep_is_late {
                state.sweep_at = Some(deadline);
            }
            let wake = (!here || sweep_is_late) && !state.notified;
            state.notified |= wake;
            let waker = if wake { state.driver.clone() } else { None };
            (id, here, waker)
        };
        if here {
            self.flush_here();
        }
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(id)
    }
}

fn overloaded(queued: usize) -> Error {
    Error::new(
        ErrorKind::Overloaded,
        Outcome::NotSent,
        format!("{queued} bytes are queued already, which is more than max_queued_bytes"),
    )
}

impl Connection {
    /// Makes one attempt to connect, within its budget, and drives what it opened from then on.
    ///
    /// # Errors
    ///
    /// Whatever went wrong with the attempt.
    pub(crate) async fn connect(config: Config, setup: Setup) -> Result<Self, Error> {
        let link = crate::client::redial::open(&config, setup, None).await?;
        Self::spawn(config, setup, Some(link))
    }

    /// A connection that is opened in the background; calls wait for it.
    ///
    /// # Errors
    ///
    /// If there is no runtime to drive it.
    pub(crate) fn lazy(config: Config, setup: Setup) -> Result<Self, Error> {
        Self::spawn(config, setup, None)
    }

    fn spawn(
        config: Config,
        setup: Setup,
        link: Option<crate::client::redial::Link>,
    ) -> Result<Self, Error> {
        let runtime = runtime(&config)?;
        let state = State {
            out: BytesMut::new(),
            slots: Slots::default(),
            pen: None,
            epoch: 0,
            crowd: 0,
            unusable: None,
            last_failure: None,
            closing: false,
            driver: None,
            notified: false,
            sweep_at: None,
            smallest_rtt: None,
        };
        let phase = watch::Sender::new(Phase::Connecting);
        let shared = Arc::new(Shared { config, setup, state: Mutex::new(state), phase });
        let connection = Self(Arc::new(Owner(Arc::clone(&shared))));
        runtime.spawn(driver::Driver::new(shared, link).run());
        Ok(connection)
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.0.0
    }

    /// The settings the connection was made with.
    pub(crate) fn config(&self) -> &Config {
        &self.shared().config
    }

    /// Queues one command, which `encode` appends whole, and gives a future of its reply.
    ///
    /// # Errors
    ///
    /// If nothing was queued: closed, refused by the server for good, or too much is queued.
    pub(crate) fn submit(
        &self,
        patience: Duration,
        flush: Flush,
        encode: impl FnOnce(&mut BytesMut),
    ) -> Result<Reply, Error> {
        let id = self.shared().submit(patience, flush, encode)?;
        Ok(Reply { shared: Arc::clone(self.shared()), id, fetched: false })
    }

    /// Queues one command and waits for its reply.
    pub(crate) async fn call(
        &self,
        patience: Duration,
        encode: impl FnOnce(&mut BytesMut),
    ) -> Result<Frame, Error> {
        answer(self.submit(patience, Flush::Auto, encode)?.await?)
    }

    /// Waits until the connection is usable.
    ///
    /// # Errors
    ///
    /// If the server turned it away for good, or it is closed.
    pub(crate) async fn ready(&self) -> Result<Arc<Session>, Error> {
        let mut phase = self.shared().phase.subscribe();
        loop {
            match &*phase.borrow_and_update() {
                Phase::Ready(session) => return Ok(Arc::clone(session)),
                Phase::Refused(error) | Phase::Closed(error) => return Err(error.clone()),
                Phase::Connecting => {}
            }
            if phase.changed().await.is_err() {
                return Err(Error::closed(Outcome::NotSent));
            }
        }
    }

    /// Why the last attempt to connect failed, if the one before any success did.
    pub(crate) fn last_failure(&self) -> Option<Error> {
        self.shared().lock().last_failure.clone()
    }

    /// The smallest time from a command to its reply so far, handshakes included.
    pub(crate) fn smallest_rtt(&self) -> Option<Duration> {
        self.shared().lock().smallest_rtt
    }

    /// Takes no more calls, and waits at most `patience` for what is queued to be answered.
    pub(crate) async fn close(&self, patience: Duration) {
        let mut phase = self.shared().phase.subscribe();
        self.shared().close();
        let ended = async {
            while !matches!(&*phase.borrow_and_update(), Phase::Closed(_)) {
                if phase.changed().await.is_err() {
                    break;
                }
            }
        };
        // Out of patience is no error: the driver ends by itself soon after.
        let _ = timeout(patience, ended).await;
    }
}

/// The runtime that drives a connection.
pub(crate) fn runtime(config: &Config) -> Result<Handle, Error> {
    match &config.runtime {
        Some(handle) => Ok(handle.clone()),
        None => Handle::try_current().map_err(|_| {
            Error::config(
                "there is no tokio runtime here: connect inside one, or set Config::runtime",
            )
        }),
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("phase", &*self.shared().phase.borrow()).finish()
    }
}

/// The reply to one command, error frames included. Dropping it leaves the command on its way; its reply is dropped.
#[must_use = "a reply is a future"]
pub(crate) struct Reply {
    shared: Arc<Shared>,
    id: SlotId,
    fetched: bool,
}

impl Future for Reply {
    type Output = Result<Frame, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.shared.lock().slots.poll(self.id, cx);
        self.fetched |= polled.is_ready();
        polled
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if !self.fetched {
            self.shared.lock().slots.abandon(self.id);
        }
    }
}
