//! What if a holder is paused, loses its lock, and goes on as if nothing had happened? A value on the server that is written
//! with the fencing token refuses it.
//!
//! Runs on a server inside this process, or on the one that `REDIS_URL` names:
//!
//! ```text
//! cargo run --release --example fencing_redis
//! REDIS_URL=redis://127.0.0.1:6379 cargo run --release --example fencing_redis
//! ```
#![allow(clippy::print_stdout, reason = "an example prints what it does")]

mod support;

use std::error::Error;
use support::Backend;
use tenure::{Client, FencedGuard};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome {
    let backend = Backend::from_env();
    let (alice, bob) = (backend.connect().await?, backend.connect().await?);
    let total = backend.key("total");
    let lock = |client: &Client| client.lock("invoice").options(backend.options());

    let hers = lock(&alice).fenced().acquire().await?;
    println!("alice holds the lock, and adds 40 to {}", read(&alice, &total, &hers).await?);

    // Here her process stops, and her lease ends: for the example, by an operator's hand.
    let seen = lock(&bob).inspect().await?.ok_or("alice should hold it")?;
    lock(&bob).force_release(&seen).await?;

    let his = lock(&bob).fenced().acquire().await?;
    println!("bob holds it now, by a greater token: {}", his.token() > hers.token());
    let count = read(&bob, &total, &his).await?;
    println!("bob adds 2 to {count}: {}", write(&bob, &total, &his, count + 2).await?);

    // Her process goes on where it stopped, and has not looked at its guard since.
    println!("alice writes what she has added: {}", write(&alice, &total, &hers, 40).await?);
    println!("bob finds {}", read(&bob, &total, &his).await?);

    // Even if the server loses the lock and all its fences, the next one is greater.
    bob.del([his.key().to_owned(), format!("{{{}}}:f", his.key())]).await?;
    let next = lock(&alice).fenced().acquire().await?;
    println!("after a loss of all that, the next token is greater: {}", next.token() > his.token());
    next.release().await?;
    alice.del([total, format!("{{{}}}:f", his.key())]).await?;
    Ok(())
}

async fn read(client: &Client, total: &str, guard: &FencedGuard) -> Outcome<i64> {
    let count = client.fenced_get::<Option<i64>>(total, guard.token()).await?;
    Ok(count.ok_or("somebody has held the lock since")?.unwrap_or(0))
}

async fn write(client: &Client, total: &str, guard: &FencedGuard, count: i64) -> Outcome<String> {
    Ok(match client.fenced_set(total, guard.token(), count).await? {
        true => format!("written, {count} in all"),
        false => "refused, somebody has held the lock since".to_owned(),
    })
}
