//! What can go wrong with a lock: one small enum per operation.

use crate::error::{Circumstances, Error};
use crate::lock::options::Durability;
use crate::lock::token::Holder;
use std::fmt;
use std::time::Duration;
use tokio::time::Instant;

pub use crate::loss::LostCause;

/// Why a lock was not acquired.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum AcquireError {
    /// The caller's patience ran out.
    #[non_exhaustive]
    TimedOut {
        /// The key that was not to be had.
        key: String,
        /// How long the caller was willing to wait.
        timeout: Duration,
        /// How long it waited.
        waited: Duration,
        /// Who held the lock when last seen, if anybody was seen.
        holder: Option<Holder>,
        /// What was left of the holder's lease; a holder that lives prolongs it.
        lease_left: Option<Duration>,
        /// What stood in the way when the server could not be asked.
        last_error: Option<Error>,
        /// How the lock connection stood, if nobody was seen.
        circumstances: Option<Box<Circumstances>>,
    },
    /// The key holds data that is not a lock. Nothing was changed.
    #[non_exhaustive]
    KeyInUse {
        /// The key.
        key: String,
    },
    /// The lease leaves no time to hold the lock: it is shorter than three round trips, or was over twice before the answer came; once
    /// where one attempt was to be made.
    #[non_exhaustive]
    LeaseTooShort {
        /// The smallest round trip seen so far, or the one that used the lease up.
        rtt: Duration,
    },
    /// There were fewer copies of the lock in time than [`Options::durability`](crate::Options::durability) asks for. It was released.
    #[non_exhaustive]
    NotDurable {
        /// What was asked for.
        wanted: Durability,
        /// How many replicas have confirmed a copy.
        replicas: u64,
    },
    /// The server has no way to release a lock by its owner only.
    #[non_exhaustive]
    Unsupported {
        /// What is missing, and what to change.
        reason: String,
    },
    /// The client was closed.
    Closed,
    /// The server could not be asked, or refused for good; or the name or an option makes no sense. Prints as the error within.
    Client(Error),
}

/// Why a lock was not released by its guard.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ReleaseError {
    /// The lease had ended first; someone else may have held the lock since.
    Lost,
    /// No answer came; the key goes away at the latest when its lease ends.
    Client(Error),
}

/// Why a lock cannot be relied on.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum CheckError {
    /// It is not held any more.
    Lost(LostCause),
    /// The lease ends sooner than asked for, unless it is renewed.
    #[non_exhaustive]
    TooLittleLeft {
        /// How long the lock can be relied on; zero also while the machine's clocks disagree about that.
        left: Duration,
    },
    /// The server could not be asked.
    Client(Error),
}

/// Why work under a lock came to nothing.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum WithError {
    /// The lock was not acquired; nothing was begun.
    NotAcquired(AcquireError),
    /// The lock was lost, and the work stopped where it stood.
    Lost(LostCause),
}

impl AcquireError {
    /// The same of a call that was begun earlier than the attempt that failed.
    pub(crate) fn in_all(mut self, begun: Instant, patience: Duration) -> Self {
        if let Self::TimedOut { timeout, waited, .. } = &mut self {
            (*timeout, *waited) = (patience, begun.elapsed());
        }
        self
    }
}

impl From<Error> for AcquireError {
    fn from(error: Error) -> Self {
        if error.is_closed() { Self::Closed } else { Self::Client(error) }
    }
}

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut { timeout, holder, lease_left, circumstances, .. } => {
                write!(f, "exceeded timeout of {timeout:?}")?;
                if let Some(holder) = holder {
                    write!(f, ": held by {holder}")?;
                    if let Some(left) = lease_left {
                        write!(f, ", {left:?} left of its lease")?;
                    }
                } else if let Some(circumstances) = circumstances {
                    write!(f, ": the server could not be asked ({circumstances})")?;
                }
                Ok(())
            }
            Self::KeyInUse { key } => write!(
                f,
                "key '{}' holds data that is not a lock: choose another name or prefix",
                key.escape_debug()
            ),
            Self::LeaseTooShort { rtt } => {
                write!(
                    f,
                    "the lease is too short for a server that takes {rtt:?} to answer: \
                     a hold takes three round trips at least"
                )
            }
            Self::NotDurable { wanted: Durability::Replicas { count, timeout }, replicas } => {
                write!(
                    f,
                    "{replicas} of {count} replicas have a copy of the lock after {timeout:?}"
                )
            }
            Self::NotDurable {
                wanted: Durability::Disk { replicas: count, timeout },
                replicas,
            } => {
                write!(
                    f,
                    "the lock is not on disk after {timeout:?}: {replicas} of {count} replicas have confirmed it"
                )
            }
            Self::Unsupported { reason } => f.write_str(reason),
            Self::Closed => f.write_str("the client is closed"),
            Self::Client(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AcquireError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Client(error) => error.source(),
            Self::TimedOut { last_error, .. } => last_error.as_ref().map(|error| error as _),
            _ => None,
        }
    }
}

impl fmt::Display for ReleaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lost => "lock was lost before it could be released",
            Self::Client(_) => "release was not confirmed by the server",
        })
    }
}

impl std::error::Error for ReleaseError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Lost => None,
            Self::Client(error) => Some(error),
        }
    }
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(_) => f.write_str("the lock is not held any more"),
            Self::TooLittleLeft { left } => write!(f, "only {left:?} is left of the lease"),
            Self::Client(_) => f.write_str("the server could not be asked about the lock"),
        }
    }
}

impl std::error::Error for CheckError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Lost(cause) => Some(cause),
            Self::TooLittleLeft { .. } => None,
            Self::Client(error) => Some(error),
        }
    }
}

impl fmt::Display for WithError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAcquired(_) => "the lock was not acquired",
            Self::Lost(_) => "the lock was lost during the work",
        })
    }
}

impl std::error::Error for WithError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NotAcquired(error) => Some(error),
            Self::Lost(cause) => Some(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_out_names_the_patience_the_holder_and_the_lease() {
        let error = AcquireError::TimedOut {
            key: "lk:a".into(),
            timeout: Duration::from_secs(2),
            waited: Duration::from_millis(2_001),
            holder: Some(crate::lock::token::holder(b"?")),
            lease_left: Some(Duration::from_millis(7_300)),
            last_error: None,
            circumstances: None,
        };
        assert_eq!(
            error.to_string(),
            "exceeded timeout of 2s: held by somebody who does not say who they are, 7.3s left of its lease"
        );
    }

    #[test]
    fn refusal_is_printed_in_its_own_words_and_once() {
        let client = AcquireError::Client(Error::config("a lease must last"));
        assert_eq!(client.to_string(), "a lease must last");
        assert!(std::error::Error::source(&client).is_none());
        let key = AcquireError::KeyInUse { key: "lk:a\n".into() };
        assert!(key.to_string().starts_with("key 'lk:a\\n' holds data that is not a lock"));
    }
}
