//! What an observer is told.

use crate::error::{Error, ErrorKind, ServerError};
use crate::loss::LostCause;
use std::fmt;
use std::time::Duration;

/// One connection of a client, as its events name it. Several connections with the same purpose look alike.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// What the connection is for.
    pub purpose: Purpose,
    /// The server's host name or address as it was configured, or the path of its unix socket.
    pub server: String,
    /// The server's TCP port; none for other ways to it.
    pub port: Option<u16>,
    /// The database that the connection selects.
    pub db: u32,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Purpose {
    /// The commands that callers share it for.
    Data,
    /// All traffic of locks.
    Locks,
    /// Subscriptions.
    Subscriptions,
    /// One caller at a time: a command that waits, or a watched transaction.
    Leased,
}

/// A command, or a batch that is sent and answered as one.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct ObservedCommand<'a> {
    /// Where it goes.
    pub peer: &'a Peer,
    /// The command's name as it was written; `MULTI` for a transaction, and `PIPELINE` for another batch. `_OTHER` for a name
    /// that no server has.
    pub name: &'a str,
    /// How many commands there are, `MULTI` and `EXEC` among them.
    pub commands: usize,
    /// Their encoded length.
    pub bytes: usize,
}

/// How a command ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct CommandEnd<'a> {
    /// From being queued to its end.
    pub took: Duration,
    /// The server's first error among the answers, if there was one.
    pub refused: Option<&'a ServerError>,
    /// Why there is no answer, if so: out of time, connection lost, client closed, and
    /// [`Error::outcome`] says whether it was sent.
    pub failed: Option<&'a Error>,
    /// Its caller went away before it was sent, and it was taken back.
    pub withdrawn: bool,
}

impl CommandEnd<'_> {
    /// A word for what went wrong, if anything did: the code of the server's error, such as `WRONGTYPE`, or the kind of the failure, such
    /// as `timeout`. There are few of them, so it can be a label of a metric.
    pub fn error_type(&self) -> Option<&str> {
        match (self.refused, self.failed) {
            (Some(refused), _) => Some(refused.code()),
            (None, Some(failed)) => Some(word(failed.kind())),
            (None, None) if self.withdrawn => Some("withdrawn"),
            (None, None) => None,
        }
    }
}

fn word(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Config => "config",
        ErrorKind::Connect => "connect",
        ErrorKind::Handshake => "handshake",
        ErrorKind::Timeout => "timeout",
        ErrorKind::Disconnected => "disconnected",
        ErrorKind::Closed => "closed",
        ErrorKind::Protocol => "protocol",
        ErrorKind::Server => "server",
        ErrorKind::UnexpectedReply => "unexpected_reply",
        ErrorKind::Refused => "refused",
        ErrorKind::Overloaded => "overloaded",
    }
}

/// Bytes that went through a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Traffic {
    /// The kernel took them.
    #[non_exhaustive]
    Wrote {
        /// In so many system calls; with TLS, in so many calls of its layer.
        writes: u64,
        /// How many.
        bytes: u64,
        /// The commands that were begun with them; a batch counts as one. Divided by `writes`: commands per write.
        commands: u64,
    },
    /// The kernel gave them.
    #[non_exhaustive]
    Read {
        /// In so many system calls; with TLS, in so many calls of its layer.
        reads: u64,
        /// How many.
        bytes: u64,
        /// The answers that ended with them, and messages where there are subscriptions.
        frames: u64,
    },
}

/// What became of a connection.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum ConnectionEvent<'a> {
    /// It is open, and commands are answered.
    #[non_exhaustive]
    Opened {
        /// Whether it had been open before: this is a reconnect.
        again: bool,
    },
    /// It was open and is lost; it is dialled again, unless it was leased.
    #[non_exhaustive]
    Lost {
        /// Why.
        error: &'a Error,
    },
    /// An attempt to open it failed; there will be another one.
    #[non_exhaustive]
    NotOpened {
        /// Why.
        error: &'a Error,
    },
    /// The server turned it away for credentials, rights or the database. Calls fail with that until an attempt succeeds.
    #[non_exhaustive]
    Refused {
        /// The server's words.
        error: &'a Error,
    },
    /// It is over: the client was closed, its last handle went, or its runtime has ended.
    Closed,
}

/// What became of a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockEvent {
    /// A caller of this process has it.
    #[non_exhaustive]
    Acquired {
        /// From the call.
        waited: Duration,
    },
    /// A caller does not get it.
    #[non_exhaustive]
    NotAcquired {
        /// From the call.
        waited: Duration,
        /// Why not.
        why: NotAcquired,
    },
    /// Its lease was prolonged.
    #[non_exhaustive]
    Renewed {
        /// What was left of the lease: little is a warning that the next renewal may come too late.
        margin: Duration,
    },
    /// It was held, and cannot be relied on any more.
    #[non_exhaustive]
    Lost {
        /// From being acquired.
        held: Duration,
        /// Why.
        cause: LostCause,
    },
    /// It was held and given back by its guard, and it is known what came of that.
    #[non_exhaustive]
    Released {
        /// From being acquired to the guard's end.
        held: Duration,
        /// What came of it.
        how: Unlocked,
    },
}

/// Why a caller does not get a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotAcquired {
    /// Somebody else has it, and one attempt was to be made.
    Held,
    /// The caller's time is up.
    TimedOut,
    /// The caller dropped its future.
    GaveUp,
    /// The server was not reached or said no, the key holds something else, or the client is closed.
    Failed,
}

/// What came of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unlocked {
    /// The lock is free, or the next one's who waits in this process.
    Confirmed,
    /// It was not ours any more: somebody else may have had it before the release.
    NotOurs,
    /// No answer came before the lease had ended.
    Unconfirmed,
}

impl Purpose {
    /// One word, such as `data`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Locks => "locks",
            Self::Subscriptions => "subscriptions",
            Self::Leased => "leased",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl NotAcquired {
    /// One word, such as `timed_out`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::TimedOut => "timed_out",
            Self::GaveUp => "gave_up",
            Self::Failed => "failed",
        }
    }
}

impl Unlocked {
    /// One word, such as `confirmed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::NotOurs => "not_ours",
            Self::Unconfirmed => "unconfirmed",
        }
    }
}
