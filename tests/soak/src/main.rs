//! Real servers and client processes under churn: locks are held, handed over, given up and lost while servers and clients are
//! killed, stopped, restarted and cut off. What the processes tell is checked, and what they use is measured.
//!
//! | file | what it does |
//! |---|---|
//! | `line.rs`, `worker.rs`, `player.rs` | what a worker process tells, and what it does: one job, or one after another |
//! | `body.rs` | starts and ends workers |
//! | `ledger.rs` | knows who relied on which lock |
//! | `meter.rs`, `soak.rs` | one long life, and what is used in it |
//! | `plan.rs` | what goes wrong in a history, from its seed: pure |
//! | `record.rs` | what workers tell, as a history that can be judged |
//! | `stage.rs`, `histories.rs` | a server and its workers, through links that go wrong, for one history after another; many such stages |
#![allow(clippy::print_stdout, reason = "a program prints what it finds")]

mod body;
mod histories;
mod ledger;
mod line;
mod meter;
mod plan;
mod player;
#[path = "../../it/real.rs"]
mod real;
mod record;
mod soak;
mod stage;
mod worker;

use std::process::ExitCode;

const USAGE: &str = "usage:
  tenure-soak soak --minutes N [--server redis|valkey] [--seed N]    churn on a real server
  tenure-soak histories COUNT [--server redis|valkey] [--seed N] [--stages N]
      so many short histories, from seed N on, each checked; `histories 1 --seed N` plays one again";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let well = match words.split_first() {
        Some((&"worker", rest)) => job(rest).map(|job| {
            worker::work(job);
            true
        }),
        Some((&"player", &[url])) => {
            player::play(url);
            Some(true)
        }
        Some((&"histories", rest)) => histories::Options::read(rest).map(histories::run),
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
        prefix: String::new(),
        tempo: worker::Tempo::SOAK,
        seed,
        locks,
        tasks: usize::try_from(tasks).ok()?,
        callers: usize::try_from(callers).ok()?,
        steps: (steps > 0).then_some(steps),
        punctual: punctual > 0,
    })
}
