//! The task that owns a socket: it writes what is queued, reads what comes, and dials again when the connection is lost.
//!
//! Reading never waits for writing. After a batch of replies that woke several callers it yields once before it
//! writes, so that what they ask next leaves in one write; no timer delays a flush. One timer sweeps the deadlines of
//! all callers; another (`pulse.rs`) notices a server that owes an answer and sends nothing.

use crate::client::handshake::Session;
use crate::client::listener::{Heard, Notice, Outbox, sort};
use crate::client::pen::{Pen, Wrote};
use crate::client::pulse::Pulse;
use crate::client::redial::{self, Link};
use crate::client::shared::{Phase, Shared};
use crate::client::slots::Slip;
use crate::client::sweep::Sweep;
use crate::error::{Error, ErrorKind, Outcome};
use crate::net::Reader;
use bytes::BytesMut;
use resp::{Decoder, Frame, Protocol};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::time::{Instant, Sleep, sleep_until};

/// The room for one read: a segment stays below the 64 KiB that a slice of a reply may pin.
const READ: usize = 32 << 10;
/// Reads per turn, so that a flood cannot keep this task from writing.
const READS_PER_TURN: usize = 16;
/// How long a closed connection may take to write and hear the last of what was queued.
const LINGER: Duration = Duration::from_millis(250);
/// A connection that lived this long was healthy: the next failure starts the back-off anew.
const HEALTHY: Duration = Duration::from_secs(10);

/// Drives one connection, through any number of sockets.
pub(crate) struct Driver {
    shared: Arc<Shared>,
    first: Option<Link>,
    previous: Option<Arc<Session>>,
    sweep: Sweep,
}

/// What the driver needs while a socket is open.
struct Open {
    reader: Reader,
    decoder: Decoder,
    received: BytesMut,
    /// Replies, and pushes if anybody listens, in order.
    frames: Vec<Frame>,
    protocol: Protocol,
    listens: bool,
    out: Outbox,
    pulse: Pulse,
    /// When to stop waiting for the last replies, once closing.
    linger: Option<Pin<Box<Sleep>>>,
}

impl Driver {
    pub(crate) fn new(shared: Arc<Shared>, first: Option<Link>) -> Self {
        Self { shared, first, previous: None, sweep: Sweep::default() }
    }

    /// Runs until the last handle is gone.
    pub(crate) async fn run(mut self) {
        let mut failures = 0;
        loop {
            let opened = match self.first.take() {
                Some(link) => Ok(link),
                None => self.redial().await,
            };
            let was_open = opened.is_ok();
            let lost = match opened {
                Ok(link) => {
                    let since = Instant::now();
                    let lost = self.serve(link).await;
                    if since.elapsed() >= HEALTHY {
                        failures = 0;
                    }
                    self.detach(&lost);
                    lost
                }
                Err(error) => error,
            };
            if self.shared.lock().closing {
                return;
            }
            let definite = self.note_failure(&lost);
            if !was_open && !definite {
                self.shared.announce(Phase::Connecting(Some(lost)));
            }
            // What only a person can change is not asked about in haste.
            let tries = if definite { u32::MAX } else { failures };
            let config = &self.shared.config;
            let delay = config.reconnect.delay(tries, config.seam.entropy());
            failures += 1;
            if self.or_closing(tokio::time::sleep(delay)).await.is_none() {
                return;
            }
        }
    }

    async fn redial(&mut self) -> Result<Link, Error> {
        let shared = Arc::clone(&self.shared);
        let previous = self.previous.clone();
        let open = redial::open(&shared.config, shared.setup, previous.as_deref());
        match self.or_closing(open).await {
            Some(result) => result,
            None => Err(Error::closed(Outcome::NotSent)),
        }
    }

    /// Waits for `future` while deadlines go on being kept; `None` once the connection is closed.
    async fn or_closing<F: Future>(&mut self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let mut out = Outbox::default();
        poll_fn(|cx| {
            if self.begin_turn(cx) {
                return Poll::Ready(None);
            }
            self.sweep.poll(cx, &self.shared, &mut out);
            future.as_mut().poll(cx).map(Some)
        })
        .await
    }

    /// Registers this turn's waker, and tells whether the connection is closing.
    fn begin_turn(&self, cx: &Context<'_>) -> bool {
        let mut state = self.shared.lock();
        state.begin_turn();
        if !state.driver.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.driver = Some(cx.waker().clone());
        }
        state.closing
    }

    /// Serves one socket until it is lost or the connection is closed.
    async fn serve(&mut self, link: Link) -> Error {
        let session = Arc::new(link.session);
        {
            let mut state = self.shared.lock();
            state.epoch += 1;
            let pen = Pen::new(link.writer, state.epoch);
            state.pen = Some(pen);
            state.crowd = 0;
            state.unusable = None;
            state.last_failure = None;
            state.smallest_rtt = smaller(state.smallest_rtt, link.round_trip);
        }
        self.previous = Some(Arc::clone(&session));
        let protocol = session.protocol;
        self.shared.announce(Phase::Ready(session));
        let mut open = Open {
            reader: link.reader,
            decoder: link.decoder,
            received: link.received,
            frames: Vec::new(),
            protocol,
            listens: self.shared.listener().is_some(),
            out: Outbox::default(),
            pulse: Pulse::new(&self.shared.config),
            linger: None,
        };
        poll_fn(|cx| self.turn(&mut open, cx)).await
    }

    /// One turn: read, give replies out, keep time, write what all that has led to.
    fn turn(&mut self, open: &mut Open, cx: &mut Context<'_>) -> Poll<Error> {
        let closing = self.begin_turn(cx);
        let ended = open.read(cx);
        let woken = match self.deliver(open) {
            Ok(woken) => woken,
            Err(error) => return Poll::Ready(error),
        };
        if let Some(error) = ended {
            return Poll::Ready(error);
        }
        self.sweep.poll(cx, &self.shared, &mut open.out);
        if let Some(silence) = open.pulse.poll(cx, &self.shared) {
            return Poll::Ready(disconnected(format!(
                "the server owes an answer and sent nothing for {silence:?}"
            )));
        }
        if woken > 1 {
            // They are about to ask again: their turn first, then one write for all of it.
            cx.waker().wake_by_ref();
        } else if let Wrote::Broken(error) = self.write(cx) {
            return Poll::Ready(disconnected(format!("writing failed: {error}")));
        }
        if closing && self.has_lingered(open, cx) {
            return Poll::Ready(Error::closed(Outcome::Unknown));
        }
        Poll::Pending
    }

    fn write(&self, cx: &mut Context<'_>) -> Wrote {
        self.shared.lock().crowd = 0;
        self.shared.flush(cx)
    }

    /// Hands out what was read; tells how many callers that woke.
    fn deliver(&self, open: &mut Open) -> Result<usize, Error> {
        if open.frames.is_empty() {
            return Ok(0);
        }
        let now = Instant::now();
        let mut result = Ok(());
        {
            let mut state = self.shared.lock();
            for frame in open.frames.drain(..) {
                let reply = match sort(frame, open.protocol) {
                    Heard::Reply(reply) => reply,
                    Heard::Push(items) => {
                        open.out.notices.push(Notice::Push(items));
                        continue;
                    }
                };
                match state.slots.complete(reply, now, &mut open.out) {
                    Ok(took) => state.smallest_rtt = smaller(state.smallest_rtt, took),
                    Err(slip) => {
                        result = Err(slipped(&slip));
                        break;
                    }
                }
            }
            state.crowd = open.out.wakers.len();
            state.let_canary_sing(now);
        }
        let woken = open.out.wakers.len();
        open.out.deliver(self.shared.listener());
        result.map(|()| woken)
    }

    /// Whether a closing connection has nothing left to wait for.
    fn has_lingered(&self, open: &mut Open, cx: &mut Context<'_>) -> bool {
        {
            let state = self.shared.lock();
            if state.slots.len() == 0 && state.out.is_empty() {
                return true;
            }
        }
        let linger =
            open.linger.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + LINGER)));
        linger.as_mut().poll(cx).is_ready()
    }

    /// The socket is gone: what was sent has an unknown outcome, what was not waits for the next one.
    fn detach(&self, error: &Error) {
        let mut out = Outbox::default();
        {
            let mut state = self.shared.lock();
            state.epoch += 1;
            state.crowd = 0;
            let state = &mut *state;
            let pen = state.pen.take();
            let unwritten = pen.as_ref().map(Pen::unwritten).unwrap_or_default();
            let kept = state.slots.disconnected(unwritten.len(), error, &mut out);
            if let Some(kept) = unwritten.len().checked_sub(kept).and_then(|at| unwritten.get(at..))
            {
                let mut queue = BytesMut::with_capacity(kept.len() + state.out.len());
                queue.extend_from_slice(kept);
                queue.extend_from_slice(&state.out);
                state.out = queue;
            }
            state.withdraw();
        }
        out.tell(self.shared.listener());
        self.shared.announce(Phase::Connecting(Some(error.clone())));
        out.wake();
    }

    /// A refusal that only a person can change fails the calls at once; anything else lets them wait. Tells which it was.
    fn note_failure(&self, error: &Error) -> bool {
        let definite = error.kind() == ErrorKind::Handshake && !error.is_transient();
        let mut out = Outbox::default();
        {
            let mut state = self.shared.lock();
            state.last_failure = Some(error.clone());
            state.unusable = definite.then(|| error.clone());
            if definite {
                state.out.clear();
                state.slots.fail_all(error, &mut out);
            }
        }
        if definite {
            out.tell(self.shared.listener());
            self.shared.announce(Phase::Refused(error.clone()));
            out.wake();
        }
        definite
    }
}

/// Also when the runtime is shut down under it, in which case nobody would ever answer.
impl Drop for Driver {
    fn drop(&mut self) {
        let mut out = Outbox::default();
        let error = {
            let mut state = self.shared.lock();
            let error = if state.closing {
                Error::closed(Outcome::NotSent)
            } else {
                Error::new(
                    ErrorKind::Closed,
                    Outcome::NotSent,
                    "the runtime that drove this connection has ended: connect again on one that runs",
                )
            };
            state.epoch += 1;
            state.closing = true;
            state.unusable = Some(error.clone());
            state.pen = None;
            state.driver = None;
            state.out = BytesMut::new();
            state.slots.disconnected(0, &error, &mut out);
            state.slots.fail_all(&error, &mut out);
            error
        };
        out.tell(self.shared.listener());
        self.shared.announce(Phase::Closed(error));
        out.wake();
    }
}

impl Open {
    /// Reads and decodes what is there. Gives the reason once nothing more can come; what came before it still counts.
    fn read(&mut self, cx: &mut Context<'_>) -> Option<Error> {
        for _ in 0..READS_PER_TURN {
            loop {
                match self.decoder.decode(&mut self.received) {
                    Ok(Some(Frame::Push(_))) if !self.listens => {} // nobody subscribes or tracks
                    Ok(Some(frame)) => self.frames.push(frame),
                    Ok(None) => break,
                    Err(error) => {
                        let message = format!("the server broke the protocol: {error}");
                        let kind = ErrorKind::Protocol;
                        return Some(Error::caused_by(kind, Outcome::Unknown, message, error));
                    }
                }
            }
            if self.received.capacity() - self.received.len() < READ / 8 {
                self.received.reserve(READ);
            }
            match pin!(self.reader.read_buf(&mut self.received)).poll(cx) {
                Poll::Pending => return None,
                Poll::Ready(Ok(0)) => {
                    return Some(disconnected("the server closed the connection"));
                }
                Poll::Ready(Ok(_)) => self.pulse.heard(),
                Poll::Ready(Err(error)) => {
                    return Some(disconnected(format!("reading failed: {error}")));
                }
            }
        }
        cx.waker().wake_by_ref(); // there may be more; others first
        None
    }
}

fn disconnected(why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Disconnected, Outcome::Unknown, format!("the connection was lost: {why}"))
}

fn slipped(slip: &Slip) -> Error {
    let what = match slip {
        Slip::Unasked(Frame::Error(text)) => {
            format!("an error that nobody asked for: {}", String::from_utf8_lossy(text))
        }
        Slip::Unasked(_) => "an answer that nobody asked for".to_owned(),
        Slip::Shifted => "an answer in the place of another: one was lost or came twice".to_owned(),
    };
    Error::new(ErrorKind::Protocol, Outcome::Unknown, format!("the server sent {what}"))
}

fn smaller(smallest: Option<Duration>, took: Duration) -> Option<Duration> {
    Some(smallest.map_or(took, |smallest| smallest.min(took)))
}
