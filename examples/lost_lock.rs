//! What if the lock is lost while I work? The guard says so, and the work stops.
#![allow(clippy::print_stdout, reason = "an example prints what it does")]

mod support;

use std::error::Error;
use std::time::Duration;
use support::Backend;
use tokio::time::sleep;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let backend = Backend::from_env();
    let (worker, operator) = (backend.connect().await?, backend.connect().await?);
    let options = backend.options().lease(Duration::from_secs(1));
    let guard = worker.lock("report").options(options.clone()).acquire().await?;
    println!("held, with {} ms of validity", guard.validity().as_millis());

    // An operator ends the hold, as a failover or a flush might.
    let lock = operator.lock("report").options(options);
    let seen = lock.inspect().await?.ok_or("the lock should be held")?;
    println!("forced: {}", lock.force_release(&seen).await?);

    // The next renewal, at a third of the lease, finds out.
    tokio::select! {
        () = sleep(Duration::from_secs(30)) => println!("finished the work"),
        cause = guard.lost() => println!("stopped the work: {cause}"),
    }
    println!("still held: {}", guard.is_held());
    match guard.release().await {
        Ok(()) => println!("released"),
        Err(error) => println!("release: {error}"),
    }
    Ok(())
}
