//! `LockAny`: several names of which one is to be locked, whichever is free first.

use crate::client::Client;
use crate::error::Error;
use crate::lock::acquire::Acquiring;
use crate::lock::error::AcquireError;
use crate::lock::guard::Guard;
use crate::lock::handle::Lock;
use crate::lock::options::Options;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// Names of which one is to be locked, made by [`Client::lock_any`]. It holds nothing.
#[derive(Debug, Clone)]
pub struct LockAny {
    locks: Vec<Lock>,
}

impl Client {
    /// The locks of all these names, of which any one is wanted, with default [`Options`]: one of several equal workers, ports,
    /// or accounts.
    ///
    /// ```no_run
    /// # async fn run(client: tenure::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let guard = client.lock_any(["slot:1", "slot:2", "slot:3"]).acquire().await?;
    /// println!("we have {}", guard.key());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// They are the same locks as those that [`Client::lock`] gives for each name.
    pub fn lock_any<N: Into<String>>(&self, names: impl IntoIterator<Item = N>) -> LockAny {
        LockAny { locks: names.into_iter().map(|name| self.lock(name)).collect() }
    }
}

impl LockAny {
    /// The same with other options, for each of the locks.
    pub fn options(mut self, options: &Options) -> Self {
        self.locks = self.locks.into_iter().map(|lock| lock.options(options.clone())).collect();
        self
    }

    /// Tries each once, one after the other, in the order in which they were named: `None` if all are held.
    ///
    /// # Errors
    ///
    /// As [`Lock::try_acquire`], of the first lock for which it fails, and [`AcquireError::Client`] if there is no name.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a lock that is granted after the future was dropped is released at once.
    pub async fn try_acquire(&self) -> Result<Option<Guard>, AcquireError> {
        if self.locks.is_empty() {
            return Err(Error::config("lock_any was given no name").into());
        }
        for lock in &self.locks {
            if let Some(guard) = lock.try_acquire().await? {
                return Ok(Some(guard));
            }
        }
        Ok(None)
    }

    /// Tries each in the order in which they were named; if all are held, waits for all of them at once, for as long as it takes,
    /// and gives the first that is granted.
    ///
    /// Whoever waits stands in the line of each lock. Should two be granted at the same time, the other one is released at once.
    ///
    /// # Errors
    ///
    /// As [`Lock::acquire`], of the first lock for which it fails, and [`AcquireError::Client`] if there is no name.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a lock that is granted after the future was dropped is released at once.
    pub async fn acquire(&self) -> Result<Guard, AcquireError> {
        self.pick(None).await
    }

    /// As [`LockAny::acquire`], for `timeout` at most, with a last try of each when that is over.
    ///
    /// # Errors
    ///
    /// [`AcquireError::TimedOut`] with the holder of the lock that was given up first; otherwise as [`LockAny::acquire`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a lock that is granted after the future was dropped is released at once.
    pub async fn acquire_for(&self, timeout: Duration) -> Result<Guard, AcquireError> {
        let begun = Instant::now();
        self.pick(begun.checked_add(timeout)).await.map_err(|error| error.in_all(begun, timeout))
    }

    async fn pick(&self, deadline: Option<Instant>) -> Result<Guard, AcquireError> {
        if let Some(guard) = self.try_acquire().await? {
            return Ok(guard);
        }
        let timeout = deadline.map(|end| end.saturating_duration_since(Instant::now()));
        let waiting = self.locks.iter().map(|lock| Acquiring::waiting(lock, timeout)).collect();
        let mut line = Line { waiting, timed_out: None };
        let guard = poll_fn(|cx| line.poll(cx)).await?;
        // Options are the same for all of them.
        match self.locks.first() {
            Some(lock) => lock.secure(guard).await,
            None => Ok(guard),
        }
    }
}

/// Calls that wait, one for each lock. Those that are left when one has its lock are dropped, which takes them back.
struct Line<'a> {
    waiting: Vec<Acquiring<'a>>,
    timed_out: Option<AcquireError>,
}

impl Line<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Guard, AcquireError>> {
        let mut at = 0;
        while let Some(waiting) = self.waiting.get_mut(at) {
            match Pin::new(waiting).poll(cx) {
                Poll::Pending => at += 1,
                Poll::Ready(Ok(Some(guard))) => return Poll::Ready(Ok(guard)),
                Poll::Ready(Err(error @ AcquireError::TimedOut { .. })) => {
                    self.waiting.remove(at);
                    self.timed_out.get_or_insert(error);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                // Only a single attempt ends without guard or error.
                Poll::Ready(Ok(None)) => return Poll::Ready(Err(AcquireError::Closed)),
            }
        }
        match self.timed_out.take_if(|_| self.waiting.is_empty()) {
            Some(error) => Poll::Ready(Err(error)),
            None => Poll::Pending,
        }
    }
}
