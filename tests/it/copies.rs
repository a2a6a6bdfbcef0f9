//! Locks that are handed out once replicas, or the disk, have them: on real servers, of which one follows the other.

use crate::real::{Kind, Options, RealServer};
use crate::support::eventually;
use std::collections::BTreeSet;
use std::time::Duration;
use tenure::{AcquireError, Client, Config, Durability};

const MS: Duration = Duration::from_millis(1);

/// A server and one that follows it.
async fn pair(kind: Kind) -> (RealServer, RealServer, [Client; 2]) {
    let config = vec!["repl-diskless-sync-delay 0".to_owned()];
    let leader = RealServer::start(kind, Options { config, ..Options::default() });
    let follows = format!("replicaof 127.0.0.1 {}", leader.port());
    let config = vec![follows];
    let follower = RealServer::start(kind, Options { config, ..Options::default() });
    let connect = async |server: &RealServer| {
        Client::with_config(Config::from_url(&server.url()).unwrap()).await.unwrap()
    };
    let clients = [connect(&leader).await, connect(&follower).await];
    // One value may come with the copy that a replica loads, and before it confirms anything: the next is sent on to it.
    let (mut written, mut seen) = (0_i64, BTreeSet::new());
    eventually("the replica follows", async || {
        written += 1;
        clients[0].set("written", written).await.unwrap();
        seen.extend(clients[1].get("written").await.ok().flatten());
        seen.len() > 1
    })
    .await;
    (leader, follower, clients)
}

async fn lock_is_handed_out_when_the_replica_has_it(kind: Kind) {
    if !RealServer::available() {
        return;
    }
    let (_leader, follower, [client, there]) = pair(kind).await;
    let lock = |count| {
        let wanted = Durability::Replicas { count, timeout: 200 * MS };
        client.lock("l").options(tenure::Options::new().durability(wanted))
    };
    let guard = lock(1).acquire().await.unwrap();
    assert_eq!(there.exists("lk:l").await.unwrap(), 1, "it was there before it was handed out");
    guard.release().await.unwrap();

    let error = lock(2).acquire().await.unwrap_err();
    assert!(matches!(error, AcquireError::NotDurable { replicas: 1, .. }), "{error:?}");
    assert_eq!(client.exists("lk:l").await.unwrap(), 0, "it was given back");

    follower.signal(crate::real::Signal::Stop);
    let error = lock(1).acquire().await.unwrap_err();
    follower.signal(crate::real::Signal::Cont);
    assert!(matches!(error, AcquireError::NotDurable { replicas: 0, .. }), "{error:?}");
    assert_eq!(client.exists("lk:l").await.unwrap(), 0, "it was given back");
}

#[tokio::test]
async fn lock_is_handed_out_when_the_replica_has_it_on_redis_6_2() {
    lock_is_handed_out_when_the_replica_has_it(Kind::Redis6_2).await;
}

#[tokio::test]
async fn lock_is_handed_out_when_the_replica_has_it_on_redis_7_0() {
    lock_is_handed_out_when_the_replica_has_it(Kind::Redis7_0).await;
}

#[tokio::test]
async fn lock_is_handed_out_when_the_replica_has_it_on_valkey_9_1() {
    lock_is_handed_out_when_the_replica_has_it(Kind::Valkey9_1).await;
}

#[tokio::test]
async fn lock_is_handed_out_when_it_is_on_disk() {
    if !RealServer::available() {
        return;
    }
    let config = vec!["appendonly yes".to_owned(), "appendfsync always".to_owned()];
    let server = RealServer::start(Kind::Valkey9_1, Options { config, ..Options::default() });
    let client = Client::with_config(Config::from_url(&server.url()).unwrap()).await.unwrap();
    let lock = |replicas| {
        let wanted = Durability::Disk { replicas, timeout: 200 * MS };
        client.lock("l").options(tenure::Options::new().durability(wanted))
    };
    lock(0).acquire().await.unwrap().release().await.unwrap();
    let error = lock(1).acquire().await.unwrap_err();
    assert!(matches!(error, AcquireError::NotDurable { replicas: 0, .. }), "{error:?}");
    assert_eq!(client.exists("lk:l").await.unwrap(), 0, "it was given back");
}
