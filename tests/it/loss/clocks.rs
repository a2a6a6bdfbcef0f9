//! Clocks that jump, stand still or run on while a process does not: a holder never takes its lock for held when its lease may be
//! over, and loses none to a clock that is merely wrong.

use super::{MS, SECOND, config, connect, hold};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use tenure::{CheckError, Client, Config, LostCause, Options, Renewal};
use tenure_server::{Link, Profile, Server, Way};
use tokio::time::{Instant, advance, sleep};

/// A wall clock that tests set, in milliseconds ahead of tokio's.
fn wall(config: Config) -> (Config, Arc<AtomicU64>) {
    let (start, ahead) = (Instant::now(), Arc::new(AtomicU64::new(1_790_000_000_000)));
    let told = Arc::clone(&ahead);
    let config = config.wall_clock(move || {
        let ahead = Duration::from_millis(told.load(Ordering::SeqCst));
        SystemTime::UNIX_EPOCH + ahead + start.elapsed()
    });
    (config, ahead)
}

#[tokio::test(start_paused = true)]
async fn wall_clock_that_jumps_costs_one_round_trip_and_no_lock() {
    for renewal in [Renewal::Auto, Renewal::Off] {
        let server = Server::new(Profile::Valkey9);
        let (config, ahead) = wall(config(&server));
        let client = Client::with_config(config).await.unwrap();
        let guard = hold(&client, Options::new().renewal(renewal)).await;
        ahead.fetch_sub(3_600_000, Ordering::SeqCst);
        assert!(guard.is_held(), "set back");
        ahead.fetch_add(3_600_000, Ordering::SeqCst);
        server.clear_log();
        ahead.fetch_add(9_000, Ordering::SeqCst);
        assert!(guard.is_held(), "not by more than is left");
        ahead.fetch_add(3_600_000, Ordering::SeqCst);
        assert!(!guard.is_held() && !guard.is_held(), "may have slept");
        assert!(matches!(
            guard.check(Duration::ZERO),
            Err(CheckError::TooLittleLeft { left: Duration::ZERO, .. })
        ));
        sleep(MS).await;
        assert!(guard.is_held(), "{renewal:?}: the server has answered");
        assert_eq!(server.log().len(), 2, "one question");
        assert!(guard.validity() > 9 * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn machine_that_slept_through_its_lease_finds_the_lock_lost() {
    let server = Server::new(Profile::Valkey9);
    let (config, ahead) = wall(config(&server));
    let client = Client::with_config(config).await.unwrap();
    let guard = hold(&client, Options::new()).await;
    // Asleep for a minute: its monotonic clock stood still, the server's went on.
    ahead.fetch_add(60_000, Ordering::SeqCst);
    server.advance(60 * SECOND);
    assert!(!guard.is_held());
    assert_eq!(guard.lost().await, LostCause::Deleted);
}

#[tokio::test(start_paused = true)]
async fn process_that_was_stopped_for_longer_than_its_lease_knows_before_it_acts() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    let guard = hold(&client, Options::new()).await;
    advance(11 * SECOND).await;
    assert!(!guard.is_held());
    assert!(matches!(guard.check(Duration::ZERO), Err(CheckError::Lost(LostCause::Expired))));
    assert_eq!(guard.lost().await, LostCause::Expired);
}

#[tokio::test(start_paused = true)]
async fn machine_that_slept_through_its_turn_in_a_fair_line_does_not_take_it() {
    let (server, link) = (Server::new(Profile::Valkey9), Link::new());
    let others = connect(&server).await;
    let (config, ahead) = wall(Config::dialer(link.over(server.dialer())));
    let sleeper = Client::with_config(config).await.unwrap();
    let held = others.lock("l").fair().acquire().await.unwrap();
    let turn = tokio::spawn({
        let lock = sleeper.lock("l").fair();
        async move { lock.acquire().await.unwrap() }
    });
    sleep(MS).await;
    link.hold(Way::ToClient);
    held.release().await.unwrap();
    // It was given the lock, and sleeps before it hears of that; then somebody else has it.
    ahead.fetch_add(60_000, Ordering::SeqCst);
    server.advance(60 * SECOND);
    let next = others.lock("l").fair().acquire().await.unwrap();
    link.release(Way::ToClient);
    sleep(MS).await;
    assert!(next.is_held() && !turn.is_finished(), "two hold it");
    next.release().await.unwrap();
    assert!(turn.await.unwrap().is_held());
}
