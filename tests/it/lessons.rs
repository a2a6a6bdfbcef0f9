//! What other lock libraries get wrong, each with the test that shows that ours does not.
//!
//! | library | what goes wrong there | test here |
//! |---|---|---|
//! | ServiceStack.Redis | release does not check the owner | `release_and_renewal_leave_another_owners_lock_alone` |
//! | | a waiter's patience is also its lease | `patience_is_no_lease` |
//! | | each client's wall clock decides about expiry | `clock_that_is_an_hour_ahead_takes_no_elder_lock_early` |
//! | | the acquire that is sent again is refused by its own first try | `lost_reply_to_an_acquire_does_not_lock_its_caller_out` |
//! | | a time-out of zero never tries | `last_attempt_is_made_at_the_deadline`, `patience_is_no_lease` |
//! | | no attempt at the deadline, and waits that overshoot it | `last_attempt_is_made_at_the_deadline` |
//! | | a cancelled acquire leaves its key | `locks_dropped_at_any_poll_leave_nothing_behind` |
//! | Redisson | a fenced lock ignores the lease that it is given | none yet |
//! | | the fencing counter leaks a key for each name, and begins anew after a loss of data | none yet |
//! | | one replica of three is enough for a lock that asks for more | `lock_is_handed_out_when_the_replica_has_it` |
//! | | renewals count from when the one before was answered | `lease_is_renewed_every_third_and_never_after_the_release` |
//! | | the holder is not told of a loss | `loss_is_known_at_the_next_renewal`, `loss_is_pushed_to_a_holder_that_watches` |
//! | node-redlock | a lock is given out whose lease is over | `grant_that_comes_after_its_lease_is_given_back` |
//! | | release of an expired lock tries ten times and fails unclearly | `lock_without_renewal_ends_with_its_lease` |
//! | rslock | dropping a guard does nothing, or blocks the thread | `guard_dropped_by_the_last_statement_is_released_on_redis`, `guard_dropped_on_another_thread_is_released` |
//! | | short leases panic or are never renewed | `short_leases_are_renewed` |
//! | | work goes on when renewal fails | `work_is_dropped_when_the_lock_is_lost` |
//! | | errors are swallowed: an endless loop without a server, or without a right | `outage_that_outlasts_the_patience_is_named`, `missing_right_ends_the_wait_for_a_lock_at_once` |
//! | redsync | what undoes a cancelled acquire is sent on the cancelled call | `locks_dropped_at_any_poll_leave_nothing_behind` |
//! | bsm/redislock | a lease below a millisecond deletes the key and counts as obtained | `senseless_names_and_leases_are_refused_before_anything_is_sent` |
//! | | options that were used once begin with an exhausted back-off | `options_may_be_used_again` |
//! | | one expired key keeps the others from being released | `loss_of_one_is_told_with_its_key_and_keeps_no_other` |
//! | rueidislock | leases end by the client's wall clock | `clients_whose_clocks_are_an_hour_wrong_exclude_each_other` |
//! | | an acquire that is sent again is refused by its own key | `lost_reply_to_an_acquire_does_not_lock_its_caller_out` |
//! | | a sole waiter of a slow server deletes its own key and waits for ever | `sole_waiter_of_a_slow_server_gets_its_lock` |
//! | madelson | one failed renewal is a loss | `frozen_server_does_not_cost_the_lock_before_its_time` |
//! | redis-py | release forgets its token before the answer | `lost_reply_to_a_release_is_asked_for_again` |
//! | ShedLock | release and extension hit a successor's lock | `release_and_renewal_leave_another_owners_lock_alone` |
//! | etcdctl | the work goes on after the session has ended | `work_is_dropped_when_the_lock_is_lost` |
//! | all of them | a late command of a dead connection leaves an orphan | `late_command_of_a_lost_connection_leaves_no_orphan` |
//!
//! Of quorums and of locks for readers there are none here, and so no tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tenure::{AcquireError, Backoff, Client, Config, Options};
use tenure_server::{Fault, Profile, Server};
use tokio::time::{Instant, sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
const PROFILES: [Profile; 4] =
    [Profile::Redis6_2, Profile::Redis7_0, Profile::Redis8_4, Profile::Valkey9];

async fn connect(server: &Server) -> Client {
    Client::with_config(Config::dialer(server.dialer())).await.unwrap()
}

fn sources(below: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(below).unwrap().map(|entry| entry.unwrap().path());
    let sources = entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    sources.collect()
}

#[test]
fn tests_that_the_table_names_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = sources(&root.join("tests/it")).into_iter().chain(sources(&root.join("src/lock")));
    let code: String = files.map(|path| fs::read_to_string(path).unwrap()).collect();
    let table = include_str!("lessons.rs").lines().filter(|line| line.starts_with("//! |"));
    let mut named = 0;
    for name in table.flat_map(|line| line.split('`').skip(1).step_by(2)) {
        assert!(code.contains(&format!("fn {name}(")), "there is no test {name}");
        named += 1;
    }
    assert!(named > 25, "only {named} were found");
}

#[tokio::test(start_paused = true)]
async fn patience_is_no_lease() {
    let server = Server::new(Profile::Valkey9);
    let (ours, theirs) = (connect(&server).await, connect(&server).await);
    for patience in [Duration::ZERO, MS, 3_600 * SECOND] {
        let guard = ours.lock("l").acquire_for(patience).await.unwrap();
        assert!(guard.validity() > 9 * SECOND, "{patience:?}");
        sleep(60 * SECOND).await;
        assert!(theirs.lock("l").try_acquire().await.unwrap().is_none(), "{patience:?}");
        guard.release().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn short_leases_are_renewed() {
    for profile in PROFILES {
        let server = Server::new(profile);
        let client = connect(&server).await;
        for lease in [20, 100, 499, 500, 501] {
            let lock = client.lock("l").options(Options::new().lease(lease * MS));
            let worked = lock.with(async |_guard| sleep(10 * SECOND).await).await;
            assert!(worked.is_ok(), "{profile:?}, {lease} ms: {worked:?}");
        }
        assert!(server.keys().is_empty(), "{profile:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn options_may_be_used_again() {
    let server = Server::new(Profile::Redis7_0);
    let (ours, theirs) = (connect(&server).await, connect(&server).await);
    let backoff = Backoff::new(10 * MS, 2.0, 3_600 * SECOND);
    let options = Options::new().wakeup(tenure::Wakeup::Poll).backoff(backoff);
    let lock = theirs.lock("l").options(options);
    for _ in 0..3 {
        // Each call begins with short waits, however long those of the call before have become.
        let guard = ours.lock("l").acquire().await.unwrap();
        let given_up = lock.acquire_for(60 * SECOND).await;
        assert!(matches!(given_up, Err(AcquireError::TimedOut { .. })), "{given_up:?}");
        let (begun, waiting) = (Instant::now(), lock.acquire());
        let release = async {
            sleep(20 * MS).await;
            guard.release().await.unwrap();
        };
        let (guard, ()) = tokio::join!(waiting, release);
        assert!(begun.elapsed() < 2 * SECOND, "{:?}", begun.elapsed());
        guard.unwrap().release().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn sole_waiter_of_a_slow_server_gets_its_lock() {
    for profile in PROFILES {
        let server = Server::new(profile);
        let client = connect(&server).await;
        for slow in [25 * MS, 250 * MS] {
            server.fault(Fault::delay_reply(slow).on("SET").times(1));
            let guard = timeout(SECOND, client.lock("l").acquire()).await;
            let guard = guard.expect("it waits for nobody").unwrap();
            assert!(guard.is_held(), "{profile:?}");
            guard.release().await.unwrap();
        }
        assert!(server.keys().is_empty(), "{profile:?}");
    }
}
