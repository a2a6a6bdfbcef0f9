//! How do I test code that locks? With a server inside the test, on a clock that does not run by itself.
#![allow(clippy::print_stdout, reason = "an example prints what it does")]

use std::error::Error;
use std::time::Duration;
use tenure::{AcquireError, Client, Config, Options, Renewal};
use tenure_server::{Profile, Server};

/// The code under test: runs a job unless it runs elsewhere already.
async fn run_once(client: &Client, job: &str) -> Result<bool, AcquireError> {
    let options = Options::new().lease(Duration::from_secs(60)).renewal(Renewal::Off);
    let Some(guard) = client.lock(job).options(options).try_acquire().await? else {
        return Ok(false);
    };
    std::mem::forget(guard); // the job takes the lock with it: nobody runs it again within the lease
    Ok(true)
}

// In a test: #[tokio::test(start_paused = true)]
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    tokio::time::pause();
    let server = Server::new(Profile::Redis7_0);
    let client = Client::with_config(Config::dialer(server.dialer())).await?;

    assert!(run_once(&client, "report").await?);
    assert!(!run_once(&client, "report").await?);
    println!("keys while it runs: {:?}", server.keys());

    tokio::time::sleep(Duration::from_secs(61)).await; // takes no time: the clock is paused
    assert!(run_once(&client, "report").await?);
    println!("a minute later it ran again");
    Ok(())
}
