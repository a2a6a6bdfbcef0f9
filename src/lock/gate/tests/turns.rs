//! Several processes whose callers take turns on one lock, over links that are not equally fast: nobody is kept out by those who
//! are faster.

use super::{Desk, HELD, MS, SECOND, TRACKS, held_by, left, terms};
use crate::lock::fence::FencingToken;
use crate::lock::gate::{
    Claim, Errand, Event, Gate, Left, Order, Patience, Released, Said, Scene, Terms,
};
use crate::lock::options::Wakeup;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

const CALLERS: u64 = 20;
const PROCESSES: usize = 5;

/// One who contends: always with the same number of callers, who release at once what they get.
struct Process {
    gate: Gate,
    /// How long a word takes to the server, and back.
    far: Duration,
    last: u64,
    listens: bool,
    tracks: bool,
    holds: usize,
    /// When callers of its own came to the lock last, and how long that took at most.
    held: Instant,
    longest: Duration,
}

/// What is on its way.
enum Word {
    Asked(Errand),
    Heard(Event),
}

struct World {
    now: Instant,
    key: Option<(usize, Claim)>,
    processes: Vec<Process>,
    flying: BTreeMap<(Instant, usize), (usize, Word)>,
    sent: usize,
    commands: usize,
}

impl World {
    fn new(wakeup: Wakeup) -> Self {
        let now = Instant::now();
        let process = |at| Process {
            gate: Gate::default(),
            far: Duration::from_micros(10 * (at + 1)),
            last: 0,
            listens: false,
            tracks: false,
            holds: 0,
            held: now,
            longest: Duration::ZERO,
        };
        let processes = (0..PROCESSES as u64).map(process).collect();
        let flying = BTreeMap::new();
        let mut world = Self { now, key: None, processes, flying, sent: 0, commands: 0 };
        for at in 0..PROCESSES {
            for _ in 0..CALLERS {
                world.come(at, wakeup);
            }
        }
        world
    }

    fn come(&mut self, at: usize, wakeup: Wakeup) {
        self.processes[at].last += 1;
        let claim = Claim(self.processes[at].last);
        let (terms, patience) = (Terms { wakeup, ..terms() }, Patience::Endless);
        self.tell(at, Event::Came { claim, terms, patience });
    }

    fn tell(&mut self, at: usize, event: Event) {
        let (now, clocks) = (self.now, None);
        let scene = Scene { now, clocks, entropy: u64::MAX, online: true, ears: TRACKS };
        let mut orders = Vec::new();
        self.processes[at].gate.on(&event, &scene, &mut orders);
        for order in orders {
            match order {
                Order::Send(errand) => self.fly(at, Word::Asked(errand)),
                Order::Grant { claim, .. } => {
                    let process = &mut self.processes[at];
                    process.holds += 1;
                    process.longest = process.longest.max(self.now - process.held);
                    process.held = self.now;
                    self.fly(at, Word::Heard(Event::Released { claim }));
                }
                Order::Report { released, .. } => {
                    assert_eq!(released, Released::Yes);
                    self.come(at, Wakeup::Auto);
                }
                Order::Forget(_) => {}
                order => panic!("{order:?} of {at}"),
            }
        }
    }

    fn fly(&mut self, at: usize, word: Word) {
        let own = matches!(word, Word::Heard(Event::Released { .. }));
        let far = if own { Duration::ZERO } else { self.processes[at].far };
        self.sent += 1;
        self.flying.insert((self.now + far, self.sent), (at, word));
    }

    /// Carries out what has come to the server.
    fn serve(&mut self, at: usize, errand: Errand) {
        self.commands += 1 + usize::from(matches!(errand, Errand::Release { aloud: true, .. }));
        let process = at as u64;
        let said = match errand {
            Errand::Ask { claim, .. } => match self.key {
                None => {
                    self.set(Some((at, claim)));
                    Said::Fresh
                }
                Some((by, Claim(claim))) => {
                    let (process, left) = (by as u64, Left::Unasked);
                    Said::Held { holder: process << 32 | claim, process, left }
                }
            },
            Errand::Look { listen, .. } => {
                self.processes[at].listens |= listen;
                self.processes[at].tracks = true;
                Said::Left(self.key.map_or(Left::Nothing, |_| Left::For(SECOND)))
            }
            Errand::HandOver { to, .. } => {
                self.set(Some((at, to)));
                Said::Ours(Left::Unasked)
            }
            Errand::Release { aloud, waits, .. } => {
                self.set(None);
                match aloud {
                    true => Said::Freed { told: self.publish(Event::Announced { process, waits }) },
                    false => Said::Ours(Left::Unasked),
                }
            }
            Errand::Plead { .. } => {
                self.publish(Event::Pleaded { process });
                return;
            }
            errand => panic!("{errand:?} of {at}"),
        };
        self.fly(at, Word::Heard(Event::Said { errand, said }));
    }

    fn set(&mut self, key: Option<(usize, Claim)>) {
        let by = key.or(self.key).map(|(at, _)| at);
        self.key = key;
        for at in 0..PROCESSES {
            if std::mem::take(&mut self.processes[at].tracks) && by != Some(at) {
                self.fly(at, Word::Heard(Event::Changed));
            }
        }
    }

    /// Tells all who listen; gives how many.
    fn publish(&mut self, event: Event) -> u32 {
        let (Event::Announced { process: by, .. } | Event::Pleaded { process: by }) = event else {
            unreachable!("nothing else is published")
        };
        let told = (0..PROCESSES).filter(|at| self.processes[*at].listens).collect::<Vec<_>>();
        for at in told.iter().filter(|at| **at as u64 != by) {
            self.fly(*at, Word::Heard(event));
        }
        u32::try_from(told.len()).unwrap()
    }

    /// Goes on to whatever happens next.
    fn step(&mut self) {
        let next = self.flying.first_key_value().map(|(&(at, _), _)| at);
        let dues = self.processes.iter().enumerate();
        let dues = dues.filter_map(|(at, process)| Some((process.gate.due()?, at)));
        if let Some((due, at)) = dues.min().filter(|(due, _)| next.is_none_or(|next| *due < next)) {
            self.now = self.now.max(due);
            return self.tell(at, Event::Tick);
        }
        let Some(((when, _), (at, word))) = self.flying.pop_first() else { return };
        self.now = when;
        match word {
            Word::Asked(errand) => self.serve(at, errand),
            Word::Heard(event) => self.tell(at, event),
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.step();
        }
    }
}

#[test]
fn processes_take_turns_however_fast_their_links_are() {
    let mut world = World::new(Wakeup::Auto);
    world.run(100 * MS);
    for process in &mut world.processes {
        (process.holds, process.longest, process.held) = (0, Duration::ZERO, world.now);
    }
    world.commands = 0;
    world.run(SECOND);
    let holds: Vec<_> = world.processes.iter().map(|process| process.holds).collect();
    let all: usize = holds.iter().sum();
    assert!(holds.iter().all(|holds| holds * PROCESSES * 10 > all * 9), "{holds:?} holds");
    // Nine holds of each process are a turn, and each takes one trip to and fro.
    let round: Duration = world.processes.iter().map(|process| 18 * process.far).sum();
    let longest = world.processes.iter().map(|process| process.longest).max().unwrap();
    assert!(longest < 2 * round, "{longest:?} without a hold, and a round takes {round:?}");
    assert!(world.commands * 10 < all * 13, "{} commands for {all} holds", world.commands);
}

/// A head that has lost to two others, in turn, and has pleaded.
fn pleading() -> Desk {
    let mut desk = Desk::new();
    desk.come_with(1, Terms { wakeup: Wakeup::Announce, ..terms() }, Patience::Endless);
    desk.come_with(2, Terms { wakeup: Wakeup::Announce, ..terms() }, Patience::Endless);
    assert_eq!(desk.answer(HELD), "look 1 and listen");
    desk.answer(left(4_000));
    for (process, said) in [(7, ""), (8, "plead 1")] {
        assert_eq!(desk.told(Event::Announced { process, waits: true }), "ask 1");
        assert_eq!(desk.answer(faster(process)), said);
    }
    desk.flying.clear();
    desk
}

/// A process that has spoken has the key, by another hold each time.
fn faster(process: u64) -> Said {
    Said::Held { holder: 100 + process, process, left: Left::Unasked }
}

#[test]
fn who_loses_to_others_says_now_and_then_that_it_waits() {
    let mut desk = pleading();
    for (process, after, said) in [(7, 0, ""), (8, 0, ""), (7, 750, "plead 1"), (8, 0, "")] {
        desk.now += after * MS;
        assert_eq!(desk.told(Event::Announced { process, waits: true }), "ask 1");
        assert_eq!(desk.answer(faster(process)), said);
        desk.flying.clear();
    }
}

/// One whose callers have had the lock for as long as they may, another one waits here, and others wait elsewhere.
fn had_its_turn() -> Desk {
    let mut desk = pleading();
    desk.told(Event::Announced { process: 8, waits: true });
    desk.answer(Said::Fresh);
    assert_eq!(desk.release(1), "pass 1 to 2");
    desk.answer(Said::Ours(Left::Unasked));
    desk.come_with(3, Terms { wakeup: Wakeup::Announce, ..terms() }, Patience::Endless);
    desk.after(60 * MS);
    assert_eq!(desk.release(2), "release 2 aloud for others");
    desk
}

#[test]
fn who_has_had_its_turn_lets_those_go_first_who_wait() {
    let mut desk = had_its_turn();
    assert_eq!(desk.answer(Said::Freed { told: 3 }), "report 2: Yes, forget 2");
    assert_eq!(desk.told(Event::Announced { process: 7, waits: false }), "", "8 is still before");
    assert_eq!(desk.told(Event::Announced { process: 8, waits: true }), "ask 3");
    assert_eq!(desk.answer(held_by(9)), "look 3", "by somebody who has not spoken");
}

#[test]
fn those_who_do_not_come_are_waited_for_once() {
    let fence = || Said::Fenced(FencingToken::parse(b"7-0").unwrap());
    for (fenced, taken) in [(false, Said::Fresh), (true, fence())] {
        let terms = Terms { wakeup: Wakeup::Announce, fenced, ..terms() };
        let mut desk = pleading();
        desk.told(Event::Announced { process: 8, waits: true });
        desk.answer(Said::Fresh);
        desk.leave(2);
        assert_eq!(desk.release(1), "release 1 aloud");
        assert_eq!(desk.answer(Said::Freed { told: 3 }), "report 1: Yes, forget 1");
        for claim in [4, 5, 6] {
            let first = desk.come_with(claim, terms, Patience::Endless);
            assert_eq!(first.is_empty(), claim == 4, "{claim}: {first}");
            if first.is_empty() {
                assert_eq!(desk.after(MS), "");
                assert!(desk.after(MS).starts_with("ask 4"), "two were before it, a moment each");
            }
            assert!(desk.answer(taken).starts_with("grant"), "{claim}");
            desk.release(claim);
            desk.answer(Said::Freed { told: 3 });
        }
    }
}

#[test]
fn nobody_lets_others_go_first_who_are_not_told() {
    let mut desk = had_its_turn();
    assert_eq!(desk.answer(Said::Freed { told: 1 }), "report 2: Yes, forget 2, ask 3");
}
