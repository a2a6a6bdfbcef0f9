//! `Guard`, without a runtime.

use crate::blocking::wait::wait;
use crate::error::Error;
use crate::lock::{CheckError, Guard as Inner, LostCause, ReleaseError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// As [`tenure::Guard`](crate::Guard), for threads without a runtime: renewed in the background, released when it is dropped,
/// which neither blocks nor fails and may happen on any thread.
#[derive(Debug)]
#[must_use = "a guard that is dropped releases its lock at once"]
pub struct Guard {
    inner: Inner,
    runtime: Handle,
}

impl Guard {
    pub(crate) fn new(inner: Inner, runtime: Handle) -> Self {
        Self { inner, runtime }
    }

    /// The lock's key on the server, prefix included.
    pub fn key(&self) -> &str {
        self.inner.key()
    }

    /// Whether the lock is held, as far as is known here. Asks nobody.
    pub fn is_held(&self) -> bool {
        self.inner.is_held()
    }

    /// How long the lock may be relied on from now, unless it is renewed. Asks nobody.
    pub fn validity(&self) -> Duration {
        self.inner.validity()
    }

    /// Whether the lock can be relied on for as long as `margin` from now. Asks nobody.
    ///
    /// # Errors
    ///
    /// As [`tenure::Guard::check`](crate::Guard::check).
    pub fn check(&self, margin: Duration) -> Result<(), CheckError> {
        self.inner.check(margin)
    }

    /// Says that the work is alive; as [`tenure::Guard::beat`](crate::Guard::beat).
    pub fn beat(&self) {
        self.inner.beat();
    }

    /// Asks the server whether the lock is still ours; where renewal is on, that begins a new lease.
    ///
    /// # Errors
    ///
    /// As [`tenure::Guard::verify`](crate::Guard::verify); [`CheckError::Client`] on a thread that belongs to an async runtime.
    pub fn verify(&self) -> Result<(), CheckError> {
        wait(Some(&self.runtime), self.inner.verify()).map_err(CheckError::Client)?
    }

    /// Waits until the lock is lost, for `timeout` at most; `None` if it is still held then.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Refused`](crate::ErrorKind::Refused) on a thread that belongs to an async runtime.
    pub fn lost_within(&self, patience: Duration) -> Result<Option<LostCause>, Error> {
        // Its timer is made where it is polled, within reach of the runtime.
        let lost = async { timeout(patience, self.inner.lost()).await.ok() };
        wait(Some(&self.runtime), lost)
    }

    /// Releases the lock, and says whether it was still ours.
    ///
    /// # Errors
    ///
    /// As [`tenure::Guard::release`](crate::Guard::release). [`ReleaseError::Client`] on a thread that belongs to an async runtime:
    /// then it is released as if it were dropped.
    pub fn release(self) -> Result<(), ReleaseError> {
        wait(Some(&self.runtime), self.inner.release()).map_err(ReleaseError::Client)?
    }

    /// Why the lock is not held any more, if so.
    pub(crate) fn loss(&self) -> Option<LostCause> {
        match self.inner.check(Duration::ZERO) {
            Err(CheckError::Lost(cause)) => Some(cause),
            _ => None,
        }
    }
}
