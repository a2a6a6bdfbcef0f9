//! What operators do: list locks, follow one, and take one from exactly the hold that was looked at.

use crate::support::{Access, Running, poll_once};
use std::time::Duration;
use tenure::lock::{LockState, Watching};
use tenure::{Client, Lock, LostCause, Options, ProtocolChoice};
use tokio::time::timeout;

const ACCESS: Access = Access::OPEN;
const SECOND: Duration = Duration::from_secs(1);

on_every_server! {
    lock_is_stolen_from_exactly_the_hold_that_was_looked_at
    lock_is_stolen_before_those_who_wait_for_it
    hold_of_ones_own_is_not_stolen
    locks_that_are_held_are_listed_with_their_holders
    states_of_a_lock_follow_each_other
    states_of_a_lock_are_seen_without_pushes
}

async fn lock_is_stolen_from_exactly_the_hold_that_was_looked_at(server: &Running) {
    let (ours, theirs) = (server.connect().await, server.connect().await);
    let options = Options::new().label("stuck").watch_at_once();
    let stuck = theirs.lock("l").options(options).acquire().await.unwrap();
    let lock = ours.lock("l").options(Options::new().label("rescue"));
    let seen = lock.inspect().await.unwrap().expect("held");
    let guard = lock.steal(&seen).await.unwrap().expect("it was still there");
    assert!(guard.is_held() && guard.validity() > 5 * SECOND);
    let now = theirs.lock("l").inspect().await.unwrap().unwrap();
    assert_eq!(now.holder().label(), "rescue");
    let lost = timeout(10 * SECOND, stuck.lost()).await.expect("it is told");
    assert_eq!(lost, LostCause::TakenOver);
    drop(stuck);
    guard.verify().await.unwrap();

    let others = server.connect().await;
    assert!(others.lock("l").steal(&seen).await.unwrap().is_none(), "another hold than was seen");
    guard.release().await.unwrap();
    assert!(others.lock("l").steal(&now).await.unwrap().is_none(), "nobody holds it");
    assert_eq!(ours.exists("lk:l").await.unwrap(), 0);
}

async fn lock_is_stolen_before_those_who_wait_for_it(server: &Running) {
    let (ours, theirs) = (server.connect().await, server.connect().await);
    let stuck = theirs.lock("l").acquire().await.unwrap();
    let (lock, other) = (ours.lock("l"), ours.lock("l"));
    let mut waiting = Box::pin(lock.acquire());
    assert!(timeout(SECOND / 20, &mut waiting).await.is_err());
    let seen = other.inspect().await.unwrap().expect("held");
    let guard = timeout(10 * SECOND, other.steal(&seen)).await.expect("it goes before").unwrap();
    let guard = guard.expect("it was still there");
    assert!(poll_once(&mut waiting).await.is_pending());
    assert!(other.steal(&seen).await.unwrap().is_none(), "that hold is over");
    guard.release().await.unwrap();
    let next = timeout(10 * SECOND, waiting).await.expect("it is its turn").unwrap();
    next.release().await.unwrap();
    drop(stuck);
}

async fn hold_of_ones_own_is_not_stolen(server: &Running) {
    let client = server.connect().await;
    let guard = client.lock("l").acquire().await.unwrap();
    let seen = client.lock("l").inspect().await.unwrap().unwrap();
    let error = client.lock("l").steal(&seen).await.unwrap_err();
    assert!(error.to_string().contains("release its guard"), "{error}");
    guard.verify().await.unwrap();
}

async fn locks_that_are_held_are_listed_with_their_holders(server: &Running) {
    let (ours, theirs) = (server.connect().await, server.connect().await);
    let mut guards = Vec::new();
    for number in 0..30 {
        let options = Options::new().label(format!("holder {number}"));
        let lock = ours.lock(format!("inv:{number}")).options(options);
        guards.push(lock.acquire().await.unwrap());
    }
    let _other = ours.lock("in*").acquire().await.unwrap();
    ours.command("LPUSH").arg(("lk:inv:list", "data")).send::<()>().await.unwrap();
    ours.set("inv:7", "data").await.unwrap();

    let listed = theirs.list_locks("inv:").all().await.unwrap();
    let mut names: Vec<_> = listed.iter().map(|held| held.name().to_owned()).collect();
    names.sort();
    let mut wanted: Vec<_> = (0..30).map(|number| format!("inv:{number}")).collect();
    wanted.sort();
    assert_eq!(names, wanted);
    for held in &listed {
        let number = held.name().strip_prefix("inv:").unwrap();
        assert_eq!(held.observed().holder().label(), format!("holder {number}"));
    }
    let starred = theirs.list_locks("in*").all().await.unwrap();
    assert_eq!(starred.iter().map(|held| held.name()).collect::<Vec<_>>(), ["in*"]);
    let all = theirs.list_locks("").all().await.unwrap();
    assert_eq!(all.len(), 31);
    assert_eq!(theirs.list_locks("").key_prefix("inv:").all().await.unwrap()[0].name(), "7");

    let held = &listed[0];
    assert!(theirs.lock(held.name()).force_release(held.observed()).await.unwrap());
    assert_eq!(theirs.list_locks("inv:").all().await.unwrap().len(), 29);
}

/// The next state, in words.
async fn state(watching: &mut Watching) -> String {
    match timeout(10 * SECOND, watching.next()).await.expect("it is told").unwrap() {
        LockState::Held(seen) => seen.holder().label().to_owned(),
        _ => "free".to_owned(),
    }
}

/// The next state, for which somebody waits already when `change` happens.
async fn state_after<T>(watching: &mut Watching, change: impl Future<Output = T>) -> (String, T) {
    let mut next = Box::pin(state(watching));
    assert!(timeout(SECOND / 50, &mut next).await.is_err(), "nothing has changed");
    let changed = change.await;
    (next.await, changed)
}

/// A lock whose holder says who it is.
fn lock_of(client: &Client, label: &str) -> Lock {
    client.lock("l").options(Options::new().label(label))
}

async fn states_follow(watcher: &Client, holder: &Client, other: &Client) {
    let mut watching = watcher.lock("l").watch().unwrap();
    assert_eq!(state(&mut watching).await, "free");
    let (first, second) = (lock_of(holder, "first"), lock_of(holder, "second"));
    let (said, guard) = state_after(&mut watching, first.acquire()).await;
    assert_eq!(said, "first");
    let guard = guard.unwrap();
    // A renewal, or a refused attempt, is no new state.
    guard.verify().await.unwrap();
    assert!(other.lock("l").try_acquire().await.unwrap().is_none());
    let mut waiting = Box::pin(second.acquire());
    assert!(poll_once(&mut waiting).await.is_pending());
    let (said, _) = state_after(&mut watching, guard.release()).await;
    assert_eq!(said, "second", "handed over");
    let guard = waiting.await.unwrap();
    let (said, _) = state_after(&mut watching, guard.release()).await;
    assert_eq!(said, "free");

    let _guard = first.acquire().await.unwrap();
    assert_eq!(state(&mut watching).await, "first");
    let (said, _) = state_after(&mut watching, other.del("lk:l")).await;
    assert_eq!(said, "free");
}

async fn states_of_a_lock_follow_each_other(server: &Running) {
    let (ours, theirs) = (server.connect().await, server.connect().await);
    states_follow(&ours, &theirs, &ours).await;
    // The server is silent about what a connection does itself.
    states_follow(&ours, &ours, &theirs).await;
}

async fn states_of_a_lock_are_seen_without_pushes(server: &Running) {
    let config = server.config().protocol(ProtocolChoice::Resp2);
    let (ours, theirs) = (Client::with_config(config).await.unwrap(), server.connect().await);
    let mut watching = ours.lock("l").watch().unwrap();
    assert_eq!(state(&mut watching).await, "free");
    let lock = lock_of(&theirs, "them");
    let (said, guard) = state_after(&mut watching, lock.acquire()).await;
    assert_eq!(said, "them");
    let (said, _) = state_after(&mut watching, guard.unwrap().release()).await;
    assert_eq!(said, "free");
}
