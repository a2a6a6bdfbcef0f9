//! How many user-space instructions does a call cost, with everything that runs in this process for it?
//!
//! A *pair* is one lock cycle as plain commands: `SET key token NX PX 10000` and `DELIFEQ key token`. The client runs under
//! valgrind's callgrind, twice with different numbers of rounds; the difference is exact and does not drift with the
//! machine. The server is a sink in a process of its own, which knows the answers without doing the work.
//!
//! ```text
//! cargo bench --bench instructions
//! ```
#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

mod sink;

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tenure::Client;
use tenure::client::SetOptions;

type Failure = Box<dyn std::error::Error>;

/// What is measured: runtime, workload, tasks, and two numbers of rounds.
const CASES: [(&str, &str, u32, u32, u32); 10] = [
    ("one-thread", "pair", 1, 200, 1200),
    ("one-thread", "pair", 64, 10, 60),
    ("one-thread", "pair", 512, 4, 12),
    ("one-thread", "get", 512, 4, 12),
    ("two-workers", "pair", 1, 200, 1200),
    ("two-workers", "pair", 512, 4, 12),
    ("one-thread", "lock", 1, 200, 1200),
    ("one-thread", "lock", 512, 4, 12),
    ("two-workers", "lock", 1, 200, 1200),
    ("two-workers", "lock", 512, 4, 12),
];

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["sink"] => serve(),
        ["client", runtime, workload, tasks, rounds, url] => {
            client(runtime, workload, tasks.parse()?, rounds.parse()?, url)
        }
        _ => table(),
    }
}

fn table() -> Result<(), Failure> {
    let (mut sink, url) = start_sink()?;
    println!("| runtime | workload | tasks | instructions per round |");
    println!("|---|---|--:|--:|");
    for (runtime, workload, tasks, few, many) in CASES {
        let [less, more] = [few, many].map(|rounds| count(runtime, workload, tasks, rounds, &url));
        let per_round = (more? - less?) / f64::from(tasks * (many - few));
        println!("| {runtime} | {workload} | {tasks} | {per_round:.0} |");
    }
    sink.kill()?;
    sink.wait()?;
    Ok(())
}

/// All instructions of one client, from its first to its last.
fn count(
    runtime: &str,
    workload: &str,
    tasks: u32,
    rounds: u32,
    url: &str,
) -> Result<f64, Failure> {
    let out = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["client", runtime, workload, &tasks.to_string(), &rounds.to_string(), url])
        .output()?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    let counted = said.lines().find_map(|line| line.split("Collected : ").nth(1));
    match counted {
        Some(count) if out.status.success() => Ok(count.trim().parse()?),
        _ => Err(said.into()),
    }
}

fn start_sink() -> Result<(Child, String), Failure> {
    let mut child =
        Command::new(std::env::current_exe()?).arg("sink").stdout(Stdio::piped()).spawn()?;
    let mut address = String::new();
    let stdout = child.stdout.take().ok_or("the child has an output")?;
    BufReader::new(stdout).read_line(&mut address)?;
    Ok((child, format!("redis://{}", address.trim())))
}

/// The server, until it is killed.
fn serve() -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    for stream in listener.incoming() {
        let stream = stream?;
        std::thread::spawn(move || sink::serve(stream));
    }
    Ok(())
}

fn client(
    runtime: &str,
    workload: &str,
    tasks: u32,
    rounds: u32,
    url: &str,
) -> Result<(), Failure> {
    let mut builder = match runtime {
        "one-thread" => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder.worker_threads(2).enable_all().build()?;
    let run = match workload {
        "pair" => |client, task, rounds| Box::pin(pairs(client, task, rounds)) as Run,
        "lock" => |client, task, rounds| Box::pin(locks(client, task, rounds)) as Run,
        _ => |client, task, rounds| Box::pin(gets(client, task, rounds)) as Run,
    };
    runtime.block_on(async {
        let client = Client::connect(url).await?;
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

async fn pairs(client: Client, task: u32, rounds: u32) -> Result<(), Error> {
    let key = format!("lk:job:{task}");
    let token = format!("{task:032x}");
    let options = SetOptions::new().if_absent().expire(Duration::from_secs(10));
    for _ in 0..rounds {
        assert!(client.set_with(&key, &token, &options).await?);
        assert!(client.command("DELIFEQ").arg((&key, &token)).send::<bool>().await?);
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
