//! What if my program has no runtime? The same names block the calling thread.
#![allow(clippy::print_stdout, reason = "an example prints what it does")]

mod support;

use std::error::Error;
use std::thread;
use std::time::Duration;
use support::Backend;
use tenure::blocking::Client;

fn main() -> Result<(), Box<dyn Error>> {
    let backend = Backend::from_env();
    let client = Client::with_config(backend.config()?)?;
    let (lock, count) = (client.lock("count").options(backend.options()), backend.key("count"));

    thread::scope(|scope| {
        let threads: Vec<_> = (0..5)
            .map(|_| {
                scope.spawn(|| -> Result<(), Box<dyn Error + Send + Sync>> {
                    let guard = lock.acquire_for(Duration::from_secs(5))?;
                    let seen = client.wait(async |client| client.get(&count).await)??;
                    let seen: i64 = match seen {
                        Some(text) => std::str::from_utf8(&text)?.parse()?,
                        None => 0,
                    };
                    client.wait(async |client| client.set(&count, seen + 1).await)??;
                    guard.release()?; // or drop it
                    Ok(())
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("no thread panics"))
    })
    .map_err(|error| error.to_string())?;

    let total = client.wait(async |client| client.get(&count).await)??.unwrap_or_default();
    println!("five threads counted to {}", String::from_utf8_lossy(&total));
    client.close(Duration::from_secs(1))?;
    Ok(())
}
