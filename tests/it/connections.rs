//! Several connections for one client's data. In process, on a paused clock.

use crate::support::eventually;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tenure::client::State;
use tenure::{Client, Config};
use tenure_server::{Profile, Server};

async fn connect(server: &Server, connections: usize) -> Client {
    let config = Config::dialer(server.dialer()).connections(connections);
    let client = Client::with_config(config).await.unwrap();
    eventually("all are open", async || matches!(client.state(), State::Ready)).await;
    server.clear_log();
    client
}

/// The connections on which each word behind a command's name has come.
fn seen(server: &Server) -> BTreeMap<String, BTreeSet<u64>> {
    let mut seen = BTreeMap::<_, BTreeSet<_>>::new();
    for entry in server.log() {
        let word = entry.args.get(1).map(|word| String::from_utf8_lossy(word).into_owned());
        seen.entry(word.unwrap_or_default()).or_default().insert(entry.connection);
    }
    seen
}

#[tokio::test(start_paused = true)]
async fn keys_keep_their_connection_and_spread_over_all() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server, 4).await;
    for number in 0..50 {
        let key = format!("k{number}");
        client.set(&key, number).await.unwrap();
        client.command("incr").arg(&key).send::<i64>().await.unwrap();
        assert_eq!(client.typed::<i64>("k").get(number).await.unwrap(), None);
        assert_eq!(client.get(&key).await.unwrap().unwrap(), (number + 1).to_string());
    }
    let seen = seen(&server);
    assert!(seen.values().all(|connections| connections.len() == 1), "{seen:?}");
    let used: BTreeSet<_> = seen.values().flatten().collect();
    assert_eq!((used.len(), server.connections()), (4, 4));
}

#[tokio::test(start_paused = true)]
async fn what_names_no_key_and_all_locks_have_one_connection_each() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server, 3).await;
    for number in 0..20 {
        client.ping().await.unwrap();
        let guard = client.lock(format!("l{number}")).acquire().await.unwrap();
        guard.release().await.unwrap();
    }
    assert_eq!(server.connections(), 4);
    let log = server.log();
    let of = |name: &str| -> BTreeSet<u64> {
        let entries = log.iter().filter(|entry| entry.name() == name);
        entries.map(|entry| entry.connection).collect()
    };
    let (pings, sets) = (of("PING"), of("SET"));
    assert_eq!(sets.len(), 1);
    assert_eq!(pings.difference(&sets).count(), 1, "the lock connection proves itself with one");
}

#[tokio::test(start_paused = true)]
async fn state_is_that_of_the_connection_that_fares_worst() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server, 3).await;
    let mut changes = client.state_changes();
    server.refuse_connections(true);
    server.kill_connections();
    assert!(matches!(changes.next().await, Some(State::Connecting(Some(_)))));
    server.refuse_connections(false);
    while !matches!(changes.next().await, Some(State::Ready)) {}
    for number in 0..10 {
        client.set(number.to_string(), number).await.unwrap();
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test(start_paused = true)]
async fn closing_and_dropping_end_all_of_them() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server, 3).await;
    client.close(Duration::from_secs(1)).await;
    assert!(matches!(client.state(), State::Closed(_)));
    for number in 0..10 {
        assert!(client.set(number.to_string(), number).await.unwrap_err().is_closed());
    }
    eventually("all are closed", async || server.connections() == 0).await;
    drop(connect(&server, 5).await);
    eventually("all are closed", async || server.connections() == 0).await;
    connect(&server, 0).await.ping().await.unwrap();
}
