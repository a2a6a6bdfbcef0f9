//! `Guard`: a lock that is held. Dropping it releases.

use crate::client::Flush;
use crate::error::{Error, Outcome};
use crate::lock::engine::Engine;
use crate::lock::error::{CheckError, LostCause, ReleaseError};
use crate::lock::fence::FencingToken;
use crate::lock::gate::{Claim, Event};
use crate::lock::hold::{Clocks, Hold, Status, Validity};
use crate::lock::locker::Locker;
use crate::lock::plan::Plan;
use crate::lock::release::Releasing;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// A lock that is held, renewed and, when dropped, released.
///
/// It says that the lock was ours when the reply came in, not that it still is: a process that was paused, or a server that lost
/// its data, may have ended it. [`Guard::is_held`], [`Guard::validity`] and [`Guard::check`] cost no round trip;
/// [`Guard::lost`] tells as soon as it is known, and [`Guard::run`] stops the work then.
///
/// # Dropping
///
/// Dropping a guard releases the lock, from any thread, inside a runtime or not, without blocking and without panicking: the
/// command is handed to the kernel before `drop` returns if nothing is queued ahead of it, and queued otherwise. It is followed
/// up in the background until the server has answered or the lease has ended. [`Guard::release`] tells what came of it.
#[must_use = "a guard that is dropped releases its lock at once"]
pub struct Guard {
    locker: Arc<Locker>,
    plan: Arc<Plan>,
    pub(super) hold: Arc<Hold>,
    claim: Claim,
    /// Nobody needs to see to the claim any more.
    pub(super) over: bool,
}

impl Guard {
    pub(crate) fn new(locker: Arc<Locker>, plan: Arc<Plan>, hold: Arc<Hold>, claim: Claim) -> Self {
        Self { locker, plan, hold, claim, over: false }
    }

    /// Which grant of the lock this is, if the lock is a fenced one.
    pub(crate) fn fence(&self) -> Option<FencingToken> {
        self.hold.fence()
    }

    /// The lock's key on the server, prefix included.
    pub fn key(&self) -> &str {
        std::str::from_utf8(&self.plan.key.bytes).unwrap_or_default()
    }

    /// Whether the lock is held, as far as is known here: nobody said otherwise, and the lease has not run out. Asks nobody.
    ///
    /// A clock that stands still while the machine sleeps would call a dead lease alive. So the wall clock is looked at as
    /// well: where that has run ahead by more than is left of the lease, this is false until the server has answered,
    /// which is asked at once.
    pub fn is_held(&self) -> bool {
        matches!(self.look(), Validity::Left(_))
    }

    /// How long the lock may be relied on from now, unless it is renewed: what is left of the lease, counted from before the
    /// command was sent, less 0.2 % and 2 ms for clocks that differ. Zero where [`Guard::is_held`] is false. Asks nobody.
    pub fn validity(&self) -> Duration {
        match self.look() {
            Validity::Left(left) => left,
            Validity::Doubtful | Validity::Ended => Duration::ZERO,
        }
    }

    /// Whether the lock can be relied on for as long as `margin` from now: to be called right before an effect that must not
    /// happen without the lock, with the time it takes. Asks nobody.
    ///
    /// # Errors
    ///
    /// [`CheckError::Lost`] with the cause, [`CheckError::TooLittleLeft`] if the lease ends before, unless it is renewed.
    pub fn check(&self, margin: Duration) -> Result<(), CheckError> {
        match self.look() {
            Validity::Left(left) if left >= margin => Ok(()),
            Validity::Left(left) => Err(CheckError::TooLittleLeft { left }),
            Validity::Doubtful => Err(CheckError::TooLittleLeft { left: Duration::ZERO }),
            Validity::Ended => Err(CheckError::Lost(self.cause())),
        }
    }

    /// Asks the server whether the lock is still ours; where renewal is on, that begins a new lease.
    ///
    /// # Errors
    ///
    /// [`CheckError::Lost`] if it is not, [`CheckError::Client`] if the server did not answer in time.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what the answer says is heeded, whether anybody waits for it or not.
    pub async fn verify(&self) -> Result<(), CheckError> {
        let (asked, (_, before)) = (Instant::now(), self.hold.confirmation());
        self.tell(Flush::Auto, Event::Doubted { claim: self.claim });
        let patience = self.locker.config().response_timeout;
        let answered = self.hold.until(|hold| {
            let (sent, times) = hold.confirmation();
            (hold.status() != Status::Held || sent >= asked && times > before).then_some(())
        });
        if timeout_at(crate::seam::after(asked, patience), answered).await.is_err() {
            let cause = self.locker.last_failure();
            let known = self.locker.connection.circumstances();
            let (outcome, cause) = (Outcome::Unknown, cause.as_ref());
            let error = Error::timed_out(patience, outcome, cause, Some(&known));
            return Err(CheckError::Client(error));
        }
        self.check(Duration::ZERO)
    }

    /// Says that the work is alive: a lock with [`Options::heartbeat`](crate::Options::heartbeat) is renewed only if it does.
    pub fn beat(&self) {
        if self.plan.terms.heartbeat.is_some() {
            self.tell(Flush::Auto, Event::Beat { claim: self.claim });
        }
    }

    /// Waits until the lock is lost: the server said so, or the lease ran out without a confirmed renewal, which needs no
    /// network. With renewal on and a healthy server that is when [`Options::max_hold`](crate::Options::max_hold) is over.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a loss stays known.
    pub async fn lost(&self) -> LostCause {
        loop {
            let ended = self.hold.until(|hold| match hold.status() {
                Status::Held => None,
                // A guard that was released cannot be borrowed.
                Status::Released => Some(LostCause::Closed),
                Status::Lost(cause) => Some(cause),
            });
            let deadline = self.hold.deadline();
            if let Ok(cause) = timeout_at(deadline, ended).await {
                return cause;
            }
            // Whether or not anybody else keeps the time.
            self.look();
        }
    }

    /// Does `work` for as long as the lock is held: if it is lost first, the work is dropped where it stands.
    ///
    /// # Errors
    ///
    /// Why the lock was lost.
    ///
    /// # Cancel safety
    ///
    /// As `work`, which is dropped with the future.
    pub async fn run<F: Future>(&self, work: F) -> Result<F::Output, LostCause> {
        let (mut lost, mut work) = (pin!(self.lost()), pin!(work));
        poll_fn(|cx| {
            if let Poll::Ready(cause) = lost.as_mut().poll(cx) {
                return Poll::Ready(Err(cause));
            }
            work.as_mut().poll(cx).map(Ok)
        })
        .await
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
    #[inline]
    pub fn release(self) -> impl Future<Output = Result<(), ReleaseError>> + Send {
        Releasing::new(self)
    }

    /// What sees to the lock, what is known of it, and its name there.
    pub(super) fn parts(&self) -> (&Engine, &Hold, Claim) {
        (&self.locker.engine, &self.hold, self.claim)
    }

    /// How long it may be relied on. Sees to it that what only the clocks know becomes known.
    fn look(&self) -> Validity {
        self.look_at(self.locker.engine.clocks())
    }

    fn look_at(&self, clocks: Clocks) -> Validity {
        let validity = self.hold.validity(clocks);
        match validity {
            Validity::Left(_) => {}
            Validity::Doubtful => self.tell(Flush::Auto, Event::Suspected { claim: self.claim }),
            Validity::Ended if self.hold.status() == Status::Held => {
                self.tell(Flush::Auto, Event::Tick);
            }
            Validity::Ended => {}
        }
        validity
    }

    /// What a renewal writes: key, value and milliseconds.
    pub(crate) fn written(&self) -> (&str, Vec<u8>, i64) {
        let value = self.locker.engine.book().value(self.claim).to_vec();
        (self.key(), value, self.plan.terms.lease.ttl_ms())
    }

    fn cause(&self) -> LostCause {
        match self.hold.status() {
            Status::Lost(cause) => cause,
            Status::Held | Status::Released => LostCause::Expired,
        }
    }

    fn tell(&self, flush: Flush, event: Event) {
        self.locker.engine.tell(flush, self.claim, event);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let (engine, claim) = (&self.locker.engine, self.claim);
        if self.hold.end(Status::Released) {
            engine.act(Flush::Now, |book| engine.release(book, claim, None));
        }
        engine.let_go(claim);
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
