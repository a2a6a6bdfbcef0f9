//! How long does acquire + release take beside a raw socket that sends the same bytes?
//!
//! One task, one server, both in one process in alternating blocks; what counts is the ratio. The server is the one that
//! `REDIS_URL` names (TCP), or one inside this process, on a thread of its own.
//!
//! ```text
//! REDIS_URL=redis://127.0.0.1:6379 cargo bench --bench uncontended
//! ```
#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use hdrhistogram::Histogram;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use tenure::{Client, Lock};
use tenure_server::{Profile, Server};

const BLOCKS: usize = 200;
const PAIRS_PER_BLOCK: usize = 100;
const VALUE_LEN: usize = 72;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = match std::env::var("REDIS_URL") {
        Ok(url) => url,
        Err(_) => serve(),
    };
    let runtimes = [
        ("current-thread", tokio::runtime::Builder::new_current_thread().enable_all().build()?),
        (
            "two workers",
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?,
        ),
    ];
    println!("{BLOCKS} blocks of {PAIRS_PER_BLOCK} pairs each, alternating, {url}");
    println!("| runtime | raw p50 | tenure p50 | tenure p99 | ratio of p50, 95 % interval |");
    println!("|---|--:|--:|--:|--:|");
    for (name, runtime) in runtimes {
        let client = runtime.block_on(Client::connect(&url))?;
        let native =
            runtime.block_on(client.command("DELIFEQ").arg(("k", "v")).send::<i64>()).is_ok();
        let lock = client.lock("bench");
        let mut raw = Raw::connect(&url, native)?;
        let (mut raw_all, mut our_all) = (histogram()?, histogram()?);
        let mut ratios = Vec::new();
        for block in 0..=BLOCKS {
            let (mut raw_block, mut our_block) = (histogram()?, histogram()?);
            for _ in 0..PAIRS_PER_BLOCK {
                raw_block.record(nanos(raw.pair()?))?;
            }
            runtime.block_on(ours(&lock, &mut our_block))?;
            if block > 0 {
                // The first block only warms up.
                ratios.push(p50(&our_block) / p50(&raw_block));
                raw_all.add(&raw_block)?;
                our_all.add(&our_block)?;
            }
        }
        let (low, middle, high) = interval(ratios);
        println!(
            "| {name} | {:.1} µs | {:.1} µs | {:.1} µs | {middle:.2} ({low:.2} to {high:.2}) |",
            p50(&raw_all) / 1e3,
            p50(&our_all) / 1e3,
            our_all.value_at_quantile(0.99) as f64 / 1e3,
        );
    }
    Ok(())
}

/// A server on a thread of its own, for the life of the process.
fn serve() -> String {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let server = Server::new(Profile::Valkey9);
            let address = server.listen_tcp().await.expect("a free port");
            tell.send(format!("redis://{address}")).expect("main is waiting");
            std::future::pending::<()>().await;
        });
    });
    told.recv().expect("the server says where it listens")
}

async fn ours(lock: &Lock, times: &mut Histogram<u64>) -> Result<(), Box<dyn std::error::Error>> {
    for _ in 0..PAIRS_PER_BLOCK {
        let begun = Instant::now();
        lock.acquire().await?.release().await?;
        times.record(nanos(begun.elapsed()))?;
    }
    Ok(())
}

/// The same bytes, over a socket that blocks.
struct Raw {
    stream: TcpStream,
    acquire: Vec<u8>,
    release: Vec<u8>,
}

impl Raw {
    fn connect(url: &str, native: bool) -> std::io::Result<Self> {
        let stream = TcpStream::connect(url.trim_start_matches("redis://"))?;
        stream.set_nodelay(true)?;
        let value = "v".repeat(VALUE_LEN);
        let acquire = command(&["SET", "lk:raw", &value, "NX", "PX", "10000", "GET"]);
        let mut raw = Self { stream, acquire, release: Vec::new() };
        raw.release = if native {
            command(&["DELIFEQ", "lk:raw", &value])
        } else {
            let script = include_str!("../src/lock/scripts/release.lua");
            let reply = raw.ask(&command(&["SCRIPT", "LOAD", script]))?;
            let digest = reply.lines().nth(1).unwrap_or_default().to_owned();
            command(&["EVALSHA", &digest, "1", "lk:raw", &value])
        };
        Ok(raw)
    }

    fn pair(&mut self) -> std::io::Result<Duration> {
        let begun = Instant::now();
        for bytes in [self.acquire.clone(), self.release.clone()] {
            let reply = self.ask(&bytes)?;
            assert!(reply == "$-1\r\n" || reply == ":1\r\n", "{reply}");
        }
        Ok(begun.elapsed())
    }

    fn ask(&mut self, bytes: &[u8]) -> std::io::Result<String> {
        let mut reply = [0; 256];
        self.stream.write_all(bytes)?;
        let len = self.stream.read(&mut reply)?;
        Ok(String::from_utf8_lossy(&reply[..len]).into_owned())
    }
}

fn command(args: &[&str]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", args.len());
    for arg in args {
        out.push_str(&format!("${}\r\n{arg}\r\n", arg.len()));
    }
    out.into_bytes()
}

fn histogram() -> Result<Histogram<u64>, hdrhistogram::CreationError> {
    Histogram::new(3)
}

fn nanos(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}

fn p50(histogram: &Histogram<u64>) -> f64 {
    histogram.value_at_quantile(0.5) as f64
}

/// The median with its 95 % interval, by order statistics.
fn interval(mut ratios: Vec<f64>) -> (f64, f64, f64) {
    ratios.sort_by(f64::total_cmp);
    let (middle, reach) = (ratios.len() / 2, (0.98 * (ratios.len() as f64).sqrt()) as usize);
    (ratios[middle - reach], ratios[middle], ratios[middle + reach])
}
