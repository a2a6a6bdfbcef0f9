//! Commands that wait, and transactions that depend on what was read.

use crate::support::{Access, Running, User, eventually};
use std::time::Duration;
use tenure::{Client, ErrorKind, Frame, Outcome, ProtocolChoice};

const MS: Duration = Duration::from_millis(1);

mod open {
    use super::*;

    const ACCESS: Access = Access::OPEN;

    on_every_server! {
        waiting_command_gets_what_others_add
        waiting_command_in_vain_gives_none_when_its_time_is_over
        data_commands_do_not_wait_with_it
        wait_that_nobody_waits_for_takes_nothing
        element_that_comes_when_nobody_waits_any_more_is_put_back
        write_and_wait_for_its_replicas_share_a_connection
        watched_transaction_is_executed_only_if_nobody_interfered
        watch_that_was_dropped_leaves_its_connection_clean
    }

    async fn waiting_command_gets_what_others_add(server: &Running) {
        for protocol in [ProtocolChoice::Resp2, ProtocolChoice::Resp3] {
            let client = Client::with_config(server.config().protocol(protocol)).await.unwrap();
            let waits = tokio::spawn({
                let client = client.clone();
                async move { client.blocking_command("BLPOP").arg(("a", "b", 0)).send().await }
            });
            until_blocked(&client, 1).await;
            client.command("RPUSH").arg(("b", "x", "y")).send::<()>().await.unwrap();
            let popped: Option<(String, String)> = waits.await.unwrap().unwrap();
            assert_eq!(popped, Some(("b".into(), "x".into())));
            let moved = client.blocking_command("BLMOVE").arg(("b", "c", "LEFT", "RIGHT", 1));
            assert_eq!(moved.send::<Option<String>>().await.unwrap().as_deref(), Some("y"));
            client.command("ZADD").arg(("z", 1.5, "m")).send::<()>().await.unwrap();
            let scored = client.blocking_command("BZPOPMIN").arg(("z", 1)).send();
            let scored: Option<(String, String, f64)> = scored.await.unwrap();
            assert_eq!(scored, Some(("z".into(), "m".into(), 1.5)));
            client.command("XADD").arg(("s", "1-1", "f", "v")).send::<()>().await.unwrap();
            let read = client.blocking_command("XREAD").arg(("BLOCK", 100, "STREAMS", "s", "0"));
            assert_ne!(read.send::<Frame>().await.unwrap(), Frame::Null);
            client.del(["c", "s"]).await.unwrap();
        }
    }

    /// The response time-out is shorter than the wait: that is added to it.
    async fn waiting_command_in_vain_gives_none_when_its_time_is_over(server: &Running) {
        let config = server.config().response_timeout(200 * MS);
        let client = Client::with_config(config).await.unwrap();
        let begun = std::time::Instant::now();
        let popped = client.blocking_command("BLPOP").arg(("none", 0.25));
        assert_eq!(popped.send::<Option<(String, String)>>().await.unwrap(), None);
        assert!(begun.elapsed() >= 250 * MS, "{:?}", begun.elapsed());
        let wrong = client.blocking_command("BLPOP").arg(("none", "never")).send::<()>().await;
        assert_eq!(wrong.unwrap_err().kind(), ErrorKind::Server);
    }

    async fn data_commands_do_not_wait_with_it(server: &Running) {
        let client = server.connect().await;
        let waits = tokio::spawn({
            let client = client.clone();
            async move { client.blocking_command("BRPOP").arg(("k", 0)).send::<Frame>().await }
        });
        until_blocked(&client, 1).await;
        for number in 1..=20 {
            assert_eq!(client.incr("n").await.unwrap(), number);
        }
        waits.abort();
    }

    async fn wait_that_nobody_waits_for_takes_nothing(server: &Running) {
        let client = server.connect().await;
        let waits = tokio::spawn({
            let client = client.clone();
            async move { client.blocking_command("BLPOP").arg(("k", 0)).send::<Frame>().await }
        });
        until_blocked(&client, 1).await;
        waits.abort();
        until_blocked(&client, 0).await;
        client.command("RPUSH").arg(("k", "x")).send::<()>().await.unwrap();
        let left: Vec<String> = client.command("LRANGE").arg(("k", 0, -1)).send().await.unwrap();
        assert_eq!(left, ["x"]);
        let before = connections(&client).await;
        let popped = client.blocking_command("BLPOP").arg(("k", 1)).send::<(String, String)>();
        assert_eq!(popped.await.unwrap().1, "x");
        assert_eq!(connections(&client).await, before, "the connection was used again");
    }

    async fn element_that_comes_when_nobody_waits_any_more_is_put_back(server: &Running) {
        let client = server.connect().await;
        for round in 0..20 {
            client.command("RPUSH").arg(("k", "first", "second")).send::<()>().await.unwrap();
            let call = client.blocking_command("BLPOP").arg(("k", 0)).send::<(String, String)>();
            let taken = tokio::time::timeout(Duration::from_micros(50 * round), call).await;
            let wanted: &[&str] = if taken.is_ok() { &["second"] } else { &["first", "second"] };
            eventually("what was taken for nobody is back", async || {
                let left = client.command("LRANGE").arg(("k", 0, -1)).send();
                let left: Vec<String> = left.await.unwrap();
                left == wanted && blocked(&client).await == 0
            })
            .await;
            client.del("k").await.unwrap();
        }
    }

    async fn write_and_wait_for_its_replicas_share_a_connection(server: &Running) {
        let client = server.connect().await;
        let batch = client.blocking_pipeline().set("k", "v").command("WAIT").arg((0, 100));
        assert_eq!(batch.send::<((), u64)>().await.unwrap().1, 0);
        let batch = client.blocking_pipeline().set("k", "w").command("WAIT").arg((1, 50));
        assert_eq!(batch.send::<((), u64)>().await.unwrap().1, 0, "there is no replica");
        assert_eq!(client.get("k").await.unwrap(), Some("w".into()));
    }

    async fn watched_transaction_is_executed_only_if_nobody_interfered(server: &Running) {
        let client = server.connect().await;
        client.set("stock", 5).await.unwrap();
        let watch = client.watch(["stock", "other"]).await.unwrap();
        assert_eq!(watch.get("stock").await.unwrap(), Some("5".into()));
        let batch = watch.transaction().incr_by("stock", -1).incr("sold");
        assert_eq!(batch.send::<Option<(i64, i64)>>().await.unwrap(), Some((4, 1)));

        let watch = client.watch("stock").await.unwrap();
        let seen: i64 = watch.command("GET").arg("stock").send().await.unwrap();
        client.set("stock", seen).await.unwrap();
        let batch = watch.transaction().incr_by("stock", -1).incr("sold");
        assert_eq!(batch.send::<Option<(i64, i64)>>().await.unwrap(), None);

        let watch = client.watch("stock").await.unwrap();
        client.del("stock").await.unwrap();
        let error = watch.transaction().incr("sold").send::<(i64,)>().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedReply);
        assert!(error.to_string().contains("a watched key had changed"), "{error}");
        assert_eq!(client.get("sold").await.unwrap(), Some("1".into()));
    }

    async fn watch_that_was_dropped_leaves_its_connection_clean(server: &Running) {
        let client = server.connect().await;
        let before = connections(&client).await;
        drop(client.watch("k").await.unwrap());
        let other = client.watch("other").await.unwrap();
        client.set("k", "changed").await.unwrap();
        let batch = other.transaction().incr("n");
        assert_eq!(batch.send::<Option<(i64,)>>().await.unwrap(), Some((1,)));
        assert_eq!(connections(&client).await, before + 1, "both had the same connection");
        drop(client.watch("k").await.unwrap().transaction().incr("n"));
        let sum = client.blocking_pipeline().incr("n").send::<(i64,)>().await.unwrap();
        assert_eq!(sum, (2,));
    }
}

mod without_client {
    use super::*;

    const NO_CLIENT: User = User { name: "plain", password: "p", denied: &["client"] };

    const ACCESS: Access = Access::with_user(NO_CLIENT);

    on_every_server! {
        wait_that_cannot_be_ended_ends_with_its_connection
    }

    async fn wait_that_cannot_be_ended_ends_with_its_connection(server: &Running) {
        let config = server.config().username(NO_CLIENT.name).password(NO_CLIENT.password);
        let client = Client::with_config(config.response_timeout(200 * MS)).await.unwrap();
        let operator = server.connect().await;
        let call = client.blocking_command("BLPOP").arg(("k", 0)).send::<Frame>();
        assert!(tokio::time::timeout(20 * MS, call).await.is_err());
        until_blocked(&operator, 0).await;
        client.command("RPUSH").arg(("k", "x")).send::<()>().await.unwrap();
        let popped = client.blocking_command("BLPOP").arg(("k", 1)).send::<(String, String)>();
        assert_eq!(popped.await.unwrap().1, "x");
        let error = client.blocking_command("SELECT").arg(1).send::<()>().await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Refused, Outcome::NotSent));
    }
}

async fn connections(client: &Client) -> usize {
    let list: String = client.command("CLIENT").arg("LIST").send().await.unwrap();
    list.lines().count()
}

/// How many connections wait at the server.
async fn blocked(client: &Client) -> usize {
    let info: String = client.command("INFO").arg("clients").send().await.unwrap();
    let line = info.lines().find_map(|line| line.strip_prefix("blocked_clients:"));
    line.unwrap().trim().parse().unwrap()
}

async fn until_blocked(client: &Client, count: usize) {
    eventually("as many commands wait", async || blocked(client).await == count).await;
}
