//! Every public future, dropped after each of its polls, in every situation: nothing is left behind, and nobody gets somebody
//! else's reply. In process, on a paused clock.

use bytes::Bytes;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tenure::client::SetOptions;
use tenure::{Backoff, Client, Config, Frame, Script};
use tenure_server::{Fault, Link, Profile, Server, Way};
use tokio::time::sleep;

const MS: Duration = Duration::from_millis(1);
const RELEASE: &str = include_str!("../../src/lock/scripts/release.lua");

/// Gives up on a future after a number of polls.
struct DropAfter<F> {
    polls: usize,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for DropAfter<F> {
    type Output = bool;

    /// Whether the future came to its end before.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        if self.future.as_mut().poll(cx).is_ready() {
            return Poll::Ready(true);
        }
        self.polls -= 1;
        if self.polls == 0 { Poll::Ready(false) } else { Poll::Pending }
    }
}

/// What the server is up to while a future is dropped.
#[derive(Debug, Clone, Copy)]
enum Situation {
    Idle,
    Slow,
    Refusing,
    Held,
    /// More is queued ahead than the connection takes at once.
    Backlog,
    /// Replies come in pieces.
    MidFrame,
    Reconnecting,
}

struct Stage {
    server: Server,
    client: Client,
    situation: Situation,
}

impl Stage {
    async fn set(profile: Profile, situation: Situation) -> Self {
        let server = Server::new(profile);
        let link = Link::new();
        let config =
            Config::dialer(link.over(server.dialer())).reconnect(Backoff::new(3 * MS, 1.0, 3 * MS));
        let client = Client::with_config(config).await.unwrap();
        client.lock("warm").acquire().await.unwrap().release().await.unwrap();
        server.set("canary", "sings");
        match situation {
            Situation::Idle => {}
            Situation::Slow => {
                server.fault(Fault::delay_reply(2 * MS));
            }
            Situation::Refusing => {
                server.fault(Fault::loading().on("SET").times(3));
            }
            Situation::Backlog => {
                link.window(4 << 10);
                link.drip(Way::ToServer, 4 << 10, MS);
                for number in 0..20 {
                    let client = client.clone();
                    tokio::spawn(async move {
                        client.set(format!("ahead {number}"), [b'x'; 1_000]).await.unwrap();
                    });
                }
                tokio::task::yield_now().await;
            }
            Situation::MidFrame => link.drip(Way::ToClient, 3, MS),
            Situation::Held => server.set_for("lk:l", "theirs", 20 * MS),
            Situation::Reconnecting => {
                server.refuse_connections(true);
                server.kill_connections();
                let server = server.clone();
                tokio::spawn(async move {
                    sleep(10 * MS).await;
                    server.refuse_connections(false);
                });
            }
        }
        Self { server, client, situation }
    }

    /// After a while nothing is left, and calls get their own replies.
    async fn check(&self, what: &str, polls: usize) {
        let place = format!("{what} dropped after {polls} polls, {:?}", self.situation);
        sleep(2_000 * MS).await;
        for _ in 0..3 {
            let canary: Option<String> =
                self.client.command("GET").arg("canary").send().await.expect(&place);
            assert_eq!(canary.as_deref(), Some("sings"), "{place}");
            let echoed: String =
                self.client.command("ECHO").arg(&place).send().await.expect(&place);
            assert_eq!(echoed, place);
            self.client.lock("other").acquire().await.expect(&place).release().await.expect(&place);
        }
        let channels = self.client.command("PUBSUB").arg("CHANNELS").send::<Vec<String>>().await;
        assert!(channels.expect(&place).is_empty(), "{place}");
        let keys = self.server.keys();
        let of_a_lock = |key: &&Bytes| {
            key.starts_with(b"lk:") || key.starts_with(b"{lk:") && !key.ends_with(b":f")
        };
        let locks: Vec<_> = keys.iter().filter(of_a_lock).collect();
        assert!(locks.is_empty(), "{place}: left {locks:?}");
    }
}

/// Drops what `call` makes after one poll, two polls, …, until it comes to its end by itself.
async fn drop_at_every_poll(what: &str, mut call: impl AsyncFnMut(Client)) {
    for profile in [Profile::Redis6_2, Profile::Redis7_0, Profile::Valkey9] {
        for situation in [
            Situation::Idle,
            Situation::Slow,
            Situation::Refusing,
            Situation::Held,
            Situation::Backlog,
            Situation::MidFrame,
            Situation::Reconnecting,
        ] {
            for polls in 1.. {
                let stage = Stage::set(profile, situation).await;
                let future = Box::pin(call(stage.client.clone()));
                let ended = DropAfter { polls, future }.await;
                stage.check(what, polls).await;
                if ended {
                    break;
                }
                assert!(polls < 1_000, "{what} never ends");
            }
        }
    }
}

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
