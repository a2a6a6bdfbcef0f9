//! Holding a lock while things go wrong: renewal, loss, releases that get lost on the way. In process, on a paused clock.

use crate::support::eventually;
use std::time::Duration;
use tenure::{
    AcquireError, Backoff, Client, Config, Guard, LostCause, Options, ReleaseError, Renewal,
};
use tenure_server::{Fault, Profile, Server};
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

async fn connect(server: &Server) -> Client {
    let tick = 10 * MS;
    let config = Config::dialer(server.dialer()).reconnect(Backoff::new(tick, 1.0, tick));
    Client::with_config(config).await.unwrap()
}

async fn hold(client: &Client) -> Guard {
    client.lock("l").acquire().await.unwrap()
}

/// How often a command was executed, or at least received.
fn count(server: &Server, command: &str) -> usize {
    server.log().iter().filter(|entry| entry.line().starts_with(command)).count()
}

#[test]
fn guards_and_handles_may_go_anywhere() {
    fn check<T: Send + Sync + Unpin + 'static>() {}
    check::<Client>();
    check::<Guard>();
    check::<tenure::Lock>();
    check::<Config>();
    check::<AcquireError>();
}

#[tokio::test(start_paused = true)]
async fn validity_counts_from_before_the_command_was_sent() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    client.lock("warm").acquire().await.unwrap().release().await.unwrap();
    server.fault(Fault::delay_reply(SECOND / 2).on("SET"));
    let guard =
        client.lock("l").options(Options::new().renewal(Renewal::Off)).acquire().await.unwrap();
    assert_eq!(guard.validity(), 9_478 * MS); // 10 s, less 0.2 % and 2 ms, less the half second
    sleep(SECOND).await;
    assert_eq!(guard.validity(), 8_478 * MS);
    assert!(guard.is_held());
    sleep(8_478 * MS).await;
    assert!(!guard.is_held());
    assert_eq!(server.ttl("lk:l").map(|left| left > Duration::ZERO), Some(true), "ours ends first");
}

#[tokio::test(start_paused = true)]
async fn lease_is_renewed_in_time_whatever_leases_there_were_before() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    let leases = [10 * SECOND, SECOND, 30 * SECOND, SECOND / 10];
    let locks = leases.map(|lease| client.lock("l").options(Options::new().lease(lease)));
    // The first holds of a lock go another way than those behind them.
    for _ in 0..4 {
        for before in &locks {
            for (lock, lease) in locks.iter().zip(leases) {
                before.acquire().await.unwrap().release().await.unwrap();
                let guard = lock.acquire().await.unwrap();
                sleep(2 * lease).await;
                assert!(guard.is_held(), "{lease:?}");
                guard.release().await.unwrap();
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn lease_is_renewed_every_third_and_never_after_the_release() {
    for profile in [Profile::Redis6_2, Profile::Redis7_0, Profile::Redis8_4, Profile::Valkey9] {
        let server = Server::new(profile);
        let client = connect(&server).await;
        let guard = hold(&client).await;
        server.clear_log();
        sleep(60 * SECOND).await;
        assert!(guard.is_held());
        let renewals = count(&server, "SET lk:l") + count(&server, "EVALSHA");
        assert_eq!(renewals, 17, "{profile:?}: one every 3,333 ms and a tick");
        guard.release().await.unwrap();
        server.clear_log();
        sleep(60 * SECOND).await;
        assert_eq!(count(&server, "SET") + count(&server, "EVALSHA"), 0, "{profile:?}");
        assert!(server.keys().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn frozen_server_does_not_cost_the_lock_before_its_time() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    let guard = hold(&client).await;
    let held_from = Instant::now();
    sleep(4 * SECOND).await; // renewed at 3.33 s
    server.freeze();
    sleep(4 * SECOND).await;
    assert!(guard.is_held(), "unknown is not lost");
    server.thaw();
    sleep(4 * SECOND).await;
    assert!(guard.is_held());
    server.freeze();
    assert_eq!(guard.lost().await, LostCause::Unconfirmed);
    assert!(held_from.elapsed() > 20 * SECOND);
    assert!(!guard.is_held());
    server.thaw();
    drop(guard);
    eventually("nobody knew whether it was gone: it is released", async || {
        server.keys().is_empty()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn loss_is_known_at_the_next_renewal() {
    for profile in [Profile::Redis6_2, Profile::Redis8_4, Profile::Valkey9] {
        let server = Server::new(profile);
        let client = connect(&server).await;
        let guard = hold(&client).await;
        server.set("lk:l", "somebody else's");
        let begun = Instant::now();
        assert_eq!(guard.lost().await, LostCause::TakenOver, "{profile:?}");
        assert!(begun.elapsed() < 3_400 * MS);
        assert!(matches!(guard.release().await, Err(ReleaseError::Lost)));
        assert_eq!(server.get("lk:l").as_deref(), Some(&b"somebody else's"[..]));
    }
}

#[tokio::test(start_paused = true)]
async fn server_without_memory_still_renews_and_releases() {
    for profile in [Profile::Redis6_2, Profile::Redis7_0, Profile::Redis8_4, Profile::Valkey9] {
        let server = Server::new(profile);
        let client = connect(&server).await;
        let guard = hold(&client).await;
        server.set_full(true);
        sleep(30 * SECOND).await;
        assert!(guard.is_held(), "{profile:?}");
        guard.release().await.unwrap();
        let refused = client.lock("l").acquire_for(SECOND).await.unwrap_err();
        let AcquireError::TimedOut { last_error: Some(error), .. } = refused else {
            panic!("{profile:?}: {refused:?}")
        };
        assert_eq!(error.server().unwrap().code(), "OOM");
        server.set_full(false);
        client.lock("l").acquire().await.unwrap().release().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn lost_reply_to_an_acquire_does_not_lock_its_caller_out() {
    for profile in [Profile::Redis6_2, Profile::Redis7_0, Profile::Valkey9] {
        let server = Server::new(profile);
        let client = connect(&server).await;
        client.lock("warm").acquire().await.unwrap().release().await.unwrap();
        let rule = server.fault(Fault::cut_reply(0).on("SET").times(1));
        let begun = Instant::now();
        let guard = client.lock("l").acquire().await.unwrap();
        assert_eq!(rule.hits(), 1);
        assert!(begun.elapsed() < SECOND, "{profile:?}: {:?}", begun.elapsed());
        assert!(guard.is_held());
        guard.release().await.unwrap();
        assert!(server.keys().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn lost_reply_to_a_release_is_asked_for_again() {
    for (profile, command) in [(Profile::Redis7_0, "EVALSHA"), (Profile::Valkey9, "DELIFEQ")] {
        let server = Server::new(profile);
        let client = connect(&server).await;
        let guard = hold(&client).await;
        server.fault(Fault::cut_reply(0).on(command).times(1));
        // It ran, and the second one finds nothing: nobody can say whether the first one did that.
        let released = guard.release().await;
        assert!(matches!(released, Err(ReleaseError::Client(_))), "{profile:?}: {released:?}");
        assert!(server.keys().is_empty());

        let guard = hold(&client).await;
        server.fault(Fault::close().on(command).times(1));
        guard.release().await.unwrap(); // the first one did not run, the second one did
        assert!(server.keys().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn guard_dropped_during_an_outage_is_released_after_it() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    let guard =
        client.lock("l").options(Options::new().lease(600 * SECOND)).acquire().await.unwrap();
    server.refuse_connections(true);
    server.kill_connections();
    sleep(SECOND).await;
    drop(guard);
    sleep(30 * SECOND).await;
    assert_eq!(server.keys().len(), 1);
    server.refuse_connections(false);
    sleep(SECOND).await;
    assert!(server.keys().is_empty());
}

#[tokio::test(start_paused = true)]
async fn thousand_guards_dropped_at_once_leave_no_key() {
    let server = Server::new(Profile::Redis7_0);
    let client = connect(&server).await;
    let mut guards = Vec::new();
    for number in 0..1_000 {
        guards.push(client.lock(format!("l{number}")).acquire().await.unwrap());
    }
    assert_eq!(server.keys().len(), 1_000);
    drop(guards);
    eventually("all keys are gone", async || server.keys().is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn guard_dropped_on_another_thread_is_released() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    let guard = hold(&client).await;
    std::thread::spawn(move || drop(guard)).join().unwrap();
    eventually("the key is gone", async || server.keys().is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn last_guard_keeps_the_connection_until_its_release_is_through() {
    let server = Server::new(Profile::Redis7_0);
    let client = connect(&server).await;
    let guard = hold(&client).await;
    drop(client);
    sleep(60 * SECOND).await;
    assert!(guard.is_held(), "renewed without its client");
    drop(guard);
    eventually("all is over", async || server.keys().is_empty() && server.connections() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn outage_is_waited_out() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    client.lock("warm").acquire().await.unwrap().release().await.unwrap();
    for outage in [
        Fault::loading(),
        Fault::read_only(),
        Fault::error("BUSY Redis is busy running a script."),
        Fault::close(),
    ] {
        let rule = server.fault(outage.on("SET"));
        let lock = client.lock("l");
        let acquiring = tokio::spawn(async move { lock.acquire().await });
        sleep(5 * SECOND).await;
        assert!(rule.hits() > 1 && !acquiring.is_finished());
        rule.remove();
        acquiring.await.unwrap().unwrap().release().await.unwrap();
    }
    assert!(server.keys().is_empty());
}

#[tokio::test(start_paused = true)]
async fn outage_that_outlasts_the_patience_is_named() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    server.refuse_connections(true);
    server.kill_connections();
    let begun = Instant::now();
    let error = client.lock("l").acquire_for(3 * SECOND).await.unwrap_err();
    assert!((3 * SECOND..4 * SECOND).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    assert!(error.to_string().starts_with("exceeded timeout of 3s: the server could not be asked"));
    assert!(std::error::Error::source(&error).is_some());
}

#[tokio::test(start_paused = true)]
async fn frozen_server_does_not_keep_a_waiter_beyond_its_patience() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    client.lock("warm").acquire().await.unwrap().release().await.unwrap();
    server.freeze();
    let begun = Instant::now();
    assert!(client.lock("l").acquire_for(SECOND / 2).await.is_err());
    assert!(begun.elapsed() <= SECOND, "{:?}", begun.elapsed());
    server.thaw();
    sleep(SECOND).await;
    assert!(server.keys().is_empty(), "what the attempt left was undone");
}

#[tokio::test(start_paused = true)]
async fn lease_without_room_for_three_round_trips_is_refused() {
    let server = Server::new(Profile::Valkey9);
    server.fault(Fault::delay_reply(100 * MS));
    let client = connect(&server).await;
    client.lock("warm").acquire().await.unwrap().release().await.unwrap();
    server.clear_log();
    let lease = |lease| client.lock("l").options(Options::new().lease(lease));
    let error = lease(290 * MS).try_acquire().await.unwrap_err();
    let AcquireError::LeaseTooShort { rtt, .. } = error else { panic!("{error:?}") };
    assert_eq!(rtt, 100 * MS);
    assert_eq!(count(&server, "SET"), 0, "refused before anything was sent");
    lease(400 * MS).acquire().await.unwrap().release().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn grant_that_comes_after_its_lease_is_given_back() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    client.lock("warm").acquire().await.unwrap().release().await.unwrap();
    let lock = client.lock("l").options(Options::new().lease(100 * MS));
    let late = |times| server.fault(Fault::delay_reply(200 * MS).on("SET").times(times));
    late(2);
    let error = lock.acquire().await.unwrap_err();
    assert!(matches!(error, AcquireError::LeaseTooShort { .. }), "{error:?}");
    late(1);
    let error = lock.try_acquire().await.unwrap_err();
    assert!(matches!(error, AcquireError::LeaseTooShort { .. }), "{error:?}");
    late(1);
    lock.acquire().await.unwrap().release().await.unwrap();
    assert!(server.keys().is_empty());
}

#[tokio::test(start_paused = true)]
async fn lost_lock_connection_is_killed_before_the_next_one_is_used() {
    let server = Server::new(Profile::Redis7_0);
    let client = connect(&server).await;
    let guard = hold(&client).await;
    server.clear_log();
    server.kill_connections();
    sleep(5 * SECOND).await;
    assert!(guard.is_held());
    let log: Vec<_> = server.log().iter().map(tenure_server::Logged::line).collect();
    let kill = log.iter().position(|line| line.starts_with("CLIENT KILL ID")).expect("killed");
    let renewal = log.iter().position(|line| line.starts_with("EVALSHA")).expect("renewed");
    assert!(kill < renewal, "{log:?}");
}

#[tokio::test(start_paused = true)]
async fn close_takes_no_longer_than_told() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    let guard = hold(&client).await;
    server.freeze();
    let begun = Instant::now();
    client.close(2 * SECOND).await;
    assert!(begun.elapsed() <= 2 * SECOND, "{:?}", begun.elapsed());
    assert!(!guard.is_held());
    assert_eq!(guard.lost().await, LostCause::Closed);
}

#[tokio::test(start_paused = true)]
async fn waiter_follows_the_end_of_a_lease_and_not_its_back_off() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    server.set_for("lk:l", "dead", 700 * MS);
    let slow = Backoff::new(60 * SECOND, 1.0, 60 * SECOND);
    let begun = Instant::now();
    let _guard = client.lock("l").options(Options::new().backoff(slow)).acquire().await.unwrap();
    assert!(begun.elapsed() <= 710 * MS, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn client_that_was_closed_before_its_first_lock_gives_none() {
    let server = Server::new(Profile::Valkey9);
    let client = Client::with_config(Config::dialer(server.dialer())).await.unwrap();
    client.close(Duration::from_secs(1)).await;
    let refused = client.lock("late").acquire_for(Duration::from_secs(1)).await;
    assert!(matches!(refused, Err(AcquireError::Closed)), "{refused:?}");
    assert!(matches!(client.lock("late").try_acquire().await, Err(AcquireError::Closed)));
    assert!(server.keys().is_empty());
}
