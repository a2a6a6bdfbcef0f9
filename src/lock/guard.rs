//! `Guard`: a lock that is held. Dropping it releases.

use crate::client::Flush;
use crate::error::{Error, Outcome};
use crate::lock::dialect::{Compared, compared};
use crate::lock::error::{LostCause, ReleaseError};
use crate::lock::hold::{Hold, Status};
use crate::lock::keeper::{Followed, Released, Ticket};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// A lock that is held, renewed and, when dropped, released.
///
/// It says that the lock was ours when the reply came in, not that it still is: a process that was paused, or a server that lost
/// its data, may have ended it. [`Guard::is_held`] and [`Guard::validity`] cost no round trip; [`Guard::lost`] tells as soon as
/// it is known.
///
/// # Dropping
///
/// Dropping a guard releases the lock, from any thread, inside a runtime or not, without blocking and without panicking: the
/// command is handed to the kernel before `drop` returns if nothing is queued ahead of it, and queued otherwise. It is followed
/// up in the background until the server has answered or the lease has ended. [`Guard::release`] tells what came of it.
#[must_use = "a guard that is dropped releases its lock at once"]
pub struct Guard {
    hold: Arc<Hold>,
    ticket: Option<Ticket>,
}

impl Guard {
    pub(crate) fn new(hold: Arc<Hold>, ticket: Option<Ticket>) -> Self {
        Self { hold, ticket }
    }

    /// The lock's key on the server, prefix included.
    pub fn key(&self) -> &str {
        std::str::from_utf8(&self.hold.key).unwrap_or_default()
    }

    /// Whether the lock is held, as far as is known here: nobody said otherwise, and the lease has not run out. Asks nobody.
    pub fn is_held(&self) -> bool {
        self.hold.status(Instant::now()) == Status::Held
    }

    /// How long the lock may be relied on from now, unless it is renewed: what is left of the lease, counted from before the
    /// command was sent, less 0.2 % and 2 ms for clocks that differ. Zero once the lock is lost. Asks nobody.
    pub fn validity(&self) -> Duration {
        self.hold.validity(Instant::now())
    }

    /// Waits until the lock is lost: the server said so, or the lease ran out without a confirmed renewal, which needs no
    /// network. With renewal on and a healthy server that is never.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a loss stays known.
    pub async fn lost(&self) -> LostCause {
        match self.hold.ended().await {
            Status::Lost(cause) => cause,
            // A guard that was released cannot be borrowed.
            Status::Held | Status::Released => LostCause::NotOurs,
        }
    }

    /// Releases the lock, and says whether it was still ours.
    ///
    /// An answer that does not come is asked for again in the background until the lease has ended, and so is one that nobody
    /// waits for any more.
    ///
    /// # Errors
    ///
    /// [`ReleaseError::Lost`] if the lock had ended before, [`ReleaseError::Client`] if nobody knows.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: once polled, the release is on its way and is followed up; dropped before that, the guard is dropped,
    /// which releases too.
    pub async fn release(mut self) -> Result<(), ReleaseError> {
        let Some(sent) = self.begin_release(Flush::Auto) else { return Err(ReleaseError::Lost) };
        let mut releasing = Releasing { hold: Arc::clone(&self.hold), reply: None };
        let outcome = match sent {
            Ok(reply) => {
                let reply = releasing.reply.insert(reply).await;
                releasing.reply = None;
                compared(reply)
            }
            Err(error) => Compared::Unknown(error),
        };
        let error = match outcome {
            Compared::Ours => return Ok(()),
            Compared::NotOurs => return Err(ReleaseError::Lost),
            Compared::Unknown(error) if error.is_closed() => {
                return Err(ReleaseError::Client(error));
            }
            Compared::Unknown(error) => Some(error),
            Compared::InFull => None,
        };
        self.follow_up(error).await
    }

    /// Lets the keeper repeat a release that went without a usable answer.
    async fn follow_up(&self, error: Option<Error>) -> Result<(), ReleaseError> {
        let in_full = error.is_none();
        let doubt = error.filter(|error| error.outcome() == Outcome::Unknown);
        let (report, told) = oneshot::channel();
        let again = self.hold.send_release(Flush::Auto, in_full);
        let followed = Followed { doubt, report: Some(report) };
        self.hold.locker.keeper.see_through(Arc::clone(&self.hold), again, followed);
        match told.await {
            Ok(Released::Yes) => Ok(()),
            Ok(Released::NotOurs) => Err(ReleaseError::Lost),
            Ok(Released::Unconfirmed(error)) => Err(ReleaseError::Client(error)),
            Err(_) => Err(ReleaseError::Client(Error::closed(Outcome::Unknown))),
        }
    }

    /// Ends the hold and sends its release; `None` if there is nothing left to release.
    fn begin_release(&mut self, flush: Flush) -> Option<Result<crate::client::Reply, Error>> {
        if let Some(ticket) = self.ticket.take() {
            self.hold.locker.keeper.cross_out(ticket);
        }
        let now = Instant::now();
        let had = self.hold.status(now);
        let wanted = match had {
            Status::Held => self.hold.end(Status::Released),
            // Unconfirmed is not gone: the key may be there, and nobody else would remove it before its time.
            Status::Lost(LostCause::Unconfirmed) => {
                self.hold.end(Status::Released);
                now < self.hold.surely_over()
            }
            Status::Released | Status::Lost(_) => false,
        };
        wanted.then(|| self.hold.send_release(flush, false))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.ticket.is_none() && self.hold.status(Instant::now()) == Status::Released {
            return; // by `release`
        }
        if let Some(sent) = self.begin_release(Flush::Now) {
            let hold = Arc::clone(&self.hold);
            self.hold.locker.keeper.see_through(hold, sent, Followed::default());
        }
    }
}

/// A release whose caller waits; if the caller goes, the keeper takes over.
struct Releasing {
    hold: Arc<Hold>,
    reply: Option<crate::client::Reply>,
}

impl Drop for Releasing {
    fn drop(&mut self) {
        if let Some(reply) = self.reply.take() {
            let hold = Arc::clone(&self.hold);
            self.hold.locker.keeper.see_through(hold, Ok(reply), Followed::default());
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("key", &self.key())
            .field("held", &self.is_held())
            .field("validity", &self.validity())
            .finish()
    }
}
