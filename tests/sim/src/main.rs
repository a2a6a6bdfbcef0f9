//! Runs seeds: one with its timeline, or many.
#![allow(clippy::print_stdout, reason = "a program prints what it finds")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use tenure_sim::{Report, run};

const USAGE: &str = "usage:
  tenure-sim seed N [--trace]          runs one seed, and prints what happened in it
  tenure-sim sweep FROM COUNT          runs many, on every core, and prints and draws the ones that fail
  tenure-sim twice FROM COUNT          runs each twice, and prints those that differ";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u64>().ok();
    match *words {
        ["seed", seed, ref rest @ ..] => match number(seed) {
            Some(seed) => one(seed, rest.contains(&"--trace")),
            None => usage(),
        },
        ["sweep", from, count] => match (number(from), number(count)) {
            (Some(from), Some(count)) => many(from, count),
            _ => usage(),
        },
        ["twice", from, count] => match (number(from), number(count)) {
            (Some(from), Some(count)) => twice(from, count),
            _ => usage(),
        },
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    println!("{USAGE}");
    ExitCode::from(2)
}

fn exit(well: bool) -> ExitCode {
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn one(seed: u64, trace: bool) -> ExitCode {
    let report = run(seed);
    if trace {
        report.timeline().for_each(|line| println!("{line}"));
    }
    println!("{report}");
    if trace || !report.violations().is_empty() {
        draw(&report);
    }
    exit(report.violations().is_empty())
}

/// Puts the picture where builds put theirs.
fn draw(report: &Report) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/sim");
    let file = folder.join(format!("seed-{}.svg", report.seed));
    match fs::create_dir_all(&folder).and_then(|()| fs::write(&file, report.picture())) {
        Ok(()) => println!("picture: target/sim/seed-{}.svg", report.seed),
        Err(error) => println!("the picture could not be written: {error}"),
    }
}

/// Runs seeds on every core, and hands the reports to `look` as they come.
fn each(from: u64, count: u64, mut look: impl FnMut(Report)) {
    let next = AtomicU64::new(from);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let (reports, received) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..cores {
            let (next, reports) = (&next, reports.clone());
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + count || reports.send(run(seed)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(reports);
        received.iter().for_each(&mut look);
    });
}

fn many(from: u64, count: u64) -> ExitCode {
    let begun = Instant::now();
    let (mut simulated, mut failed) = (Duration::ZERO, 0_u64);
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    each(from, count, |report| {
        simulated += report.simulated;
        for (what, times) in report.counts() {
            *counts.entry(what).or_default() += times;
        }
        if !report.violations().is_empty() {
            failed += 1;
            println!("{report}");
            draw(&report);
        }
    });
    let took = begun.elapsed();
    for (what, times) in counts {
        println!("{times:>12} {what}");
    }
    let per_second = count as f64 / took.as_secs_f64();
    println!(
        "{count} seeds, {failed} failed, {simulated:?} simulated, {per_second:.0} seeds per second"
    );
    exit(failed == 0)
}

fn twice(from: u64, count: u64) -> ExitCode {
    let mut differ = 0_u64;
    each(from, count, |report| {
        let again = run(report.seed);
        if again.digest != report.digest {
            differ += 1;
            println!("seed {} does not repeat itself", report.seed);
            let lines = report.timeline().zip(again.timeline());
            for (one, other) in lines.filter(|(one, other)| one != other).take(1) {
                println!("  {one}\n  {other}");
            }
        }
    });
    println!("{count} seeds run twice, {differ} differ");
    exit(differ == 0)
}
