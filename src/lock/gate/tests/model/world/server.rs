//! The server with its one key: what it does with each command, and whom it tells.

use super::fences::Minting;
use super::{Key, Request, Setting, Stage, Word, World, caller};
use crate::lock::gate::tests::MS;
use crate::lock::gate::{Claim, Errand, Fence, Left, Said};
use crate::lock::lease::Lease;

impl World {
    /// Carries out an errand, or its next command if others may come in between. Answers after the last one.
    pub(super) fn go_on(
        &mut self,
        at: usize,
        request: &mut Request,
        setting: &Setting,
    ) -> Option<Said> {
        let (errand, minting) = (request.errand, setting.minting);
        let fenced = match errand {
            Errand::Ask { fence: Fence::No, .. } | Errand::HandOver { fenced: false, .. } => false,
            Errand::Ask { fence: Fence::Cheaply, .. } => minting == Minting::Script,
            Errand::Ask { .. } | Errand::HandOver { .. } | Errand::Mint { .. } => true,
            _ => false,
        };
        match (fenced, minting) {
            (false, _) => Some(self.execute(at, errand, setting)),
            (true, Minting::Script) => Some(self.by_script(at, errand, setting)),
            (true, Minting::Commands) => self.by_commands(at, request, setting),
        }
    }

    /// Whose the key is.
    pub(super) fn owns(&self, at: usize, claim: Claim) -> Said {
        match self.key {
            Some(key) if (key.process, key.claim) == (at, claim) => Said::Ours(Left::Unasked),
            Some(_) => Said::NotOurs,
            None => Said::Gone,
        }
    }

    /// Carries out an errand in one go, fences apart.
    pub(super) fn execute(&mut self, at: usize, errand: Errand, setting: &Setting) -> Said {
        let now = self.now;
        let until = |lease: Lease| setting.until(lease, now);
        let owns = |claim: Claim| self.owns(at, claim);
        match errand {
            Errand::Ask { claim, lease, .. } => match owns(claim) {
                Said::Gone => {
                    self.set(Some(Key { process: at, claim, until: until(lease) }));
                    Said::Fresh
                }
                Said::NotOurs => {
                    let holder = self.key.filter(|_| !setting.alike);
                    let process = holder.map_or(0, |key| key.process as u64);
                    Said::Held { holder: process, process, left: Left::Unasked }
                }
                _ => Said::Earlier,
            },
            Errand::Look { listen, .. } => {
                self.processes[at].listens |= listen;
                self.processes[at].tracks = setting.ears.tracks;
                Said::Left(self.ttl())
            }
            Errand::Mint { .. } => self.breaks("a fence is minted that nobody has asked for"),
            Errand::Queue { .. } | Errand::Leave { .. } => self.in_line(at, errand, setting),
            Errand::Take { .. } => self.breaks("somebody's lock is taken over"),
            Errand::Keep { .. } => self.breaks("a key is kept that is to be freed"),
            Errand::Renew { claim, lease, .. } | Errand::Confirm { claim, lease, .. } => {
                let said = owns(claim);
                if let Said::Ours(_) = said {
                    self.set(Some(Key { process: at, claim, until: until(lease) }));
                }
                said
            }
            Errand::Verify { claim, .. } => match owns(claim) {
                Said::Ours(_) => Said::Ours(self.ttl()),
                said => said,
            },
            Errand::HandOver { from, to, lease, .. } => {
                let said = owns(from);
                if let Said::Ours(_) = said {
                    self.set(Some(Key { process: at, claim: to, until: until(lease) }));
                }
                said
            }
            Errand::Release { claim, aloud, waits, .. } => match owns(claim) {
                Said::Ours(left) => {
                    if let Stage::Holds(_) = self.processes[at].callers[caller(claim)].stage {
                        self.broken = Some("a lock was released under its holder");
                    }
                    self.set(None);
                    if aloud {
                        let process = if setting.alike { 0 } else { at as u64 };
                        let told = self.announce(at, Word::Announced { process, waits });
                        return Said::Freed { told };
                    }
                    Said::Ours(left)
                }
                said => said,
            },
            Errand::Plead { .. } => {
                let process = if setting.alike { 0 } else { at as u64 };
                self.announce(at, Word::Pleaded { process });
                Said::Ours(Left::Unasked)
            }
        }
    }

    /// Nothing of the kind is ever asked here.
    fn breaks(&mut self, what: &'static str) -> Said {
        self.broken = Some(what);
        Said::NotOurs
    }

    /// The key as told by a server that counts whole milliseconds.
    pub(super) fn ttl(&self) -> Left {
        self.key.map_or(Left::Nothing, |key| {
            let left = (key.until - self.now).as_millis();
            Left::For(MS * u32::try_from(left).unwrap())
        })
    }

    /// Changes the key, and tells those who have looked at it; whoever changed it is not told.
    pub(super) fn set(&mut self, key: Option<Key>) {
        let by = key.or(self.key).map(|key| key.process);
        self.key = key;
        for (at, process) in self.processes.iter_mut().enumerate() {
            if std::mem::take(&mut process.tracks) && Some(at) != by && process.online {
                process.inbound.push_back(Word::Changed);
            }
        }
    }

    /// Gives how many are told, whoever tells among them if it listens.
    fn announce(&mut self, by: usize, word: Word) -> u32 {
        let mut told = 0;
        for (at, process) in self.processes.iter_mut().enumerate() {
            if process.listens && process.online {
                told += 1;
                if at != by {
                    process.inbound.push_back(word);
                }
            }
        }
        told
    }
}
