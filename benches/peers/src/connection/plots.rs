//! The plots of a run.

use crate::connection::Outcome;
use crate::connection::contestant::{Flavour, Kind};
use crate::connection::exact::{Cost, Exact, is_ours};
use crate::connection::measure::Measured;
use crate::connection::servers::Transport;
use crate::connection::settings::Section;
use crate::plot::{Axis, Bars, Lines, Series, write};
use crate::stats::median;
use std::path::PathBuf;

const PER_SECOND: Axis = Axis { label: "pairs per second", log: true };
const TASKS: Axis = Axis { label: "tasks", log: true };
const MICROS: Axis = Axis { label: "microseconds", log: true };
const SHARE: Axis = Axis { label: "share of pairs done", log: false };

/// Writes what there is data for.
pub(crate) fn all(outcomes: &[Outcome], exact: Option<&Exact>) -> std::io::Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    for flavour in Flavour::ALL {
        let word = flavour.name().replace(' ', "-");
        let here: Vec<_> = outcomes
            .iter()
            .filter(|one| one.flavour == flavour && one.transport == Transport::Tcp)
            .collect();
        let rates = rates(flavour, &here);
        if rates.series.iter().any(|series| series.points.len() > 1) {
            written.push(write(&format!("pairs-by-tasks-{word}"), &rates.svg())?);
        }
        for outcome in here {
            let tasks = outcome.tasks;
            match outcome.section {
                Section::Alone | Section::Pairs => {
                    let name = format!("times-{tasks}-tasks-{word}");
                    written.push(write(&name, &times(outcome).svg())?);
                }
                Section::Sink => {
                    written.push(write(&format!("sink-{word}"), &sink(outcome).svg())?);
                }
                Section::Get | Section::Exact => {}
            }
            if outcome.section == Section::Pairs {
                let name = format!("cpu-{tasks}-tasks-{word}");
                written.push(write(&name, &cpu(outcome).svg())?);
            }
        }
        for tasks in [1, 512] {
            let Some(exact) = exact else { continue };
            let name = format!("instructions-{tasks}-tasks-{word}");
            let bars = instructions(exact, flavour, tasks);
            if !bars.bars.is_empty() {
                written.push(write(&name, &bars.svg())?);
            }
        }
    }
    Ok(written)
}

fn of_client(one: &Measured) -> bool {
    matches!(one.kind, Kind::Ours | Kind::OurLock)
}

fn rates(flavour: Flavour, outcomes: &[&Outcome]) -> Lines {
    let mut series: Vec<Series> = Vec::new();
    for outcome in outcomes {
        if !matches!(outcome.section, Section::Alone | Section::Pairs) {
            continue;
        }
        for one in &outcome.measured {
            let point = (outcome.tasks as f64, one.rate());
            match series.iter_mut().find(|series| series.name == one.name) {
                Some(series) => series.points.push(point),
                None => series.push(Series {
                    name: one.name.to_owned(),
                    points: vec![point],
                    ours: of_client(one),
                }),
            }
        }
    }
    let title = format!("Pairs per second over one connection, {}", flavour.name());
    Lines { title, x: TASKS, y: PER_SECOND, series }
}

/// How large a share of the pairs was done after a time.
fn times(outcome: &Outcome) -> Lines {
    let series = outcome.measured.iter().map(|one| Series {
        name: one.name.to_owned(),
        points: (0..=200)
            .map(|step| f64::from(step) / 200.0)
            .map(|share| (one.times.value_at_quantile(share) as f64 / 1e3, share))
            .collect(),
        ours: of_client(one),
    });
    let Outcome { tasks, flavour, .. } = outcome;
    let title = format!("Time of a pair, {tasks} tasks, {}", flavour.name());
    Lines { title, x: MICROS, y: SHARE, series: series.collect() }
}

fn sink(outcome: &Outcome) -> Bars {
    let clients = outcome.measured.iter().filter(|one| one.kind != Kind::Floor);
    let title = format!("Pairs per second against a sink, 512 tasks, {}", outcome.flavour.name());
    let bars = clients.map(|one| (one.name.to_owned(), one.rate(), of_client(one))).collect();
    Bars { title, bars }
}

fn cpu(outcome: &Outcome) -> Bars {
    let clients = outcome.measured.iter().filter(|one| one.kind != Kind::Floor);
    let Outcome { tasks, flavour, .. } = outcome;
    let title = format!("Client CPU of a pair, µs, {tasks} tasks, {}", flavour.name());
    let bars = clients.map(|one| (one.name.to_owned(), median(&one.cpu), of_client(one))).collect();
    Bars { title, bars }
}

fn instructions(exact: &Exact, flavour: Flavour, tasks: usize) -> Bars {
    let here = |cost: &&Cost| cost.flavour == flavour && cost.tasks == tasks;
    let bars = exact.0.iter().filter(here).filter_map(|cost| {
        cost.instructions.map(|count| (cost.name.to_owned(), count, is_ours(cost.name)))
    });
    let title = format!("Instructions of a pair, {tasks} tasks, {}", flavour.name());
    Bars { title, bars: bars.collect() }
}
