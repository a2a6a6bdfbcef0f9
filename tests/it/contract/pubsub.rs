//! Messages.

use crate::support::{Access, Running, User, eventually};
use tenure::client::{Event, Gap, Message, Subscription};
use tenure::{Client, ErrorKind, Outcome, ProtocolChoice};

async fn connect(server: &Running, protocol: ProtocolChoice) -> Client {
    Client::with_config(server.config().protocol(protocol)).await.unwrap()
}

async fn message(subscription: &mut Subscription) -> Message {
    match subscription.next().await.unwrap() {
        Event::Message(message) => message,
        other => panic!("{other:?}"),
    }
}

async fn text(subscription: &mut Subscription) -> String {
    message(subscription).await.read().unwrap()
}

/// How many connections the server counts on a channel.
async fn listeners(client: &Client, channel: &str) -> u64 {
    let counted = client.command("PUBSUB").arg(("NUMSUB", channel)).send();
    let (_, count): (String, u64) = counted.await.unwrap();
    count
}

mod open {
    use super::*;

    const ACCESS: Access = Access::OPEN;

    on_every_server! {
        messages_come_in_order_on_both_protocols
        pattern_and_shard_channels_are_listened_to
        subscriptions_to_one_channel_share_it
        channels_come_and_go_while_it_is_read
        messages_are_any_bytes_of_any_length
        killed_connection_is_a_gap_and_everything_is_subscribed_again
    }

    async fn messages_come_in_order_on_both_protocols(server: &Running) {
        for protocol in [ProtocolChoice::Resp2, ProtocolChoice::Resp3] {
            let client = connect(server, protocol).await;
            let mut subscription = client.subscribe(["a", "b"]).await.unwrap();
            for number in 0..100 {
                let channel = if number % 3 == 0 { "a" } else { "b" };
                assert_eq!(client.publish(channel, number).await.unwrap(), 1);
            }
            for number in 0..100 {
                let message = message(&mut subscription).await;
                assert_eq!(message.read::<i64>().unwrap(), number);
                let channel = if number % 3 == 0 { "a" } else { "b" };
                assert_eq!((&message.channel()[..], message.pattern()), (channel.as_bytes(), None));
            }
            client.set("k", "data commands go on").await.unwrap();
        }
    }

    async fn pattern_and_shard_channels_are_listened_to(server: &Running) {
        for protocol in [ProtocolChoice::Resp2, ProtocolChoice::Resp3] {
            let client = connect(server, protocol).await;
            let mut news = client.psubscribe(["news.*", "*.sport"]).await.unwrap();
            assert_eq!(client.publish("news.sport", "goal").await.unwrap(), 2);
            let mut patterns = Vec::new();
            for _ in 0..2 {
                let message = message(&mut news).await;
                assert_eq!(
                    (&message.channel()[..], &message.payload()[..]),
                    (&b"news.sport"[..], &b"goal"[..])
                );
                patterns.push(message.pattern().unwrap().clone());
            }
            patterns.sort();
            assert_eq!(patterns, ["*.sport", "news.*"]);

            let sharded = client.ssubscribe("orders").await;
            if server.facts().version == "6.2" {
                let error = sharded.unwrap_err();
                assert_eq!((error.kind(), error.outcome()), (ErrorKind::Server, Outcome::Refused));
                assert!(error.to_string().contains("unknown command"), "{error}");
                continue;
            }
            let mut orders = sharded.unwrap();
            client.publish("orders", "another kind of channel").await.unwrap();
            client.command("SPUBLISH").arg(("orders", "7")).send::<()>().await.unwrap();
            assert_eq!(text(&mut orders).await, "7");
        }
    }

    async fn subscriptions_to_one_channel_share_it(server: &Running) {
        let client = server.connect().await;
        let mut first = client.subscribe("c").await.unwrap();
        let mut second = client.subscribe(["c", "d"]).await.unwrap();
        assert_eq!(listeners(&client, "c").await, 1);
        client.publish("c", "both").await.unwrap();
        assert_eq!([text(&mut first).await, text(&mut second).await], ["both", "both"]);
        drop(first);
        client.publish("c", "one").await.unwrap();
        assert_eq!(text(&mut second).await, "one");
        drop(second);
        eventually("nobody listens any more", async || {
            listeners(&client, "c").await + listeners(&client, "d").await == 0
        })
        .await;
    }

    async fn channels_come_and_go_while_it_is_read(server: &Running) {
        let client = server.connect().await;
        let mut subscription = client.subscribe("a").await.unwrap();
        subscription.subscribe(["a", "b"]).await.unwrap();
        subscription.psubscribe("p*").await.unwrap();
        for channel in ["a", "b", "pp"] {
            client.publish(channel, channel).await.unwrap();
            assert_eq!(text(&mut subscription).await, channel);
        }
        subscription.unsubscribe(["a", "never"]);
        subscription.punsubscribe("p*");
        eventually("the server knows", async || {
            let patterns: u64 = client.command("PUBSUB").arg("NUMPAT").send().await.unwrap();
            patterns + listeners(&client, "a").await == 0
        })
        .await;
        for channel in ["a", "pp", "b"] {
            client.publish(channel, channel).await.unwrap();
        }
        assert_eq!(text(&mut subscription).await, "b");
        subscription.unsubscribe("b");
        subscription.subscribe("a").await.unwrap();
        client.publish("a", "again").await.unwrap();
        assert_eq!(text(&mut subscription).await, "again");
    }

    async fn messages_are_any_bytes_of_any_length(server: &Running) {
        let client = server.connect().await;
        let mut subscription = client.subscribe("c").await.unwrap();
        let all: Vec<u8> = (0..=255).collect();
        for payload in [Vec::new(), all.clone(), all.repeat(100), all.repeat(8_000)] {
            client.publish("c", &payload).await.unwrap();
            assert!(message(&mut subscription).await.payload()[..] == payload[..]);
        }
    }

    async fn killed_connection_is_a_gap_and_everything_is_subscribed_again(server: &Running) {
        let client = server.connect().await;
        let mut subscription = client.subscribe(["a", "b"]).await.unwrap();
        subscription.psubscribe("p*").await.unwrap();
        for _ in 0..3 {
            client.publish("a", "before").await.unwrap();
            let kill = client.command("CLIENT").arg(("KILL", "TYPE", "pubsub")).send::<u64>();
            assert_eq!(kill.await.unwrap(), 1);
            assert_eq!(text(&mut subscription).await, "before");
            assert_eq!(subscription.next().await.unwrap(), Event::Gap(Gap::Reconnected));
            // Right after it, nothing is missed.
            for channel in ["a", "b", "p"] {
                assert_eq!(client.publish(channel, channel).await.unwrap(), 1);
                assert_eq!(text(&mut subscription).await, channel);
            }
        }
    }
}

mod without_rights {
    use super::*;

    const DEAF: User = User { name: "deaf", password: "p", denied: &["psubscribe"] };

    const ACCESS: Access = Access::with_user(DEAF);

    on_every_server! {
        refused_subscription_is_the_servers_error_and_leaves_the_others
    }

    async fn refused_subscription_is_the_servers_error_and_leaves_the_others(server: &Running) {
        for protocol in [ProtocolChoice::Resp2, ProtocolChoice::Resp3] {
            let config = server.config().username(DEAF.name).password(DEAF.password);
            let client = Client::with_config(config.protocol(protocol)).await.unwrap();
            let error = client.psubscribe("p*").await.unwrap_err();
            assert_eq!((error.kind(), error.outcome()), (ErrorKind::Server, Outcome::Refused));
            assert_eq!(error.server().unwrap().code(), "NOPERM");
            let mut subscription = client.subscribe("a").await.unwrap();
            let error = subscription.psubscribe(["p*", "q*"]).await.unwrap_err();
            assert_eq!(error.server().unwrap().code(), "NOPERM");
            client.publish("a", "still").await.unwrap();
            assert_eq!(text(&mut subscription).await, "still");
        }
    }
}
