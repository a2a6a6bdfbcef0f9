//! What the connection is to reach beside the best peer, and whether it does.

use crate::connection::Outcome;
use crate::connection::contestant::{Flavour, Kind, SPINNING};
use crate::connection::exact::{Cost, Exact, is_ours};
use crate::connection::floor::Std;
use crate::connection::limits::ByHand;
use crate::connection::measure::{Measured, best_peer, floor, ours};
use crate::connection::memory::Memory;
use crate::connection::peers::{Peer as _, Tenure};
use crate::connection::servers::Transport;
use crate::connection::settings::Section;
use crate::stats::{Interval, median};
use crate::table::Table;

use Flavour::{CurrentThread, TwoWorkers};

const INSTRUCTIONS: [(usize, Flavour, f64); 4] = [
    (512, CurrentThread, 2_700.0),
    (512, TwoWorkers, 3_000.0),
    (1, CurrentThread, 8_500.0),
    (1, TwoWorkers, 10_500.0),
];
const SYSCALLS: [(usize, Flavour, f64); 2] = [(512, CurrentThread, 0.08), (1, CurrentThread, 6.05)];
const ALLOCATIONS: f64 = 1.0;
const ALONE: f64 = 1.05;
/// Where a core is free, and where the other worker watches the socket.
const SPIN: [(Flavour, f64); 2] = [(CurrentThread, 0.35), (TwoWorkers, 1.1)];
/// The rate over the best peer.
const RATES: [(Section, usize, Flavour, f64); 10] = [
    (Section::Pairs, 64, CurrentThread, 1.1),
    (Section::Pairs, 64, TwoWorkers, 1.1),
    (Section::Pairs, 512, CurrentThread, 1.3),
    (Section::Pairs, 512, TwoWorkers, 1.3),
    (Section::Pairs, 4_096, CurrentThread, 0.95),
    (Section::Pairs, 4_096, TwoWorkers, 1.2),
    (Section::Get, 512, CurrentThread, 1.2),
    (Section::Get, 512, TwoWorkers, 1.6),
    (Section::Sink, 512, CurrentThread, 2.8),
    (Section::Sink, 512, TwoWorkers, 2.2),
];
const CPU: f64 = 0.40;
const CONNECTION_BYTES: f64 = 32.0 * 1024.0;
const CALL_BYTES: f64 = 256.0;

pub(crate) fn table(outcomes: &[Outcome], exact: Option<&Exact>, memory: &[Memory]) -> Table {
    let head = ["measure", "best peer", "limit", "ours", "ratio (95 %)", "reach", "met"];
    let mut table = Table::new(head);
    if let Some(exact) = exact {
        counts(&mut table, exact);
    }
    let on_tcp = |section, tasks, flavour| {
        outcomes.iter().find(|one| {
            (one.section, one.tasks, one.flavour, one.transport)
                == (section, tasks, flavour, Transport::Tcp)
        })
    };
    for flavour in Flavour::ALL {
        if let Some(outcome) = on_tcp(Section::Alone, 1, flavour) {
            alone(&mut table, outcome);
        }
    }
    for (section, tasks, flavour, reach) in RATES {
        let Some(outcome) = on_tcp(section, tasks, flavour) else { continue };
        let title = match section {
            Section::Get => "GET per second",
            Section::Sink => "pairs per second, sink",
            _ => "pairs per second",
        };
        let title = format!("{title}, {tasks} tasks, {}", flavour.name());
        let all = &outcome.measured;
        let Some((ours, peer)) = ours(all).zip(best_peer(all)) else { continue };
        let over_peer = |one: &Measured| Interval::of_ratio(&one.rates, &peer.rates);
        let ratio = over_peer(ours);
        let limit = floor(all).map(|limit| format!("{} {}", limit.name, over_peer(limit)));
        table.row([
            title,
            format!("{} {:.0}", peer.name, peer.rate()),
            limit.unwrap_or_default(),
            format!("{:.0}", ours.rate()),
            ratio.to_string(),
            format!("≥ {reach} ×"),
            met(ratio.median >= reach),
        ]);
    }
    for flavour in Flavour::ALL {
        if let Some(outcome) = on_tcp(Section::Pairs, 512, flavour) {
            cpu(&mut table, outcome);
        }
    }
    kept(&mut table, memory);
    table
}

fn kept(table: &mut Table, memory: &[Memory]) {
    type Bytes = fn(&Memory) -> Option<f64>;
    let rows: [(&str, Bytes, f64); 2] = [
        ("bytes of an idle connection", |one| Some(one.connection), CONNECTION_BYTES),
        ("bytes of a waiting call", |one| one.call, CALL_BYTES),
    ];
    for (title, bytes, reach) in rows {
        let kept: Vec<_> = memory.iter().filter_map(|one| Some((one.name, bytes(one)?))).collect();
        let Some((_, ours)) = kept.iter().find(|(name, _)| *name == Tenure::NAME) else { continue };
        let peers = kept.iter().filter(|(name, _)| !is_ours(name));
        let best = peers.min_by(|one, other| one.1.total_cmp(&other.1));
        table.row([
            title.to_owned(),
            best.map(|(name, bytes)| format!("{name} {bytes:.0}")).unwrap_or_default(),
            String::new(),
            format!("{ours:.0}"),
            best.map(|(_, bytes)| format!("{:.2}", ours / bytes)).unwrap_or_default(),
            format!("≤ {reach}"),
            met(*ours <= reach),
        ]);
    }
}

fn counts(table: &mut Table, exact: &Exact) {
    let rows = [
        (
            "instructions of a pair",
            &INSTRUCTIONS[..],
            (|cost: &Cost| cost.instructions) as Count,
            0,
        ),
        ("system calls of a pair", &SYSCALLS[..], |cost: &Cost| cost.syscalls, 2),
    ];
    for (title, goals, count, digits) in rows {
        for &(tasks, flavour, reach) in goals {
            let title = format!("{title}, {tasks} tasks, {}", flavour.name());
            count_row(table, exact, (&title, tasks, flavour), (count, digits), reach);
        }
    }
    let title = "allocations of a command, 512 tasks, current-thread";
    let count: Count = |cost| Some(cost.allocations);
    count_row(table, exact, (title, 512, CurrentThread), (count, 2), ALLOCATIONS);
}

type Count = fn(&Cost) -> Option<f64>;

fn count_row(
    table: &mut Table,
    exact: &Exact,
    (title, tasks, flavour): (&str, usize, Flavour),
    (count, digits): (Count, usize),
    reach: f64,
) {
    let costs = exact.0.iter().filter(|cost| cost.tasks == tasks && cost.flavour == flavour);
    let counted: Vec<_> =
        costs.filter_map(|cost| count(cost).map(|count| (cost.name, count))).collect();
    let ours = counted.iter().find(|(name, _)| *name == Tenure::NAME);
    let Some((_, ours)) = ours else { return };
    let peers = counted.iter().filter(|(name, _)| !is_ours(name));
    let best = peers.min_by(|one, other| one.1.total_cmp(&other.1));
    table.row([
        title.to_owned(),
        best.map(|(name, count)| format!("{name} {count:.digits$}")).unwrap_or_default(),
        String::new(),
        format!("{ours:.digits$}"),
        best.map(|(_, count)| format!("{:.2}", ours / count)).unwrap_or_default(),
        format!("≤ {reach}"),
        met(*ours <= reach),
    ]);
}

/// The interval over a blocking socket reaches down to 1.05, and lies below every peer's or overlaps it.
fn alone(table: &mut Table, outcome: &Outcome) {
    let all = &outcome.measured;
    let Some((ours, floor)) = ours(all).zip(floor(all)) else { return };
    let over_floor = |one: &Measured| Interval::of_ratio(&one.p50, &floor.p50);
    let limit = |name| {
        let limit = all.iter().find(|one| one.name == name);
        limit.map(|one| format!("{name} {}", over_floor(one))).unwrap_or_default()
    };
    let ratio = over_floor(ours);
    let peers = all.iter().filter(|one| one.kind == Kind::Peer);
    let best = peers
        .map(|one| (one.name, over_floor(one)))
        .min_by(|one, other| one.1.median.total_cmp(&other.1.median));
    let behind = best.is_some_and(|(_, best)| ratio.low > best.high);
    table.row([
        format!("p50 of a pair over a blocking socket, 1 task, {}", outcome.flavour.name()),
        best.map(|(name, ratio)| format!("{name} {ratio}")).unwrap_or_default(),
        limit(ByHand::NAME),
        format!("{:.1} µs", median(&ours.p50) / 1e3),
        ratio.to_string(),
        format!("from ≤ {ALONE} on, and not behind a peer"),
        met(ratio.low <= ALONE && !behind),
    ]);
    let spinning = all.iter().find(|one| one.name == SPINNING);
    let reach = SPIN.into_iter().find(|(flavour, _)| *flavour == outcome.flavour);
    let Some((spinning, (_, reach))) = spinning.zip(reach) else { return };
    let ratio = over_floor(spinning);
    table.row([
        format!("the same, spinning, {}", outcome.flavour.name()),
        String::new(),
        limit(Std::SPINNING),
        format!("{:.1} µs", median(&spinning.p50) / 1e3),
        ratio.to_string(),
        format!("≤ {reach} ×"),
        met(ratio.median <= reach),
    ]);
}

fn cpu(table: &mut Table, outcome: &Outcome) {
    let all = &outcome.measured;
    let peers = all.iter().filter(|one| one.kind == Kind::Peer);
    let best = peers.min_by(|one, other| median(&one.cpu).total_cmp(&median(&other.cpu)));
    let Some((ours, best)) = ours(all).zip(best) else { return };
    let ratio = Interval::of_ratio(&ours.cpu, &best.cpu);
    table.row([
        format!("client CPU of a pair, 512 tasks, {}", outcome.flavour.name()),
        format!("{} {:.2} µs", best.name, median(&best.cpu)),
        String::new(),
        format!("{:.2} µs", median(&ours.cpu)),
        ratio.to_string(),
        format!("≤ {CPU} ×"),
        met(ratio.median <= CPU),
    ]);
}

fn met(yes: bool) -> String {
    if yes { "yes".to_owned() } else { "**no**".to_owned() }
}
