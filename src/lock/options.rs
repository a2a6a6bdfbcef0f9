//! `Options`: what a lock is like, with a default and a reason for each setting.

use crate::backoff::Backoff;
use std::time::Duration;

/// How a lock is taken, held and waited for, built by value.
///
/// ```
/// use std::time::Duration;
/// use tenure::Options;
///
/// let options = Options::new().lease(Duration::from_secs(30)).purpose("nightly close");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    pub(crate) lease: Duration,
    pub(crate) renewal: Renewal,
    pub(crate) key_prefix: String,
    pub(crate) backoff: Backoff,
    pub(crate) wakeup: Wakeup,
    pub(crate) max_hold: Option<Duration>,
    pub(crate) heartbeat: Option<Duration>,
    pub(crate) at_least_for: Duration,
    pub(crate) lock_delay: Duration,
    pub(crate) durability: Option<Durability>,
    pub(crate) watch_at_once: bool,
    pub(crate) label: String,
    pub(crate) purpose: String,
}

/// Whether a guard prolongs its lease by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Renewal {
    /// Every third of a lease, for as long as the guard lives.
    #[default]
    Auto,
    /// Never: the lock ends with its first lease.
    Off,
}

/// How a waiter learns that the lock is free. Whatever it is, it asks by itself when the holder's lease is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Wakeup {
    /// As [`Wakeup::Track`], until several processes contend for the lock; then as [`Wakeup::Announce`]. A lock for which
    /// nobody waits takes two commands, and one that is contended does not wake everybody in vain. With RESP2, where nothing can be
    /// tracked, waiters listen on a connection beside, and ask at intervals all the same: a holder that has met no rival is silent.
    #[default]
    Auto,
    /// The server tells, whoever freed the lock and however: by client tracking, which needs RESP3. Costs whoever releases
    /// nothing; whoever waits is also told when the holder renews or hands over, and asks in vain.
    Track,
    /// Whoever releases the lock tells, by `PUBLISH` beside the release. Renewals and hand-overs are silent; a lock that
    /// is freed by other means is noticed within a second or when its lease is over. All who share a lock should choose
    /// it, or none. With RESP2 waiters listen on a connection beside.
    Announce,
    /// Nobody tells: waiters ask at growing random intervals ([`Options::backoff`]). Also what the others fall back to
    /// where the server does not let them hear.
    Poll,
}

/// Where copies of a lock must be before it is handed out, and how long they may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// In the memory of that many replicas (`WAIT`).
    Replicas {
        /// How many.
        count: u32,
        /// How long that may take.
        timeout: Duration,
    },
    /// On the server's own disk, and on that of so many replicas (`WAITAOF`; Redis 7.2, Valkey).
    Disk {
        /// How many replicas; zero for the server alone.
        replicas: u32,
        /// How long that may take.
        timeout: Duration,
    },
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(10),
            renewal: Renewal::Auto,
            key_prefix: "lk:".to_owned(),
            backoff: Backoff::new(Duration::from_millis(2), 1.6, Duration::from_millis(250)),
            wakeup: Wakeup::default(),
            max_hold: Some(Duration::from_secs(60 * 60)),
            heartbeat: None,
            at_least_for: Duration::ZERO,
            lock_delay: Duration::ZERO,
            durability: None,
            watch_at_once: false,
            label: String::new(),
            purpose: String::new(),
        }
    }
}

impl Options {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long the lock outlives a holder that died, in whole milliseconds. Default: 10 s, so that a crash costs others ten
    /// seconds, and a renewal may fail twice before anything is lost.
    ///
    /// Independent of how long a caller is willing to wait.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Whether the guard renews its lease by itself. Default: [`Renewal::Auto`].
    pub fn renewal(mut self, renewal: Renewal) -> Self {
        self.renewal = renewal;
        self
    }

    /// What stands in front of the name in the key. Default: `lk:`, so that no lock meets a key with data; with `""` locks are
    /// shared with libraries that use the bare name.
    ///
    /// Another library's lock is waited for until it is released or its lease is over. So is one of ServiceStack.Redis, whose key
    /// has no lease but says in its value until when it holds, in milliseconds since 1970: when that time has passed by the
    /// server's clock, it is taken over, unless somebody was faster. It respects ours. Its release does not look at the owner: a
    /// holder of theirs that is late deletes whatever is there, and the guard here is lost.
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.key_prefix = prefix.into();
        self
    }

    /// How a waiter learns that the lock is free. Default: [`Wakeup::Auto`].
    pub fn wakeup(mut self, wakeup: Wakeup) -> Self {
        self.wakeup = wakeup;
        self
    }

    /// How long a guard may hold the lock in all; it is lost then, with [`LostCause::MaxHold`](crate::LostCause::MaxHold).
    /// Default: one hour, so that work that hangs, or a guard that was leaked, does not keep everybody else out for ever.
    /// `None` lets it hold for as long as it lives.
    pub fn max_hold(mut self, most: impl Into<Option<Duration>>) -> Self {
        self.max_hold = most.into();
        self
    }

    /// Renews only while the work says that it is alive, by calling [`Guard::beat`](crate::Guard::beat) at least this often;
    /// otherwise the lock ends with its lease. Default: none, renewal goes on for as long as the guard lives.
    pub fn heartbeat(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.heartbeat = interval.into();
        self
    }

    /// How long the lock stays taken at least, counted from when it was acquired: a release before that leaves the key to end by itself
    /// when the time is over. Default: zero, a release frees the lock at once.
    ///
    /// For work that every server is to begin at the same time and one is to do: the one that comes late, because its clock is, finds
    /// the lock taken although the work is done. It holds for the guard that is dropped, and for a client that is closed, too. Not for
    /// a process that dies: then the lock ends with its lease, so let that be no shorter; with the grant of a fair lock that was not
    /// confirmed yet, after two seconds at most.
    pub fn at_least_for(mut self, least: Duration) -> Self {
        self.at_least_for = least;
        self
    }

    /// For how long nobody gets the lock after its holder has lost it without releasing it: it died, was stopped, or could not reach the
    /// server until its lease was over. Default: zero.
    ///
    /// A holder that was cut off may still be at work, or its last request may still be on its way to some third party; this gives
    /// both time to end. The key simply lives for longer than the lease on which the holder relies, so nobody else needs to know of
    /// it. A release in order frees the lock at once; a lock whose key somebody deleted, or that the server lost, is free at once as
    /// well. It narrows the window, as waiting always does: only a fencing token closes it.
    pub fn lock_delay(mut self, delay: Duration) -> Self {
        self.lock_delay = delay;
        self
    }

    /// How many copies of the lock there must be before it is handed out. Default: none beside the server's own memory.
    ///
    /// Costs each acquire a second round trip, on a connection of its own
    /// ([`Config::leased_connections`](crate::Config::leased_connections)), and the right to `WAIT` or `WAITAOF`. If there are fewer in
    /// time, the lock is released and the call ends with [`AcquireError::NotDurable`](crate::AcquireError::NotDurable).
    ///
    /// It makes it less likely that a failover loses the lock, and no more than that: the replica that is promoted may be one that had
    /// no copy, and renewals and releases are not waited for. Ask for a majority of the replicas rather than for one.
    pub fn durability(mut self, durability: impl Into<Option<Durability>>) -> Self {
        self.durability = durability.into();
        self
    }

    /// Has the server tell from the first moment on when somebody else changes the lock's key, instead of from the first
    /// renewal on, a third of a lease later. Costs one more command for each acquire; needs RESP3.
    pub fn watch_at_once(mut self) -> Self {
        self.watch_at_once = true;
        self
    }

    /// The waits between attempts while somebody else holds the lock and nobody tells when it is free. Default: from 2 ms, times 1.6, up to 250 ms, with full
    /// jitter; it begins anew when the holder changes, and never sleeps past the end of the holder's lease or the caller's
    /// deadline.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Who holds the lock, for people: a service's name. Default: empty. Stored in the lock, so no secrets; cut at 64 bytes.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// What the lock is held for, for people. Default: empty. Stored in the lock, so no secrets; cut at 64 bytes.
    pub fn purpose(mut self, purpose: impl Into<String>) -> Self {
        self.purpose = purpose.into();
        self
    }
}
