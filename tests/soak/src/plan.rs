//! What is done in a history and what goes wrong in it: drawn from its seed, and from nothing else. Pure.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use std::time::Duration;
use tenure_server::{Ending, Way};

/// Offsets at which connections are cut: histories with seeds that follow each other cut at neighbouring bytes, in one direction and
/// then in the other.
pub(crate) const OFFSETS: u64 = 512;
/// Workers there are to choose from.
pub(crate) const WORKERS: usize = 4;

/// How far clocks are stepped.
const STEP: i64 = 60 * 60 * 1000;

/// What becomes of a byte.
///
/// What cannot be noticed is not among them: a byte that is changed within an argument makes another request, and one that is lost
/// another reply, of which nobody can know that they are not what was meant. TCP sees to it that there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// Among replies, one is made up that shifts a text or breaks a line: whoever reads on reads wrongly.
    MadeUpReply,
    /// Among replies, the highest bit of one is inverted: no line survives that, and no text is what it was.
    FlippedReply,
    /// Among requests, one is made up that no text has: the server hangs up, or does not find what it was asked for.
    MadeUpRequest,
}

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A connection of the worker is cut after so many more bytes.
    Cut(Way, Ending, u64),
    /// All are, and the next one after so many bytes of its own, handshake included.
    CutAgain(Way, Ending, u64),
    /// Nothing passes for a while.
    Hold(Way),
    /// Nothing passes in either direction: half-open for both ends.
    HoldBoth,
    Drip(Way, usize, Duration),
    Delay(Way, Duration),
    Window(usize),
    /// Connections end, and for a while no new one is let in.
    Refuse,
    /// Connections end, and for a while nobody answers who dials.
    Ignore,
    KillConnections,
    KillListeners,
    PauseServer,
    FlushScripts,
    /// SIGSTOP for a while.
    StopServer,
    /// SIGKILL, and a restart after a while.
    KillServer,
    StopWorker,
    /// SIGKILL, and another one begins in its place.
    KillWorker,
    /// The byte after so many more, on one of the worker's connections: the one that a number falls on.
    Damage(Damage, u64, usize),
    /// The worker's wall clock is set by so many milliseconds, and back after a while.
    StepClock(i64),
}

impl Fault {
    /// What it is called in counts.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Cut(..) => "cuts at a byte",
            Self::CutAgain(..) => "cuts of a new connection at a byte",
            Self::Hold(_) => "black holes in one direction",
            Self::HoldBoth => "black holes in both directions",
            Self::Drip(..) => "drips",
            Self::Delay(..) => "delays",
            Self::Window(_) => "tiny windows",
            Self::Refuse => "dials refused for a while",
            Self::Ignore => "dials unanswered for a while",
            Self::KillConnections => "CLIENT KILL TYPE normal",
            Self::KillListeners => "CLIENT KILL TYPE pubsub",
            Self::PauseServer => "CLIENT PAUSE",
            Self::FlushScripts => "SCRIPT FLUSH",
            Self::StopServer => "SIGSTOP of the server",
            Self::KillServer => "SIGKILL of the server",
            Self::StopWorker => "SIGSTOP of a client",
            Self::KillWorker => "SIGKILL of a client",
            Self::Damage(Damage::MadeUpReply, ..) => "bytes made up among replies",
            Self::Damage(Damage::FlippedReply, ..) => "bytes changed in replies",
            Self::Damage(Damage::MadeUpRequest, ..) => "bytes made up among requests",
            Self::StepClock(_) => "steps of a client's wall clock",
        }
    }

    fn draw(kind: u32, seed: u64, rng: &mut StdRng) -> Self {
        let way = if seed / OFFSETS % 2 == 0 { Way::ToServer } else { Way::ToClient };
        let endings = [Ending::Reset, Ending::Close, Ending::Silence];
        let ending = *endings.choose(rng).expect("a connection ends somehow");
        let ms = |ms| Duration::from_millis(ms);
        match kind {
            CUT | 1 => Self::Cut(way, ending, seed % OFFSETS),
            2 => Self::CutAgain(way, ending, seed % OFFSETS),
            3 => Self::Hold(way),
            4 => Self::HoldBoth,
            5 => Self::Drip(way, rng.random_range(1..64), ms(rng.random_range(1..4))),
            6 => Self::Delay(way, ms(rng.random_range(1..40))),
            7 => Self::Window(rng.random_range(1..64)),
            8 => Self::Refuse,
            9 => Self::Ignore,
            10 => Self::KillConnections,
            11 => Self::KillListeners,
            12 => Self::PauseServer,
            13 => Self::FlushScripts,
            14 => Self::StopServer,
            15 => Self::KillServer,
            16 => Self::StopWorker,
            17 => Self::KillWorker,
            18..=20 => {
                let damages = [Damage::MadeUpReply, Damage::FlippedReply, Damage::MadeUpRequest];
                let damage = damages[kind as usize - 18];
                Self::Damage(damage, rng.random_range(0..128), rng.random_range(0..8))
            }
            _ => Self::StepClock(if rng.random() { STEP } else { -STEP }),
        }
    }
}

const CUT: u32 = 0;
/// As many as [`Fault::draw`] knows.
const KINDS: u32 = 22;

/// A fault, when it begins and ends, and whom it befalls if it is one worker.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) at: Duration,
    pub(crate) until: Duration,
    pub(crate) worker: usize,
    pub(crate) fault: Fault,
}

/// One history.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) workers: usize,
    pub(crate) locks: u64,
    pub(crate) tasks: u64,
    pub(crate) steps: u64,
    /// In the order in which they begin.
    pub(crate) events: Vec<Event>,
    /// Then everything is well again, at the latest.
    pub(crate) heals: Duration,
}

impl Plan {
    pub(crate) fn draw(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let ms = |ms| Duration::from_millis(ms);
        let workers = rng.random_range(2..=WORKERS);
        let heals = ms(rng.random_range(50..350));
        // A random subset: what rarely comes together does so here and there.
        let mut kinds: Vec<u32> = (0..KINDS).filter(|_| rng.random_bool(0.3)).collect();
        let mut events = Vec::new();
        for number in 0..rng.random_range(0..=5) {
            // Every second history that has any is cut at its own byte: there are many of those.
            let cut = number == 0 && rng.random_bool(0.5);
            let kind = if cut { Some(&CUT) } else { kinds.choose(&mut rng) };
            let Some(&kind) = kind else { break };
            let fault = Fault::draw(kind, seed, &mut rng);
            // One server ends or hangs once at a time.
            if matches!(fault, Fault::StopServer | Fault::KillServer) {
                kinds.retain(|kind| !(14..=15).contains(kind));
            }
            let at = heals.mul_f64(rng.random_range(0.0..0.7));
            let until = heals.min(at + ms(rng.random_range(5..250)));
            events.push(Event { at, until, worker: rng.random_range(0..workers), fault });
        }
        events.sort_by_key(|event| event.at);
        Self {
            workers,
            locks: rng.random_range(1..=2),
            tasks: rng.random_range(1..=2),
            steps: rng.random_range(2..=6),
            events,
            heals,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn plans_repeat_themselves_and_among_many_nothing_is_missing() {
        let (mut names, mut offsets) = (BTreeSet::new(), BTreeSet::new());
        for seed in 0..10_000 {
            let plan = Plan::draw(seed);
            assert_eq!(format!("{plan:?}"), format!("{:?}", Plan::draw(seed)));
            assert!(plan.events.iter().all(|event| event.worker < plan.workers));
            for event in plan.events {
                names.insert(event.fault.name());
                if let Fault::Cut(_, _, after) | Fault::CutAgain(_, _, after) = event.fault {
                    offsets.insert(after);
                }
            }
        }
        assert_eq!((names.len(), offsets.len()), (21, OFFSETS as usize));
    }
}
