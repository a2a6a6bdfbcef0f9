//! From replies to what they mean for an errand. Pure.

use crate::client::{Frame, answer, kind};
use crate::error::{Error, ErrorKind, Outcome, ServerError};
use crate::lock::dialect::Dialect;
use crate::lock::elder;
use crate::lock::fairness;
use crate::lock::gate::{Errand, Failure, Fence, Left, Said};
use crate::lock::minting;
use crate::lock::token;
use bytes::Bytes;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

/// What the replies to one errand mean.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) said: Said,
    /// Why the errand came to nothing, if it did.
    pub(crate) error: Option<Error>,
    /// Somebody else's value that was found in the key.
    pub(crate) found: Option<Bytes>,
}

/// What stands for a reply that was not asked for.
const NONE: Reply = Ok(Frame::Null);

/// What an errand was answered with.
#[derive(Debug)]
pub(crate) enum Replies {
    One(Reply),
    /// As many as there were commands; null stands for the others.
    Several([Reply; 3]),
}

pub(crate) type Reply = Result<Frame, Error>;

impl Replies {
    /// Why there are none, of which one reason is enough.
    pub(crate) fn error(self) -> Option<Error> {
        match self {
            Self::One(reply) => reply.err(),
            Self::Several(replies) => replies.into_iter().find_map(Result::err),
        }
    }
}

impl From<Said> for Reading {
    fn from(said: Said) -> Self {
        Self { said, error: None, found: None }
    }
}

impl From<Error> for Reading {
    fn from(error: Error) -> Self {
        let said = Said::Failed(failure(&error));
        Self { said, error: Some(error), found: None }
    }
}

impl From<Result<Said, Error>> for Reading {
    fn from(read: Result<Said, Error>) -> Self {
        read.map_or_else(Self::from, Self::from)
    }
}

impl Dialect {
    /// Reads the `whole` replies to an errand of a claim with this value; of a hand-over, it is the next one's.
    pub(crate) fn read(
        &self,
        errand: &Errand,
        whole: usize,
        replies: Replies,
        value: &[u8],
    ) -> Reading {
        match replies {
            Replies::One(reply) => self.read_one(errand, reply.and_then(answer), value),
            Replies::Several(replies) => self.read_several(errand, whole, replies, value),
        }
    }

    fn read_one(&self, errand: &Errand, reply: Reply, value: &[u8]) -> Reading {
        match errand {
            Errand::Ask { fence: Fence::No, .. } => self.taken(reply, value),
            Errand::Ask { fence, .. } if !self.mints_along(*fence) => self.taken(reply, value),
            Errand::Ask { .. } => self.taken_with_fence([reply, NONE, NONE], value),
            Errand::HandOver { in_full, fenced: true, .. } => {
                self.passed_with_fence(*in_full, [reply, NONE, NONE], value).into()
            }
            Errand::Mint { .. } => minting::minted_or_when([reply, NONE, NONE], value).into(),
            Errand::Queue { .. } => self.stood_in_line(reply),
            Errand::Leave { .. } => fairness::left_the_line(reply).into(),
            Errand::Look { dated, .. } => {
                looked(reply, Ok(Frame::Null), *dated).map(Said::Left).into()
            }
            Errand::Release { in_full, aloud, .. } => {
                let reply = [reply, Ok(Frame::Null)];
                self.freed(reply, 1, (*in_full, *aloud)).into()
            }
            Errand::Plead { .. } => reply.map(|_| Said::Ours(Left::Unasked)).into(),
            Errand::HandOver { in_full, .. }
            | Errand::Take { in_full, .. }
            | Errand::Keep { in_full, .. }
            | Errand::Confirm { in_full, .. }
            | Errand::Renew { in_full, .. } => compared(reply, *in_full).into(),
            Errand::Verify { .. } => verified(reply, Ok(Frame::Integer(-1)), value).into(),
        }
    }

    fn read_several(
        &self,
        errand: &Errand,
        whole: usize,
        replies: [Reply; 3],
        value: &[u8],
    ) -> Reading {
        let replies = replies.map(|reply| reply.and_then(answer));
        match errand {
            Errand::Ask { fence, .. } if self.mints_along(*fence) => {
                return self.taken_with_fence(replies, value);
            }
            Errand::HandOver { in_full, fenced: true, .. } => {
                return self.passed_with_fence(*in_full, replies, value).into();
            }
            _ => {}
        }
        let [first, second, third] = replies;
        match errand {
            Errand::Ask { .. } if whole < 3 => self.taken(first, value),
            Errand::Ask { .. } => self.taken_and_got(first, second, third, value),
            Errand::Look { dated, .. } => looked(first, second, *dated).map(Said::Left).into(),
            Errand::Verify { .. } => verified(first, second, value).into(),
            Errand::Renew { in_full, .. } => match compared(first, *in_full) {
                Ok(Said::NotOurs) if left(second).is_ok_and(|left| left == Left::Nothing) => {
                    Said::Gone.into()
                }
                read => read.into(),
            },
            Errand::Release { in_full, aloud, .. } => {
                self.freed([first, second], whole, (*in_full, *aloud)).into()
            }
            Errand::Queue { .. } => self.stood_in_line(first),
            Errand::Plead { .. } => first.map(|_| Said::Ours(Left::Unasked)).into(),
            Errand::Leave { .. } => fairness::left_the_line(first).into(),
            Errand::Confirm { in_full, .. } => compared(first, *in_full).into(),
            Errand::HandOver { in_full, .. }
            | Errand::Take { in_full, .. }
            | Errand::Keep { in_full, .. } => compared(first, *in_full).into(),
            Errand::Mint { .. } => minting::minted_or_when([first, second, third], value).into(),
        }
    }

    /// Reads the reply to `SET … NX … GET`.
    pub(crate) fn taken(&self, set: Reply, value: &[u8]) -> Reading {
        match set {
            Ok(Frame::Null) => Said::Fresh.into(),
            Ok(Frame::Bulk(found)) if found == value && !defect!(40) => Said::Earlier.into(),
            Ok(Frame::Bulk(found)) => held(found.into(), Left::Unasked),
            Ok(other) => unreadable("SET", &other).into(),
            Err(error) => self.refused(error),
        }
    }

    /// Reads the replies to `SET … NX`, `GET` and `PTTL`. A list in the key shows only in the second.
    fn taken_and_got(&self, set: Reply, get: Reply, pttl: Reply, value: &[u8]) -> Reading {
        let found = match get {
            Ok(found) => found,
            Err(error) => return self.refused(error),
        };
        let fresh = match set {
            Ok(Frame::Null) => false,
            Ok(Frame::Simple(_)) => true,
            Ok(other) => return unreadable("SET", &other).into(),
            Err(error) => return self.refused(error),
        };
        match (found, left(pttl)) {
            (Frame::Bulk(found), _) if found == value && fresh => Said::Fresh.into(),
            (Frame::Bulk(found), _) if found == value => Said::Earlier.into(),
            (Frame::Bulk(found), Ok(left)) => held(found.into(), left),
            (Frame::Null, _) => held(Bytes::new(), Left::Nothing),
            (_, Err(error)) => error.into(),
            (other, _) => unreadable("GET", &other).into(),
        }
    }

    /// Reads the replies to a release and, if there is one, its announcement, which are one if a script does both.
    fn freed(
        &self,
        [release, publish]: [Reply; 2],
        whole: usize,
        (in_full, aloud): (bool, bool),
    ) -> Result<Said, Error> {
        let told = |told: i64| Said::Freed { told: u32::try_from(told).unwrap_or(u32::MAX) };
        match (release, publish) {
            (Ok(Frame::Integer(ours @ 1..)), _) if aloud && whole == 1 => Ok(told(ours - 1)),
            (Ok(Frame::Integer(1)), Ok(Frame::Integer(count))) if aloud => Ok(told(count)),
            (Err(error), _) if !in_full && forbids(&error) && self.unlearn_comparing() => {
                Ok(Said::InFull)
            }
            (Err(error), _) if error.server().is_some_and(ServerError::forbids_in_script) => {
                // Then the command may as well be tried again: rights can be given.
                self.relearn_comparing();
                Err(error)
            }
            (release, _) => compared(release, in_full),
        }
    }

    /// A refusal may teach something.
    pub(crate) fn refused(&self, error: Error) -> Reading {
        let Some(said) = error.server() else { return error.into() };
        if is_wrong_type(said) {
            return Said::KeyInUse.into();
        }
        if said.message().starts_with("ERR syntax error") && self.unlearn_set_get() {
            return Said::Rephrase.into();
        }
        error.into()
    }
}

/// Equal bytes, equal numbers.
pub(crate) fn number(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

fn held(found: Bytes, left: Left) -> Reading {
    let process = number(token::process(&found).unwrap_or(&found));
    let left = match (left, elder::holds_until(&found)) {
        (Left::Unasked | Left::Endless, Some(until_ms)) => Left::Undated(until_ms),
        (left, _) => left,
    };
    let said = Said::Held { holder: number(&found), process, left };
    Reading { said, error: None, found: Some(found).filter(|found| !found.is_empty()) }
}

/// Reads the reply to whatever compares the owner first.
pub(crate) fn compared(reply: Reply, in_full: bool) -> Result<Said, Error> {
    match reply {
        Ok(Frame::Integer(1) | Frame::Simple(_)) => Ok(Said::Ours(Left::Unasked)),
        Ok(Frame::Integer(0) | Frame::Null) => Ok(Said::NotOurs),
        Ok(other) => Err(unreadable("the comparison", &other)),
        Err(error) => match error.server() {
            Some(said) if !in_full && wants_text(said) => Ok(Said::InFull),
            // Whatever the key holds now, it is not our value.
            Some(said) if is_wrong_type(said) => Ok(Said::NotOurs),
            _ => Err(error),
        },
    }
}

/// Reads the replies to `GET` and `PTTL`.
fn verified(get: Reply, pttl: Reply, value: &[u8]) -> Result<Said, Error> {
    match get {
        Ok(Frame::Bulk(found)) if found == value => Ok(Said::Ours(left(pttl)?)),
        Ok(Frame::Bulk(_)) => Ok(Said::NotOurs),
        Ok(Frame::Null) => Ok(Said::Gone),
        Ok(other) => Err(unreadable("GET", &other)),
        Err(error) if error.server().is_some_and(is_wrong_type) => Ok(Said::NotOurs),
        Err(error) => Err(error),
    }
}

/// Reads the replies to `PTTL`, and to `TIME` where the holder says itself until when it holds.
fn looked(pttl: Reply, time: Reply, dated: Option<u64>) -> Result<Left, Error> {
    match (left(pttl)?, dated) {
        (Left::Endless, Some(until_ms)) => {
            let time = time?;
            let left = elder::left(until_ms, &time);
            left.map(Left::Dated).ok_or_else(|| unreadable("TIME", &time))
        }
        (left, _) => Ok(left),
    }
}

/// Reads the reply to `PTTL`.
fn left(reply: Reply) -> Result<Left, Error> {
    match reply? {
        Frame::Integer(-2) => Ok(Left::Nothing),
        Frame::Integer(left) => Ok(u64::try_from(left)
            .map_or(Left::Endless, |left| Left::For(Duration::from_millis(left)))),
        other => Err(unreadable("PTTL", &other)),
    }
}

/// What an error means for whoever waits for an answer.
fn failure(error: &Error) -> Failure {
    let may_have_run = error.outcome() == Outcome::Unknown;
    match error.kind() {
        ErrorKind::Closed => Failure::Closed,
        // New credentials may come at any time; who shall not wait for them is told besides.
        ErrorKind::Handshake => Failure::Passing { may_have_run },
        _ if error.is_transient() && error.server().is_some() && !may_have_run => Failure::Refused,
        _ if error.is_transient() => Failure::Passing { may_have_run },
        _ => Failure::ForGood { may_have_run },
    }
}

/// Scripts of Redis 6.2 name the cause further in, so the first word is not enough.
fn is_wrong_type(said: &ServerError) -> bool {
    said.message().contains("WRONGTYPE")
}

/// The user may not run what was sent.
fn forbids(error: &Error) -> bool {
    error.server().is_some_and(ServerError::forbids_command)
}

/// The server has forgotten the script, or has no memory for the command that stands for it.
fn wants_text(said: &ServerError) -> bool {
    said.code() == "NOSCRIPT" || said.message().contains("OOM command not allowed")
}

pub(crate) fn unreadable(command: &str, frame: &Frame) -> Error {
    Error::unexpected(&format!("the answer to {command}"), kind(frame))
}
