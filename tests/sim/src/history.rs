//! What happened in a run: every call and its end, every hold, every fault, each with its time since the beginning.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;
use tenure::{FencingToken, Outcome};

/// Who did it: a process, its incarnation, and a task in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Who {
    /// Which process.
    pub process: usize,
    /// Another one after each of its crashes.
    pub life: usize,
    /// Which of its tasks.
    pub task: usize,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}.{}/t{}", self.process, self.life, self.task)
    }
}

/// One line of the history.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) at: Duration,
    pub(crate) who: Option<Who>,
    pub(crate) what: String,
}

/// How an attempt to acquire ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "an answer is yes, no, or none")]
pub enum Answer {
    /// The lock was had.
    Granted,
    /// Somebody else held the lock.
    Denied,
    /// Nobody knows whether it had any effect; it may still have one later.
    Unknown,
}

/// One attempt to acquire a lock, and the hold that came of it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Attempt {
    /// Whose attempt it was.
    pub who: Who,
    /// Which lock it was about.
    pub lock: usize,
    /// When it began.
    pub called: Duration,
    /// When it ended; never, if the process crashed.
    pub ended: Option<Duration>,
    /// How it ended.
    pub answer: Answer,
    /// Until when the guard said that the lock was held.
    pub claimed: Duration,
    /// When the release was begun, by whatever means.
    pub let_go: Option<Duration>,
    /// When the server confirmed the release.
    pub released: Option<Duration>,
    /// Whether it waits for as long as it takes, and is not given up.
    pub waits: bool,
    /// Which grant it was, if it was asked for.
    pub fence: Option<FencingToken>,
}

impl Attempt {
    /// One that has just begun, of which nobody knows yet what comes of it.
    pub fn new(who: Who, lock: usize, called: Duration) -> Self {
        Self {
            who,
            lock,
            called,
            ended: None,
            answer: Answer::Unknown,
            claimed: Duration::ZERO,
            let_go: None,
            released: None,
            waits: false,
            fence: None,
        }
    }
}

/// One data command with a payload of its own.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) who: Who,
    pub(crate) payload: String,
    /// `None` if it was acknowledged.
    pub(crate) failed: Option<Outcome>,
}

/// Everything that a run has recorded.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) events: Vec<Event>,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) writes: Vec<Write>,
    /// When keys were lost, or deleted behind everybody's back.
    pub(crate) losses: Vec<Duration>,
    pub(crate) violations: Vec<String>,
    pub(crate) counts: BTreeMap<&'static str, u64>,
}

impl History {
    pub(crate) fn note(&mut self, at: Duration, who: Option<Who>, what: String) {
        self.events.push(Event { at, who, what });
    }

    pub(crate) fn violation(&mut self, what: String) {
        self.violations.push(what);
    }

    pub(crate) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// The same for the same run, bit by bit.
    pub(crate) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for event in &self.events {
            (event.at, event.who, &event.what).hash(&mut hasher);
        }
        hasher.finish()
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = self.who.map_or_else(|| "world".to_owned(), |who| who.to_string());
        write!(f, "{:>12.3} ms  {who:<9} {}", self.at.as_secs_f64() * 1e3, self.what)
    }
}
