//! Where futures are dropped: a server in each of several situations, a client, and what has to be so afterwards.

use bytes::Bytes;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tenure::{Backoff, Client, Config};
use tenure_server::{Fault, Link, Profile, Server, Way};
use tokio::time::sleep;

const MS: Duration = Duration::from_millis(1);

/// Gives up on a future after a number of polls.
pub(super) struct DropAfter<F> {
    pub(super) polls: usize,
    pub(super) future: Pin<Box<F>>,
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
pub(super) async fn drop_at_every_poll(what: &str, mut call: impl AsyncFnMut(Client)) {
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
