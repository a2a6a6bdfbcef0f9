//! `Lock`: a name that can be locked.

use crate::client::{Client, Flush, Typed};
use crate::error::Error;
use crate::lock::acquire::Acquiring;
use crate::lock::error::{AcquireError, WithError};
use crate::lock::fenced::FencedLock;
use crate::lock::gate::Claim;
use crate::lock::guard::Guard;
use crate::lock::handing::Handing;
use crate::lock::hold::Hold;
use crate::lock::locker::Locker;
use crate::lock::options::{Durability, Options};
use crate::lock::plan::{Kind, Plan};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;
use tokio::time::Instant;

/// A name that can be locked, made by [`Client::lock`]. Cheap to clone; it holds nothing.
///
/// ```no_run
/// use std::time::Duration;
///
/// # async fn run(client: tenure::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let lock = client.lock("invoice:42");
/// let guard = lock.acquire_for(Duration::from_secs(2)).await?;
/// // … the work …
/// guard.release().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Lock {
    pub(crate) client: Client,
    pub(crate) name: String,
    /// The default ones if there are none.
    options: Option<Arc<Options>>,
    /// Whether guards have fencing tokens; see [`FencedLock`].
    fenced: bool,
    /// Whether all processes wait in one line.
    fair: bool,
    /// Made by the first acquire call.
    ready: OnceLock<Ready>,
}

/// What acquire calls need.
#[derive(Debug, Clone)]
pub(crate) struct Ready {
    pub(crate) locker: Arc<Locker>,
    pub(crate) plan: Arc<Plan>,
}

impl Ready {
    #[inline]
    pub(crate) fn guard(&self, hold: Arc<Hold>, claim: Claim) -> Guard {
        Guard::new(Arc::clone(&self.locker), Arc::clone(&self.plan), hold, claim)
    }
}

impl Client {
    /// The lock of this name, with default [`Options`].
    ///
    /// Locks of one name exclude each other wherever they are taken, and are not reentrant: whoever holds one and acquires it
    /// again waits for itself. The key on the server is the prefix, `lk:`, and the name.
    pub fn lock(&self, name: impl Into<String>) -> Lock {
        Lock {
            client: self.clone(),
            name: name.into(),
            options: None,
            fenced: false,
            fair: false,
            ready: OnceLock::new(),
        }
    }
}

impl<T> Typed<T> {
    /// The lock of this view: the one of its name.
    pub fn lock(&self) -> Lock {
        self.client().lock(self.name())
    }
}

impl Lock {
    /// The same lock with other options.
    pub fn options(mut self, options: Options) -> Self {
        self.options = Some(Arc::new(options));
        self.ready = OnceLock::new();
        self
    }

    /// The same lock, waited for in one line with all other processes: first come, first served.
    ///
    /// The line stands on the server. Whoever releases the lock gives it to the first in line, which is told so and holds it from then
    /// on; there is no race, and nobody asks in vain. Whoever has gone is passed over: at once if its connection is closed,
    /// within two seconds, and [`Options::lock_delay`], if it is stopped. That is why a lock that was just given has a
    /// [`Guard::validity`](crate::Guard::validity) of at most two seconds, until that is confirmed: ten milliseconds and a round trip
    /// later, for whoever does not release it sooner. Whoever is
    /// without a connection when its turn comes loses its place. Options hold as ever, but there is nothing to choose of
    /// [`Options::wakeup`].
    ///
    /// Those who share a lock should all call this, or none: others barge in when a holder has died, and those in line learn only
    /// from their timers, within five seconds, that somebody else has released it, or that [`Options::at_least_for`] is over. It needs
    /// scripts. Without RESP3 those in line ask for their turn at intervals ([`Options::backoff`]).
    pub fn fair(mut self) -> Self {
        self.fair = true;
        self.ready = OnceLock::new();
        self
    }

    /// The same lock, whose guards have a [`FencingToken`](crate::FencingToken): for what must not be written by a holder that has
    /// lost the lock without knowing.
    ///
    /// The token comes in the same round trip as the lock. It takes another one on a server that refuses scripts, if somebody
    /// else was seen to hold the lock or its fences begin.
    pub fn fenced(mut self) -> FencedLock {
        self.fenced = true;
        self.ready = OnceLock::new();
        FencedLock::new(self)
    }

    /// What acquire calls need, made by the first of them.
    ///
    /// # Errors
    ///
    /// If name or options make no sense.
    #[inline]
    pub(crate) fn ready(&self) -> Result<&Ready, AcquireError> {
        match self.ready.get() {
            Some(ready) => Ok(ready),
            None => self.get_ready(),
        }
    }

    #[cold]
    fn get_ready(&self) -> Result<&Ready, AcquireError> {
        self.check()?;
        let locker = Locker::of(&self.client);
        let kind = Kind { fair: self.fair, fenced: self.fenced };
        let plan = locker.plan(self.key(), self.settings(), kind)?;
        Ok(self.ready.get_or_init(|| Ready { locker, plan }))
    }

    /// The name, without the prefix.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn key(&self) -> String {
        format!("{}{}", self.settings().key_prefix, self.name)
    }

    fn settings(&self) -> &Options {
        static DEFAULT: LazyLock<Options> = LazyLock::new(Options::default);
        self.options.as_deref().unwrap_or_else(|| &DEFAULT)
    }

    pub(crate) fn durability(&self) -> Option<Durability> {
        self.options.as_ref().and_then(|options| options.durability)
    }

    /// Tries once: `None` if somebody else holds the lock, or waits for it in this process.
    ///
    /// # Errors
    ///
    /// [`AcquireError::Client`] if the server did not answer in time, [`AcquireError::KeyInUse`] if the key holds data that is
    /// not a lock, [`AcquireError::LeaseTooShort`], [`AcquireError::Unsupported`] and [`AcquireError::Closed`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a lock that is granted after the future was dropped is released at once.
    #[inline]
    pub fn try_acquire(&self) -> impl Future<Output = Result<Option<Guard>, AcquireError>> + Send {
        Handing::new(Acquiring::once(self, Flush::Auto))
    }

    /// Waits for the lock, for as long as it takes. See [`Lock::acquire_for`] for a time-out.
    ///
    /// Waiting costs hardly any requests: the future sleeps until the server tells that the lock was released, or the holder's lease runs
    /// out ([`Options::wakeup`]). Waiters of one process are served in the order of their first poll; processes that hear
    /// each other take turns, and there is no strict order between them. An outage of the server is waited out.
    ///
    /// # Errors
    ///
    /// [`AcquireError::Client`] if the server refused for good (credentials, rights), [`AcquireError::KeyInUse`] if the key
    /// holds data that is not a lock, [`AcquireError::LeaseTooShort`], [`AcquireError::Unsupported`] and
    /// [`AcquireError::Closed`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a lock that is granted after the future was dropped is released at once.
    #[inline]
    pub fn acquire(&self) -> impl Future<Output = Result<Guard, AcquireError>> + Send {
        Handing::new(Acquiring::waiting(self, None))
    }

    /// Waits for the lock, for `timeout` at most, and tries a last time when that is over. With zero it tries once.
    ///
    /// # Errors
    ///
    /// [`AcquireError::TimedOut`] with the holder and what is left of its lease; otherwise as [`Lock::acquire`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a lock that is granted after the future was dropped is released at once.
    #[inline]
    pub fn acquire_for(
        &self,
        timeout: Duration,
    ) -> impl Future<Output = Result<Guard, AcquireError>> + Send {
        Handing::new(Acquiring::waiting(self, Some(timeout)))
    }

    /// Waits for the lock until `deadline`; otherwise as [`Lock::acquire_for`].
    ///
    /// # Errors
    ///
    /// As [`Lock::acquire_for`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a lock that is granted after the future was dropped is released at once.
    pub async fn acquire_until(&self, deadline: impl Into<Instant>) -> Result<Guard, AcquireError> {
        let timeout = deadline.into().saturating_duration_since(Instant::now());
        self.acquire_for(timeout).await
    }

    /// Waits for the lock, does `work` for as long as it is held, and releases it.
    ///
    /// ```no_run
    /// # async fn run(client: tenure::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let total: i64 = client.lock("invoices").with(async |_guard| client.incr("total").await).await??;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`WithError::NotAcquired`] as [`Lock::acquire`]; [`WithError::Lost`] if the lock was lost first: the work was dropped
    /// where it stood.
    ///
    /// # Cancel safety
    ///
    /// As `work`, which is dropped with the future; the lock is released.
    pub async fn with<T>(&self, work: impl AsyncFnOnce(&Guard) -> T) -> Result<T, WithError> {
        let guard = self.acquire().await.map_err(WithError::NotAcquired)?;
        let done = guard.run(work(&guard)).await.map_err(WithError::Lost)?;
        // The work is done; a release that goes without an answer is followed up.
        let _ = guard.release().await;
        Ok(done)
    }

    /// The name and options, if they make sense.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.name.is_empty() {
            return Err(Error::config("a lock needs a name: the key would be the bare prefix"));
        }
        if !braces_match(&self.key()) {
            return Err(Error::config(
                "the lock's name has a brace without its pair: leave it out, or write {tag}",
            ));
        }
        Ok(())
    }
}

/// A cluster finds the slot of a key by its braces; half a pair would scatter the keys of one lock.
fn braces_match(key: &str) -> bool {
    let mut open = false;
    let paired = key.chars().all(|character| match character {
        '{' => !std::mem::replace(&mut open, true),
        '}' => std::mem::replace(&mut open, false),
        _ => true,
    });
    paired && !open
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_must_come_in_pairs_and_not_nest() {
        for good in ["a", "{a}", "lk:a{b}c{d}", "{}"] {
            assert!(braces_match(good), "{good}");
        }
        for bad in ["a{", "}", "}{", "{{a}}", "{a}}", "a{b}c{"] {
            assert!(!braces_match(bad), "{bad}");
        }
    }
}
