//! `AllGuard`: several locks that are held together. Dropping it releases them all.

use crate::lock::error::{CheckError, LostCause, ReleaseError};
use crate::lock::guard::Guard;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

/// Locks that are held together, made by [`LockAll`](crate::lock::LockAll). Each is renewed like any other, and what is said of
/// [`Guard`] holds for each of them.
///
/// # Dropping
///
/// Dropping it releases them all, as dropping a [`Guard`] does: each by itself, so that one that was lost keeps no other.
#[derive(Debug)]
#[must_use = "a guard that is dropped releases its locks at once"]
pub struct AllGuard {
    /// In the order of their keys, at least one.
    guards: Vec<Guard>,
}

impl AllGuard {
    pub(crate) fn new(guards: Vec<Guard>) -> Self {
        Self { guards }
    }

    /// The locks' keys on the server, prefix included, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.guards.iter().map(Guard::key)
    }

    /// Whether all of them are held, as far as is known here. Asks nobody.
    pub fn is_held(&self) -> bool {
        self.guards.iter().all(Guard::is_held)
    }

    /// How long all of them may be relied on from now: what the shortest one has left. Asks nobody.
    pub fn validity(&self) -> Duration {
        self.guards.iter().map(Guard::validity).min().unwrap_or_default()
    }

    /// Whether all of them can be relied on for as long as `margin` from now. Asks nobody.
    ///
    /// # Errors
    ///
    /// As [`Guard::check`], for the first for which it fails.
    pub fn check(&self, margin: Duration) -> Result<(), CheckError> {
        self.guards.iter().try_for_each(|guard| guard.check(margin))
    }

    /// Waits until one of them is lost; tells its key, and the cause.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a loss stays known.
    pub async fn lost(&self) -> (&str, LostCause) {
        let mut losses: Vec<_> = self.guards.iter().map(|guard| Box::pin(guard.lost())).collect();
        poll_fn(|cx| {
            for (loss, guard) in losses.iter_mut().zip(&self.guards) {
                if let Poll::Ready(cause) = loss.as_mut().poll(cx) {
                    return Poll::Ready((guard.key(), cause));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Does `work` for as long as all of them are held: if one is lost first, the work is dropped where it stands.
    ///
    /// # Errors
    ///
    /// Why that one was lost.
    ///
    /// # Cancel safety
    ///
    /// As `work`, which is dropped with the future.
    pub async fn run<F: Future>(&self, work: F) -> Result<F::Output, LostCause> {
        let (mut lost, mut work) = (pin!(self.lost()), pin!(work));
        poll_fn(|cx| {
            if let Poll::Ready((_, cause)) = lost.as_mut().poll(cx) {
                return Poll::Ready(Err(cause));
            }
            work.as_mut().poll(cx).map(Ok)
        })
        .await
    }

    /// Releases all of them, and says whether all were still ours. One that was lost keeps no other from being released.
    ///
    /// # Errors
    ///
    /// As [`Guard::release`], for the first that was not released.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: once polled, all releases are on their way and are followed up; dropped before that, the guards are dropped,
    /// which releases too.
    pub async fn release(self) -> Result<(), ReleaseError> {
        let mut releases: Vec<Releasing> = self.guards.into_iter().map(Releasing::begin).collect();
        poll_fn(|cx| {
            let mut pending = false;
            for release in &mut releases {
                pending |= release.poll(cx).is_pending();
            }
            if pending { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        releases.into_iter().try_for_each(|release| release.result.unwrap_or(Ok(())))
    }

    /// One guard for each of the locks, in the order of their keys: from now on they are released one by one.
    pub fn into_guards(self) -> Vec<Guard> {
        self.guards
    }
}

type Release = dyn Future<Output = Result<(), ReleaseError>> + Send;

/// One of several releases.
struct Releasing {
    release: Pin<Box<Release>>,
    result: Option<Result<(), ReleaseError>>,
}

impl Releasing {
    fn begin(guard: Guard) -> Self {
        Self { release: Box::pin(guard.release()), result: None }
    }

    fn poll(&mut self, cx: &mut std::task::Context<'_>) -> Poll<()> {
        if self.result.is_none() {
            match self.release.as_mut().poll(cx) {
                Poll::Ready(result) => self.result = Some(result),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }
}
