//! What all handles and connections share: the state, the clock, and the queues of what goes out.
//!
//! Everything happens under one lock, one request at a time, as in the servers that are played. Whatever a request has
//! caused is put into the queues before the lock is let go, so each connection sees effects in one order.

use crate::clock::{Clock, Now};
use crate::command::flag;
use crate::session::ClientId;
use crate::state::{Output, State};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

/// Bytes that may wait for a connection that does not read; beyond, it is ended.
const QUEUE_BYTES: usize = 512 << 20;
/// Expired keys are looked for that often, so expiry pushes are that late at most.
const EXPIRY_TICK_MS: i64 = 100;

/// The way out to one connection.
#[derive(Debug)]
struct Link {
    queue: VecDeque<Output>,
    bytes: usize,
    wake: Arc<Notify>,
    tasks: Vec<AbortHandle>,
}

/// All of a server's data, behind its lock.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) state: State,
    pub(crate) clock: Clock,
    pub(crate) frozen: bool,
    pub(crate) refusing: bool,
    stopped: bool,
    stalled_until: Option<Instant>,
    links: BTreeMap<ClientId, Link>,
    listeners: Vec<AbortHandle>,
    sockets: Vec<PathBuf>,
}

/// Why a request has to wait.
#[derive(Debug, Clone, Copy)]
enum Hold {
    For(Duration),
    Frozen,
}

/// What a writer does next.
#[derive(Debug)]
pub(crate) enum Turn {
    Do(Output),
    /// Nothing to do until it is woken, or this time has passed.
    Wait(Option<Duration>),
}

impl Core {
    pub(crate) fn new(state: State, clock: Clock) -> Self {
        Self {
            state,
            clock,
            frozen: false,
            refusing: false,
            stopped: false,
            stalled_until: None,
            links: BTreeMap::new(),
            listeners: Vec::new(),
            sockets: Vec::new(),
        }
    }

    /// Whether new connections are turned away.
    pub(crate) fn turns_away(&self) -> bool {
        self.stopped || self.refusing
    }

    /// Whether there is no room for one more connection.
    pub(crate) fn is_full(&self) -> bool {
        let most = self.state.config.get("maxclients").and_then(|most| most.parse().ok());
        most.is_some_and(|most: usize| self.links.len() >= most)
    }

    /// Opens the way out to a connection; `tasks` serve it.
    pub(crate) fn link(&mut self, id: ClientId, wake: Arc<Notify>, tasks: Vec<AbortHandle>) {
        self.links.insert(id, Link { queue: VecDeque::new(), bytes: 0, wake, tasks });
    }

    /// Puts one thing to do into a connection's queue.
    fn queue(&mut self, id: ClientId, output: Output) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if let Output::Bytes(bytes) = &output {
            link.bytes += bytes.len();
        }
        let limit = self.state.output_limit.unwrap_or(QUEUE_BYTES);
        if link.bytes > limit || matches!(output, Output::Kill) {
            self.cut(id);
            return;
        }
        link.queue.push_back(output);
        link.wake.notify_one();
    }

    /// Ends a connection at once.
    fn cut(&mut self, id: ClientId) {
        self.state.disconnect(id);
        if let Some(link) = self.links.remove(&id) {
            link.tasks.iter().for_each(AbortHandle::abort);
        }
    }

    /// The client has said its last word: what is queued still goes out, then the connection ends.
    pub(crate) fn end(&mut self, id: ClientId) {
        self.state.disconnect(id);
        self.queue(id, Output::Close);
    }

    /// The writer is done: nothing is left of the connection.
    pub(crate) fn gone(&mut self, id: ClientId) {
        self.cut(id);
    }

    pub(crate) fn cut_all(&mut self) {
        let ids: Vec<_> = self.links.keys().copied().collect();
        for id in ids {
            self.cut(id);
        }
    }

    pub(crate) fn connections(&self) -> usize {
        self.links.len()
    }

    pub(crate) fn listener(&mut self, task: AbortHandle, socket: Option<PathBuf>) {
        if self.stopped {
            task.abort();
        }
        self.listeners.push(task);
        self.sockets.extend(socket);
    }

    pub(crate) fn stop(&mut self) {
        self.stopped = true;
        self.listeners.drain(..).for_each(|task| task.abort());
        for socket in self.sockets.drain(..) {
            // Nothing to be done about a socket file that somebody else has removed or replaced.
            let _ = std::fs::remove_file(socket);
        }
        self.cut_all();
    }

    pub(crate) fn stall(&mut self, by: Duration) {
        self.stalled_until = Some(Instant::now() + by);
    }

    fn wake_all(&self) {
        self.links.values().for_each(|link| link.wake.notify_one());
    }

    /// What a connection's writer does next.
    fn turn(&mut self, id: ClientId, now: Now) -> Turn {
        if self.frozen {
            return Turn::Wait(None);
        }
        let Some(link) = self.links.get_mut(&id) else { return Turn::Do(Output::Close) };
        let Some(mut output) = link.queue.pop_front() else {
            return Turn::Wait(self.expiry_push_in(id, now));
        };
        if let Output::Bytes(bytes) = &mut output {
            while let Some(Output::Bytes(more)) = link.queue.front() {
                bytes.extend_from_slice(more);
                link.queue.pop_front();
            }
            link.bytes -= bytes.len();
        }
        Turn::Do(output)
    }

    /// How long until the server finds out that a key has expired which the connection tracks.
    fn expiry_push_in(&self, id: ClientId, now: Now) -> Option<Duration> {
        let at_ms = self.state.next_expiry_for(id)?;
        let since_start = at_ms - self.state.started.ms();
        let tick = (since_start.div_euclid(EXPIRY_TICK_MS) + 1) * EXPIRY_TICK_MS;
        let due_ms = self.state.started.ms() + tick;
        Some(Duration::from_millis(u64::try_from(due_ms - now.ms()).unwrap_or(0).max(1)))
    }

    fn hold(&mut self, args: &[Bytes], now: Now) -> Option<Hold> {
        if self.frozen {
            return Some(Hold::Frozen);
        }
        if let Some(until) = self.stalled_until {
            let left = until.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                return Some(Hold::For(left));
            }
            self.stalled_until = None;
        }
        let pause = self.state.pause?;
        let left = now.until(pause.until);
        if left.is_zero() {
            self.state.pause = None;
            return None;
        }
        let spec = self.state.table.find(args).ok();
        let writes = spec.is_some_and(|spec| spec.is(flag::WRITE | flag::MAY_WRITE));
        (writes || !pause.writes_only).then_some(Hold::For(left))
    }
}

/// A server, as its connections see it.
#[derive(Debug)]
pub(crate) struct Shared {
    core: Mutex<Core>,
    /// Woken when requests that were held may go on.
    gate: Notify,
}

impl Shared {
    pub(crate) fn new(core: Core) -> Self {
        Self { core: Mutex::new(core), gate: Notify::new() }
    }

    /// Does something under the lock, and hands on what it has caused.
    pub(crate) fn with<R>(&self, act: impl FnOnce(&mut Core, Now) -> R) -> R {
        let mut core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        let now = core.clock.now();
        let result = act(&mut core, now);
        core.state.serve_blocked(now);
        if core.state.take_served() {
            self.gate.notify_waiters();
        }
        for (id, output) in core.state.take_outbox() {
            core.queue(id, output);
        }
        result
    }

    /// Lets everybody look again at whether they may go on: the clock was moved, or the server thawed.
    pub(crate) fn look_again(&self) {
        self.with(|core, _| core.wake_all());
        self.gate.notify_waiters();
    }

    /// Waits until a request may be taken up.
    pub(crate) async fn pass(&self, args: &[Bytes]) {
        loop {
            let mut opened = std::pin::pin!(self.gate.notified());
            opened.as_mut().enable(); // before the look, so that no wake-up falls in between
            match self.with(|core, now| core.hold(args, now)) {
                None => return,
                Some(Hold::Frozen) => opened.await,
                Some(Hold::For(left)) => {
                    // Either way it is time to look again.
                    let _ = timeout(left, opened).await;
                }
            }
        }
    }

    /// Woken when requests that were held may go on, or one that waited was answered.
    pub(crate) fn gate(&self) -> &Notify {
        &self.gate
    }

    /// What a connection's writer does next.
    pub(crate) fn turn(&self, id: ClientId) -> Turn {
        self.with(|core, now| core.turn(id, now))
    }
}
