//! How many calls a second when many tasks ask at once, and how many commands leave in one write?
//!
//! A private Valkey 9.1 over TCP. Every task waits for each of its answers; what leaves together does so because they ask at
//! the same time. Beside it the same commands as pipelines of the caller's own. The mean of commands per write is printed
//! with each load.
//!
//! ```text
//! cargo bench --bench pipeline
//! ```
//!
//! As in `round_trip`, blocks do not alternate: ratios are for `benches/peers`.

#![allow(missing_docs, reason = "a macro of criterion makes a public function")]
#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

#[path = "../tests/it/real.rs"]
mod real;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use real::{Kind, Options, RealServer};
use std::time::{Duration, Instant};
use tenure::client::SetOptions;
use tenure::{Client, Error};
use tokio::runtime::Builder;
use tokio::task::JoinSet;

const TASKS: [u32; 4] = [8, 64, 512, 4_096];

fn pipelines(criterion: &mut Criterion) {
    let server = RealServer::start(Kind::Valkey9_1, Options::default());
    let one = Builder::new_current_thread().enable_all().build();
    let two = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    for (name, runtime) in [("current-thread", one), ("two workers", two)] {
        let runtime = runtime.expect("a runtime");
        let client = runtime.block_on(Client::connect(&server.url())).expect("it listens");
        runtime.block_on(client.set("key", "v".repeat(36))).expect("it answers");
        let mut group = criterion.benchmark_group(format!("pipeline, {name}"));
        group.sample_size(20).measurement_time(Duration::from_secs(3));
        for tasks in TASKS {
            group.throughput(Throughput::Elements(tasks.into()));
            for what in [What::Pair, What::Get] {
                let before = client.stats();
                group.bench_function(format!("{what:?}, {tasks} tasks"), |bencher| {
                    bencher
                        .iter_custom(|times| runtime.block_on(crowd(&client, what, tasks, times)));
                });
                let after = client.stats();
                let (commands, writes) =
                    (after.commands - before.commands, after.writes - before.writes);
                println!("{:.1} commands in a write", commands as f64 / writes.max(1) as f64);
            }
        }
        for length in [10, 100, 1_000] {
            group.throughput(Throughput::Elements(length));
            group.bench_function(format!("Get, a pipeline of {length}"), |bencher| {
                bencher.iter_custom(|times| {
                    runtime.block_on(async {
                        let begun = Instant::now();
                        for _ in 0..times {
                            let batch = client.pipeline();
                            let batch = (0..length).fold(batch, |batch, _| batch.get("key"));
                            batch.send::<()>().await.expect("the server answers");
                        }
                        begun.elapsed()
                    })
                });
            });
        }
        group.finish();
    }
}

/// What a task does in a loop.
#[derive(Debug, Clone, Copy)]
enum What {
    /// A lock's cycle, as plain commands.
    Pair,
    Get,
}

/// So many tasks, each so many times.
async fn crowd(client: &Client, what: What, tasks: u32, times: u64) -> Duration {
    let begun = Instant::now();
    let mut running = JoinSet::new();
    for task in 0..tasks {
        let client = client.clone();
        running.spawn(async move {
            for _ in 0..times {
                match what {
                    What::Pair => pair(&client, task).await,
                    What::Get => client.get("key").await.map(drop),
                }
                .expect("the server answers");
            }
        });
    }
    running.join_all().await;
    begun.elapsed()
}

async fn pair(client: &Client, task: u32) -> Result<(), Error> {
    let (key, token) = (format!("lk:{task}"), "0123456789abcdef0123456789abcdef");
    let options = SetOptions::new().if_absent().expire(Duration::from_secs(10));
    assert!(client.set_with(&key, token, &options).await?);
    assert!(client.command("DELIFEQ").arg((&key, token)).send::<bool>().await?);
    Ok(())
}

criterion_group!(benches, pipelines);
criterion_main!(benches);
