//! A client on a runtime of its own, and blocks of work for it.

use crate::Failure;
use crate::connection::floor::Std;
use crate::connection::halves::Halves;
use crate::connection::limits::ByHand;
use crate::connection::peers::{
    Fred, Peer, Redis1, Redis2, Rslock, Rustis, Target, Tenure, TenureFenced, TenureLock,
    TenureSpin,
};
use std::time::Instant;
use tokio::runtime::{Builder, Runtime};

/// Where the tasks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    CurrentThread,
    TwoWorkers,
}

impl Flavour {
    pub(crate) const ALL: [Self; 2] = [Self::CurrentThread, Self::TwoWorkers];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CurrentThread => "current-thread",
            Self::TwoWorkers => "two workers",
        }
    }

    pub(crate) fn runtime(self) -> std::io::Result<Runtime> {
        match self {
            Self::CurrentThread => Builder::new_current_thread().enable_all().build(),
            Self::TwoWorkers => Builder::new_multi_thread().worker_threads(2).enable_all().build(),
        }
    }
}

/// What a task does in a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Pair,
    Get,
}

/// So many tasks, each so many times.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) what: What,
    pub(crate) tasks: usize,
    pub(crate) each: usize,
    /// Whether the time of each operation is kept.
    pub(crate) timed: bool,
}

/// What a block of work took.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) operations: usize,
    pub(crate) seconds: f64,
    /// Of this process, with all its threads.
    pub(crate) cpu_seconds: f64,
    /// Nanoseconds of each operation.
    pub(crate) times: Vec<u32>,
}

/// Takes the time of a block.
pub(crate) fn block(load: Load, work: impl FnOnce() -> Vec<u32>) -> Block {
    let (begun, cpu) = (Instant::now(), cpu_seconds());
    let times = work();
    let (seconds, cpu_seconds) = (begun.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    Block { operations: load.tasks * load.each, seconds, cpu_seconds, times }
}

/// Someone who takes part.
pub(crate) trait Contestant {
    fn name(&self) -> &'static str;
    fn kind(&self) -> Kind;
    fn block(&self, load: Load) -> Block;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    /// Our lock, which does more than a pair.
    OurLock,
    Peer,
    Floor,
}

struct Of<P> {
    runtime: Runtime,
    peer: P,
    kind: Kind,
}

impl<P: Peer> Contestant for Of<P> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn block(&self, load: Load) -> Block {
        block(load, || self.runtime.block_on(work(&self.peer, load)))
    }
}

/// Runs the tasks to their end.
pub(crate) async fn work<P: Peer>(peer: &P, load: Load) -> Vec<u32> {
    let start = |task| {
        let (peer, slot) = (peer.clone(), peer.slot(task));
        tokio::spawn(async move { task_of(&peer, &slot, load).await })
    };
    let running: Vec<_> = (0..load.tasks).map(start).collect();
    let mut times = Vec::with_capacity(if load.timed { load.tasks * load.each } else { 0 });
    for task in running {
        times.extend(task.await.expect("a task ends without a panic"));
    }
    times
}

async fn task_of<P: Peer>(peer: &P, slot: &P::Slot, load: Load) -> Vec<u32> {
    let mut times = Vec::with_capacity(if load.timed { load.each } else { 0 });
    for _ in 0..load.each {
        let begun = load.timed.then(Instant::now);
        match load.what {
            What::Pair => peer.pair(slot).await,
            What::Get => peer.get().await,
        }
        if let Some(begun) = begun {
            times.push(nanos(begun));
        }
    }
    times
}

pub(crate) fn nanos(since: Instant) -> u32 {
    u32::try_from(since.elapsed().as_nanos()).unwrap_or(u32::MAX)
}

/// CPU that this process has used.
pub(crate) fn cpu_seconds() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// Does something with the type of a client, chosen by its name.
pub(crate) trait WithPeer {
    type Out;
    fn with<P: Peer>(self) -> Self::Out;
}

/// Takes part where one task works alone.
pub(crate) const SPINNING: &str = TenureSpin::NAME;

/// The clients by name, in the order of the tables.
pub(crate) const NAMES: [&str; 7] = [
    Tenure::NAME,
    TenureLock::NAME,
    Redis1::NAME,
    Redis2::NAME,
    Fred::NAME,
    Rustis::NAME,
    Rslock::NAME,
];

pub(crate) fn with_peer<W: WithPeer>(name: &str, with: W) -> Option<W::Out> {
    Some(match name {
        Tenure::NAME => with.with::<Tenure>(),
        TenureSpin::NAME => with.with::<TenureSpin>(),
        TenureLock::NAME => with.with::<TenureLock>(),
        TenureFenced::NAME => with.with::<TenureFenced>(),
        Redis1::NAME => with.with::<Redis1>(),
        Redis2::NAME => with.with::<Redis2>(),
        Fred::NAME => with.with::<Fred>(),
        Rustis::NAME => with.with::<Rustis>(),
        Rslock::NAME => with.with::<Rslock>(),
        _ => return None,
    })
}

struct Make<'a> {
    target: &'a Target,
    flavour: Flavour,
    what: What,
}

impl WithPeer for Make<'_> {
    type Out = Result<Option<Box<dyn Contestant>>, Failure>;

    fn with<P: Peer>(self) -> Self::Out {
        if self.what == What::Get && !P::GETS {
            return Ok(None);
        }
        let runtime = self.flavour.runtime()?;
        let peer = runtime.block_on(P::connect(self.target))?;
        let kind = match (P::OTHER, P::GETS) {
            (true, _) => Kind::Peer,
            (false, true) => Kind::Ours,
            (false, false) => Kind::OurLock,
        };
        Ok(Some(Box::new(Of { runtime, peer, kind })))
    }
}

/// All that take part, connected: clients whose name is wanted, and the floors that fit the number of tasks, first the one that
/// others are compared with.
pub(crate) fn all(
    target: &Target,
    flavour: Flavour,
    (what, tasks): (What, usize),
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Vec<Box<dyn Contestant>>, Failure> {
    let mut all: Vec<Box<dyn Contestant>> = Vec::new();
    let alone = (tasks == 1).then_some(SPINNING);
    for name in NAMES.into_iter().chain(alone).filter(|name| wanted(name)) {
        let made = with_peer(name, Make { target, flavour, what });
        all.extend(made.expect("the names are those of clients")?);
    }
    match tasks {
        1 => {
            all.push(Box::new(Std::blocking(target)?));
            all.push(Box::new(ByHand::connect(target, flavour)?));
            all.push(Box::new(Std::spinning(target)?));
        }
        _ => all.push(Box::new(Halves::connect(target, tasks)?)),
    }
    Ok(all)
}
