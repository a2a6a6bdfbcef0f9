//! Several locks at once: all of them or none, and any one of them. In process, on a paused clock.

use crate::support::{Counting, poll_once};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tenure::{AcquireError, CheckError, Client, Config, LostCause, Options, ReleaseError};
use tenure_server::{Logged, Profile, Server};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
const PROFILES: [Profile; 4] =
    [Profile::Redis6_2, Profile::Redis7_0, Profile::Redis8_4, Profile::Valkey9];

async fn connect(server: &Server) -> Client {
    Client::with_config(Config::dialer(server.dialer())).await.unwrap()
}

fn is_free(server: &Server, name: &str) -> bool {
    !server.keys().iter().any(|key| key == format!("lk:{name}").as_bytes())
}

#[tokio::test(start_paused = true)]
async fn all_are_taken_in_one_write_and_released_together() {
    for profile in PROFILES {
        let (server, counting) = (Server::new(profile), Counting::default());
        let client = Client::with_config(counting.config(&server)).await.unwrap();
        client.lock("warm").acquire().await.unwrap().release().await.unwrap();
        server.clear_log();
        let before = counting.writes();
        let guard = client.lock_all(["c", "a", "{x}b"]).acquire().await.unwrap();
        assert_eq!(counting.writes() - before, 1, "{profile:?}");
        let sets = server.log().iter().filter(|logged| logged.name() == "SET").count();
        assert_eq!(sets, 3, "{profile:?}");
        assert_eq!(guard.keys().collect::<Vec<_>>(), ["lk:a", "lk:c", "lk:{x}b"]);
        assert!(guard.is_held() && guard.validity() > 9 * SECOND);
        guard.check(SECOND).unwrap();
        guard.release().await.unwrap();
        assert!(server.keys().is_empty(), "{profile:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn single_attempt_takes_all_or_nothing() {
    let server = Server::new(Profile::Valkey9);
    let (ours, theirs) = (connect(&server).await, connect(&server).await);
    for held in ["a", "b", "c"] {
        let guard = theirs.lock(held).acquire().await.unwrap();
        assert!(ours.lock_all(["a", "b", "c"]).try_acquire().await.unwrap().is_none());
        sleep(MS).await;
        assert_eq!(server.keys().len(), 1, "only {held} is held");
        guard.release().await.unwrap();
    }
    let guard = ours.lock_all(["a", "b", "c"]).try_acquire().await.unwrap().expect("free");
    assert!(ours.lock_all(["c", "d"]).try_acquire().await.unwrap().is_none(), "also our own");
    drop(guard);
    sleep(MS).await;
    assert!(server.keys().is_empty());
}

#[tokio::test(start_paused = true)]
async fn waiting_for_one_keeps_those_before_it_and_none_behind() {
    let server = Server::new(Profile::Redis7_0);
    let (ours, theirs) = (connect(&server).await, connect(&server).await);
    let held = theirs.lock("b").acquire().await.unwrap();
    let all = ours.lock_all(["c", "b", "a"]);
    let mut waiting = Box::pin(all.acquire());
    assert!(timeout(60 * SECOND, &mut waiting).await.is_err());
    assert!(!is_free(&server, "a") && is_free(&server, "c"), "a is renewed, c is not kept");
    held.release().await.unwrap();
    let guard = timeout(SECOND, waiting).await.expect("it was told").unwrap();
    guard.release().await.unwrap();
    assert!(server.keys().is_empty());
}

#[tokio::test(start_paused = true)]
async fn patience_is_for_all_together_and_the_error_names_the_one_that_was_held() {
    let server = Server::new(Profile::Valkey9);
    let (ours, theirs) = (connect(&server).await, connect(&server).await);
    let [_b, _c] = [
        theirs.lock("b").options(Options::new().label("billing")).acquire().await.unwrap(),
        theirs.lock("c").acquire().await.unwrap(),
    ];
    let begun = Instant::now();
    let error = ours.lock_all(["a", "b", "c"]).acquire_for(2 * SECOND).await.unwrap_err();
    assert!(begun.elapsed() >= 2 * SECOND && begun.elapsed() < 2 * SECOND + 10 * MS);
    let AcquireError::TimedOut { key, timeout, waited, holder, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!((key.as_str(), timeout), ("lk:b", 2 * SECOND));
    assert!(waited >= timeout && holder.unwrap().label() == "billing");
    sleep(MS).await;
    assert!(is_free(&server, "a"), "nothing of ours is left");
}

/// Tasks of several clients lock pairs in all orders, again and again; nobody waits for ever, and nobody overlaps.
#[tokio::test(start_paused = true)]
async fn who_locks_the_same_in_other_orders_never_waits_in_a_circle() {
    for profile in PROFILES {
        let server = Server::new(profile);
        let inside: Arc<[AtomicUsize; 3]> = Arc::default();
        let mut tasks = JoinSet::new();
        for number in 0..9 {
            let (client, inside) = (connect(&server).await, Arc::clone(&inside));
            let names = [[0, 1], [1, 2], [2, 0]][number % 3];
            tasks.spawn(async move {
                let all = client.lock_all(names.map(|name| format!("n{name}")));
                for _ in 0..20 {
                    let guard = all.acquire().await.unwrap();
                    for name in names {
                        assert_eq!(inside[name].fetch_add(1, Ordering::SeqCst), 0, "overlap");
                    }
                    tokio::task::yield_now().await;
                    for name in names {
                        inside[name].fetch_sub(1, Ordering::SeqCst);
                    }
                    guard.release().await.unwrap();
                }
            });
        }
        let done = timeout(60 * SECOND, tasks.join_all()).await;
        assert!(done.is_ok(), "{profile:?}: somebody waits for ever");
        assert!(server.keys().is_empty(), "{profile:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn loss_of_one_is_told_with_its_key_and_keeps_no_other() {
    let server = Server::new(Profile::Redis6_2);
    let client = connect(&server).await;
    let options = Options::new().watch_at_once();
    let guard = client.lock_all(["a", "b", "c"]).options(&options).acquire().await.unwrap();
    client.del("lk:b").await.unwrap();
    assert_eq!(guard.lost().await, ("lk:b", LostCause::Deleted));
    assert!(!guard.is_held() && guard.validity().is_zero());
    assert!(matches!(guard.check(Duration::ZERO), Err(CheckError::Lost(LostCause::Deleted))));
    assert_eq!(guard.run(sleep(SECOND)).await, Err(LostCause::Deleted));
    assert!(matches!(guard.release().await, Err(ReleaseError::Lost)));
    assert!(server.keys().is_empty(), "the others are released");
}

#[tokio::test(start_paused = true)]
async fn guards_may_be_parted() {
    let server = Server::new(Profile::Valkey9);
    let guard = connect(&server).await.lock_all(["b", "a"]).acquire().await.unwrap();
    let [a, b]: [tenure::Guard; 2] = guard.into_guards().try_into().unwrap();
    a.release().await.unwrap();
    assert!(is_free(&server, "a") && !is_free(&server, "b") && b.is_held());
}

#[tokio::test(start_paused = true)]
async fn senseless_lists_are_refused_before_anything_is_sent() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    server.clear_log();
    let nothing: [&str; 0] = [];
    for (error, part) in [
        (client.lock_all(nothing).acquire().await.unwrap_err(), "no name"),
        (client.lock_all(["a", "b", "a"]).try_acquire().await.unwrap_err(), "'a' twice"),
        (client.lock_any(nothing).acquire().await.unwrap_err(), "no name"),
        (client.lock_all(["a", ""]).try_acquire().await.unwrap_err(), "needs a name"),
    ] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(server.log().iter().map(Logged::name).all(|name| name != "SET"));
    assert!(server.keys().is_empty());
}

#[tokio::test(start_paused = true)]
async fn any_gives_the_first_that_is_free_in_the_order_of_naming() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    let any = client.lock_any(["c", "a", "b"]);
    let guards = [any.acquire().await.unwrap(), any.acquire().await.unwrap()];
    assert_eq!([guards[0].key(), guards[1].key()], ["lk:c", "lk:a"]);
    let last = any.try_acquire().await.unwrap().expect("b is free");
    assert_eq!(last.key(), "lk:b");
    assert!(any.try_acquire().await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn any_waits_for_whichever_is_released_first() {
    for profile in PROFILES {
        let server = Server::new(profile);
        let (ours, theirs) = (connect(&server).await, connect(&server).await);
        let [a, b] =
            [theirs.lock("a").acquire().await.unwrap(), theirs.lock("b").acquire().await.unwrap()];
        let any = ours.lock_any(["a", "b"]);
        let mut waiting = Box::pin(any.acquire());
        assert!(timeout(30 * SECOND, &mut waiting).await.is_err());
        let begun = Instant::now();
        b.release().await.unwrap();
        let guard = waiting.await.unwrap();
        assert_eq!(guard.key(), "lk:b", "{profile:?}");
        assert!(begun.elapsed() < 10 * MS, "{profile:?}: {:?}", begun.elapsed());
        a.release().await.unwrap();
        sleep(SECOND).await;
        assert!(is_free(&server, "a"), "{profile:?}: nobody waits for it any more");
        guard.release().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn any_that_is_granted_two_releases_the_other() {
    let server = Server::new(Profile::Redis7_0);
    let (ours, theirs) = (connect(&server).await, connect(&server).await);
    let both = theirs.lock_all(["a", "b"]).acquire().await.unwrap();
    let any = ours.lock_any(["a", "b"]);
    let mut waiting = Box::pin(any.acquire());
    assert!(poll_once(&mut waiting).await.is_pending());
    sleep(SECOND).await;
    assert!(poll_once(&mut waiting).await.is_pending());
    drop(both);
    sleep(SECOND).await; // both are granted before anybody looks
    let guard = waiting.await.unwrap();
    sleep(MS).await;
    assert_eq!(server.keys().len(), 1, "only {} is held", guard.key());
}

#[tokio::test(start_paused = true)]
async fn any_gives_up_when_its_patience_is_over() {
    let server = Server::new(Profile::Valkey9);
    let (ours, theirs) = (connect(&server).await, connect(&server).await);
    let _both = theirs.lock_all(["a", "b"]).acquire().await.unwrap();
    let begun = Instant::now();
    let error = ours.lock_any(["a", "b"]).acquire_for(SECOND).await.unwrap_err();
    assert!(begun.elapsed() >= SECOND && begun.elapsed() < SECOND + 10 * MS);
    assert!(matches!(error, AcquireError::TimedOut { timeout: SECOND, .. }), "{error:?}");
}
