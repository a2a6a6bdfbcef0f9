//! Following who holds a lock.

use crate::client::{Client, Ttl};
use crate::error::Error;
use crate::lock::error::AcquireError;
use crate::lock::handle::{Lock, Ready};
use crate::lock::inspect::Observed;
use crate::lock::locker::Locker;
use crate::seam::after;
use bytes::Bytes;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// How long to rely on being told before asking.
const NET: Duration = Duration::from_secs(15);
/// The same where the server does not tell.
const DEAF: Duration = Duration::from_secs(1);
/// What a server rounds away from a lease that it tells in milliseconds.
const ROUNDING: Duration = Duration::from_millis(1);

/// Follows who holds a lock, made by [`Lock::watch`]. It holds nothing and waits for nothing.
pub struct Watching {
    lock: Lock,
    bell: Arc<Notify>,
    /// The value that was seen last; `None` inside if there was none.
    last: Option<Option<Bytes>>,
}

/// What is the case with a lock.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum LockState {
    /// Nobody holds it.
    Free,
    /// Somebody does.
    Held(Observed),
}

impl Lock {
    /// Follows who holds the lock: [`Watching::next`] gives first what is the case, then each change that it sees.
    ///
    /// ```no_run
    /// use tenure::lock::LockState;
    ///
    /// # async fn run(client: tenure::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut watching = client.lock("leader").watch()?;
    /// while let LockState::Held(seen) = watching.next().await? {
    ///     println!("the leader is {}", seen.holder());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The server tells when the key changes, where it can (client tracking, RESP3), and is asked when the holder's lease is over;
    /// without that it is asked every second.
    ///
    /// # Errors
    ///
    /// [`AcquireError::Client`] if the name or the options make no sense.
    pub fn watch(&self) -> Result<Watching, AcquireError> {
        let Ready { locker, plan } = self.ready()?;
        let bell = locker.engine.book().bells.hang(&plan.key.bytes);
        Ok(Watching { lock: self.clone(), bell, last: None })
    }
}

impl Watching {
    /// The next state: whether somebody holds the lock, and who. The first call answers at once.
    ///
    /// A state that passed between two looks is left out, so what comes is the newest; the renewals of one hold are one state. Holds
    /// that follow each other without the lock's becoming free are states of their own.
    ///
    /// # Errors
    ///
    /// As [`Lock::inspect`]; calling this again goes on.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what changed while nobody waited is given by the next call.
    pub async fn next(&mut self) -> Result<LockState, Error> {
        loop {
            let mut rung = pin!(self.bell.notified());
            // What rings while the server is asked counts.
            rung.as_mut().enable();
            let asked = Instant::now();
            let seen = self.lock.inspect().await?;
            let value = seen.as_ref().map(|seen| seen.value.clone());
            let ttl = seen.as_ref().map(Observed::ttl);
            if self.last.as_ref() != Some(&value) {
                self.last = Some(value);
                return Ok(seen.map_or(LockState::Free, LockState::Held));
            }
            // Out of time is no error: then it is asked again.
            let _ = timeout_at(self.ask_again_at(asked, ttl), rung).await;
        }
    }

    fn ask_again_at(&self, asked: Instant, ttl: Option<Ttl>) -> Instant {
        let told = tells(&self.lock.client);
        let net = if told { NET } else { DEAF };
        match ttl {
            Some(Ttl::Left(left)) => after(asked, net.min(left.saturating_add(ROUNDING))),
            _ => after(asked, net),
        }
    }
}

/// Whether the server tells of changes.
fn tells(client: &Client) -> bool {
    let locker = Locker::of(client);
    let book = locker.engine.book();
    book.dialect.as_ref().is_some_and(|dialect| dialect.ears().tracks)
}

impl fmt::Debug for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watching").field("lock", &self.lock.name()).finish_non_exhaustive()
    }
}
