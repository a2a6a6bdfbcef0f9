//! What it costs to wait for a lock that is held, and to hold many.

use crate::Failure;
use crate::connection::{Flavour, Raw, Target, cpu_seconds};
use crate::lock::counter::Counter;
use crate::lock::crowd::{Member, ready};
use crate::lock::policies::{Policy, WithPolicy, with_policy};
use std::io::Write as _;
use std::time::{Duration, Instant};

/// How long everybody has to find to rest.
const SETTLE: Duration = Duration::from_secs(2);

/// What many waiters of one lock cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Idle {
    /// But for pings.
    pub(crate) commands_per_second: f64,
    /// By which clients make sure of their connections, however many locks there are.
    pub(crate) pings_per_second: f64,
    /// Of one core.
    pub(crate) cpu: f64,
    /// Bytes allocated for each, with its task.
    pub(crate) bytes: f64,
}

/// Who has the lock that is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Holder {
    /// Another task of the same process.
    Here,
    /// Another process, whose commands count as well.
    Elsewhere,
}

impl Holder {
    pub(crate) const ALL: [Self; 2] = [Self::Here, Self::Elsewhere];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Here => "the same process",
            Self::Elsewhere => "another process",
        }
    }
}

/// Lets `tasks` of one process wait for a lock that is held.
pub(crate) fn run(
    policy: &str,
    target: &Target,
    (tasks, holder): (usize, Holder),
    time: Duration,
) -> Result<Idle, Failure> {
    let key = format!("idle:{:08x}", rand::random::<u32>());
    let start = |tasks: usize, holder: Holder| {
        let words = ["idle", policy, &target.url, &tasks.to_string(), &key, holder.name()];
        Member::start(&words)
    };
    let alone = if holder == Holder::Elsewhere { Some(start(0, Holder::Here)?) } else { None };
    let holds = alone.map(|mut holds| {
        // For longer than anybody is watched.
        holds.tell(&(2 * (time + SETTLE)).as_millis().to_string())?;
        Ok::<_, Failure>(holds)
    });
    let holds = holds.transpose()?;
    let mut member = start(tasks, holder)?;
    let mut raw = Raw::connect(&target.url)?;
    let mut pings = || raw.calls(|name| name == "ping");
    let before = pings()?;
    let counter = Counter::begin(policy, target)?;
    member.tell(&time.as_millis().to_string())?;
    let said = member.hear()?;
    let commands = counter.end()?;
    let pings = pings()? - before;
    drop(holds);
    let numbers: Vec<f64> = said.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [cpu, bytes] = numbers[..] else { return Err(said.into()) };
    let seconds = time.as_secs_f64();
    let (pings_per_second, commands_per_second) = (pings / seconds, (commands - pings) / seconds);
    Ok(Idle { commands_per_second, pings_per_second, cpu: cpu / seconds, bytes })
}

/// The process of those who wait: `idle POLICY URL TASKS KEY HOLDER`.
pub(crate) fn child(words: &[String]) -> Result<(), Failure> {
    const WORDS: &str = "idle POLICY URL TASKS KEY HOLDER";
    let [policy, url, tasks, key, holder] = words else { return Err(WORDS.into()) };
    let (target, tasks) = (Target::of(url), tasks.parse()?);
    let holder = Holder::ALL.into_iter().find(|one| one.name() == holder).ok_or(WORDS)?;
    let waiters = Waiters { target, tasks, key: key.clone(), holder };
    with_policy(policy, waiters).ok_or("no such policy")?
}

struct Waiters {
    target: Target,
    tasks: usize,
    key: String,
    holder: Holder,
}

impl WithPolicy for Waiters {
    type Out = Result<(), Failure>;

    fn with<P: Policy>(self) -> Self::Out {
        let runtime = Flavour::CurrentThread.runtime()?;
        let policy = runtime.block_on(P::connect(&self.target))?;
        let held = match self.holder {
            Holder::Here => Some(runtime.block_on(policy.acquire(&self.key))),
            Holder::Elsewhere => {
                // The first use opens what is opened late.
                let own = format!("{}:own", self.key);
                runtime.block_on(async { policy.release(policy.acquire(&own).await).await });
                None
            }
        };
        // All share the key's text; each has a handle to it.
        let key: std::sync::Arc<str> = self.key.as_str().into();
        let kept = native::count(|| {
            runtime.block_on(async {
                for _ in 0..self.tasks {
                    let (policy, key) = (policy.clone(), std::sync::Arc::clone(&key));
                    tokio::spawn(async move { policy.release(policy.acquire(&key).await).await });
                }
                tokio::time::sleep(SETTLE).await;
            });
        });
        let bytes = kept.kept() / self.tasks as f64;
        let time = ready()?;
        let cpu = cpu_seconds();
        runtime.block_on(async { tokio::time::sleep(time).await });
        println!("{} {bytes}", cpu_seconds() - cpu);
        std::io::stdout().flush()?;
        std::mem::forget(held);
        std::process::exit(0);
    }
}

/// What it costs to hold many locks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Guards {
    /// Of one core.
    pub(crate) cpu: f64,
    pub(crate) lost: f64,
    /// Of renewals.
    pub(crate) commands_per_second: f64,
}

/// Holds so many locks with a lease of ten seconds.
pub(crate) fn hold(target: &Target, guards: usize, time: Duration) -> Result<Guards, Failure> {
    let mut member = Member::start(&["guards", &target.url, &guards.to_string()])?;
    let mut raw = Raw::connect(&target.url)?;
    let before = raw.commands_sent(true)?;
    member.tell(&time.as_millis().to_string())?;
    let said = member.hear()?;
    let commands = raw.commands_sent(true)? - before;
    let numbers: Vec<f64> = said.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [cpu, lost] = numbers[..] else { return Err(said.into()) };
    let seconds = time.as_secs_f64();
    Ok(Guards { cpu: cpu / seconds, lost, commands_per_second: commands / seconds })
}

/// The process that holds: `guards URL GUARDS`.
pub(crate) fn guards_child(words: &[String]) -> Result<(), Failure> {
    let [url, guards] = words else { return Err("guards URL GUARDS".into()) };
    let guards: usize = guards.parse()?;
    let runtime = Flavour::CurrentThread.runtime()?;
    runtime.block_on(async {
        let client = tenure::Client::connect(url).await?;
        let options = tenure::Options::new().lease(Duration::from_secs(10));
        let mut held = Vec::with_capacity(guards);
        for guard in 0..guards {
            let lock = client.lock(format!("guards:{guard}")).options(options.clone());
            held.push(lock.try_acquire().await?.ok_or("it was free")?);
        }
        let (time, cpu) = (ready()?, cpu_seconds());
        let until = Instant::now() + time;
        let mut lost = 0;
        while Instant::now() < until {
            tokio::time::sleep(time / 10).await;
            lost = lost.max(held.iter().filter(|guard| !guard.is_held()).count());
        }
        println!("{} {lost}", cpu_seconds() - cpu);
        std::io::stdout().flush()?;
        client.close(Duration::from_secs(10)).await;
        drop(held);
        Ok(())
    })
}
