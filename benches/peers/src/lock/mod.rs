//! A contended lock: how it is handed over, shared, waited for and held.

mod counter;
mod crowd;
mod floor;
mod granted;
mod handoff;
mod idle;
mod policies;
mod reach;

use crate::Failure;
use crate::connection::{Cost, Flavour, Pair, Target, Transport, pair_cost, start};
use crate::plot::{Axis, Lines, Series, write};
use crate::real::Kind;
use crate::table::Table;
use crowd::Crowd;
use floor::Floor;
use granted::Granted;
use handoff::{Game, Played, Times};
use idle::{Guards, Holder, Idle};
use policies::{NAMES, Policy as _, WithPolicy as _, is_ours, with_policy};
use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) use crowd::child as crowd_child;
pub(crate) use idle::{child as idle_child, guards_child};

pub(crate) const USAGE: &str = "\
  lock                                a contended lock, beside those who poll
    --server redis|valkey             Redis 7.0 or Valkey 9.1 (default)
    --section handoff,crowd,idle,guards,pair
    --policy TEXT,TEXT                parts of names; everybody unless given
    --seconds N                       how long a crowd takes turns (3) and waiters wait (10)
";

/// Long enough that who waits has found to rest, short enough for many rounds.
const SHORT: Game =
    Game { least: Duration::from_millis(4), most: Duration::from_millis(12), rounds: 200 };
/// So often it is played, everybody in turn.
const TURNS: usize = 5;
/// The same for everybody.
const LONG: Game =
    Game { least: Duration::from_millis(100), most: Duration::from_millis(300), rounds: 60 };

/// Everything that was measured.
#[derive(Default)]
pub(crate) struct Results {
    /// Hand-overs after short holds: ours only, as those who poll are as slow after any, and the least that it takes.
    short: BTreeMap<&'static str, Played>,
    /// Nanoseconds of hand-overs after long ones.
    long: BTreeMap<&'static str, Vec<u64>>,
    /// By processes and tasks in each.
    crowds: BTreeMap<(&'static str, usize, usize), Crowd>,
    /// What nothing but one command after another comes to, by tasks.
    rounds: BTreeMap<usize, Crowd>,
    idle: BTreeMap<(&'static str, Holder), Idle>,
    guards: Option<Guards>,
    /// By plain commands, by a lock and by a fenced one.
    pairs: Vec<[Cost; 3]>,
}

/// # Errors
///
/// For words that it does not know, and when a server or a client cannot be started.
pub(crate) fn run(words: &[String]) -> Result<(), Failure> {
    let settings = Settings::parse(words)?;
    let (_server, target) = start(settings.server, Transport::Tcp)?;
    let mut results = Results::default();
    println!("### Lock, {:?}\n", settings.server);
    if settings.wants("pair") {
        for tasks in [1, 512] {
            let flavour = Flavour::CurrentThread;
            let cost = |pair| pair_cost(pair, flavour, tasks, &target);
            results.pairs.push([cost(Pair::Plain)?, cost(Pair::Lock)?, cost(Pair::FencedLock)?]);
        }
    }
    if settings.wants("handoff") {
        handoffs(&settings, &target, &mut results)?;
    }
    if settings.wants("crowd") {
        crowds(&settings, &target, &mut results)?;
    }
    if settings.wants("idle") {
        idles(&settings, &target, &mut results)?;
    }
    if settings.wants("guards") {
        let guards = idle::hold(&target, 10_000, settings.idle())?;
        println!(
            "**10,000 guards, lease 10 s**: {:.2} % of a core, {:.0} commands per second, {} late\n",
            guards.cpu * 100.0,
            guards.commands_per_second,
            guards.lost
        );
        results.guards = Some(guards);
    }
    println!("### Reach\n\n{}", reach::table(&results));
    Ok(())
}

/// Ours in turn with what it takes at least, as every microsecond counts; then those who poll, all at once, as they sleep.
fn handoffs(settings: &Settings, target: &Target, results: &mut Results) -> Result<(), Failure> {
    let (ours, others): (Vec<_>, Vec<_>) = settings.policies().partition(|name| is_ours(name));
    let play = |game, name: &str| {
        let times = Times { target, game, name: &format!("handoff:{name}") };
        match name {
            Floor::NAME => times.with::<Floor>(),
            Granted::NAME => times.with::<Granted>(),
            _ => with_policy(name, times).expect("the names are those of policies"),
        }
    };
    for _ in 0..TURNS {
        for name in [Floor::NAME, Granted::NAME].into_iter().chain(ours.iter().copied()) {
            results.short.entry(name).or_default().add(play(SHORT, name)?);
        }
    }
    for name in ours {
        results.long.insert(name, play(LONG, name)?.handovers);
    }
    let played = std::thread::scope(|scope| {
        let start = |name: &'static str| {
            scope.spawn(move || {
                let played = play(LONG, name);
                played.map(|played| (name, played.handovers)).map_err(|error| error.to_string())
            })
        };
        let running: Vec<_> = others.into_iter().map(start).collect();
        let finished = running
            .into_iter()
            .map(|one| one.join().unwrap_or_else(|_| Err("a policy has panicked".to_owned())));
        finished.collect::<Result<Vec<_>, String>>()
    })?;
    results.long.extend(played);
    print_handoffs(results)
}

fn print_handoffs(results: &Results) -> Result<(), Failure> {
    let head = [
        "",
        "held ms",
        "hand-overs",
        "p50 µs",
        "p99 µs",
        "mean µs",
        "bare round trip p50 µs",
        "p50 over it",
        "p99 over it",
    ];
    let mut table = Table::new(head);
    let mut row = |name: &str, held: &str, times: &[u64], bare: Option<f64>| {
        let mean = times.iter().sum::<u64>() as f64 / times.len().max(1) as f64;
        let (p50, p99) = (quantile(times, 0.5), quantile(times, 0.99));
        let over = |value: f64| bare.map(|bare| format!("{:.2}", value / bare)).unwrap_or_default();
        table.row([
            name.to_owned(),
            held.to_owned(),
            times.len().to_string(),
            format!("{:.1}", p50 / 1e3),
            format!("{:.1}", p99 / 1e3),
            format!("{:.1}", mean / 1e3),
            bare.map(|bare| format!("{:.1}", bare / 1e3)).unwrap_or_default(),
            over(p50),
            over(p99),
        ]);
    };
    for (name, Played { handovers, bare }) in &results.short {
        row(&bold(name), "4–12", handovers, Some(quantile(bare, 0.5)));
    }
    for (name, times) in NAMES.iter().filter_map(|name| results.long.get_key_value(name)) {
        row(&bold(name), "100–300", times, None);
    }
    println!("**From a release to the next holder, two clients**\n\n{table}");
    let series = NAMES.iter().filter_map(|name| {
        let times = results.long.get(name)?;
        let points = (0..=100)
            .map(|step| f64::from(step) / 100.0)
            .map(|share| (quantile(times, share) / 1e3, share))
            .collect();
        Some(Series { name: (*name).to_owned(), points, ours: is_ours(name) })
    });
    let plot = Lines {
        title: "From a release to the next holder, held for 100 to 300 ms".to_owned(),
        x: Axis { label: "microseconds", log: true },
        y: Axis { label: "share of hand-overs done", log: false },
        series: series.collect(),
    };
    println!("plot: {}\n", write("hand-over", &plot.svg())?.display());
    Ok(())
}

fn crowds(settings: &Settings, target: &Target, results: &mut Results) -> Result<(), Failure> {
    let head = [
        "",
        "processes × tasks",
        "holds/s",
        "hand-overs/s",
        "commands/hold",
        "CPU µs/hold",
        "mean wait ms",
        "max wait ms",
        "max/mean",
    ];
    let mut table = Table::new(head);
    let mut row = |name: String, sizes: (usize, usize), crowd: &Crowd| {
        table.row([
            name,
            format!("{} × {}", sizes.0, sizes.1),
            format!("{:.0}", crowd.holds / crowd.seconds),
            format!("{:.0}", crowd.handovers / crowd.seconds),
            format!("{:.2}", crowd.commands / crowd.holds),
            format!("{:.1}", crowd.cpu_seconds * 1e6 / crowd.holds),
            format!("{:.3}", crowd.mean_wait * 1e3),
            format!("{:.3}", crowd.max_wait * 1e3),
            format!("{:.1}", crowd.max_wait / crowd.mean_wait),
        ]);
    };
    for sizes in [(1, 1), (1, 50), (1, 500), (8, 50)] {
        for name in settings.policies() {
            let crowd = crowd::run(name, target, sizes, settings.turns())?;
            row(bold(name), sizes, &crowd);
            results.crowds.insert((name, sizes.0, sizes.1), crowd);
        }
        if let (1, tasks @ 2..) = sizes {
            let round = floor::go_round(target, tasks, settings.turns())?;
            row(Floor::NAME.to_owned(), sizes, &round);
            results.rounds.insert(tasks, round);
        }
    }
    println!("**Tasks that take turns on one lock without holding it**\n\n{table}");
    Ok(())
}

fn idles(settings: &Settings, target: &Target, results: &mut Results) -> Result<(), Failure> {
    let head = [
        "",
        "held by",
        "commands/s, without pings",
        "pings/s of the clients",
        "CPU, of a core",
        "bytes a waiter, with its task",
    ];
    let mut table = Table::new(head);
    for name in settings.policies() {
        // Whoever polls asks as often, whoever has the lock.
        for holder in Holder::ALL.into_iter().take(if is_ours(name) { 2 } else { 1 }) {
            let idle = idle::run(name, target, (1_000, holder), settings.idle())?;
            table.row([
                bold(name),
                holder.name().to_owned(),
                format!("{:.1}", idle.commands_per_second),
                format!("{:.1}", idle.pings_per_second),
                format!("{:.3} %", idle.cpu * 100.0),
                format!("{:.0}", idle.bytes),
            ]);
            results.idle.insert((name, holder), idle);
        }
    }
    println!("**1,000 tasks of one process that wait for a lock which is held**\n\n{table}");
    Ok(())
}

fn bold(name: &str) -> String {
    if is_ours(name) { format!("**{name}**") } else { name.to_owned() }
}

/// The value below which a share of the values lies.
pub(crate) fn quantile(values: &[u64], share: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_unstable();
    let last = values.len().saturating_sub(1);
    values.get((last as f64 * share).round() as usize).map_or(f64::NAN, |value| *value as f64)
}

struct Settings {
    server: Kind,
    sections: Vec<String>,
    policies: Vec<String>,
    seconds: Option<u64>,
}

impl Settings {
    fn parse(words: &[String]) -> Result<Self, Failure> {
        let sections = ["pair", "handoff", "crowd", "idle", "guards"].map(str::to_owned).to_vec();
        let mut settings =
            Self { server: Kind::Valkey9_1, sections, policies: Vec::new(), seconds: None };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let value = words.next().ok_or_else(|| format!("{word} needs a value\n{USAGE}"))?;
            let list = || value.split(',').map(str::to_owned).collect();
            match (word.as_str(), value.as_str()) {
                ("--server", "redis") => settings.server = Kind::Redis7_0,
                ("--server", "valkey") => settings.server = Kind::Valkey9_1,
                ("--section", _) => settings.sections = list(),
                ("--policy", _) => settings.policies = list(),
                ("--seconds", _) => settings.seconds = Some(value.parse::<u64>()?.max(1)),
                _ => return Err(format!("lock does not know {word} {value}\n{USAGE}").into()),
            }
        }
        Ok(settings)
    }

    fn wants(&self, section: &str) -> bool {
        self.sections.iter().any(|one| one == section)
    }

    fn policies(&self) -> impl Iterator<Item = &'static str> {
        let wanted = |name: &&str| self.policies.iter().any(|part| name.contains(part.as_str()));
        NAMES.into_iter().filter(move |name| self.policies.is_empty() || wanted(name))
    }

    fn turns(&self) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(3))
    }

    fn idle(&self) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(10))
    }
}
