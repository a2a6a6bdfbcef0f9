//! Sharing locks with services on ServiceStack.Redis: its commands, in its order, beside ours.

use crate::support::{Access, Running, poll_once};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tenure::{AcquireError, Client, Lock, LostCause, Options};
use tokio::time::timeout;

const ACCESS: Access = Access::OPEN;
const MS: Duration = Duration::from_millis(1);

on_every_server! {
    their_lock_is_waited_for_until_they_release_it
    their_lock_is_taken_over_when_its_time_has_passed
    their_abandoned_lock_is_taken_by_a_single_attempt
    one_of_many_takes_their_abandoned_lock
    what_they_hold_now_is_not_taken_for_what_was_seen
    our_lock_is_respected_by_them
    holder_whose_key_they_delete_is_told
    numbers_that_are_no_times_are_left_alone
}

/// A client of theirs.
struct Elder {
    client: Client,
}

fn unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

impl Elder {
    async fn new(server: &Running) -> Self {
        Self { client: server.connect().await }
    }

    /// One attempt of `RedisLock`, for a lock that is to hold for `span`.
    async fn attempt(&self, key: &str, span: Duration) -> bool {
        let until = unix_ms() + u64::try_from(span.as_millis()).unwrap() + 1;
        let set = self.client.command("SET").arg((key, until, "NX"));
        if set.send::<Option<String>>().await.unwrap().is_some() {
            return true;
        }
        let watch = self.client.watch(key).await.unwrap();
        let held: Option<String> = watch.command("GET").arg(key).send().await.unwrap();
        match held.and_then(|held| held.parse::<u64>().ok()) {
            Some(held) if held <= unix_ms() => {
                let set = watch.transaction().set(key, until);
                set.send::<Option<(String,)>>().await.unwrap().is_some()
            }
            _ => false, // dropping it sends UNWATCH
        }
    }

    /// The sequence before that one: `SETNX`, `GET`, `GETSET`.
    async fn attempt_of_old(&self, key: &str, span: Duration) -> bool {
        let until = unix_ms() + u64::try_from(span.as_millis()).unwrap() + 1;
        if self.client.command("SETNX").arg((key, until)).send::<i64>().await.unwrap() == 1 {
            return true;
        }
        let time = |text: Option<String>| text.and_then(|text| text.parse::<u64>().ok());
        match time(self.client.command("GET").arg(key).send().await.unwrap()) {
            Some(held) if held <= unix_ms() => {
                let before = self.client.command("GETSET").arg((key, until)).send().await;
                time(before.unwrap()).is_some_and(|before| before == held)
            }
            _ => false,
        }
    }

    /// `Dispose`
    async fn dispose(&self, key: &str) {
        self.client.del(key).await.unwrap();
    }
}

/// A lock whose key is its name, on a client that asks seldom by itself.
fn ours(client: &Client) -> Lock {
    let never = Duration::from_secs(60);
    let backoff = tenure::Backoff::new(never, 1.0, never);
    client.lock("job").options(Options::new().key_prefix("").backoff(backoff))
}

async fn their_lock_is_waited_for_until_they_release_it(server: &Running) {
    let (elder, client) = (Elder::new(server).await, server.connect().await);
    assert!(elder.attempt("job", Duration::from_secs(3_600)).await);
    let lock = ours(&client);
    assert!(lock.try_acquire().await.unwrap().is_none());
    let error = lock.acquire_for(50 * MS).await.unwrap_err();
    let AcquireError::TimedOut { holder, lease_left, .. } = error else { panic!("{error:?}") };
    assert!(!holder.unwrap().is_known());
    let left = lease_left.expect("their value says it");
    assert!(left > Duration::from_secs(3_500) && left <= Duration::from_secs(3_601), "{left:?}");

    let mut waiting = Box::pin(lock.acquire());
    assert!(timeout(50 * MS, &mut waiting).await.is_err());
    elder.dispose("job").await;
    let guard = timeout(Duration::from_secs(10), waiting).await.expect("it was told");
    guard.unwrap().release().await.unwrap();
}

async fn their_lock_is_taken_over_when_its_time_has_passed(server: &Running) {
    let (elder, client) = (Elder::new(server).await, server.connect().await);
    assert!(elder.attempt("job", 300 * MS).await);
    let (until, lock) = (unix_ms() + 290, ours(&client));
    let guard = timeout(Duration::from_secs(10), lock.acquire()).await.unwrap().unwrap();
    assert!(unix_ms() >= until, "not before");
    let ttl = client.pttl("job").await.unwrap();
    assert!(matches!(ttl, tenure::client::Ttl::Left(_)), "ours has a lease: {ttl:?}");
    assert!(!elder.attempt("job", 300 * MS).await && guard.is_held());
    guard.release().await.unwrap();
    assert!(elder.attempt("job", 300 * MS).await);
}

async fn their_abandoned_lock_is_taken_by_a_single_attempt(server: &Running) {
    let client = server.connect().await;
    for abandoned in [unix_ms() - 1, unix_ms() / 1_000 - 1] {
        client.set("job", abandoned).await.unwrap();
        let guard = ours(&client).try_acquire().await.unwrap().expect("its time has passed");
        guard.release().await.unwrap();
        client.set("job", abandoned).await.unwrap();
        ours(&client).acquire_for(Duration::ZERO).await.unwrap().release().await.unwrap();
    }
    assert_eq!(client.exists("job").await.unwrap(), 0);
}

async fn one_of_many_takes_their_abandoned_lock(server: &Running) {
    let elder = Elder::new(server).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(server.connect().await);
    }
    for _ in 0..20 {
        elder.client.set("job", unix_ms() - 1).await.unwrap();
        let locks: Vec<_> = clients.iter().map(ours).collect();
        let mut attempts = tokio::task::JoinSet::new();
        for lock in locks {
            attempts.spawn(async move { lock.try_acquire().await.unwrap() });
        }
        let theirs = elder.attempt("job", Duration::from_secs(60)).await;
        let guards: Vec<_> = attempts.join_all().await.into_iter().flatten().collect();
        assert_eq!(guards.len() + usize::from(theirs), 1, "one of five");
        drop(guards);
        // Whatever the drop sent goes before this on the lock connections.
        for client in &clients {
            client.lock("settled").acquire().await.unwrap().release().await.unwrap();
        }
        elder.dispose("job").await;
    }
}

async fn what_they_hold_now_is_not_taken_for_what_was_seen(server: &Running) {
    let (elder, client) = (Elder::new(server).await, server.connect().await);
    client.set("job", unix_ms() - 1).await.unwrap();
    assert!(elder.attempt("job", Duration::from_secs(60)).await, "one of theirs took it over");
    assert!(ours(&client).try_acquire().await.unwrap().is_none());
    assert!(!elder.attempt_of_old("job", Duration::from_secs(60)).await);
    client.set("job", unix_ms() - 1).await.unwrap();
    assert!(elder.attempt_of_old("job", Duration::from_secs(60)).await);
    assert!(ours(&client).try_acquire().await.unwrap().is_none());
}

async fn our_lock_is_respected_by_them(server: &Running) {
    let (elder, client) = (Elder::new(server).await, server.connect().await);
    let guard = ours(&client).acquire().await.unwrap();
    assert!(!elder.attempt("job", Duration::from_secs(60)).await);
    assert!(!elder.attempt_of_old("job", Duration::from_secs(60)).await);
    guard.verify().await.unwrap();
    guard.release().await.unwrap();
    assert!(elder.attempt_of_old("job", Duration::from_secs(60)).await);
}

async fn holder_whose_key_they_delete_is_told(server: &Running) {
    let (elder, client) = (Elder::new(server).await, server.connect().await);
    let options = Options::new().key_prefix("").watch_at_once();
    let guard = client.lock("job").options(options).acquire().await.unwrap();
    // Theirs deletes whatever is there when it is disposed of late.
    elder.dispose("job").await;
    let lost = timeout(Duration::from_secs(5), guard.lost()).await;
    assert_eq!(lost.expect("long before a renewal"), LostCause::Deleted);
}

async fn numbers_that_are_no_times_are_left_alone(server: &Running) {
    let client = server.connect().await;
    for number in ["0", "1", "42", "999999999", "500000000000"] {
        client.set("job", number).await.unwrap();
        let lock = ours(&client);
        assert!(lock.try_acquire().await.unwrap().is_none());
        let mut waiting = Box::pin(lock.acquire());
        assert!(poll_once(&mut waiting).await.is_pending());
        assert!(timeout(20 * MS, waiting).await.is_err());
        assert_eq!(client.get("job").await.unwrap(), Some(number.into()));
    }
}
