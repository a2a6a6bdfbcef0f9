//! What a gate is told, what it answers with, and what passes between the two.

use crate::backoff::Backoff;
use crate::lock::error::LostCause;
use crate::lock::fence::FencingToken;
use crate::lock::gate::fair::{Found, Given};
use crate::lock::hold::Clocks;
use crate::lock::lease::Lease;
use crate::lock::options::{Renewal, Wakeup};
use std::time::Duration;
use tokio::time::Instant;

/// Names one acquire call and whatever comes of it: one owner token, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Claim(pub(crate) u64);

/// How a lock is to be held and waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Terms {
    pub(crate) lease: Lease,
    pub(crate) renewal: Renewal,
    pub(crate) max_hold: Option<Duration>,
    pub(crate) heartbeat: Option<Duration>,
    /// How long the key stays at least, even if the lock is released before.
    pub(crate) at_least: Duration,
    pub(crate) watch_at_once: bool,
    /// Whether each hold has a fence.
    pub(crate) fenced: bool,
    /// Whether it is waited for in one line with all other processes.
    pub(crate) fair: bool,
    pub(crate) wakeup: Wakeup,
    pub(crate) backoff: Backoff,
}

/// How long a caller waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Patience {
    /// One attempt, whose answer may take until then.
    Once(Instant),
    /// The same, to take the key from the hold that the caller has looked at, whoever else waits.
    Seize(Instant),
    Until(Instant),
    Endless,
}

/// What is the case while an event is handled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scene {
    pub(crate) now: Instant,
    /// Both clocks before the question was sent whose answer this is, or when a grant was heard of that nobody had asked for.
    pub(crate) clocks: Option<Clocks>,
    /// Any evenly distributed number, for jitter.
    pub(crate) entropy: u64,
    /// Whether there is a connection that commands can be sent on.
    pub(crate) online: bool,
    pub(crate) ears: Ears,
}

/// What the connection is told without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Ears {
    /// Reading a key makes the server tell of its next change.
    pub(crate) tracks: bool,
    /// Published messages are heard.
    pub(crate) hears: bool,
    /// The same, on the connection itself: whose turn it is can be told.
    pub(crate) told: bool,
    /// Scripts of ours that change a key are told to ourselves.
    pub(crate) echoes: bool,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Event {
    /// A caller wants the lock.
    Came { claim: Claim, terms: Terms, patience: Patience },
    /// A caller that was not granted the lock has gone.
    Left { claim: Claim },
    /// A caller has gone that was granted the lock and did not know it yet.
    Declined { claim: Claim },
    /// A guard was released or dropped.
    Released { claim: Claim },
    /// The work that holds the lock is alive.
    Beat { claim: Claim },
    /// Somebody wants to know from the server, now, whether the lock is still held.
    Doubted { claim: Claim },
    /// The clocks disagree about whether the lock is still held.
    Suspected { claim: Claim },
    /// The server answered an errand, or it came to nothing.
    Said { errand: Errand, said: Said },
    /// Somebody changed the key, says the server.
    Changed,
    /// All keys are gone, says the server.
    Flushed,
    /// The server has given the lock to a fair claim.
    Given(Given),
    /// A process released the lock, as it says itself, and callers of its own still wait if it `waits`. Equal numbers stand for
    /// equal processes.
    Announced { process: u64, waits: bool },
    /// A process says that it waits, and that others are faster.
    Pleaded { process: u64 },
    /// Announcements are heard from now on.
    Hearing,
    /// Announcements are not heard any more.
    Deafened,
    /// There is a connection again. What the one before was sent and has not run yet never will, if it is `fenced` off. The
    /// server has kept its data, as far as is known, if it is the `same`.
    Opened { fenced: bool, same: bool },
    /// No call will be answered by the server, until it opens again.
    Refused,
    /// No more locks: what is held is released.
    Closing,
    /// The same, and no connection will come any more.
    Closed,
    /// Time has passed.
    Tick,
}

/// What is asked of the server, in one write and answered as one. `sent` is from before anything was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Errand {
    /// Take the key if it is free, and tell who has it otherwise.
    Ask { claim: Claim, sent: Instant, lease: Lease, watch: bool, fence: Fence },
    /// Mint a fence, if the key is ours; where none was minted before, it begins at that time of the server's, if known.
    Mint { claim: Claim, sent: Instant, begin: Option<Duration> },
    /// What is left of the holder's lease? The answer arms a push; `listen` also asks for announcements. A holder that is `dated`
    /// says itself until when it holds, in milliseconds since 1970.
    Look { claim: Claim, sent: Instant, listen: bool, dated: Option<u64> },
    /// Take the key from the holder that was seen last, if it still has it.
    Take { claim: Claim, sent: Instant, lease: Lease, in_full: bool },
    /// A new lease, if the key is ours.
    Renew { claim: Claim, sent: Instant, lease: Lease, in_full: bool },
    /// Is the key ours, and for how long?
    Verify { claim: Claim, sent: Instant },
    /// Another owner and a new lease, if the key is ours.
    HandOver { from: Claim, to: Claim, sent: Instant, lease: Lease, in_full: bool, fenced: bool },
    /// Leave the key to its end by itself, so much later, if it is ours.
    Keep { claim: Claim, rest: Lease, in_full: bool },
    /// Take the key if it is free and our turn; stand in line for it otherwise, if the claim `waits`. If it is to `listen`, it
    /// is told of its turn, for which the process subscribes first.
    Queue { claim: Claim, sent: Instant, lease: Lease, waits: bool, listen: bool, in_full: bool },
    /// As `Renew`, of a lock that was given to us, and without arming a push.
    Confirm { claim: Claim, sent: Instant, lease: Lease, in_full: bool },
    /// Give the key to the next in line, or free it, if it is ours; leave the line otherwise.
    Leave { claim: Claim, in_full: bool },
    /// Free the key, if it is ours; and tell those who wait, if `aloud`, that others `wait` here.
    Release { claim: Claim, in_full: bool, aloud: bool, waits: bool },
    /// Tell the others that we wait. Nobody hears what becomes of it.
    Plead { claim: Claim },
}

impl Errand {
    /// For whom it is sent.
    pub(crate) fn claim(&self) -> Claim {
        match *self {
            Self::Ask { claim, .. }
            | Self::Mint { claim, .. }
            | Self::Look { claim, .. }
            | Self::Take { claim, .. }
            | Self::Keep { claim, .. }
            | Self::Renew { claim, .. }
            | Self::Verify { claim, .. }
            | Self::Queue { claim, .. }
            | Self::Confirm { claim, .. }
            | Self::Leave { claim, .. }
            | Self::Release { claim, .. }
            | Self::Plead { claim } => claim,
            Self::HandOver { from, .. } => from,
        }
    }

    /// Whose the key is if it does what it is to do.
    pub(crate) fn owner_after(&self) -> Claim {
        match *self {
            Self::HandOver { to, .. } => to,
            _ => self.claim(),
        }
    }
}

/// Whether a fence is minted when the key is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Fence {
    /// No fence is wanted.
    No,
    Along,
    /// As `Along`, with the script's text.
    InFull,
    /// As `Along`, unless that costs others something when the key is not ours: then by an errand of its own.
    Cheaply,
}

/// What became of an errand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Said {
    /// `Ask`: the key was free and is ours.
    Fresh,
    /// `Ask`, `HandOver`, `Mint`: the key is ours, by a lease that this errand began unless it was to mint only, with this fence.
    Fenced(FencingToken),
    /// `Queue`: somebody else has the key, and so many stand before us, who came to stand there by this if it is `anew`; with the
    /// time at the server, in microseconds.
    Placed { left: Left, before: u32, at_us: u64, anew: bool },
    /// `Queue`: the key is ours, and how we come to it.
    Taken { fence: Option<FencingToken>, found: Found },
    /// `Queue`: there is no line without scripts.
    NoScripts,
    /// `Ask`, `Queue`: the server has forgotten the script; the same again with its text.
    Forgotten,
    /// `Mint`: the key is ours, and no fence was ever minted; it is that time at the server.
    Unbegun { now: Duration },
    /// `Ask`: the key had our value already, from an earlier attempt.
    Earlier,
    /// `Ask`: somebody else has it. Equal numbers stand for equal holders, and equal processes.
    Held { holder: u64, process: u64, left: Left },
    /// `Ask`, `Mint`: in other words, please.
    Rephrase,
    /// `Ask`: the key holds data that is not a lock.
    KeyInUse,
    /// Not sent, because a round trip takes so long that the lease is too short.
    TooShort { took: Duration },
    /// `Look`
    Left(Left),
    /// The key was ours; `Verify` also tells for how long.
    Ours(Left),
    /// `Release`: the key was ours and is free, and so many have been told, ourselves included. `Leave`: and nobody stood in line.
    Freed { told: u32 },
    /// The key does not exist.
    Gone,
    /// The key is not ours, and may not exist.
    NotOurs,
    /// The same again with the script's text: the server has forgotten it, or has no memory for anything else.
    InFull,
    /// No answer, or no usable one.
    Failed(Failure),
}

/// Why an errand came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Failure {
    /// It may work later; whether it ran is not known if it `may_have_run`.
    Passing {
        may_have_run: bool,
    },
    /// The server answered that it carries out nothing of the kind for now: whatever was sent before has run by then.
    Refused,
    /// The same would come of it again.
    ForGood {
        may_have_run: bool,
    },
    Closed,
}

/// What is left of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Left {
    /// The server was not asked.
    Unasked,
    /// The key is gone by now.
    Nothing,
    /// There may be no lease, but the holder's value says until when it holds, in milliseconds since 1970.
    Undated(u64),
    /// There is no lease, and so much is left to what the holder's value says.
    Dated(Duration),
    /// There is no lease: another library's lock.
    Endless,
    For(Duration),
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Order {
    Send(Errand),
    /// The lock is the claim's, for this long.
    Grant {
        claim: Claim,
        term: Term,
        /// Always, if the claim's terms want one.
        fence: Option<FencingToken>,
    },
    /// The caller gets no lock.
    Refuse {
        claim: Claim,
        why: Why,
    },
    /// The claim's hold is confirmed anew.
    Extend {
        claim: Claim,
        term: Term,
    },
    /// The claim's hold is over, and its guard still there.
    Lose {
        claim: Claim,
        cause: LostCause,
    },
    /// What became of a release.
    Report {
        claim: Claim,
        released: Released,
    },
    /// Nothing more will be ordered for the claim, and its value is not needed any more.
    Forget(Claim),
}

/// How long a hold may be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Term {
    /// Before the command was sent that this rests on.
    pub(crate) sent: Instant,
    pub(crate) deadline: Instant,
}

/// Why a caller gets no lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Why {
    /// Somebody else has it, or stands before the caller.
    Held,
    /// Its patience ran out.
    TimedOut,
    /// One attempt was to be made, and the server did not answer in time.
    NoAnswer,
    /// The lease was over, or would be, before the caller knew that it had one.
    TooShort {
        took: Duration,
    },
    KeyInUse,
    /// There is no line without scripts.
    NoScripts,
    /// The server said no, and will again.
    Failed,
    Closed,
}

/// What became of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Released {
    Yes,
    /// The key was not ours any more.
    NotOurs,
    /// The lease has surely ended, and nobody knows which came first.
    Unconfirmed,
}

impl Errand {
    /// The claim that waits for the answer, unless it is on its way out or hands over.
    pub(crate) fn asker(&self) -> Option<Claim> {
        match *self {
            Self::Ask { claim, .. }
            | Self::Mint { claim, .. }
            | Self::Look { claim, .. }
            | Self::Take { claim, .. }
            | Self::Renew { claim, .. }
            | Self::Verify { claim, .. }
            | Self::Queue { claim, .. }
            | Self::Confirm { claim, .. } => Some(claim),
            Self::HandOver { .. }
            | Self::Keep { .. }
            | Self::Release { .. }
            | Self::Plead { .. }
            | Self::Leave { .. } => None,
        }
    }
}

impl Failure {
    /// Whether the errand may have been done all the same.
    pub(crate) fn may_have_run(self) -> bool {
        match self {
            Self::Passing { may_have_run } | Self::ForGood { may_have_run } => may_have_run,
            Self::Refused => false,
            Self::Closed => true,
        }
    }
}

impl Patience {
    /// When the caller gives up.
    pub(crate) fn end(self) -> Option<Instant> {
        match self {
            Self::Once(end) | Self::Seize(end) | Self::Until(end) => Some(end),
            Self::Endless => None,
        }
    }

    /// Whether there is one attempt only.
    pub(crate) fn is_single(self) -> bool {
        matches!(self, Self::Once(_) | Self::Seize(_))
    }

    /// Whether an attempt that ends now was the last one.
    pub(crate) fn is_over(self, now: Instant) -> bool {
        match self {
            Self::Once(_) | Self::Seize(_) => true,
            Self::Until(end) => now >= end,
            Self::Endless => false,
        }
    }
}
