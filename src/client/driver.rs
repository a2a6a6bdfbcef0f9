//! The task that owns a socket: it writes what is queued, reads what comes, and dials again when the connection is lost.
//!
//! Reading never waits for writing. After a batch of replies that woke several callers it yields before it writes, and
//! once more while some of them are still to ask, so that what they ask leaves in few writes (`crowd.rs`); no timer delays a
//! flush. One timer (`alarm.rs`) is for the deadlines of all callers and for a server that owes an answer and sends nothing
//! (`pulse.rs`).

mod delivery;
mod losses;

use crate::client::alarm::Alarm;
use crate::client::clock::{Span, Time};
use crate::client::handshake::Session;
use crate::client::intake::{Intake, disconnected};
use crate::client::listener::{Heard, Outbox};
use crate::client::pen::{Pen, Wrote};
use crate::client::pulse::{Pulse, Silence};
use crate::client::queue::State;
use crate::client::redial::{self, Link};
use crate::client::shared::{Phase, Shared};
use crate::client::spin::{Patience, Spin};
use crate::error::{Error, Outcome};
use resp::Protocol;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::{Instant, Sleep, sleep_until};

/// How long a closed connection may take to write and hear the last of what was queued.
const LINGER: Duration = Duration::from_millis(250);
/// A connection that lived this long was healthy: the next failure starts the back-off anew.
const HEALTHY: Duration = Duration::from_secs(10);

/// Drives one connection, through any number of sockets.
pub(crate) struct Driver {
    shared: Arc<Shared>,
    first: Option<Link>,
    previous: Option<Arc<Session>>,
    alarm: Alarm,
    /// Why the only connection is gone, for one that is not dialled again.
    lost: Option<Error>,
}

/// What the driver needs while a socket is open.
struct Open {
    intake: Intake,
    protocol: Protocol,
    out: Outbox,
    pulse: Pulse,
    spin: Spin,
    /// Writes so far, when it was looked at last.
    writes: u64,
    /// When to stop waiting for the last replies, once closing.
    linger: Option<Pin<Box<Sleep>>>,
}

impl Driver {
    pub(crate) fn new(shared: Arc<Shared>, first: Option<Link>) -> Self {
        Self { shared, first, previous: None, alarm: Alarm::new(), lost: None }
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
            if definite && defect!(16) {
                return;
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

    /// Serves the socket it was given, and ends when that is lost or the last handle is gone.
    pub(crate) async fn run_once(mut self) {
        if let Some(link) = self.first.take() {
            let lost = self.serve(link).await;
            self.detach(&lost);
            self.lost = Some(lost);
        }
    }

    async fn redial(&mut self) -> Result<Link, Error> {
        let shared = Arc::clone(&self.shared);
        let previous = self.previous.clone();
        // Most of what the task would keep while it is idle is what it only needs to dial.
        let open = Box::pin(redial::open(&shared.config, shared.setup, previous.as_deref()));
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
            let instant = Instant::now();
            let now = self.shared.clock.time(instant);
            let rang = self.alarm.rang();
            let (closing, due) = {
                let mut state = self.shared.lock();
                state.begin_turn(cx.waker(), now);
                if rang {
                    state.expire(now, &self.shared.config.address, &mut out);
                }
                state.call_in(&mut out.wakers);
                state.looks_at = state.sweep_at;
                (state.closing, state.sweep_at)
            };
            out.deliver(self.shared.listener(), instant);
            if closing {
                return Poll::Ready(None);
            }
            self.alarm.set(due, &self.shared.clock, cx);
            future.as_mut().poll(cx).map(Some)
        })
        .await
    }

    /// Serves one socket until it is lost or the connection is closed.
    async fn serve(&mut self, link: Link) -> Error {
        let session = Arc::new(link.session);
        {
            let mut state = self.shared.lock();
            state.epoch += 1;
            state.pen = Some(Box::new(Pen::new(link.writer, state.epoch)));
            state.crowded = false;
            state.stats.reconnects += 1;
            state.unusable = None;
            state.last_failure = None;
            state.last_byte = Some(self.shared.clock.now());
            state.note_round_trip(Span::of(link.round_trip));
        }
        self.previous = Some(Arc::clone(&session));
        let protocol = session.protocol;
        self.shared.announce(Phase::Ready(session));
        let listens = self.shared.listener().is_some();
        let mut open = Open {
            intake: Intake::new(link.reader, link.decoder, link.received, listens),
            protocol,
            out: Outbox::default(),
            pulse: Pulse::new(&self.shared.config, self.shared.clock.now()),
            spin: Spin::new(self.shared.config.spin, patience()),
            writes: 0,
            linger: None,
        };
        if open.spin.is_wanted() {
            open.intake.allow_glances();
        }
        poll_fn(|cx| self.turn(&mut open, cx)).await
    }

    /// One turn: read, keep time, give replies out, write what all that has led to.
    fn turn(&mut self, open: &mut Open, cx: &mut Context<'_>) -> Poll<Error> {
        let Self { shared, alarm, .. } = self;
        let (heard, ended) = open.read(cx);
        let instant = Instant::now();
        let now = shared.clock.time(instant);
        if heard {
            open.pulse.heard(now);
        }
        let seen = shared.witness.is_some().then(|| open.intake.seen());
        let rang = alarm.rang();
        let (given, due, closing, taken, crowded, idle) = {
            let mut state = shared.lock();
            state.begin_turn(cx.waker(), now);
            open.account(&mut state, heard, now);
            let mut given = open.give_out(&mut state, now).and(ended.map_or(Ok(()), Err));
            if rang && given.is_ok() {
                given = keep_time(&mut state, open, shared, now);
            }
            state.stamp(now);
            state.call_in(&mut open.out.wakers);
            // Pushes wake nobody who is about to ask.
            let answered = open.out.wakers.len() + std::mem::take(&mut open.out.replies);
            let crowded = state.lets_ask(answered, now);
            // The listener comes first: what it posts leaves in the same write.
            let write = given.is_ok() && !crowded && open.out.notices.is_empty();
            let taken = if write { Some(state.take_pen(now)) } else { None };
            let idle = taken.is_none() && state.has_written_all();
            let owed = state.slots.owed(shared.patience);
            let due = state.sweep_at.min(open.pulse.due(owed));
            state.looks_at = due;
            let written = std::mem::replace(&mut open.writes, state.stats.writes);
            if heard || written != open.writes {
                open.spin.traffic(now);
            }
            state.looks = open.spin.looks();
            (given, due, state.closing, taken, crowded, idle)
        };
        let posted = open.out.deliver(shared.listener(), instant);
        if let (Some(witness), Some(seen)) = (&shared.witness, seen) {
            witness.read(seen);
            shared.observe_posted();
        }
        if let Err(error) = given {
            return Poll::Ready(error);
        }
        let wrote = match taken {
            Some(taken) => write(shared, taken, cx),
            None if crowded => {
                // They are about to ask again: their turn first, then a write for what they have left.
                cx.waker().wake_by_ref();
                Wrote::All
            }
            // Whoever else has queued something since wakes this task.
            None if idle && posted == Heard::Nothing => Wrote::All,
            None => shared.flush(cx),
        };
        if let Wrote::Broken(error) = wrote {
            return Poll::Ready(disconnected(format!("writing failed: {error}")));
        }
        alarm.set(due, &shared.clock, cx);
        if open.spin.goes_on(now) {
            look_again(cx);
        }
        if closing && has_lingered(shared, open, cx) {
            return Poll::Ready(Error::closed(Outcome::Unknown));
        }
        Poll::Pending
    }
}

/// Writes what was taken, and what has come meanwhile.
#[inline(always)]
fn write(shared: &Shared, taken: Result<Box<Pen>, Wrote>, cx: &mut Context<'_>) -> Wrote {
    match taken.map(|pen| shared.write(pen, Some(cx))) {
        Ok(Wrote::More) => shared.flush(cx),
        Ok(wrote) | Err(wrote) => wrote,
    }
}

/// How long it takes to see what sleeping comes to on this runtime.
fn patience() -> Patience {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => Patience::Short,
        _ => Patience::Long,
    }
}

/// Whether a closing connection has nothing left to wait for.
fn has_lingered(shared: &Shared, open: &mut Open, cx: &mut Context<'_>) -> bool {
    {
        let state = shared.lock();
        if state.slots.len() == 0 && state.out.is_empty() {
            return true;
        }
    }
    let linger = open.linger.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + LINGER)));
    linger.as_mut().poll(cx).is_ready()
}

/// Another turn, after the runtime has looked at its sockets and without its thread sleeping; a server that waits for this very
/// core gets it.
fn look_again(cx: &mut Context<'_>) {
    std::thread::yield_now();
    let _ = pin!(tokio::task::yield_now()).poll(cx);
}

/// The timer has rung: for callers whose time is up, for a server that is silent, or for what has been done since.
fn keep_time(state: &mut State, open: &mut Open, shared: &Shared, now: Time) -> Result<(), Error> {
    state.expire(now, &shared.config.address, &mut open.out);
    state.trim();
    open.intake.trim();
    open.out.trim();
    match open.pulse.feel(state.slots.owed(shared.patience), now) {
        Silence::Short => Ok(()),
        Silence::Doubtful => {
            state.slots.doubt();
            state.let_canary_sing();
            Ok(())
        }
        Silence::Dead(silence) => {
            Err(disconnected(format!("the server owes an answer and sent nothing for {silence:?}")))
        }
    }
}
