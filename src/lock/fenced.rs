//! `FencedLock` and `FencedGuard`: a lock whose every grant has a number that what it protects can check.

use crate::client::Flush;
use crate::lock::acquire::Acquiring;
use crate::lock::error::{AcquireError, ReleaseError, WithError};
use crate::lock::fence::FencingToken;
use crate::lock::guard::Guard;
use crate::lock::handing::{HandedOut, Handing};
use crate::lock::handle::Lock;
use std::ops::Deref;
use std::time::Duration;
use tokio::time::Instant;

/// A lock whose guards have a [`FencingToken`], made by [`Lock::fenced`]. It excludes, and is excluded by, every other lock of
/// its name.
///
/// A lease cannot stop a holder that is paused between looking at its guard and acting. What it acts on can: it keeps the
/// greatest token it has seen, and refuses smaller ones.
///
/// ```no_run
/// # async fn run(client: tenure::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let guard = client.lock("invoice:42").fenced().acquire().await?;
/// if !client.fenced_set("total:42", guard.token(), 1_200).await? {
///     // Somebody has held the lock since: nothing was written.
/// }
/// # Ok(())
/// # }
/// ```
///
/// Tokens are kept in a stream beside the lock's key, `{key}:f`, for a week after the last one.
#[derive(Debug, Clone)]
pub struct FencedLock {
    lock: Lock,
}

/// A [`Guard`] with its [`FencingToken`].
#[must_use = "a guard that is dropped releases its lock at once"]
#[derive(Debug)]
pub struct FencedGuard {
    guard: Guard,
    token: FencingToken,
}

impl FencedLock {
    pub(crate) fn new(lock: Lock) -> Self {
        Self { lock }
    }

    /// The name, without the prefix.
    pub fn name(&self) -> &str {
        self.lock.name()
    }

    /// As [`Lock::try_acquire`].
    ///
    /// # Errors
    ///
    /// As [`Lock::try_acquire`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a lock that is granted after the future was dropped is released at once.
    #[inline]
    pub fn try_acquire(
        &self,
    ) -> impl Future<Output = Result<Option<FencedGuard>, AcquireError>> + Send {
        Handing::new(Acquiring::once(&self.lock, Flush::Auto))
    }

    /// As [`Lock::acquire`].
    ///
    /// # Errors
    ///
    /// As [`Lock::acquire`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a lock that is granted after the future was dropped is released at once.
    #[inline]
    pub fn acquire(&self) -> impl Future<Output = Result<FencedGuard, AcquireError>> + Send {
        Handing::new(Acquiring::waiting(&self.lock, None))
    }

    /// As [`Lock::acquire_for`].
    ///
    /// # Errors
    ///
    /// As [`Lock::acquire_for`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a lock that is granted after the future was dropped is released at once.
    #[inline]
    pub fn acquire_for(
        &self,
        timeout: Duration,
    ) -> impl Future<Output = Result<FencedGuard, AcquireError>> + Send {
        Handing::new(Acquiring::waiting(&self.lock, Some(timeout)))
    }

    /// As [`Lock::acquire_until`].
    ///
    /// # Errors
    ///
    /// As [`Lock::acquire_until`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a lock that is granted after the future was dropped is released at once.
    pub async fn acquire_until(
        &self,
        deadline: impl Into<Instant>,
    ) -> Result<FencedGuard, AcquireError> {
        FencedGuard::of(self.lock.acquire_until(deadline).await?)
    }

    /// As [`Lock::with`]; the work finds the token in its guard.
    ///
    /// # Errors
    ///
    /// As [`Lock::with`].
    ///
    /// # Cancel safety
    ///
    /// As `work`, which is dropped with the future; the lock is released.
    pub async fn with<T>(&self, work: impl AsyncFnOnce(&FencedGuard) -> T) -> Result<T, WithError> {
        let guard = self.acquire().await.map_err(WithError::NotAcquired)?;
        let done = guard.run(work(&guard)).await.map_err(WithError::Lost)?;
        // The work is done; a release that goes without an answer is followed up.
        let _ = guard.release().await;
        Ok(done)
    }
}

impl HandedOut for FencedGuard {
    #[inline]
    fn of(guard: Guard) -> Result<Self, AcquireError> {
        match guard.fence() {
            Some(token) => Ok(Self { guard, token }),
            // Only a lock that is not fenced grants without one.
            None => Err(AcquireError::Unsupported { reason: "the lock has no fences".to_owned() }),
        }
    }
}

impl FencedGuard {
    /// Which grant of the lock this is: greater than all before it.
    pub fn token(&self) -> FencingToken {
        self.token
    }

    /// Releases the lock, and says whether it was still ours; as [`Guard::release`].
    ///
    /// # Errors
    ///
    /// As [`Guard::release`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: once polled, the release is on its way and is followed up; dropped before that, the guard is dropped,
    /// which releases too.
    #[inline]
    pub fn release(self) -> impl Future<Output = Result<(), ReleaseError>> + Send {
        self.guard.release()
    }
}

impl Deref for FencedGuard {
    type Target = Guard;

    fn deref(&self) -> &Guard {
        &self.guard
    }
}
