//! Blocks in turns, and what they come to.

use crate::connection::contestant::{Block, Contestant, Kind, Load, What};
use crate::stats::{Interval, median};
use crate::table::Table;
use hdrhistogram::Histogram;

/// How long a block lasts, about.
const BLOCK_SECONDS: f64 = 0.1;

/// What one contestant came to under one load.
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Operations per second, one value a block.
    pub(crate) rates: Vec<f64>,
    /// Microseconds of CPU per operation, of the client's process.
    pub(crate) cpu: Vec<f64>,
    /// Of the server's.
    pub(crate) server_cpu: Vec<f64>,
    /// Median of the times in a block, in nanoseconds.
    pub(crate) p50: Vec<f64>,
    /// All times, in nanoseconds.
    pub(crate) times: Histogram<u64>,
}

impl Measured {
    fn new(contestant: &dyn Contestant) -> Self {
        let times = Histogram::new(3).expect("three digits are possible");
        let (name, kind) = (contestant.name(), contestant.kind());
        let [rates, cpu, server_cpu, p50] = [const { Vec::new() }; 4];
        Self { name, kind, rates, cpu, server_cpu, p50, times }
    }

    fn add(&mut self, block: Block, server_seconds: f64) {
        let operations = block.operations as f64;
        self.rates.push(operations / block.seconds);
        self.cpu.push(block.cpu_seconds * 1e6 / operations);
        self.server_cpu.push(server_seconds * 1e6 / operations);
        let mut times = block.times;
        times.sort_unstable();
        self.p50.push(f64::from(times[times.len() / 2]));
        for time in times {
            self.times.record(u64::from(time)).expect("the histogram grows");
        }
    }

    pub(crate) fn rate(&self) -> f64 {
        median(&self.rates)
    }

    fn micros(&self, quantile: f64) -> f64 {
        self.times.value_at_quantile(quantile) as f64 / 1e3
    }
}

/// How a load is laid out in time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) what: What,
    pub(crate) tasks: usize,
    pub(crate) rounds: usize,
    /// Operations of a task in a block; as many as take some time if not given.
    pub(crate) each: Option<usize>,
    /// The process whose CPU is the server's.
    pub(crate) server: u32,
}

/// Lets everybody work in turns. The first blocks warm up and are not counted.
pub(crate) fn measure(contestants: &[Box<dyn Contestant>], plan: Plan) -> Vec<Measured> {
    let Plan { what, tasks, .. } = plan;
    let load = |each| Load { what, tasks, each, timed: true };
    let each: Vec<usize> = contestants
        .iter()
        .map(|one| {
            let warm = one.block(load((2_000 / tasks).max(2)));
            let rate = warm.operations as f64 / warm.seconds;
            let fills = (rate * BLOCK_SECONDS / tasks as f64).ceil() as usize;
            plan.each.unwrap_or(fills.max(2))
        })
        .collect();
    let mut all: Vec<_> = contestants.iter().map(|one| Measured::new(&**one)).collect();
    for round in 0..plan.rounds {
        for turn in 0..contestants.len() {
            let at = if round % 2 == 0 { turn } else { contestants.len() - 1 - turn };
            let before = cpu_of(plan.server);
            let block = contestants[at].block(load(each[at]));
            all[at].add(block, cpu_of(plan.server) - before);
        }
    }
    all
}

/// Seconds that the threads of a process were on a CPU.
fn cpu_of(process: u32) -> f64 {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else { return f64::NAN };
    let of_thread = |thread: std::fs::DirEntry| {
        let line = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        line.split(' ').next()?.parse::<f64>().ok()
    };
    threads.flatten().filter_map(of_thread).sum::<f64>() / 1e9
}

/// The fastest of the other projects' clients.
pub(crate) fn best_peer(all: &[Measured]) -> Option<&Measured> {
    let peers = all.iter().filter(|one| one.kind == Kind::Peer);
    peers.max_by(|one, other| one.rate().total_cmp(&other.rate()))
}

pub(crate) fn ours(all: &[Measured]) -> Option<&Measured> {
    all.iter().find(|one| one.kind == Kind::Ours)
}

pub(crate) fn floor(all: &[Measured]) -> Option<&Measured> {
    all.iter().find(|one| one.kind == Kind::Floor)
}

/// The table of one load. With one task what counts is the time over a blocking socket, with many the rate over the best peer.
pub(crate) fn print(title: &str, all: &[Measured], alone: bool) {
    let base = if alone { floor(all) } else { best_peer(all) };
    let Some(base) = base.or_else(|| all.first()) else { return };
    let ratio = format!("{} over {} (95 %)", if alone { "p50" } else { "rate" }, base.name);
    let head =
        ["", "per second", &ratio, "p50 µs", "p99 µs", "p99.9 µs", "CPU µs", "server CPU µs"];
    let mut table = Table::new(head);
    for one in all {
        let ratio = match alone {
            true => Interval::of_ratio(&one.p50, &base.p50),
            false => Interval::of_ratio(&one.rates, &base.rates),
        };
        table.row([
            match one.kind {
                Kind::Ours | Kind::OurLock => format!("**{}**", one.name),
                Kind::Floor => format!("*{}*", one.name),
                Kind::Peer => one.name.to_owned(),
            },
            format!("{:.0}", one.rate()),
            ratio.to_string(),
            format!("{:.1}", one.micros(0.5)),
            format!("{:.1}", one.micros(0.99)),
            format!("{:.1}", one.micros(0.999)),
            format!("{:.2}", median(&one.cpu)),
            format!("{:.2}", median(&one.server_cpu)),
        ]);
    }
    println!("**{title}**\n\n{table}");
}
