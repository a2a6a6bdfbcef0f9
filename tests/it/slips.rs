//! Replies that are lost, come twice, or that nobody asked for: RESP has no request numbers, so from there on each reply would
//! be another caller's. In process, on a paused clock.

use crate::support::{eventually, is_quiet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tenure::{Backoff, Client, Config, Error, ErrorKind, Outcome, ProtocolChoice};
use tenure_server::{AclRules, Fault, Flaw, Link, Profile, Server, Way};
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
/// What the client sends to prove that replies belong to their calls.
const CANARY: &str = "PING canary:";

fn config(server: &Server) -> Config {
    Config::dialer(server.dialer()).reconnect(Backoff::new(10 * MS, 1.0, 10 * MS))
}

async fn connect(server: &Server) -> Client {
    Client::with_config(config(server)).await.unwrap()
}

async fn echo(client: &Client, words: &str) -> Result<String, Error> {
    client.command("ECHO").arg(words).send().await
}

/// How often a client has connected.
fn connected(server: &Server) -> usize {
    server.log().iter().filter(|entry| entry.name() == "HELLO").count()
}

fn canaries(server: &Server) -> usize {
    server.log().iter().filter(|entry| entry.line().starts_with(CANARY)).count()
}

/// Calls get their own replies, and nothing is left of the ones before.
async fn works(client: &Client) {
    for round in 0..5 {
        let words = format!("own {round}");
        assert_eq!(echo(client, &words).await.unwrap(), words);
    }
    assert!(is_quiet(client), "{client:?}");
}

#[tokio::test(start_paused = true)]
async fn reply_that_comes_twice_is_nobodys() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    server.fault(Fault::duplicate_reply().on("ECHO").times(1));
    // Which of the two is the other caller's?
    let error = echo(&client, "twice").await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Protocol, Outcome::Unknown));
    works(&client).await;
    assert_eq!(connected(&server), 2);
}

#[tokio::test(start_paused = true)]
async fn reply_that_comes_unasked_ends_the_connection_and_costs_no_call() {
    for stray in
        ["+OK\r\n", "$-1\r\n", ":0\r\n", "-ERR unasked\r\n", "*0\r\n", "|1\r\n+k\r\n+v\r\n+OK\r\n"]
    {
        let (server, link) = (Server::new(Profile::Valkey9), Link::new());
        let config = Config::dialer(link.over(server.dialer()));
        let client = Client::with_config(config).await.unwrap();
        sleep(MS).await;
        link.flaw(Flaw::insert(Way::ToClient, stray));
        eventually("the connection was replaced", async || connected(&server) == 2).await;
        works(&client).await;
    }
}

#[tokio::test(start_paused = true)]
async fn push_that_comes_unasked_costs_nothing() {
    let (server, link) = (Server::new(Profile::Valkey9), Link::new());
    let client = Client::with_config(Config::dialer(link.over(server.dialer()))).await.unwrap();
    link.flaw(Flaw::insert(Way::ToClient, ">2\r\n+invalidate\r\n_\r\n"));
    sleep(MS).await;
    works(&client).await;
    assert_eq!(connected(&server), 1);
}

#[tokio::test(start_paused = true)]
async fn reply_too_many_anywhere_in_the_handshake_never_reaches_a_call() {
    let handshake = {
        let (server, link) = (Server::new(Profile::Valkey9), Link::new());
        let _client =
            Client::with_config(Config::dialer(link.over(server.dialer()))).await.unwrap();
        link.passed(Way::ToClient)
    };
    for stray in ["+OK\r\n", "+PONG\r\n", "$-1\r\n", "*0\r\n", "-ERR unknown command\r\n"] {
        for at in 0..=handshake {
            let place = format!("{stray:?} after {at} bytes");
            let (server, link) = (Server::new(Profile::Valkey9), Link::new());
            server.set("k", "v");
            link.flaw(Flaw::insert(Way::ToClient, stray).after(at));
            let config = Config::dialer(link.over(server.dialer()));
            let Ok(client) = Client::with_config(config).await else { continue };
            match client.command("GET").arg("k").send::<Option<String>>().await {
                Ok(value) => assert_eq!(value.as_deref(), Some("v"), "{place}"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Protocol, "{place}: {error}"),
            }
            works(&client).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn reply_that_is_lost_costs_its_caller_the_time_out_and_nobody_a_wrong_reply() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    server.fault(Fault::lose_reply().on("ECHO").times(1));
    let begun = Instant::now();
    let error = echo(&client, "lost").await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::Unknown));
    assert_eq!(begun.elapsed().as_secs(), 1);
    // The canary stands before this call, so it is made on the next connection, or fails with the old one.
    match echo(&client, "next").await {
        Ok(echoed) => assert_eq!(echoed, "next"),
        Err(error) => assert_eq!(error.outcome(), Outcome::Unknown, "{error}"),
    }
    works(&client).await;
    assert_eq!(connected(&server), 2);
}

#[tokio::test(start_paused = true)]
async fn reply_that_comes_too_late_is_no_reason_to_connect_anew() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    server.fault(Fault::delay_reply(SECOND + SECOND / 2).on("ECHO").times(1));
    assert!(echo(&client, "late").await.unwrap_err().is_timeout());
    works(&client).await;
    assert_eq!((connected(&server), canaries(&server)), (1, 2), "one of them is the handshake's");
}

#[tokio::test(start_paused = true)]
async fn shift_under_load_ends_with_the_next_canary() {
    for fault in [Fault::lose_reply(), Fault::duplicate_reply(), Fault::stray_bytes("+OK\r\n")] {
        let server = Server::new(Profile::Valkey9);
        let client = connect(&server).await;
        let rule = server.fault(fault.clone().on("ECHO").after(100).times(1));
        let wrong = Arc::new(AtomicUsize::new(0));
        let callers = (0..8).map(|caller| {
            let (client, wrong) = (client.clone(), Arc::clone(&wrong));
            tokio::spawn(async move {
                for round in 0..200 {
                    let words = format!("{caller} {round}");
                    match echo(&client, &words).await {
                        Ok(echoed) if echoed == words => {}
                        Ok(_) => drop(wrong.fetch_add(1, Ordering::Relaxed)),
                        Err(error) => assert_eq!(error.outcome(), Outcome::Unknown, "{error}"),
                    }
                }
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            caller.await.unwrap();
        }
        let wrong = wrong.load(Ordering::Relaxed);
        assert!(wrong <= 256, "{fault:?}: {wrong} wrong replies");
        assert_eq!((rule.hits(), connected(&server)), (1, 2), "{fault:?}");
        works(&client).await;
    }
}

#[tokio::test(start_paused = true)]
async fn canary_sings_after_so_many_replies_and_adds_no_write() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    for _ in 0..1_024 {
        client.ping().await.unwrap();
    }
    assert_eq!(canaries(&server), 1 + 4);
    works(&client).await;
    assert_eq!(connected(&server), 1);
}

#[tokio::test(start_paused = true)]
async fn user_who_may_not_ping_is_served_all_the_same() {
    let rules = AclRules::all().deny("ping");
    let server = Server::builder(Profile::Valkey9).user("mute", "secret", rules).build();
    let config = config(&server).username("mute").password("secret");
    let client = Client::with_config(config).await.unwrap();
    server.fault(Fault::delay_reply(SECOND + SECOND / 2).on("ECHO").times(1));
    assert!(echo(&client, "late").await.unwrap_err().is_timeout());
    sleep(20 * SECOND).await;
    works(&client).await;
    assert_eq!(connected(&server), 1);
}

#[tokio::test(start_paused = true)]
async fn list_that_looks_like_a_message_is_a_reply() {
    let server = Server::new(Profile::Redis6_2);
    let client =
        Client::with_config(config(&server).protocol(ProtocolChoice::Resp2)).await.unwrap();
    let items = ["message", "channel", "text"].map(str::to_owned);
    let pushed: i64 = client.command("RPUSH").arg("list").arg(&items[..]).send().await.unwrap();
    assert_eq!(pushed, 3);
    let read: Vec<String> = client.command("LRANGE").arg(("list", 0, -1)).send().await.unwrap();
    assert_eq!(read, items);
    works(&client).await;
}
