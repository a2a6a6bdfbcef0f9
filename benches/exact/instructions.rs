//! How many user-space instructions does a call cost, with everything that runs in this process for it?
//!
//! ```text
//! cargo bench -p tenure-exact --bench instructions               prints them
//! cargo bench -p tenure-exact --bench instructions -- --check    and fails where one is 5 % above the committed figure
//! cargo bench -p tenure-exact --bench instructions -- --save     and commits them to the file for this compiler
//! ```
//!
//! A package of its own, because the tests of the library have tokio's feature `test-util`, with which every look at the clock
//! asks first whether time is paused: 3 to 6 % of a call that no user pays.
//!
//! A *pair* is one lock cycle as plain commands: `SET key token NX PX 10000` and `DELIFEQ key token`, as `set_with` and `del_if_equal`; a *lock* is
//! `acquire` and `release`, which does the same and more; an *attempt* has `try_acquire` in its place, and *fenced* is a lock whose
//! guard has a fencing token. The client runs under valgrind's callgrind, twice with different
//! numbers of rounds; the difference is per round. The server is a sink in a process of its own, which knows the answers
//! without doing the work.
//!
//! With the *server in memory* it is this process's own, on the same thread: no kernel and no other process has a say, so
//! those figures are the same in every run, but they hold the server's work as well.
//!
//! What one round takes is exact, and the least of several counts is taken, as nothing makes a round cheaper than it is. With
//! many tasks, how many replies come in one read is the sink's, the kernel's and the machine's doing, and two workers also steal
//! tasks from each other: those figures are printed, and not committed.
#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

#[path = "../baselines/mod.rs"]
mod baselines;
#[path = "../sink/process.rs"]
mod process;
#[path = "../sink/mod.rs"]
mod sink;

use baselines::{Failure, Figures};
use process::Sink;
use std::time::Duration;
use tenure::client::SetOptions;
use tenure::{Client, Config};
use tenure_server::{Profile, Server};

/// One thing that is measured.
struct Case {
    runtime: &'static str,
    workload: &'static str,
    tasks: u32,
    /// Two numbers of rounds.
    rounds: [u32; 2],
}

const fn case(runtime: &'static str, workload: &'static str, tasks: u32) -> Case {
    let rounds = match tasks {
        1 => [200, 1200],
        64 => [10, 60],
        _ => [4, 12],
    };
    Case { runtime, workload, tasks, rounds }
}

const COMMITTED: [Case; 6] = [
    case("one thread", "pair", 1),
    case("one thread", "lock", 1),
    case(IN_MEMORY, "pair", 1),
    case(IN_MEMORY, "pair", 64),
    case(IN_MEMORY, "lock", 1),
    case(IN_MEMORY, "lock", 64),
];
const PRINTED: [Case; 11] = [
    case("one thread", "pair", 64),
    case("one thread", "pair", 512),
    case("one thread", "get", 512),
    case("one thread", "lock", 64),
    case("one thread", "lock", 512),
    case("one thread", "attempt", 512),
    case("one thread", "fenced", 512),
    case("two workers", "pair", 1),
    case("two workers", "pair", 512),
    case("two workers", "lock", 1),
    case("two workers", "lock", 512),
];
/// The least of so many counts is what a round takes.
const COUNTS: usize = 3;
const IN_MEMORY: &str = "server in memory";

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["sink"] => Ok(process::listen()?),
        ["client", runtime, workload, tasks, rounds, url] => {
            client(runtime, workload, tasks.parse()?, rounds.parse()?, url)
        }
        [] => {
            baselines::print(&measure(COMMITTED.iter().chain(&PRINTED))?, &Figures::new());
            Ok(())
        }
        ["--check"] => baselines::check("connection", &measure(&COMMITTED)?),
        ["--save"] => baselines::save("connection", &measure(&COMMITTED)?),
        _ => Err("expected nothing, --check or --save".into()),
    }
}

fn measure<'a>(cases: impl IntoIterator<Item = &'a Case>) -> Result<Figures, Failure> {
    let sink = Sink::start()?;
    let url = format!("redis://{}", sink.address);
    let mut found = Figures::new();
    for case in cases {
        let Case { runtime, workload, tasks, .. } = case;
        let mut least = f64::INFINITY;
        let counts = if *runtime == IN_MEMORY { 1 } else { COUNTS };
        for _ in 0..counts {
            least = least.min(per_round(case, &url)?);
        }
        found.insert(format!("{runtime}: {workload}, {tasks} tasks"), least);
    }
    Ok(found)
}

/// What one round of one task takes.
fn per_round(case: &Case, url: &str) -> Result<f64, Failure> {
    let Case { runtime, workload, tasks, rounds: [few, many] } = case;
    let [less, more] = [few, many].map(|rounds| {
        let [tasks, rounds] = [tasks, rounds].map(u32::to_string);
        baselines::count(&["client", runtime, workload, &tasks, &rounds, url])
    });
    Ok((more? - less?) / f64::from(tasks * (many - few)))
}

fn client(
    runtime: &str,
    workload: &str,
    tasks: u32,
    rounds: u32,
    url: &str,
) -> Result<(), Failure> {
    let mut builder = match runtime {
        "one thread" | IN_MEMORY => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let in_memory = runtime == IN_MEMORY;
    let runtime = builder.worker_threads(2).enable_all().build()?;
    let run = match workload {
        "pair" => |client, task, rounds| Box::pin(pairs(client, task, rounds)) as Run,
        "lock" => |client, task, rounds| Box::pin(locks(client, task, rounds)) as Run,
        "attempt" => |client, task, rounds| Box::pin(attempts(client, task, rounds)) as Run,
        "fenced" => |client, task, rounds| Box::pin(fenced(client, task, rounds)) as Run,
        _ => |client, task, rounds| Box::pin(gets(client, task, rounds)) as Run,
    };
    runtime.block_on(async {
        let config = match in_memory {
            true => Config::dialer(Server::new(Profile::Valkey9).dialer()),
            false => Config::from_url(url)?,
        };
        let client = Client::with_config(config).await?;
        let running: Vec<_> =
            (0..tasks).map(|task| tokio::spawn(run(client.clone(), task, rounds))).collect();
        for task in running {
            task.await?.map_err(|error| -> Failure { error })?;
        }
        Ok(())
    })
}

type Run = std::pin::Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;
type Error = Box<dyn std::error::Error + Send + Sync>;

async fn locks(client: Client, task: u32, rounds: u32) -> Result<(), Error> {
    let lock = client.lock(format!("job:{task}"));
    for _ in 0..rounds {
        lock.acquire().await?.release().await?;
    }
    Ok(())
}

async fn attempts(client: Client, task: u32, rounds: u32) -> Result<(), Error> {
    let lock = client.lock(format!("job:{task}"));
    for _ in 0..rounds {
        lock.try_acquire().await?.ok_or("somebody has it")?.release().await?;
    }
    Ok(())
}

async fn fenced(client: Client, task: u32, rounds: u32) -> Result<(), Error> {
    let lock = client.lock(format!("job:{task}")).fenced();
    for _ in 0..rounds {
        let guard = lock.acquire().await?;
        std::hint::black_box(guard.token());
        guard.release().await?;
    }
    Ok(())
}

async fn pairs(client: Client, task: u32, rounds: u32) -> Result<(), Error> {
    let key = format!("lk:job:{task}");
    let token = format!("{task:032x}");
    let options = SetOptions::new().if_absent().expire(Duration::from_secs(10));
    for _ in 0..rounds {
        assert!(client.set_with(&key, &token, &options).await?);
        assert!(client.del_if_equal(&key, &token).await?);
    }
    Ok(())
}

async fn gets(client: Client, task: u32, rounds: u32) -> Result<(), Error> {
    let key = format!("key:{task}");
    for _ in 0..rounds {
        assert!(client.get(&key).await?.is_some());
    }
    Ok(())
}
