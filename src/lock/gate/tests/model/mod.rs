//! The gate as it is shipped, in every order in which a few processes, their connections and a server can act: explored to the
//! end by stateright.
//!
//! What is bounded is how often callers come and things go wrong; within those bounds every history is looked at. A run of the
//! tests explores small worlds; `TENURE_MODEL=whole` with a release build explores large ones.

mod fair;
mod fences;
mod plain;
mod setting;
mod world;

use super::{MS, TRACKS, terms};
use crate::backoff::Backoff;
use crate::lock::gate::{ALIVE, Terms};
use crate::lock::lease::Lease;
use crate::lock::options::Wakeup;
use setting::{Faults, Setting};
use stateright::{Checker, Model, Property};
use std::env;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;
use tokio::time::Instant;
use world::{Fences, Life, Line, Minting, Process, Request, Stage, World};

/// Callers come and things go wrong until then; from then on whoever holds the lock releases it.
const CALM: Duration = Duration::from_millis(350);
/// Everything is over by then; a fair lock's line remembers whoever was stopped for as long as it counts as alive.
const END: Duration = Duration::from_secs(3);

struct Lock {
    setting: Setting,
    /// How many callers each process has.
    callers: Vec<usize>,
    faults: Faults,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Action {
    Come(usize, usize),
    Leave(usize, usize),
    Release(usize, usize),
    Serve(usize),
    ServeGhost(usize),
    LoseGhosts(usize),
    Deliver(usize),
    Tick(usize),
    Cut(usize),
    Open(usize),
    Crash(usize),
    Stop(usize),
    Continue(usize),
    BeOverdue(usize),
    Refuse(usize),
    Flush,
    LoseFences,
    /// What a caller writes, with its fence, arrives at what the lock protects: at any time after it was granted the lock.
    Write(usize, usize),
    Wait,
}

impl Lock {
    fn new(callers: &[usize], faults: Faults) -> Self {
        let backoff = Backoff::new(100 * MS, 1.0, 100 * MS);
        let lease = Lease::new(300 * MS).unwrap();
        let terms = Terms { lease, backoff, wakeup: Wakeup::Track, ..terms() };
        let setting = Setting {
            begun: Instant::now(),
            terms,
            minting: Minting::Script,
            patience: None,
            ears: TRACKS,
            fast: true,
            alike: false,
            half_open: false,
        };
        Self { setting, callers: callers.to_vec(), faults }
    }

    fn is_calm(&self, world: &World) -> bool {
        world.now >= self.setting.begun + CALM
    }

    /// What one process, or whoever deals with it, may do next.
    fn actions_of(&self, world: &World, at: usize, actions: &mut Vec<Action>) {
        let process = &world.processes[at];
        let (left, wild) = (world.left, !self.is_calm(world));
        let runs = process.life == Life::Runs;
        let mut may = |allowed: bool, action| {
            if allowed {
                actions.push(action);
            }
        };
        for (number, caller) in process.callers.iter().enumerate() {
            let next = number == 0 || process.callers[number - 1].stage != Stage::Away;
            match caller.stage {
                Stage::Away => may(runs && wild && next, Action::Come(at, number)),
                Stage::Waits => may(runs && left.leaves > 0, Action::Leave(at, number)),
                Stage::Holds(_) => may(runs, Action::Release(at, number)),
                Stage::LetsGo | Stage::Over => {}
            }
            let writes = caller.fence.is_some() && !caller.wrote && left.writes > 0;
            may(writes, Action::Write(at, number));
        }
        let next = process.requests.front().filter(|_| process.online);
        may(next.is_some(), Action::Serve(at));
        let whole = next.is_some_and(Request::is_whole);
        may(whole && wild && left.refusals > 0, Action::Refuse(at));
        may(!process.ghosts.is_empty(), Action::ServeGhost(at));
        may(!process.ghosts.is_empty() && process.life == Life::Dead, Action::LoseGhosts(at));
        may(runs && !process.inbound.is_empty(), Action::Deliver(at));
        may(process.is_due(world.now), Action::Tick(at));
        may(!process.online && runs, Action::Open(at));
        may(process.life == Life::Stopped, Action::Continue(at));
        may(wild && process.online && runs && left.cuts > 0, Action::Cut(at));
        may(wild && process.life != Life::Dead && left.crashes > 0, Action::Crash(at));
        may(wild && runs && left.pauses > 0, Action::Stop(at));
        let waits = process.requests.iter().any(|request| !request.overdue);
        may(wild && runs && waits && left.overdue > 0, Action::BeOverdue(at));
    }

    /// The next moment at which time alone changes something, if time may pass.
    fn next_moment(&self, world: &World) -> Option<Instant> {
        let late = |process: &Process| process.is_due(world.now);
        let talking = world.processes.iter().any(Process::is_talking);
        let held = |process: &Process| {
            let runs = process.life == Life::Runs;
            runs && process.callers.iter().any(|caller| matches!(caller.stage, Stage::Holds(_)))
        };
        let calm = self.is_calm(world);
        if world.processes.iter().any(late)
            || (talking && (calm || world.left.delays == 0))
            || (calm && world.processes.iter().any(held))
        {
            return None;
        }
        let gates = world.processes.iter().filter_map(|process| process.gate.due());
        let moments = gates.chain(world.key.map(|key| key.until));
        // Callers may come late, and processes may be stopped for long.
        let idle = (!calm).then(|| self.setting.begun + CALM);
        moments.chain(idle).filter(|moment| *moment > world.now).min()
    }
}

impl Model for Lock {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let processes = self.callers.iter().map(|callers| Process::new(*callers)).collect();
        let left = self.faults;
        let (now, fences) = (self.setting.begun, Fences::default());
        let line = Line::default();
        vec![World { now, key: None, line, fences, processes, left, broken: None }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        for at in 0..world.processes.len() {
            self.actions_of(world, at, actions);
        }
        if world.left.flushes > 0 && world.key.is_some() && !self.is_calm(world) {
            actions.push(Action::Flush);
        }
        if world.left.flushes > 0 && world.fences.are_there() && !self.is_calm(world) {
            actions.push(Action::LoseFences);
        }
        if self.next_moment(world).is_some() {
            actions.push(Action::Wait);
        }
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut world = last.clone();
        let (setting, left) = (&self.setting, &mut world.left);
        match action {
            Action::Come(at, number) => world.come(at, number, setting),
            Action::Leave(at, number) => {
                left.leaves -= 1;
                world.leave(at, number, setting);
            }
            Action::Release(at, number) => world.release(at, number, setting),
            Action::Serve(at) => world.serve(at, false, setting),
            Action::ServeGhost(at) => world.serve_ghost(at, setting),
            Action::LoseGhosts(at) => world.processes[at].ghosts.clear(),
            Action::Deliver(at) => world.deliver(at, setting),
            Action::Tick(at) => world.tick(at, setting),
            Action::Cut(at) => {
                left.cuts -= 1;
                world.cut(at, setting);
            }
            Action::Open(at) => world.open(at, setting),
            Action::Crash(at) => {
                left.crashes -= 1;
                world.crash(at, setting);
            }
            Action::Stop(at) => {
                left.pauses -= 1;
                world.processes[at].life = Life::Stopped;
            }
            Action::Continue(at) => world.processes[at].life = Life::Runs,
            Action::BeOverdue(at) => {
                left.overdue -= 1;
                world.be_overdue(at, setting);
            }
            Action::Refuse(at) => {
                left.refusals -= 1;
                world.serve(at, true, setting);
            }
            Action::Flush => {
                left.flushes -= 1;
                world.flush(setting);
            }
            Action::LoseFences => {
                left.flushes -= 1;
                world.lose_fences(setting);
            }
            Action::Write(at, number) => {
                left.writes -= 1;
                world.write(at, number);
            }
            Action::Wait => {
                let next = self.next_moment(&world)?;
                if world.processes.iter().any(Process::is_talking) {
                    world.left.delays -= 1;
                }
                world.wait_until(next);
            }
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("nothing is broken", |_, world: &World| world.broken.is_none()),
            Property::always("one at most relies on the lock", |_, world: &World| {
                believers(world).filter(|robbed| !robbed).count() <= 1
            }),
            Property::always("what is forgotten is not on the server", |_, world: &World| {
                let key = world.key.map(|key| (key.process, key.claim));
                let line = world.line.iter().map(|place| (place.process, place.claim));
                key.into_iter().chain(line).all(|(process, claim)| {
                    let process = &world.processes[process];
                    let caller = &process.callers[usize::try_from(claim.0).unwrap() - 1];
                    process.life == Life::Dead || !caller.forgotten
                })
            }),
            Property::always("no gate waits for nothing", |_, world: &World| {
                world.processes.iter().all(|process| process.gate.is_vacant() || process.is_owed())
            }),
            Property::always("nobody waits for ever", |lock: &Self, world: &World| {
                let end = if lock.setting.terms.fair { END + ALIVE } else { END };
                world.now <= lock.setting.begun + end && (!lock.is_over(world) || is_settled(world))
            }),
            Property::sometimes("somebody is granted the lock", |_, world: &World| {
                believers(world).next().is_some()
            }),
            Property::sometimes("everybody is done", |lock: &Self, world: &World| {
                lock.is_over(world)
            }),
        ]
    }
}

impl Lock {
    /// Whether nothing more can happen.
    fn is_over(&self, world: &World) -> bool {
        let mut actions = Vec::new();
        self.actions(world, &mut actions);
        actions.is_empty()
    }

    /// Explores everything, and fails with the way to what does not hold. Gives the number of states.
    fn explore(self) -> usize {
        let alike = self.setting.alike;
        let checker = self.checker().threads(2);
        if alike {
            let checker = checker.symmetry_fn(in_order).spawn_dfs().join();
            checker.assert_properties();
            return checker.unique_state_count();
        }
        let checker = checker.spawn_bfs().join();
        checker.assert_properties();
        checker.unique_state_count()
    }
}

/// Of each caller who relies on the lock, whether the server was told to forget it meanwhile.
fn believers(world: &World) -> impl Iterator<Item = bool> {
    let alive = world.processes.iter().filter(|process| process.life != Life::Dead);
    alive.flat_map(|process| &process.callers).filter_map(|caller| match caller.stage {
        Stage::Holds(until) if world.now < until => Some(caller.robbed),
        _ => None,
    })
}

/// Whether nobody waits, and nothing is left.
fn is_settled(world: &World) -> bool {
    let alive = world.processes.iter().filter(|process| process.life != Life::Dead);
    world.key.is_none()
        && alive.into_iter().all(|process| {
            let told = |stage| !matches!(stage, Stage::Waits | Stage::Holds(_));
            process.gate.is_vacant() && process.callers.iter().all(|caller| told(caller.stage))
        })
}

/// The same state with its processes in one order, of all that differ in nothing else.
fn in_order(world: &World) -> World {
    let mark = |process: &Process| {
        let mut hasher = DefaultHasher::new();
        process.hash(&mut hasher);
        hasher.finish()
    };
    let mut order: Vec<_> = (0..world.processes.len()).collect();
    order.sort_by_cached_key(|at| {
        let owns = world.key.is_some_and(|key| key.process == *at);
        (mark(&world.processes[*at]), owns)
    });
    let mut sorted = world.clone();
    sorted.processes = order.iter().map(|at| world.processes[*at].clone()).collect();
    let place = |process: usize| order.iter().position(|at| *at == process).unwrap();
    if let Some(key) = &mut sorted.key {
        key.process = place(key.process);
    }
    for waiter in &mut sorted.line {
        waiter.process = place(waiter.process);
    }
    sorted
}

/// States of a large world.
const MANY: usize = 1_000_000;

/// Explores a small world, or a large one where that is asked for; either is larger than so many states.
fn explore(small: (Lock, usize), large: (Lock, usize)) {
    let whole = env::var("TENURE_MODEL").is_ok_and(|what| what == "whole");
    let (lock, least) = if whole { large } else { small };
    let states = lock.explore();
    eprintln!("{states} states");
    assert!(states > least, "{states} states are fewer than there were");
}

const NONE: Faults = Faults {
    cuts: 0,
    crashes: 0,
    pauses: 0,
    overdue: 0,
    refusals: 0,
    flushes: 0,
    writes: 0,
    leaves: 0,
    delays: 0,
};
