//! How do several clients take turns? Five of them increment one counter without losing an update; then one gives up on a
//! lock that is never released; then the same through the typed client.
//!
//! Runs on a server inside this process, or on the one that `REDIS_URL` names:
//!
//! ```text
//! cargo run --release --example simple_locks
//! REDIS_URL=redis://127.0.0.1:6379 cargo run --release --example simple_locks
//! ```
#![allow(clippy::print_stdout, reason = "an example prints what it does")]

mod support;

use std::error::Error;
use std::time::{Duration, Instant};
use support::Backend;
use tenure::Client;
use tokio::task::JoinSet;
use tokio::time::sleep;

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome {
    let backend = Backend::from_env();
    five_clients_one_counter(&backend).await?;
    lock_that_is_never_released(&backend).await?;
    typed_client(&backend).await
}

/// Five clients, each with its own connections, take turns on one lock.
async fn five_clients_one_counter(backend: &Backend) -> Outcome {
    let counter = backend.key("atomic-counter");
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for number in 1..=5 {
        let (client, counter, options) =
            (backend.connect().await?, counter.clone(), backend.options());
        clients.spawn(async move {
            let guard = client.lock("testlock").options(options).acquire().await?;
            println!("client {number} acquired lock");
            let count = read(&client, &counter).await?;
            sleep(Duration::from_millis(100)).await; // the work: without the lock, others would read the same count
            client.set(&counter, count + 1).await?;
            println!("client {number} released lock");
            guard.release().await?;
            Outcome::Ok(())
        });
    }
    while let Some(finished) = clients.join_next().await {
        finished??;
    }
    println!("all five done after {}", timestamp(begun.elapsed()));
    sleep(Duration::from_secs(1).saturating_sub(begun.elapsed())).await;
    let client = backend.connect().await?;
    println!("atomic-counter after 1sec: {}", read(&client, &counter).await?);
    client.del(&counter).await?;
    client.close(Duration::from_secs(1)).await;
    Ok(())
}

/// A client holds the lock for ever; another is willing to wait for two seconds.
async fn lock_that_is_never_released(backend: &Backend) -> Outcome {
    let counter = backend.key("atomic-counter");
    let (forgetful, patient) = (backend.connect().await?, backend.connect().await?);
    let lock = forgetful.lock("testlock").options(backend.options());
    forgetful.set(&counter, 1).await?;
    std::mem::forget(lock.acquire().await?);

    let begun = Instant::now();
    let waiting = patient.lock("testlock").options(backend.options());
    match waiting.acquire_for(Duration::from_secs(2)).await {
        Ok(_) => println!("acquired a lock that somebody holds"),
        Err(error) => {
            println!("After '{}', received timeout: '{error}'", timestamp(begun.elapsed()));
        }
    }
    println!("atomic-counter remains at '{}'", read(&patient, &counter).await?);

    // An operator's way out: end exactly the hold that was looked at.
    if let Some(forgotten) = waiting.inspect().await? {
        waiting.force_release(&forgotten).await?;
    }
    patient.del(&counter).await?;
    forgetful.close(Duration::from_secs(1)).await;
    patient.close(Duration::from_secs(1)).await;
    Ok(())
}

/// Values of one type under one name, with a lock of their own.
async fn typed_client(backend: &Backend) -> Outcome {
    let client = backend.connect().await?;
    let balances = client.typed::<i64>(backend.key("balance"));
    let guard = balances.lock().options(backend.options()).acquire().await?;
    balances.set("alice", &40).await?;
    let sum = balances.incr_by("alice", 2).await?;
    println!("typed client holds its lock: {}, counts {sum}", guard.is_held());
    guard.release().await?;
    balances.del("alice").await?;
    client.close(Duration::from_secs(1)).await;
    Ok(())
}

async fn read(client: &Client, counter: &str) -> Result<i64, tenure::Error> {
    client.command("GET").arg(counter).send::<Option<i64>>().await.map(Option::unwrap_or_default)
}

/// `00:00:02.0012345`
fn timestamp(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}.{:07}", elapsed.subsec_nanos() / 100)
}
