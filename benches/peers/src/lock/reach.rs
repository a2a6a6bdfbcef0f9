//! What the lock is to reach, and whether it does.

use crate::lock::crowd::Crowd;
use crate::lock::floor::Floor;
use crate::lock::granted::Granted;
use crate::lock::handoff::Played;
use crate::lock::idle::Holder;
use crate::lock::policies::{Fair, Policy as _, is_ours};
use crate::lock::{Results, quantile};
use crate::table::Table;

const DEFAULT: &str = "tenure";
/// Of a hand-over over a bare round trip: whose, which share of them, what is to be reached, and beside whom.
const HANDOFF: [(&str, f64, f64, &str); 3] = [
    (DEFAULT, 0.5, 2.2, Floor::NAME),
    (DEFAULT, 0.99, 10.0, Floor::NAME),
    (Fair::NAME, 0.5, 1.2, Granted::NAME),
];
const PAIR: f64 = 1.25;
const FENCED: f64 = 1.5;
const ALLOCATIONS: f64 = 2.0;
const COMMANDS: f64 = 2.0;
const RATE: f64 = 0.9;
const FAIR: f64 = 2.0;
/// Commands of a hold, by processes of 50 tasks; three, and the ping that comes with every 256 replies.
const COMMANDS_HELD: [(&str, usize, f64); 4] =
    [(DEFAULT, 1, 1.2), (DEFAULT, 8, 3.0), (Fair::NAME, 1, 3.02), (Fair::NAME, 8, 3.02)];
const IDLE_COMMANDS: f64 = 1.0;
const IDLE_CPU: f64 = 0.001;
const IDLE_BYTES: f64 = 1024.0;
const GUARDS_CPU: f64 = 0.03;

pub(crate) fn table(results: &Results) -> Table {
    let mut table = Table::new(["measure", "best of the others", "ours", "reach", "met"]);
    pairs(&mut table, results);
    handoffs(&mut table, results);
    crowds(&mut table, results);
    idle(&mut table, results);
    if let Some(guards) = results.guards {
        at_most(
            &mut table,
            "CPU to hold 10,000 guards, share of a core",
            "",
            (guards.cpu, GUARDS_CPU),
        );
        at_most(&mut table, "guards of those that were late", "", (guards.lost, 0.0));
    }
    table
}

fn at_most(table: &mut Table, title: &str, other: &str, (ours, reach): (f64, f64)) {
    row(table, title, other, (ours, &format!("≤ {reach}"), ours <= reach));
}

fn at_least(table: &mut Table, title: &str, other: &str, (ours, reach): (f64, f64)) {
    row(table, title, other, (ours, &format!("≥ {reach}"), ours >= reach));
}

fn row(table: &mut Table, title: &str, other: &str, (ours, reach, met): (f64, &str, bool)) {
    let met = if met { "yes" } else { "**no**" };
    let ours = if ours < 0.01 { format!("{ours:.4}") } else { format!("{ours:.2}") };
    table.row([title, other, &ours, reach, met].map(str::to_owned));
}

fn pairs(table: &mut Table, results: &Results) {
    for [plain, lock, fenced] in &results.pairs {
        let tasks = plain.tasks;
        if let Some((lock, fenced)) = lock.instructions.zip(fenced.instructions) {
            let title = format!("instructions of a fenced pair over a lock's, {tasks} tasks");
            at_most(table, &title, &format!("{lock:.0} a lock's"), (fenced / lock, FENCED));
        }
        if let Some((plain, lock)) = plain.instructions.zip(lock.instructions) {
            let title =
                format!("instructions of acquire + release over the plain pair, {tasks} tasks");
            at_most(table, &title, &format!("{plain:.0} plain"), (lock / plain, PAIR));
        }
        let title = format!("allocations of acquire + release, {tasks} tasks");
        at_most(table, &title, "", (lock.allocations * 2.0, ALLOCATIONS));
    }
    if let Some(alone) = results.crowds.get(&(DEFAULT, 1, 1)) {
        at_most(
            table,
            "commands of acquire + release",
            "",
            (alone.commands / alone.holds, COMMANDS + 0.01),
        );
    }
}

fn handoffs(table: &mut Table, results: &Results) {
    let best = |share: f64| {
        let others = results.long.iter().filter(|(name, _)| !is_ours(name));
        let best = others.map(|(name, times)| (*name, quantile(times, share)));
        let best = best.min_by(|one, other| one.1.total_cmp(&other.1));
        best.map(|(name, nanos)| format!("{name} {:.1} ms", nanos / 1e6)).unwrap_or_default()
    };
    let over_bare =
        |played: &Played, share| quantile(&played.handovers, share) / quantile(&played.bare, 0.5);
    for (name, share, reach, floor) in HANDOFF {
        let Some(ours) = results.short.get(name) else { continue };
        let title = format!("release to next holder, p{} over a round trip, {name}", share * 100.0);
        let least = results.short.get(floor).map_or(f64::NAN, |floor| over_bare(floor, share));
        let others = format!("{} ({floor}: {least:.2})", best(share));
        at_most(table, &title, &others, (over_bare(ours, share), reach));
    }
}

fn crowds(table: &mut Table, results: &Results) {
    let of = |name, processes, tasks| results.crowds.get(&(name, processes, tasks));
    let Some(alone) = of(DEFAULT, 1, 1) else { return };
    for tasks in [50, 500] {
        let Some(crowd) = of(DEFAULT, 1, tasks) else { continue };
        let others = results
            .crowds
            .iter()
            .filter(|((name, processes, of), _)| !is_ours(name) && (*processes, *of) == (1, tasks));
        let best = others.max_by(|one, other| one.1.handovers.total_cmp(&other.1.handovers));
        let other =
            best.map(|((name, ..), other)| format!("{name} {:.2}", other.handovers / alone.holds));
        let title = format!("hand-overs per second of {tasks} tasks over pairs of one task");
        at_least(table, &title, &other.unwrap_or_default(), (crowd.handovers / alone.holds, RATE));
        let title = format!("longest wait over the mean, {tasks} tasks");
        let spread = |crowd: &Crowd| crowd.max_wait / crowd.mean_wait;
        let other = best.map(|((name, ..), other)| format!("{name} {:.1}", spread(other)));
        let floor = results.rounds.get(&tasks).map_or(f64::NAN, spread);
        let other = format!("{} ({}: {floor:.1})", other.unwrap_or_default(), Floor::NAME);
        at_most(table, &title, &other, (spread(crowd), FAIR));
    }
    for (name, processes, reach) in COMMANDS_HELD {
        let Some(crowd) = of(name, processes, 50) else { continue };
        let title = format!("commands of a hold, {processes} × 50 tasks, {name}");
        at_most(table, &title, "", (crowd.commands / crowd.holds, reach));
    }
    if let Some(crowd) = of(DEFAULT, 8, 50) {
        let title = "longest wait over the mean, 8 × 50 tasks";
        at_most(table, title, "", (crowd.max_wait / crowd.mean_wait, FAIR));
    }
}

fn idle(table: &mut Table, results: &Results) {
    let others = results.idle.iter().filter(|((name, _), _)| !is_ours(name));
    let best = others
        .min_by(|one, other| one.1.commands_per_second.total_cmp(&other.1.commands_per_second));
    let other = |value: fn(&crate::lock::Idle) -> String| {
        best.map(|((name, _), idle)| format!("{name} {}", value(idle))).unwrap_or_default()
    };
    for ((name, holder), ours) in results.idle.iter().filter(|((name, _), _)| is_ours(name)) {
        let commands = other(|idle| format!("{:.0}", idle.commands_per_second));
        let title = format!(
            "commands per second, pings apart, of 1,000 waiters of a lock held by {}, {name}",
            holder.name()
        );
        at_most(table, &title, &commands, (ours.commands_per_second, IDLE_COMMANDS));
    }
    let Some(ours) = results.idle.get(&(DEFAULT, Holder::Here)) else { return };
    let cpu = other(|idle| format!("{:.4}", idle.cpu));
    at_most(table, "CPU of 1,000 waiters, share of a core", &cpu, (ours.cpu, IDLE_CPU));
    let bytes = other(|idle| format!("{:.0}", idle.bytes));
    at_most(table, "bytes of a waiter, with its task", &bytes, (ours.bytes, IDLE_BYTES));
}
