//! `LockAll`: several names that are locked together, or not at all.
//!
//! Whatever is free is taken in one write and one round trip, in whatever slots the keys are. Where one is held, those before it in
//! the order of their keys stay taken, those behind it are let go, and then that one is waited for: nobody ever waits for
//! a key while it holds one that comes later, so two who lock together cannot wait for each other.

use crate::client::{Client, Flush};
use crate::error::Error;
use crate::lock::acquire::Acquiring;
use crate::lock::all_guard::AllGuard;
use crate::lock::error::AcquireError;
use crate::lock::guard::Guard;
use crate::lock::handle::Lock;
use crate::lock::options::Options;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// Names that are locked together, made by [`Client::lock_all`]. It holds nothing.
#[derive(Debug, Clone)]
pub struct LockAll {
    locks: Vec<Lock>,
}

impl Client {
    /// The locks of all these names, to be held together or not at all, with default [`Options`].
    ///
    /// ```no_run
    /// # async fn run(client: tenure::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let guard = client.lock_all(["account:7", "account:9"]).acquire().await?;
    /// // … move something from one to the other …
    /// guard.release().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// They are the same locks as those that [`Client::lock`] gives for each name. The names may come in any order, and their
    /// keys may be in different slots.
    pub fn lock_all<N: Into<String>>(&self, names: impl IntoIterator<Item = N>) -> LockAll {
        LockAll { locks: names.into_iter().map(|name| self.lock(name)).collect() }.in_order()
    }
}

impl LockAll {
    /// The same with other options, for each of the locks.
    pub fn options(mut self, options: &Options) -> Self {
        self.locks = self.locks.into_iter().map(|lock| lock.options(options.clone())).collect();
        self
    }

    /// In the order on which all who lock together agree: that of the keys, where prefixes are the same.
    fn in_order(mut self) -> Self {
        self.locks.sort_by(|one, other| one.name().cmp(other.name()));
        self
    }

    fn check(&self) -> Result<(), AcquireError> {
        if self.locks.is_empty() {
            return Err(Error::config("lock_all was given no name").into());
        }
        let neighbours = self.locks.iter().zip(self.locks.iter().skip(1));
        for (one, other) in neighbours {
            if one.name() == other.name() {
                let name = one.name().escape_debug();
                let sum = format!("lock_all was given the name '{name}' twice");
                return Err(Error::config(sum).into());
            }
        }
        self.locks.iter().try_for_each(|lock| lock.ready().map(drop))
    }

    /// Tries once, in one round trip: `None` if somebody else holds one of the locks, or waits for it in this process. Then none
    /// is held.
    ///
    /// # Errors
    ///
    /// As [`Lock::try_acquire`], and [`AcquireError::Client`] if there is no name, or one is there twice.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what is granted after the future was dropped is released at once.
    pub async fn try_acquire(&self) -> Result<Option<AllGuard>, AcquireError> {
        self.check()?;
        match attempt(&self.locks).await {
            (guards, Missed::Nothing) => {
                Ok(Some(AllGuard::new(secure(&self.locks, guards).await?)))
            }
            (_, Missed::Held) => Ok(None),
            (_, Missed::Failed(error)) => Err(error),
        }
    }

    /// Waits until all of the locks are held, for as long as it takes. See [`LockAll::acquire_for`] for a time-out.
    ///
    /// While it waits for one, it holds those that come before it in the order of the keys, renews them, and holds none that
    /// comes later. So callers of this never wait for each other in a circle; who takes one lock while it holds another by
    /// [`Lock::acquire`] has to keep to that order itself.
    ///
    /// # Errors
    ///
    /// As [`Lock::acquire`], for whichever lock it was; then none is held. [`AcquireError::Client`] if there is no name, or one is
    /// there twice.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was taken by then, or is granted later, is released at once.
    pub async fn acquire(&self) -> Result<AllGuard, AcquireError> {
        self.gather(None).await
    }

    /// As [`LockAll::acquire`], for `timeout` at most in all, with a last try when that is over.
    ///
    /// # Errors
    ///
    /// [`AcquireError::TimedOut`] with the key that was not to be had, its holder, and what is left of its lease; otherwise as
    /// [`LockAll::acquire`]. Then none is held.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was taken by then, or is granted later, is released at once.
    pub async fn acquire_for(&self, timeout: Duration) -> Result<AllGuard, AcquireError> {
        let begun = Instant::now();
        self.gather(begun.checked_add(timeout)).await.map_err(|error| error.in_all(begun, timeout))
    }

    async fn gather(&self, deadline: Option<Instant>) -> Result<AllGuard, AcquireError> {
        self.check()?;
        let mut guards: Vec<Guard> = Vec::with_capacity(self.locks.len());
        loop {
            // Whatever kept one from being taken is found out again by waiting for it.
            let rest = self.locks.get(guards.len()..).unwrap_or_default();
            let (taken, _) = attempt(rest).await;
            guards.extend(secure(rest, taken).await?);
            let Some(lock) = self.locks.get(guards.len()) else { break };
            guards.push(match deadline {
                Some(deadline) => lock.acquire_until(deadline).await?,
                None => lock.acquire().await?,
            });
        }
        Ok(AllGuard::new(guards))
    }
}

/// Why not all were taken.
enum Missed {
    Nothing,
    Held,
    Failed(AcquireError),
}

/// Tries to take each of the locks, in one write. Keeps those before the first that is not to be had.
async fn attempt(locks: &[Lock]) -> (Vec<Guard>, Missed) {
    let mut attempts: Vec<_> = locks
        .iter()
        .enumerate()
        .map(|(at, lock)| {
            let flush = if at + 1 == locks.len() { Flush::Auto } else { Flush::Later };
            Attempt::Open(Acquiring::once(lock, flush))
        })
        .collect();
    // Each is polled at once, so that all have begun before the last one writes.
    poll_fn(|cx| {
        let mut waits = false;
        for attempt in &mut attempts {
            waits |= attempt.waits(cx);
        }
        if waits { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    let (mut guards, mut missed) = (Vec::with_capacity(locks.len()), Missed::Nothing);
    for attempt in attempts {
        missed = match (missed, attempt) {
            (Missed::Nothing, Attempt::Over(Ok(Some(guard)))) => {
                guards.push(guard);
                Missed::Nothing
            }
            (Missed::Nothing, Attempt::Over(Err(error))) => Missed::Failed(error),
            (Missed::Nothing, _) => Missed::Held,
            // A guard behind the first one that is missing is dropped here.
            (missed, _) => missed,
        };
    }
    (guards, missed)
}

/// One of several attempts.
enum Attempt<'a> {
    Open(Acquiring<'a>),
    Over(Result<Option<Guard>, AcquireError>),
}

impl Attempt<'_> {
    /// Whether the answer is still to come.
    fn waits(&mut self, cx: &mut Context<'_>) -> bool {
        let Self::Open(attempt) = self else { return false };
        let Poll::Ready(result) = Pin::new(attempt).poll(cx) else { return true };
        *self = Self::Over(result);
        false
    }
}

/// Hands guards out once there are as many copies of their locks as the options ask for.
async fn secure(locks: &[Lock], taken: Vec<Guard>) -> Result<Vec<Guard>, AcquireError> {
    let mut guards = Vec::with_capacity(taken.len());
    // Those that are still to be secured are released if one is not.
    for (lock, guard) in locks.iter().zip(taken) {
        guards.push(lock.secure(guard).await?);
    }
    Ok(guards)
}
