//! What one task does: takes locks, holds them, lets them go in every way there is, and writes data in between.

use crate::history::{Answer, Attempt, Who, Write};
use crate::sync::lock;
use crate::world::World;
use rand::RngExt as _;
use rand::rngs::StdRng;
use std::ops::Deref;
use std::sync::Mutex;
use std::time::Duration;
use tenure::{
    AcquireError, Client, Config, Error, FencedGuard, FencingToken, Guard, Lock, Options, Outcome,
    ReleaseError, Renewal,
};
use tokio::time::{Instant, sleep, timeout};

/// No task asks for a shorter lease.
pub(crate) const SHORTEST_LEASE: Duration = Duration::from_millis(150);
/// No task asks for a longer lease.
pub(crate) const LONGEST_LEASE: Duration = Duration::from_secs(3);
/// How long those who wait for a fair lock count as alive after they were heard of.
pub(crate) const ALIVE: Duration = Duration::from_secs(15);
/// How much later than its deadline a call may end: the last attempt begins at it.
const GRACE: Duration = Duration::from_millis(1_200);

/// The key of a lock, with the default prefix.
pub(crate) fn lock_key(number: usize) -> String {
    format!("lk:{}", lock_name(number))
}

fn lock_name(number: usize) -> String {
    format!("lock{number}")
}

struct Task<'a> {
    world: &'a World,
    who: Who,
    client: Client,
    rng: StdRng,
    counter: u64,
}

/// Lives until all steps are done.
pub(crate) async fn live(world: &World, who: Who, client: &Mutex<Option<Client>>, config: Config) {
    let purpose = 10_000 + (who.process * 10_000 + who.life * 100 + who.task) as u64;
    let mut rng = world.plan.rng(purpose);
    sleep(Duration::from_micros(rng.random_range(0..300_000))).await;
    let client = connect(world, who, client, config).await;
    let mut task = Task { world, who, client, rng, counter: 0 };
    for _ in 0..world.plan.processes[who.process].steps {
        match task.rng.random_range(0..10) {
            0 => task.write().await,
            1 => task.ask_back().await,
            _ => task.take_lock().await,
        }
        let pause = Duration::from_micros(task.rng.random_range(0..200_000));
        sleep(pause).await;
    }
}

/// The client that the tasks of a process share; the first that gets through makes it.
async fn connect(
    world: &World,
    who: Who,
    shared: &Mutex<Option<Client>>,
    config: Config,
) -> Client {
    loop {
        if let Some(client) = lock(shared).clone() {
            return client;
        }
        match Client::with_config(config.clone()).await {
            Ok(client) => return lock(shared).get_or_insert(client).clone(),
            Err(error) => {
                world.note(Some(who), format!("cannot connect: {}", brief(&error)));
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

impl Task<'_> {
    fn note(&self, what: impl Into<String>) {
        self.world.note(Some(self.who), what);
    }

    /// A string that no other call in this run uses.
    fn payload(&mut self) -> String {
        self.counter += 1;
        let Who { process, life, task } = self.who;
        format!("payload-{process}-{life}-{task}-{}", self.counter)
    }

    /// Runs a call, or drops it in the middle.
    async fn or_drop<T>(&mut self, call: impl Future<Output = T>) -> Option<T> {
        if !self.rng.random_bool(0.2) {
            return Some(call.await);
        }
        let patience = Duration::from_micros(self.rng.random_range(0..20_000));
        timeout(patience, call).await.ok()
    }

    /// Writes a value that is only written once.
    async fn write(&mut self) {
        let payload = self.payload();
        let client = self.client.clone();
        let key = format!("data:{}", self.who.process);
        let text = payload.clone();
        let result = self.or_drop(async move { client.set(&key, text.as_str()).await }).await;
        let failed = match &result {
            Some(Ok(())) => None,
            Some(Err(error)) => Some(error.outcome()),
            None => Some(Outcome::Unknown),
        };
        self.note(format!("write {payload}: {}", told(&result)));
        let write = Write { who: self.who, payload, failed };
        self.world.history(|history| {
            history.count("writes");
            history.writes.push(write);
        });
    }

    /// Asks for its own words: nobody else's may come back.
    async fn ask_back(&mut self) {
        let payload = self.payload();
        let client = self.client.clone();
        let text = payload.clone();
        let asked = async move { client.command("ECHO").arg(text.as_str()).send::<String>().await };
        let result = self.or_drop(asked).await;
        if let Some(Ok(back)) = &result {
            self.world.history(|history| {
                history.count("echoes");
                if *back != payload {
                    history.violation(format!("asked {payload} and got {back}"));
                }
            });
        }
        self.note(format!("ask {payload}: {}", told(&result.map(|back| back.map(drop)))));
    }

    async fn take_lock(&mut self) {
        let number = self.rng.random_range(0..self.world.plan.locks);
        let options = self.options();
        let lock = self.client.lock(lock_name(number)).options(options);
        let lock = if self.world.plan.fair[number] { lock.fair() } else { lock };
        let attempt = Attempt::new(self.who, number, self.world.now());
        let id = self.world.history(|history| {
            history.count("attempts");
            history.attempts.push(attempt);
            history.attempts.len() - 1
        });
        let Some(guard) = self.ask_for(&lock, number, id).await else { return };
        let now = self.world.now();
        let fence = guard.fence();
        self.record(id, |attempt| {
            (attempt.ended, attempt.answer) = (Some(now), Answer::Granted);
            attempt.fence = fence;
        });
        if let Some(fence) = fence {
            self.note(format!("lock{number}: fence {fence}"));
        }
        self.world.history(|history| history.count("grants"));
        self.hold(guard, number, id).await;
    }

    fn options(&mut self) -> Options {
        let lease = self
            .rng
            .random_range(SHORTEST_LEASE.as_millis() as u64..LONGEST_LEASE.as_millis() as u64);
        let renewal = if self.rng.random_bool(0.3) { Renewal::Off } else { Renewal::Auto };
        let label = crate::checks::label(self.who.process, self.who.life);
        Options::new().label(label).lease(Duration::from_millis(lease)).renewal(renewal)
    }

    /// Asks for the lock in one of the ways there are.
    async fn ask_for(&mut self, lock: &Lock, number: usize, id: usize) -> Option<Hold> {
        let patience = Duration::from_millis(self.rng.random_range(0..3_000));
        let way = self.rng.random_range(0..6);
        let fenced = self.rng.random_bool(0.4).then(|| lock.clone().fenced());
        let asked = async {
            match (&fenced, way) {
                (None, 0) => lock.try_acquire().await.map(|guard| guard.map(Hold::Plain)),
                (None, 1) => lock.acquire().await.map(|guard| Some(Hold::Plain(guard))),
                (None, _) => lock.acquire_for(patience).await.map(|guard| Some(Hold::Plain(guard))),
                (Some(lock), 0) => lock.try_acquire().await.map(|guard| guard.map(Hold::Fenced)),
                (Some(lock), 1) => lock.acquire().await.map(|guard| Some(Hold::Fenced(guard))),
                (Some(lock), _) => {
                    lock.acquire_for(patience).await.map(|guard| Some(Hold::Fenced(guard)))
                }
            }
        };
        self.note(format!("ask for lock{number}, way {way}, {patience:?}"));
        self.record(id, |attempt| attempt.waits = way > 0);
        let begun = Instant::now();
        let result = self.or_drop(asked).await;
        let late = way > 1 && begun.elapsed() > patience + GRACE;
        let (answer, guard, text) = match result {
            Some(Ok(Some(guard))) => (Answer::Granted, Some(guard), "granted".to_owned()),
            Some(Ok(None)) => (Answer::Denied, None, "held by another".to_owned()),
            Some(Err(error)) => (Answer::Unknown, None, describe(&error)),
            None => (Answer::Unknown, None, "dropped".to_owned()),
        };
        self.note(format!("lock{number}: {text}"));
        let now = self.world.now();
        self.record(id, |attempt| (attempt.ended, attempt.answer) = (Some(now), answer));
        if late {
            let took = begun.elapsed();
            let complaint = format!("{}: waited {took:?} instead of {patience:?}", self.who);
            self.world.history(|history| history.violation(complaint));
        }
        guard
    }

    fn record(&self, id: usize, change: impl FnOnce(&mut Attempt)) {
        self.world.history(|history| change(&mut history.attempts[id]));
    }

    /// Writes what rests on what was read, some time later, whether or not the lock is still held.
    async fn increment(&mut self, number: usize, fence: FencingToken, read: u64) {
        if self.rng.random_bool(0.3) {
            sleep(Duration::from_millis(self.rng.random_range(0..4_000))).await;
        }
        let written = self.world.register(|register| register.write(number, fence, read));
        self.note(format!("counter of lock{number} at {read}: written {written}"));
        let what = if written { "increments" } else { "increments refused by a fence" };
        self.world.history(|history| history.count(what));
    }

    /// Holds the lock for a while, looking at the guard all the time, and lets it go.
    async fn hold(&mut self, guard: Hold, number: usize, id: usize) {
        let until = Instant::now() + Duration::from_micros(self.rng.random_range(0..1_500_000));
        let read = match guard.fence() {
            Some(fence) => self.world.register(|register| register.read(number, fence)),
            None => None,
        };
        loop {
            let (now, validity, held) = (self.world.now(), guard.validity(), guard.is_held());
            if !held {
                self.note(format!("lock{number}: lost"));
                self.world.history(|history| history.count("losses seen"));
                break;
            }
            self.record(id, |attempt| attempt.claimed = attempt.claimed.max(now + validity));
            if Instant::now() >= until {
                break;
            }
            let slice = Duration::from_micros(self.rng.random_range(100..50_000));
            sleep(slice.min(until.saturating_duration_since(Instant::now()))).await;
        }
        if let (Some(fence), Some(read)) = (guard.fence(), read) {
            self.increment(number, fence, read).await;
        }
        let now = self.world.now();
        self.record(id, |attempt| attempt.let_go = Some(now));
        if self.rng.random_bool(0.4) {
            self.note(format!("lock{number}: drop"));
            drop(guard);
            return;
        }
        let released = self.or_drop(guard.release()).await;
        let now = self.world.now();
        if let Some(Ok(())) = released {
            self.record(id, |attempt| attempt.released = Some(now));
        }
        let text = released.map(|result| result.map_err(|error| error.to_string()));
        self.note(format!("lock{number}: release {text:?}"));
    }
}

/// A guard of either kind.
enum Hold {
    Plain(Guard),
    Fenced(FencedGuard),
}

impl Hold {
    fn fence(&self) -> Option<FencingToken> {
        match self {
            Self::Plain(_) => None,
            Self::Fenced(guard) => Some(guard.token()),
        }
    }

    async fn release(self) -> Result<(), ReleaseError> {
        match self {
            Self::Plain(guard) => guard.release().await,
            Self::Fenced(guard) => guard.release().await,
        }
    }
}

impl Deref for Hold {
    type Target = Guard;

    fn deref(&self) -> &Guard {
        match self {
            Self::Plain(guard) => guard,
            Self::Fenced(guard) => guard,
        }
    }
}

fn told(result: &Option<Result<(), Error>>) -> String {
    match result {
        Some(Ok(())) => "ok".to_owned(),
        Some(Err(error)) => brief(error),
        None => "dropped".to_owned(),
    }
}

fn brief(error: &Error) -> String {
    format!("{:?}, {:?}", error.kind(), error.outcome())
}

fn describe(error: &AcquireError) -> String {
    match error {
        AcquireError::Client(error) => brief(error),
        other => other.to_string(),
    }
}
