//! More than may be on its way at once: it fails or waits, as its caller chose, and never grows without bound.

use std::time::Duration;
use tenure::{Client, Config, Error, ErrorKind, Outcome, Overflow};
use tenure_server::{Profile, Server};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{Instant, sleep};

const MS: Duration = Duration::from_millis(1);

/// A client with room for one command, on a server that does not answer for now.
async fn full(overflow: Overflow) -> (Server, Client, JoinHandle<Result<i64, Error>>) {
    let server = Server::new(Profile::Valkey9);
    let config = Config::dialer(server.dialer()).max_queued_bytes(100).overflow(overflow);
    let client = Client::with_config(config).await.unwrap();
    server.freeze();
    let first = incr(&client);
    yield_now().await;
    (server, client, first)
}

fn incr(client: &Client) -> JoinHandle<Result<i64, Error>> {
    let client = client.clone();
    tokio::spawn(async move { client.incr("counter").await })
}

#[tokio::test(start_paused = true)]
async fn many_short_commands_are_too_much_as_well() {
    let (server, client, first) = full(Overflow::Fail).await;
    let error = client.ping().await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Overloaded, Outcome::NotSent));
    server.thaw();
    first.await.unwrap().unwrap();
    client.ping().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_for_room_are_served_in_the_order_in_which_they_came() {
    let (server, client, first) = full(Overflow::Wait).await;
    let mut waiting = Vec::new();
    for _ in 0..20 {
        waiting.push(incr(&client));
        yield_now().await;
    }
    let stats = client.stats();
    assert_eq!(stats.commands, 1, "the others are not even queued");
    server.thaw();
    assert_eq!(first.await.unwrap().unwrap(), 1);
    for (call, place) in waiting.into_iter().zip(2..) {
        assert_eq!(call.await.unwrap().unwrap(), place);
    }
    let stats = client.stats();
    assert_eq!((stats.queued, stats.in_flight, stats.bytes_held), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn call_that_waits_for_room_gives_up_at_its_deadline() {
    let (server, client, first) = full(Overflow::Wait).await;
    let begun = Instant::now();
    let error = client.command("INCR").arg("counter").timeout(100 * MS).send::<i64>().await;
    let error = error.unwrap_err();
    assert_eq!(begun.elapsed().as_millis(), 100);
    assert!(error.is_timeout() && error.outcome() == Outcome::NotSent, "{error:?}");
    server.thaw();
    first.await.unwrap().unwrap();
    assert_eq!(client.incr("counter").await.unwrap(), 2, "it was not sent");
}

#[tokio::test(start_paused = true)]
async fn caller_that_goes_away_does_not_hold_up_the_line() {
    let (server, client, first) = full(Overflow::Wait).await;
    let gone = incr(&client);
    yield_now().await;
    let next = incr(&client);
    yield_now().await;
    gone.abort();
    server.thaw();
    assert_eq!(first.await.unwrap().unwrap(), 1);
    assert_eq!(next.await.unwrap().unwrap(), 2);
    // Called to the front, and dropped before it could look.
    server.freeze();
    let first = incr(&client);
    yield_now().await;
    let mut called = Box::pin(client.incr("counter"));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(called.as_mut().poll(&mut cx).is_pending());
    let next = incr(&client);
    yield_now().await;
    server.thaw();
    assert_eq!(first.await.unwrap().unwrap(), 3);
    sleep(MS).await;
    drop(called);
    assert_eq!(next.await.unwrap().unwrap(), 4);
}

#[tokio::test(start_paused = true)]
async fn closing_ends_the_line() {
    let (_server, client, first) = full(Overflow::Wait).await;
    let waiting = [(); 3].map(|()| incr(&client));
    yield_now().await;
    client.close(MS).await;
    for call in waiting {
        let error = call.await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Closed, Outcome::NotSent));
    }
    assert_eq!(first.await.unwrap().unwrap_err().outcome(), Outcome::Unknown);
}

#[tokio::test(start_paused = true)]
async fn lock_for_whose_last_command_there_is_no_room_has_the_others_sent_at_once() {
    // Before 7.0 it takes three commands to ask for a lock. The third only tells how long another one has it.
    let server = Server::new(Profile::Redis6_2);
    let config = Config::dialer(server.dialer()).max_queued_bytes(350);
    let client = Client::with_config(config).await.unwrap();
    let first = client.lock("a").acquire().await.unwrap();
    let begun = Instant::now();
    let second = client.lock("b").acquire().await.unwrap();
    assert!(begun.elapsed() < 100 * MS, "{:?}", begun.elapsed());
    assert_eq!(server.keys().len(), 2);
    drop((first, second));
}
