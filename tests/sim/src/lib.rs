//! Deterministic simulation of the whole: several client processes, a network between them, and the in-process server, on one
//! paused clock and from one seed.
//!
//! A run draws a plan from its seed (`plan.rs`), lives through it (`world.rs`, `task.rs`, over the links of `net.rs`), and records what
//! happened (`history.rs`). Faults come and go; then everything heals, everybody finishes, and what must always hold is looked
//! for (`checks.rs`, `linear.rs`). The same seed gives the same run, event by event. Histories of real servers are judged by the same
//! [`check_history`].

mod checks;
mod history;
mod linear;
mod net;
mod picture;
mod plan;
mod register;
mod sync;
mod task;
mod world;

pub use history::{Answer, Attempt, Who};
pub use linear::check as check_history;

use history::History;
use plan::Plan;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What one seed came to.
#[derive(Debug)]
#[non_exhaustive]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Equal for equal runs, whatever the machine does meanwhile.
    pub digest: u64,
    /// How long the run took, in the simulation.
    pub simulated: Duration,
    plan: Plan,
    history: History,
}

/// Runs one seed.
pub fn run(seed: u64) -> Report {
    let world::Run { plan, history, simulated } = world::run(seed);
    Report { seed, digest: history.digest(), simulated, plan, history }
}

impl Report {
    /// What did not hold; empty if all is well.
    pub fn violations(&self) -> &[String] {
        &self.history.violations
    }

    /// How often this and that happened.
    pub fn counts(&self) -> &BTreeMap<&'static str, u64> {
        &self.history.counts
    }

    /// The plan, and a line for each event, in order.
    pub fn timeline(&self) -> impl Iterator<Item = String> {
        let plan = std::iter::once(format!("{:?}", self.plan));
        plan.chain(self.history.events.iter().map(ToString::to_string))
    }

    /// Who waited and who held, over time: an SVG.
    pub fn picture(&self) -> String {
        picture::svg(&self.plan, &self.history, self.simulated)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}: ", self.seed)?;
        match self.violations() {
            [] => write!(f, "ok, {:?} simulated, digest {:016x}", self.simulated, self.digest),
            violations => {
                writeln!(f, "{} violations", violations.len())?;
                for violation in violations {
                    writeln!(f, "  {violation}")?;
                }
                write!(f, "replay: cargo run --release -p tenure-sim -- seed {} --trace", self.seed)
            }
        }
    }
}
