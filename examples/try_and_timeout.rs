//! How long do I wait? Not at all, for a while, or for as long as it takes.
#![allow(clippy::print_stdout, reason = "an example prints what it does")]

mod support;

use std::error::Error;
use std::time::Duration;
use support::Backend;
use tenure::AcquireError;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let backend = Backend::from_env();
    let (ours, theirs) = (backend.connect().await?, backend.connect().await?);
    let options = backend.options().label("nightly-job").purpose("closing the books");
    let lock = ours.lock("books").options(options.clone());
    let guard = lock.try_acquire().await?.ok_or("nobody else should hold it")?;
    println!("we hold {}", lock.name());

    // Not at all: held by somebody else is an answer, not an error.
    let rival = theirs.lock("books").options(options);
    println!("tried once: acquired = {}", rival.try_acquire().await?.is_some());

    // For a while: the error says who is in the way.
    match rival.acquire_for(Duration::from_millis(300)).await {
        Err(error @ AcquireError::TimedOut { .. }) => println!("waited a while: {error}"),
        Err(error) => return Err(error.into()),
        Ok(_) => println!("waited a while: acquired"),
    }

    // For as long as it takes.
    let (waited, released) = tokio::join!(rival.acquire(), guard.release());
    released?;
    println!("waited as long as it took: acquired = {}", waited?.is_held());
    theirs.close(Duration::from_secs(1)).await;
    Ok(())
}
