//! `LostCause`: why a lock ended before its guard. Locks tell their holders, and observers are told as well.

use std::fmt;

/// Why a lock that was held is not held any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LostCause {
    /// The lease ran out, and nothing was done to prolong it: renewal is off, the work missed its heartbeat, or the process
    /// was stopped for longer than that.
    Expired,
    /// The lease ran out before a renewal was confirmed.
    Unconfirmed,
    /// The server said that the key is gone: somebody deleted it, or it was evicted.
    Deleted,
    /// The server said that the key has somebody else's value.
    TakenOver,
    /// The key is gone, and the server is another one, or has been restarted, since the lock was last confirmed.
    Failover,
    /// The lock was held for as long as [`Options::max_hold`](crate::Options::max_hold) allows.
    MaxHold,
    /// The client was closed.
    Closed,
}

impl std::error::Error for LostCause {}

impl fmt::Display for LostCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "the lease ran out",
            Self::Deleted => "the key was deleted",
            Self::TakenOver => "the key has another owner",
            Self::Failover => "the server lost the key when it was replaced or restarted",
            Self::MaxHold => "the longest hold is over",
            Self::Unconfirmed => "the lease ran out before a renewal was confirmed",
            Self::Closed => "the client was closed",
        })
    }
}
