//! How waiters learn that a lock is free, in which order they get it, and what that costs. In process, on a paused clock.

use crate::support::{eventually, poll_once};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tenure::{AcquireError, Backoff, Client, Config, Lock, Options, Wakeup};
use tenure_server::{Profile, Server};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
const PROFILES: [Profile; 4] =
    [Profile::Redis6_2, Profile::Redis7_0, Profile::Redis8_4, Profile::Valkey9];

async fn connect(server: &Server) -> Client {
    let tick = 10 * MS;
    let config = Config::dialer(server.dialer()).reconnect(Backoff::new(tick, 1.0, tick));
    Client::with_config(config).await.unwrap()
}

fn woken_by(wakeup: Wakeup) -> Options {
    // Whoever polls, polls so seldom that nothing here sees it once in a hundred thousand times.
    let seldom = 1_000_000 * SECOND;
    Options::new().wakeup(wakeup).backoff(Backoff::new(seldom, 1.0, seldom))
}

/// Many tasks of several clients take turns; gives how often one of them had the lock while another had it.
async fn contend(clients: &[Client], tasks: usize, turns: usize, options: &Options) -> usize {
    let (inside, overlaps) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut set = JoinSet::new();
    for client in clients {
        for _ in 0..tasks {
            let lock = client.lock("l").options(options.clone());
            let (inside, overlaps) = (Arc::clone(&inside), Arc::clone(&overlaps));
            set.spawn(async move {
                for _ in 0..turns {
                    let guard = lock.acquire().await.unwrap();
                    overlaps.fetch_add(inside.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    inside.fetch_sub(1, Ordering::SeqCst);
                    drop(guard);
                    tokio::task::yield_now().await;
                }
            });
        }
    }
    while let Some(done) = set.join_next().await {
        done.unwrap();
    }
    overlaps.load(Ordering::SeqCst)
}

#[tokio::test(start_paused = true)]
async fn contending_processes_are_never_left_to_their_timers() {
    for profile in PROFILES {
        for wakeup in [Wakeup::Auto, Wakeup::Track, Wakeup::Announce] {
            let server = Server::new(profile);
            let mut clients = Vec::new();
            for _ in 0..8 {
                clients.push(connect(&server).await);
            }
            let begun = Instant::now();
            let overlaps = contend(&clients, 10, 10, &woken_by(wakeup)).await;
            assert_eq!(overlaps, 0, "{profile:?} {wakeup:?}");
            let took = begun.elapsed();
            assert!(took < SECOND / 2, "{profile:?} {wakeup:?}: {took:?}");
        }
    }
}

/// Requests that were received, by the first word of each.
fn asked(server: &Server) -> Vec<String> {
    server.log().iter().map(tenure_server::Logged::name).collect()
}

/// A task that waits for a lock, holds it for a moment and says when it had it.
fn wait(lock: Lock) -> tokio::task::JoinHandle<Instant> {
    tokio::spawn(async move {
        let guard = lock.acquire().await.unwrap();
        let had = Instant::now();
        guard.release().await.unwrap();
        had
    })
}

#[tokio::test(start_paused = true)]
async fn uncontended_lock_takes_two_commands_in_two_writes() {
    for profile in PROFILES {
        let (server, counting) = (Server::new(profile), crate::support::Counting::default());
        let client = Client::with_config(counting.config(&server)).await.unwrap();
        let lock = client.lock("l");
        lock.acquire().await.unwrap().release().await.unwrap();
        server.clear_log();
        let before = counting.writes();
        lock.acquire().await.unwrap().release().await.unwrap();
        let (commands, writes) = (asked(&server).len(), counting.writes() - before);
        let wanted = if profile == Profile::Redis6_2 { 4 } else { 2 };
        assert_eq!((commands, writes), (wanted, 2), "{profile:?}: {:?}", asked(&server));
    }
}

#[tokio::test(start_paused = true)]
async fn waiter_is_woken_by_the_release_of_another_process() {
    for profile in PROFILES {
        for wakeup in [Wakeup::Auto, Wakeup::Track, Wakeup::Announce] {
            let server = Server::new(profile);
            let (ours, theirs) = (connect(&server).await, connect(&server).await);
            let options = woken_by(wakeup);
            for _ in 0..3 {
                let guard = ours.lock("l").options(options.clone()).acquire().await.unwrap();
                let waiter = wait(theirs.lock("l").options(options.clone()));
                sleep(SECOND).await;
                let released = Instant::now();
                drop(guard);
                let had = waiter.await.unwrap();
                assert!(had - released < MS, "{profile:?} {wakeup:?}: {:?}", had - released);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn waiter_is_woken_when_the_key_is_deleted_or_everything_is_flushed() {
    for profile in PROFILES {
        for flush in [false, true] {
            let server = Server::new(profile);
            let client = connect(&server).await;
            server.set("lk:l", "another library's, for ever");
            let waiter = wait(client.lock("l").options(woken_by(Wakeup::Auto)));
            sleep(SECOND).await;
            let freed = Instant::now();
            if flush {
                server.flush();
            } else {
                server.del("lk:l");
            }
            assert!(waiter.await.unwrap() - freed < MS, "{profile:?}, flushed: {flush}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn waiter_is_woken_also_after_its_connection_was_replaced() {
    for wakeup in [Wakeup::Auto, Wakeup::Track, Wakeup::Announce] {
        let server = Server::new(Profile::Valkey9);
        let (ours, theirs) = (connect(&server).await, connect(&server).await);
        let guard = ours.lock("l").options(woken_by(wakeup)).acquire().await.unwrap();
        let waiter = wait(theirs.lock("l").options(woken_by(wakeup)));
        sleep(SECOND).await;
        server.kill_connections();
        sleep(SECOND).await;
        let released = Instant::now();
        guard.release().await.unwrap();
        assert!(waiter.await.unwrap() - released < MS, "{wakeup:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn waiter_that_cannot_hear_asks_at_intervals() {
    let server = Server::new(Profile::Redis7_0);
    let config = Config::dialer(server.dialer()).protocol(tenure::ProtocolChoice::Resp2);
    let client = Client::with_config(config).await.unwrap();
    server.set_for("lk:l", "theirs", 60 * SECOND);
    let options = Options::new().backoff(Backoff::new(100 * MS, 1.0, 100 * MS));
    let waiter = wait(client.lock("l").options(options));
    sleep(SECOND).await;
    let freed = Instant::now();
    server.del("lk:l");
    assert!(waiter.await.unwrap() - freed <= 100 * MS);
}

#[tokio::test(start_paused = true)]
async fn thousand_waiters_cost_the_server_next_to_nothing() {
    let server = Server::new(Profile::Valkey9);
    let (ours, theirs) = (connect(&server).await, connect(&server).await);
    let guard = ours.lock("l").acquire().await.unwrap();
    let waiters: Vec<_> = (0..1_000).map(|_| wait(theirs.lock("l"))).collect();
    sleep(SECOND).await;
    server.clear_log();
    sleep(60 * SECOND).await;
    let log = server.log();
    let commands = log.iter().filter(|entry| entry.name() != "PING").count();
    assert!(commands <= 60 + 36, "{commands} in a minute, of which the holder's renewals are 36");
    drop(guard);
    let mut order = Vec::new();
    for waiter in waiters {
        order.push(waiter.await.unwrap());
    }
    assert!(order.is_sorted(), "served in the order of coming");
    assert!(server.keys().is_empty());
}

#[tokio::test(start_paused = true)]
async fn lock_is_handed_over_within_the_process_with_a_token_of_its_own_each_time() {
    for profile in PROFILES {
        let server = Server::new(profile);
        let client = connect(&server).await;
        let guard = client.lock("l").acquire().await.unwrap();
        let waiters: Vec<_> = (0..5).map(|_| wait(client.lock("l"))).collect();
        sleep(MS).await;
        server.clear_log();
        drop(guard);
        for waiter in waiters {
            waiter.await.unwrap();
        }
        let log = server.log();
        assert_eq!(log.len(), 6, "{profile:?}: one command for each of five, and a release");
        let values: std::collections::BTreeSet<_> = log
            .iter()
            .flat_map(|entry| entry.args.clone())
            .filter(|arg| arg.starts_with(b"1;"))
            .collect();
        assert_eq!(values.len(), 6, "{profile:?}");
        assert!(server.keys().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn other_processes_get_their_turn_after_eight_hand_overs() {
    let server = Server::new(Profile::Valkey9);
    let (ours, theirs) = (connect(&server).await, connect(&server).await);
    let guard = ours.lock("l").acquire().await.unwrap();
    let many: Vec<_> = (0..40).map(|_| wait(ours.lock("l"))).collect();
    sleep(MS).await;
    let stranger = wait(theirs.lock("l"));
    sleep(MS).await;
    server.clear_log();
    drop(guard);
    stranger.await.unwrap();
    let served = many.iter().filter(|waiter| waiter.is_finished()).count();
    assert!(served <= 27, "{served} of ours went first");
    for waiter in many {
        waiter.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn lock_that_is_held_in_this_process_is_refused_without_asking() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    let options = Options::new().label("billing");
    let guard = client.lock("l").options(options).acquire().await.unwrap();
    server.clear_log();
    assert!(client.lock("l").try_acquire().await.unwrap().is_none());
    let error = client.lock("l").acquire_for(SECOND).await.unwrap_err();
    assert!(server.log().is_empty(), "{:?}", asked(&server));
    let AcquireError::TimedOut { holder: Some(holder), lease_left, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(holder.label(), "billing");
    assert!(lease_left.unwrap() > 8 * SECOND);
    drop(guard);
}

#[tokio::test(start_paused = true)]
async fn last_attempt_at_the_deadline_takes_what_nobody_told_of() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    server.set("lk:l", "for ever");
    let lock = client.lock("l").options(woken_by(Wakeup::Poll));
    let begun = Instant::now();
    let waiter = tokio::spawn(async move { lock.acquire_for(2 * SECOND).await });
    sleep(SECOND).await;
    server.del("lk:l");
    let guard = waiter.await.unwrap().unwrap();
    assert_eq!(begun.elapsed().as_millis(), 2_000);
    drop(guard);
}

#[tokio::test(start_paused = true)]
async fn waiters_that_go_leave_the_line_to_those_behind_them() {
    let server = Server::new(Profile::Valkey9);
    let (ours, theirs) = (connect(&server).await, connect(&server).await);
    let guard = theirs.lock("l").acquire().await.unwrap();
    let locks: Vec<_> = (0..4).map(|_| ours.lock("l")).collect();
    let mut waiting: Vec<_> = locks.iter().map(|lock| Box::pin(lock.acquire())).collect();
    for waiter in &mut waiting {
        assert!(poll_once(waiter).await.is_pending());
    }
    sleep(MS).await;
    drop(waiting.remove(0)); // the head
    drop(waiting.remove(1)); // one in the middle
    guard.release().await.unwrap();
    let first = waiting.remove(0).await.unwrap();
    let mut last = waiting.remove(0);
    assert!(poll_once(&mut last).await.is_pending());
    first.release().await.unwrap();
    last.await.unwrap().release().await.unwrap();
    assert!(server.keys().is_empty());
}

#[tokio::test(start_paused = true)]
async fn thousand_waiters_that_go_at_once_leave_nothing_behind() {
    for profile in [Profile::Redis6_2, Profile::Valkey9] {
        let server = Server::new(profile);
        let client = connect(&server).await;
        let guard = client.lock("l").acquire().await.unwrap();
        let waiters: Vec<_> = (0..1_000).map(|_| wait(client.lock("l"))).collect();
        sleep(MS).await;
        drop(guard);
        waiters.iter().for_each(tokio::task::JoinHandle::abort);
        eventually("all is over", async || server.keys().is_empty()).await;
        let next = client.lock("l").acquire_for(SECOND).await.unwrap();
        next.release().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn future_that_is_not_polled_keeps_nobody_from_the_server() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    server.set("lk:l", "theirs");
    let lock = client.lock("l");
    let mut asleep = Box::pin(lock.acquire());
    assert!(poll_once(&mut asleep).await.is_pending());
    sleep(MS).await;
    server.del("lk:l");
    sleep(MS).await;
    assert_eq!(server.keys(), ["lk:l"], "it has the lock, polled or not");
    let other = client.lock("l");
    let mut next = Box::pin(other.acquire());
    assert!(poll_once(&mut next).await.is_pending());
    drop(asleep);
    next.await.unwrap().release().await.unwrap();
    assert!(server.keys().is_empty());
}

#[tokio::test(start_paused = true)]
async fn announcements_stop_when_nobody_contends_any_more() {
    let server = Server::new(Profile::Valkey9);
    let clients = [connect(&server).await, connect(&server).await];
    contend(&clients, 10, 10, &Options::new()).await;
    assert!(asked(&server).contains(&"PUBLISH".to_owned()));
    sleep(3 * SECOND).await;
    server.clear_log();
    let guard = clients[0].lock("l").acquire().await.unwrap();
    guard.release().await.unwrap();
    assert_eq!(asked(&server), ["SET", "DELIFEQ"]);
}

#[tokio::test(start_paused = true)]
async fn grant_that_nobody_fetched_is_released_when_its_future_goes() {
    let server = Server::new(Profile::Valkey9);
    let (ours, theirs) = (connect(&server).await, connect(&server).await);
    let guard = theirs.lock("l").acquire().await.unwrap();
    let lock = ours.lock("l");
    let mut waiting = Box::pin(lock.acquire());
    assert!(poll_once(&mut waiting).await.is_pending());
    sleep(MS).await;
    guard.release().await.unwrap();
    sleep(MS).await;
    assert!(server.get("lk:l").is_some(), "the lock was granted to the one who waits");
    drop(waiting);
    sleep(MS).await;
    assert!(server.keys().is_empty(), "it never looked, and has gone");
}
