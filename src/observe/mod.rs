//! `Observer`: what a client tells of its commands, connections and locks, for metrics and traces.
//!
//! An observer is called where things happen and with no lock of the client held, so it may ask the client for its statistics; but
//! it is in the way of whatever it is told of. It must return soon: it must not block, sleep or wait. One that panics is heard of through
//! the process's panic hook, and otherwise as if it had returned: neither the connection nor the caller notices.
//!
//! Without one, all of this costs a command one branch.

mod events;
#[cfg(feature = "tracing")]
mod spans;
mod witness;

pub use events::{
    CommandEnd, ConnectionEvent, LockEvent, NotAcquired, ObservedCommand, Peer, Purpose, Traffic,
    Unlocked,
};
#[cfg(feature = "tracing")]
pub use spans::Spans;

pub(crate) use witness::Witness;

use std::any::Any;

/// What an observer keeps of a command until its end: a span, a permit, a time of its own.
pub type Note = Option<Box<dyn Any + Send>>;

/// Is told what a client does; set by [`Config::observer`](crate::Config::observer).
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use tenure::observe::{CommandEnd, Note, ObservedCommand, Observer};
///
/// /// Counts commands that failed.
/// #[derive(Default)]
/// struct Failures(AtomicU64);
///
/// impl Observer for Failures {
///     fn command_ended(&self, _: &ObservedCommand<'_>, end: &CommandEnd<'_>, _: Note) {
///         if end.error_type().is_some() {
///             self.0.fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
///
/// let failures = Arc::new(Failures::default());
/// let config = tenure::Config::from_url("redis://10.0.0.7")?.observer(failures.clone());
/// # Ok::<(), tenure::Error>(())
/// ```
///
/// Every method does nothing unless it is written. Each must return soon, and says on which thread it is called; calls from
/// different threads overlap. What they are told of a command is its name and size, never its arguments.
///
/// Every command that is queued is told of, those of locks and subscriptions included, and ends exactly once. What the client
/// sends for itself is not: the handshake, and the `PING` by which it makes sure of a connection.
pub trait Observer: Send + Sync + 'static {
    /// A command, or a batch of them, was queued. Called where that was done: on the task of its caller; for a lock's commands also
    /// on the thread that drops a guard, or on the task that drives the connection. What it returns is handed to
    /// [`Observer::command_ended`].
    fn command_started(&self, command: &ObservedCommand<'_>) -> Note {
        let _ = command;
        None
    }

    /// A command was answered, or will not be. Called on the task that drives the connection, or on the thread that drops it.
    ///
    /// A caller that goes away ends nothing: its command ends with its answer. One whose time is up ends with that, and an answer
    /// that comes later is not told of.
    fn command_ended(&self, command: &ObservedCommand<'_>, end: &CommandEnd<'_>, note: Note) {
        let _ = (command, end, note);
    }

    /// Bytes went through a socket. Reads are told of on the task that drives the connection, once for each of its turns;
    /// writes one by one, there or on the task or thread that queued a command.
    fn traffic(&self, peer: &Peer, traffic: &Traffic) {
        let _ = (peer, traffic);
    }

    /// A connection opened, was lost, could not be opened, was refused or ended. Called on the task that drives it, or on the
    /// thread that drops it.
    fn connection_changed(&self, peer: &Peer, event: &ConnectionEvent<'_>) {
        let _ = (peer, event);
    }

    /// A lock was acquired or not, lost or released. Called where that became known: on the task that drives the lock connection or
    /// keeps its time, on the caller's, or on the thread that drops a guard or a future.
    fn lock_changed(&self, key: &str, event: &LockEvent) {
        let _ = (key, event);
    }
}
