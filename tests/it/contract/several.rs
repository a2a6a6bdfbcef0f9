//! Several locks at once: all of them or none, and any one of them.

use crate::support::{Access, Running};
use std::time::Duration;
use tenure::Client;
use tokio::time::timeout;

const ACCESS: Access = Access::OPEN;

on_every_server! {
    all_or_none_are_taken_and_all_are_released
    transfers_between_accounts_lose_nothing
    any_one_is_enough
}

async fn all_or_none_are_taken_and_all_are_released(server: &Running) {
    let (ours, theirs) = (server.connect().await, server.connect().await);
    let held = theirs.lock("b").acquire().await.unwrap();
    let all = ours.lock_all(["a", "b", "c"]);
    assert!(all.try_acquire().await.unwrap().is_none());
    for free in ["a", "c"] {
        let guard = theirs.lock(free).acquire_for(Duration::from_secs(5)).await.unwrap();
        guard.release().await.unwrap();
    }
    let mut waiting = Box::pin(all.acquire());
    assert!(timeout(Duration::from_millis(50), &mut waiting).await.is_err());
    held.release().await.unwrap();
    let guard = timeout(Duration::from_secs(10), waiting).await.expect("it was told").unwrap();
    for taken in ["a", "b", "c"] {
        assert!(theirs.lock(taken).try_acquire().await.unwrap().is_none());
    }
    guard.release().await.unwrap();
    assert_eq!(theirs.exists(["lk:a", "lk:b", "lk:c"]).await.unwrap(), 0);
}

async fn transfers_between_accounts_lose_nothing(server: &Running) {
    const ACCOUNTS: [&str; 3] = ["ann", "bob", "cid"];
    let balance = async |client: &Client, name: &str| -> i64 {
        client.command("GET").arg(name).send::<Option<i64>>().await.unwrap().unwrap_or(100)
    };
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..6 {
        let client = server.connect().await;
        tasks.spawn(async move {
            for round in 0..10 {
                let (from, to) = (ACCOUNTS[(number + round) % 3], ACCOUNTS[(number + 1) % 3]);
                if from == to {
                    continue;
                }
                let guard = client.lock_all([from, to]).acquire().await.unwrap();
                let (left, right) = (balance(&client, from).await, balance(&client, to).await);
                client.set(from, left - 1).await.unwrap();
                client.set(to, right + 1).await.unwrap();
                guard.release().await.unwrap();
            }
        });
    }
    let done = timeout(Duration::from_secs(60), tasks.join_all()).await;
    assert!(done.is_ok(), "nobody waits in a circle");
    let client = server.connect().await;
    let mut sum = 0;
    for name in ACCOUNTS {
        sum += balance(&client, name).await;
    }
    assert_eq!(sum, 300);
}

async fn any_one_is_enough(server: &Running) {
    let (ours, theirs) = (server.connect().await, server.connect().await);
    let (a, b) =
        (theirs.lock("a").acquire().await.unwrap(), theirs.lock("b").acquire().await.unwrap());
    let any = ours.lock_any(["a", "b"]);
    assert!(any.try_acquire().await.unwrap().is_none());
    let mut waiting = Box::pin(any.acquire());
    assert!(timeout(Duration::from_millis(50), &mut waiting).await.is_err());
    a.release().await.unwrap();
    let guard = timeout(Duration::from_secs(10), waiting).await.expect("it was told").unwrap();
    assert_eq!(guard.key(), "lk:a");
    b.release().await.unwrap();
    assert!(theirs.lock("b").try_acquire().await.unwrap().is_some(), "nobody waits for it");
}
