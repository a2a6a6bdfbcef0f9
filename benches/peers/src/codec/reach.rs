//! What the codec is to reach beside the best peer, and whether it does.

use crate::codec::workloads::{ARRAY, BULK, INTEGER, MAP, MEBIBYTE, OK, PIECES};
use crate::codec::{Gives, Measured, encoders};
use crate::stats::Interval;
use crate::table::Table;

/// How many times faster than the best peer that hands out usable values.
const FASTER: [(&str, f64); 7] = [
    (OK, 8.0),
    (INTEGER, 4.0),
    (BULK, 2.5),
    (ARRAY, 4.5),
    (MAP, 9.0),
    (MEBIBYTE, 1.0),
    (PIECES, 5.0),
];
const ENCODE_FASTER: f64 = 4.0;
const PREPARED_OVER_MEMCPY: f64 = 2.0;
const AGGREGATES: [&str; 2] = [ARRAY, MAP];
const SCALARS: [&str; 3] = [OK, INTEGER, BULK];

type All = [(&'static str, Vec<Measured>)];

pub(crate) fn table(all: &All) -> Table {
    let mut table =
        Table::new(["workload", "best peer", "ours", "times faster (95 %)", "reach", "met"]);
    for (name, faster) in FASTER {
        if let Some(measured) = of(all, name) {
            row(&mut table, name, measured, faster);
        }
    }
    if let Some(measured) = of(all, ARRAY) {
        against(
            &mut table,
            "array, beside a tape without values",
            measured,
            ("rustis 0.27, tape", 1.0),
        );
    }
    if let Some(measured) = of(all, encoders::NAME) {
        row(&mut table, "encode any command", measured, ENCODE_FASTER);
        let prepared = one(measured, Gives::OursToo);
        let memcpy = one(measured, Gives::Limit);
        let ratio = Interval::of_ratio(&prepared.rounds, &memcpy.rounds);
        table.row([
            "encode, prepared once".to_owned(),
            format!("memcpy {:.1} ns", memcpy.nanos()),
            format!("{:.1} ns", prepared.nanos()),
            format!("takes {ratio} ×"),
            format!("≤ {PREPARED_OVER_MEMCPY} ×"),
            met(ratio.median <= PREPARED_OVER_MEMCPY),
        ]);
    }
    allocations(&mut table, all);
    table
}

fn row(table: &mut Table, title: &str, measured: &[Measured], faster: f64) {
    let peers = measured.iter().filter(|one| one.gives == Gives::Values);
    let best = peers.min_by(|one, other| one.nanos().total_cmp(&other.nanos()));
    let best = best.expect("there are peers");
    against(table, title, measured, (best.name, faster));
}

fn against(table: &mut Table, title: &str, measured: &[Measured], (peer, faster): (&str, f64)) {
    let ours = one(measured, Gives::Ours);
    let Some(peer) = measured.iter().find(|one| one.name == peer) else { return };
    let ratio = Interval::of_ratio(&peer.rounds, &ours.rounds);
    table.row([
        title.to_owned(),
        format!("{} {:.1} ns", peer.name, peer.nanos()),
        format!("{:.1} ns", ours.nanos()),
        ratio.to_string(),
        format!("≥ {faster} ×"),
        met(ratio.median >= faster),
    ]);
}

fn allocations(table: &mut Table, all: &All) {
    let most = |names: &[&str], gives: Gives| -> Option<f64> {
        let found = names.iter().filter_map(|name| of(all, name));
        let each = found.filter_map(|measured| one(measured, gives).allocations);
        each.map(|(calls, _)| calls).reduce(f64::max)
    };
    let rows = [
        ("scalar or small string, decode", most(&SCALARS, Gives::OursToo), 0.0),
        ("scalar or small string, frames", most(&SCALARS, Gives::Ours), 0.0),
        ("array or map, decode", most(&AGGREGATES, Gives::OursToo), 1.0),
        ("array or map, frames", most(&AGGREGATES, Gives::Ours), 0.05),
        ("encode any command", most(&[encoders::NAME], Gives::Ours), 0.0),
    ];
    for (title, calls, limit) in rows {
        let Some(calls) = calls else { continue };
        table.row([
            format!("allocations: {title}"),
            String::new(),
            format!("{calls:.3}"),
            String::new(),
            format!("≤ {limit}"),
            // What a run of some thousand replies amortises counts as none.
            met(calls <= limit + 0.001),
        ]);
    }
}

fn of<'a>(all: &'a All, name: &str) -> Option<&'a [Measured]> {
    all.iter().find(|(one, _)| *one == name).map(|(_, measured)| measured.as_slice())
}

fn one(measured: &[Measured], gives: Gives) -> &Measured {
    measured.iter().find(|one| one.gives == gives).expect("one of each kind takes part")
}

fn met(yes: bool) -> String {
    if yes { "yes".to_owned() } else { "**no**".to_owned() }
}
