//! What a server can do for a lock, found out when a connection opens.
//!
//! | step | Valkey 9 | Redis 8.4 | Redis 7 | Redis 6.2 |
//! |---|---|---|---|---|
//! | take | `SET NX PX GET` | `SET NX PX GET` | `SET NX PX GET` | `SET NX PX`, `GET`, `PTTL` |
//! | release | `DELIFEQ` | `DELEX IFEQ` | script | script |
//! | renew, hand over | `SET IFEQ PX` | `SET IFEQ PX` | script | script |
//! | the same with a fence | script | script | script | script |
//! | where scripts are refused | the same, `XADD`, `GET` | the same, `XADD`, `GET` | | |
//!
//! Commands are probed, not versions; what a probe cannot tell is learned from the first refusal. Pure.

use crate::client::{Frame, Session, digest};
use crate::error::ServerError;
use crate::lock::gate::Ears;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Looks at the owner, then does something: one script for each thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Script {
    Release,
    ReleaseAloud,
    Renew,
    Pass,
    TakeFenced,
    PassFenced,
    FairAsk,
    FairLeave,
}

/// How many scripts there are.
const SCRIPTS: usize = 8;

impl Script {
    const ALL: [Self; SCRIPTS] = [
        Self::Release,
        Self::ReleaseAloud,
        Self::Renew,
        Self::Pass,
        Self::TakeFenced,
        Self::PassFenced,
        Self::FairAsk,
        Self::FairLeave,
    ];

    /// What servers know it by.
    pub(crate) fn digest(self) -> &'static [u8] {
        static DIGESTS: LazyLock<[String; SCRIPTS]> =
            LazyLock::new(|| Script::ALL.map(|script| digest(script.text().as_bytes())));
        let known = Self::ALL.iter().zip(DIGESTS.iter()).find(|(other, _)| **other == self);
        known.map(|(_, digest)| digest.as_bytes()).unwrap_or_default()
    }

    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Release => include_str!("scripts/release.lua"),
            Self::ReleaseAloud => include_str!("scripts/release_aloud.lua"),
            Self::Renew => include_str!("scripts/renew.lua"),
            Self::Pass => include_str!("scripts/pass.lua"),
            Self::TakeFenced => {
                concat!(include_str!("scripts/mint.lua"), include_str!("scripts/take_fenced.lua"))
            }
            Self::PassFenced => {
                concat!(include_str!("scripts/mint.lua"), include_str!("scripts/pass_fenced.lua"))
            }
            Self::FairAsk => concat!(
                include_str!("scripts/mint.lua"),
                include_str!("scripts/fair.lua"),
                include_str!("scripts/fair_ask.lua")
            ),
            Self::FairLeave => concat!(
                include_str!("scripts/mint.lua"),
                include_str!("scripts/fair.lua"),
                include_str!("scripts/fair_leave.lua")
            ),
        }
    }
}

/// What asks whether this user may run scripts.
const PROBE: &str = include_str!("scripts/probe.lua");

/// How the server lets this user call scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Calls {
    /// By their digests; with their texts while it does not know them.
    ByDigest,
    /// With their texts.
    InFull,
    NotAtAll,
}

/// The commands of a server.
#[derive(Debug)]
pub(crate) struct Dialect {
    /// Whether `SET` takes `NX` and `GET` together; unlearned at the first syntax error.
    set_get: AtomicBool,
    release: Release,
    /// The user may run what deletes by comparison; unlearned at the first refusal.
    may_compare: AtomicBool,
    calls: Calls,
    /// Why there are no scripts.
    refusal: Option<String>,
    ears: Ears,
    /// Whether published messages can be heard beside everything else.
    hears_here: bool,
    /// The server lets this user subscribe; unlearned at the first refusal.
    may_subscribe: AtomicBool,
    /// How the server knows the connection: what to kill before anything depends on the order with a later one.
    peer: Option<(String, String)>,
    /// Whether the connection before was killed, so that nothing it still carries can run.
    killed: bool,
    /// Names one life of one server.
    run_id: Option<String>,
}

/// What deletes a key only if it has a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Release {
    DelIfEq,
    DelEx,
    Script,
}

/// The commands a lock connection sends before it is ready.
pub(crate) fn setup(previous: Option<&Session>) -> Vec<Vec<Vec<u8>>> {
    let words = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect();
    let mut commands: Vec<Vec<Vec<u8>>> = Vec::new();
    if let (Some((id, address)), false) =
        (previous.and_then(|session| Dialect::of(session).peer), defect!(34))
    {
        // A command that the old connection still carries would otherwise run after what undoes it.
        commands.push(words(&["CLIENT", "KILL", "ID", &id, "ADDR", &address]));
    }
    commands.push(words(&["COMMAND", "INFO", "DELIFEQ", "DELEX"]));
    commands.extend(Script::ALL.map(|script| words(&["SCRIPT", "LOAD", script.text()])));
    // Whoever may not load scripts may yet run them. The first of these makes the server know what the second one calls.
    commands.push(words(&["EVAL", PROBE, "0"]));
    commands.push(words(&["EVALSHA", &digest(PROBE.as_bytes()), "0"]));
    commands.push(words(&["CLIENT", "TRACKING", "ON", "NOLOOP"]));
    commands.push(words(&["INFO", "server"]));
    commands.push(words(&["CLIENT", "INFO"]));
    commands
}

/// How many there are, without the one that depends on the connection before.
const ANSWERS: usize = SCRIPTS + 6;

impl Dialect {
    /// Reads the answers to [`setup`].
    pub(crate) fn of(session: &Session) -> Self {
        let answers = &session.setup;
        let kept = answers.len().saturating_sub(ANSWERS);
        let none = &[][..];
        let (info, loaded, [eval, eval_sha, tracking, server, peer]) = match answers.get(kept..) {
            Some([info, loaded @ .., eval, eval_sha, tracking, server, peer]) => {
                (info, loaded, [eval, eval_sha, tracking, server, peer])
            }
            _ => (&Frame::Null, none, [&Frame::Null; 5]),
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
        let pushes = session.has_pushes();
        let modern = session.version >= (7, 0);
        Self {
            set_get: AtomicBool::new(modern),
            release: by,
            may_compare: AtomicBool::new(true),
            calls: calls(loaded, eval, eval_sha),
            refusal: refusal(eval),
            ears: Ears {
                tracks: pushes && matches!(tracking, Frame::Simple(_)),
                hears: true,
                told: pushes,
                echoes: !modern,
            },
            hears_here: pushes,
            may_subscribe: AtomicBool::new(true),
            peer: text(peer)
                .and_then(|text| Some((field(text, "id", '=')?, field(text, "addr", '=')?))),
            killed: kept > 0 && matches!(answers.first(), Some(Frame::Integer(_))),
            run_id: text(server).and_then(|text| field(text, "run_id", ':')),
        }
    }

    /// Why no lock can be released on this server, if so.
    pub(crate) fn lacks(&self) -> Option<String> {
        if self.release != Release::Script || self.calls != Calls::NotAtAll {
            return None;
        }
        Some(format!(
            "the server has neither DELIFEQ nor DELEX, and scripts are refused ({}): \
             allow EVAL and EVALSHA, or use Valkey 9 or Redis 8.4",
            self.refusal()
        ))
    }

    /// Why there are no scripts, in the server's words.
    pub(crate) fn refusal(&self) -> &str {
        self.refusal.as_deref().unwrap_or_default()
    }

    /// What the connection is told without asking.
    pub(crate) fn ears(&self) -> Ears {
        let hears = self.may_subscribe.load(Ordering::Relaxed);
        Ears { hears, told: hears && self.hears_here, ..self.ears }
    }

    /// Whether announcements are heard on the lock connection itself.
    pub(crate) fn hears_here(&self) -> bool {
        self.hears_here
    }

    /// The server has refused `SUBSCRIBE`.
    pub(crate) fn unlearn_subscribing(&self) {
        self.may_subscribe.store(false, Ordering::Relaxed);
    }

    /// Whether nothing that the connection before still carries can run any more.
    pub(crate) fn has_killed(&self) -> bool {
        self.killed
    }

    pub(crate) fn run_id(&self) -> Option<&str> {
        self.run_id.as_deref()
    }

    pub(crate) fn release(&self) -> Release {
        if self.may_compare.load(Ordering::Relaxed) { self.release } else { Release::Script }
    }

    /// The server has refused the command that deletes by comparison. True if a script can do the same.
    pub(crate) fn unlearn_comparing(&self) -> bool {
        let scripts = self.release != Release::Script && self.has_scripts();
        self.may_compare.fetch_and(!scripts, Ordering::Relaxed);
        scripts
    }

    /// Nor does a script do it.
    pub(crate) fn relearn_comparing(&self) {
        self.may_compare.store(true, Ordering::Relaxed);
    }

    /// Whether `SET … IFEQ` exists: whoever has one of the commands that delete by comparison has that too.
    pub(crate) fn has_set_ifeq(&self) -> bool {
        self.release != Release::Script
    }

    pub(crate) fn has_set_get(&self) -> bool {
        self.set_get.load(Ordering::Relaxed)
    }

    /// The server has refused `SET … NX … GET`. True if that is news.
    pub(crate) fn unlearn_set_get(&self) -> bool {
        self.set_get.swap(false, Ordering::Relaxed)
    }

    /// Whether there are scripts. Then a fence is minted by the one that takes the lock; otherwise by commands beside it.
    pub(crate) fn has_scripts(&self) -> bool {
        self.calls != Calls::NotAtAll
    }

    /// Whether the digest of a script stands for it.
    pub(crate) fn calls_by_digest(&self) -> bool {
        self.calls == Calls::ByDigest
    }
}

/// How scripts can be called, by what became of loading them, and of calling one either way.
fn calls(loaded: &[Frame], eval: &Frame, eval_sha: &Frame) -> Calls {
    let known = loaded.len() == SCRIPTS && loaded.iter().all(|loaded| refusal(loaded).is_none());
    let [in_full, by_digest] = [eval, eval_sha].map(|called| refusal(called).is_none());
    match (in_full && !defect!(62), by_digest) {
        (true, true) => Calls::ByDigest,
        (true, false) => Calls::InFull,
        (false, true) if known => Calls::ByDigest,
        (false, _) => Calls::NotAtAll,
    }
}

/// Why something will not be done for this user, if so.
fn refusal(answer: &Frame) -> Option<String> {
    match answer {
        Frame::Null => Some("no answer".to_owned()),
        Frame::Error(words) => {
            let said = ServerError::new(words);
            (!said.is_transient()).then(|| said.message().to_owned())
        }
        _ => None,
    }
}

fn text(frame: &Frame) -> Option<&str> {
    let bytes = match frame {
        Frame::Bulk(text) => text,
        Frame::Verbatim(verbatim) => &verbatim.text,
        _ => return None,
    };
    std::str::from_utf8(bytes).ok()
}

/// What stands behind `name` in `id=5 addr=127.0.0.1:4711 …`, or in lines of `name:value`.
fn field(text: &str, name: &str, separator: char) -> Option<String> {
    let mut fields = text.split_ascii_whitespace().filter_map(|field| field.split_once(separator));
    fields.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}
