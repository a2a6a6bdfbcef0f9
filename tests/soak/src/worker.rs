//! A client process: its tasks take locks, hold them and let them go in every way there is, and ask for their own words back.
//!
//! It tells on its standard output what it does, line by line, and ends in order when its standard input ends.

use crate::line::{Lane, Line, Nanos, Without, now};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::io::{self, Read as _, Write as _};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tenure::{AcquireError, Client, Config, Guard, Options, Renewal};
use tokio::time::{sleep, timeout};

/// How much longer than its patience a call may take where nobody stops the process.
const GRACE: Duration = Duration::from_secs(10);
/// A connection that answered nothing for so long was down.
const SILENCE: Duration = Duration::from_millis(20);

/// What a worker is to do.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) url: String,
    /// What stands in front of the names of the locks.
    pub(crate) prefix: String,
    pub(crate) tempo: Tempo,
    pub(crate) seed: u64,
    /// How many locks there are to choose from.
    pub(crate) locks: u64,
    /// Tasks that take locks.
    pub(crate) tasks: usize,
    /// Tasks that ask for their own words.
    pub(crate) callers: usize,
    /// How often each of the former takes one; for ever if this is nothing.
    pub(crate) steps: Option<u64>,
    /// Whether calls that take far too long are to be told: not if the process is stopped now and then.
    pub(crate) punctual: bool,
}

/// How long things take.
#[derive(Debug, Clone)]
pub(crate) struct Tempo {
    pub(crate) lease_ms: Range<u64>,
    pub(crate) patience_ms: Range<u64>,
    pub(crate) hold_us: Range<u64>,
    /// How many holds last ten times as long: a good deal of them longer than a lease that is not renewed.
    pub(crate) long_holds: f64,
    pub(crate) pause_us: Range<u64>,
    /// Between two questions of a caller.
    pub(crate) ask_ms: Range<u64>,
}

impl Tempo {
    /// For life: much happens to a hold.
    pub(crate) const SOAK: Self = Self {
        lease_ms: 150..2_000,
        patience_ms: 0..2_000,
        hold_us: 0..300_000,
        long_holds: 0.0,
        pause_us: 0..40_000,
        ask_ms: 20..100,
    };
    /// For a short history, of which there are many. The longest lease is what is waited for where a process was killed.
    pub(crate) const HISTORY: Self = Self {
        lease_ms: 80..400,
        patience_ms: 0..250,
        hold_us: 0..30_000,
        long_holds: 0.08,
        pause_us: 0..8_000,
        ask_ms: 1..10,
    };
}

/// Does one job.
pub(crate) struct Worker {
    job: Job,
    client: Client,
    stop: AtomicBool,
    attempts: AtomicU64,
    commands: AtomicU64,
    grants: AtomicU64,
}

pub(crate) fn tell(line: &Line) {
    // The supervisor has gone if this fails, and nobody listens.
    let _ = writeln!(io::stdout().lock(), "{line}");
}

fn nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// How many descriptors a process has open.
pub(crate) fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// The life of a process, and what is left of it at its end.
pub(crate) fn live(life: impl AsyncFnOnce()) {
    let before = descriptors(std::process::id());
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a process that has just begun can have a runtime");
    let tasks = runtime.block_on(async {
        life().await;
        let metrics = tokio::runtime::Handle::current().metrics();
        for _ in 0..100 {
            if metrics.num_alive_tasks() == 0 {
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
        metrics.num_alive_tasks()
    });
    drop(runtime);
    let descriptors = descriptors(std::process::id()).saturating_sub(before);
    tell(&Line::End { tasks, descriptors });
}

/// Works until its standard input ends, or its steps are done.
pub(crate) fn work(job: Job) {
    live(async || {
        let config = Config::from_url(&job.url).expect("the supervisor knows its server");
        let client = connect(config).await;
        let worker = Worker::new(job, client.clone());
        let watched = Arc::clone(&worker);
        std::thread::spawn(move || {
            // Whatever ends the input ends the work.
            let _ = io::stdin().lock().read_to_end(&mut Vec::new());
            watched.stop.store(true, Ordering::Relaxed);
        });
        worker.work().await;
        client.close(Duration::from_secs(5)).await;
    });
}

pub(crate) async fn connect(config: Config) -> Client {
    loop {
        match Client::with_config(config.clone()).await {
            Ok(client) => return client,
            Err(_) => sleep(Duration::from_millis(20)).await, // of a server that is down
        }
    }
}

impl Worker {
    pub(crate) fn new(job: Job, client: Client) -> Arc<Self> {
        Arc::new(Self {
            job,
            client,
            stop: AtomicBool::new(false),
            attempts: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            grants: AtomicU64::new(0),
        })
    }

    /// Does the job.
    pub(crate) async fn work(self: &Arc<Self>) {
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..self.job.tasks {
            let worker = Arc::clone(self);
            tasks.spawn(async move { worker.take_locks(task).await });
        }
        let mut company = tokio::task::JoinSet::new();
        for caller in 0..self.job.callers {
            let worker = Arc::clone(self);
            company.spawn(async move { worker.ask_back(caller).await });
        }
        if self.job.punctual {
            let [data, locks, count] = [(); 3].map(|()| Arc::clone(self));
            company.spawn(async move { data.probe(Lane::Data).await });
            company.spawn(async move { locks.probe(Lane::Locks).await });
            company.spawn(async move { count.count().await });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap_or_else(|error| tell(&Line::Wrong(error.to_string())));
        }
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = company.join_next().await {
            ended.unwrap_or_else(|error| tell(&Line::Wrong(error.to_string())));
        }
    }

    fn stops(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn rng(&self, purpose: usize) -> StdRng {
        StdRng::seed_from_u64(self.job.seed.wrapping_mul(1_000_003).wrapping_add(purpose as u64))
    }

    /// Asks for words that nobody else asks for: nobody else's may come back.
    async fn ask_back(&self, caller: usize) {
        let mut rng = self.rng(1_000 + caller);
        for number in 0_u64.. {
            if self.stops() {
                return;
            }
            let words = format!("{}-{caller}-{number}", self.job.seed);
            let patience = Duration::from_micros(rng.random_range(0..3_000));
            let asked =
                async { self.client.command("ECHO").arg(words.as_str()).send::<String>().await };
            let answer = if rng.random_bool(0.1) {
                timeout(patience, asked).await.ok()
            } else {
                Some(asked.await)
            };
            if let Some(Ok(back)) = answer {
                self.commands.fetch_add(1, Ordering::Relaxed);
                // A server takes the end of a line for granted: what is made up in front of its last byte makes that the first
                // of the words, and the server says what it was asked.
                let shifted = back.strip_prefix('\n').is_some_and(|rest| words.starts_with(rest));
                if back != words && !shifted {
                    tell(&Line::Wrong(format!("asked {words} and got {back}")));
                }
            }
            sleep(Duration::from_millis(rng.random_range(self.job.tempo.ask_ms.clone()))).await;
        }
    }

    /// Tells when a connection answers again.
    async fn probe(&self, lane: Lane) {
        let lock = self.client.lock(format!("probe-{}", self.job.seed));
        let mut last = Instant::now();
        while !self.stops() {
            let answered = match lane {
                Lane::Data => self.client.ping().await.is_ok(),
                Lane::Locks => match lock.try_acquire().await {
                    Ok(Some(guard)) => guard.release().await.is_ok(),
                    Ok(None) => true,
                    Err(_) => false,
                },
            };
            if answered {
                if last.elapsed() > SILENCE {
                    tell(&Line::Up { lane, at: now() });
                }
                last = Instant::now();
            }
            sleep(Duration::from_millis(3)).await;
        }
    }

    async fn count(&self) {
        let metrics = tokio::runtime::Handle::current().metrics();
        while !self.stops() {
            tell(&Line::Count {
                commands: self.commands.load(Ordering::Relaxed),
                grants: self.grants.load(Ordering::Relaxed),
                tasks: metrics.num_alive_tasks(),
            });
            sleep(Duration::from_secs(1)).await;
        }
    }

    async fn take_locks(&self, task: usize) {
        let mut rng = self.rng(task);
        let steps = self.job.steps.unwrap_or(u64::MAX);
        for _ in 0..steps {
            if self.stops() {
                return;
            }
            self.take_one(task, &mut rng).await;
            sleep(Duration::from_micros(rng.random_range(self.job.tempo.pause_us.clone()))).await;
        }
    }

    async fn take_one(&self, task: usize, rng: &mut StdRng) {
        let number = rng.random_range(0..self.job.locks);
        let Tempo { lease_ms, patience_ms, .. } = self.job.tempo.clone();
        let lease = Duration::from_millis(rng.random_range(lease_ms));
        let renewal = if rng.random_bool(0.3) { Renewal::Off } else { Renewal::Auto };
        let options = Options::new().lease(lease).renewal(renewal);
        let lock = self.client.lock(format!("{}lock{number}", self.job.prefix)).options(options);
        let attempt = self.attempts.fetch_add(1, Ordering::Relaxed);
        let patience = Duration::from_millis(rng.random_range(patience_ms));
        let way = rng.random_range(0..6);
        let called = now();
        let number = usize::try_from(number).unwrap_or_default();
        tell(&Line::Called { attempt, lock: number, task, at: called });
        let asked = async {
            match way {
                0 => lock.try_acquire().await,
                1 => lock.acquire().await.map(Some),
                _ => lock.acquire_for(patience).await.map(Some),
            }
        };
        let answer = if rng.random_bool(0.2) {
            let patience = Duration::from_micros(rng.random_range(0..20_000));
            timeout(patience, asked).await.ok()
        } else {
            Some(asked.await)
        };
        let at = now();
        let late = way != 1 && at - called > nanos(patience + GRACE);
        if late && self.job.punctual {
            tell(&Line::Wrong(format!("waited {} ns instead of {patience:?}", at - called)));
        }
        let why = match answer {
            Some(Ok(Some(guard))) => {
                self.grants.fetch_add(1, Ordering::Relaxed);
                tell(&Line::Granted { attempt, at });
                return self.hold(attempt, guard, rng).await;
            }
            Some(Ok(None)) => Without::Denied,
            Some(Err(error)) => {
                if let AcquireError::KeyInUse { .. } | AcquireError::Unsupported { .. } = error {
                    tell(&Line::Wrong(error.to_string()));
                }
                Without::Unknown
            }
            None => Without::Unknown,
        };
        tell(&Line::Without { attempt, at, why });
    }

    /// Holds the lock for a while, looking at the guard all the time, and lets it go.
    async fn hold(&self, attempt: u64, guard: Guard, rng: &mut StdRng) {
        let Tempo { hold_us, long_holds, .. } = self.job.tempo.clone();
        let lasts = Duration::from_micros(rng.random_range(hold_us));
        let times = if rng.random_bool(long_holds) { 10 } else { 1 };
        let until = Instant::now() + lasts * times;
        loop {
            // The time first: a process that is stopped in between claims less, and not more.
            let (at, validity) = (now(), guard.validity());
            if !guard.is_held() {
                break;
            }
            tell(&Line::Claimed { attempt, until: at + nanos(validity) });
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            sleep(left.min(Duration::from_micros(rng.random_range(1_000..60_000)))).await;
        }
        tell(&Line::LetGo { attempt, at: now() });
        if rng.random_bool(0.4) {
            drop(guard);
            return;
        }
        let patience = Duration::from_micros(rng.random_range(0..20_000));
        let released = if rng.random_bool(0.2) {
            timeout(patience, guard.release()).await.ok()
        } else {
            Some(guard.release().await)
        };
        if let Some(Ok(())) = released {
            tell(&Line::Released { attempt, at: now() });
        }
    }
}
