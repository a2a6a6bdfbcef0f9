//! Parsing and encoding in memory: the same bytes through every parser, in interleaved rounds.
//!
//! What is timed is parsing, looking at the result and dropping it; putting the bytes into the parser's buffer is not, as
//! a socket does that. A sample is one buffer of replies, small enough for the cache; a round is the median of a parser's
//! samples, and every parser has its turn in each round, so that what disturbs one disturbs all. Ratios are taken within a
//! round.

mod encoders;
mod parsers;
mod reach;
mod workloads;

use crate::Failure;
use crate::stats::{Interval, median};
use crate::table::Table;
use bytes::Bytes;
use std::hint::black_box;
use std::time::{Duration, Instant};
use workloads::Workload;

/// Time that a parser gets in a round, at least.
const TURN: Duration = Duration::from_micros(1_500);
const ROUNDS: usize = 31;

pub(crate) const USAGE: &str = "\
  codec [--rounds N] [--only TEXT]    parsing and encoding, in memory
";

/// What somebody who uses a contestant gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gives {
    /// Nothing: how fast bytes can be touched at all.
    Limit,
    /// Where things are, to be made into values later.
    Offsets,
    /// Values that can be used.
    Values,
    /// Values, by the entry that connections use.
    Ours,
    /// Values, by the entries that are simpler to use.
    OursToo,
}

/// Something that is measured: one sample is `count` operations.
pub(crate) trait Contestant {
    /// Gets ready for a sample. Not timed.
    fn prepare(&mut self) {}
    /// Does the work of one sample.
    fn run(&mut self);
}

pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) gives: Gives,
    /// Whether the allocator sees its allocations; those of C go past it.
    pub(crate) counted: bool,
    pub(crate) contestant: Box<dyn Contestant>,
}

/// What one contestant came to with one workload.
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    pub(crate) gives: Gives,
    /// Nanoseconds per operation, one value a round.
    pub(crate) rounds: Vec<f64>,
    /// Calls and bytes per operation.
    pub(crate) allocations: Option<(f64, f64)>,
}

impl Measured {
    pub(crate) fn nanos(&self) -> f64 {
        median(&self.rounds)
    }
}

/// Lets all entries do the same work and prints a table. `count` is the number of operations in a sample.
fn measure(mut entries: Vec<Entry>, count: usize, rounds: usize) -> Vec<Measured> {
    let per_turn: Vec<usize> = entries.iter_mut().map(samples_per_turn).collect();
    let mut times = vec![Vec::new(); entries.len()];
    for round in 0..rounds {
        for turn in 0..entries.len() {
            // Nobody always comes after the same neighbour's end of the cache.
            let at = if round % 2 == 0 { turn } else { entries.len() - 1 - turn };
            let samples = (0..per_turn[at]).map(|_| sample(&mut entries[at])).collect();
            times[at].push(Interval::of(samples).median * 1e9 / count as f64);
        }
    }
    let finish = |(mut entry, rounds): (Entry, Vec<f64>)| {
        let samples = 64.max(1_024 / count);
        let seen = native::count(|| {
            for _ in 0..samples {
                sample(&mut entry);
            }
        });
        let operations = (samples * count) as f64;
        let each = (seen.calls as f64 / operations, seen.bytes as f64 / operations);
        let Entry { name, gives, counted, .. } = entry;
        Measured { name, gives, rounds, allocations: counted.then_some(each) }
    };
    entries.into_iter().zip(times).map(finish).collect()
}

/// Warms up, and finds out how many samples fill a turn.
fn samples_per_turn(entry: &mut Entry) -> usize {
    let (begun, mut samples) = (Instant::now(), 0);
    let mut worked = 0.0;
    while begun.elapsed() < TURN * 4 || samples < 2 {
        worked += sample(entry);
        samples += 1;
    }
    let turn = TURN.as_secs_f64() * samples as f64 / worked;
    (turn.ceil() as usize).clamp(1, 4_096)
}

/// Seconds that one sample took.
fn sample(entry: &mut Entry) -> f64 {
    entry.contestant.prepare();
    let begun = Instant::now();
    entry.contestant.run();
    begun.elapsed().as_secs_f64()
}

fn print(title: &str, unit: &str, measured: &[Measured]) {
    let ours = measured.iter().find(|one| one.gives == Gives::Ours).expect("we take part");
    let nanos = format!("ns/{unit}");
    let allocations = format!("allocations/{unit}");
    let bytes = format!("bytes/{unit}");
    let mut table = Table::new(["", &nanos, "over ours (95 %)", &allocations, &bytes]);
    for one in measured {
        let ratio = Interval::of_ratio(&one.rounds, &ours.rounds);
        let counted = |value: Option<f64>, digits: usize| match value {
            Some(value) => format!("{value:.digits$}"),
            None => "in C".to_owned(),
        };
        table.row([
            match one.gives {
                Gives::Ours | Gives::OursToo => format!("**{}**", one.name),
                Gives::Limit | Gives::Offsets => format!("*{}*", one.name),
                Gives::Values => one.name.to_owned(),
            },
            precise(one.nanos()),
            ratio.to_string(),
            counted(one.allocations.map(|(calls, _)| calls), 2),
            counted(one.allocations.map(|(_, bytes)| bytes), 0),
        ]);
    }
    println!("**{title}**\n\n{table}");
}

/// A time in nanoseconds with about three digits.
fn precise(nanos: f64) -> String {
    let digits = if nanos < 10.0 { 2 } else { usize::from(nanos < 1_000.0) };
    format!("{nanos:.digits$}")
}

/// # Errors
///
/// For words that it does not know.
pub(crate) fn run(words: &[String]) -> Result<(), Failure> {
    let mut rounds = ROUNDS;
    let mut only = String::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match (word.as_str(), words.next()) {
            ("--rounds", Some(number)) => rounds = number.parse::<usize>()?.max(3),
            ("--only", Some(text)) => only.clone_from(text),
            _ => return Err(format!("codec does not know {word}").into()),
        }
    }
    println!("### Parsing\n");
    println!(
        "Median of {rounds} interleaved rounds. *Cursive*: builds no values. **Bold**: ours; ratios are over \
         `frames`.\n"
    );
    let mut all = Vec::new();
    for workload in workloads::all().into_iter().filter(|one| one.name.contains(&only)) {
        let measured = measure(parsers::of(&workload), workload.replies, rounds);
        print(&title(&workload), workload.unit, &measured);
        all.push((workload.name, measured));
    }
    if encoders::NAME.contains(&only) {
        println!("### Encoding\n");
        let measured = measure(encoders::all(), encoders::COUNT, rounds);
        print(&encoders::title(), "command", &measured);
        all.push((encoders::NAME, measured));
    }
    println!("### Reach\n\n{}", reach::table(&all));
    Ok(())
}

fn title(workload: &Workload) -> String {
    let bytes = workload.wire.len();
    match workload.piece {
        Some(piece) => format!("{} ({bytes} bytes in pieces of {piece})", workload.name),
        None => format!("{} ({} bytes a reply)", workload.name, bytes / workload.replies),
    }
}

/// Reads every byte, as memchr does when it looks for line ends.
pub(crate) struct LineEnds(pub(crate) Bytes);

impl Contestant for LineEnds {
    fn run(&mut self) {
        black_box(memchr::memchr_iter(b'\n', &self.0).count());
    }
}

/// Copies every byte.
pub(crate) struct Copied {
    pub(crate) from: Bytes,
    pub(crate) to: Vec<u8>,
    pub(crate) times: usize,
}

impl Contestant for Copied {
    fn run(&mut self) {
        for _ in 0..self.times {
            self.to.clear();
            self.to.extend_from_slice(black_box(&self.from));
            black_box(&self.to);
        }
    }
}
