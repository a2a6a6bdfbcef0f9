//! Commands that wait at the server, each batch of them on a leased connection, watched over by a task of its own.
//!
//! The task outlives the caller: when nobody waits for the reply any more, it ends the wait at the server, reads the reply all the
//! same, and gives back what a pop had taken. It also asks over another connection whether the server is still there, since a
//! connection that waits hears nothing either way.

use crate::client::batch::Batch;
use crate::client::commands::Commands;
use crate::client::connection::Connection;
use crate::client::convert::{FromReply, ToArg};
use crate::client::encode;
use crate::client::encode::Ink;
use crate::client::handle::Client;
use crate::client::home::Home;
use crate::client::lease::Lease;
use crate::client::pops::{Wait, give_back, wait};
use crate::error::{Error, ErrorKind, Outcome};
use crate::seam::after;
use resp::Frame;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

/// First pause between two tries to end a wait at the server; the command may not have begun to wait yet.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// A command that waits at the server, made by [`Client::blocking_command`].
#[derive(Debug)]
#[must_use = "a command does nothing until it is sent"]
pub struct BlockingCommand<'a>(Batch<'a>);

impl Client {
    /// A command that waits at the server until there is something for it: `BLPOP`, `BLMOVE`, `BZPOPMIN`, `XREAD` with
    /// `BLOCK`, and the like. It has a connection of its own for that time, out of a few that are kept
    /// ([`Config::leased_connections`](crate::Config::leased_connections)).
    ///
    /// ```no_run
    /// # async fn run(client: tenure::Client) -> Result<(), tenure::Error> {
    /// let popped = client.blocking_command("BLPOP").arg(("jobs", 30)).send().await?;
    /// let Some((queue, job)): Option<(String, String)> = popped else { return Ok(()) }; // nothing in 30 s
    /// # Ok(())
    /// # }
    /// ```
    pub fn blocking_command(&self, name: &str) -> BlockingCommand<'_> {
        BlockingCommand(self.blocking_pipeline().command(name))
    }
}

impl BlockingCommand<'_> {
    /// Appends a value: one argument, or several for a list or a tuple.
    pub fn arg(self, value: impl ToArg) -> Self {
        Self(self.0.arg(value))
    }

    /// How long to wait for the reply. Default: as long as the command says that it waits, plus the client's response time-out;
    /// without end if it waits without end.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self(self.0.timeout(timeout))
    }

    /// Sends the command and reads the reply as a `T`; most of these commands answer null when their time is over.
    ///
    /// While it waits, the client asks every [`Config::keepalive`](crate::Config::keepalive) on its data connection whether the
    /// server is still there.
    ///
    /// # Errors
    ///
    /// As [`Command::send`](crate::client::Command::send), and [`ErrorKind::Overloaded`] if all leased connections stay in use
    /// for the client's response time-out. [`Outcome::Unknown`] means that an element may have been taken
    /// and lost with the connection: `BLMOVE` and streams with groups keep it at the server for that case.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the wait at the server. What `BLPOP`, `BRPOP`, `BLMPOP`, `BZPOPMIN`, `BZPOPMAX` or `BZMPOP` had
    /// taken by then is put back where it was, a moment later, by a task in the background; it is lost only if that task cannot
    /// reach the server. The same holds when the deadline passes. For that the user needs the right to
    /// `CLIENT UNBLOCK`; without it the connection is closed, and what was on its way is lost.
    pub async fn send<T: FromReply>(self) -> Result<T, Error> {
        self.0.replies(Some(1)).await?.only()
    }
}

/// What became of the commands, on its way to whoever sent them. If that one is gone, it is given back.
struct Delivery {
    ended: Option<(Vec<Frame>, Option<Error>)>,
    commands: Arc<Commands>,
    data: Connection,
    home: Home,
}

impl Delivery {
    fn take(mut self) -> (Vec<Frame>, Option<Error>) {
        self.ended.take().unwrap_or_default()
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let Some((replies, _)) = self.ended.take() else { return };
        let back = self.commands.iter().zip(replies);
        let back: Vec<_> = back.filter_map(|(args, reply)| give_back(&args, reply)).collect();
        if back.is_empty() {
            return;
        }
        let data = self.data.clone();
        self.home.spawn(async move {
            let patience = data.config().response_timeout;
            for mut args in back {
                // There is nobody left to tell, and nothing left to try.
                let _ = data.call(patience, |out| args.write(out)).await;
            }
        });
    }
}

/// Sends commands on a connection that is leased for them, and waits for their replies.
///
/// # Errors
///
/// If nothing was sent.
pub(crate) async fn run(
    client: &Client,
    commands: &Commands,
    patience: Option<Duration>,
) -> Result<(Vec<Frame>, Option<Error>), Error> {
    let config = client.config();
    let lease = client.leases().lease(config.response_timeout).await?;
    let waits = commands.iter().map(|args| wait(&args));
    let patience = match (patience, waits.fold(Wait::For(Duration::ZERO), Wait::and)) {
        (Some(patience), _) => Some(patience),
        (None, Wait::For(time)) => Some(time.saturating_add(config.response_timeout)),
        (None, Wait::Forever) => None,
    };
    let (tell, told) = oneshot::channel();
    let minder = Minder {
        lease,
        commands: Arc::new(commands.clone()),
        patience,
        data: client.data().clone(),
        home: client.home().clone(),
    };
    client.home().spawn(minder.mind(tell));
    match told.await {
        Ok(delivery) => Ok(delivery.take()),
        Err(_) => Err(Error::closed(Outcome::Unknown)), // the runtime has ended under the task
    }
}

/// Watches over commands that wait.
struct Minder {
    lease: Lease,
    commands: Arc<Commands>,
    patience: Option<Duration>,
    data: Connection,
    home: Home,
}

/// What happened to commands that wait.
enum Event {
    Answered((Vec<Frame>, Option<Error>)),
    /// Nobody waits for them any more.
    Abandoned,
    TimedOut(Duration),
    /// The server does not answer elsewhere either.
    Deserted(Error),
}

impl Minder {
    async fn mind(mut self, mut tell: oneshot::Sender<Delivery>) {
        let count = self.commands.count();
        let write = |out: &mut Ink| self.commands.write(out);
        // The deadline is kept here, because what comes after it may have to be given back.
        let sent = self.lease.connection().submit_batch(Duration::MAX, count, write);
        let mut replies = match sent {
            Ok(replies) => replies,
            Err(error) => return drop(tell.send(self.delivery((Vec::new(), Some(error))))),
        };
        match self.wait(&mut replies, &mut tell).await {
            Event::Answered(ended) => {
                // An undelivered delivery gives back what is in it.
                drop(tell.send(self.delivery(ended)));
                self.lease.clean();
            }
            Event::Deserted(error) => drop(tell.send(self.delivery((Vec::new(), Some(error))))),
            Event::TimedOut(patience) => {
                let known = self.lease.connection().circumstances();
                let error = Error::timed_out(patience, Outcome::Unknown, None, Some(&known));
                drop(tell.send(self.delivery((Vec::new(), Some(error)))));
                self.clear(replies).await;
            }
            Event::Abandoned => self.clear(replies).await,
        }
    }

    fn delivery(&self, ended: (Vec<Frame>, Option<Error>)) -> Delivery {
        let (data, home) = (self.data.clone(), self.home.clone());
        Delivery { ended: Some(ended), commands: Arc::clone(&self.commands), data, home }
    }

    async fn wait<F>(&self, replies: &mut F, tell: &mut oneshot::Sender<Delivery>) -> Event
    where
        F: Future<Output = (Vec<Frame>, Option<Error>)> + Unpin,
    {
        let mut deadline =
            pin!(sleep_until(after(Instant::now(), self.patience.unwrap_or(Duration::MAX))));
        let mut desertion = pin!(self.desertion());
        poll_fn(|cx| {
            if let Poll::Ready(ended) = Pin::new(&mut *replies).poll(cx) {
                return Poll::Ready(Event::Answered(ended));
            }
            if tell.poll_closed(cx).is_ready() {
                return Poll::Ready(Event::Abandoned);
            }
            if deadline.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Event::TimedOut(self.patience.unwrap_or_default()));
            }
            desertion.as_mut().poll(cx).map(Event::Deserted)
        })
        .await
    }

    /// Ends when the server does not answer on the data connection.
    async fn desertion(&self) -> Error {
        let config = self.data.config();
        loop {
            sleep(config.keepalive).await;
            let ping = |out: &mut Ink| encode::command(&["PING"], out);
            match self.data.call(config.response_timeout, ping).await {
                Err(error)
                    if !matches!(error.kind(), ErrorKind::Server | ErrorKind::Overloaded) =>
                {
                    let message =
                        "the connection is given up: the server does not answer elsewhere either";
                    return Error::caused_by(
                        ErrorKind::Disconnected,
                        Outcome::Unknown,
                        message,
                        error,
                    );
                }
                _ => {}
            }
        }
    }

    /// Ends the wait at the server and takes the replies in, so that the connection can be used again and what they took
    /// is given back. The connection is closed if that does not work out soon.
    async fn clear<F>(mut self, mut replies: F)
    where
        F: Future<Output = (Vec<Frame>, Option<Error>)> + Unpin,
    {
        let patience = self.data.config().response_timeout;
        let until = after(Instant::now(), patience);
        let Some(id) = self.lease.connection().session().and_then(|session| session.id) else {
            return;
        };
        let id = id.to_string();
        let mut pause = FIRST_PAUSE;
        while Instant::now() < until {
            let unblock = |out: &mut Ink| encode::command(&["CLIENT", "UNBLOCK", &id], out);
            let refused = self.data.call(patience, unblock).await.is_err();
            let next = if refused { until } else { after(Instant::now(), pause).min(until) };
            if let Ok(ended) = timeout_at(next, &mut replies).await {
                drop(self.delivery(ended));
                return self.lease.clean();
            }
            pause *= 2;
        }
    }
}
