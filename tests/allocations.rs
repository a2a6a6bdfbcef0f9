//! How often a call allocates once it has warmed up: never, unless its reply has a payload, and then at most once.
//!
//! Counted on one thread: the server has its own.

#[path = "../benches/sink/mod.rs"]
mod sink;

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tenure::client::SetOptions;
use tenure::{Client, Config, Lock, Options, Wakeup};
use tokio::sync::Barrier;

const TASKS: usize = 64;
const ROUNDS: usize = 100;

/// A server with a thread of its own for each connection.
fn start_sink() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("redis://{}", listener.local_addr().expect("it is bound"));
    std::thread::spawn(move || {
        for client in listener.incoming() {
            std::thread::spawn(move || sink::serve(client.expect("a client")));
        }
    });
    url
}

/// Allocations of `ROUNDS` calls in each of so many tasks, after as many that warm up.
fn count<F>(tasks: usize, call: impl Fn(Client) -> F + Clone + Send + 'static) -> u64
where
    F: Future<Output = ()> + Send,
{
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let gate = Arc::new(Barrier::new(tasks + 1));
    let client = runtime.block_on(Client::connect(&start_sink())).expect("a connection");
    for _ in 0..tasks {
        let (client, gate, call) = (client.clone(), Arc::clone(&gate), call.clone());
        runtime.spawn(async move {
            for _ in 0..2 {
                gate.wait().await;
                for _ in 0..ROUNDS {
                    call(client.clone()).await;
                }
                gate.wait().await;
            }
        });
    }
    let run = async {
        gate.wait().await;
        gate.wait().await;
    };
    runtime.block_on(async { (gate.wait().await, gate.wait().await) });
    allocation_counter::measure(|| runtime.block_on(run)).count_total
}

async fn pair(client: Client) {
    const OPTIONS: fn() -> SetOptions =
        || SetOptions::new().if_absent().expire(Duration::from_secs(10));
    assert!(client.set_with("lk:job", "token", &OPTIONS()).await.expect("an answer"));
    assert!(
        client.command("DELIFEQ").arg(("lk:job", "token")).send::<bool>().await.expect("an answer")
    );
}

async fn get(client: Client) {
    assert!(client.get("key").await.expect("an answer").is_some());
}

/// What may grow once more: queues whose longest state the warm-up did not see, and the canary's reply now and then.
const SLACK: u64 = 16;

#[test]
fn reply_without_payload_costs_no_allocation() {
    for tasks in [1, TASKS] {
        let allocations = count(tasks, pair);
        assert!(allocations <= SLACK, "{allocations} for {} pairs", tasks * ROUNDS);
    }
}

#[test]
fn reply_with_payload_costs_at_most_one() {
    for tasks in [1, TASKS] {
        let (allocations, calls) = (count(tasks, get), (tasks * ROUNDS) as u64);
        assert!(allocations <= calls + SLACK, "{allocations} for {calls} calls");
    }
}

#[test]
fn lock_that_nobody_contends_for_costs_no_allocation() {
    for tasks in [1, TASKS] {
        let names = Arc::new(AtomicUsize::new(0));
        // Empty when it is cloned, so that each task makes a lock of its own.
        let own = OnceLock::new();
        let allocations = count(tasks, move |client| {
            let name = || names.fetch_add(1, Ordering::Relaxed).to_string();
            let lock = Arc::clone(own.get_or_init(|| Arc::new(client.lock(name()))));
            async move {
                let guard = lock.acquire().await.expect("nobody has it");
                guard.release().await.expect("it was ours");
            }
        });
        assert!(allocations <= SLACK, "{allocations} for {} locks", tasks * ROUNDS);
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// A connection on which nothing is too late, so that the clock may be moved.
async fn patient(url: &str) -> Client {
    const LONG: Duration = Duration::from_secs(3600);
    let config = Config::from_url(url).expect("our own URL").stall_timeout(LONG);
    Client::with_config(config).await.expect("a connection")
}

#[test]
fn idle_connection_holds_at_most_32_kib_also_after_a_burst() {
    let (runtime, url) = (runtime(), start_sink());
    let mut client = None;
    let opened = allocation_counter::measure(|| client = Some(runtime.block_on(patient(&url))));
    assert!(opened.bytes_current <= 32 << 10, "{} bytes", opened.bytes_current);
    let client = client.expect("it was just opened");
    // The runtime keeps what its queue of tasks has grown to: that is not the connection's.
    runtime.block_on(async {
        let tasks: Vec<_> = (0..4096).map(|_| tokio::spawn(tokio::task::yield_now())).collect();
        for task in tasks {
            task.await.expect("it does not panic");
        }
    });
    let burst = allocation_counter::measure(|| {
        runtime.block_on(async {
            let calls: Vec<_> = (0..4096)
                .map(|_| {
                    let client = client.clone();
                    tokio::spawn(async move { client.get("key").await })
                })
                .collect();
            for call in calls {
                assert!(call.await.expect("it does not panic").expect("an answer").is_some());
            }
            // The deadlines of the burst pass, and then the time after which an idle connection is asked about: what it asks
            // is answered by a real server, so the clock stands still for that.
            for _ in 0..4 {
                client.ping().await.expect("an answer");
                tokio::time::pause();
                tokio::time::sleep(Duration::from_secs(3)).await;
                tokio::time::resume();
            }
            client.ping().await.expect("an answer");
        });
    });
    assert!(burst.bytes_max > 256 << 10, "{} bytes are no burst", burst.bytes_max);
    let kept = opened.bytes_current + burst.bytes_current;
    assert!(kept <= 32 << 10, "{kept} bytes");
}

#[test]
fn waiting_call_costs_at_most_256_bytes_beyond_its_future() {
    const CALLS: usize = 10_000;
    let (runtime, url) = (runtime(), start_sink());
    let client = runtime.block_on(patient(&url));
    // They are polled once, and nobody reads what the sink answers.
    let mut calls: Vec<_> = (0..CALLS).map(|_| Box::pin(client.get("key"))).collect();
    let waiting = allocation_counter::measure(|| {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        for call in &mut calls {
            assert!(call.as_mut().poll(&mut cx).is_pending());
        }
    });
    let each = waiting.bytes_current / CALLS as i64;
    assert!(each <= 256, "{each} bytes");
}

#[test]
fn waiting_for_a_lock_takes_little_room() {
    let client = runtime().block_on(Client::connect(&start_sink())).expect("a connection");
    let lock = client.lock("job");
    let patience = Duration::from_secs(1);
    let sizes = [
        size_of_val(&lock.acquire()),
        size_of_val(&lock.acquire_for(patience)),
        size_of_val(&lock.try_acquire()),
        size_of_val(&client.lock("job").fenced().acquire()),
    ];
    assert!(sizes.iter().all(|&size| size <= 400), "{sizes:?}");
}

#[test]
fn waiter_of_a_lock_takes_less_than_a_kibibyte_with_its_task() {
    fn lock(client: &Client, wakeup: Option<Wakeup>) -> Lock {
        let lock = client.lock("job");
        match wakeup {
            Some(wakeup) => lock.options(Options::new().wakeup(wakeup)),
            None => lock,
        }
    }
    const WAITERS: usize = 1_000;
    static BEGUN: AtomicUsize = AtomicUsize::new(0);
    for wakeup in [None, Some(Wakeup::Track), Some(Wakeup::Announce), Some(Wakeup::Poll)] {
        let runtime = runtime();
        let client = runtime.block_on(Client::connect(&start_sink())).expect("a connection");
        let held = runtime.block_on(lock(&client, wakeup).acquire()).expect("nobody has it");
        BEGUN.store(0, Ordering::Relaxed);
        let waiting = allocation_counter::measure(|| {
            runtime.block_on(async {
                for _ in 0..WAITERS {
                    let client = client.clone();
                    tokio::spawn(async move {
                        BEGUN.fetch_add(1, Ordering::Relaxed);
                        let guard = lock(&client, wakeup).acquire().await;
                        guard.expect("its turn comes").release().await.expect("it is ours");
                    });
                }
                while BEGUN.load(Ordering::Relaxed) < WAITERS {
                    tokio::task::yield_now().await;
                }
            });
        });
        let each = waiting.bytes_current / WAITERS as i64;
        assert!((512..=1024).contains(&each), "{wakeup:?}: {each} bytes");
        drop(held);
    }
}
