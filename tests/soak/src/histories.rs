//! Many short histories on real servers, on several stages at once, each judged by itself.

use crate::plan::OFFSETS;
use crate::real::{Kind, RealServer};
use crate::stage::{Outcome, Stage};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::Instant;

/// After so many that failed there is nothing to be learnt from more.
const ENOUGH: u64 = 10;

/// What the command line says.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    count: u64,
    kind: Kind,
    seed: u64,
    /// Servers at once, each with its own processes: most of a history is waiting.
    stages: u64,
}

impl Options {
    pub(crate) fn read(words: &[&str]) -> Option<Self> {
        let (count, rest) = words.split_first()?;
        let count = count.parse().ok().filter(|count| *count > 0)?;
        let mut options = Self { count, kind: Kind::Redis7_0, seed: 1, stages: 8 };
        for pair in rest.chunks(2) {
            match *pair {
                ["--server", "redis"] => options.kind = Kind::Redis7_0,
                ["--server", "valkey"] => options.kind = Kind::Valkey9_1,
                ["--seed", seed] => options.seed = seed.parse().ok()?,
                ["--stages", stages] => {
                    options.stages = stages.parse().ok().filter(|stages| *stages > 0)?;
                }
                _ => return None,
            }
        }
        Some(options)
    }
}

/// Plays them all, says what was found, and whether all is well.
pub(crate) fn run(options: Options) -> bool {
    if !RealServer::available() {
        return true;
    }
    let begun = Instant::now();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a process that has just begun can have a runtime");
    let (next, failed) = (AtomicU64::new(options.seed), AtomicU64::new(0));
    let (tell, told) = channel();
    let mut total = Total::default();
    std::thread::scope(|scope| {
        for _ in 0..options.stages.min(options.count) {
            let (tell, handle) = (tell.clone(), runtime.handle());
            let (next, failed, options) = (&next, &failed, &options);
            scope.spawn(move || {
                let mut stage = Stage::open(options.kind, handle);
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let over = seed >= options.seed + options.count;
                    if over || failed.load(Ordering::Relaxed) >= ENOUGH {
                        break;
                    }
                    let outcome = stage.play(seed);
                    failed.fetch_add(u64::from(!outcome.wrong.is_empty()), Ordering::Relaxed);
                    tell.send(Ok(outcome)).expect("who listens does so to the end");
                }
                tell.send(Err(stage.close())).expect("who listens does so to the end");
            });
        }
        drop(tell);
        told.iter().for_each(|told| total.add(told, &options));
    });
    let took = begun.elapsed();
    for (what, times) in &total.counts {
        println!("{times:>10} {what}");
    }
    println!("{:>10} bytes of {} after which a connection was cut", total.cuts.len(), 2 * OFFSETS);
    println!(
        "{} histories on {:?} from seed {}, {} failed, {:.1} per second",
        total.played,
        options.kind,
        options.seed,
        total.failed,
        total.played as f64 / took.as_secs_f64()
    );
    total.failed == 0
}

/// What all of them came to.
#[derive(Debug, Default)]
struct Total {
    played: u64,
    failed: u64,
    counts: BTreeMap<&'static str, u64>,
    cuts: BTreeSet<(bool, u64)>,
}

impl Total {
    /// Adds a history, or what was wrong with a stage at its end.
    fn add(&mut self, told: Result<Outcome, Vec<String>>, options: &Options) {
        let wrong = match told {
            Ok(outcome) => {
                self.played += 1;
                for (what, times) in outcome.counts {
                    *self.counts.entry(what).or_default() += times;
                }
                self.cuts.extend(outcome.cuts);
                if !outcome.wrong.is_empty() {
                    let server =
                        if options.kind == Kind::Valkey9_1 { " --server valkey" } else { "" };
                    println!(
                        "seed {} failed; the same plan again: histories 1 --seed {}{server}",
                        outcome.seed, outcome.seed
                    );
                }
                outcome.wrong
            }
            Err(wrong) => wrong,
        };
        self.failed += u64::from(!wrong.is_empty());
        wrong.iter().for_each(|wrong| println!("WRONG: {wrong}"));
    }
}
