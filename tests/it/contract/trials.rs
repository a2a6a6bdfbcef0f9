//! What goes wrong around a lock, on every server: no memory, wrong clocks, everybody leaving at once.

use crate::support::{Access, Running, eventually, poll_once};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tenure::{AcquireError, Client, Options};
use tokio::time::timeout;

const ACCESS: Access = Access::OPEN;
const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3_600);

on_every_server! {
    server_without_memory_renews_and_releases_and_gives_no_new_lock
    clients_whose_clocks_are_an_hour_wrong_exclude_each_other
    clock_that_is_an_hour_ahead_takes_no_elder_lock_early
    thousand_waiters_that_leave_at_once_leave_nothing_behind
    thousand_guards_dropped_at_once_leave_nothing_behind
}

async fn fill(server: &Running, full: bool) {
    match server {
        Running::Embedded { server, .. } => server.set_full(full),
        Running::Real { .. } => {
            let client = server.connect().await;
            let limit = if full { "1" } else { "0" };
            let set = client.command("CONFIG").arg(("SET", "maxmemory", limit));
            set.send::<()>().await.unwrap();
        }
    }
}

async fn server_without_memory_renews_and_releases_and_gives_no_new_lock(server: &Running) {
    let client = server.connect().await;
    let options = Options::new().lease(600 * MS);
    let guard = client.lock("l").options(options).acquire().await.unwrap();
    fill(server, true).await;
    for _ in 0..5 {
        tokio::time::sleep(300 * MS).await;
        guard.verify().await.unwrap();
    }
    let error = client.lock("m").acquire_for(50 * MS).await.unwrap_err();
    let AcquireError::TimedOut { last_error: Some(error), .. } = error else { panic!("{error:?}") };
    assert_eq!(error.server().unwrap().code(), "OOM");
    guard.release().await.unwrap();
    assert_eq!(client.exists(["lk:l", "lk:m"]).await.unwrap(), 0);
    fill(server, false).await;
    client.lock("m").acquire().await.unwrap().release().await.unwrap();
}

/// A client whose wall clock is wrong.
async fn wrong(
    server: &Running,
    by: impl Fn(SystemTime) -> SystemTime + Send + Sync + 'static,
) -> Client {
    let config = server.config().wall_clock(move || by(SystemTime::now()));
    Client::with_config(config).await.unwrap()
}

async fn clients_whose_clocks_are_an_hour_wrong_exclude_each_other(server: &Running) {
    let clients = [
        server.connect().await,
        wrong(server, |now| now + HOUR).await,
        wrong(server, |now| now - HOUR).await,
    ];
    let mut tasks = tokio::task::JoinSet::new();
    for client in clients.clone() {
        tasks.spawn(async move {
            for _ in 0..10 {
                let guard = client.lock("l").acquire().await.unwrap();
                guard.check(MS).unwrap();
                let count: Option<i64> = client.command("GET").arg("n").send().await.unwrap();
                client.set("n", count.unwrap_or(0) + 1).await.unwrap();
                guard.release().await.unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert_eq!(clients[0].get("n").await.unwrap(), Some("30".into()));
    for holder in &clients {
        let guard = holder.lock("l").acquire().await.unwrap();
        for other in &clients {
            assert!(other.lock("l").try_acquire().await.unwrap().is_none());
        }
        guard.release().await.unwrap();
    }
}

async fn clock_that_is_an_hour_ahead_takes_no_elder_lock_early(server: &Running) {
    let ahead = wrong(server, |now| now + HOUR).await;
    let until = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + HOUR / 2;
    ahead.set("job", until.as_millis().to_string()).await.unwrap();
    let lock = ahead.lock("job").options(Options::new().key_prefix(""));
    assert!(lock.try_acquire().await.unwrap().is_none());
}

async fn thousand_waiters_that_leave_at_once_leave_nothing_behind(server: &Running) {
    let (holder, client) = (server.connect().await, server.connect().await);
    let mut guards = Vec::new();
    for key in 0..10 {
        guards.push(holder.lock(format!("{key}")).acquire().await.unwrap());
    }
    let locks: Vec<_> = (0..1_000).map(|number| client.lock(format!("{}", number % 10))).collect();
    let mut waiting: Vec<_> = locks.iter().map(|lock| Box::pin(lock.acquire())).collect();
    for waiter in &mut waiting {
        assert!(poll_once(waiter).await.is_pending());
    }
    tokio::time::sleep(50 * MS).await;
    for waiter in &mut waiting {
        assert!(poll_once(waiter).await.is_pending());
    }
    drop(waiting);
    for guard in guards {
        guard.release().await.unwrap();
    }
    // Whatever they undo goes before this on the lock connection.
    client.lock("settled").acquire().await.unwrap().release().await.unwrap();
    assert_eq!(client.command("KEYS").arg("lk:*").send::<Vec<String>>().await.unwrap(), [""; 0]);
    let again = timeout(Duration::from_secs(5), client.lock("0").acquire()).await;
    again.expect("nobody stands before it").unwrap().release().await.unwrap();
}

async fn thousand_guards_dropped_at_once_leave_nothing_behind(server: &Running) {
    let client = server.connect().await;
    let locks: Vec<_> = (0..1_000).map(|number| client.lock(format!("{number}"))).collect();
    let mut guards = Vec::new();
    for lock in &locks {
        guards.push(lock.acquire().await.unwrap());
    }
    drop(guards);
    eventually("no key is left", async || {
        client.command("KEYS").arg("lk:*").send::<Vec<String>>().await.unwrap().is_empty()
    })
    .await;
}
