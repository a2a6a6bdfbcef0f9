//! The invariants, under random histories of a process and a server with one key.

use super::{Desk, MS, SECOND, terms};
use crate::lock::fence::FencingToken;
use crate::lock::gate::{Claim, Errand, Event, Failure, Fence, Left, Order, Patience, Said, Terms};
use crate::lock::lease::Lease;
use crate::lock::options::Wakeup;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// A server with one key, and what a process believes about it.
struct World {
    desk: Desk,
    /// Who has the key, and until when.
    key: Option<(Claim, Instant)>,
    history: BTreeMap<Claim, History>,
    /// Until when an elder that has the key holds it, as its value says.
    elder_until: Instant,
    next: u64,
    dice: u64,
    /// The last fence that the server minted, and the greatest that was granted.
    minted: u64,
    granted: Option<FencingToken>,
    /// Whether the server mints without scripts.
    native: bool,
}

#[derive(Debug, Default)]
struct History {
    /// Its caller has been told, or has gone.
    told: bool,
    asked: bool,
    released: bool,
    ended: bool,
    forgotten: bool,
    fenced: bool,
    deadline: Option<Instant>,
}

const STRANGER: Claim = Claim(u64::MAX);
/// Holds without a lease.
const ELDER: Claim = Claim(u64::MAX - 1);

impl World {
    fn new(seed: u64) -> Self {
        let (desk, history) = (Desk::new(), BTreeMap::new());
        let elder_until = desk.now;
        let (minted, granted, native) = (0, None, seed % 3 == 0);
        Self { desk, key: None, history, elder_until, next: 0, dice: seed, minted, granted, native }
    }

    fn mint(&mut self) -> Said {
        self.minted += 1;
        Said::Fenced(FencingToken::parse(format!("1-{}", self.minted).as_bytes()).unwrap())
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
        (self.dice >> 33) % sides
    }

    fn holder(&self) -> Option<Claim> {
        self.key.filter(|(_, over)| *over > self.desk.now).map(|(holder, _)| holder)
    }

    fn happen(&mut self, event: Event) {
        let orders = self.desk.on(event);
        for order in &orders {
            self.check(order);
        }
        let owed = self.desk.gate.due().is_some() || !self.desk.flying.is_empty();
        assert!(
            self.desk.gate.is_vacant() || owed || !self.desk.online,
            "I5: it waits for nothing: {:?}",
            self.desk.gate
        );
    }

    fn check(&mut self, order: &Order) {
        let now = self.desk.now;
        let claim = match order {
            Order::Send(Errand::HandOver { from, to, .. }) => {
                let from = self.history.entry(*from).or_default();
                assert!(from.asked && !from.forgotten, "I3: it cannot hold");
                from.released = true;
                *to
            }
            Order::Send(errand) => errand.claim(),
            Order::Grant { claim, .. }
            | Order::Refuse { claim, .. }
            | Order::Extend { claim, .. }
            | Order::Lose { claim, .. }
            | Order::Report { claim, .. }
            | Order::Forget(claim) => *claim,
        };
        let history = self.history.entry(claim).or_default();
        assert!(!history.forgotten, "I7: {order:?} after it was forgotten");
        match order {
            Order::Send(Errand::Release { .. } | Errand::Keep { .. }) => history.released = true,
            Order::Send(errand) => {
                assert!(!history.released, "I1, I3: {errand:?} after a release");
                history.asked |= matches!(errand, Errand::Ask { .. } | Errand::HandOver { .. });
                let renews = matches!(errand, Errand::Renew { .. });
                assert!(history.asked || !renews, "I3: renewed before it was asked for");
                assert!(!(renews && history.ended), "I6: renewed after its end");
            }
            Order::Grant { term, fence, .. } => {
                assert_eq!(fence.is_some(), history.fenced, "a grant without its fence");
                assert!(fence.is_none() || *fence > self.granted, "fences do not rise");
                self.granted = self.granted.max(*fence);
                assert!(!history.told && !history.released, "granted twice, or to nobody");
                assert!(now < term.deadline, "I2");
                (history.told, history.deadline) = (true, Some(term.deadline));
            }
            Order::Extend { term, .. } => {
                assert!(!history.ended && !history.released, "I6: extended after its end");
                assert!(now < history.deadline.unwrap(), "I6: extended after its deadline");
                history.deadline = Some(term.deadline);
            }
            Order::Lose { .. } => {
                assert!(!history.ended && history.told, "I6: lost twice, or never held");
                history.ended = true;
            }
            Order::Refuse { .. } => {
                assert!(!history.told || history.deadline.is_none(), "refused what was granted");
                history.told = true;
            }
            Order::Report { .. } => {}
            Order::Forget(_) => history.forgotten = true,
        }
        if let (Order::Grant { .. } | Order::Extend { .. }, Some((holder, over))) =
            (order, self.key)
        {
            if holder == claim {
                assert!(history.deadline <= Some(over), "I2: beyond the server's lease");
            }
        }
    }

    /// The server puts one owner in the place of another.
    fn replace(&mut self, old: Claim, new: Claim, lease: Lease) -> Said {
        let said = self.compared(old);
        if let Said::Ours(_) = said {
            self.key = Some((new, self.desk.now + lease.length()));
        }
        said
    }

    fn compared(&self, claim: Claim) -> Said {
        match self.holder() {
            Some(holder) if holder == claim => Said::Ours(Left::Unasked),
            Some(_) => Said::NotOurs,
            None => Said::Gone,
        }
    }

    fn serve_ask(&mut self, claim: Claim, new: Lease, fence: Fence) -> Said {
        let over = self.desk.now + new.length();
        match self.holder() {
            None => {
                self.key = Some((claim, over));
                let along = fence == Fence::Along || fence == Fence::Cheaply && !self.native;
                if along { self.mint() } else { Said::Fresh }
            }
            Some(holder) if holder == claim && fence != Fence::No && !self.native => {
                self.key = Some((claim, over));
                self.mint()
            }
            Some(holder) if holder == claim => Said::Earlier,
            Some(ELDER) => {
                let left = Left::Undated(0);
                Said::Held { holder: ELDER.0, process: ELDER.0, left }
            }
            Some(holder) => {
                let process = u64::from(holder == STRANGER);
                Said::Held { holder: holder.0, process, left: Left::Unasked }
            }
        }
    }

    /// The server carries an errand out.
    fn serve(&mut self, errand: Errand) -> Said {
        let (now, holder) = (self.desk.now, self.holder());
        match errand {
            Errand::Ask { claim, lease: new, fence, .. } => self.serve_ask(claim, new, fence),
            Errand::Mint { claim, begin, .. } => match self.compared(claim) {
                Said::Ours(_) if begin.is_none() && self.minted == 0 => {
                    Said::Unbegun { now: SECOND }
                }
                Said::Ours(_) => self.mint(),
                said => said,
            },
            Errand::Look { .. } => Said::Left(match self.key {
                Some((ELDER, _)) => Left::Dated(self.elder_until.saturating_duration_since(now)),
                Some((_, over)) if over > now => Left::For(over - now),
                _ => Left::Nothing,
            }),
            Errand::Take { claim, lease: new, .. } => {
                let taken = holder != Some(ELDER) || self.elder_until <= now;
                assert!(taken, "it was taken from an elder that holds");
                self.replace(ELDER, claim, new)
            }
            Errand::Renew { claim, lease, .. } | Errand::Keep { claim, rest: lease, .. } => {
                self.replace(claim, claim, lease)
            }
            Errand::Queue { .. } | Errand::Confirm { .. } | Errand::Leave { .. } => {
                unreachable!("no claim here is fair")
            }
            Errand::Verify { claim, .. } => match self.compared(claim) {
                Said::Ours(_) => Said::Ours(Left::For(self.key.unwrap().1 - now)),
                said => said,
            },
            Errand::HandOver { from, to, lease: new, fenced, .. } => {
                let said = self.replace(from, to, new);
                let ours = matches!(said, Said::Ours(_));
                let mints = ours && fenced && !(self.native && self.minted == 0);
                if mints { self.mint() } else { said }
            }
            Errand::Release { claim, aloud, .. } => match self.compared(claim) {
                Said::Ours(_) if aloud => {
                    self.key = None;
                    Said::Freed { told: 2 }
                }
                Said::Ours(left) => {
                    self.key = None;
                    Said::Ours(left)
                }
                said => said,
            },
            Errand::Plead { .. } => Said::Ours(Left::Unasked),
        }
    }

    /// The process is told something without having asked.
    fn hear(&mut self) {
        let process = self.roll(3);
        let event = match self.roll(6) {
            0 => Event::Changed,
            1 => Event::Hearing,
            2 => Event::Deafened,
            3 => Event::Pleaded { process },
            way => Event::Announced { process, waits: way > 4 },
        };
        self.happen(event);
    }

    /// The server answers the oldest question; with some luck.
    fn answer(&mut self) {
        let Some(errand) = self.desk.flying.pop_front() else { return };
        let said = match self.roll(20) {
            0 => Said::Failed(Failure::Refused),
            1 => {
                self.serve(errand);
                Said::Failed(Failure::Passing { may_have_run: true })
            }
            _ => self.serve(errand),
        };
        self.happen(Event::Said { errand, said });
    }

    /// All that was sent is lost, executed or not; what dies last may come back last.
    fn cut(&mut self) {
        let run = usize::try_from(self.roll(8)).unwrap();
        let lost = self.desk.flying.len();
        for errand in self.desk.flying.clone().into_iter().take(run) {
            self.serve(errand);
        }
        for _ in 0..lost {
            let Some(errand) = self.desk.flying.pop_front() else { break };
            let said = Said::Failed(Failure::Passing { may_have_run: true });
            self.happen(Event::Said { errand, said });
        }
        // What was ordered meanwhile waits for the next connection.
        self.desk.online = false;
    }

    fn some_claim(&mut self) -> Claim {
        let next = self.next.max(1);
        Claim(self.next.saturating_sub(self.roll(next.min(6))))
    }

    /// Whether the process believes that the claim holds the lock.
    fn believes(&self, claim: Claim) -> bool {
        self.history.get(&claim).is_some_and(|history| {
            let live = history.deadline.is_some_and(|deadline| self.desk.now < deadline);
            live && !history.ended && !history.released && !history.forgotten
        })
    }

    fn step(&mut self) {
        match self.roll(14) {
            0 | 1 => {
                self.next += 1;
                let now = self.desk.now;
                let patience = match self.roll(4) {
                    0 => Patience::Once(now + SECOND),
                    1 => Patience::Until(now + 300 * MS),
                    _ => Patience::Endless,
                };
                let claim = Claim(self.next);
                self.history.entry(claim).or_default();
                let wakeup = match self.roll(3) {
                    0 => Wakeup::Track,
                    1 => Wakeup::Announce,
                    _ => Wakeup::Auto,
                };
                let fenced = self.roll(2) == 0;
                self.history.entry(claim).or_default().fenced = fenced;
                let terms = Terms { wakeup, fenced, ..terms() };
                self.happen(Event::Came { claim, terms, patience });
            }
            2 => {
                let claim = self.some_claim();
                if self.history.get(&claim).is_some_and(|history| !history.told) {
                    self.history.entry(claim).or_default().told = true;
                    self.happen(Event::Left { claim });
                }
            }
            3..=5 => {
                let claim =
                    self.desk.gate.holder().map_or_else(|| self.some_claim(), |(claim, _)| claim);
                if self.believes(claim) && self.desk.flying.is_empty() {
                    self.happen(Event::Released { claim });
                }
            }
            6 => {
                let by = Duration::from_millis(self.roll(4_000));
                self.desk.now += by;
                self.happen(Event::Tick);
            }
            7 if self.desk.online => self.hear(),
            8 if self.roll(6) == 0 => self.cut(),
            9 if !self.desk.online => {
                self.desk.online = true;
                self.happen(Event::Opened { fenced: true, same: true });
            }
            10 if self.holder().is_none() && self.roll(3) == 0 => {
                self.key = Some((STRANGER, self.desk.now + SECOND));
            }
            11 if self.holder().is_none() && self.roll(3) == 0 => {
                // One that has a time in mind that has passed, mostly: others wait for no lease of it.
                self.elder_until = self.desk.now + Duration::from_millis(self.roll(200));
                self.key = Some((ELDER, self.desk.now + 3_600 * SECOND));
            }
            _ if self.desk.online => self.answer(),
            _ => {}
        }
        let believers = (1..=self.next).filter(|claim| self.believes(Claim(*claim)));
        let believers: Vec<_> = believers.collect();
        assert!(believers.len() <= 1, "two hold it: {believers:?}");
        if let [claim] = believers[..] {
            assert_eq!(self.holder(), Some(Claim(claim)), "it is believed, and not so");
        }
    }

    /// Everybody goes, and the server answers everything.
    fn end(mut self) {
        if !self.desk.online {
            self.desk.online = true;
            self.happen(Event::Opened { fenced: true, same: true });
        }
        self.happen(Event::Closing);
        while !self.desk.gate.is_vacant() {
            match self.desk.flying.pop_front() {
                Some(errand) => {
                    let said = self.serve(errand);
                    self.happen(Event::Said { errand, said });
                }
                None => {
                    self.desk.now = self.desk.gate.due().expect("I5: it is owed something");
                    self.happen(Event::Tick);
                }
            }
        }
        for (claim, history) in &self.history {
            assert!(history.forgotten && history.told, "I7: {claim:?} is left: {history:?}");
            assert_ne!(self.holder(), Some(*claim), "I7: it left its value");
        }
    }
}

#[test]
fn random_histories_keep_the_invariants() {
    for seed in 0..600 {
        let mut world = World::new(seed);
        for _ in 0..200 {
            world.step();
        }
        world.end();
    }
}
