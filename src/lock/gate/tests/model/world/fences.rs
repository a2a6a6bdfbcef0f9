//! Fences: the stream that they are minted from, by a script or by one command after another; and what they protect, which
//! takes nothing by an earlier one than it has seen.
//!
//! The stream's IDs carry the time of the server's clock, which goes on while data is lost.

use super::{Request, Setting, Stage, World};
use crate::client::Frame;
use crate::error::{Error, ServerError};
use crate::lock::answers::Reply;
use crate::lock::fence::FencingToken;
use crate::lock::gate::{Errand, Fence, Said};
use crate::lock::minting::minted;
use std::time::Duration;

/// What the server's clock shows when the world begins.
const EPOCH: Duration = Duration::from_secs(1_790_000_000);
/// How long data takes to be lost, at least: without scripts, fences are promised to rise only if that is more than two
/// milliseconds.
const LOSSES: [Duration; 2] = [Duration::from_micros(1), Duration::from_micros(2_001)];
/// How far ahead of the server's time fences begin without a script.
const AHEAD: Duration = Duration::from_millis(2);
/// How many fences there are in a millisecond.
const SEQUENCES: u64 = 1 << 20;

/// How the server mints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Minting {
    Script,
    /// By commands, between which others may come.
    Commands,
}

/// How far the commands of an errand have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) enum Progress {
    #[default]
    Whole,
    Taken(Said),
    Added(Said, Added),
    Read,
}

/// What came of adding an entry to the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Added {
    NoStream,
    /// What is there is greater.
    Smaller,
    Entry(Id),
}

/// Milliseconds and a sequence number.
type Id = (u64, u64);

/// What the key holds if it is the claim's.
const OURS: &[u8] = b"ours";

/// Where fences come from, and where they go.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(in super::super) struct Fences {
    /// The ID of the last entry.
    stream: Option<Id>,
    /// How far the server's clock is ahead of the world's.
    ahead: Duration,
    forgot_scripts: bool,
    /// The greatest that was ever granted.
    granted: Option<FencingToken>,
    /// The greatest that what is protected has seen, and what had been granted when its writer came.
    seen: Option<(FencingToken, Option<FencingToken>)>,
}

impl Fences {
    pub(in super::super) fn are_there(&self) -> bool {
        self.stream.is_some()
    }

    pub(super) fn granted(&self) -> Option<FencingToken> {
        self.granted
    }

    /// As `mint.lua` does.
    fn mint(&mut self, now: Duration) -> FencingToken {
        let time = (millis(now), u64::from(now.subsec_micros() % 1000 * 1000));
        let id = match self.stream {
            Some((ms, sequence)) if (ms, sequence) >= time => match sequence + 1 {
                SEQUENCES => (ms + 1, 0),
                next => (ms, next),
            },
            _ => time,
        };
        self.stream = Some(id);
        FencingToken::parse(&text(id)).unwrap()
    }

    /// As `XADD` does, with an ID or without; in the latter case it makes no stream.
    fn append(&mut self, id: Option<Id>, now: Duration) -> Added {
        let id = match (id, self.stream) {
            (Some(id), Some(last)) if id <= last => return Added::Smaller,
            (Some(id), _) => id,
            (None, None) => return Added::NoStream,
            (None, Some((ms, sequence))) => match millis(now) {
                now if now > ms => (now, 0),
                _ => (ms, sequence + 1),
            },
        };
        self.stream = Some(id);
        Added::Entry(id)
    }
}

impl Added {
    fn reply(self) -> Reply {
        const SMALLER: &[u8] =
            b"ERR The ID specified in XADD is equal or smaller than the target stream top item";
        match self {
            Self::NoStream => Ok(Frame::Null),
            Self::Smaller => Err(Error::server_said(ServerError::new(SMALLER))),
            Self::Entry(id) => Ok(Frame::bulk(text(id))),
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap()
}

fn text((ms, sequence): Id) -> Vec<u8> {
    format!("{ms}-{sequence}").into_bytes()
}

/// Whether `fenced_set.lua` writes: as texts, the longer one is greater.
fn takes(last: FencingToken, fence: FencingToken) -> bool {
    let [last, fence] = [last, fence].map(|fence| fence.to_string());
    (fence.len(), fence) >= (last.len(), last)
}

impl Request {
    /// Whether the server has not begun with it.
    pub(in super::super) fn is_whole(&self) -> bool {
        self.progress == Progress::Whole
    }
}

/// The server.
impl World {
    pub(super) fn server_time(&self, setting: &Setting) -> Duration {
        EPOCH + (self.now - setting.begun) + self.fences.ahead
    }

    /// The server loses its fences, and forgets its scripts.
    pub(in super::super) fn lose_fences(&mut self, setting: &Setting) {
        let fences = &mut self.fences;
        if setting.terms.fenced {
            fences.ahead += LOSSES[setting.minting as usize];
            (fences.stream, fences.forgot_scripts) = (None, true);
        }
    }

    /// One script takes the key, or hands it over, and mints.
    pub(super) fn by_script(&mut self, at: usize, errand: Errand, setting: &Setting) -> Said {
        let (in_full, unknown) = match errand {
            Errand::Ask { fence, .. } => (fence == Fence::InFull, Said::Forgotten),
            Errand::HandOver { in_full, .. } => (in_full, Said::InFull),
            _ => {
                // The server has scripts: whoever takes the key gets its fence along with it.
                self.broken = Some("a fence is minted behind the lock");
                return Said::NotOurs;
            }
        };
        if self.fences.forgot_scripts && !in_full {
            return unknown;
        }
        self.fences.forgot_scripts = false;
        let now = self.server_time(setting);
        match self.execute(at, errand, setting) {
            Said::Fresh | Said::Ours(_) => {}
            Said::Earlier => self.begin_anew(at, errand, setting),
            said => return said,
        }
        Said::Fenced(self.fences.mint(now))
    }

    fn begin_anew(&mut self, at: usize, errand: Errand, setting: &Setting) {
        if let Errand::Ask { claim, sent, lease, .. } = errand {
            self.execute(at, Errand::Renew { claim, sent, lease, in_full: true }, setting);
        }
    }

    /// A command takes the key, or hands it over; the next one adds to the stream, and the one after it reads the key once more.
    pub(super) fn by_commands(
        &mut self,
        at: usize,
        request: &mut Request,
        setting: &Setting,
    ) -> Option<Said> {
        let (errand, now) = (request.errand, self.server_time(setting));
        request.progress = match (request.progress, errand) {
            (Progress::Whole, Errand::Mint { begin, .. }) => {
                let id = begin.map(|begin| begin + AHEAD);
                let id = id.map(|at| (millis(at), u64::from(at.subsec_micros() % 1000 * 1000)));
                Progress::Added(Said::Fresh, self.fences.append(id, now))
            }
            (Progress::Whole, _) => Progress::Taken(self.execute(at, errand, setting)),
            (Progress::Taken(said), _) => Progress::Added(said, self.fences.append(None, now)),
            (Progress::Added(said, added), errand) => {
                let key = match self.owns(at, errand.owner_after()) {
                    Said::Ours(_) => Frame::bulk(OURS),
                    Said::NotOurs => Frame::bulk("theirs"),
                    _ => Frame::Null,
                };
                let minted = minted(added.reply(), Ok(key), OURS).unwrap();
                match (errand, minted) {
                    (Errand::Mint { .. }, Said::Fresh) => Progress::Read,
                    (Errand::Mint { .. }, minted) => return Some(minted),
                    (_, Said::Fenced(_)) if matches!(said, Said::Fresh | Said::Ours(_)) => {
                        return Some(minted);
                    }
                    _ => return Some(said),
                }
            }
            (Progress::Read, _) => return Some(Said::Unbegun { now }),
        };
        None
    }
}

/// What comes of it.
impl World {
    /// A caller is granted the lock. Tells what is wrong with its fence.
    pub(super) fn granted(
        &mut self,
        at: usize,
        number: usize,
        fence: Option<FencingToken>,
        setting: &Setting,
    ) -> Option<&'static str> {
        let mut callers = self.processes.iter().flat_map(|process| &process.callers);
        let twice = fence.is_some() && callers.any(|caller| caller.fence == fence);
        let caller = &mut self.processes[at].callers[number];
        caller.fence = fence;
        // A lock that was lost may have been granted to somebody else before its first holder heard of it.
        let before = if caller.robbed { caller.after } else { self.fences.granted };
        self.fences.granted = self.fences.granted.max(fence);
        match fence {
            None => setting.terms.fenced.then_some("the lock was granted without a fence"),
            Some(_) if twice => Some("a fence was granted twice"),
            Some(_) if fence <= before => Some("a fence is not above those before it"),
            Some(_) => None,
        }
    }

    /// What a caller writes arrives, late perhaps.
    pub(in super::super) fn write(&mut self, at: usize, number: usize) {
        let caller = &mut self.processes[at].callers[number];
        caller.wrote = true;
        let Some(fence) = caller.fence else { return };
        match self.fences.seen {
            Some((last, _)) if !takes(last, fence) => {
                let holds = matches!(caller.stage, Stage::Holds(until) if self.now < until);
                let holder = holds && !caller.robbed;
                self.broken = self.broken.or_else(|| holder.then_some("a holder was refused"));
                return;
            }
            Some((_, after)) if after >= Some(fence) => {
                self.broken =
                    Some("somebody wrote whose hold was over before the last writer's began");
            }
            _ => {}
        }
        self.fences.seen = Some((fence, caller.after));
    }
}
