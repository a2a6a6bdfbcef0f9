//! Which commands a server has for a lock, and what its answers mean.
//!
//! | step | Valkey 9 | Redis 8.4 | Redis 7 | Redis 6.2 |
//! |---|---|---|---|---|
//! | take | `SET NX PX GET` | `SET NX PX GET` | `SET NX PX GET` | `SET NX PX`, `GET`, `PTTL` |
//! | release | `DELIFEQ` | `DELEX IFEQ` | script | script |
//! | renew | `SET IFEQ PX` | `SET IFEQ PX` | script | script |
//!
//! Commands are probed, not versions, when a connection opens (`SETUP`); what a probe cannot tell is learned from the first
//! refusal. Pure: it encodes, and reads frames.

use crate::client::{Session, answer};
use crate::error::{Error, ServerError};
use crate::lock::lease::Lease;
use bytes::{Bytes, BytesMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::client::Frame;
use crate::client::encode;

const RELEASE: &str = include_str!("scripts/release.lua");
const RENEW: &str = include_str!("scripts/renew.lua");

/// The commands of a server.
#[derive(Debug)]
pub(crate) struct Dialect {
    /// Whether `SET` takes `NX` and `GET` together; unlearned at the first syntax error.
    set_get: AtomicBool,
    release: Release,
    /// Whether `SET … IFEQ` exists; unlearned when the server's memory is full, as scripts still work then.
    set_ifeq: AtomicBool,
    scripts: Option<Scripts>,
    /// Why there are no scripts.
    refusal: Option<String>,
    /// How the server knows the connection: what to kill before anything depends on the order with a later one.
    peer: Option<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Release {
    DelIfEq,
    DelEx,
    Script,
}

#[derive(Debug)]
struct Scripts {
    release: Bytes,
    renew: Bytes,
}

/// What the server said to an attempt.
#[derive(Debug, PartialEq)]
pub(crate) enum Taken {
    /// The key was free and is ours.
    Fresh,
    /// The key had our value already: an earlier attempt of ours had got through.
    Earlier,
    /// Somebody else's value, and what is left of its lease where that is known.
    Held(Bytes, Left),
}

/// What is left of somebody's lease.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Left {
    /// The server was not asked.
    Unasked,
    /// The key is gone by now.
    Nothing,
    /// There is no lease: another library's lock.
    Endless,
    For(Duration),
}

/// What to do about a refusal.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The dialect has learned from it: the same again, in other words.
    Rephrase,
    /// The key holds something else.
    KeyInUse,
    Other(Error),
}

/// The commands a lock connection sends before it is ready.
pub(crate) fn setup(previous: Option<&Session>) -> Vec<Vec<Vec<u8>>> {
    let words = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect();
    let mut commands: Vec<Vec<Vec<u8>>> = Vec::new();
    if let Some((id, address)) = previous.and_then(|session| Dialect::of(session).peer.clone()) {
        // A command that the old connection still carries would otherwise run after what undoes it.
        commands.push(words(&["CLIENT", "KILL", "ID", &id, "ADDR", &address]));
    }
    commands.push(words(&["COMMAND", "INFO", "DELIFEQ", "DELEX"]));
    commands.push(words(&["SCRIPT", "LOAD", RELEASE]));
    commands.push(words(&["SCRIPT", "LOAD", RENEW]));
    commands.push(words(&["CLIENT", "INFO"]));
    commands
}

impl Dialect {
    /// Reads the answers to [`setup`].
    pub(crate) fn of(session: &Session) -> Self {
        let answers = &session.setup;
        let [info, release, renew, peer] = match answers.get(answers.len().saturating_sub(4)..) {
            Some([info, release, renew, peer]) => [info, release, renew, peer],
            _ => [&Frame::Null; 4],
        };
        let known = |index: usize| match info {
            Frame::Array(items) => {
                matches!(items.get(index), Some(Frame::Array(entry)) if !entry.is_empty())
            }
            _ => false,
        };
        let by = match (known(0), known(1)) {
            (true, _) => Release::DelIfEq,
            (false, true) => Release::DelEx,
            (false, false) => Release::Script,
        };
        let scripts = match (release, renew) {
            (Frame::Bulk(release), Frame::Bulk(renew)) => {
                Some(Scripts { release: release.clone(), renew: renew.clone() })
            }
            _ => None,
        };
        let refusal = match release {
            Frame::Error(text) => Some(String::from_utf8_lossy(text).into_owned()),
            _ => None,
        };
        Self {
            set_get: AtomicBool::new(session.version >= (7, 0)),
            release: by,
            set_ifeq: AtomicBool::new(by != Release::Script),
            scripts,
            refusal,
            peer: peer_of(peer),
        }
    }

    /// Why no lock can be released on this server, if so.
    pub(crate) fn lacks(&self) -> Option<String> {
        if self.release != Release::Script || self.scripts.is_some() {
            return None;
        }
        let refusal = self.refusal.as_deref().unwrap_or("SCRIPT LOAD was not answered");
        Some(format!(
            "the server has neither DELIFEQ nor DELEX, and scripts are refused ({refusal}): \
             allow SCRIPT LOAD, EVAL and EVALSHA, or use Valkey 9 or Redis 8.4"
        ))
    }

    /// How many commands, and so replies, an attempt consists of.
    pub(crate) fn attempt_len(&self) -> usize {
        if self.set_get.load(Ordering::Relaxed) { 1 } else { 3 }
    }

    /// Appends command number `part` of an attempt.
    pub(crate) fn attempt(&self, part: usize, whole: usize, hold: Key<'_>, out: &mut BytesMut) {
        let ttl = hold.lease.ttl_ms();
        match (part, whole) {
            (0, whole) => {
                encode::array_header(if whole == 1 { 7 } else { 6 }, out);
                encode::bulk(b"SET", out);
                encode::bulk(hold.key, out);
                encode::bulk(hold.value, out);
                encode::bulk(b"NX", out);
                encode::bulk(b"PX", out);
                encode::bulk_i64(ttl, out);
                if whole == 1 {
                    encode::bulk(b"GET", out);
                }
            }
            (1, _) => encode::command(&[b"GET", hold.key], out),
            _ => encode::command(&[b"PTTL", hold.key], out),
        }
    }

    /// Reads the replies to an attempt.
    pub(crate) fn taken(&self, replies: Vec<Frame>, value: &[u8]) -> Result<Taken, Refusal> {
        let mut replies = replies.into_iter();
        let set = replies.next().unwrap_or_default();
        let Some(get) = replies.next() else {
            return match answer(set).map_err(|error| self.refused(error))? {
                Frame::Null => Ok(Taken::Fresh),
                Frame::Bulk(found) if found == value => Ok(Taken::Earlier),
                Frame::Bulk(found) => Ok(Taken::Held(found, Left::Unasked)),
                other => Err(Refusal::Other(unreadable("SET", &other))),
            };
        };
        // Without GET in SET, a list in the key shows only here.
        let found = answer(get).map_err(|error| self.refused(error))?;
        let fresh = match answer(set).map_err(|error| self.refused(error))? {
            Frame::Null => false,
            Frame::Simple(_) => true,
            other => return Err(Refusal::Other(unreadable("SET", &other))),
        };
        let left = left(replies.next().unwrap_or_default()).map_err(Refusal::Other)?;
        match found {
            Frame::Bulk(found) if found == value && fresh => Ok(Taken::Fresh),
            Frame::Bulk(found) if found == value => Ok(Taken::Earlier),
            Frame::Bulk(found) => Ok(Taken::Held(found, left)),
            Frame::Null => Ok(Taken::Held(Bytes::new(), Left::Nothing)),
            other => Err(Refusal::Other(unreadable("GET", &other))),
        }
    }

    /// Whether a refusal teaches the dialect something.
    fn refused(&self, error: Error) -> Refusal {
        let Some(said) = error.server() else { return Refusal::Other(error) };
        if is_wrong_type(said) {
            return Refusal::KeyInUse;
        }
        if said.message().starts_with("ERR syntax error")
            && self.set_get.swap(false, Ordering::Relaxed)
        {
            return Refusal::Rephrase;
        }
        Refusal::Other(error)
    }

    /// Appends the command that deletes the key if it has the value.
    pub(crate) fn release(&self, hold: Key<'_>, out: &mut BytesMut) {
        match (self.release, &self.scripts) {
            (Release::DelIfEq, _) => encode::command(&[b"DELIFEQ", hold.key, hold.value], out),
            (Release::DelEx, _) => {
                encode::command(&[&b"DELEX"[..], hold.key, b"IFEQ", hold.value], out);
            }
            (Release::Script, Some(scripts)) => {
                let args = [&b"EVALSHA"[..], &scripts.release, b"1", hold.key, hold.value];
                encode::command(&args, out);
            }
            (Release::Script, None) => Self::release_in_full(hold, out),
        }
    }

    /// The same for a server that has forgotten the script.
    pub(crate) fn release_in_full(hold: Key<'_>, out: &mut BytesMut) {
        let args = [&b"EVAL"[..], RELEASE.as_bytes(), b"1", hold.key, hold.value];
        encode::command(&args, out);
    }

    /// Appends the command that begins a new lease if the key has the value.
    pub(crate) fn renew(&self, hold: Key<'_>, out: &mut BytesMut) {
        if self.set_ifeq.load(Ordering::Relaxed) {
            encode::array_header(7, out);
            encode::bulk(b"SET", out);
            encode::bulk(hold.key, out);
            encode::bulk(hold.value, out);
            encode::bulk(b"IFEQ", out);
            encode::bulk(hold.value, out);
            encode::bulk(b"PX", out);
            encode::bulk_i64(hold.lease.ttl_ms(), out);
            return;
        }
        let Some(scripts) = &self.scripts else { return Self::renew_in_full(hold, out) };
        encode::array_header(6, out);
        encode::bulk(b"EVALSHA", out);
        encode::bulk(&scripts.renew, out);
        Self::renew_args(hold, out);
    }

    /// The same for a server that has forgotten the script, or whose memory is full.
    pub(crate) fn renew_in_full(hold: Key<'_>, out: &mut BytesMut) {
        encode::array_header(6, out);
        encode::bulk(b"EVAL", out);
        encode::bulk(RENEW.as_bytes(), out);
        Self::renew_args(hold, out);
    }

    fn renew_args(hold: Key<'_>, out: &mut BytesMut) {
        encode::bulk(b"1", out);
        encode::bulk(hold.key, out);
        encode::bulk(hold.value, out);
        encode::bulk_i64(hold.lease.ttl_ms(), out);
    }
}

/// A key with the value and the lease it has, or is to have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
    pub(crate) lease: Lease,
}

/// What the server said to a release or a renewal.
#[derive(Debug)]
pub(crate) enum Compared {
    /// The key had the value.
    Ours,
    /// It had not.
    NotOurs,
    /// The server has forgotten the script, or wants one because its memory is full: the same again, in full.
    InFull,
    /// Nobody knows.
    Unknown(Error),
}

/// Reads the reply to a release or a renewal.
pub(crate) fn compared(reply: Result<Frame, Error>) -> Compared {
    match reply.and_then(answer) {
        Ok(Frame::Integer(1)) => Compared::Ours,
        Ok(Frame::Simple(_)) => Compared::Ours,
        Ok(Frame::Integer(0) | Frame::Null) => Compared::NotOurs,
        Ok(other) => Compared::Unknown(unreadable("the comparison", &other)),
        Err(error) => match error.server() {
            Some(said) if said.code() == "NOSCRIPT" || is_out_of_memory(said) => Compared::InFull,
            // Whatever the key holds now, it is not our value.
            Some(said) if is_wrong_type(said) => Compared::NotOurs,
            _ => Compared::Unknown(error),
        },
    }
}

/// Reads the reply to `PTTL`.
pub(crate) fn left(reply: Frame) -> Result<Left, Error> {
    match answer(reply)? {
        Frame::Integer(-2) => Ok(Left::Nothing),
        Frame::Integer(left) => Ok(u64::try_from(left)
            .map_or(Left::Endless, |left| Left::For(Duration::from_millis(left)))),
        other => Err(unreadable("PTTL", &other)),
    }
}

/// Scripts of Redis 6.2 name the cause further in, so the first word is not enough.
pub(crate) fn is_wrong_type(said: &ServerError) -> bool {
    said.message().contains("WRONGTYPE")
}

fn is_out_of_memory(said: &ServerError) -> bool {
    said.message().contains("OOM command not allowed")
}

fn unreadable(command: &str, frame: &Frame) -> Error {
    Error::unexpected(&format!("the answer to {command}"), crate::client::kind(frame))
}

/// `id=5 addr=127.0.0.1:4711 laddr=…`
fn peer_of(info: &Frame) -> Option<(String, String)> {
    let text = match info {
        Frame::Bulk(text) => text,
        Frame::Verbatim(verbatim) => &verbatim.text,
        _ => return None,
    };
    let text = std::str::from_utf8(text).ok()?;
    let field = |name: &str| {
        let mut fields = text.split_ascii_whitespace().filter_map(|field| field.split_once('='));
        fields.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
    };
    Some((field("id")?, field("addr")?))
}
