//! What a client tells of itself: every counter agrees with what was done, and what is on its way returns to nothing.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tenure::{Client, Config};
use tenure_server::{Fault, Profile, Server};
use tokio::task::JoinSet;
use tokio::time::sleep;

const MS: Duration = Duration::from_millis(1);

async fn client(server: &Server) -> Client {
    Client::with_config(Config::dialer(server.dialer())).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn counters_agree_with_what_was_done() {
    let server = Server::new(Profile::Valkey9);
    let client = client(&server).await;
    assert_eq!(client.stats().commands, 0, "the handshake is nobody's command");
    for _ in 0..10 {
        client.set("key", "value").await.unwrap();
    }
    let stats = client.stats();
    let set = "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n".len() as u64;
    assert_eq!((stats.commands, stats.writes, stats.reads), (10, 10, 10));
    assert_eq!((stats.bytes_out, stats.bytes_in), (10 * set, 10 * "+OK\r\n".len() as u64));
    assert_eq!((stats.queued, stats.in_flight, stats.bytes_held), (0, 0, 0));
    assert_eq!((stats.timeouts, stats.reconnects), (0, 0));
    assert_eq!(stats.commands_per_write(), 1.0);
    assert_eq!(stats.round_trips().map(|(_, count)| count).sum::<u64>(), 10);
}

#[tokio::test(start_paused = true)]
async fn commands_of_many_callers_share_writes() {
    let server = Server::new(Profile::Valkey9);
    let client = client(&server).await;
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                for _ in 0..10 {
                    client.incr("counter").await.unwrap();
                }
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    assert!(client.stats().commands_per_write() > 20.0, "{:?}", client.stats());
}

/// Lets every other task that can run have one turn.
async fn let_others_run() {
    let mut went = false;
    poll_fn(|cx| {
        cx.waker().wake_by_ref();
        if std::mem::replace(&mut went, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn callers_who_are_slower_than_the_first_share_its_write() {
    let server = Server::new(Profile::Valkey9);
    let client = client(&server).await;
    let mut calls = JoinSet::new();
    for caller in 0..10 {
        let client = client.clone();
        calls.spawn(async move {
            // The first of all writes for itself alone; from the second time on they leave together.
            for _ in 0..3 {
                client.ping().await.unwrap();
            }
            let before = client.stats().writes;
            if caller > 0 {
                let_others_run().await;
            }
            client.ping().await.unwrap();
            client.stats().writes - before
        });
    }
    assert_eq!(calls.join_all().await, [1; 10]);
}

/// Queues all of them before the connection's task has a turn.
fn queue_all<F: Future>(calls: impl IntoIterator<Item = F>) -> Vec<Pin<Box<F>>> {
    let mut cx = Context::from_waker(Waker::noop());
    let mut calls: Vec<_> = calls.into_iter().map(Box::pin).collect();
    assert!(calls.iter_mut().all(|call| call.as_mut().poll(&mut cx).is_pending()));
    calls
}

#[tokio::test(start_paused = true)]
async fn queue_of_many_bytes_leaves_while_others_still_add_to_it() {
    const LONG: usize = 32 << 10;
    let server = Server::new(Profile::Valkey9);
    let client = client(&server).await;
    client.ping().await.unwrap();
    let (value, before) = ("x".repeat(1_000), client.stats().writes);
    let calls = queue_all((0..60).map(|_| client.set("key", &value)));
    let stats = client.stats();
    let each = stats.bytes_held / calls.len();
    let long = (calls.len() - 1) / LONG.div_ceil(each);
    assert!(long > 0, "{stats:?}");
    assert_eq!(stats.writes - before, 1 + long as u64, "the first alone, then whenever it is long");
    assert!(stats.queued * each < LONG, "{stats:?}");
    for call in calls {
        call.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn queue_of_many_commands_leaves_while_others_still_add_to_it() {
    let server = Server::new(Profile::Valkey9);
    let client = client(&server).await;
    client.ping().await.unwrap();
    let before = client.stats().writes;
    let calls = queue_all((0..400).map(|_| client.ping()));
    let stats = client.stats();
    assert_eq!(
        stats.writes - before,
        3,
        "the first alone, then whenever there are 192 more: {stats:?}"
    );
    assert!(stats.queued < 192, "{stats:?}");
    for call in calls {
        call.await.unwrap();
    }
}

/// So many callers who were answered together ask again: how many have asked when something is written.
async fn who_writes(callers: usize) -> Vec<usize> {
    let server = Server::new(Profile::Valkey9);
    let client = client(&server).await;
    // In a task, so that they run before the connection's task goes on.
    let asks = async move {
        // The first of all writes for itself alone; those behind it are answered together.
        for call in queue_all((0..=callers).map(|_| client.ping())) {
            call.await.unwrap();
        }
        let (mut calls, mut writers, mut before) = (Vec::new(), Vec::new(), client.stats().writes);
        for asked in 1..=callers {
            calls.extend(queue_all([client.ping()]));
            let writes = client.stats().writes;
            if std::mem::replace(&mut before, writes) < writes {
                writers.push(asked);
            }
        }
        for call in calls {
            call.await.unwrap();
        }
        assert_eq!(client.stats().writes, before, "nothing was left for the driver");
        writers
    };
    tokio::spawn(asks).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn last_of_those_who_were_answered_together_writes_for_all() {
    assert_eq!(who_writes(10).await, [10]);
}

#[tokio::test(start_paused = true)]
async fn server_without_work_is_written_to_when_half_of_many_have_asked() {
    assert_eq!(who_writes(100).await, [50, 100]);
}

#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_shows_and_goes() {
    let server = Server::new(Profile::Valkey9);
    let client = client(&server).await;
    server.fault(Fault::delay_reply(500 * MS).times(1));
    let slow = tokio::spawn({
        let client = client.clone();
        async move { client.get("key").await }
    });
    sleep(100 * MS).await;
    let stats = client.stats();
    assert_eq!((stats.queued, stats.in_flight), (0, 1));
    assert_eq!(stats.bytes_held, "*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n".len());
    slow.await.unwrap().unwrap();
    assert_eq!((client.stats().in_flight, client.stats().bytes_held), (0, 0));
    let slowest = client.stats().round_trips().filter(|(_, count)| *count > 0).last().unwrap();
    assert!(slowest.0 > 500 * MS, "{slowest:?}");
}

#[tokio::test(start_paused = true)]
async fn timeouts_and_reconnects_are_counted_and_leave_nothing_behind() {
    let server = Server::new(Profile::Valkey9);
    let client = client(&server).await;
    server.fault(Fault::drop_request().times(1));
    assert!(client.get("key").await.unwrap_err().is_timeout());
    assert_eq!(client.stats().timeouts, 1);
    server.kill_connections();
    sleep(3_000 * MS).await;
    client.get("key").await.unwrap();
    let stats = client.stats();
    assert!(stats.reconnects >= 1, "{stats:?}");
    assert_eq!((stats.queued, stats.in_flight, stats.bytes_held), (0, 0, 0));
}
