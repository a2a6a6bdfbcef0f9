//! `Lock`, without a runtime.

use crate::blocking::guard::Guard;
use crate::blocking::wait::wait;
use crate::error::Error;
use crate::lock::{
    AcquireError, Lock as Inner, LostCause, Observed, Options, ReleaseError, WithError,
};
use std::time::Duration;

/// As [`tenure::Lock`](crate::Lock), for threads without a runtime. Cheap to clone; it holds nothing.
///
/// Every call that waits fails with [`ErrorKind::Refused`](crate::ErrorKind::Refused) on a thread that belongs to an async runtime.
#[derive(Debug, Clone)]
pub struct Lock {
    inner: Inner,
}

impl Lock {
    pub(crate) fn new(inner: Inner) -> Self {
        Self { inner }
    }

    /// The same lock with other options.
    pub fn options(self, options: Options) -> Self {
        Self { inner: self.inner.options(options) }
    }

    /// The same lock, waited for in one line with all other processes; see [`tenure::Lock::fair`](crate::Lock::fair).
    pub fn fair(self) -> Self {
        Self { inner: self.inner.fair() }
    }

    /// The name, without the prefix.
    pub fn name(&self) -> &str {
        self.inner.name()
    }

    fn wait<F: Future>(&self, future: F) -> Result<F::Output, Error> {
        wait(Some(self.inner.client.home().handle()), future)
    }

    fn guard(&self, inner: crate::lock::Guard) -> Guard {
        Guard::new(inner, self.inner.client.home().handle().clone())
    }

    /// Tries once: `None` if somebody else holds the lock, or waits for it in this process.
    ///
    /// # Errors
    ///
    /// As [`tenure::Lock::try_acquire`](crate::Lock::try_acquire).
    pub fn try_acquire(&self) -> Result<Option<Guard>, AcquireError> {
        let guard = self.wait(self.inner.try_acquire())??;
        Ok(guard.map(|guard| self.guard(guard)))
    }

    /// Waits for the lock, for as long as it takes. Threads of one process are served in the order of coming.
    ///
    /// # Errors
    ///
    /// As [`tenure::Lock::acquire`](crate::Lock::acquire).
    pub fn acquire(&self) -> Result<Guard, AcquireError> {
        Ok(self.guard(self.wait(self.inner.acquire())??))
    }

    /// Waits for the lock, for `timeout` at most, and tries a last time when that is over.
    ///
    /// # Errors
    ///
    /// As [`tenure::Lock::acquire_for`](crate::Lock::acquire_for).
    pub fn acquire_for(&self, timeout: Duration) -> Result<Guard, AcquireError> {
        Ok(self.guard(self.wait(self.inner.acquire_for(timeout))??))
    }

    /// Waits for the lock, does `work`, and releases it.
    ///
    /// Work on a thread cannot be stopped from outside: where the lock may be lost during the work, it looks at the guard itself.
    ///
    /// # Errors
    ///
    /// [`WithError::NotAcquired`] as [`Lock::acquire`]; [`WithError::Lost`] if the lock was lost before the work was done, which
    /// then was done to its end all the same.
    pub fn with<T>(&self, work: impl FnOnce(&Guard) -> T) -> Result<T, WithError> {
        let guard = self.acquire().map_err(WithError::NotAcquired)?;
        let done = work(&guard);
        let cause = guard.loss();
        match (cause, guard.release()) {
            (Some(cause), _) => Err(WithError::Lost(cause)),
            (None, Err(ReleaseError::Lost)) => Err(WithError::Lost(LostCause::Deleted)),
            // A release that goes without an answer is followed up.
            (None, _) => Ok(done),
        }
    }

    /// Who holds the lock, if anybody does.
    ///
    /// # Errors
    ///
    /// As [`tenure::Lock::inspect`](crate::Lock::inspect).
    pub fn inspect(&self) -> Result<Option<Observed>, Error> {
        self.wait(self.inner.inspect())?
    }

    /// Ends exactly the hold that was looked at; tells whether it was still there.
    ///
    /// # Errors
    ///
    /// As [`tenure::Lock::force_release`](crate::Lock::force_release).
    pub fn force_release(&self, observed: &Observed) -> Result<bool, AcquireError> {
        self.wait(self.inner.force_release(observed))?
    }
}
