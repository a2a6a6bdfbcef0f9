//! What does waiting cost, and how fast does a lock change hands?
//!
//! Two measures, each for every way of waking waiters, on the server that `REDIS_URL` names:
//!
//! * *holds*: many tasks, in one process and in several, take turns on one key without doing anything: holds per second,
//!   server commands per hold, and how long the unluckiest waited. The server counts what a script calls, too: a fair hold takes three
//!   commands of a client, which call twelve;
//! * *hand-off*: one waits while another holds, each on a thread of its own: from the call that releases until the next
//!   holder runs, beside a bare round trip.
//!
//! ```text
//! REDIS_URL=redis://127.0.0.1:6379 cargo bench --bench contended
//! REDIS_URL=redis://127.0.0.1:6379 cargo bench --bench contended -- hand-off fair
//! ```
#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use hdrhistogram::Histogram;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tenure::{Client, Lock, Options, Wakeup};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How waiters learn of a release, in one line of all processes or not.
const WAKEUPS: [(&str, Wakeup); 5] = [
    ("auto", Wakeup::Auto),
    ("track", Wakeup::Track),
    ("announce", Wakeup::Announce),
    ("poll", Wakeup::Poll),
    (FAIR, Wakeup::Auto),
];
const FAIR: &str = "fair";
const MEASURES: [&str; 2] = ["holds", "hand-off"];
const LONG: Duration = Duration::from_secs(2);
const TASKS: usize = 50;
const HANDOFFS: usize = 2_000;

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let [role, wakeup, url] = &args[..] {
        if role == "worker" {
            return worker(wakeup, url);
        }
    }
    let url = std::env::var("REDIS_URL").map_err(|_| "REDIS_URL names the server to measure on")?;
    let mut raw = Raw::connect(&url)?;
    // Measures and ways that are named; or all.
    let wants = |name: &str, all: &[&str]| {
        let named = args.iter().any(|arg| all.contains(&arg.as_str()));
        !named || args.iter().any(|arg| arg == name)
    };
    let names = WAKEUPS.map(|(name, _)| name);
    let known = |arg: &&String| !MEASURES.contains(&arg.as_str()) && !names.contains(&arg.as_str());
    if let Some(unknown) = args.iter().find(known) {
        return Err(format!("{unknown} is none of {MEASURES:?} and {names:?}").into());
    }
    let chosen = || names.into_iter().filter(|name| wants(name, &names));
    if wants("holds", &MEASURES) {
        turns(&mut raw, chosen(), &url)?;
    }
    if wants("hand-off", &MEASURES) {
        passes(&mut raw, chosen(), &url)?;
    }
    Ok(())
}

/// How many turns a crowd takes, and what they cost.
fn turns(
    raw: &mut Raw,
    names: impl Iterator<Item = &'static str>,
    url: &str,
) -> Result<(), Failure> {
    println!(
        "| wake-up | processes × tasks | holds/s | commands per hold | mean wait | longest wait |"
    );
    println!("|---|--:|--:|--:|--:|--:|");
    for name in names {
        for processes in [1, 8] {
            holds(raw, name, processes, url)?;
        }
    }
    let pairs = sequential(url)?;
    println!("\none task alone: {pairs:.0} pairs/s");
    Ok(())
}

/// How long a lock is on its way from one holder to the next.
fn passes(
    raw: &mut Raw,
    names: impl Iterator<Item = &'static str>,
    url: &str,
) -> Result<(), Failure> {
    let trip = raw.round_trips()?;
    println!(
        "\n| wake-up | hand-off p50 | p99 | over a bare round trip of {:.1} µs |",
        us(&trip, 0.5)
    );
    println!("|---|--:|--:|--:|");
    for name in names {
        let took = handoffs(name, url)?;
        let (p50, p99) = (us(&took, 0.5), us(&took, 0.99));
        println!("| {name} | {p50:.1} µs | {p99:.1} µs | {:.2} |", p50 / us(&trip, 0.5));
    }
    Ok(())
}

fn lock(client: &Client, key: &str, wakeup: &str) -> Lock {
    let found = WAKEUPS.iter().find(|(name, _)| *name == wakeup);
    let options = Options::new().wakeup(found.map_or_else(Wakeup::default, |(_, wakeup)| *wakeup));
    let lock = client.lock(format!("{key}:{wakeup}")).options(options);
    if wakeup == FAIR { lock.fair() } else { lock }
}

fn us(times: &Histogram<u64>, quantile: f64) -> f64 {
    times.value_at_quantile(quantile) as f64 / 1e3
}

/// Many tasks in several processes take turns.
fn holds(raw: &mut Raw, wakeup: &str, processes: usize, url: &str) -> Result<(), Failure> {
    let before = raw.commands()?;
    let mut workers = Vec::new();
    for _ in 0..processes {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["worker", wakeup, url]).stdout(Stdio::piped());
        workers.push(command.spawn()?);
    }
    let (mut holds, mut waited, mut longest) = (0, 0, 0);
    for worker in workers {
        let said = String::from_utf8(worker.wait_with_output()?.stdout)?;
        let mut numbers = said.split_whitespace().map(str::parse::<u64>);
        let mut next = || numbers.next().unwrap_or(Ok(0));
        holds += next()?;
        waited += next()?;
        longest = longest.max(next()?);
    }
    let commands = (raw.commands()? - before) as f64 / holds as f64;
    let rate = holds as f64 / LONG.as_secs_f64();
    let mean = waited as f64 / holds as f64;
    println!(
        "| {wakeup} | {processes} × {TASKS} | {rate:.0} | {commands:.2} | {:.2} ms | {:.2} ms |",
        mean / 1e3,
        longest as f64 / 1e3,
    );
    Ok(())
}

/// One process: prints how many holds there were, and how long they were waited for in microseconds, in all and at most.
fn worker(wakeup: &str, url: &str) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = Client::connect(url).await?;
        let lock = lock(&client, "contended", wakeup);
        let end = Instant::now() + LONG;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..TASKS {
            tasks.spawn(take_turns(lock.clone(), end));
        }
        let (mut holds, mut waited, mut longest) = (0, 0, 0);
        while let Some(turns) = tasks.join_next().await {
            let turns = turns??;
            holds += turns.0;
            waited += turns.1;
            longest = longest.max(turns.2);
        }
        println!("{holds} {waited} {longest}");
        client.close(Duration::from_secs(1)).await;
        Ok(())
    })
}

async fn take_turns(lock: Lock, end: Instant) -> Result<(u64, u128, u128), Failure> {
    let (mut holds, mut waited, mut longest) = (0, 0, 0);
    loop {
        let begun = Instant::now();
        let Some(left) = end.checked_duration_since(begun) else {
            return Ok((holds, waited, longest));
        };
        match lock.acquire_for(left).await {
            Ok(guard) => drop(guard),
            Err(_) => return Ok((holds, waited, longest)),
        }
        let took = begun.elapsed().as_micros();
        holds += 1;
        waited += took;
        longest = longest.max(took);
        tokio::task::yield_now().await;
    }
}

/// Pairs per second of one task that is alone.
fn sequential(url: &str) -> Result<f64, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = Client::connect(url).await?;
        let lock = client.lock("alone");
        let (begun, mut pairs) = (Instant::now(), 0_u32);
        while begun.elapsed() < LONG {
            lock.acquire().await?.release().await?;
            pairs += 1;
        }
        Ok(f64::from(pairs) / begun.elapsed().as_secs_f64())
    })
}

/// From the call that releases until the next holder runs.
fn handoffs(wakeup: &'static str, url: &str) -> Result<Histogram<u64>, Failure> {
    let (to_waiter, turns) = mpsc::channel::<()>();
    let (to_holder, acquired) = mpsc::channel::<Instant>();
    let waiter_url = url.to_owned();
    let waiter = std::thread::spawn(move || -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let client = Client::connect(&waiter_url).await?;
            let lock = lock(&client, "handoff", wakeup);
            while turns.recv().is_ok() {
                let guard = lock.acquire().await?;
                let now = Instant::now();
                guard.release().await?;
                to_holder.send(now)?;
            }
            Ok(())
        })
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut took = Histogram::new(3)?;
    runtime.block_on(async {
        let client = Client::connect(url).await?;
        let lock = lock(&client, "handoff", wakeup);
        for _ in 0..HANDOFFS {
            let guard = lock.acquire().await?;
            to_waiter.send(())?;
            // Long enough for the other to have found the lock taken, and to be told when it is free.
            tokio::time::sleep(Duration::from_millis(3)).await;
            let released = Instant::now();
            drop(guard);
            let next = acquired.recv()?;
            took.record(u64::try_from((next - released).as_nanos())?)?;
        }
        Ok::<(), Failure>(())
    })?;
    drop(to_waiter);
    waiter.join().map_err(|_| "the waiter panicked")??;
    Ok(took)
}

/// A socket that blocks.
struct Raw {
    stream: TcpStream,
}

impl Raw {
    fn connect(url: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect(url.trim_start_matches("redis://"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream })
    }

    fn ask(&mut self, command: &str) -> Result<String, Failure> {
        let mut reply = vec![0; 64 << 10];
        self.stream.write_all(command.as_bytes())?;
        let len = self.stream.read(&mut reply)?;
        reply.truncate(len);
        Ok(String::from_utf8_lossy(&reply).into_owned())
    }

    /// How many commands the server has run, without those that open a connection.
    fn commands(&mut self) -> Result<u64, Failure> {
        let stats = self.ask("INFO stats\r\n")?;
        let line = stats.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
        Ok(line.ok_or("no count of commands")?.trim().parse()?)
    }

    fn round_trips(&mut self) -> Result<Histogram<u64>, Failure> {
        let mut took = Histogram::new(3)?;
        for _ in 0..HANDOFFS {
            // As cold as after a hold.
            std::thread::sleep(Duration::from_millis(2));
            let begun = Instant::now();
            self.ask("PING\r\n")?;
            took.record(u64::try_from(begun.elapsed().as_nanos())?)?;
        }
        Ok(took)
    }
}
