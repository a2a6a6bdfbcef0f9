//! Many tasks on one key, in one process or several: this program starts itself once for each.

use crate::Failure;
use crate::connection::{Flavour, Target};
use crate::lock::counter::{Counter, is_shown};
use crate::lock::policies::{Policy, WithPolicy, with_policy};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a crowd came to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Crowd {
    pub(crate) holds: f64,
    /// Holds after a hold of another task, as each process sees it.
    pub(crate) handovers: f64,
    pub(crate) seconds: f64,
    /// Of all its processes.
    pub(crate) cpu_seconds: f64,
    /// Commands that were sent.
    pub(crate) commands: f64,
    pub(crate) mean_wait: f64,
    /// The longest, of those who still wait as well.
    pub(crate) max_wait: f64,
}

/// For how long commands are counted where that slows the server down: twice, as only the difference has no beginning and no end.
const SHOWN: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(1_000)];

/// Lets `processes` × `tasks` take turns on one lock without holding it.
pub(crate) fn run(
    policy: &str,
    target: &Target,
    sizes: (usize, usize),
    time: Duration,
) -> Result<Crowd, Failure> {
    if !is_shown(policy) {
        return take_turns(policy, target, sizes, time, true);
    }
    let crowd = take_turns(policy, target, sizes, time, false)?;
    let [less, more] = SHOWN.map(|time| take_turns(policy, target, sizes, time, true));
    let (less, more) = (less?, more?);
    let each = (more.commands - less.commands) / (more.holds - less.holds).max(1.0);
    Ok(Crowd { commands: crowd.holds * each, ..crowd })
}

fn take_turns(
    policy: &str,
    target: &Target,
    (processes, tasks): (usize, usize),
    time: Duration,
    counted: bool,
) -> Result<Crowd, Failure> {
    let key = format!("crowd:{:08x}", rand::random::<u32>());
    let mut members = Vec::new();
    for _ in 0..processes {
        members.push(Member::start(&["crowd", policy, &target.url, &tasks.to_string(), &key])?);
    }
    let counter = if counted { Some(Counter::begin(policy, target)?) } else { None };
    for member in &mut members {
        member.tell(&format!("{}", time.as_millis()))?;
    }
    let mut crowd = Crowd { seconds: time.as_secs_f64(), ..Crowd::default() };
    let mut waited = 0.0;
    for member in &mut members {
        let said = member.hear()?;
        let numbers: Vec<f64> = said.split(' ').filter_map(|word| word.parse().ok()).collect();
        let [holds, handovers, waits, longest, cpu] = numbers[..] else { return Err(said.into()) };
        crowd.holds += holds;
        crowd.handovers += handovers;
        waited += waits;
        crowd.max_wait = crowd.max_wait.max(longest);
        crowd.cpu_seconds += cpu;
    }
    crowd.commands = counter.map_or(Ok(0.0), Counter::end)?;
    crowd.mean_wait = waited / crowd.holds.max(1.0);
    Ok(crowd)
}

/// A process of ours that says a line, is told a line, and says another. Ended on drop.
pub(crate) struct Member {
    child: Child,
    says: BufReader<ChildStdout>,
    hears: Option<ChildStdin>,
}

impl Member {
    /// Starts this program with these words and waits until it is ready.
    pub(crate) fn start(words: &[&str]) -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let says = BufReader::new(child.stdout.take().ok_or("the child has an output")?);
        let hears = child.stdin.take();
        let mut member = Self { child, says, hears };
        let said = member.hear()?;
        if said == "ready" { Ok(member) } else { Err(format!("{words:?}: {said}").into()) }
    }

    pub(crate) fn tell(&mut self, line: &str) -> Result<(), Failure> {
        let hears = self.hears.as_mut().ok_or("the child has an input")?;
        Ok(writeln!(hears, "{line}")?)
    }

    pub(crate) fn hear(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        self.says.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The other side of a [`Member`]: says that it is ready and waits for the word.
pub(crate) fn ready() -> Result<Duration, Failure> {
    println!("ready");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(Duration::from_millis(line.trim().parse()?))
}

/// The process of a crowd: `crowd POLICY URL TASKS KEY`.
pub(crate) fn child(words: &[String]) -> Result<(), Failure> {
    let [policy, url, tasks, key] = words else { return Err("crowd POLICY URL TASKS KEY".into()) };
    let target = Target::of(url);
    let tasks = tasks.parse()?;
    with_policy(policy, Members { target, tasks, key: key.clone() }).ok_or("no such policy")?
}

struct Members {
    target: Target,
    tasks: usize,
    key: String,
}

/// What the tasks of one process have seen.
#[derive(Debug, Default)]
struct Seen {
    holds: u64,
    handovers: u64,
    holder: Option<usize>,
    waited: Duration,
    longest: Duration,
}

impl WithPolicy for Members {
    type Out = Result<(), Failure>;

    fn with<P: Policy>(self) -> Self::Out {
        Flavour::CurrentThread.runtime()?.block_on(async {
            let policy = P::connect(&self.target).await?;
            // The first use opens what is opened late.
            let own = format!("{}:{}", self.key, std::process::id());
            policy.release(policy.acquire(&own).await).await;
            let time = ready()?;
            let (begun, cpu) = (Instant::now(), crate::connection::cpu_seconds());
            let seen = Arc::new(Mutex::new(Seen::default()));
            let since = Arc::new(Mutex::new(vec![begun; self.tasks]));
            for task in 0..self.tasks {
                let (policy, key) = (policy.clone(), self.key.clone());
                let (seen, since) = (Arc::clone(&seen), Arc::clone(&since));
                tokio::spawn(async move {
                    loop {
                        let asked = Instant::now();
                        lock(&since)[task] = asked;
                        let held = policy.acquire(&key).await;
                        lock(&seen).note(task, asked.elapsed());
                        policy.release(held).await;
                    }
                });
            }
            tokio::time::sleep(time).await;
            let cpu = crate::connection::cpu_seconds() - cpu;
            let Seen { holds, handovers, waited, longest, .. } = *lock(&seen);
            let waiting = lock(&since).iter().map(Instant::elapsed).max().unwrap_or_default();
            let (waited, longest) = (waited.as_secs_f64(), longest.max(waiting).as_secs_f64());
            println!("{holds} {handovers} {waited} {longest} {cpu}");
            std::io::stdout().flush()?;
            // Whoever still waits or holds ends with the process.
            std::process::exit(0);
        })
    }
}

impl Seen {
    fn note(&mut self, task: usize, waited: Duration) {
        self.holds += 1;
        self.handovers += u64::from(self.holder.replace(task) != Some(task));
        self.waited += waited;
        self.longest = self.longest.max(waited);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
