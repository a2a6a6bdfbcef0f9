//! Random histories of fair claims beside a server with a line.

use super::fair::fair;
use super::{Desk, MS, SECOND, terms};
use crate::lock::fence::FencingToken;
use crate::lock::gate::{
    Claim, Errand, Event, Failure, Found, Given, Left, Order, Patience, Said, Terms, confirm_within,
};
use crate::lock::lease::Lease;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// A server with one key and a line for it, and two processes' worth of claims in one gate.
struct World {
    desk: Desk,
    key: Option<(Claim, Instant)>,
    line: Vec<Claim>,
    /// Grants that are on their way, each behind so many answers.
    pushes: Vec<(usize, Given)>,
    minted: u64,
    dice: u64,
    next: u64,
    stages: BTreeMap<Claim, Stage>,
    /// The claims in the order in which they first stood in line, and those that were served.
    tickets: Vec<Claim>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Stage {
    Waits,
    Holds(Instant),
    Gone,
    Forgotten,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            desk: Desk::new(),
            key: None,
            line: Vec::new(),
            pushes: Vec::new(),
            minted: 0,
            dice: seed,
            next: 0,
            stages: BTreeMap::new(),
            tickets: Vec::new(),
        }
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
        (self.dice >> 33) % sides
    }

    fn at_us(&self) -> u64 {
        u64::try_from((self.desk.now - self.desk.begun).as_micros()).unwrap() + 1
    }

    fn holder(&self) -> Option<Claim> {
        self.key.filter(|(_, over)| *over > self.desk.now).map(|(holder, _)| holder)
    }

    fn happen(&mut self, event: Event) {
        let now = self.desk.now;
        for order in self.desk.on(event) {
            match order {
                Order::Send(errand) => {
                    if let Some(claim) = errand.asker() {
                        let stage = self.stages[&claim];
                        assert!(
                            !matches!(stage, Stage::Gone | Stage::Forgotten),
                            "{errand:?} after {stage:?}"
                        );
                    }
                }
                Order::Grant { claim, term, fence } => {
                    assert_eq!(self.stages[&claim], Stage::Waits, "granted to nobody");
                    assert!(now < term.deadline && fence.is_some());
                    self.stages.insert(claim, Stage::Holds(term.deadline));
                }
                Order::Extend { claim, term } => {
                    assert!(matches!(self.stages[&claim], Stage::Holds(over) if now < over));
                    self.stages.insert(claim, Stage::Holds(term.deadline));
                }
                Order::Refuse { claim, .. } | Order::Lose { claim, .. } => {
                    self.stages.insert(claim, Stage::Gone);
                }
                Order::Report { .. } => {}
                Order::Forget(claim) => {
                    self.stages.insert(claim, Stage::Forgotten);
                }
            }
        }
        let owed = self.desk.gate.due().is_some() || !self.desk.flying.is_empty();
        assert!(self.desk.gate.is_vacant() || owed || !self.desk.online, "it waits for nothing");
        let holds = |stage: &&Stage| matches!(stage, Stage::Holds(over) if now < *over);
        assert!(self.stages.values().filter(holds).count() <= 1, "two hold it: {:?}", self.stages);
    }

    fn mint(&mut self) -> FencingToken {
        self.minted += 1;
        FencingToken::parse(format!("1-{}", self.minted).as_bytes()).unwrap()
    }

    fn pass_on(&mut self) -> Option<Claim> {
        if self.line.is_empty() {
            self.key = None;
            return None;
        }
        let claim = self.line.remove(0);
        let confirm = confirm_within(terms().lease);
        self.key = Some((claim, self.desk.now + confirm.length()));
        if self.desk.online {
            let fence = Some(self.mint());
            let given = Given { claim, at_us: self.at_us(), fence };
            self.pushes.push((self.desk.flying.len(), given));
        }
        Some(claim)
    }

    fn serve(&mut self, errand: Errand) -> Said {
        let now = self.desk.now;
        let lease = |lease: Lease| now + lease.length();
        match errand {
            Errand::Queue { claim, lease: new, waits, .. } => {
                let anew = waits && self.holder() != Some(claim) && !self.line.contains(&claim);
                if anew {
                    self.line.push(claim);
                }
                if self.holder().is_none() && self.line.first().is_some_and(|first| *first != claim)
                {
                    self.pass_on();
                }
                match self.holder() {
                    Some(holder) if holder != claim => {
                        let before = self.line.iter().position(|other| *other == claim);
                        let before = u32::try_from(before.unwrap_or(0)).unwrap();
                        let left = Left::For(self.key.unwrap().1 - now);
                        Said::Placed { left, before, at_us: self.at_us(), anew }
                    }
                    _ => {
                        let found = match self.holder() {
                            Some(_) => Found::Ours,
                            None if self.line.contains(&claim) && !anew => Found::Turn,
                            None => Found::Free,
                        };
                        self.line.retain(|other| *other != claim);
                        self.key = Some((claim, lease(new)));
                        Said::Taken { fence: Some(self.mint()), found }
                    }
                }
            }
            Errand::Confirm { claim, lease: new, .. } | Errand::Renew { claim, lease: new, .. } => {
                if self.holder() != Some(claim) {
                    return Said::NotOurs;
                }
                self.key = Some((claim, lease(new)));
                Said::Ours(Left::Unasked)
            }
            Errand::Verify { claim, .. } if self.holder() == Some(claim) => {
                Said::Ours(Left::For(self.key.unwrap().1 - now))
            }
            Errand::Leave { claim, .. } if self.holder() == Some(claim) => {
                self.pass_on();
                Said::Ours(Left::Unasked)
            }
            Errand::Leave { claim, .. } => {
                self.line.retain(|other| *other != claim);
                Said::NotOurs
            }
            _ => Said::NotOurs,
        }
    }

    /// The server answers the oldest question, with some luck, or what it has pushed before arrives.
    fn answer(&mut self) {
        if let Some((0, given)) = self.pushes.first().copied() {
            self.pushes.remove(0);
            return self.happen(Event::Given(given));
        }
        let Some(errand) = self.desk.flying.pop_front() else { return };
        self.pushes.iter_mut().for_each(|(behind, _)| *behind = behind.saturating_sub(1));
        // What this leads to is pushed behind its answer.
        let said = match self.roll(20) {
            0 => Said::Failed(Failure::Refused),
            1 => {
                self.serve(errand);
                Said::Failed(Failure::Passing { may_have_run: true })
            }
            _ => self.serve(errand),
        };
        let lag = self.pushes.len();
        for (behind, _) in self.pushes.iter_mut().skip(lag.saturating_sub(1)) {
            *behind = 0;
        }
        self.happen(Event::Said { errand, said });
    }

    fn cut(&mut self) {
        let run = usize::try_from(self.roll(8)).unwrap();
        self.desk.online = false;
        for errand in self.desk.flying.clone().into_iter().take(run) {
            self.serve(errand);
        }
        self.pushes.clear();
        while let Some(errand) = self.desk.flying.pop_front() {
            let said = Said::Failed(Failure::Passing { may_have_run: true });
            self.happen(Event::Said { errand, said });
        }
    }

    fn step(&mut self) {
        match self.roll(14) {
            0 | 1 => {
                self.next += 1;
                let (claim, now) = (Claim(self.next), self.desk.now);
                let patience = match self.roll(4) {
                    0 => Patience::Once(now + SECOND),
                    1 => Patience::Until(now + 300 * MS),
                    _ => Patience::Endless,
                };
                self.stages.insert(claim, Stage::Waits);
                self.tickets.push(claim);
                let terms = Terms { fenced: true, ..fair() };
                self.happen(Event::Came { claim, terms, patience });
            }
            2 => {
                let claim = Claim(1 + self.next.saturating_sub(self.roll(4) + 1));
                if self.stages.get(&claim) == Some(&Stage::Waits) {
                    self.stages.insert(claim, Stage::Gone);
                    self.happen(Event::Left { claim });
                }
            }
            3..=5 => {
                let held = self.stages.iter().find(|(_, stage)| matches!(stage, Stage::Holds(_)));
                if let Some((&claim, _)) = held {
                    self.stages.insert(claim, Stage::Gone);
                    self.happen(Event::Released { claim });
                }
            }
            6 => {
                let by = Duration::from_millis(self.roll(3_000));
                self.desk.now += by;
                self.happen(Event::Tick);
            }
            7 if self.desk.online => match self.roll(8) {
                0 => {
                    (self.key, self.line) = (None, Vec::new());
                    self.stages.values_mut().for_each(|stage| {
                        // Whoever held it holds no more, and may not know it yet.
                        if let Stage::Holds(over) = stage {
                            *over = (*over).min(self.desk.now);
                        }
                    });
                    self.happen(Event::Flushed);
                }
                _ => self.happen(Event::Changed),
            },
            8 if self.roll(6) == 0 => self.cut(),
            9 if !self.desk.online => {
                self.desk.online = true;
                self.happen(Event::Opened { fenced: true, same: true });
            }
            _ if self.desk.online => self.answer(),
            _ => {}
        }
    }

    /// Everybody who waits is served, once nothing goes wrong any more; then nothing is left.
    fn end(mut self) {
        if !self.desk.online {
            self.desk.online = true;
            self.happen(Event::Opened { fenced: true, same: true });
        }
        for _ in 0..10_000 {
            let held = self.stages.iter().find(|(_, stage)| matches!(stage, Stage::Holds(_)));
            if let Some((&claim, _)) = held {
                self.stages.insert(claim, Stage::Gone);
                self.happen(Event::Released { claim });
                continue;
            }
            if !self.desk.flying.is_empty() || !self.pushes.is_empty() {
                match self.pushes.first().copied() {
                    Some((0, given)) => {
                        self.pushes.remove(0);
                        self.happen(Event::Given(given));
                    }
                    _ => {
                        let errand = self.desk.flying.pop_front();
                        self.pushes.iter_mut().for_each(|(behind, _)| *behind = 0);
                        if let Some(errand) = errand {
                            let said = self.serve(errand);
                            self.happen(Event::Said { errand, said });
                        }
                    }
                }
                continue;
            }
            let Some(due) = self.desk.gate.due() else { break };
            self.desk.now = self.desk.now.max(due);
            self.happen(Event::Tick);
        }
        assert!(self.desk.gate.is_vacant(), "{:#?}", self.desk.gate);
        let waiting = self.stages.values().filter(|stage| **stage != Stage::Forgotten).count();
        assert_eq!(waiting, 0, "somebody was lost: {:?}", self.stages);
        assert!(self.line.is_empty() && self.holder().is_none(), "something is left");
    }
}

#[test]
fn random_histories_of_a_line_keep_the_invariants() {
    for seed in 0..400 {
        let mut world = World::new(seed);
        for _ in 0..150 {
            world.step();
        }
        world.end();
    }
}
