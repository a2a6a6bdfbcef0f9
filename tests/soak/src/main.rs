//! Real servers and client processes under churn: locks are held, handed over, given up and lost while servers and clients are
//! killed, stopped, restarted and cut off. What the processes tell is checked, and what they use is measured.
//!
//! `line.rs` is what a worker process tells and `worker.rs` what it does; `body.rs` starts and ends workers; `ledger.rs` knows
//! who relied on which lock; `meter.rs` measures; `soak.rs` brings it all together.
#![allow(clippy::print_stdout, reason = "a program prints what it finds")]

mod body;
mod ledger;
mod line;
mod meter;
#[path = "../../it/real.rs"]
mod real;
mod soak;
mod worker;

use std::process::ExitCode;

const USAGE: &str = "usage:
  tenure-soak soak --minutes N [--server redis|valkey] [--seed N]    churn on a real server";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let well = match words.split_first() {
        Some((&"worker", rest)) => job(rest).map(|job| {
            worker::work(job);
            true
        }),
        Some((&"soak", rest)) => soak::Options::read(rest).map(soak::run),
        _ => None,
    };
    match well {
        Some(true) => ExitCode::SUCCESS,
        Some(false) => ExitCode::FAILURE,
        None => {
            println!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// What a supervisor told its worker.
fn job(words: &[&str]) -> Option<worker::Job> {
    let (url, numbers) = words.split_first()?;
    let numbers: Vec<u64> = numbers.iter().map(|word| word.parse().ok()).collect::<Option<_>>()?;
    let &[seed, locks, tasks, callers, steps, punctual] = &numbers[..] else { return None };
    Some(worker::Job {
        url: (*url).to_owned(),
        seed,
        locks,
        tasks: usize::try_from(tasks).ok()?,
        callers: usize::try_from(callers).ok()?,
        steps: (steps > 0).then_some(steps),
        punctual: punctual > 0,
    })
}
