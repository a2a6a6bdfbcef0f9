//! Calls whose replies are all different, given up at random moments: not one caller gets another's.
//!
//! 100,000 calls in each run; `TENURE_CALLS=10000000` makes more of them.

use crate::real::{Kind, Options, RealServer};
use crate::support::{eventually, is_quiet};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tenure::{Client, Config, Outcome};
use tenure_server::{Fault, Link, Profile, Server, Way};
use tokio::time::sleep;

const CALLERS: u64 = 64;
const CALLS: u64 = 100_000;

/// How many calls a test makes, `share` of a hundred of those that were asked for.
fn calls(share: u64) -> u64 {
    let asked = std::env::var("TENURE_CALLS").ok().map(|calls| calls.parse().unwrap());
    asked.unwrap_or(CALLS) * share / 100
}

/// A sequence of numbers that differ, the same in each run (SplitMix64).
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }
}

/// Gives up on a future at one of its polls: `None` then.
struct Fickle<F> {
    polls: u64,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for Fickle<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(output) = self.future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        self.polls = self.polls.saturating_sub(1);
        if self.polls == 0 { Poll::Ready(None) } else { Poll::Pending }
    }
}

/// What became of the calls.
#[derive(Debug, Default)]
struct Counts {
    right: AtomicU64,
    given_up: AtomicU64,
    failed: AtomicU64,
}

/// Makes calls, one after the other, and gives up on a third of them.
async fn call(client: Client, caller: u64, calls: u64, counts: Arc<Counts>) {
    let mut dice = Dice(caller);
    for number in 0..calls {
        let most = if dice.throw(50) == 0 { 4_000 } else { 40 };
        let length = usize::try_from(dice.throw(most)).unwrap();
        let words = format!("{caller} {number} {}", "x".repeat(length));
        let patience = if dice.throw(8) == 0 {
            Duration::from_millis(dice.throw(4) + 1)
        } else {
            Duration::from_secs(5)
        };
        let call = client.command("ECHO").arg(&words).timeout(patience).send::<String>();
        let polls = if dice.throw(3) == 0 { 1 + dice.throw(2) } else { u64::MAX };
        match (Fickle { polls, future: Box::pin(call) }).await {
            Some(Ok(echoed)) => {
                assert!(echoed == words, "{echoed:?} for {words:?}");
                counts.right.fetch_add(1, Ordering::Relaxed);
            }
            Some(Err(error)) => {
                assert_ne!(error.outcome(), Outcome::Refused, "{error}");
                counts.failed.fetch_add(1, Ordering::Relaxed);
            }
            None => {
                counts.given_up.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Lets all callers make their calls, and checks that nothing is left of them.
async fn play(client: &Client, calls: u64) -> Arc<Counts> {
    let counts = Arc::new(Counts::default());
    let callers = (0..CALLERS).map(|caller| {
        tokio::spawn(call(client.clone(), caller, calls / CALLERS + 1, Arc::clone(&counts)))
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    eventually("counters are zero", async || is_quiet(client)).await;
    let (right, given_up) = (&counts.right, &counts.given_up);
    assert!(right.load(Ordering::Relaxed) > calls / 3, "{counts:?}");
    assert!(given_up.load(Ordering::Relaxed) > calls / 10, "{counts:?}");
    counts
}

#[tokio::test(start_paused = true)]
async fn replies_in_memory_are_each_callers_own() {
    let server = Server::new(Profile::Valkey9);
    let client = Client::with_config(Config::dialer(server.dialer())).await.unwrap();
    play(&client, calls(60)).await;
}

#[tokio::test(start_paused = true)]
async fn replies_on_a_way_that_fails_are_each_callers_own() {
    let (server, link) = (Server::new(Profile::Redis7_0), Link::new());
    let client = Client::with_config(Config::dialer(link.over(server.dialer()))).await.unwrap();
    for way in [Way::ToServer, Way::ToClient] {
        link.delay(way, Duration::from_micros(400));
    }
    server.fault(Fault::delay_reply(Duration::from_millis(3)).on("ECHO").after(1_000).times(50));
    let trouble = tokio::spawn({
        let link = link.clone();
        async move {
            let mut dice = Dice(7);
            loop {
                sleep(Duration::from_millis(dice.throw(40) + 1)).await;
                link.cut(
                    [tenure_server::Ending::Reset, tenure_server::Ending::Close]
                        [usize::from(dice.throw(2) == 0)],
                );
            }
        }
    });
    let counts = play(&client, calls(20)).await;
    trouble.abort();
    assert!(
        counts.failed.load(Ordering::Relaxed) > 0 && link.dialled() > 10,
        "{counts:?} {link:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_of_a_real_server_are_each_callers_own() {
    if !RealServer::available() {
        return;
    }
    let server =
        tokio::task::block_in_place(|| RealServer::start(Kind::Valkey9_1, Options::default()));
    let client = Client::connect(&server.url()).await.unwrap();
    play(&client, calls(20)).await;
}
