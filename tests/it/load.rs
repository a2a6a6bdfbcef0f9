//! Callers that know what each of their replies must be, and how often each of their commands can have run.

use crate::support::{eventually, is_quiet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tenure::{Client, Error, ErrorKind, Outcome};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

const CALLERS: u64 = 8;

/// Callers at work.
pub(crate) struct Load {
    client: Client,
    stop: Arc<AtomicBool>,
    right: Arc<AtomicU64>,
    callers: Vec<JoinHandle<Tally>>,
}

/// What became of their calls.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) right: u64,
    pub(crate) not_sent: u64,
    pub(crate) refused: u64,
    pub(crate) unknown: u64,
}

/// What the server does with its data while callers are at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Data {
    Kept,
    Lost,
}

impl Load {
    /// Starts callers, each with one call at a time, none of which may take longer than `limit`. They rest for `pace` after
    /// each: a paused clock only moves while everybody rests.
    pub(crate) fn start(client: &Client, limit: Duration, pace: Duration, data: Data) -> Self {
        static RUNS: AtomicU64 = AtomicU64::new(0);
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let (stop, right) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let callers = (0..CALLERS).map(|number| {
            let caller = Caller {
                client: client.clone(),
                name: format!("load:{}:{run}:{number}", std::process::id()),
                right: Arc::clone(&right),
                limit,
                pace,
                data,
                acknowledged: 0,
                in_doubt: 0,
                tally: Tally::default(),
            };
            tokio::spawn(caller.run(Arc::clone(&stop)))
        });
        let callers = callers.collect();
        Self { client: client.clone(), stop, right, callers }
    }

    /// How many calls got their own reply so far.
    pub(crate) fn right(&self) -> u64 {
        self.right.load(Ordering::Relaxed)
    }

    /// Waits until so many more calls have got their own reply.
    pub(crate) async fn flows(&self, calls: u64) {
        let until = self.right() + calls;
        eventually("calls are answered", async || self.right() >= until).await;
    }

    /// Lets the callers end, and checks that nothing is left of them.
    ///
    /// # Panics
    ///
    /// If one of them got a wrong reply, an error that claims too much, or waited beyond its limit.
    pub(crate) async fn stop(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut sum = Tally::default();
        for caller in self.callers {
            let tally = caller.await.expect("the caller was content");
            sum.right += tally.right;
            sum.not_sent += tally.not_sent;
            sum.refused += tally.refused;
            sum.unknown += tally.unknown;
        }
        let client = &self.client;
        eventually("counters are zero", async || is_quiet(client)).await;
        sum
    }
}

struct Caller {
    client: Client,
    name: String,
    right: Arc<AtomicU64>,
    limit: Duration,
    pace: Duration,
    data: Data,
    /// Increments that were answered since the data were lost last.
    acknowledged: u64,
    /// Increments that may have run besides.
    in_doubt: u64,
    tally: Tally,
}

impl Caller {
    async fn run(mut self, stop: Arc<AtomicBool>) -> Tally {
        for round in 0_u64.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let before = self.tally.right;
            self.echo(round).await;
            self.count().await;
            if self.tally.right == before || !self.pace.is_zero() {
                // What fails at once is not asked for in a frenzy.
                sleep(self.pace.max(Duration::from_millis(1))).await;
            }
        }
        self.check().await;
        self.tally
    }

    async fn echo(&mut self, round: u64) {
        let words = format!("{} {round}", self.name);
        let begun = Instant::now();
        let echoed = self.client.command("ECHO").arg(&words).send::<String>().await;
        self.note(begun, &echoed);
        if let Ok(echoed) = echoed {
            assert_eq!(echoed, words);
        }
    }

    async fn count(&mut self) {
        let begun = Instant::now();
        let counted = self.client.incr(&self.name).await;
        self.note(begun, &counted);
        match counted {
            Ok(count) => {
                let count = u64::try_from(count).unwrap();
                let least = self.acknowledged + 1;
                if self.data == Data::Lost && count < least {
                    (self.acknowledged, self.in_doubt) = (count, 0);
                    return;
                }
                let most = least + self.in_doubt;
                assert!((least..=most).contains(&count), "{count} is not in {least}..={most}");
                self.in_doubt = most - count;
                self.acknowledged = count;
            }
            Err(error) if error.outcome() == Outcome::Unknown => self.in_doubt += 1,
            Err(_) => {}
        }
    }

    fn note<T>(&mut self, begun: Instant, result: &Result<T, Error>) {
        assert!(
            begun.elapsed() <= self.limit,
            "{:?} for {:?}",
            begun.elapsed(),
            result.as_ref().err()
        );
        match result {
            Ok(_) => {
                self.tally.right += 1;
                self.right.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                assert_ne!(error.kind(), ErrorKind::UnexpectedReply, "{error}");
                match error.outcome() {
                    Outcome::NotSent => self.tally.not_sent += 1,
                    Outcome::Refused => self.tally.refused += 1,
                    Outcome::Unknown => self.tally.unknown += 1,
                }
            }
        }
    }

    /// What was said to have run has, and what was said not to have been sent has not.
    async fn check(&self) {
        let begun = Instant::now();
        let count = loop {
            match self.client.command("GET").arg(&self.name).send::<Option<u64>>().await {
                Ok(count) => break count.unwrap_or(0),
                Err(error) => assert!(begun.elapsed() < Duration::from_secs(20), "{error}"),
            }
            sleep(Duration::from_millis(1)).await;
        };
        let most = self.acknowledged + self.in_doubt;
        let lost = self.data == Data::Lost;
        assert!(count <= most && (lost || count >= self.acknowledged), "{count}, most {most}");
    }
}
