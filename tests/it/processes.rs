//! Holders and waiters in processes of their own, which are killed, or stopped and continued: on real servers.

use crate::real::{Kind, Options as ServerOptions, RealServer};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};
use tenure::{Client, Config, Options};

const URL: &str = "TENURE_TEST_PROCESS_URL";
const PART: &str = "TENURE_TEST_PROCESS_PART";
/// Long enough for a machine that is busy with other tests, short enough to wait for.
const LEASE: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(30);

fn say(line: &str) {
    // Not println!, which the test harness keeps to itself.
    std::io::stdout().write_all(format!("\nsays {line}\n").as_bytes()).unwrap();
}

/// The body of the other process; on its own it has nothing to do.
#[test]
fn other_process() {
    let (Ok(url), Ok(part)) = (std::env::var(URL), std::env::var(PART)) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::with_config(Config::from_url(&url).unwrap().own_thread());
        let client = client.await.unwrap();
        let lock = client.lock("l").options(Options::new().lease(LEASE).label("other"));
        if part == "wait" {
            say("waiting");
        }
        let guard = lock.acquire().await.unwrap();
        say("held");
        let mut looked = Instant::now();
        while guard.is_held() {
            if looked.elapsed() > LEASE {
                say("believed too much");
            }
            looked = Instant::now();
            thread::sleep(Duration::from_millis(5));
        }
        say("lost");
        drop(guard);
        client.close(Duration::from_secs(5)).await;
    });
    std::process::exit(0);
}

/// A process that holds the lock, or waits for it.
struct Other {
    child: Child,
    lines: Receiver<String>,
}

impl Other {
    fn start(server: &RealServer, part: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "processes::other_process", "--nocapture"])
            .envs([(URL, server.url().as_str()), (PART, part)])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (tell, lines) = channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if let Some(line) = line.strip_prefix("says ") {
                    // The test may be over.
                    let _ = tell.send(line.to_owned());
                }
            }
        });
        Self { child, lines }
    }

    fn says(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("the process says something")
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server, a client of the test's own, and a runtime for it.
fn on(kind: Kind, trial: impl AsyncFnOnce(&RealServer, &Client)) {
    if !RealServer::available() {
        return;
    }
    let server = RealServer::start(kind, ServerOptions::default());
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.unwrap().block_on(async {
        let client = Client::with_config(Config::from_url(&server.url()).unwrap()).await.unwrap();
        trial(&server, &client).await;
        let left: Vec<String> = client.command("KEYS").arg("*").send().await.unwrap();
        assert!(left.is_empty(), "left {left:?}");
    });
}

async fn killed_holder_costs_its_lease_and_no_more(server: &RealServer, client: &Client) {
    let mut holder = Other::start(server, "hold");
    assert_eq!(holder.says(), "held");
    let lock = client.lock("l");
    tokio::time::sleep(LEASE).await;
    assert!(lock.try_acquire().await.unwrap().is_none(), "it is renewed while its holder lives");
    holder.child.kill().unwrap();
    holder.child.wait().unwrap();
    let killed = Instant::now();
    let guard = lock.acquire_for(PATIENCE).await.unwrap();
    assert!(killed.elapsed() < 2 * LEASE, "{:?}", killed.elapsed());
    guard.release().await.unwrap();
}

async fn holder_that_was_stopped_knows_of_its_loss_before_it_acts(
    server: &RealServer,
    client: &Client,
) {
    let holder = Other::start(server, "hold");
    assert_eq!(holder.says(), "held");
    holder.signal("-STOP");
    let guard = client.lock("l").acquire_for(PATIENCE).await.unwrap();
    holder.signal("-CONT");
    assert_eq!(holder.says(), "lost", "it looks at its guard first");
    guard.verify().await.unwrap();
    // What it sends when it goes leaves the lock of another alone.
    drop(holder);
    guard.verify().await.unwrap();
    guard.release().await.unwrap();
}

async fn killed_waiter_keeps_nobody(server: &RealServer, client: &Client) {
    let guard = client.lock("l").acquire().await.unwrap();
    let mut waiters: Vec<_> = (0..3).map(|_| Other::start(server, "wait")).collect();
    for waiter in &waiters {
        assert_eq!(waiter.says(), "waiting");
    }
    for waiter in &mut waiters {
        waiter.child.kill().unwrap();
        waiter.child.wait().unwrap();
    }
    guard.release().await.unwrap();
    let guard = client.lock("l").acquire_for(PATIENCE).await.unwrap();
    guard.release().await.unwrap();
}

async fn stopped_waiter_keeps_nobody_and_gets_its_turn_later(server: &RealServer, client: &Client) {
    let guard = client.lock("l").acquire().await.unwrap();
    let (stopped, other) = (Other::start(server, "wait"), Other::start(server, "wait"));
    assert_eq!([stopped.says(), other.says()], ["waiting", "waiting"]);
    stopped.signal("-STOP");
    guard.release().await.unwrap();
    assert_eq!(other.says(), "held");
    drop(other); // killed: its lease ends
    stopped.signal("-CONT");
    assert_eq!(stopped.says(), "held");
    drop(stopped);
    client.lock("l").acquire_for(PATIENCE).await.unwrap().release().await.unwrap();
}

macro_rules! on_real_servers {
    ($($trial:ident)*) => {
        on_real_servers!(@on redis_6_2, Kind::Redis6_2, $($trial)*);
        on_real_servers!(@on redis_7_0, Kind::Redis7_0, $($trial)*);
        on_real_servers!(@on valkey_9_1, Kind::Valkey9_1, $($trial)*);
    };
    (@on $server:ident, $kind:expr, $($trial:ident)*) => {
        mod $server {
            use super::*;
            $(
                #[test]
                fn $trial() {
                    on($kind, super::$trial);
                }
            )*
        }
    };
}

on_real_servers! {
    killed_holder_costs_its_lease_and_no_more
    holder_that_was_stopped_knows_of_its_loss_before_it_acts
    killed_waiter_keeps_nobody
    stopped_waiter_keeps_nobody_and_gets_its_turn_later
}
