//! What happens in a run, drawn from its seed before anything begins: who there is, what they do, what goes wrong and when.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::time::Duration;
use tenure_server::{Profile, Way};

/// One run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) profile: Profile,
    /// Microseconds that the server's clock gains in a second, within the drift that a lease allows for.
    pub(crate) drift: i32,
    pub(crate) processes: Vec<Process>,
    pub(crate) locks: usize,
    /// Whose locks are waited for in one line: each one's whole name, or none of it.
    pub(crate) fair: Vec<bool>,
    /// In order of time.
    pub(crate) faults: Vec<(Duration, Fault)>,
    /// When everything goes well again.
    pub(crate) heal_at: Duration,
}

/// One client process.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) latency: Duration,
    pub(crate) tasks: usize,
    /// What each task does before it ends.
    pub(crate) steps: usize,
    /// How far its wall clock is off, in milliseconds.
    pub(crate) wall_skew_ms: i64,
    pub(crate) response_timeout: Duration,
}

/// One thing that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Links of one process.
    Hold(usize, Way),
    Pass(usize, Way),
    Reset(usize),
    CutAfter(usize, Way, u64),
    Grain(usize, usize),
    Window(usize, usize),
    Latency(usize, Duration),
    /// One process.
    Crash(usize, Told),
    Start(usize),
    StepWallClock(usize, i64),
    /// The server.
    Freeze,
    Thaw,
    KillConnections,
    RefuseConnections(bool),
    Restart,
    RestartWithoutData,
    /// A replica takes over that lacks what was written since it was last in step.
    Replicate,
    FailOver,
    Flush,
    DeleteLock(usize),
    ForgetScripts,
    Loading(bool),
    ReadOnly(bool),
    Full(bool),
    /// Executed, and the connection ends after so many bytes of the reply.
    CutReplies(usize, u64),
    /// Not executed, and the connection ends.
    CloseAtRequests(u64),
    DelayRequests(Duration, u64),
}

/// Whether the server learns of a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// The kernel closes the sockets.
    Yes,
    /// The machine is gone, too.
    No,
}

impl Fault {
    /// Whether the server loses keys, or is told to delete them: then two validities may overlap.
    pub(crate) fn loses_keys(&self) -> bool {
        matches!(
            self,
            Self::RestartWithoutData | Self::FailOver | Self::Flush | Self::DeleteLock(_)
        )
    }
}

impl Plan {
    pub(crate) fn draw(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let profiles = [Profile::Redis6_2, Profile::Redis7_0, Profile::Redis8_4, Profile::Valkey9];
        let profile = profiles[rng.random_range(0..profiles.len())];
        let count = rng.random_range(1..=4);
        let processes: Vec<_> = (0..count).map(|_| process(&mut rng)).collect();
        let heal_at = Duration::from_millis(rng.random_range(500..8_000));
        let mut faults = faults(&mut rng, count, heal_at);
        faults.sort_by_key(|(at, _)| *at);
        let drift = rng.random_range(-900..=900);
        let locks = rng.random_range(1..=3);
        let fair = (0..locks).map(|_| rng.random_bool(0.4)).collect();
        Self { seed, profile, drift, processes, locks, fair, faults, heal_at }
    }

    /// Random numbers for one purpose, independent of all others.
    pub(crate) fn rng(&self, purpose: u64) -> StdRng {
        StdRng::seed_from_u64(self.seed ^ purpose.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }
}

fn process(rng: &mut StdRng) -> Process {
    let slow = rng.random_bool(0.15);
    let latency = if slow { rng.random_range(5_000..20_000) } else { rng.random_range(50..1_500) };
    Process {
        latency: Duration::from_micros(latency),
        tasks: rng.random_range(1..=3),
        steps: rng.random_range(2..=8),
        wall_skew_ms: rng.random_range(-3_600_000..=3_600_000),
        response_timeout: Duration::from_millis(rng.random_range(100..1_000)),
    }
}

/// A random subset of all kinds of fault, each kind a few times: runs in which everything fails at once find less.
fn faults(rng: &mut StdRng, processes: usize, heal_at: Duration) -> Vec<(Duration, Fault)> {
    const KINDS: u32 = 20;
    let mut faults = Vec::new();
    let share = [0.0, 0.1, 0.25, 0.5][rng.random_range(0..4)];
    let heal_ms = u64::try_from(heal_at.as_millis()).unwrap_or(u64::MAX);
    for kind in 0..KINDS {
        if !rng.random_bool(share) {
            continue;
        }
        for _ in 0..rng.random_range(1..=3) {
            let at = Duration::from_millis(rng.random_range(0..heal_ms));
            let lasting = Duration::from_millis(rng.random_range(1..2_500));
            let process = rng.random_range(0..processes);
            for (after, fault) in kind_of(kind, process, lasting, rng) {
                faults.push((at + after, fault));
            }
        }
    }
    faults
}

fn way(rng: &mut StdRng) -> Way {
    if rng.random_bool(0.5) { Way::ToServer } else { Way::ToClient }
}

/// One occurrence of a kind of fault: what happens, and how long after its beginning.
fn kind_of(
    kind: u32,
    process: usize,
    lasting: Duration,
    rng: &mut StdRng,
) -> Vec<(Duration, Fault)> {
    let now = Duration::ZERO;
    let for_a_while = |begin, end| vec![(now, begin), (lasting, end)];
    match kind {
        0 => {
            let way = way(rng);
            for_a_while(Fault::Hold(process, way), Fault::Pass(process, way))
        }
        1 => [Way::ToServer, Way::ToClient]
            .into_iter()
            .flat_map(|way| for_a_while(Fault::Hold(process, way), Fault::Pass(process, way)))
            .collect(),
        2 => vec![(now, Fault::Reset(process))],
        3 => vec![(now, Fault::CutAfter(process, way(rng), rng.random_range(0..400)))],
        4 => for_a_while(
            Fault::Grain(process, rng.random_range(1..16)),
            Fault::Grain(process, usize::MAX),
        ),
        5 => for_a_while(
            Fault::Window(process, rng.random_range(1..64)),
            Fault::Window(process, 64 << 10),
        ),
        6 => {
            let slow = Duration::from_millis(rng.random_range(10..300));
            for_a_while(
                Fault::Latency(process, slow),
                Fault::Latency(process, Duration::from_millis(1)),
            )
        }
        7 => {
            let told = if rng.random_bool(0.5) { Told::Yes } else { Told::No };
            for_a_while(Fault::Crash(process, told), Fault::Start(process))
        }
        8 => vec![(now, Fault::StepWallClock(process, rng.random_range(-3_600_000..=3_600_000)))],
        9 => for_a_while(Fault::Freeze, Fault::Thaw),
        10 => vec![(now, Fault::KillConnections)],
        11 => {
            let mut faults =
                for_a_while(Fault::RefuseConnections(true), Fault::RefuseConnections(false));
            faults.push((now, Fault::KillConnections));
            faults
        }
        12 => vec![(now, Fault::Restart)],
        13 => vec![(now, Fault::RestartWithoutData)],
        14 => for_a_while(Fault::Replicate, Fault::FailOver),
        15 => {
            let lock = rng.random_range(0..3);
            let fault = if rng.random_bool(0.5) { Fault::Flush } else { Fault::DeleteLock(lock) };
            vec![(now, fault)]
        }
        16 => vec![(now, Fault::ForgetScripts)],
        17 => match rng.random_range(0..3) {
            0 => for_a_while(Fault::Loading(true), Fault::Loading(false)),
            1 => for_a_while(Fault::ReadOnly(true), Fault::ReadOnly(false)),
            _ => for_a_while(Fault::Full(true), Fault::Full(false)),
        },
        18 => vec![(now, Fault::CutReplies(rng.random_range(0..12), rng.random_range(1..4)))],
        _ => match rng.random_range(0..2) {
            0 => vec![(now, Fault::CloseAtRequests(rng.random_range(1..4)))],
            _ => vec![(now, Fault::DelayRequests(lasting / 4, rng.random_range(1..4)))],
        },
    }
}
