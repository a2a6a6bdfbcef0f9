//! A handle on one connection, and the future of one reply.

use crate::client::call::Call;
use crate::client::clock::Span;
use crate::client::driver::Driver;
use crate::client::encode::Ink;
use crate::client::handshake::{Session, Setup};
use crate::client::home::Home;
use crate::client::listener::{Listener, Tag};
use crate::client::pen::Draft;
use crate::client::queue::{Due, Flush};
use crate::client::redial::{self, Link};
use crate::client::shared::{Phase, Shared};
use crate::client::slots::SlotId;
use crate::client::stats::Stats;
use crate::client::watch;
use crate::config::Config;
use crate::error::{Circumstances, Error, Outcome};
use crate::observe::Purpose;
use resp::Frame;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// A handle on one connection; when the last one is dropped, the connection ends.
#[derive(Clone)]
pub(crate) struct Connection(Arc<Owner>);

struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Connection {
    /// Makes one attempt to connect, within its budget, and drives what it opened from then on.
    ///
    /// # Errors
    ///
    /// Whatever went wrong with the attempt.
    pub(crate) async fn connect(home: &Home, config: Config, setup: Setup) -> Result<Self, Error> {
        let open =
            async move { redial::open(&config, setup, None).await.map(|link| (config, link)) };
        let (config, link) = home.run(open).await??;
        Ok(Self::spawn(home, Shared::new(config, Purpose::Data, setup, None), Some(link)))
    }

    /// As [`Connection::connect`], but it is over when it is lost: nothing is ever sent on another one.
    pub(crate) async fn connect_once(home: &Home, config: Config) -> Result<Self, Error> {
        let open = async move {
            redial::open(&config, |_| Vec::new(), None).await.map(|link| (config, link))
        };
        let (config, link) = home.run(open).await??;
        let shared = Shared::new(config, Purpose::Leased, |_| Vec::new(), None);
        let (connection, driver) = Self::made_of(shared, Some(link));
        home.spawn(driver.run_once());
        Ok(connection)
    }

    /// A connection that is opened in the background; calls wait for it. `listener` is told of everything else.
    pub(crate) fn lazy(
        home: &Home,
        config: Config,
        purpose: Purpose,
        setup: Setup,
        listener: Option<Arc<dyn Listener>>,
    ) -> Self {
        Self::spawn(home, Shared::new(config, purpose, setup, listener), None)
    }

    fn spawn(home: &Home, shared: Shared, link: Option<Link>) -> Self {
        let (connection, driver) = Self::made_of(shared, link);
        home.spawn(driver.run());
        connection
    }

    fn made_of(shared: Shared, link: Option<Link>) -> (Self, Driver) {
        let shared = Arc::new(shared);
        if let Some(link) = &link {
            // Calls are taken from now on; the task's first turn sends them.
            shared.will_open(Arc::new(link.session.clone()));
        }
        let connection = Self(Arc::new(Owner(Arc::clone(&shared))));
        (connection, Driver::new(shared, link))
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
        encode: impl FnOnce(&mut Ink),
    ) -> Result<Reply, Error> {
        let id = self.shared().submit(Span::of(patience), flush, None, encode)?;
        Ok(Reply { shared: Arc::clone(self.shared()), id, fetched: false })
    }

    /// Queues one command whose reply the listener is told under `tag`; [`Connection::settle`] is to follow, unless this
    /// is the listener being told something, which tells its driver then.
    ///
    /// # Errors
    ///
    /// As [`Connection::submit`]; then the listener is not told.
    pub(crate) fn post(
        &self,
        tag: Tag,
        patience: Duration,
        encode: impl FnOnce(&mut Ink),
    ) -> Result<(), Error> {
        self.shared().post(tag, patience, encode)
    }

    /// The same, and tells what is to be done so that this command, and those posted before it, are written.
    ///
    /// # Errors
    ///
    /// As [`Connection::submit`]; then the listener is not told.
    pub(crate) fn post_last(
        &self,
        tag: Tag,
        patience: Duration,
        flush: Flush,
        encode: impl FnOnce(&mut Ink),
    ) -> Result<Due, Error> {
        self.shared().post_last(tag, patience, flush, encode)
    }

    /// See [`Shared::post_only`]; it may take as long as calls usually do.
    ///
    /// # Errors
    ///
    /// As [`Connection::submit`].
    #[inline]
    pub(crate) fn post_only(
        &self,
        tag: Tag,
        (flush, now): (Flush, Instant),
        encode: impl FnOnce(&mut Ink),
    ) -> Result<Due, Error> {
        let shared = self.shared();
        shared.post_only(tag, (shared.patience, flush, now), encode)
    }

    /// See [`Shared::send`].
    #[inline]
    pub(crate) fn send(&self, draft: Draft) {
        self.shared().send(draft);
    }

    /// Sees to it that what was posted is written.
    pub(crate) fn settle(&self, flush: Flush) {
        self.shared().settle(flush);
    }

    /// Queues several commands, which `encode` appends whole and together, so that no other command comes between them, and
    /// gives a future of their replies.
    ///
    /// # Errors
    ///
    /// As [`Connection::submit`].
    pub(crate) fn submit_batch(
        &self,
        patience: Duration,
        replies: usize,
        encode: impl FnOnce(&mut Ink),
    ) -> Result<BatchReply, Error> {
        let id = self.shared().submit_batch(patience, replies, encode)?;
        Ok(BatchReply(Reply { shared: Arc::clone(self.shared()), id, fetched: false }))
    }

    /// Queues one command when it is polled first, and waits for its reply.
    #[inline]
    pub(crate) fn call<E: FnMut(&mut Ink) + Unpin>(
        &self,
        patience: Duration,
        encode: E,
    ) -> Call<'_, E> {
        Call::new(self.shared(), Span::of(patience), encode)
    }

    /// The same for one who waits as long as calls usually do.
    #[inline]
    pub(crate) fn call_usual<E: FnMut(&mut Ink) + Unpin>(&self, encode: E) -> Call<'_, E> {
        let shared = self.shared();
        Call::new(shared, shared.patience, encode)
    }

    /// What the connection is doing, now and from now on.
    pub(crate) fn phases(&self) -> watch::Receiver<Phase> {
        self.shared().phases()
    }

    /// Waits until the connection is usable.
    ///
    /// # Errors
    ///
    /// If the server turned it away for good, or it is closed.
    pub(crate) async fn ready(&self) -> Result<Arc<Session>, Error> {
        let mut phase = self.shared().phases();
        loop {
            let answer = phase.see(|phase| match phase {
                Phase::Ready(session) => Some(Ok(Arc::clone(session))),
                Phase::Refused(error) | Phase::Closed(error) => Some(Err(error.clone())),
                Phase::Connecting(_) => None,
            });
            if let Some(answer) = answer {
                return answer;
            }
            if phase.changed().await.is_err() {
                return Err(Error::closed(Outcome::NotSent));
            }
        }
    }

    /// What it has done and is doing.
    pub(crate) fn stats(&self) -> Stats {
        self.shared().lock().stats()
    }

    /// Why the last attempt to connect failed, if the one before any success did.
    pub(crate) fn last_failure(&self) -> Option<Error> {
        self.shared().lock().last_failure.clone()
    }

    /// How it stands, for whoever gets no answer.
    pub(crate) fn circumstances(&self) -> Circumstances {
        let shared = self.shared();
        let now = shared.clock.now();
        shared.lock().circumstances(now, &shared.config.address)
    }

    /// See [`Shared::smallest_rtt_nanos`].
    #[inline]
    pub(crate) fn smallest_rtt_nanos(&self) -> Option<u64> {
        self.shared().smallest_rtt_nanos()
    }

    /// The session of the connection, if it is open.
    pub(crate) fn session(&self) -> Option<Arc<Session>> {
        self.phases().look(|phase| match phase {
            Phase::Ready(session) => Some(Arc::clone(session)),
            _ => None,
        })
    }

    /// Takes no more calls, and waits at most `patience` for what is queued to be answered.
    pub(crate) async fn close(&self, patience: Duration) {
        self.end();
        // Out of patience is no error: the driver ends by itself soon after.
        let _ = timeout(patience, self.ended()).await;
    }

    /// Takes no more calls.
    pub(crate) fn end(&self) {
        self.shared().close();
    }

    /// Waits until the connection is over.
    pub(crate) async fn ended(&self) {
        let mut phase = self.shared().phases();
        while !phase.see(|phase| matches!(phase, Phase::Closed(_))) {
            if phase.changed().await.is_err() {
                break;
            }
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = self.shared().phases().look(Phase::clone);
        let (unanswered, bytes) = {
            let state = self.shared().lock();
            (state.slots.len(), state.slots.bytes())
        };
        f.debug_struct("Connection")
            .field("phase", &phase)
            .field("unanswered", &unanswered)
            .field("queued_bytes", &bytes)
            .finish()
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

/// The replies to a batch: those that came, and why the others did not. Dropping it leaves the batch on its way.
#[must_use = "replies are a future"]
pub(crate) struct BatchReply(Reply);

impl Future for BatchReply {
    type Output = (Vec<Frame>, Option<Error>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.0.shared.lock().slots.poll_batch(self.0.id, cx);
        self.0.fetched |= polled.is_ready();
        polled
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if !self.fetched {
            let left = self.shared.lock().slots.abandon(self.id);
            drop(left);
        }
    }
}
