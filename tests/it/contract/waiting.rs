//! Waiting for a lock, handing it over, and being told of its loss.

use crate::support::{Access, Running, eventually, poll_once};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tenure::{CheckError, LostCause, Options, Renewal, Wakeup};
use tokio::time::timeout;

const ACCESS: Access = Access::OPEN;

on_every_server! {
    waiter_of_another_process_is_told_of_a_release
    waiters_of_one_process_are_served_in_order_by_hand_overs
    processes_that_contend_take_turns_without_overlap
    loss_is_pushed_to_a_holder_that_watches
    holder_that_asks_is_told_whether_it_still_holds
    key_is_watched_again_after_a_renewal
}

/// Waits that are this long can only have been ended by being told.
fn seldom() -> Options {
    let never = Duration::from_secs(60);
    Options::new().lease(never).backoff(tenure::Backoff::new(never, 1.0, never))
}

async fn waiter_of_another_process_is_told_of_a_release(server: &Running) {
    let (ours, theirs) = (server.connect().await, server.connect().await);
    for wakeup in [Wakeup::Auto, Wakeup::Track, Wakeup::Announce] {
        for _ in 0..5 {
            let options = seldom().wakeup(wakeup);
            let guard = ours.lock("l").options(options.clone()).acquire().await.unwrap();
            let lock = theirs.lock("l").options(options);
            let mut waiting = Box::pin(lock.acquire());
            assert!(timeout(Duration::from_millis(20), &mut waiting).await.is_err());
            drop(guard);
            let next = timeout(Duration::from_secs(10), waiting).await.expect("it was told");
            next.unwrap().release().await.unwrap();
        }
    }
}

async fn waiters_of_one_process_are_served_in_order_by_hand_overs(server: &Running) {
    let client = server.connect().await;
    let guard = client.lock("l").acquire().await.unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..30 {
        let (lock, order) = (client.lock("l").options(seldom()), Arc::clone(&order));
        let mut waiting = Box::pin(async move { lock.acquire().await.unwrap() });
        assert!(poll_once(&mut waiting).await.is_pending());
        tasks.spawn(async move {
            let guard = waiting.await;
            order.lock().unwrap().push(number);
            guard.release().await.unwrap();
        });
    }
    drop(guard);
    while let Some(finished) = tasks.join_next().await {
        finished.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), (0..30).collect::<Vec<_>>());
    assert_eq!(client.exists("lk:l").await.unwrap(), 0);
}

async fn processes_that_contend_take_turns_without_overlap(server: &Running) {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let client = server.connect().await;
        for _ in 0..5 {
            let client = client.clone();
            tasks.spawn(async move {
                for _ in 0..10 {
                    let guard = client.lock("l").options(seldom()).acquire().await.unwrap();
                    let count: Option<i64> = client.command("GET").arg("n").send().await.unwrap();
                    client.set("n", count.unwrap_or(0) + 1).await.unwrap();
                    drop(guard);
                }
            });
        }
    }
    let done = timeout(Duration::from_secs(30), async {
        while let Some(finished) = tasks.join_next().await {
            finished.unwrap();
        }
    });
    done.await.expect("nobody waits for a timer");
    let client = server.connect().await;
    assert_eq!(client.get("n").await.unwrap(), Some("200".into()));
    eventually("all keys are gone", async || client.exists("lk:l").await.unwrap() == 0).await;
}

async fn loss_is_pushed_to_a_holder_that_watches(server: &Running) {
    let client = server.connect().await;
    let guard = client.lock("l").options(seldom().watch_at_once()).acquire().await.unwrap();
    client.del("lk:l").await.unwrap();
    let lost = timeout(Duration::from_secs(10), guard.lost()).await;
    assert_eq!(lost.expect("it was told"), LostCause::Deleted);

    let guard = client.lock("l").options(seldom().watch_at_once()).acquire().await.unwrap();
    client.set("lk:l", "theirs").await.unwrap();
    let lost = timeout(Duration::from_secs(10), guard.lost()).await;
    assert_eq!(lost.expect("it was told"), LostCause::TakenOver);
    client.del("lk:l").await.unwrap();

    let guard = client.lock("l").options(seldom().watch_at_once()).acquire().await.unwrap();
    client.command("FLUSHALL").send::<()>().await.unwrap();
    let lost = timeout(Duration::from_secs(10), guard.lost()).await;
    assert_eq!(lost.expect("it was told"), LostCause::Deleted);
}

async fn key_is_watched_again_after_a_renewal(server: &Running) {
    let client = server.connect().await;
    let lease = Duration::from_millis(1_500);
    let guard = client.lock("l").options(Options::new().lease(lease)).acquire().await.unwrap();
    // One renewal, a third of the lease after the acquire; the next is as far away.
    tokio::time::sleep(lease / 3 + Duration::from_millis(100)).await;
    let begun = Instant::now();
    client.del("lk:l").await.unwrap();
    assert_eq!(guard.lost().await, LostCause::Deleted);
    assert!(begun.elapsed() < Duration::from_millis(300), "{:?}", begun.elapsed());
}

async fn holder_that_asks_is_told_whether_it_still_holds(server: &Running) {
    let client = server.connect().await;
    for renewal in [Renewal::Auto, Renewal::Off] {
        let guard = client.lock("l").options(seldom().renewal(renewal)).acquire().await.unwrap();
        guard.verify().await.unwrap();
        client.del("lk:l").await.unwrap();
        let error = guard.verify().await.unwrap_err();
        assert!(matches!(error, CheckError::Lost(LostCause::Deleted)), "{error:?}");
    }
}
