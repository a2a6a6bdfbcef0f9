//! The names for threads without a runtime.

use crate::support::{Access, Running, Target};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use tenure::blocking::Client;
use tenure::{AcquireError, CheckError, ErrorKind, LostCause, Options, ReleaseError, WithError};
use tenure_server::Profile;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A server that runs elsewhere, while this thread has no runtime.
fn on_each(case: impl Fn(&dyn Fn() -> Client)) {
    let targets = [
        Target::Embedded(Profile::Valkey9),
        Target::EmbeddedTcp(Profile::Redis6_2),
        Target::Real(crate::real::Kind::Redis6_2),
        Target::Real(crate::real::Kind::Redis7_0),
        Target::Real(crate::real::Kind::Valkey9_1),
    ];
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
    for target in targets {
        let running: Option<Running> = runtime.block_on(target.start(Access::OPEN));
        if let Some(running) = running {
            case(&|| Client::with_config(running.config()).unwrap());
        }
    }
}

#[test]
fn lock_excludes_others_until_it_is_released_or_dropped() {
    on_each(|connect| {
        let (ours, theirs) = (connect(), connect());
        let lock = ours.lock("l").options(Options::new().label("us"));
        let guard = lock.try_acquire().unwrap().expect("free");
        assert!(guard.is_held() && guard.validity() > 8 * SECOND && guard.key() == "lk:l");
        guard.check(SECOND).unwrap();
        guard.verify().unwrap();
        assert!(theirs.lock("l").try_acquire().unwrap().is_none());
        assert_eq!(theirs.lock("l").inspect().unwrap().unwrap().holder().label(), "us");
        let begun = Instant::now();
        let error = theirs.lock("l").acquire_for(50 * MS).unwrap_err();
        assert!(begun.elapsed() >= 50 * MS);
        assert!(matches!(error, AcquireError::TimedOut { .. }), "{error:?}");
        guard.release().unwrap();
        let guard = theirs.lock("l").acquire().unwrap();
        thread::spawn(move || drop(guard)).join().unwrap();
        ours.lock("l").acquire_for(5 * SECOND).unwrap().release().unwrap();
        ours.close(SECOND).unwrap();
        let error = ours.lock("l").acquire().unwrap_err();
        assert!(matches!(error, AcquireError::Closed), "{error:?}");
    });
}

#[test]
fn threads_take_turns() {
    on_each(|connect| {
        let (client, count) = (connect(), std::sync::atomic::AtomicU32::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        let guard = client.lock("l").acquire().unwrap();
                        let seen = count.load(std::sync::atomic::Ordering::SeqCst);
                        thread::yield_now();
                        count.store(seen + 1, std::sync::atomic::Ordering::SeqCst);
                        guard.release().unwrap();
                    }
                });
            }
        });
        assert_eq!(count.into_inner(), 80);
    });
}

#[test]
fn waiting_thread_is_woken_by_a_release() {
    on_each(|connect| {
        let (ours, theirs) = (connect(), connect());
        let guard = ours.lock("l").acquire().unwrap();
        let (tell, told) = mpsc::channel();
        let waiting = thread::spawn(move || {
            tell.send(()).unwrap();
            theirs.lock("l").acquire_for(30 * SECOND).unwrap().release().unwrap();
        });
        told.recv().unwrap();
        assert!(guard.lost_within(30 * MS).unwrap().is_none());
        guard.release().unwrap();
        waiting.join().unwrap();
    });
}

#[test]
fn lease_is_renewed_while_the_thread_is_busy_and_a_loss_is_told() {
    on_each(|connect| {
        let client = connect();
        let options = Options::new().lease(300 * MS).watch_at_once();
        let guard = client.lock("l").options(options.clone()).acquire().unwrap();
        let lost = guard.lost_within(600 * MS).unwrap();
        assert_eq!(lost, None, "it is renewed in the background");
        client.wait(async |client| client.del("lk:l").await).unwrap().unwrap();
        assert_eq!(guard.lost_within(10 * SECOND).unwrap(), Some(LostCause::Deleted));
        assert!(matches!(guard.check(Duration::ZERO), Err(CheckError::Lost(_))));
        assert!(matches!(guard.release(), Err(ReleaseError::Lost)));

        let lock = client.lock("l").options(options);
        assert!(lock.with(|guard| guard.is_held()).unwrap());
        let lost = lock.with(|_| client.wait(async |client| client.del("lk:l").await));
        assert!(matches!(lost, Err(WithError::Lost(LostCause::Deleted))), "{lost:?}");
    });
}

#[tokio::test]
async fn thread_of_a_runtime_is_refused_and_nothing_is_done() {
    let config = || {
        let server = tenure_server::Server::new(Profile::Valkey9);
        tenure::Config::dialer(server.dialer())
    };
    let error = Client::with_config(config()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("belongs to an async runtime"), "{error}");

    let client = thread::spawn(move || Client::with_config(config()).unwrap()).join().unwrap();
    let lock = client.lock("l");
    let held = thread::spawn(move || lock.acquire().unwrap()).join().unwrap();
    let refused = |error: &tenure::Error| error.kind() == ErrorKind::Refused;
    let error = client.lock("m").acquire().unwrap_err();
    assert!(matches!(&error, AcquireError::Client(error) if refused(error)), "{error:?}");
    assert!(refused(&client.close(SECOND).unwrap_err()));
    assert!(refused(&held.lost_within(SECOND).unwrap_err()));
    assert!(matches!(held.verify(), Err(CheckError::Client(error)) if refused(&error)));
    assert!(held.is_held(), "what asks nobody works");
    let released = held.release();
    assert!(matches!(&released, Err(ReleaseError::Client(error)) if refused(error)));
    // It is released all the same, as if it were dropped.
    thread::spawn(move || client.lock("l").acquire_for(5 * SECOND).unwrap().release().unwrap())
        .join()
        .unwrap();
}
