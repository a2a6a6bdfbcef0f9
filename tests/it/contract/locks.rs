//! The lock: acquire, release, time-out, renewal, expiry, foreign holders, forced releases.

use crate::support::{Access, Running, eventually, poll_once};
use std::time::{Duration, Instant};
use tenure::{AcquireError, Client, LostCause, Options, ReleaseError, Renewal};

const ACCESS: Access = Access::OPEN;

on_every_server! {
    lock_excludes_others_until_it_is_released
    lock_excludes_others_until_it_is_dropped
    counter_loses_no_update_among_five_clients
    waiter_gives_up_no_sooner_than_told_and_says_who_holds_the_lock
    lock_without_renewal_ends_with_its_lease
    renewed_lock_outlives_its_lease
    lock_that_was_deleted_is_lost_and_cannot_be_released
    release_and_renewal_leave_another_owners_lock_alone
    key_that_holds_data_is_reported_and_left_alone
    foreign_lock_without_prefix_is_respected
    abandoned_acquire_leaves_nothing_behind
    forced_release_ends_exactly_what_was_looked_at
    close_releases_what_is_held
    senseless_names_and_leases_are_refused_before_anything_is_sent
    script_that_the_server_forgot_is_sent_again
}

fn short() -> Options {
    Options::new().lease(Duration::from_millis(300))
}

async fn lock_excludes_others_until_it_is_released(server: &Running) {
    let (ours, theirs) = (server.connect().await, server.connect().await);
    let guard = ours.lock("l").try_acquire().await.unwrap().expect("free");
    assert!(guard.is_held());
    assert!(guard.validity() > Duration::from_secs(8));
    assert_eq!(guard.key(), "lk:l");
    assert!(theirs.lock("l").try_acquire().await.unwrap().is_none());
    guard.release().await.unwrap();
    assert_eq!(ours.exists("lk:l").await.unwrap(), 0);
    assert!(theirs.lock("l").try_acquire().await.unwrap().is_some());
}

async fn lock_excludes_others_until_it_is_dropped(server: &Running) {
    let (ours, theirs) = (server.connect().await, server.connect().await);
    let guard = ours.lock("l").acquire().await.unwrap();
    assert!(theirs.lock("l").try_acquire().await.unwrap().is_none());
    drop(guard);
    let guard = theirs.lock("l").acquire_for(Duration::from_secs(5)).await.unwrap();
    assert!(guard.is_held());
}

async fn counter_loses_no_update_among_five_clients(server: &Running) {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let client = server.connect().await;
        tasks.spawn(async move {
            for _ in 0..10 {
                let guard = client.lock("l").acquire().await.unwrap();
                let count: Option<i64> = client.command("GET").arg("n").send().await.unwrap();
                tokio::task::yield_now().await;
                client.set("n", count.unwrap_or(0) + 1).await.unwrap();
                guard.release().await.unwrap();
            }
        });
    }
    while let Some(finished) = tasks.join_next().await {
        finished.unwrap();
    }
    let client = server.connect().await;
    assert_eq!(client.get("n").await.unwrap(), Some("50".into()));
    assert_eq!(client.exists("lk:l").await.unwrap(), 0);
}

async fn waiter_gives_up_no_sooner_than_told_and_says_who_holds_the_lock(server: &Running) {
    let (ours, theirs) = (server.connect().await, server.connect().await);
    let options = Options::new().label("billing").purpose("nightly close");
    let _guard = ours.lock("l").options(options).acquire().await.unwrap();
    let (begun, timeout) = (Instant::now(), Duration::from_millis(100));
    let error = theirs.lock("l").acquire_for(timeout).await.unwrap_err();
    assert!(begun.elapsed() >= timeout);
    let text = error.to_string();
    assert!(text.starts_with("exceeded timeout of 100ms: held by billing "), "{text}");
    assert!(text.contains("'nightly close'") && text.contains("left of its lease"), "{text}");
    let AcquireError::TimedOut { waited, holder, lease_left, .. } = error else { panic!("{text}") };
    assert!(waited >= timeout);
    let holder = holder.unwrap();
    assert_eq!((holder.label(), holder.pid()), ("billing", Some(std::process::id())));
    assert!(lease_left.unwrap() > Duration::from_secs(5));
    assert!(theirs.lock("l").acquire_for(Duration::ZERO).await.is_err());
}

async fn lock_without_renewal_ends_with_its_lease(server: &Running) {
    let (ours, theirs) = (server.connect().await, server.connect().await);
    let guard = ours.lock("l").options(short().renewal(Renewal::Off)).acquire().await.unwrap();
    let next = theirs.lock("l").acquire_for(Duration::from_secs(5)).await.unwrap();
    assert!(!guard.is_held(), "we let go before the server does");
    assert_eq!(guard.validity(), Duration::ZERO);
    assert_eq!(guard.lost().await, LostCause::Expired);
    let released = guard.release().await;
    assert!(matches!(released, Err(ReleaseError::Lost)), "{released:?}");
    assert!(next.is_held());
}

/// Waits until the lease of the lock has begun anew.
async fn is_renewed(client: &Client) {
    let mut least = i64::MAX;
    eventually("it is renewed", async || {
        let left: i64 = client.command("PTTL").arg("lk:l").send().await.unwrap();
        let renewed = left > least;
        least = least.min(left);
        renewed
    })
    .await;
}

async fn renewed_lock_outlives_its_lease(server: &Running) {
    let (ours, theirs) = (server.connect().await, server.connect().await);
    let (lease, begun) = (Duration::from_secs(2), Instant::now());
    let guard = ours.lock("l").options(Options::new().lease(lease)).acquire().await.unwrap();
    let lock = theirs.lock("l");
    let mut next = Box::pin(lock.acquire());
    while begun.elapsed() <= lease {
        assert!(poll_once(&mut next).await.is_pending());
        is_renewed(&ours).await;
    }
    assert!(poll_once(&mut next).await.is_pending() && guard.is_held());
    guard.release().await.unwrap();
    next.await.unwrap().release().await.unwrap();
}

async fn lock_that_was_deleted_is_lost_and_cannot_be_released(server: &Running) {
    let client = server.connect().await;
    let guard = client.lock("l").options(short()).acquire().await.unwrap();
    assert_eq!(client.del("lk:l").await.unwrap(), 1);
    assert_eq!(guard.lost().await, LostCause::Deleted);
    assert!(!guard.is_held());
    assert!(matches!(guard.release().await, Err(ReleaseError::Lost)));

    let guard = client.lock("l").acquire().await.unwrap();
    client.del("lk:l").await.unwrap();
    assert!(matches!(guard.release().await, Err(ReleaseError::Lost)));
}

async fn release_and_renewal_leave_another_owners_lock_alone(server: &Running) {
    let client = server.connect().await;
    let releasing = client.lock("l").acquire().await.unwrap();
    let dropped = client.lock("m").acquire().await.unwrap();
    let renewing = client.lock("n").options(short()).acquire().await.unwrap();
    client.mset([("lk:l", "theirs"), ("lk:m", "theirs"), ("lk:n", "theirs")]).await.unwrap();
    assert!(matches!(releasing.release().await, Err(ReleaseError::Lost)));
    drop(dropped);
    assert_eq!(renewing.lost().await, LostCause::TakenOver);
    // Whatever the drop sent went before this on the lock connection.
    client.lock("o").acquire().await.unwrap().release().await.unwrap();
    let left = client.mget(["lk:l", "lk:m", "lk:n"]).await.unwrap();
    assert_eq!(left, vec![Some("theirs".into()); 3]);
}

async fn key_that_holds_data_is_reported_and_left_alone(server: &Running) {
    let client = server.connect().await;
    client.command("LPUSH").arg(("lk:l", "data")).send::<()>().await.unwrap();
    let error = client.lock("l").acquire().await.unwrap_err();
    assert!(matches!(error, AcquireError::KeyInUse { .. }), "{error:?}");
    assert!(error.to_string().contains("key 'lk:l' holds data that is not a lock"), "{error}");
    let error = client.lock("l").inspect().await.unwrap_err();
    assert_eq!(error.server().unwrap().code(), "WRONGTYPE");
    assert!(error.to_string().starts_with("key 'lk:l' holds data that is not a lock: WRONGTYPE"));
    assert_eq!(client.command("LLEN").arg("lk:l").send::<i64>().await.unwrap(), 1);
}

async fn foreign_lock_without_prefix_is_respected(server: &Running) {
    let client = server.connect().await;
    client.set("job", "another library's value").await.unwrap();
    let lock = client.lock("job").options(Options::new().key_prefix(""));
    let error = lock.acquire_for(Duration::from_millis(50)).await.unwrap_err();
    let AcquireError::TimedOut { holder, lease_left, .. } = error else { panic!("{error:?}") };
    assert!(!holder.unwrap().is_known());
    assert_eq!(lease_left, None);
    client.del("job").await.unwrap();
    assert_eq!(lock.acquire().await.unwrap().key(), "job");
}

async fn abandoned_acquire_leaves_nothing_behind(server: &Running) {
    let client = server.connect().await;
    client.lock("warm").acquire().await.unwrap().release().await.unwrap();
    for _ in 0..50 {
        let lock = client.lock("l");
        let mut acquiring = Box::pin(lock.acquire());
        // One poll sends the command; then the caller goes.
        let _ = poll_once(&mut acquiring).await;
        drop(acquiring);
        // What it undoes with goes before this on the lock connection.
        let guard = client.lock("l").try_acquire().await.unwrap();
        guard.expect("nothing was left behind").release().await.unwrap();
    }
    assert_eq!(client.exists("lk:l").await.unwrap(), 0);
}

async fn forced_release_ends_exactly_what_was_looked_at(server: &Running) {
    let (ours, theirs) = (server.connect().await, server.connect().await);
    let guard = ours.lock("l").options(Options::new().label("stuck")).acquire().await.unwrap();
    let lock = theirs.lock("l");
    let seen = lock.inspect().await.unwrap().expect("held");
    assert_eq!(seen.holder().label(), "stuck");
    assert!(lock.force_release(&seen).await.unwrap());
    let next = theirs.lock("l").try_acquire().await.unwrap().expect("free");
    assert!(!lock.force_release(&seen).await.unwrap(), "another hold than the one that was seen");
    assert!(next.is_held());
    assert!(matches!(guard.release().await, Err(ReleaseError::Lost)));
    next.release().await.unwrap();
    assert!(lock.inspect().await.unwrap().is_none());
}

async fn close_releases_what_is_held(server: &Running) {
    let (client, other) = (server.connect().await, server.connect().await);
    let guards =
        [client.lock("a").acquire().await.unwrap(), client.lock("b").acquire().await.unwrap()];
    client.close(Duration::from_secs(5)).await;
    assert_eq!(other.exists(["lk:a", "lk:b"]).await.unwrap(), 0);
    assert!(guards.iter().all(|guard| !guard.is_held()));
    assert_eq!(guards[0].lost().await, LostCause::Closed);
    assert!(matches!(client.lock("a").acquire().await, Err(AcquireError::Closed)));
    assert!(client.get("k").await.unwrap_err().is_closed());
}

async fn senseless_names_and_leases_are_refused_before_anything_is_sent(server: &Running) {
    let client = server.connect().await;
    let lease = |lease| Options::new().lease(lease);
    for (name, options, part) in [
        ("", Options::new(), "name"),
        ("a{b", Options::new(), "brace"),
        ("a}b", Options::new(), "brace"),
        ("l", lease(Duration::ZERO), "at least one millisecond"),
        ("l", lease(Duration::from_nanos(1)), "at least one millisecond"),
        ("l", lease(Duration::MAX), "at most"),
    ] {
        let error = client.lock(name).options(options).acquire().await.unwrap_err();
        let AcquireError::Client(error) = error else { panic!("{name}: {error:?}") };
        assert!(error.to_string().contains(part), "{name}: {error}");
        assert_eq!(error.outcome(), tenure::Outcome::NotSent);
    }
}

async fn script_that_the_server_forgot_is_sent_again(server: &Running) {
    let client = server.connect().await;
    let forget = async |client: &Client| {
        client.command("SCRIPT").arg("FLUSH").send::<()>().await.unwrap();
    };
    let guard = client.lock("l").acquire().await.unwrap();
    forget(&client).await;
    guard.release().await.unwrap();

    let lease = Options::new().lease(Duration::from_millis(1_500));
    let renewed = client.lock("l").options(lease).acquire().await.unwrap();
    forget(&client).await;
    is_renewed(&client).await;
    assert!(renewed.is_held());
    forget(&client).await;
    drop(renewed);
    eventually("the dropped guard's key is gone", async || {
        client.exists("lk:l").await.unwrap() == 0
    })
    .await;
}
