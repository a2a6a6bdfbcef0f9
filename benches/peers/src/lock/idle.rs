//! What it costs to wait for a lock that is held, and to hold many.

use crate::Failure;
use crate::connection::{Flavour, Raw, Target, cpu_seconds};
use crate::lock::crowd::{Member, ready};
use crate::lock::policies::{Policy, WithPolicy, is_scripted, with_policy};
use std::io::Write as _;
use std::time::{Duration, Instant};

/// How long everybody has to find to rest.
const SETTLE: Duration = Duration::from_secs(2);

/// What many waiters of one lock cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Idle {
    pub(crate) commands_per_second: f64,
    /// Of one core.
    pub(crate) cpu: f64,
    /// Bytes allocated for each, with its task.
    pub(crate) bytes: f64,
}

/// Lets `tasks` of one process wait for a lock that another task of it holds.
pub(crate) fn run(
    policy: &str,
    target: &Target,
    tasks: usize,
    time: Duration,
) -> Result<Idle, Failure> {
    let key = format!("idle:{:08x}", rand::random::<u32>());
    let mut member = Member::start(&["idle", policy, &target.url, &tasks.to_string(), &key])?;
    let mut raw = Raw::connect(&target.url)?;
    let before = raw.commands_sent(is_scripted(policy))?;
    member.tell(&time.as_millis().to_string())?;
    let said = member.hear()?;
    let commands = raw.commands_sent(is_scripted(policy))? - before;
    let numbers: Vec<f64> = said.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [cpu, bytes] = numbers[..] else { return Err(said.into()) };
    let seconds = time.as_secs_f64();
    Ok(Idle { commands_per_second: commands / seconds, cpu: cpu / seconds, bytes })
}

/// The process of those who wait: `idle POLICY URL TASKS KEY`.
pub(crate) fn child(words: &[String]) -> Result<(), Failure> {
    let [policy, url, tasks, key] = words else { return Err("idle POLICY URL TASKS KEY".into()) };
    let target = Target::of(url);
    let tasks = tasks.parse()?;
    with_policy(policy, Waiters { target, tasks, key: key.clone() }).ok_or("no such policy")?
}

struct Waiters {
    target: Target,
    tasks: usize,
    key: String,
}

impl WithPolicy for Waiters {
    type Out = Result<(), Failure>;

    fn with<P: Policy>(self) -> Self::Out {
        let runtime = Flavour::CurrentThread.runtime()?;
        let policy = runtime.block_on(P::connect(&self.target))?;
        let held = runtime.block_on(policy.acquire(&self.key));
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
