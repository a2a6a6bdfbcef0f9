//! What a client says of its connection, and how it comes back. In process, on a paused clock.

use crate::support::{eventually, poll_once};
use std::time::Duration;
use tenure::client::State;
use tenure::{Backoff, Client, Config, ErrorKind, Outcome};
use tenure_server::{Fault, Profile, Server};
use tokio::time::{Instant, sleep};

const WRONGPASS: &str = "WRONGPASS invalid username-password pair or user is disabled.";

/// Waits of 10 ms, 20 ms, … up to 2 s, each as long as it may be.
async fn connect(server: &Server) -> Client {
    let backoff = Backoff::new(Duration::from_millis(10), 2.0, Duration::from_secs(2));
    let config = Config::dialer(server.dialer()).reconnect(backoff).entropy(|| u64::MAX);
    Client::with_config(config).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn states_follow_the_connection_until_it_is_closed() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    assert!(matches!(client.state(), State::Ready));
    let mut changes = client.state_changes();
    assert!(poll_once(&mut Box::pin(changes.next())).await.is_pending());

    server.refuse_connections(true);
    server.kill_connections();
    let Some(State::Connecting(Some(why))) = changes.next().await else { panic!("lost") };
    assert_eq!(why.kind(), ErrorKind::Disconnected);
    let Some(State::Connecting(Some(why))) = changes.next().await else { panic!("refused") };
    assert_eq!(why.kind(), ErrorKind::Connect);
    server.refuse_connections(false);
    while !matches!(changes.next().await, Some(State::Ready)) {}
    client.ping().await.unwrap();

    client.close(Duration::from_secs(1)).await;
    assert!(matches!(changes.next().await, Some(State::Closed(_))));
    assert!(matches!(client.state(), State::Closed(_)));
    assert!(changes.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn stream_of_states_ends_with_the_last_handle() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    let mut changes = client.state_changes();
    drop(client);
    assert!(matches!(changes.next().await, Some(State::Closed(_))));
    assert!(changes.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn definite_refusal_is_asked_about_at_the_longest_waits_and_heals() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    let rule = server.fault(Fault::error(WRONGPASS).on("HELLO"));
    server.kill_connections();
    let mut changes = client.state_changes();
    let refusal = loop {
        if let Some(State::Refused(refusal)) = changes.next().await {
            break refusal;
        }
    };
    assert!(refusal.to_string().contains("WRONGPASS"), "{refusal}");
    let (begun, before) = (Instant::now(), rule.hits());
    let error = client.ping().await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Handshake, Outcome::NotSent));
    assert_eq!(begun.elapsed(), Duration::ZERO, "it fails at once");
    sleep(Duration::from_secs(10)).await;
    let asked = rule.hits() - before;
    assert!((4..=5).contains(&asked), "{asked} attempts within 10 s, at 2 s each");
    rule.remove();
    while !matches!(changes.next().await, Some(State::Ready)) {}
    client.ping().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn refusal_of_a_server_that_went_away_is_forgotten() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    server.fault(Fault::error(WRONGPASS).on("HELLO").times(1));
    server.kill_connections();
    eventually("it is refused", async || matches!(client.state(), State::Refused(_))).await;
    server.refuse_connections(true);
    eventually("it is gone", async || matches!(client.state(), State::Connecting(_))).await;
    let error = client.ping().await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::NotSent));
}

#[tokio::test(start_paused = true)]
async fn states_that_pass_by_themselves_are_no_refusals() {
    for words in [
        "LOADING Redis is loading the dataset in memory",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "ERR max number of clients reached",
        "BUSY Redis is busy running a script.",
    ] {
        let server = Server::new(Profile::Valkey9);
        let client = connect(&server).await;
        server.fault(Fault::error(words).on("HELLO").times(3));
        server.kill_connections();
        let mut changes = client.state_changes();
        loop {
            match changes.next().await {
                Some(State::Connecting(_)) => {}
                Some(State::Ready) => break,
                other => panic!("{words}: {other:?}"),
            }
        }
        client.ping().await.unwrap();
    }
}
