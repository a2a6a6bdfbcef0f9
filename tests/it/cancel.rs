//! Every public future, dropped after each of its polls, in every situation: nothing is left behind, and nobody gets somebody
//! else's reply. In process, on a paused clock.

mod stage;

use stage::{DropAfter, drop_at_every_poll};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;
use tenure::client::SetOptions;
use tenure::{Client, Config, Frame, Script};
use tenure_server::{Profile, Server};
use tokio::time::sleep;

const MS: Duration = Duration::from_millis(1);
const RELEASE: &str = include_str!("../../src/lock/scripts/release.lua");

#[tokio::test(start_paused = true)]
async fn commands_dropped_at_any_poll_cost_nobody_their_reply() {
    drop_at_every_poll("get", async |client| drop(client.get("k").await)).await;
    drop_at_every_poll("set", async |client| drop(client.set("k", "v").await)).await;
    drop_at_every_poll("set_and_get", async |client| {
        drop(client.set_and_get("k", "v", &SetOptions::new()).await);
    })
    .await;
    drop_at_every_poll("script", async |client| {
        drop(Script::new(RELEASE).run::<i64>(&client, "k", "v").await);
    })
    .await;
    drop_at_every_poll("every named command", async |client| {
        drop(client.set_with("k", "v", &SetOptions::new()).await);
        drop(client.set_nx("k", "v").await);
        drop(client.del_if_equal("k", "v").await);
        drop(client.mset([("a", 1), ("b", 2)]).await);
        drop(client.mget(["a", "b"]).await);
        drop(client.incr("n").await);
        drop(client.incr_by("n", 2).await);
        drop(client.expire("n", 50 * MS).await);
        drop(client.pttl("n").await);
        drop(client.exists(["a", "n"]).await);
        drop(client.del(["a", "b"]).await);
        drop(client.publish("c", "words").await);
        drop(client.ping().await);
        drop(client.command("TIME").send::<Frame>().await);
        drop(client.eval::<i64>(RELEASE, "k", "v").await);
    })
    .await;
    drop_at_every_poll("typed view", async |client| {
        let numbers = client.typed::<i64>("numbers");
        drop(numbers.set(1, &5).await);
        drop(numbers.get(1).await);
        drop(numbers.incr(1).await);
        drop(numbers.incr_by(1, 2).await);
        drop(numbers.del(1).await);
    })
    .await;
    drop_at_every_poll("pipeline", async |client| {
        drop(client.pipeline().set("k", "v").get("k").incr("n").send::<()>().await);
    })
    .await;
    drop_at_every_poll("transaction", async |client| {
        drop(client.transaction().set("k", "v").get("k").incr("n").send::<()>().await);
    })
    .await;
    drop_at_every_poll("blocking command", async |client| {
        drop(client.blocking_command("BLPOP").arg(("k", 0.02)).send::<Option<Frame>>().await);
    })
    .await;
    drop_at_every_poll("watched transaction", async |client| {
        if let Ok(watch) = client.watch("k").await {
            drop(watch.get("k").await);
            drop(watch.transaction().set("k", "v").send::<Option<()>>().await);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn locks_dropped_at_any_poll_leave_nothing_behind() {
    drop_at_every_poll("try_acquire", async |client| drop(client.lock("l").try_acquire().await))
        .await;
    drop_at_every_poll("acquire", async |client| drop(client.lock("l").acquire().await)).await;
    drop_at_every_poll("acquire_for", async |client| {
        drop(client.lock("l").acquire_for(50 * MS).await);
    })
    .await;
    drop_at_every_poll("acquire_until", async |client| {
        let deadline = tokio::time::Instant::now() + 50 * MS;
        drop(client.lock("l").acquire_until(deadline).await);
    })
    .await;
    drop_at_every_poll("acquire and release", async |client| {
        if let Ok(guard) = client.lock("l").acquire().await {
            drop(guard.release().await);
        }
    })
    .await;
    drop_at_every_poll("acquire, verify and work", async |client| {
        if let Ok(guard) = client.lock("l").acquire().await {
            drop(guard.verify().await);
            let _ = guard.run(sleep(5 * MS)).await;
        }
    })
    .await;
    drop_at_every_poll("with", async |client| {
        drop(client.lock("l").with(async |guard| guard.is_held()).await);
    })
    .await;
    drop_at_every_poll("acquire and wait for loss", async |client| {
        if let Ok(guard) = client.lock("l").acquire().await {
            let _ = tokio::time::timeout(30 * MS, guard.lost()).await;
        }
    })
    .await;
    drop_at_every_poll("acquire, verify and run", async |client| {
        let options = tenure::Options::new().watch_at_once();
        if let Ok(guard) = client.lock("l").options(options).acquire().await {
            drop(guard.verify().await);
            let _ = guard.run(sleep(3 * MS)).await;
        }
    })
    .await;
    drop_at_every_poll("with", async |client| {
        drop(client.lock("l").with(async |_guard| sleep(3 * MS).await).await);
    })
    .await;
    drop_at_every_poll("two that wait for each other", async |client| {
        let lock = client.lock("l");
        let (first, second) = tokio::join!(lock.acquire(), async {
            drop(client.lock("l").acquire_for(30 * MS).await);
        });
        drop((first, second));
    })
    .await;
}

/// Polls once, and lets everybody else go on until there is nothing left to do.
async fn begin(future: &mut (impl Future + Unpin)) {
    let mut future = Pin::new(future);
    let polled = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending()));
    assert!(polled.await);
    sleep(MS).await;
}

#[tokio::test(start_paused = true)]
async fn lock_that_is_granted_unseen_is_released_with_its_future() {
    let server = Server::new(Profile::Valkey9);
    let client = Client::with_config(Config::dialer(server.dialer())).await.unwrap();
    client.lock("warm").acquire().await.unwrap().release().await.unwrap();
    let (lock, fenced) = (client.lock("l"), client.lock("f").fenced());
    // The first holds of a lock go another way than those behind them.
    for _ in 0..5 {
        let (mut one, mut other) = (Box::pin(lock.acquire()), Box::pin(fenced.acquire()));
        begin(&mut one).await;
        begin(&mut other).await;
        assert!(server.get("lk:l").is_some() && server.get("lk:f").is_some());
        drop((one, other));
        sleep(MS).await;
        assert!(server.get("lk:l").is_none() && server.get("lk:f").is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn release_that_is_answered_unseen_leaves_those_alone_who_come_after_it() {
    let server = Server::new(Profile::Valkey9);
    let client = Client::with_config(Config::dialer(server.dialer())).await.unwrap();
    let locks = ["one", "other"].map(|name| client.lock(name));
    for _ in 0..5 {
        let [guard, other] = &locks;
        let guard = guard.acquire().await.unwrap();
        let mut unseen = Box::pin(guard.release());
        begin(&mut unseen).await;
        let guard = other.acquire().await.unwrap();
        drop(unseen);
        guard.verify().await.unwrap();
        let mut seen = Box::pin(guard.release());
        begin(&mut seen).await;
        seen.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn several_locks_dropped_at_any_poll_leave_nothing_behind() {
    drop_at_every_poll("lock_all", async |client| {
        if let Ok(guard) = client.lock_all(["m", "l", "k"]).acquire_for(50 * MS).await {
            let _ = guard.run(sleep(3 * MS)).await;
            drop(guard.release().await);
        }
    })
    .await;
    drop_at_every_poll("lock_all, once", async |client| {
        drop(client.lock_all(["m", "l", "k"]).try_acquire().await);
    })
    .await;
    drop_at_every_poll("lock_any", async |client| {
        let held = client.lock("k").try_acquire().await;
        if let Ok(guard) = client.lock_any(["l", "k"]).acquire_for(50 * MS).await {
            drop(guard.release().await);
        }
        drop(held);
    })
    .await;
    drop_at_every_poll("lock_any, once", async |client| {
        drop(client.lock_any(["l", "k"]).try_acquire().await);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn fenced_locks_and_values_dropped_at_any_poll_leave_nothing_behind() {
    drop_at_every_poll("fenced", async |client| {
        let lock = client.lock("l").fenced();
        if let Ok(guard) = lock.acquire().await {
            drop(client.fenced_get::<Option<i64>>("v", guard.token()).await);
            drop(client.fenced_set("v", guard.token(), 5).await);
            drop(guard.release().await);
        }
    })
    .await;
    drop_at_every_poll("two that hand a fenced lock over", async |client| {
        let lock = client.lock("l").fenced();
        let (first, second) = tokio::join!(lock.acquire(), async {
            drop(client.lock("l").fenced().acquire_for(30 * MS).await);
        });
        drop((first, second));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn fair_locks_dropped_at_any_poll_leave_nothing_behind() {
    drop_at_every_poll("fair", async |client| {
        if let Ok(guard) = client.lock("l").fair().acquire_for(50 * MS).await {
            drop(guard.release().await);
        }
    })
    .await;
    drop_at_every_poll("two that stand in line", async |client| {
        let lock = client.lock("l").fair();
        let (first, second) = tokio::join!(lock.acquire(), async {
            drop(client.lock("l").fair().acquire_for(30 * MS).await);
        });
        drop((first, second));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn operators_calls_dropped_at_any_poll_leave_nothing_behind() {
    drop_at_every_poll("inspect and force_release", async |client| {
        let lock = client.lock("l");
        if let Ok(Some(seen)) = lock.inspect().await {
            drop(lock.force_release(&seen).await);
        }
    })
    .await;
    drop_at_every_poll("inspect and steal", async |client| {
        let lock = client.lock("l");
        if let Ok(Some(seen)) = lock.inspect().await {
            if let Ok(Some(guard)) = lock.steal(&seen).await {
                drop(guard.release().await);
            }
        }
    })
    .await;
    drop_at_every_poll("steal before one that waits", async |client| {
        let lock = client.lock("l");
        let (waited, ()) = tokio::join!(lock.acquire_for(30 * MS), async {
            if let Ok(Some(seen)) = lock.inspect().await {
                drop(lock.steal(&seen).await);
            }
        });
        drop(waited);
    })
    .await;
    drop_at_every_poll("list and watch", async |client| {
        drop(client.list_locks("").all().await);
        if let Ok(mut watching) = client.lock("l").watch() {
            let _ = watching.next().await;
            let _ = tokio::time::timeout(30 * MS, watching.next()).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn watching_the_state_may_be_given_up_at_any_poll() {
    drop_at_every_poll("state_changes", async |client| {
        let _ = tokio::time::timeout(5 * MS, client.state_changes().next()).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn subscribing_dropped_at_any_poll_leaves_no_subscription() {
    drop_at_every_poll("subscribe", async |client| drop(client.subscribe(["a", "b"]).await)).await;
    drop_at_every_poll("ssubscribe", async |client| {
        if let Ok(subscription) = client.ssubscribe("a").await {
            drop(subscription.ssubscribe("b").await);
        }
    })
    .await;
    drop_at_every_poll("subscribe more and read", async |client| {
        if let Ok(mut subscription) = client.subscribe("a").await {
            drop(subscription.psubscribe(["p*", "q*"]).await);
            subscription.unsubscribe("a");
            drop(client.publish("p", "message").await);
            let _ = tokio::time::timeout(30 * MS, subscription.next()).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn connecting_dropped_at_any_poll_leaves_no_connection() {
    let server = Server::new(Profile::Valkey9);
    for polls in 1..100 {
        let future = Box::pin(Client::with_config(Config::dialer(server.dialer())));
        let ended = DropAfter { polls, future }.await;
        sleep(2_000 * MS).await;
        assert_eq!(server.connections(), 0, "dropped after {polls} polls");
        if ended {
            return;
        }
    }
    panic!("connecting never ended");
}

#[tokio::test(start_paused = true)]
async fn closing_dropped_at_any_poll_goes_on_in_the_background() {
    for polls in 1..100 {
        let server = Server::new(Profile::Redis7_0);
        let client = Client::with_config(Config::dialer(server.dialer())).await.unwrap();
        let guard = client.lock("l").acquire().await.unwrap();
        let future = Box::pin(client.close(Duration::from_secs(1)));
        let ended = DropAfter { polls, future }.await;
        drop((client, guard));
        sleep(2_000 * MS).await;
        assert!(server.keys().is_empty(), "dropped after {polls} polls");
        assert_eq!(server.connections(), 0, "dropped after {polls} polls");
        if ended {
            return;
        }
    }
    panic!("closing never ended");
}
