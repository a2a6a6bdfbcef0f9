//! Fences while things go wrong: each grant has one, it costs no round trip, and they rise. In process, on a paused clock.

use crate::support::Counting;
use std::time::Duration;
use tenure::{
    AcquireError, Backoff, Client, Config, FencedGuard, FencedLock, FencingToken, Options,
};
use tenure_server::{AclRules, Fault, Profile, Server};
use tokio::time::sleep;

const PROFILES: [Profile; 4] =
    [Profile::Redis6_2, Profile::Redis7_0, Profile::Redis8_4, Profile::Valkey9];
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn connect(server: &Server) -> Client {
    let tick = Duration::from_millis(10);
    let config = Config::dialer(server.dialer()).reconnect(Backoff::new(tick, 1.0, tick));
    Client::with_config(config).await.unwrap()
}

fn names(server: &Server) -> Vec<String> {
    server.log().iter().map(tenure_server::Logged::name).collect()
}

#[test]
fn fenced_guards_and_handles_may_go_anywhere() {
    fn check<T: Send + Sync + Unpin + 'static>() {}
    check::<FencedGuard>();
    check::<FencedLock>();
    check::<FencingToken>();
}

#[tokio::test(start_paused = true)]
async fn uncontended_pair_takes_two_commands_with_a_fence_too() {
    for profile in PROFILES {
        let server = Server::new(profile);
        let client = connect(&server).await;
        client.lock("warm").acquire().await.unwrap().release().await.unwrap();
        server.clear_log();
        client.lock("l").fenced().acquire().await.unwrap().release().await.unwrap();
        let release = match profile {
            Profile::Valkey9 => "DELIFEQ",
            Profile::Redis8_4 => "DELEX",
            _ => "EVALSHA",
        };
        assert_eq!(names(&server), ["EVALSHA", release], "{profile:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_scripts_an_uncontended_fence_takes_one_round_trip_once_fences_have_begun() {
    let rules = AclRules::all().deny("eval").deny("evalsha").deny("script");
    let server = Server::builder(Profile::Valkey9).user("purist", "p", rules).build();
    let counting = Counting::default();
    let config = counting.config(&server).username("purist").password("p");
    let client = Client::with_config(config).await.unwrap();
    let lock = client.lock("l").fenced();
    let first = lock.acquire().await.unwrap();
    let before = first.token();
    first.release().await.unwrap();
    server.clear_log();
    let written = counting.writes();
    let guard = lock.acquire().await.unwrap();
    assert_eq!(counting.writes() - written, 1, "one round trip");
    assert!(before < guard.token());
    assert_eq!(names(&server), ["SET", "XADD", "PEXPIRE", "GET"]);
}

#[tokio::test(start_paused = true)]
async fn without_scripts_a_lock_with_a_fence_is_handed_over_at_once() {
    for profile in [Profile::Valkey9, Profile::Redis8_4] {
        let rules = AclRules::all().deny("eval").deny("evalsha").deny("script");
        let server = Server::builder(profile).user("purist", "p", rules).build();
        let config = Config::dialer(server.dialer()).username("purist").password("p");
        let lock = Client::with_config(config).await.unwrap().lock("l").fenced();
        let before = lock.acquire().await.unwrap();
        let token = before.token();
        let next = tokio::spawn(async move { lock.acquire().await.unwrap() });
        sleep(SECOND).await;
        server.clear_log();
        before.release().await.unwrap();
        assert!(token < next.await.unwrap().token());
        assert_eq!(names(&server), ["SET", "XADD", "PEXPIRE", "GET"], "{profile:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn grant_whose_reply_is_lost_comes_again_with_a_later_fence() {
    for profile in PROFILES {
        let server = Server::new(profile);
        let client = connect(&server).await;
        let before = client.lock("l").fenced().acquire().await.unwrap();
        let token = before.token();
        before.release().await.unwrap();
        let lost = server.fault(Fault::cut_reply(0).on("EVALSHA").times(1));
        let guard = client.lock("l").fenced().acquire().await.unwrap();
        assert_eq!(lost.hits(), 1);
        assert!(token < guard.token());
        assert!(guard.validity() > 9 * SECOND);
        guard.release().await.unwrap();
        assert!(server.get("lk:l").is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn fences_rise_over_restarts_without_data() {
    for profile in PROFILES {
        let server = Server::new(profile);
        let (ours, theirs) = (connect(&server).await, connect(&server).await);
        let mut last = None;
        for round in 0..10 {
            let client = if round % 2 == 0 { &ours } else { &theirs };
            let guard = client.lock("l").fenced().acquire().await.unwrap();
            assert!(last < Some(guard.token()), "{profile:?}");
            last = Some(guard.token());
            server.restart(None);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_memory_for_a_fence_is_no_lock() {
    for profile in PROFILES {
        let server = Server::new(profile);
        let client = connect(&server).await;
        server.set_full(true);
        let error = client.lock("l").fenced().acquire_for(SECOND).await.unwrap_err();
        assert!(matches!(error, AcquireError::TimedOut { .. }), "{error:?}");
        assert!(server.get("lk:l").is_none());
        server.set_full(false);
        client.lock("l").fenced().acquire().await.unwrap().release().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn fence_outlives_its_lock_for_a_week() {
    let server = Server::new(Profile::Valkey9);
    // To ask every few seconds whether the server is there would be a million commands.
    let config = Config::dialer(server.dialer()).keepalive(365 * DAY);
    let client = Client::with_config(config).await.unwrap();
    let options = Options::new().lease(SECOND);
    drop(client.lock("l").options(options).fenced().acquire().await.unwrap());
    sleep(6 * DAY).await;
    assert!(server.ttl("{lk:l}:f").is_some());
    sleep(2 * DAY).await;
    assert!(server.keys().is_empty());
}
