//! Locks with fences: how they are taken, handed over and given their fence, in the words of the server at hand.
//!
//! Where there are scripts, one of them does both. Where not, the stream is written to behind the command that takes the lock, and
//! the lock is read once more: a value is never brought back after it was lost, so a lock that has it before and after has had
//! it in between, and the fence is its holder's. Pure.

use crate::client::{Frame, Ink, encode};
use crate::error::Error;
use crate::lock::answers::{Reading, Reply, compared, unreadable};
use crate::lock::dialect::{Dialect, Script};
use crate::lock::fence::{self, FencingToken};
use crate::lock::gate::{Errand, Fence, Said};
use crate::lock::lease::Lease;
use crate::lock::phrases::{Matter, set_ifeq, set_nx};
use std::time::Duration;

/// How far ahead of the server's time fences begin without a script: what was minted a moment before it lost them had
/// that time, or a little more.
const AHEAD: Duration = Duration::from_millis(2);

impl Dialect {
    /// Whether whoever asks for the key also mints.
    pub(crate) fn mints_along(&self, fence: Fence) -> bool {
        match fence {
            Fence::No => false,
            Fence::Along | Fence::InFull => true,
            // A script mints only if the key is ours.
            Fence::Cheaply => self.has_scripts(),
        }
    }

    /// How many commands it takes to ask for the key.
    pub(crate) fn parts_of_asking(&self, watch: bool, fence: Fence) -> usize {
        let one = if self.mints_along(fence) { self.has_scripts() } else { self.has_set_get() };
        if one { 1 + usize::from(watch) } else { 3 }
    }

    /// Appends a command that has to do with a fence, if this is one.
    pub(crate) fn say_fenced(
        &self,
        errand: &Errand,
        part: usize,
        matter: &Matter<'_>,
        out: &mut Ink,
    ) -> bool {
        let Matter { key, value, next, fences, .. } = *matter;
        let scripts = self.has_scripts();
        match (errand, part) {
            (Errand::Ask { fence, .. }, _) if !self.mints_along(*fence) => return false,
            (Errand::HandOver { fenced: false, .. }, _) => return false,
            (Errand::Ask { lease, fence, .. }, 0) if scripts => {
                self.call(Script::TakeFenced, *fence == Fence::InFull, 8, out);
                arguments(&[b"2", key, fences, value], *lease, out);
            }
            (Errand::Ask { .. }, _) if scripts => return false,
            (Errand::Ask { lease, .. }, 0) => set_nx(key, value, *lease, true, out),
            (Errand::HandOver { lease, in_full, .. }, _) if scripts => {
                self.call(Script::PassFenced, *in_full, 9, out);
                arguments(&[b"2", key, fences, value, next], *lease, out);
            }
            (Errand::HandOver { lease, .. }, 0) => set_ifeq(key, next, value, *lease, out),
            (Errand::Mint { begin: Some(at), .. }, 0) => begin(fences, *at, out),
            (Errand::Mint { .. }, 0) | (Errand::Ask { .. } | Errand::HandOver { .. }, 1) => {
                let words = [b"XADD", fences, b"NOMKSTREAM", b"MAXLEN", b"1", b"*", b"f", b""];
                encode::command::<&[u8]>(&words, out);
            }
            (Errand::Mint { .. }, 2) => encode::command(&[b"TIME"], out),
            (Errand::Mint { .. } | Errand::Ask { .. } | Errand::HandOver { .. }, _) => {
                encode::command(&[&b"GET"[..], key], out);
            }
            _ => return false,
        }
        true
    }

    /// Whether an errand mints without a script, so that the stream is to be kept besides.
    pub(crate) fn keeps_fences(&self, errand: &Errand) -> bool {
        match errand {
            Errand::Ask { fence, .. } => self.mints_along(*fence) && !self.has_scripts(),
            Errand::HandOver { fenced, .. } => *fenced && !self.has_scripts(),
            Errand::Mint { .. } => true,
            _ => false,
        }
    }

    /// Reads the replies to asking for a lock with a fence.
    pub(crate) fn taken_with_fence(&self, replies: [Reply; 3], value: &[u8]) -> Reading {
        let [first, second, third] = replies;
        if !self.has_scripts() {
            let taken = self.taken(first, value);
            return match (taken.said, minted(second, third, value)) {
                // What went wrong with the fence is found out by whoever mints it now.
                (Said::Fresh, Ok(said @ Said::Fenced(_))) => said.into(),
                _ => taken,
            };
        }
        match first {
            Ok(Frame::Simple(id)) => token(&id).into(),
            Ok(other) => self.taken(Ok(other), value),
            Err(error) if error.server().is_some_and(|said| said.code() == "NOSCRIPT") => {
                Said::Forgotten.into()
            }
            Err(error) => self.refused(error),
        }
    }

    /// Reads the replies to handing over a lock to a claim with this value, with a fence.
    pub(crate) fn passed_with_fence(
        &self,
        in_full: bool,
        replies: [Reply; 3],
        next: &[u8],
    ) -> Result<Said, Error> {
        match replies {
            // Without scripts, that is what SET says.
            [Ok(Frame::Simple(id)), ..] if self.has_scripts() || defect!(66) => token(&id),
            [first, second, third] => {
                let passed = compared(first, in_full)?;
                match (passed, minted(second, third, next)) {
                    (Said::Ours(_), Ok(said @ Said::Fenced(_))) => Ok(said),
                    _ => Ok(passed),
                }
            }
        }
    }
}

fn arguments(words: &[&[u8]], lease: Lease, out: &mut Ink) {
    words.iter().for_each(|word| encode::bulk(word, out));
    encode::bulk_i64(lease.ttl_ms(), out);
    encode::bulk_i64(fence::KEPT_MS, out);
}

/// Appends the command that keeps a stream of fences.
pub(crate) fn keep(fences: &[u8], out: &mut Ink) {
    encode::array_header(3, out);
    encode::bulk(b"PEXPIRE", out);
    encode::bulk(fences, out);
    encode::bulk_i64(fence::KEPT_MS, out);
}

/// Appends the command that begins a stream of fences at a time.
fn begin(fences: &[u8], at: Duration, out: &mut Ink) {
    let at = at + AHEAD;
    let id = format!("{}-{}", at.as_millis(), at.subsec_micros() % 1000 * 1000);
    let words = [b"XADD", fences, b"MAXLEN", b"1", id.as_bytes(), b"f", b""];
    encode::command::<&[u8]>(&words, out);
}

/// Reads the replies to writing to the stream and reading the lock, and that to `TIME` if there is one.
pub(crate) fn minted_or_when(replies: [Reply; 3], value: &[u8]) -> Result<Said, Error> {
    let [xadd, get, time] = replies;
    match minted(xadd, get, value)? {
        Said::Fresh => match time? {
            Frame::Array(parts) => match &parts[..] {
                [seconds, micros] => match (number(seconds), number(micros)) {
                    (Some(seconds), Some(micros)) => {
                        let now = Duration::from_secs(seconds) + Duration::from_micros(micros);
                        Ok(Said::Unbegun { now })
                    }
                    _ => Err(unreadable("TIME", seconds)),
                },
                _ => Err(unreadable("TIME", &Frame::Null)),
            },
            other => Err(unreadable("TIME", &other)),
        },
        said => Ok(said),
    }
}

/// Reads the replies to writing to the stream and reading the lock. `Fresh` if there is no stream.
pub(crate) fn minted(xadd: Reply, get: Reply, value: &[u8]) -> Result<Said, Error> {
    match get? {
        Frame::Bulk(found) if found == value => {}
        _ if defect!(41) => {}
        Frame::Null => return Ok(Said::Gone),
        _ => return Ok(Said::NotOurs),
    }
    match xadd {
        Ok(Frame::Null) => Ok(Said::Fresh),
        Ok(Frame::Bulk(id)) => token(&id),
        Ok(other) => Err(unreadable("XADD", &other)),
        // Somebody has begun in between.
        Err(error) if error.server().is_some_and(|said| said.message().contains("or smaller")) => {
            Ok(Said::Rephrase)
        }
        Err(error) => Err(error),
    }
}

/// The fence in the reply of a script that has minted one, where there is nothing else to read.
#[inline]
pub(crate) fn fence_in(reply: &Frame) -> Option<FencingToken> {
    if let Frame::Simple(id) = reply { FencingToken::parse(id) } else { None }
}

fn token(id: &[u8]) -> Result<Said, Error> {
    let unreadable = || Error::unexpected("a fence", "an ID out of range");
    FencingToken::parse(id).map(Said::Fenced).ok_or_else(unreadable)
}

fn number(frame: &Frame) -> Option<u64> {
    match frame {
        Frame::Bulk(text) => std::str::from_utf8(text).ok()?.parse().ok(),
        _ => None,
    }
}
