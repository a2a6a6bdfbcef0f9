//! Fair locks in the server's words: scripts that keep a line of those who wait, and messages that say whose turn it is. Pure.

use crate::client::{Frame, Ink, encode};
use crate::error::Error;
use crate::lock::answers::{Reading, Reply, unreadable};
use crate::lock::dialect::{Dialect, Script};
use crate::lock::fence::FencingToken;
use crate::lock::gate::{ALIVE, Claim, Errand, Found, Given, Left, Said};
use crate::lock::lease::Lease;
use crate::lock::phrases::{Matter, set_ifeq};
use bytes::Bytes;
use std::time::Duration;

/// What fair locks have beside their key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line {
    /// A sorted set of those who wait, and a hash of the processes that live.
    queue: Bytes,
    lives: Bytes,
    /// Where the process is told of grants.
    inbox: Bytes,
    fenced: bool,
    /// What a place in the line begins with.
    terms: Bytes,
}

impl Line {
    pub(crate) fn new([queue, lives, inbox]: [Bytes; 3], confirm: Lease, fenced: bool) -> Self {
        let (ttl_ms, minted) = (confirm.ttl_ms(), u8::from(fenced));
        let terms = [format!("{ttl_ms};{minted};").as_bytes(), &inbox, b";"].concat().into();
        Self { queue, lives, inbox, fenced, terms }
    }
}

impl Dialect {
    /// Appends the command that stands in line, confirms or leaves.
    pub(crate) fn say_fair(&self, errand: &Errand, matter: &Matter<'_>, out: &mut Ink) {
        let Matter { key, value, .. } = *matter;
        // Only claims of fair locks stand in line.
        let Some(line) = matter.line else { return };
        match *errand {
            Errand::Queue { claim, lease, waits, listen, in_full, .. } => {
                self.call_fair((Script::FairAsk, in_full, 8), (matter, line), out);
                encode::bulk(value, out);
                encode::bulk_i64(lease.ttl_ms(), out);
                let hears = listen && self.ears().told;
                encode::bulk(&line.terms, out);
                encode::bulk(encode::Decimal::of(claim.0).digits(), out);
                encode::bulk_i64(i64::try_from(ALIVE.as_millis()).unwrap_or(i64::MAX), out);
                encode::bulk(if hears { &line.inbox } else { value }, out);
                encode::bulk(flag(line.fenced), out);
                encode::bulk(flag(waits), out);
            }
            Errand::Leave { claim, in_full } => {
                self.call_fair((Script::FairLeave, in_full, 3), (matter, line), out);
                encode::bulk(value, out);
                encode::bulk(&line.terms, out);
                encode::bulk(encode::Decimal::of(claim.0).digits(), out);
            }
            Errand::Confirm { lease, in_full, .. } => {
                if self.has_set_ifeq() && !in_full {
                    return set_ifeq(key, value, value, lease, out);
                }
                self.call(Script::Renew, in_full, 6, out);
                encode::bulk(b"1", out);
                encode::bulk(key, out);
                encode::bulk(value, out);
                encode::bulk_i64(lease.ttl_ms(), out);
            }
            _ => {}
        }
    }

    fn call_fair(
        &self,
        (script, in_full, args): (Script, bool, usize),
        (matter, line): (&Matter<'_>, &Line),
        out: &mut Ink,
    ) {
        self.call(script, in_full, 7 + args, out);
        for word in [&b"4"[..], matter.key, &line.queue, &line.lives, matter.fences] {
            encode::bulk(word, out);
        }
    }

    /// Reads the reply to asking for a fair lock.
    pub(crate) fn stood_in_line(&self, reply: Reply) -> Reading {
        let reply = match reply {
            Ok(reply) => reply,
            Err(error) if error.server().is_some_and(|said| said.code() == "NOSCRIPT") => {
                return Said::Forgotten.into();
            }
            Err(error) => return self.refused(error),
        };
        match parts(&reply) {
            Some(Place::Taken { fence: b"", found }) => Said::Taken { fence: None, found }.into(),
            Some(Place::Taken { fence, found }) => match FencingToken::parse(fence) {
                fence @ Some(_) => Said::Taken { fence, found }.into(),
                None => Error::unexpected("a fence", "an ID out of range").into(),
            },
            Some(Place::Behind { at_us, left, held, before, anew }) => {
                let said = Said::Placed { left, before, at_us, anew };
                Reading { said, error: None, found: Some(Bytes::copy_from_slice(held)) }
            }
            None => unreadable("the line", &reply).into(),
        }
    }
}

fn flag(set: bool) -> &'static [u8] {
    if set { b"1" } else { b"0" }
}

/// Reads the reply to leaving the line, or passing the lock on.
pub(crate) fn left_the_line(reply: Reply) -> Result<Said, Error> {
    match reply {
        Ok(Frame::Integer(2)) => Ok(Said::Ours(Left::Unasked)),
        Ok(Frame::Integer(1)) => Ok(Said::Freed { told: 0 }),
        Ok(Frame::Integer(0)) => Ok(Said::NotOurs),
        Ok(other) => Err(unreadable("leaving the line", &other)),
        Err(error) if error.server().is_some_and(|said| said.code() == "NOSCRIPT") => {
            Ok(Said::InFull)
        }
        Err(error) => Err(error),
    }
}

enum Place<'a> {
    Taken { fence: &'a [u8], found: Found },
    Behind { at_us: u64, left: Left, held: &'a [u8], before: u32, anew: bool },
}

fn parts(reply: &Frame) -> Option<Place<'_>> {
    let Frame::Array(items) = reply else { return None };
    match &items[..] {
        [Frame::Integer(1), Frame::Bulk(fence), Frame::Integer(found)] => {
            let found = match found {
                0 => Found::Free,
                1 => Found::Turn,
                2 => Found::Ours,
                _ => return None,
            };
            Some(Place::Taken { fence, found })
        }
        [
            Frame::Integer(0),
            Frame::Bulk(at),
            Frame::Integer(pttl),
            Frame::Bulk(held),
            Frame::Integer(before),
            Frame::Integer(anew),
        ] => {
            let at_us = micros(at)?;
            let left = match u64::try_from(*pttl) {
                Ok(left) => Left::For(Duration::from_millis(left)),
                Err(_) => Left::Endless,
            };
            let before = u32::try_from(*before).ok()?;
            Some(Place::Behind { at_us, left, held, before, anew: *anew == 1 })
        }
        _ => None,
    }
}

/// Reads `seconds microseconds`.
fn micros(time: &[u8]) -> Option<u64> {
    let (seconds, micros) = std::str::from_utf8(time).ok()?.split_once(' ')?;
    seconds.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(micros.parse().ok()?)
}

/// A message that says whose turn it is: the lock's key, the value of its new holder, and what there is to know.
pub(crate) struct Turn {
    pub(crate) key: Bytes,
    pub(crate) value: Bytes,
    pub(crate) given: Given,
}

impl Turn {
    /// Reads `key`, `value`, `claim`, `time` and `fence`, in lines. A key may have lines of its own.
    pub(crate) fn read(message: &Bytes) -> Option<Self> {
        let mut parts = message.rsplitn(5, |&byte| byte == b'\n');
        let (fence, at, claim) = (parts.next()?, parts.next()?, parts.next()?);
        let (value, key) = (parts.next()?, parts.next()?);
        let number = |part| std::str::from_utf8(part).ok()?.parse().ok();
        let fence = match fence {
            b"" => None,
            fence => Some(FencingToken::parse(fence)?),
        };
        let given = Given { claim: Claim(number(claim)?), at_us: micros(at)?, fence };
        Some(Self { key: message.slice_ref(key), value: message.slice_ref(value), given })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_read_also_of_keys_with_lines() {
        let message = Bytes::from_static(b"lk:a\nb\n1;V;x\n77\n1790000000 123456\n5-1");
        let turn = Turn::read(&message).unwrap();
        assert_eq!((&turn.key[..], &turn.value[..]), (&b"lk:a\nb"[..], &b"1;V;x"[..]));
        let fence = FencingToken::parse(b"5-1");
        assert_eq!(turn.given, Given { claim: Claim(77), at_us: 1_790_000_000_123_456, fence });
        let plain = Bytes::from_static(b"k\nV\n7\n0 8\n");
        assert_eq!(Turn::read(&plain).unwrap().given.fence, None);
        for bad in
            [&b""[..], b"k\nV\n7\n0 8", b"k\nV\n7\n8\n", b"k\nV\nx\n0 8\n", b"k\nV\n7\n0 8\nfence"]
        {
            assert!(Turn::read(&Bytes::from_static(bad)).is_none(), "{bad:?}");
        }
    }
}
