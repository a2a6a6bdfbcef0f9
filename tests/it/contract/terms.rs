//! Locks that stay for a while: at least for so long, after a loss, and only where there are copies.

use crate::support::{Access, Running};
use std::time::{Duration, Instant};
use tenure::client::Ttl;
use tenure::{AcquireError, Durability, LostCause, Options, Renewal};

const ACCESS: Access = Access::OPEN;
const MS: Duration = Duration::from_millis(1);

on_every_server! {
    lock_stays_taken_for_its_shortest_time
    lock_that_was_held_for_long_enough_is_free_at_once
    guard_that_is_dropped_and_client_that_is_closed_keep_the_shortest_time
    lock_of_a_holder_that_went_silent_is_free_only_after_the_delay
    lock_with_a_delay_that_is_released_is_free_at_once
    lock_without_the_copies_asked_for_is_given_back
}

async fn lock_stays_taken_for_its_shortest_time(server: &Running) {
    let (ours, theirs) = (server.connect().await, server.connect().await);
    let options = Options::new().at_least_for(400 * MS);
    let begun = Instant::now();
    let guard = ours.lock("l").options(options).acquire().await.unwrap();
    let holder = theirs.lock("l").inspect().await.unwrap().unwrap().holder().clone();
    guard.release().await.unwrap();
    assert!(begun.elapsed() < 300 * MS, "the release itself does not wait");
    let seen = theirs.lock("l").inspect().await.unwrap().expect("the key is there");
    assert_eq!(seen.holder(), &holder);
    let Ttl::Left(left) = seen.ttl() else { panic!("{seen:?}") };
    assert!(left <= 400 * MS, "{left:?}");
    assert!(ours.lock("l").try_acquire().await.unwrap().is_none());
    let next = theirs.lock("l").acquire_for(Duration::from_secs(10)).await.unwrap();
    assert!(begun.elapsed() >= 400 * MS);
    next.release().await.unwrap();
}

async fn lock_that_was_held_for_long_enough_is_free_at_once(server: &Running) {
    let client = server.connect().await;
    let options = Options::new().at_least_for(50 * MS);
    let guard = client.lock("l").options(options).acquire().await.unwrap();
    tokio::time::sleep(51 * MS).await;
    guard.release().await.unwrap();
    assert_eq!(client.exists("lk:l").await.unwrap(), 0);
}

async fn guard_that_is_dropped_and_client_that_is_closed_keep_the_shortest_time(server: &Running) {
    let (ours, theirs) = (server.connect().await, server.connect().await);
    let options = Options::new().at_least_for(Duration::from_secs(60));
    drop(ours.lock("a").options(options.clone()).acquire().await.unwrap());
    let _held = ours.lock("b").options(options).acquire().await.unwrap();
    ours.close(Duration::from_secs(5)).await;
    for name in ["lk:a", "lk:b"] {
        let Ttl::Left(left) = theirs.pttl(name).await.unwrap() else { panic!("{name} is gone") };
        assert!(left > Duration::from_secs(50), "{name}: {left:?}");
    }
}

async fn lock_of_a_holder_that_went_silent_is_free_only_after_the_delay(server: &Running) {
    let (ours, theirs) = (server.connect().await, server.connect().await);
    let options = Options::new().lease(100 * MS).lock_delay(300 * MS).renewal(Renewal::Off);
    let begun = Instant::now();
    let guard = ours.lock("l").options(options).acquire().await.unwrap();
    assert!(guard.validity() <= 100 * MS, "the delay is not the holder's");
    let next = theirs.lock("l").acquire_for(Duration::from_secs(10)).await.unwrap();
    assert!(begun.elapsed() >= 400 * MS, "{:?}", begun.elapsed());
    assert_eq!(guard.lost().await, LostCause::Expired);
    drop(guard);
    next.verify().await.unwrap();
}

async fn lock_with_a_delay_that_is_released_is_free_at_once(server: &Running) {
    let client = server.connect().await;
    let options = Options::new().lock_delay(Duration::from_secs(60));
    let guard = client.lock("l").options(options).acquire().await.unwrap();
    guard.verify().await.unwrap();
    let Ttl::Left(left) = client.pttl("lk:l").await.unwrap() else { panic!("no lease") };
    assert!(left > Duration::from_secs(65), "renewals keep the delay: {left:?}");
    guard.release().await.unwrap();
    assert_eq!(client.exists("lk:l").await.unwrap(), 0);
}

/// There are no replicas here; `tests/it/copies.rs` has some.
async fn lock_without_the_copies_asked_for_is_given_back(server: &Running) {
    let client = server.connect().await;
    let wanted = Durability::Replicas { count: 1, timeout: 50 * MS };
    let options = Options::new().durability(wanted);
    let lock = client.lock("l").options(options.clone());
    let all = client.lock_all(["l", "m"]).options(&options);
    let any = client.lock_any(["l", "m"]).options(&options);
    for error in [
        lock.acquire().await.unwrap_err(),
        lock.try_acquire().await.unwrap_err(),
        all.acquire().await.unwrap_err(),
        all.try_acquire().await.unwrap_err(),
        any.acquire().await.unwrap_err(),
    ] {
        assert!(matches!(error, AcquireError::NotDurable { replicas: 0, .. }), "{error:?}");
        assert_eq!(error.to_string(), "0 of 1 replicas have a copy of the lock after 50ms");
        assert_eq!(client.exists(["lk:l", "lk:m"]).await.unwrap(), 0);
    }
    let none = Options::new().durability(Durability::Replicas { count: 0, timeout: 50 * MS });
    client.lock("l").options(none).acquire().await.unwrap().release().await.unwrap();

    // Nothing is written to disk here, and servers before 7.2 do not know the command.
    let disk = Durability::Disk { replicas: 0, timeout: 50 * MS };
    let error = client.lock("l").options(Options::new().durability(disk)).acquire().await;
    assert!(matches!(error, Err(AcquireError::Client(_))), "{error:?}");
    assert_eq!(client.exists("lk:l").await.unwrap(), 0);
}
