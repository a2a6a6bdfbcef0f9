//! `Hold`: one hold of one lock, shared by its guard and the keeper.
//!
//! A hold ends once: released or lost, whichever comes first. What has ended is never renewed.

use crate::client::{Flush, Reply};
use crate::error::Error;
use crate::lock::dialect::{Dialect, Key};
use crate::lock::error::LostCause;
use crate::lock::lease::Lease;
use crate::lock::locker::Locker;
use crate::lock::options::Renewal;
use bytes::{Bytes, BytesMut};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

pub(crate) struct Hold {
    pub(crate) locker: Arc<Locker>,
    pub(crate) dialect: Arc<Dialect>,
    pub(crate) key: Bytes,
    pub(crate) value: Bytes,
    pub(crate) lease: Lease,
    pub(crate) renewal: Renewal,
    state: Mutex<State>,
    ended: Notify,
}

#[derive(Debug, Clone, Copy)]
struct State {
    status: Status,
    /// Until when the hold may be relied on.
    deadline: Instant,
    /// Until when the server may still have the key.
    surely_over: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Held,
    Released,
    Lost(LostCause),
}

/// What makes a hold.
pub(crate) struct Terms {
    pub(crate) locker: Arc<Locker>,
    pub(crate) dialect: Arc<Dialect>,
    pub(crate) key: Bytes,
    pub(crate) value: Bytes,
    pub(crate) lease: Lease,
    pub(crate) renewal: Renewal,
}

impl Hold {
    /// A hold whose lease counts from `sent`, in the given status.
    pub(crate) fn new(terms: Terms, sent: Instant, status: Status) -> Self {
        let Terms { locker, dialect, key, value, lease, renewal } = terms;
        let deadline = lease.deadline(sent);
        let state = State { status, deadline, surely_over: lease.surely_over(sent) };
        let (state, ended) = (Mutex::new(state), Notify::new());
        Self { locker, dialect, key, value, lease, renewal, state, ended }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn wire(&self) -> Key<'_> {
        Key { key: &self.key, value: &self.value, lease: self.lease }
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.lock().deadline
    }

    pub(crate) fn surely_over(&self) -> Instant {
        self.lock().surely_over
    }

    /// What the hold is now; one whose lease has run out is lost from then on.
    pub(crate) fn status(&self, now: Instant) -> Status {
        let state = *self.lock();
        if state.status == Status::Held && now >= state.deadline {
            self.end(Status::Lost(LostCause::Unconfirmed));
            return self.lock().status;
        }
        state.status
    }

    /// What is left of the lease, less the allowance for drift; zero once the hold has ended.
    pub(crate) fn validity(&self, now: Instant) -> Duration {
        let state = *self.lock();
        match state.status {
            Status::Held => state.deadline.saturating_duration_since(now),
            Status::Released | Status::Lost(_) => Duration::ZERO,
        }
    }

    /// Ends the hold, unless it has ended before; tells whether this call did.
    pub(crate) fn end(&self, status: Status) -> bool {
        let ended = {
            let mut state = self.lock();
            let held = state.status == Status::Held;
            if held {
                state.status = status;
            }
            held
        };
        if ended {
            self.ended.notify_waiters();
        }
        ended
    }

    /// A renewal that was sent at `sent` was confirmed. It does not bring back what has ended.
    pub(crate) fn renewed(&self, sent: Instant) {
        let mut state = self.lock();
        state.deadline = state.deadline.max(self.lease.deadline(sent));
        state.surely_over = state.surely_over.max(self.lease.surely_over(sent));
    }

    /// A renewal is about to be sent: the server may keep the key for longer, confirmed or not.
    pub(crate) fn renewing(&self, sent: Instant) {
        let mut state = self.lock();
        state.surely_over = state.surely_over.max(self.lease.surely_over(sent));
    }

    /// Waits until the hold has ended.
    pub(crate) async fn ended(&self) -> Status {
        loop {
            let mut notified = std::pin::pin!(self.ended.notified());
            notified.as_mut().enable();
            match self.status(Instant::now()) {
                Status::Held => {}
                ended => return ended,
            }
            // A renewal moves the deadline, and the next turn sees that.
            let _ = tokio::time::timeout_at(self.deadline(), notified).await;
        }
    }

    /// Sends the release.
    ///
    /// # Errors
    ///
    /// If it could not even be queued.
    pub(crate) fn send_release(&self, flush: Flush, in_full: bool) -> Result<Reply, Error> {
        let patience = self.locker.connection.config().response_timeout;
        self.locker.connection.submit(patience, flush, |out: &mut BytesMut| {
            if in_full {
                Dialect::release_in_full(self.wire(), out);
            } else {
                self.dialect.release(self.wire(), out);
            }
        })
    }

    /// Sends a renewal.
    ///
    /// # Errors
    ///
    /// If it could not even be queued.
    pub(crate) fn send_renewal(&self, sent: Instant, in_full: bool) -> Result<Reply, Error> {
        self.renewing(sent);
        let patience = self.locker.connection.config().response_timeout;
        let patience = patience.min(self.lease.length() / 5).max(Duration::from_millis(1));
        self.locker.connection.submit(patience, Flush::Later, |out: &mut BytesMut| {
            if in_full {
                Dialect::renew_in_full(self.wire(), out);
            } else {
                self.dialect.renew(self.wire(), out);
            }
        })
    }
}

/// Neither value nor token is shown.
impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").field("key", &self.key).field("state", &*self.lock()).finish()
    }
}
