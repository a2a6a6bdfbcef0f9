//! Who reads the reply? Three ways to share one connection, measured beside the library and a blocking socket.
//!
//! | shape | who writes | who reads |
//! |---|---|---|
//! | driver | a caller who finds nothing on its way, else the driver | one task |
//! | leader | the same, but the leader in place of the driver | one of the callers that wait, for all of them; alone, for itself |
//! | split | a task | another task |
//!
//! They encode, queue, write, read, decode and wake, with our codec and with slots like ours, and do nothing else: no time-outs, no
//! reconnecting, no cancellation, so what they cost is the least that a shape can cost. The library is the driver's shape with all
//! of that.
//!
//! ```text
//! cargo bench -p tenure-exact --bench architectures             # instructions and system calls of a pair, and its p50 over a blocking socket
//! cargo bench -p tenure-exact --bench architectures -- counts   # the first two only
//! ```
//!
//! Instructions are those of the whole process under callgrind, against a server that does no work; system calls are counted by
//! perf, where that is allowed. Times are measured against a private Valkey 9.1, or the server that `REDIS_URL` names, in
//! alternating blocks, and only ratios are printed.
#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

#[path = "../../sink/process.rs"]
mod process;
mod prototypes;
#[path = "../../../tests/it/real.rs"]
mod real;
#[path = "../../sink/mod.rs"]
mod sink;

use process::Sink;
use prototypes::{Driver, Leader, Shape, Split};
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};
use tenure::Client;
use tenure::client::SetOptions;
use tokio::runtime::{Builder, Runtime};

type Failure = Box<dyn std::error::Error>;

const SHAPES: [&str; 4] = ["driver", "leader", "split", "tenure"];
const RUNTIMES: [&str; 2] = ["one-thread", "two-workers"];
/// Tasks, and two numbers of pairs of each.
const LOADS: [(u32, u32, u32); 2] = [(1, 200, 1_200), (512, 4, 12)];
const BLOCKS: usize = 200;
const PAIRS_PER_BLOCK: usize = 100;

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["sink"] => Ok(process::listen()?),
        ["work", shape, runtime, tasks, pairs, address] => {
            work(shape, runtime, tasks.parse()?, pairs.parse()?, address)
        }
        ["counts"] => counts(),
        _ => {
            counts()?;
            times()
        }
    }
}

/// The library, as a shape.
#[derive(Clone)]
struct Tenure {
    client: Client,
    options: SetOptions,
}

impl Shape for Tenure {
    async fn connect(address: &str) -> io::Result<Self> {
        let client = Client::connect(&format!("redis://{address}")).await;
        let options = SetOptions::new().if_absent().expire(Duration::from_secs(10));
        client.map(|client| Self { client, options }).map_err(io::Error::other)
    }

    async fn pair(&self, key: &str, token: &str) {
        assert!(self.client.set_with(key, token, &self.options).await.expect("an answer"));
        assert!(self.client.del_if_equal(key, token).await.expect("an answer"));
    }
}

fn runtime(name: &str) -> io::Result<Runtime> {
    let mut builder = match name {
        "one-thread" => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.worker_threads(2).enable_all().build()
}

/// The process that is counted.
fn work(
    shape: &str,
    runtime_name: &str,
    tasks: u32,
    pairs: u32,
    address: &str,
) -> Result<(), Failure> {
    let runtime = runtime(runtime_name)?;
    match shape {
        "driver" => runtime.block_on(crowd::<Driver>(tasks, pairs, address)),
        "leader" => runtime.block_on(crowd::<Leader>(tasks, pairs, address)),
        "split" => runtime.block_on(crowd::<Split>(tasks, pairs, address)),
        _ => runtime.block_on(crowd::<Tenure>(tasks, pairs, address)),
    }?;
    Ok(())
}

async fn crowd<S: Shape>(tasks: u32, pairs: u32, address: &str) -> io::Result<()> {
    let shape = S::connect(address).await?;
    let running: Vec<_> = (0..tasks)
        .map(|task| {
            let shape = shape.clone();
            tokio::spawn(async move {
                let (key, token) = (format!("lk:job:{task}"), format!("{task:032x}"));
                for _ in 0..pairs {
                    shape.pair(&key, &token).await;
                }
            })
        })
        .collect();
    for task in running {
        task.await?;
    }
    Ok(())
}

fn counts() -> Result<(), Failure> {
    let sink = Sink::start()?;
    println!("| shape | runtime | tasks | instructions of a pair | system calls of a pair |");
    println!("|---|---|--:|--:|--:|");
    for runtime in RUNTIMES {
        for (tasks, few, many) in LOADS {
            for shape in SHAPES {
                let child = |pairs: u32| {
                    let mut child = Command::new(std::env::current_exe()?);
                    let (tasks, pairs) = (tasks.to_string(), pairs.to_string());
                    child.args(["work", shape, runtime, &tasks, &pairs, &sink.address]);
                    Ok::<_, io::Error>(child)
                };
                let (fewer, more) = (child(few)?, child(many)?);
                let per_pair = |count: &dyn Fn(&Command) -> Result<f64, Failure>| {
                    let counted = count(&more).and_then(|more| Ok(more - count(&fewer)?));
                    counted.map(|counted| counted / f64::from(tasks * (many - few)))
                };
                let instructions = per_pair(&instructions)?;
                let syscalls = per_pair(&syscalls);
                let syscalls = syscalls.map_or_else(|_| "?".to_owned(), |n| format!("{n:.2}"));
                println!("| {shape} | {runtime} | {tasks} | {instructions:.0} | {syscalls} |");
            }
        }
    }
    Ok(())
}

fn instructions(command: &Command) -> Result<f64, Failure> {
    let said = under("valgrind", &["--tool=callgrind", "--callgrind-out-file=/dev/null"], command)?;
    let counted = said.lines().find_map(|line| line.split("Collected : ").nth(1));
    Ok(counted.ok_or_else(|| said.clone())?.trim().parse()?)
}

fn syscalls(command: &Command) -> Result<f64, Failure> {
    let said = under("perf", &["stat", "-x", ";", "-e", "raw_syscalls:sys_enter"], command)?;
    let counted = said.lines().find(|line| line.contains("raw_syscalls:sys_enter"));
    let counted = counted.and_then(|line| line.split(';').next());
    Ok(counted.ok_or_else(|| said.clone())?.parse()?)
}

/// What a tool says about a command on its standard error.
fn under(tool: &str, arguments: &[&str], command: &Command) -> Result<String, Failure> {
    let out = Command::new(tool)
        .args(arguments)
        .arg(command.get_program())
        .args(command.get_args())
        .output()?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    if out.status.success() { Ok(said) } else { Err(said.into()) }
}

fn times() -> Result<(), Failure> {
    let server = match std::env::var("REDIS_URL") {
        Ok(_) => None,
        Err(_) => Some(real::RealServer::start(real::Kind::Valkey9_1, real::Options::default())),
    };
    let url = match &server {
        Some(server) => server.url(),
        None => std::env::var("REDIS_URL")?,
    };
    let address = url.trim_start_matches("redis://");
    println!("\n| shape | runtime | p50 of a pair over a blocking socket, 95 % interval |");
    println!("|---|---|--:|");
    for name in RUNTIMES {
        let runtime = runtime(name)?;
        beside::<Driver>("driver", name, &runtime, address)?;
        beside::<Leader>("leader", name, &runtime, address)?;
        beside::<Split>("split", name, &runtime, address)?;
        beside::<Tenure>("tenure", name, &runtime, address)?;
    }
    Ok(())
}

/// One task and a blocking socket, in turns.
fn beside<S: Shape>(
    shape_name: &str,
    runtime_name: &str,
    runtime: &Runtime,
    address: &str,
) -> Result<(), Failure> {
    let shape = runtime.block_on(S::connect(address))?;
    let mut raw = TcpStream::connect(address)?;
    raw.set_nodelay(true)?;
    let mut ratios = Vec::new();
    for block in 0..=BLOCKS {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..PAIRS_PER_BLOCK {
            let begun = Instant::now();
            raw_pair(&mut raw)?;
            theirs.push(begun.elapsed());
        }
        let shape = shape.clone();
        let timed = async move {
            for _ in 0..PAIRS_PER_BLOCK {
                let begun = Instant::now();
                shape.pair("lk:ours", "0123456789abcdef0123456789abcdef").await;
                ours.push(begun.elapsed());
            }
            ours
        };
        let ours = runtime.block_on(async { tokio::spawn(timed).await })?;
        // The first block only warms up.
        if block > 0 {
            ratios.push(p50(ours).as_secs_f64() / p50(theirs).as_secs_f64());
        }
    }
    ratios.sort_by(f64::total_cmp);
    let (middle, reach) = (ratios.len() / 2, (0.98 * (ratios.len() as f64).sqrt()) as usize);
    let (low, high) = (ratios[middle - reach], ratios[middle + reach]);
    println!("| {shape_name} | {runtime_name} | {:.2} ({low:.2} to {high:.2}) |", ratios[middle]);
    Ok(())
}

fn p50(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn raw_pair(stream: &mut TcpStream) -> io::Result<()> {
    const SET: &[u8] =
        b"*6\r\n$3\r\nSET\r\n$6\r\nlk:raw\r\n$32\r\n0123456789abcdef0123456789abcdef\r\n\
                         $2\r\nNX\r\n$2\r\nPX\r\n$5\r\n10000\r\n";
    const DEL: &[u8] =
        b"*3\r\n$7\r\nDELIFEQ\r\n$6\r\nlk:raw\r\n$32\r\n0123456789abcdef0123456789abcdef\r\n";
    let mut reply = [0; 5];
    stream.write_all(SET)?;
    stream.read_exact(&mut reply)?;
    stream.write_all(DEL)?;
    stream.read_exact(&mut reply[..4])
}
