//! For operators: who holds a lock, and ending exactly the hold that was looked at.

use crate::client::{Flush, FromReply as _, Ttl, encode};
use crate::error::Error;
use crate::lock::dialect::{Compared, Dialect, Key, compared};
use crate::lock::error::AcquireError;
use crate::lock::handle::Lock;
use crate::lock::lease::Lease;
use crate::lock::locker::Locker;
use crate::lock::token::{self, Holder};
use bytes::{Bytes, BytesMut};
use std::fmt;
use std::time::Duration;

/// A hold that somebody looked at.
#[derive(Clone)]
pub struct Observed {
    value: Bytes,
    holder: Holder,
    ttl: Ttl,
}

impl Observed {
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
    /// `WRONGTYPE` from the server if the key holds data that is not a lock; otherwise as every call.
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
        let Some(value) = Option::<Bytes>::from_reply(get.await?)? else { return Ok(None) };
        let ttl = Ttl::from_reply(pttl.await?)?;
        Ok(Some(Observed { holder: token::holder(&value), value, ttl }))
    }

    /// Ends exactly the hold that was looked at; tells whether it was still there.
    ///
    /// The holder learns of it at its next renewal, and may work on until then: this is for holders that are known to be dead.
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
        let dialect = Locker::dialect(&session);
        if let Some(reason) = dialect.lacks() {
            return Err(AcquireError::Unsupported { reason });
        }
        let (key, lease) = (self.key(), Lease::new(Duration::from_millis(1))?);
        let wire = Key { key: key.as_bytes(), value: &observed.value, lease };
        let patience = connection.config().response_timeout;
        let send = |in_full| {
            connection.submit(patience, Flush::Auto, |out: &mut BytesMut| {
                if in_full {
                    Dialect::release_in_full(wire, out);
                } else {
                    dialect.release(wire, out);
                }
            })
        };
        let mut outcome = compared(send(false)?.await);
        if matches!(outcome, Compared::InFull) {
            outcome = compared(send(true)?.await);
        }
        match outcome {
            Compared::Ours => Ok(true),
            Compared::NotOurs => Ok(false),
            Compared::InFull => Err(Error::refused("the server forgets every script").into()),
            Compared::Unknown(error) => Err(error.into()),
        }
    }
}
