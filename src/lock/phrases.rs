//! From errands to commands, in the words of the server at hand. Pure.

use crate::client::{Ink, encode};
use crate::lock::dialect::{Dialect, Release, Script};
use crate::lock::fairness::Line;
use crate::lock::fence::KEPT_MS;
use crate::lock::gate::{Errand, Fence};
use crate::lock::lease::Lease;
use crate::lock::token::Form;

/// What an errand is about.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Matter<'a> {
    pub(crate) key: &'a [u8],
    /// The value of the errand's claim; of a hand-over, the old owner's.
    pub(crate) value: &'a [u8],
    /// Of a hand-over, the new owner's value.
    pub(crate) next: &'a [u8],
    /// The value of the holder that was seen last.
    pub(crate) seen: &'a [u8],
    /// Where releases are announced, and what is said there.
    pub(crate) channel: &'a [u8],
    pub(crate) message: &'a [u8],
    /// The stream of the lock's fences.
    pub(crate) fences: &'a [u8],
    /// What there is beside the key of a fair lock.
    pub(crate) line: Option<&'a Line>,
}

/// The commands that a hold takes to which nothing happens, all but the stamp: encoded once for all holds of a lock.
pub(crate) struct SetPhrases {
    /// With `SET`, or with the script that mints a fence as well.
    pub(crate) take: Form,
    /// With `DELIFEQ`.
    free: Form,
    lease: Lease,
}

impl SetPhrases {
    /// For values of this form.
    pub(crate) fn new(key: &[u8], value: &Form, lease: Lease) -> Self {
        let before = |command: &[u8]| {
            let mut out = Ink::from(command);
            encode::bulk(key, &mut out);
            out.extend_from_slice(format!("${}\r\n", value.len()).as_bytes());
            out
        };
        let mut behind = Ink::from(&b"\r\n"[..]);
        terms(lease, true, &mut behind);
        let take = value.between(&before(TAKE), &behind);
        Self { take, free: value.between(&before(FREE), b"\r\n"), lease }
    }

    /// The same of holds with fences from this stream, minted by the script that the server knows by this digest.
    pub(crate) fn fenced(mut self, [key, fences, digest]: [&[u8]; 3], value: &Form) -> Self {
        let [mut before, mut behind] = [Ink::new(), Ink::from(&b"\r\n"[..])];
        encode::array_header(8, &mut before);
        for word in [b"EVALSHA", digest, b"2", key, fences] {
            encode::bulk(word, &mut before);
        }
        before.extend_from_slice(format!("${}\r\n", value.len()).as_bytes());
        encode::bulk_i64(self.lease.ttl_ms(), &mut behind);
        encode::bulk_i64(KEPT_MS, &mut behind);
        self.take = value.between(&before, &behind);
        self
    }
}

const TAKE: &[u8] = b"*7\r\n$3\r\nSET\r\n";
const FREE: &[u8] = b"*3\r\n$7\r\nDELIFEQ\r\n";

impl SetPhrases {
    /// What frees the key, where that is `DELIFEQ`.
    #[inline]
    pub(crate) fn free(&self, release: Release) -> Option<&Form> {
        (release == Release::DelIfEq && !defect!(21)).then_some(&self.free)
    }

    /// The one command of an errand, if it is one of a plain hold.
    pub(crate) fn of(&self, errand: &Errand, release: Release) -> Option<&Form> {
        match errand {
            Errand::Ask { lease, fence: Fence::No, .. } if *lease == self.lease => Some(&self.take),
            Errand::Release { .. } => self.free(release),
            _ => None,
        }
    }
}

impl Dialect {
    /// How many commands, and so replies, an errand takes.
    pub(crate) fn parts(&self, errand: &Errand) -> usize {
        match errand {
            Errand::Ask { watch, fence, .. } => self.parts_of_asking(*watch, *fence),
            Errand::HandOver { fenced: true, .. } if !self.has_scripts() => 3,
            Errand::Mint { .. } => 3,
            Errand::Queue { .. } | Errand::Confirm { .. } | Errand::Leave { .. } => 1,
            Errand::Look { dated, .. } => 1 + usize::from(dated.is_some()),
            Errand::HandOver { .. } | Errand::Take { .. } | Errand::Keep { .. } => 1,
            Errand::Plead { .. } => 1,
            Errand::Renew { .. } | Errand::Verify { .. } => 2,
            Errand::Release { aloud, .. } => {
                1 + usize::from(*aloud && self.release() != Release::Script)
            }
        }
    }

    /// Appends command number `part` of the `whole` errand.
    pub(crate) fn say(
        &self,
        errand: &Errand,
        (part, whole): (usize, usize),
        matter: &Matter<'_>,
        out: &mut Ink,
    ) {
        let Matter { key, value, next, seen, channel, message, .. } = *matter;
        if self.say_fenced(errand, part, matter, out) {
            return;
        }
        match (errand, part) {
            (Errand::Ask { lease, .. }, 0) => set_nx(key, value, *lease, whole < 3, out),
            (Errand::Ask { .. }, 1) if whole == 3 => encode::command(&[&b"GET"[..], key], out),
            (Errand::Verify { .. }, 0) => encode::command(&[&b"GET"[..], key], out),
            (Errand::Renew { lease, .. }, 0) if defect!(22) => {
                let lease = lease.ttl_ms().to_string();
                encode::command(&[&b"SET"[..], key, value, b"PX", lease.as_bytes()], out);
            }
            (Errand::Renew { lease, in_full, .. }, 0)
            | (Errand::Keep { rest: lease, in_full, .. }, _) => {
                if self.has_set_ifeq() && !in_full {
                    return set_ifeq(key, value, value, *lease, out);
                }
                self.run(Script::Renew, *in_full, (key, 2), out);
                encode::bulk(value, out);
                encode::bulk_i64(lease.ttl_ms(), out);
            }
            (Errand::HandOver { lease, in_full, .. }, _) => {
                self.replace(key, (value, next), (*lease, *in_full), out);
            }
            (Errand::Take { lease, in_full, .. }, _) => {
                self.replace(key, (seen, value), (*lease, *in_full), out);
            }
            (Errand::Look { .. }, 1) => encode::command(&["TIME"], out),
            (Errand::Queue { .. } | Errand::Confirm { .. } | Errand::Leave { .. }, _) => {
                self.say_fair(errand, matter, out);
            }
            (Errand::Release { in_full, aloud, .. }, 0) => {
                self.free(matter, *in_full, *aloud, out);
            }
            (Errand::Release { .. } | Errand::Plead { .. }, _) => {
                encode::command(&[&b"PUBLISH"[..], channel, message], out);
            }
            (Errand::Look { .. } | Errand::Ask { .. } | Errand::Mint { .. }, _)
            | (Errand::Renew { .. } | Errand::Verify { .. }, _) => {
                encode::command(&[&b"PTTL"[..], key], out);
            }
        }
    }

    /// Puts one value in the place of another, with a new lease.
    fn replace(
        &self,
        key: &[u8],
        (old, new): (&[u8], &[u8]),
        (lease, in_full): (Lease, bool),
        out: &mut Ink,
    ) {
        if self.has_set_ifeq() && !in_full {
            return set_ifeq(key, new, old, lease, out);
        }
        self.run(Script::Pass, in_full, (key, 3), out);
        encode::bulk(old, out);
        encode::bulk(new, out);
        encode::bulk_i64(lease.ttl_ms(), out);
    }

    fn free(&self, matter: &Matter<'_>, in_full: bool, aloud: bool, out: &mut Ink) {
        let Matter { key, value, channel, message, .. } = *matter;
        match self.release() {
            _ if defect!(21) => encode::command(&[&b"DEL"[..], key], out),
            Release::DelIfEq => {
                out.extend_from_slice(FREE);
                encode::bulk(key, out);
                encode::bulk(value, out);
            }
            Release::DelEx => encode::command(&[&b"DELEX"[..], key, b"IFEQ", value], out),
            Release::Script if aloud => {
                self.run(Script::ReleaseAloud, in_full, (key, 3), out);
                encode::bulk(value, out);
                encode::bulk(channel, out);
                encode::bulk(message, out);
            }
            Release::Script => {
                self.run(Script::Release, in_full, (key, 1), out);
                encode::bulk(value, out);
            }
        }
    }

    /// Appends all of a script's call but its arguments, of which there are `args`.
    fn run(&self, script: Script, in_full: bool, (key, args): (&[u8], usize), out: &mut Ink) {
        self.call(script, in_full, 4 + args, out);
        encode::bulk(b"1", out);
        encode::bulk(key, out);
    }

    /// Appends the beginning of a script's call, which has so many parts in all.
    pub(crate) fn call(&self, script: Script, in_full: bool, parts: usize, out: &mut Ink) {
        encode::array_header(parts, out);
        let (command, name): (&[u8], _) = match self.calls_by_digest() && !in_full {
            true => (b"EVALSHA", script.digest()),
            false => (b"EVAL", script.text().as_bytes()),
        };
        encode::bulk(command, out);
        encode::bulk(name, out);
    }
}

pub(crate) fn set_nx(key: &[u8], value: &[u8], lease: Lease, get: bool, out: &mut Ink) {
    out.extend_from_slice(if get { TAKE } else { b"*6\r\n$3\r\nSET\r\n" });
    encode::bulk(key, out);
    encode::bulk(value, out);
    terms(lease, get, out);
}

/// On what terms a key is taken.
fn terms(lease: Lease, get: bool, out: &mut Ink) {
    out.extend_from_slice(b"$2\r\nNX\r\n$2\r\nPX\r\n");
    encode::bulk_i64(lease.ttl_ms(), out);
    if get {
        out.extend_from_slice(b"$3\r\nGET\r\n");
    }
}

pub(crate) fn set_ifeq(key: &[u8], value: &[u8], old: &[u8], lease: Lease, out: &mut Ink) {
    encode::array_header(7, out);
    encode::bulk(b"SET", out);
    encode::bulk(key, out);
    encode::bulk(value, out);
    encode::bulk(b"IFEQ", out);
    encode::bulk(old, out);
    encode::bulk(b"PX", out);
    encode::bulk_i64(lease.ttl_ms(), out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::gate::Claim;
    use crate::lock::token::{OwnerToken, Signature, Since, Stamp};
    use std::time::Duration;
    use tokio::time::Instant;

    #[test]
    fn set_phrases_say_what_is_said_otherwise() {
        let (key, form) = (b"lk:job", &Signature::new(["label", "host", ""], 7, 1).form);
        let stamp = Stamp { token: OwnerToken::new(1, 2), since: Since::default() };
        let mut value = Ink::new();
        form.write(&stamp, &mut value);
        let lease = |seconds| Lease::new(Duration::from_secs(seconds)).unwrap();
        let phrases = SetPhrases::new(key, form, lease(10));
        let (claim, sent) = (Claim(1), Instant::now());
        let ask = |lease| Errand::Ask { claim, sent, lease, watch: false, fence: Fence::No };
        let release = Errand::Release { claim, in_full: false, aloud: false, waits: false };
        let said = |phrase: Option<&Form>| {
            let mut out = Ink::new();
            phrase.map(|phrase| phrase.write(&stamp, &mut out)).map(|()| out)
        };
        let (mut take, mut free) = (Ink::new(), Ink::new());
        set_nx(key, &value, lease(10), true, &mut take);
        encode::command(&[&b"DELIFEQ"[..], key, &value], &mut free);
        assert_eq!(said(Some(&phrases.take)), Some(take.clone()));
        assert_eq!(said(phrases.of(&ask(lease(10)), Release::Script)), Some(take));
        assert_eq!(said(phrases.of(&release, Release::DelIfEq)), Some(free));
        assert_eq!(said(phrases.of(&release, Release::Script)), None);
        assert_eq!(said(phrases.of(&ask(lease(9)), Release::DelIfEq)), None);
        let fenced = phrases.fenced([key, b"{job}:f", b"d1"], form);
        let script =
            [b"EVALSHA", &b"d1"[..], b"2", key, b"{job}:f", &value, b"10000", b"604800000"];
        let mut mint = Ink::new();
        encode::command(&script, &mut mint);
        assert_eq!(said(Some(&fenced.take)), Some(mint));
    }
}
