//! How a holder learns that it has lost its lock, why, and what stops then. In process, on a paused clock.

mod clocks;

use crate::support::eventually;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tenure::{
    AcquireError, Backoff, CheckError, Client, Config, Guard, LostCause, Options, ReleaseError,
    Renewal, WithError,
};
use tenure_server::{Fault, Profile, Server};
use tokio::time::{Instant, sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
const PROFILES: [Profile; 4] =
    [Profile::Redis6_2, Profile::Redis7_0, Profile::Redis8_4, Profile::Valkey9];

fn config(server: &Server) -> Config {
    Config::dialer(server.dialer()).reconnect(Backoff::new(10 * MS, 1.0, 10 * MS))
}

async fn connect(server: &Server) -> Client {
    Client::with_config(config(server)).await.unwrap()
}

async fn hold(client: &Client, options: Options) -> Guard {
    client.lock("l").options(options).acquire().await.unwrap()
}

fn count(server: &Server, command: &str) -> usize {
    server.log().iter().filter(|entry| entry.line().starts_with(command)).count()
}

/// How long it takes until the loss is known, and why it was.
async fn loss(guard: &Guard) -> (Duration, LostCause) {
    let begun = Instant::now();
    let cause = guard.lost().await;
    assert!(!guard.is_held());
    assert_eq!(guard.validity(), Duration::ZERO);
    (begun.elapsed(), cause)
}

#[tokio::test(start_paused = true)]
async fn loss_is_pushed_after_the_first_renewal_and_from_the_start_if_so_wished() {
    for profile in PROFILES {
        for at_once in [false, true] {
            let server = Server::new(profile);
            let client = connect(&server).await;
            let options = if at_once { Options::new().watch_at_once() } else { Options::new() };
            let guard = hold(&client, options).await;
            sleep(if at_once { SECOND } else { 4 * SECOND }).await;
            server.del("lk:l");
            let (took, cause) = loss(&guard).await;
            assert_eq!(cause, LostCause::Deleted, "{profile:?}");
            assert!(took < 5 * MS, "{profile:?}, at once: {at_once}: {took:?}");
            assert!(matches!(guard.release().await, Err(ReleaseError::Lost)));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn loss_before_the_first_renewal_is_known_by_it() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    let guard = hold(&client, Options::new()).await;
    sleep(SECOND).await;
    server.del("lk:l");
    let (took, cause) = loss(&guard).await;
    assert_eq!(cause, LostCause::Deleted);
    assert!((2_000 * MS..2_400 * MS).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn pushes_are_armed_again_by_each_renewal_and_on_each_connection() {
    for profile in PROFILES {
        let server = Server::new(profile);
        let client = connect(&server).await;
        let guard = hold(&client, Options::new()).await;
        sleep(61 * SECOND).await;
        server.kill_connections();
        sleep(SECOND).await;
        assert!(guard.is_held(), "{profile:?}");
        server.set("lk:l", "somebody else's");
        let (took, cause) = loss(&guard).await;
        assert_eq!(cause, LostCause::TakenOver, "{profile:?}");
        assert!(took < 5 * MS, "{profile:?}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn flush_is_pushed_to_every_holder() {
    let server = Server::new(Profile::Redis7_0);
    let client = connect(&server).await;
    let first = client.lock("a").acquire().await.unwrap();
    let second = client.lock("b").acquire().await.unwrap();
    server.flush();
    let begun = Instant::now();
    assert_eq!(first.lost().await, LostCause::Deleted);
    assert_eq!(second.lost().await, LostCause::Deleted);
    assert!(begun.elapsed() < 5 * MS);
}

#[tokio::test(start_paused = true)]
async fn lock_that_somebody_only_touched_is_kept() {
    for profile in PROFILES {
        let server = Server::new(profile);
        let client = connect(&server).await;
        let guard = hold(&client, Options::new().watch_at_once()).await;
        client.expire("lk:l", 5 * SECOND).await.unwrap();
        sleep(MS).await;
        assert!(guard.is_held());
        assert!(server.ttl("lk:l").unwrap() > 9 * SECOND, "renewed at once: {profile:?}");
        sleep(60 * SECOND).await;
        assert!(guard.is_held());
    }
}

#[tokio::test(start_paused = true)]
async fn lease_that_somebody_shortened_is_relied_on_no_longer() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    let options = Options::new().renewal(Renewal::Off).watch_at_once();
    let guard = hold(&client, options).await;
    client.expire("lk:l", 2 * SECOND).await.unwrap();
    sleep(MS).await;
    assert!(guard.validity() < 2 * SECOND, "{:?}", guard.validity());
    assert_eq!(guard.lost().await, LostCause::Expired);
}

#[tokio::test(start_paused = true)]
async fn restart_without_data_is_told_from_a_deletion() {
    for profile in PROFILES {
        let server = Server::new(profile);
        let client = connect(&server).await;
        let guard = hold(&client, Options::new()).await;
        sleep(SECOND).await;
        server.restart(None);
        let (took, cause) = loss(&guard).await;
        assert_eq!(cause, LostCause::Failover, "{profile:?}");
        assert!(
            took < SECOND,
            "at the first word of the new one, not at the next renewal: {took:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn restart_with_its_data_costs_nothing() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    let guard = hold(&client, Options::new()).await;
    let data = server.snapshot();
    server.restart(Some(&data));
    sleep(60 * SECOND).await;
    assert!(guard.is_held());
    guard.release().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn lock_without_renewal_expires() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    let guard = hold(&client, Options::new().renewal(Renewal::Off)).await;
    let (took, cause) = loss(&guard).await;
    assert_eq!((took.as_millis(), cause), (9_978, LostCause::Expired));
    eventually("and is released", async || server.keys().is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn longest_hold_ends_the_lock() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    let guard = hold(&client, Options::new().max_hold(25 * SECOND)).await;
    let (took, cause) = loss(&guard).await;
    assert_eq!((took.as_millis(), cause), (25_000, LostCause::MaxHold));
    eventually("and frees the key", async || server.keys().is_empty()).await;
    assert!(matches!(guard.release().await, Err(ReleaseError::Lost)));

    let guard = hold(&client, Options::new().max_hold(SECOND / 2)).await;
    let (took, cause) = loss(&guard).await;
    assert_eq!((took.as_millis(), cause), (500, LostCause::MaxHold));

    let guard = hold(&client, Options::new().max_hold(None)).await;
    assert!(timeout(7_200 * SECOND, guard.lost()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn leaked_guard_holds_for_an_hour_at_most() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    std::mem::forget(hold(&client, Options::new()).await);
    sleep(3_599 * SECOND).await;
    assert_eq!(server.keys().len(), 1);
    sleep(2 * SECOND).await;
    assert!(server.keys().is_empty());
}

#[tokio::test(start_paused = true)]
async fn work_that_stops_beating_loses_its_lock_and_work_that_beats_keeps_it() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    let guard = hold(&client, Options::new().heartbeat(4 * SECOND)).await;
    for _ in 0..60 {
        sleep(SECOND).await;
        guard.beat();
    }
    assert!(guard.is_held());
    sleep(8 * SECOND).await; // too long for a renewal, not for the lease
    assert!(guard.is_held());
    guard.beat();
    sleep(9 * SECOND).await;
    assert!(guard.is_held(), "it came in time");
    let (took, cause) = loss(&guard).await;
    assert_eq!(cause, LostCause::Expired);
    assert!(took < 6 * SECOND, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn verify_asks_the_server() {
    for profile in PROFILES {
        let server = Server::new(profile);
        let client = connect(&server).await;
        for renewal in [Renewal::Auto, Renewal::Off] {
            let guard = hold(&client, Options::new().renewal(renewal)).await;
            server.clear_log();
            guard.verify().await.unwrap();
            assert_eq!(server.log().len(), 2, "{profile:?}");
            server.set("lk:l", "somebody else's");
            let error = guard.verify().await.unwrap_err();
            assert!(matches!(error, CheckError::Lost(LostCause::TakenOver)), "{error:?}");
            server.del("lk:l");
        }
        let guard = hold(&client, Options::new()).await;
        server.freeze();
        let error = guard.verify().await.unwrap_err();
        assert!(matches!(error, CheckError::Client(_)), "{profile:?}: {error:?}");
        assert!(guard.is_held(), "unknown is not lost");
        server.thaw();
    }
}

#[tokio::test(start_paused = true)]
async fn check_wants_time_enough_for_the_effect() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    let guard = hold(&client, Options::new().renewal(Renewal::Off)).await;
    guard.check(9 * SECOND).unwrap();
    sleep(5 * SECOND).await;
    let error = guard.check(9 * SECOND).unwrap_err();
    assert_eq!(error.to_string(), "only 4.978s is left of the lease");
    guard.check(4 * SECOND).unwrap();
}

#[tokio::test(start_paused = true)]
async fn work_is_dropped_when_the_lock_is_lost() {
    struct Dropped(Arc<AtomicU64>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    let drops = Arc::new(AtomicU64::new(0));
    let guard = hold(&client, Options::new().watch_at_once()).await;
    assert_eq!(guard.run(async { 7 }).await, Ok(7));
    let mark = Dropped(Arc::clone(&drops));
    let work = async move {
        sleep(60 * SECOND).await;
        drop(mark);
    };
    let killer = tokio::spawn({
        let server = server.clone();
        async move {
            sleep(SECOND).await;
            server.del("lk:l")
        }
    });
    let begun = Instant::now();
    assert_eq!(guard.run(work).await, Err(LostCause::Deleted));
    assert!(killer.await.unwrap() && begun.elapsed() < 2 * SECOND);
    assert_eq!(drops.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn work_under_a_lock_is_done_while_it_is_held_and_then_released() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    let held = client.lock("l").with(async |guard| (guard.is_held(), server.keys().len())).await;
    assert_eq!(held.unwrap(), (true, 1));
    assert!(server.keys().is_empty(), "released when it returns");
    let lost = client
        .lock("l")
        .options(Options::new().watch_at_once())
        .with(async |_guard| {
            server.del("lk:l");
            sleep(SECOND).await;
        })
        .await;
    assert!(matches!(lost, Err(WithError::Lost(LostCause::Deleted))), "{lost:?}");
    client.close(SECOND).await;
    let refused = client.lock("l").with(async |_guard| ()).await;
    assert!(matches!(refused, Err(WithError::NotAcquired(AcquireError::Closed))));
}

#[tokio::test(start_paused = true)]
async fn many_renewals_leave_in_few_writes() {
    let server = Server::new(Profile::Valkey9);
    let counting = crate::support::Counting::default();
    let client = Client::with_config(counting.config(&server)).await.unwrap();
    let mut guards = Vec::new();
    for number in 0..1_000 {
        guards.push(client.lock(format!("l{number}")).acquire().await.unwrap());
        if number % 10 == 0 {
            sleep(MS).await; // they are not all due at the same moment
        }
    }
    let before = counting.writes();
    server.clear_log();
    sleep(4 * SECOND).await;
    assert_eq!(count(&server, "SET lk:"), 1_000);
    let writes = counting.writes() - before;
    assert!(writes <= 20, "{writes} writes for a thousand renewals");
    sleep(60 * SECOND).await;
    assert!(guards.iter().all(Guard::is_held));
}

#[tokio::test(start_paused = true)]
async fn value_that_was_on_its_way_on_a_killed_connection_is_taken_back() {
    // The server may kill connections, and it may not let us.
    for denied in [false, true] {
        let server = Server::new(Profile::Redis7_0);
        if denied {
            server.fault(Fault::error("NOPERM no").on("client|kill"));
        }
        let client = connect(&server).await;
        client.lock("warm").acquire().await.unwrap().release().await.unwrap();
        server.fault(Fault::cut_reply(0).on("SET").times(1));
        server.refuse_connections(true);
        let lock = client.lock("l");
        let waited = timeout(SECOND, lock.acquire()).await;
        assert!(waited.is_err(), "it was executed, and its caller went away in doubt");
        server.clear_log();
        server.refuse_connections(false);
        sleep(20 * SECOND).await;
        assert!(server.keys().is_empty());
        let log = server.log();
        let releases = log.iter().filter(|entry| {
            let line = entry.line();
            line.starts_with("EVALSHA") && line.contains("lk:l")
        });
        assert_eq!(releases.count(), if denied { 4 } else { 1 }, "denied: {denied}");
    }
}
