//! How soon clients are back after an outage, with the settings they have by default.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::sync::Mutex;
use std::time::Duration;
use tenure::{Client, Config};
use tenure_server::{Profile, Server};
use tokio::time::{Instant, sleep};

/// When a client's command is answered, counted from the end of an outage that lasted so long.
async fn back_after(outage: Duration, seed: u64) -> Duration {
    let server = Server::new(Profile::Valkey9);
    let dice = Mutex::new(StdRng::seed_from_u64(seed));
    let config = Config::dialer(server.dialer()).entropy(move || dice.lock().unwrap().random());
    let client = Client::with_config(config).await.unwrap();
    server.refuse_connections(true);
    server.kill_connections();
    sleep(outage).await;
    server.refuse_connections(false);
    let over = Instant::now();
    client.ping().await.unwrap();
    over.elapsed()
}

#[tokio::test(start_paused = true)]
async fn half_of_all_clients_are_back_soon_after_an_outage_and_the_last_one_a_little_later() {
    for outage in [Duration::from_millis(300), Duration::from_secs(3), Duration::from_secs(60)] {
        let mut took = Vec::new();
        for seed in 0..100 {
            took.push(back_after(outage, seed).await);
        }
        took.sort();
        let (half, last) = (took[50], took[99]);
        assert!(half < Duration::from_millis(200), "{half:?} after {outage:?}");
        assert!(last < Duration::from_millis(600), "{last:?} after {outage:?}");
    }
}
