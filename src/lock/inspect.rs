//! For operators: who holds a lock, and ending exactly the hold that was looked at.

use crate::client::{Flush, FromReply as _, Ttl, encode};
use crate::error::Error;
use crate::lock::answers::{Reading, Replies};
use crate::lock::dialect::Dialect;
use crate::lock::error::AcquireError;
use crate::lock::gate::{Claim, Errand, Said};
use crate::lock::handle::Lock;
use crate::lock::locker::Locker;
use crate::lock::phrases::Matter;
use crate::lock::token::{self, Holder};
use bytes::Bytes;
use std::fmt;

/// A hold that somebody looked at.
#[derive(Clone)]
pub struct Observed {
    pub(crate) value: Bytes,
    holder: Holder,
    ttl: Ttl,
}

impl Observed {
    pub(crate) fn new(value: Bytes, ttl: Ttl) -> Self {
        Self { holder: token::holder(&value), value, ttl }
    }

    /// Who holds the lock.
    pub fn holder(&self) -> &Holder {
        &self.holder
    }

    /// What was left of the lease.
    pub fn ttl(&self) -> Ttl {
        self.ttl
    }
}

/// Without the value, which has the owner token in it.
impl fmt::Debug for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observed").field("holder", &self.holder).field("ttl", &self.ttl).finish()
    }
}

impl Lock {
    /// Who holds the lock, if anybody does.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Server`](crate::ErrorKind::Server) with `WRONGTYPE`, and the key's name in its text, if the key holds data that
    /// is not a lock; otherwise as every call.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: reading changes nothing.
    pub async fn inspect(&self) -> Result<Option<Observed>, Error> {
        self.check()?;
        let locker = Locker::of(&self.client);
        let (connection, key) = (&locker.connection, self.key());
        let patience = connection.config().response_timeout;
        let get = connection.submit(patience, Flush::Later, |out| {
            encode::command(&["GET", &key], out);
        })?;
        let pttl = connection.submit(patience, Flush::Now, |out| {
            encode::command(&["PTTL", &key], out);
        })?;
        let value =
            Option::<Bytes>::from_reply(get.await?).map_err(|error| no_lock(&key, error))?;
        let Some(value) = value else { return Ok(None) };
        let ttl = Ttl::from_reply(pttl.await?)?;
        Ok(Some(Observed::new(value, ttl)))
    }

    /// Ends exactly the hold that was looked at; tells whether it was still there.
    ///
    /// The holder learns of it by a push, or at its next renewal, and may work on until then: this is for holders that are known to be dead.
    ///
    /// # Errors
    ///
    /// [`AcquireError::Unsupported`] if the server cannot compare, [`AcquireError::Client`] as every call.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop a command on its way.
    pub async fn force_release(&self, observed: &Observed) -> Result<bool, AcquireError> {
        self.check()?;
        let locker = Locker::of(&self.client);
        let connection = &locker.connection;
        let session = connection.ready().await?;
        let dialect = session.derived(|| Dialect::of(&session));
        if let Some(reason) = dialect.lacks() {
            return Err(AcquireError::Unsupported { reason });
        }
        let key = self.key();
        let matter = Matter { key: key.as_bytes(), value: &observed.value, ..Matter::default() };
        let patience = connection.config().response_timeout;
        let ask = async |in_full| {
            let errand = Errand::Release { claim: Claim(0), in_full, aloud: false, waits: false };
            let sent = connection.submit(patience, Flush::Auto, |out| {
                dialect.say(&errand, (0, 1), &matter, out);
            });
            let reply = match sent {
                Ok(reply) => reply.await,
                Err(error) => Err(error),
            };
            dialect.read(&errand, 1, Replies::One(reply), &observed.value)
        };
        let mut reading = ask(false).await;
        if reading.said == Said::InFull {
            reading = ask(true).await;
        }
        match reading {
            Reading { said: Said::Ours(_), .. } => Ok(true),
            Reading { error: Some(error), .. } => Err(error.into()),
            Reading { .. } => Ok(false),
        }
    }
}

/// Says what a key is that holds something else.
fn no_lock(key: &str, error: Error) -> Error {
    if error.server().is_some_and(|server| server.code() == "WRONGTYPE") {
        let key = key.escape_debug();
        return error.prefixed(&format!("key '{key}' holds data that is not a lock"));
    }
    error
}
