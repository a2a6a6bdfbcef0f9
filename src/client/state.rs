//! What a client's connection is doing, for whoever shows it or waits for it.

use crate::client::handle::Client;
use crate::client::shared::Phase;
use crate::client::watch;
use crate::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// What the connection of a [`Client`] for its data commands is doing; where there are several, the one that fares worst.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum State {
    /// Calls are answered.
    Ready,
    /// Dialling, or waiting to dial again; calls wait. Holds why the connection was lost or the last attempt failed.
    Connecting(Option<Error>),
    /// The server turns the client away with these words, and calls fail with them at once. Dialling goes on at the longest
    /// waits of [`Config::reconnect`](crate::Config::reconnect), in case somebody changes what it refuses.
    Refused(Error),
    /// Over: closed, or its runtime has ended.
    Closed(Error),
}

/// The states of a client from the call of [`Client::state_changes`] on. It does not keep the client alive.
pub struct StateChanges {
    phases: Vec<watch::Receiver<Phase>>,
    last: Severity,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Severity {
    Ready,
    Connecting,
    Refused,
    Closed,
}

impl Client {
    /// What the connection is doing right now.
    pub fn state(&self) -> State {
        worst(&self.phases())
    }

    /// What the connection does from now on.
    ///
    /// ```no_run
    /// # async fn run(client: tenure::Client) {
    /// let mut changes = client.state_changes();
    /// while let Some(state) = changes.next().await {
    ///     eprintln!("connection: {state:?}");
    /// }
    /// # }
    /// ```
    pub fn state_changes(&self) -> StateChanges {
        let phases = self.phases();
        let last = State::severity(&worst(&phases));
        StateChanges { phases, last }
    }
}

impl StateChanges {
    /// The next state; `None` after [`State::Closed`]. One that had passed already when this was called is left out, so a
    /// slow reader sees the newest. Each failed attempt to connect gives a [`State::Connecting`] of its own.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what came while nobody waited is given by the next call.
    pub async fn next(&mut self) -> Option<State> {
        while self.last != Severity::Closed {
            self.changed().await;
            let state = worst(&self.phases);
            let before = std::mem::replace(&mut self.last, state.severity());
            if before != Severity::Ready || self.last != Severity::Ready {
                return Some(state);
            }
        }
        None
    }

    /// Waits until any of the connections did something, or is gone, which it announced before.
    async fn changed(&mut self) {
        let mut changes: Vec<_> =
            self.phases.iter_mut().map(|phase| Box::pin(phase.changed())).collect();
        poll_fn(|cx| {
            let mut any = Poll::Pending;
            for change in &mut changes {
                if pin!(change).poll(cx).is_ready() {
                    any = Poll::Ready(());
                }
            }
            any
        })
        .await;
    }
}

impl State {
    fn of(phase: &Phase) -> Self {
        match phase {
            Phase::Ready(_) => Self::Ready,
            Phase::Connecting(why) => Self::Connecting(why.clone()),
            Phase::Refused(error) => Self::Refused(error.clone()),
            Phase::Closed(error) => Self::Closed(error.clone()),
        }
    }

    fn severity(&self) -> Severity {
        match self {
            Self::Ready => Severity::Ready,
            Self::Connecting(_) => Severity::Connecting,
            Self::Refused(_) => Severity::Refused,
            Self::Closed(_) => Severity::Closed,
        }
    }
}

/// The state of the connection that fares worst.
fn worst(phases: &[watch::Receiver<Phase>]) -> State {
    let states = phases.iter().map(|phase| phase.look(State::of));
    states.max_by_key(State::severity).unwrap_or(State::Connecting(None))
}

impl fmt::Debug for StateChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateChanges").field("last", &self.last).finish_non_exhaustive()
    }
}
