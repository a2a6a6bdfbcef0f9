//! How often a call allocates once it has warmed up: never, unless its reply has a payload, and then at most once.
//!
//! Counted on one thread: the server has its own.

#[path = "../benches/sink/mod.rs"]
mod sink;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use tenure::Client;
use tenure::client::SetOptions;
use tokio::sync::Barrier;

const TASKS: usize = 64;
const ROUNDS: usize = 100;

/// A server on a thread of its own, until its one client has gone.
fn start_sink() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("redis://{}", listener.local_addr().expect("it is bound"));
    std::thread::spawn(move || sink::serve(listener.accept().expect("a client").0));
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
