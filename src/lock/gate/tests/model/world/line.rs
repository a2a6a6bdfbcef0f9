//! The server's line for a fair lock: what its scripts do, each of them in one go.
//!
//! Nobody waits here for longer than they count as alive after they were heard of, so who does is not counted: somebody is dead
//! if nobody hears what is told to it.

use super::{Key, Life, Setting, Stage, Word, World, caller};
use crate::lock::gate::{Claim, Errand, Found, Given, Left, Said, confirm_within};
use crate::lock::lease::Lease;
use std::collections::VecDeque;

/// Those who wait, in the order of their coming.
pub(in super::super) type Line = VecDeque<Place>;

/// One who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in super::super) struct Place {
    pub(in super::super) process: usize,
    pub(in super::super) claim: Claim,
    /// It asks by itself, and is not told.
    asks: bool,
}

impl World {
    /// What the scripts of fair locks do.
    pub(super) fn in_line(&mut self, at: usize, errand: Errand, setting: &Setting) -> Said {
        match errand {
            Errand::Queue { claim, lease, waits, listen, .. } => {
                self.processes[at].listens |= listen;
                let place = Place { process: at, claim, asks: !listen };
                self.ask(place, waits, lease, setting)
            }
            Errand::Leave { claim, .. } => {
                if self.owns(at, claim) != Said::Ours(Left::Unasked) {
                    self.line.retain(|place| (place.process, place.claim) != (at, claim));
                    return Said::NotOurs;
                }
                if let Stage::Holds(_) = self.processes[at].callers[caller(claim)].stage {
                    self.broken = Some("a fair lock was given on under its holder");
                }
                if self.pass_on(setting).is_none() {
                    self.set(None);
                    return Said::Freed { told: 0 };
                }
                Said::Ours(Left::Unasked)
            }
            _ => Said::NotOurs,
        }
    }

    /// As `fair_ask.lua` does.
    fn ask(&mut self, place: Place, waits: bool, lease: Lease, setting: &Setting) -> Said {
        let same = |other: &Place| (other.process, other.claim) == (place.process, place.claim);
        let owned = self.owns(place.process, place.claim);
        if let Said::Ours(_) = owned {
            return self.take(place, (lease, Found::Ours), setting);
        }
        let mut found = Found::Free;
        let first = self.line.front().copied().filter(|_| owned == Said::Gone);
        if first.is_some_and(|first| same(&first)) {
            self.line.pop_front();
            found = Found::Turn;
        } else if owned == Said::NotOurs || first.is_some() {
            let stood = self.line.iter_mut().find(|other| same(other));
            let anew = waits && stood.is_none();
            match stood {
                Some(ours) => *ours = place,
                None if waits => self.line.push_back(place),
                None => {}
            }
            let before = self.line.iter().position(same).unwrap_or(self.line.len());
            let passed = if owned == Said::Gone { self.pass_on(setting) } else { None };
            let mine = owned == Said::Gone && passed.is_none_or(|passed| same(&passed));
            if passed.is_some() {
                found = Found::Turn;
            }
            if !mine {
                let (left, before) = (self.ttl(), u32::try_from(before).unwrap());
                return Said::Placed { left, before, at_us: self.micros(setting), anew };
            }
        }
        self.take(place, (lease, found), setting)
    }

    fn take(&mut self, place: Place, (lease, found): (Lease, Found), setting: &Setting) -> Said {
        let Place { process, claim, .. } = place;
        self.set(Some(Key { process, claim, until: setting.until(lease, self.now) }));
        Said::Taken { fence: None, found }
    }

    /// As `pass_on` in `fair.lua` does.
    fn pass_on(&mut self, setting: &Setting) -> Option<Place> {
        while let Some(place) = self.line.pop_front() {
            let Place { process: at, claim, asks } = place;
            let given = Given { claim, at_us: self.micros(setting), fence: None };
            let process = &mut self.processes[at];
            let arrives = process.online && process.life != Life::Dead;
            let told = !asks && process.listens;
            if told && arrives {
                process.inbound.push_back(Word::Given(given));
            } else if !(asks || told && setting.half_open) {
                continue;
            }
            let until = setting.until(confirm_within(setting.terms.lease), self.now);
            self.set(Some(Key { process: at, claim, until }));
            return Some(place);
        }
        None
    }

    fn micros(&self, setting: &Setting) -> u64 {
        u64::try_from(self.server_time(setting).as_micros()).unwrap()
    }
}
