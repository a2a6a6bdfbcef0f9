//! Fair locks: one line for all processes, served in order; whoever has gone is passed over.

use crate::support::{Access, Running, eventually, poll_once};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tenure::{Client, Config, Guard, Lock, LostCause, Options, ProtocolChoice, Renewal};
use tokio::task::JoinSet;

const ACCESS: Access = Access::OPEN;
const LONG: Duration = Duration::from_secs(10);

on_every_server! {
    fair_lock_excludes_others_and_leaves_nothing
    processes_are_served_in_the_order_of_coming
    nobody_is_overtaken_where_the_clock_is_set_back
    counter_loses_no_update_in_a_crowd
    whoever_leaves_is_passed_over_and_hands_on_what_it_was_given
    process_that_has_gone_is_passed_over_at_once
    line_moves_on_when_a_holder_has_died
    line_forms_anew_after_everything_was_flushed
    script_that_the_server_forgot_is_sent_again
    fences_rise_along_the_line
    held_lock_is_renewed_and_its_loss_is_told
    attempts_and_time_outs_leave_the_line
    waiters_without_pushes_ask_for_their_turn
    keys_share_the_slot_of_the_lock
    stolen_lock_goes_on_along_the_line
    inbox_is_closed_after_a_while
    client_that_closes_leaves_nothing
}

pub(super) fn fair(client: &Client) -> Lock {
    client.lock("l").options(patient()).fair()
}

/// Waits that end within a test can only have been ended by being told.
fn patient() -> Options {
    let never = Duration::from_secs(60);
    Options::new().lease(never).backoff(tenure::Backoff::new(never, 1.0, never))
}

fn short() -> Options {
    Options::new().lease(Duration::from_millis(300))
}

pub(super) async fn in_line(client: &Client) -> i64 {
    client.command("ZCARD").arg("{lk:l}:q").send().await.unwrap()
}

/// Begins to wait, and returns once it stands in line as number `place`.
pub(super) async fn stand(
    lock: Lock,
    client: &Client,
    place: i64,
) -> tokio::task::JoinHandle<Guard> {
    let waiting = tokio::spawn(async move { lock.acquire_for(LONG).await.unwrap() });
    eventually("it stands in line", async || in_line(client).await == place).await;
    waiting
}

/// Waits for three renewals, of which the first may be the confirmation of a grant. A hold that is not renewed has ever less time.
async fn renewed(guard: &Guard) {
    for _ in 0..3 {
        let mut last = guard.validity();
        eventually("it is renewed", async || {
            guard.validity() > std::mem::replace(&mut last, guard.validity())
        })
        .await;
    }
}

async fn nothing_is_left(client: &Client) {
    eventually("nothing is left", async || {
        client.exists(["lk:l", "{lk:l}:q", "{lk:l}:w"]).await.unwrap() == 0
    })
    .await;
}

async fn fair_lock_excludes_others_and_leaves_nothing(server: &Running) {
    let (ours, theirs) = (server.connect().await, server.connect().await);
    let guard = fair(&ours).try_acquire().await.unwrap().expect("free");
    assert!(guard.validity() > Duration::from_secs(50));
    assert!(fair(&theirs).try_acquire().await.unwrap().is_none());
    assert!(theirs.lock("l").try_acquire().await.unwrap().is_none());
    guard.release().await.unwrap();
    nothing_is_left(&ours).await;
    drop(fair(&theirs).acquire().await.unwrap());
    nothing_is_left(&ours).await;
    let plain = ours.lock("l").acquire().await.unwrap();
    assert!(fair(&theirs).try_acquire().await.unwrap().is_none());
    plain.release().await.unwrap();
}

async fn processes_are_served_in_the_order_of_coming(server: &Running) {
    let clients = [server.connect().await, server.connect().await, server.connect().await];
    let held = fair(&clients[0]).acquire().await.unwrap();
    let (order, mut tasks) = (Arc::new(Mutex::new(Vec::new())), Vec::new());
    for number in 0..15 {
        let lock = fair(&clients[[0, 1, 2, 1, 0][number % 5]]);
        let order = Arc::clone(&order);
        tasks.push(tokio::spawn(async move {
            let guard = lock.acquire_for(LONG).await.unwrap();
            assert!(guard.is_held());
            order.lock().unwrap().push(number);
            guard.release().await.unwrap();
        }));
        let place = i64::try_from(number).unwrap() + 1;
        eventually("it stands in line", async || in_line(&clients[0]).await == place).await;
    }
    held.release().await.unwrap();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), (0..15).collect::<Vec<_>>());
    nothing_is_left(&clients[0]).await;
}

async fn nobody_is_overtaken_where_the_clock_is_set_back(server: &Running) {
    let (ours, theirs) = (server.connect().await, server.connect().await);
    let held = fair(&ours).acquire().await.unwrap();
    let first = stand(fair(&theirs), &ours, 1).await;
    // It came when the clock was ahead.
    let places = ours.command("ZRANGE").arg(("{lk:l}:q", 0, 0)).send::<Vec<String>>();
    let place = places.await.unwrap().remove(0);
    let ahead = 8_000_000_000_000_000_i64;
    ours.command("ZADD").arg(("{lk:l}:q", ahead, place)).send::<i64>().await.unwrap();
    let last = stand(fair(&ours), &ours, 2).await;
    held.release().await.unwrap();
    let guard = first.await.unwrap();
    assert!(!last.is_finished());
    guard.release().await.unwrap();
    last.await.unwrap().release().await.unwrap();
    nothing_is_left(&ours).await;
}

async fn counter_loses_no_update_in_a_crowd(server: &Running) {
    let (mut tasks, inside) = (JoinSet::new(), Arc::new(Mutex::new(0)));
    for _ in 0..4 {
        let client = server.connect().await;
        for _ in 0..4 {
            let (lock, inside) = (fair(&client), Arc::clone(&inside));
            tasks.spawn(async move {
                for _ in 0..10 {
                    let guard = lock.acquire_for(LONG).await.unwrap();
                    *inside.lock().unwrap() += 1;
                    tokio::task::yield_now().await;
                    let there = std::mem::take(&mut *inside.lock().unwrap());
                    assert_eq!(there, 1, "two hold it");
                    guard.release().await.unwrap();
                }
            });
        }
    }
    while let Some(finished) = tasks.join_next().await {
        finished.unwrap();
    }
    nothing_is_left(&server.connect().await).await;
}

async fn whoever_leaves_is_passed_over_and_hands_on_what_it_was_given(server: &Running) {
    let (ours, theirs) = (server.connect().await, server.connect().await);
    for early in [true, false] {
        let held = fair(&ours).acquire().await.unwrap();
        let first = stand(fair(&theirs), &ours, 1).await;
        let last = stand(fair(&ours), &ours, 2).await;
        if early {
            first.abort();
            eventually("it has left the line", async || in_line(&ours).await == 1).await;
            held.release().await.unwrap();
        } else {
            // The grant and the leaving cross each other.
            held.release().await.unwrap();
            first.abort();
        }
        drop(first);
        let begun = Instant::now();
        last.await.unwrap().release().await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(1), "early {early}");
        nothing_is_left(&ours).await;
    }
}

async fn process_that_has_gone_is_passed_over_at_once(server: &Running) {
    let (ours, theirs) = (server.connect().await, server.connect().await);
    let held = fair(&ours).acquire().await.unwrap();
    // Its process dies with all that it has: no one says that it leaves the line.
    let value = "1;00000000000000000000000000;;;1;1;";
    let inbox = "lk:i:0000000000000000";
    let place = format!("2000;0;{inbox};7;{value}");
    ours.command("ZADD").arg(("{lk:l}:q", 1, place)).send::<i64>().await.unwrap();
    let alive = 99_999_999_999_999_999_i64;
    ours.command("HSET").arg(("{lk:l}:w", inbox, alive)).send::<i64>().await.unwrap();
    // Another one has not been heard of for too long.
    let old = "1;00000000000000000000000001;;;1;1;";
    let place = format!("2000;0;lk:i:0000000000000001;7;{old}");
    ours.command("ZADD").arg(("{lk:l}:q", 2, place)).send::<i64>().await.unwrap();
    ours.command("HSET").arg(("{lk:l}:w", old, 5)).send::<i64>().await.unwrap();
    let last = stand(fair(&theirs), &ours, 3).await;
    let begun = Instant::now();
    held.release().await.unwrap();
    last.await.unwrap().release().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1));
    nothing_is_left(&ours).await;
}

async fn line_moves_on_when_a_holder_has_died(server: &Running) {
    let (ours, theirs) = (server.connect().await, server.connect().await);
    let dead = ours.lock("l").options(short().renewal(Renewal::Off)).fair();
    std::mem::forget(dead.acquire().await.unwrap());
    let first = stand(fair(&theirs), &ours, 1).await;
    let last = stand(fair(&ours), &ours, 2).await;
    let begun = Instant::now();
    let guard = first.await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(2), "within the lease");
    assert!(!last.is_finished());
    guard.release().await.unwrap();
    last.await.unwrap().release().await.unwrap();
    nothing_is_left(&ours).await;
}

async fn line_forms_anew_after_everything_was_flushed(server: &Running) {
    let (ours, theirs) = (server.connect().await, server.connect().await);
    let held = fair(&ours).acquire().await.unwrap();
    let mut tasks = Vec::new();
    for place in 1..=4 {
        let client = if place % 2 == 0 { &ours } else { &theirs };
        tasks.push(stand(fair(client), &ours, place).await);
    }
    ours.command("FLUSHALL").send::<()>().await.unwrap();
    let cause = held.lost().await;
    assert!(matches!(cause, LostCause::Deleted | LostCause::TakenOver), "{cause:?}");
    drop(held);
    let (done, mut waiting) = (Arc::new(Mutex::new(0)), JoinSet::new());
    for task in tasks {
        let done = Arc::clone(&done);
        waiting.spawn(async move {
            task.await.unwrap().release().await.unwrap();
            *done.lock().unwrap() += 1;
        });
    }
    while let Some(finished) = waiting.join_next().await {
        finished.unwrap();
    }
    assert_eq!(*done.lock().unwrap(), 4);
    nothing_is_left(&ours).await;
}

async fn script_that_the_server_forgot_is_sent_again(server: &Running) {
    let (ours, theirs) = (server.connect().await, server.connect().await);
    let forget = async || ours.command("SCRIPT").arg("FLUSH").send::<()>().await.unwrap();
    forget().await;
    let held = fair(&ours).acquire().await.unwrap();
    forget().await;
    let next = stand(fair(&theirs), &ours, 1).await;
    forget().await;
    held.release().await.unwrap();
    forget().await;
    let guard = next.await.unwrap();
    assert!(guard.is_held());
    guard.release().await.unwrap();
    nothing_is_left(&ours).await;
}

async fn fences_rise_along_the_line(server: &Running) {
    let clients = [server.connect().await, server.connect().await];
    let tokens = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = JoinSet::new();
    for number in 0..8 {
        let (lock, tokens) = (fair(&clients[number % 2]).fenced(), Arc::clone(&tokens));
        tasks.spawn(async move {
            for _ in 0..5 {
                let guard = lock.acquire_for(LONG).await.unwrap();
                tokens.lock().unwrap().push(guard.token());
                guard.release().await.unwrap();
            }
        });
    }
    while let Some(finished) = tasks.join_next().await {
        finished.unwrap();
    }
    let tokens = tokens.lock().unwrap().clone();
    assert!(tokens.is_sorted_by(|one, other| one < other), "{tokens:?}");
    nothing_is_left(&clients[0]).await;
}

async fn held_lock_is_renewed_and_its_loss_is_told(server: &Running) {
    let (ours, theirs) = (server.connect().await, server.connect().await);
    let held = ours.lock("l").options(short()).fair().acquire().await.unwrap();
    let waiting = theirs.lock("l").options(short()).fair();
    let mut next = Box::pin(waiting.acquire_for(LONG));
    tokio::select! {
        _ = &mut next => panic!("the lock is held"),
        () = renewed(&held) => {}
    }
    held.release().await.unwrap();
    let guard = next.await.unwrap();
    renewed(&guard).await; // what was given is, too
    ours.del("lk:l").await.unwrap();
    assert_eq!(guard.lost().await, LostCause::Deleted);
    drop(guard);
    nothing_is_left(&ours).await;
}

async fn attempts_and_time_outs_leave_the_line(server: &Running) {
    let (ours, theirs) = (server.connect().await, server.connect().await);
    let held = fair(&ours).acquire().await.unwrap();
    assert!(fair(&theirs).try_acquire().await.unwrap().is_none());
    assert_eq!(in_line(&ours).await, 0, "whoever only tries stands in no line");
    let error = fair(&theirs).acquire_for(Duration::from_millis(50)).await.unwrap_err();
    assert!(error.to_string().contains("held by"), "{error}");
    eventually("it has left the line", async || in_line(&ours).await == 0).await;
    held.release().await.unwrap();
    nothing_is_left(&ours).await;
}

async fn waiters_without_pushes_ask_for_their_turn(server: &Running) {
    let old = async || -> Client {
        let config: Config = server.config().protocol(ProtocolChoice::Resp2);
        Client::with_config(config).await.unwrap()
    };
    let (ours, theirs) = (old().await, old().await);
    let lock = |client: &Client| client.lock("l").fair();
    let held = lock(&ours).acquire().await.unwrap();
    let first = stand(lock(&theirs), &ours, 1).await;
    let last = stand(lock(&ours), &ours, 2).await;
    held.release().await.unwrap();
    let guard = first.await.unwrap();
    assert!(guard.validity() > Duration::from_secs(9));
    assert!(!last.is_finished());
    guard.release().await.unwrap();
    last.await.unwrap().release().await.unwrap();
    nothing_is_left(&ours).await;
}

async fn keys_share_the_slot_of_the_lock(server: &Running) {
    let (ours, theirs) = (server.connect().await, server.connect().await);
    let lock = |client: &Client| client.lock("a{l}b").fair().fenced();
    let held = lock(&ours).acquire().await.unwrap();
    let waiting = lock(&theirs);
    let mut next = Box::pin(waiting.acquire());
    assert!(poll_once(&mut next).await.is_pending());
    let keys = ["lk:a{l}b", "lk:a{l}b:q", "lk:a{l}b:w", "lk:a{l}b:f"];
    eventually("all keys are there", async || ours.exists(keys).await.unwrap() == 4).await;
    for key in keys {
        assert!(ours.command("PTTL").arg(key).send::<i64>().await.unwrap() > 0, "{key}");
    }
    held.release().await.unwrap();
    next.await.unwrap().release().await.unwrap();
}

async fn stolen_lock_goes_on_along_the_line(server: &Running) {
    let (ours, theirs) = (server.connect().await, server.connect().await);
    let held = fair(&ours).acquire().await.unwrap();
    let first = stand(fair(&ours), &ours, 1).await;
    let thief = fair(&theirs);
    let seen = thief.inspect().await.unwrap().expect("held");
    let guard = thief.steal(&seen).await.unwrap().expect("it is what was seen");
    assert!(!first.is_finished());
    assert!(held.verify().await.is_err(), "it was taken over");
    guard.release().await.unwrap();
    first.await.unwrap().release().await.unwrap();
    nothing_is_left(&ours).await;
}

async fn client_that_closes_leaves_nothing(server: &Running) {
    let (holder, waiter) = (server.connect().await, server.connect().await);
    let guard = fair(&holder).acquire().await.unwrap();
    let waiting = stand(fair(&waiter), &holder, 1).await;
    holder.close(LONG).await;
    assert_eq!(guard.lost().await, LostCause::Closed);
    let next = waiting.await.unwrap(); // by a lease of a minute that would be too late
    next.release().await.unwrap();
    let observer = server.connect().await;
    nothing_is_left(&observer).await;
}

async fn inbox_is_closed_after_a_while(server: &Running) {
    let (ours, theirs) = (server.connect().await, server.connect().await);
    let inboxes = async || {
        let asked = ours.command("PUBSUB").arg(("CHANNELS", "lk:i:*"));
        asked.send::<Vec<String>>().await.unwrap().len()
    };
    let held = fair(&ours).acquire().await.unwrap();
    assert_eq!(inboxes().await, 0, "whoever gets the lock at once listens to nothing");
    let next = stand(fair(&theirs), &ours, 1).await;
    eventually("it listens", async || inboxes().await == 1).await;
    held.release().await.unwrap();
    next.await.unwrap().release().await.unwrap();
    eventually("nobody listens", async || inboxes().await == 0).await;
}
