//! Tells an observer what one connection does, and keeps what it throws from whoever tells.

use super::{
    CommandEnd, ConnectionEvent, LockEvent, Note, ObservedCommand, Observer, Peer, Traffic,
};
use crate::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

const NEVER_OPEN: u8 = 0;
const OPEN: u8 = 1;
const LOST: u8 = 2;

/// An observer, and what it is told about.
pub(crate) struct Witness {
    observer: Arc<dyn Observer>,
    pub(crate) peer: Peer,
    /// Only ever changed by whoever drives the connection.
    link: AtomicU8,
}

impl Witness {
    pub(crate) fn new(observer: Arc<dyn Observer>, peer: Peer) -> Self {
        Self { observer, peer, link: AtomicU8::new(NEVER_OPEN) }
    }

    pub(crate) fn started(&self, command: &ObservedCommand<'_>) -> Note {
        self.shielded(|observer| observer.command_started(command)).flatten()
    }

    pub(crate) fn ended(&self, command: &ObservedCommand<'_>, end: &CommandEnd<'_>, note: Note) {
        self.shielded(|observer| observer.command_ended(command, end, note));
    }

    pub(crate) fn wrote(&self, (writes, bytes, commands): (u64, u64, u64)) {
        if writes > 0 {
            self.traffic(&Traffic::Wrote { writes, bytes, commands });
        }
    }

    pub(crate) fn read(&self, (reads, bytes, frames): (u64, u64, u64)) {
        if reads > 0 {
            self.traffic(&Traffic::Read { reads, bytes, frames });
        }
    }

    fn traffic(&self, traffic: &Traffic) {
        self.shielded(|observer| observer.traffic(&self.peer, traffic));
    }

    pub(crate) fn opened(&self) {
        let again = self.link.swap(OPEN, Ordering::Relaxed) != NEVER_OPEN;
        self.changed(&ConnectionEvent::Opened { again });
    }

    /// It was lost if it was open; else an attempt to open it failed. An end that was asked for is neither.
    pub(crate) fn is_down(&self, error: &Error) {
        if error.is_closed() {
            return;
        }
        let event = match self.link.load(Ordering::Relaxed) {
            OPEN => ConnectionEvent::Lost { error },
            _ => ConnectionEvent::NotOpened { error },
        };
        if let ConnectionEvent::Lost { .. } = event {
            self.link.store(LOST, Ordering::Relaxed);
        }
        self.changed(&event);
    }

    pub(crate) fn changed(&self, event: &ConnectionEvent<'_>) {
        self.shielded(|observer| observer.connection_changed(&self.peer, event));
    }

    pub(crate) fn lock(&self, key: &str, event: &LockEvent) {
        self.shielded(|observer| observer.lock_changed(key, event));
    }

    /// A connection must not break because somebody counts what it does.
    fn shielded<R>(&self, tell: impl FnOnce(&dyn Observer) -> R) -> Option<R> {
        catch_unwind(AssertUnwindSafe(|| tell(&*self.observer))).ok()
    }
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Witness").field("peer", &self.peer).finish_non_exhaustive()
    }
}
