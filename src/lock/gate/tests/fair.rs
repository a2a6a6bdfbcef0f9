//! The rows of fair claims, and random histories of them beside a server with a line.

use super::{Desk, MS, SECOND, terms};
use crate::lock::fence::FencingToken;
use crate::lock::gate::{
    Claim, Errand, Event, Failure, Given, Left, Order, Patience, Said, Terms, confirm_within,
};
use crate::lock::lease::Lease;
use crate::lock::options::Renewal;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

fn fair() -> Terms {
    Terms { fair: true, ..terms() }
}

fn placed(ms: u64, before: u32) -> Said {
    Said::Placed { left: Left::For(Duration::from_millis(ms)), before, at_us: 5_000_000 }
}

/// The server gave the lock to a claim so long after `placed`.
fn given(claim: u64, after: Duration) -> Event {
    let at_us = 5_000_000 + u64::try_from(after.as_micros()).unwrap();
    Event::Given(Given { claim: Claim(claim), at_us, fence: None })
}

fn standing() -> Desk {
    let mut desk = Desk::new();
    assert_eq!(desk.come_with(1, fair(), Patience::Endless), "try 1");
    assert_eq!(desk.answer(placed(9_000, 0)), "stand 1 and listen", "only who waits listens");
    assert_eq!(desk.answer(placed(9_000, 0)), "");
    desk
}

#[test]
fn uncontended_fair_pair_takes_two_commands() {
    let mut desk = Desk::new();
    desk.come_with(1, fair(), Patience::Endless);
    assert_eq!(desk.answer(Said::Fresh), "grant 1 until 9.978s");
    assert_eq!(desk.release(1), "leave 1");
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "report 1: Yes, forget 1");
    assert!(desk.gate.is_vacant());
}

#[test]
fn grant_is_held_at_once_from_its_beginning_and_confirmed_meanwhile() {
    let mut desk = standing();
    desk.now += 501 * MS;
    assert_eq!(desk.told(given(1, 500 * MS)), "grant 1 until 2.493s, confirm 1");
    assert_eq!(desk.told(Event::Changed), "", "the echo of what gave it to us");
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "extend 1 until 10.479s");
    assert_eq!(desk.release(1), "leave 1");
}

#[test]
fn grant_that_comes_late_is_confirmed_first() {
    let mut desk = standing();
    desk.now += 2 * SECOND;
    assert_eq!(desk.told(given(1, 500 * MS)), "confirm 1");
    assert_eq!(desk.answer(Said::InFull), "confirm 1 in full");
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "grant 1 until 11.978s");
}

#[test]
fn grant_that_went_on_to_the_next_is_waited_for_again() {
    let mut desk = standing();
    desk.now += 4 * SECOND;
    desk.told(given(1, 500 * MS));
    assert_eq!(desk.answer(Said::NotOurs), "stand 1 and listen");
}

#[test]
fn grant_that_crosses_a_question_is_told_by_its_answer() {
    let mut desk = standing();
    assert_eq!(desk.after(5 * SECOND), "stand 1 and listen", "whoever waits makes itself heard");
    assert_eq!(desk.told(given(1, 5 * SECOND)), "");
    assert_eq!(desk.answer(Said::Fresh), "grant 1 until 14.978s");
}

#[test]
fn grant_of_another_life_of_the_server_is_confirmed_first() {
    let mut desk = standing();
    desk.cut();
    assert_eq!(desk.open(true), "stand 1 and listen");
    desk.answer(Said::Failed(Failure::Passing { may_have_run: true }));
    assert_eq!(desk.told(given(1, MS)), "confirm 1");
}

#[test]
fn first_in_line_asks_when_the_holder_has_died_and_the_others_behind_it() {
    for (before, due) in [(0, 101), (1, 151), (10, 601)] {
        let mut desk = Desk::new();
        desk.come_with(1, fair(), Patience::Endless);
        desk.answer(placed(100, before));
        desk.answer(placed(100, before));
        assert_eq!(desk.due(), Some(due * MS));
    }
}

#[test]
fn whoever_leaves_the_line_says_so_and_passes_on_what_it_was_given() {
    let mut desk = standing();
    assert_eq!(desk.leave(1), "leave 1");
    assert_eq!(desk.told(given(1, MS)), "", "the release is on its way");
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "report 1: Yes, forget 1");
}

#[test]
fn place_is_given_up_until_the_line_has_forgotten_it_however_short_the_lease() {
    let mut desk = Desk::new();
    let short = Terms { lease: Lease::new(176 * MS).unwrap(), ..fair() };
    desk.come_with(1, short, Patience::Endless);
    desk.answer(placed(100, 3));
    desk.answer(placed(100, 3));
    assert_eq!(desk.leave(1), "leave 1");
    let read_only = Said::Failed(Failure::Passing { may_have_run: false });
    for _ in 0..14 {
        assert_eq!(desk.answer(read_only), "");
        assert_eq!(desk.after(SECOND), "leave 1", "its place is still there");
    }
    assert_eq!(desk.answer(Said::NotOurs), "report 1: NotOurs, forget 1");
}

#[test]
fn last_attempt_does_not_stand_in_line_and_the_place_is_given_up() {
    let mut desk = Desk::new();
    let until = Patience::Until(desk.now + SECOND);
    assert_eq!(desk.come_with(1, fair(), until), "try 1");
    desk.answer(placed(9_000, 3));
    desk.answer(placed(9_000, 3));
    assert_eq!(desk.after(SECOND), "try 1");
    assert_eq!(desk.answer(placed(8_000, 2)), "refuse 1: TimedOut, leave 1");
}

#[test]
fn single_attempt_leaves_nothing_to_undo() {
    let mut desk = Desk::new();
    let once = Patience::Once(desk.now + SECOND);
    assert_eq!(desk.come_with(1, fair(), once), "try 1");
    assert_eq!(desk.answer(placed(9_000, 0)), "refuse 1: Held, forget 1");
    assert!(desk.gate.is_vacant());
}

#[test]
fn line_that_was_flushed_forms_anew() {
    let mut desk = standing();
    assert_eq!(desk.told(Event::Changed), "");
    assert_eq!(desk.told(Event::Flushed), "stand 1 and listen");
}

#[test]
fn whoever_comes_to_a_gate_that_listens_does_so_at_once() {
    let mut desk = standing();
    assert_eq!(desk.come_with(2, fair(), Patience::Endless), "stand 2 and listen");
    assert_eq!(desk.leave(2), "leave 2");
    desk.leave(1);
    assert_eq!(desk.come_with(3, fair(), Patience::Endless), "stand 3 and listen", "a while ago");
}

#[test]
fn gate_forgets_that_it_listened_after_a_while() {
    let mut desk = standing();
    desk.leave(1);
    assert_eq!(desk.answer(Said::NotOurs), "report 1: NotOurs, forget 1");
    assert!(!desk.gate.is_vacant(), "the next one may come soon");
    assert_eq!(desk.due(), Some(SECOND));
    assert_eq!(desk.after(SECOND), "");
    assert!(desk.gate.is_vacant());
}

#[test]
fn whoever_may_not_listen_asks_at_intervals() {
    let mut desk = standing();
    desk.ears.told = false;
    assert_eq!(desk.told(Event::Deafened), "stand 1");
    assert_eq!(desk.answer(placed(9_000, 0)), "");
    assert!(desk.due().is_some_and(|due| due <= 100 * MS), "the back-off");
}

#[test]
fn hold_that_ended_out_of_order_keeps_the_key_for_its_delay() {
    let lease = terms().lease.with_delay(5 * SECOND).unwrap();
    assert_eq!(confirm_within(lease).ttl_ms(), 7_000, "of a grant, too");
    let mut desk = Desk::new();
    let terms = Terms { lease, renewal: Renewal::Off, ..fair() };
    desk.come_with(1, terms, Patience::Endless);
    desk.answer(Said::Fresh);
    assert_eq!(desk.after(10 * SECOND), "lose 1: Expired, forget 1");
}

#[test]
fn shortest_time_is_kept_before_the_next_is_served() {
    let mut desk = Desk::new();
    desk.come_with(1, Terms { at_least: 3 * SECOND, ..fair() }, Patience::Endless);
    desk.answer(Said::Fresh);
    desk.now += SECOND;
    assert_eq!(desk.release(1), "keep 1 for 2s");
}

#[test]
fn loss_is_told_from_the_beginning_where_that_is_wanted() {
    let watched = Terms { watch_at_once: true, ..fair() };
    let mut desk = Desk::new();
    desk.come_with(1, watched, Patience::Endless);
    assert_eq!(desk.answer(Said::Fresh), "grant 1 until 9.978s, renew 1");
    let mut desk = Desk::new();
    desk.come_with(1, watched, Patience::Endless);
    desk.answer(placed(9_000, 0));
    desk.answer(placed(9_000, 0));
    desk.now += MS;
    assert!(desk.told(given(1, MS)).ends_with("confirm 1"));
    assert!(desk.answer(Said::Ours(Left::Unasked)).ends_with("renew 1"));
}

#[test]
fn server_without_scripts_has_no_line() {
    let mut desk = Desk::new();
    desk.come_with(1, fair(), Patience::Endless);
    assert!(desk.answer(Said::NoScripts).starts_with("refuse 1: NoScripts"));
}

#[test]
fn value_that_comes_back_into_the_line_is_taken_out_again() {
    let mut desk = standing();
    desk.cut();
    desk.open(false);
    desk.flying.clear();
    desk.leave(1);
    assert_eq!(desk.answer(Said::NotOurs), "report 1: NotOurs");
    assert_eq!(desk.told(given(1, MS)), "leave 1");
}

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
                if waits && self.holder() != Some(claim) && !self.line.contains(&claim) {
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
                        Said::Placed { left, before, at_us: self.at_us() }
                    }
                    _ => {
                        self.line.retain(|other| *other != claim);
                        self.key = Some((claim, lease(new)));
                        Said::Fenced(self.mint())
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
            0 => Said::Failed(Failure::Passing { may_have_run: false }),
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
