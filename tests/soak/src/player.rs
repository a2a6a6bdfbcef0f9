//! A worker process that stays for many histories: it does what it is ordered to, one job after another, with the same client.
//!
//! Orders are lines of its standard input, at whose end it ends in order. Its wall clock is set in the same way, at once.

use crate::line::Line;
use crate::worker::{Job, Tempo, Worker, connect, live, tell};
use std::io::BufRead as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};
use tenure::{Backoff, Client, Config};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::sleep;

/// For so long a client may have something on its way after its work is done.
const SETTLES: Duration = Duration::from_secs(60);

/// The order for one job.
pub(crate) fn order(prefix: &str, job: [u64; 4]) -> String {
    let [seed, locks, tasks, steps] = job;
    format!("{prefix} {seed} {locks} {tasks} {steps}")
}

/// What sets the wall clock by so many milliseconds.
pub(crate) fn step(by_ms: i64) -> String {
    format!("{STEP}{by_ms}")
}

const STEP: &str = "clock ";

fn job(url: &str, order: &str) -> Option<Job> {
    let words: Vec<&str> = order.split(' ').collect();
    let &[prefix, seed, locks, tasks, steps] = &words[..] else { return None };
    Some(Job {
        url: url.to_owned(),
        prefix: prefix.to_owned(),
        tempo: Tempo::HISTORY,
        seed: seed.parse().ok()?,
        locks: locks.parse().ok()?,
        tasks: tasks.parse().ok()?,
        callers: 1,
        steps: Some(steps.parse().ok()?),
        punctual: false,
    })
}

/// Notices soon what is wrong with a connection: a history is short.
fn config(url: &str) -> Config {
    let ms = Duration::from_millis;
    Config::from_url(url)
        .expect("the supervisor knows its server")
        .connect_timeout(ms(1_000))
        .response_timeout(ms(500))
        .keepalive(ms(150))
        .stall_timeout(ms(500))
        .reconnect(Backoff::new(ms(5), 2.0, ms(50)))
}

/// Does what it is told until nobody tells it anything any more.
pub(crate) fn play(url: &str) {
    live(async || {
        let (orders, mut ordered) = unbounded_channel();
        let clock = Arc::new(AtomicI64::new(0));
        let ahead_ms = Arc::clone(&clock);
        std::thread::spawn(move || {
            let lines = std::io::stdin().lock().lines().map_while(Result::ok);
            lines.for_each(|line| match line.strip_prefix(STEP).map(str::parse) {
                Some(Ok(by_ms)) => _ = clock.fetch_add(by_ms, Ordering::Relaxed),
                _ => orders.send(line).unwrap_or_default(),
            });
        });
        let config = config(url).wall_clock(move || wall_time(ahead_ms.load(Ordering::Relaxed)));
        let client = connect(config).await;
        while let Some(order) = ordered.recv().await {
            let Some(job) = job(url, &order) else {
                tell(&Line::Wrong(format!("no order: {order}")));
                continue;
            };
            Worker::new(job, client.clone()).work().await;
            tell(&Line::Played { busy: settle(&client).await });
        }
        client.close(Duration::from_secs(5)).await;
    });
}

fn wall_time(ahead_ms: i64) -> SystemTime {
    let by = Duration::from_millis(ahead_ms.unsigned_abs());
    if ahead_ms < 0 { SystemTime::now() - by } else { SystemTime::now() + by }
}

/// Waits until nothing is queued and nothing in flight, and tells how much is if that does not come to pass.
async fn settle(client: &Client) -> usize {
    let busy = || {
        let stats = client.stats();
        stats.queued + stats.in_flight + stats.bytes_held
    };
    let settled = async {
        while busy() > 0 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    match tokio::time::timeout(SETTLES, settled).await {
        Ok(()) => 0,
        Err(_) => busy(),
    }
}
