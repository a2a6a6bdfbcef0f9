//! The commands a service needs beside its locks.

use crate::support::{Access, Running};
use bytes::Bytes;
use std::time::Duration;
use tenure::client::{SetOptions, Ttl};
use tenure::{ErrorKind, Outcome, Script};

const ACCESS: Access = Access::OPEN;

on_every_server! {
    values_are_stored_read_and_deleted
    values_of_many_types_survive_the_round_trip
    set_with_conditions_stores_only_when_they_hold
    set_if_equal_compares_where_the_server_can
    del_if_equal_deletes_only_what_is_equal_on_every_server
    del_if_equal_asks_once_what_the_server_has
    counters_count
    several_keys_go_in_one_command
    keys_expire
    wrong_type_is_the_servers_error_and_the_command_did_not_run
    unknown_command_is_the_servers_error
    refused_command_names_the_way_out_and_sends_nothing
    value_of_several_arguments_is_refused
    script_runs_by_digest_and_again_after_the_server_forgot_it
    server_knows_the_commands_of_its_version
    big_values_come_back_whole
    thousand_tasks_share_one_connection_and_get_their_own_replies
}

const RELEASE: &str = include_str!("../../../src/lock/scripts/release.lua");

async fn values_are_stored_read_and_deleted(server: &Running) {
    let client = server.connect().await;
    client.ping().await.unwrap();
    assert_eq!(client.get("k").await.unwrap(), None);
    client.set("k", "v").await.unwrap();
    assert_eq!(client.get("k").await.unwrap(), Some(Bytes::from("v")));
    assert_eq!(client.exists(["k", "k", "other"]).await.unwrap(), 2);
    assert_eq!(client.del(["k", "other"]).await.unwrap(), 1);
    assert_eq!(client.exists("k").await.unwrap(), 0);
    assert!(client.set_nx("k", "1").await.unwrap());
    assert!(!client.set_nx("k", "2").await.unwrap());
    assert_eq!(client.publish("channel", "nobody listens").await.unwrap(), 0);
}

async fn values_of_many_types_survive_the_round_trip(server: &Running) {
    let client = server.connect().await;
    let get = || client.command("GET").arg("k");
    client.set("k", i64::MIN).await.unwrap();
    assert_eq!(get().send::<i64>().await.unwrap(), i64::MIN);
    client.set("k", 0.1_f64 + 0.2).await.unwrap();
    assert_eq!(get().send::<f64>().await.unwrap(), 0.1 + 0.2);
    client.set("k", true).await.unwrap();
    assert!(get().send::<bool>().await.unwrap());
    client.set("k", "grüße\r\n").await.unwrap();
    assert_eq!(get().send::<String>().await.unwrap(), "grüße\r\n");
    let bytes: Vec<u8> = (0..=255).collect();
    client.set("k", &bytes).await.unwrap();
    assert_eq!(get().send::<Vec<u8>>().await.unwrap(), bytes);
    assert_eq!(client.command("GET").arg("none").send::<Option<i64>>().await.unwrap(), None);
    let error = client.command("GET").arg("none").send::<i64>().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedReply);
    client.command("RPUSH").arg("list").arg(["a", "1"]).send::<()>().await.unwrap();
    let range = client.command("LRANGE").arg(("list", 0, -1));
    assert_eq!(range.send::<(String, u8)>().await.unwrap(), ("a".to_owned(), 1));
}

async fn set_with_conditions_stores_only_when_they_hold(server: &Running) {
    let client = server.connect().await;
    let options = SetOptions::new;
    assert!(!client.set_with("k", 1, &options().if_present()).await.unwrap());
    assert!(client.set_with("k", 1, &options().if_absent()).await.unwrap());
    assert!(!client.set_with("k", 2, &options().if_absent()).await.unwrap());
    let expiring = options().if_present().expire(Duration::from_secs(100));
    assert!(client.set_with("k", 2, &expiring).await.unwrap());
    assert!(client.set_with("k", 3, &options().keep_ttl()).await.unwrap());
    assert!(matches!(client.pttl("k").await.unwrap(), Ttl::Left(_)));
    assert_eq!(client.set_and_get("k", 4, &options()).await.unwrap(), Some("3".into()));
    assert_eq!(client.pttl("k").await.unwrap(), Ttl::Forever);
    let both = client.set_and_get("k", 5, &options().if_absent()).await;
    if server.facts().set_nx_get {
        assert_eq!(both.unwrap(), Some("4".into()));
    } else {
        assert_eq!(both.unwrap_err().server().unwrap().message(), "ERR syntax error");
    }
}

async fn set_if_equal_compares_where_the_server_can(server: &Running) {
    let client = server.connect().await;
    client.set("k", "old").await.unwrap();
    let other = client.set_with("k", "new", &SetOptions::new().if_equal("other")).await;
    if !server.facts().set_ifeq {
        assert_eq!(other.unwrap_err().server().unwrap().message(), "ERR syntax error");
        return;
    }
    assert!(!other.unwrap());
    assert!(client.set_with("k", "new", &SetOptions::new().if_equal("old")).await.unwrap());
    assert!(!client.set_with("none", "new", &SetOptions::new().if_equal("old")).await.unwrap());
    assert_eq!(client.get("k").await.unwrap(), Some("new".into()));
    assert_eq!(client.exists("none").await.unwrap(), 0);
}

async fn del_if_equal_deletes_only_what_is_equal_on_every_server(server: &Running) {
    let client = server.connect().await;
    assert!(!client.del_if_equal("k", "v").await.unwrap(), "there is none");
    client.set("k", "v").await.unwrap();
    for other in ["", "V", "v ", "other"] {
        assert!(!client.del_if_equal("k", other).await.unwrap(), "{other:?}");
    }
    assert_eq!(client.get("k").await.unwrap().as_deref(), Some(&b"v"[..]));
    assert!(client.del_if_equal("k", "v").await.unwrap());
    assert_eq!(client.exists("k").await.unwrap(), 0);
    // A number is no text, and a long value no short one.
    let long = "x".repeat(1000);
    client.mset([(7, &long)]).await.unwrap();
    assert!(client.del_if_equal(7, &long).await.unwrap());
    client.set("n", -7).await.unwrap();
    assert!(client.del_if_equal("n", -7).await.unwrap());
    client.command("RPUSH").arg(("list", "v")).send::<()>().await.unwrap();
    let error = client.del_if_equal("list", "v").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server, "{error}");
    assert_eq!(client.exists("list").await.unwrap(), 1);
    let error = client.del_if_equal("k", ["v", "w"]).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Refused, Outcome::NotSent));
}

async fn del_if_equal_asks_once_what_the_server_has(server: &Running) {
    let client = server.connect().await;
    let facts = server.facts();
    let sent = async || {
        let before = client.stats().commands;
        assert!(!client.del_if_equal("k", "v").await.unwrap());
        client.stats().commands - before
    };
    // Both commands, and the script with its digest.
    let first = if facts.delifeq {
        1
    } else if facts.delex {
        2
    } else {
        4
    };
    assert_eq!(sent().await, first);
    assert_eq!(sent().await, 1);
    client.command("SCRIPT").arg("FLUSH").send::<()>().await.unwrap();
    assert!(sent().await <= 2, "the text once more");
    assert_eq!(sent().await, 1);
}

async fn counters_count(server: &Running) {
    let client = server.connect().await;
    assert_eq!(client.incr("n").await.unwrap(), 1);
    assert_eq!(client.incr_by("n", -3).await.unwrap(), -2);
    let stock = client.typed::<i64>("stock");
    assert_eq!(stock.get("apples").await.unwrap(), None);
    stock.set("apples", &7).await.unwrap();
    assert_eq!(stock.incr("apples").await.unwrap(), 8);
    assert_eq!(stock.incr_by("apples", 2).await.unwrap(), 10);
    assert_eq!(client.get("stock:apples").await.unwrap(), Some("10".into()));
    assert!(stock.del("apples").await.unwrap());
    client.set("n", "not a number").await.unwrap();
    let error = client.incr("n").await.unwrap_err();
    assert_eq!(error.server().unwrap().message(), "ERR value is not an integer or out of range");
}

async fn several_keys_go_in_one_command(server: &Running) {
    let client = server.connect().await;
    client.mset([("a", 1), ("b", 2)]).await.unwrap();
    let values = client.mget(["a", "none", "b"]).await.unwrap();
    assert_eq!(values, [Some("1".into()), None, Some("2".into())]);
}

async fn keys_expire(server: &Running) {
    let client = server.connect().await;
    assert!(!client.expire("k", Duration::from_secs(1)).await.unwrap());
    assert_eq!(client.pttl("k").await.unwrap(), Ttl::Missing);
    client.set("k", 1).await.unwrap();
    assert_eq!(client.pttl("k").await.unwrap(), Ttl::Forever);
    assert!(client.expire("k", Duration::from_millis(20)).await.unwrap());
    assert!(matches!(client.pttl("k").await.unwrap(), Ttl::Left(left) if left.as_millis() <= 20));
    crate::support::eventually("the key is gone", async || client.exists("k").await.unwrap() == 0)
        .await;
}

async fn wrong_type_is_the_servers_error_and_the_command_did_not_run(server: &Running) {
    let client = server.connect().await;
    client.command("LPUSH").arg(("list", "x")).send::<()>().await.unwrap();
    let error = client.get("list").await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Server, Outcome::Refused));
    assert_eq!(error.server().unwrap().code(), "WRONGTYPE");
    assert_eq!(
        error.to_string(),
        "WRONGTYPE Operation against a key holding the wrong kind of value"
    );
}

async fn unknown_command_is_the_servers_error(server: &Running) {
    let client = server.connect().await;
    let error = client.command("NOSUCH").arg("thing").send::<()>().await.unwrap_err();
    let text = error.server().unwrap().message();
    let wanted = if server.facts().version == "6.2" {
        "ERR unknown command `NOSUCH`, with args beginning with: `thing`, "
    } else {
        "ERR unknown command 'NOSUCH', with args beginning with: 'thing' "
    };
    assert_eq!(text, wanted);
}

async fn refused_command_names_the_way_out_and_sends_nothing(server: &Running) {
    let client = server.connect().await;
    let error = client.command("select").arg(1).send::<()>().await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Refused, Outcome::NotSent));
    assert!(error.to_string().contains("Config"), "{error}");
    let sum = client.command("BLPOP").arg(("list", 0)).send::<()>().await.unwrap_err();
    assert_eq!(sum.outcome(), Outcome::NotSent);
}

async fn value_of_several_arguments_is_refused(server: &Running) {
    let client = server.connect().await;
    let error = client.set("k", ["a", "NX"]).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Refused, Outcome::NotSent));
    let error = client.set("k", None::<&str>).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
}

async fn script_runs_by_digest_and_again_after_the_server_forgot_it(server: &Running) {
    let client = server.connect().await;
    let script = Script::new(RELEASE);
    client.set("k", "mine").await.unwrap();
    assert_eq!(script.run::<i64>(&client, "k", "theirs").await.unwrap(), 0);
    client.command("SCRIPT").arg("FLUSH").send::<()>().await.unwrap();
    assert_eq!(script.run::<i64>(&client, "k", "mine").await.unwrap(), 1);
    assert_eq!(client.exists("k").await.unwrap(), 0);
    assert_eq!(client.eval::<i64>(RELEASE, "k", "mine").await.unwrap(), 0);
}

async fn server_knows_the_commands_of_its_version(server: &Running) {
    let (client, facts) = (server.connect().await, server.facts());
    client.set("k", "v").await.unwrap();
    let delifeq = client.command("DELIFEQ").arg(("k", "other")).send::<i64>().await;
    assert_eq!(delifeq.ok(), facts.delifeq.then_some(0));
    let delex = client.command("DELEX").arg(("k", "IFEQ", "other")).send::<i64>().await;
    assert_eq!(delex.ok(), facts.delex.then_some(0));
    assert_eq!(client.exists("k").await.unwrap(), 1);
    let known = client.command("COMMAND").arg(("INFO", "DELIFEQ", "DELEX"));
    let known: Vec<tenure::Frame> = known.send().await.unwrap();
    let known: Vec<_> =
        known.iter().map(|entry| matches!(entry, tenure::Frame::Array(_))).collect();
    assert_eq!(known, [facts.delifeq, facts.delex]);
}

async fn big_values_come_back_whole(server: &Running) {
    let client = server.connect().await;
    let value: Vec<u8> =
        (0..3_000_000_u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1]).collect();
    let (stored, pinged) = tokio::join!(client.set("big", &value), client.ping());
    stored.unwrap();
    pinged.unwrap();
    assert!(client.get("big").await.unwrap().unwrap() == value);
}

async fn thousand_tasks_share_one_connection_and_get_their_own_replies(server: &Running) {
    let client = server.connect().await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..1_000 {
        let client = client.clone();
        tasks.spawn(async move {
            client.set(format!("k{number}"), number).await.unwrap();
            let echoed = client.command("ECHO").arg(number);
            assert_eq!(echoed.send::<i64>().await.unwrap(), number);
            let got = client.command("GET").arg(format!("k{number}"));
            assert_eq!(got.send::<i64>().await.unwrap(), number);
        });
    }
    while let Some(finished) = tasks.join_next().await {
        finished.unwrap();
    }
}
