//! A server, or a way to it, that is there and does not answer: who notices when, and what becomes of the calls meanwhile. In
//! process, on a paused clock.

use crate::support::{eventually, is_quiet, poll_once};
use bytes::BytesMut;
use resp::{Limits, RequestDecoder, encode};
use std::io;
use std::time::Duration;
use tenure::client::State;
use tenure::{Backoff, Client, Config, Error, ErrorKind, Outcome, ProtocolChoice};
use tenure_server::{Ending, Fault, Link, Profile, Server, Way};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::time::{Instant, sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
/// How long the longest wait between two attempts to connect is here.
const CAP: Duration = Duration::from_millis(200);
const WAYS: [&[Way]; 3] = [&[Way::ToServer], &[Way::ToClient], &[Way::ToServer, Way::ToClient]];

fn config(server: &Server, link: &Link) -> Config {
    Config::dialer(link.over(server.dialer())).reconnect(Backoff::new(10 * MS, 2.0, CAP))
}

async fn connect(config: Config) -> Client {
    Client::with_config(config).await.unwrap()
}

/// Waits until the client has dialled once more, and tells how long that took.
async fn noticed(link: &Link) -> Duration {
    let (begun, dialled) = (Instant::now(), link.dialled());
    while link.dialled() == dialled {
        assert!(begun.elapsed() < 100 * SECOND, "never noticed");
        sleep(MS).await;
    }
    begun.elapsed()
}

/// As it is, or so that silence is noticed within a second.
fn paced(config: Config, quick: bool) -> Config {
    if quick { config.keepalive(SECOND / 2).stall_timeout(SECOND / 2 - 20 * MS) } else { config }
}

async fn works(client: &Client) {
    client.ping().await.unwrap();
    assert!(is_quiet(client), "{client:?}");
}

#[tokio::test(start_paused = true)]
async fn half_open_connection_is_noticed_while_nobody_calls() {
    for (quick, limit) in [(false, 5 * SECOND), (true, SECOND)] {
        let (server, link) = (Server::new(Profile::Valkey9), Link::new());
        let client = connect(paced(config(&server, &link), quick)).await;
        for idle in [0, 900, 12_345] {
            sleep(idle * MS).await;
            link.cut(Ending::Silence);
            let took = noticed(&link).await;
            assert!(took <= limit, "{took:?}");
            sleep(MS).await;
            works(&client).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn frozen_server_is_noticed_while_many_call() {
    for (quick, limit) in [(false, 5 * SECOND), (true, SECOND)] {
        let (server, link) = (Server::new(Profile::Valkey9), Link::new());
        let client = connect(paced(config(&server, &link), quick)).await;
        let callers: Vec<_> = (0..10)
            .map(|caller| {
                let client = client.clone();
                tokio::spawn(async move {
                    sleep(caller * 37 * MS).await;
                    loop {
                        let begun = Instant::now();
                        if let Err(error) = client.incr("n").await {
                            assert_ne!(error.outcome(), Outcome::Refused);
                        }
                        assert!(begun.elapsed() <= SECOND + MS);
                        sleep(50 * MS).await;
                    }
                })
            })
            .collect();
        sleep(SECOND).await;
        server.freeze();
        let took = noticed(&link).await;
        assert!(took <= limit, "{took:?}");
        server.thaw();
        callers.iter().for_each(|caller| caller.abort());
        sleep(5 * SECOND).await;
        works(&client).await;
    }
}

#[tokio::test(start_paused = true)]
async fn black_hole_keeps_nobody_beyond_a_deadline_and_ends_with_it() {
    for ways in WAYS {
        let (server, link) = (Server::new(Profile::Valkey9), Link::new());
        let client = connect(config(&server, &link)).await;
        ways.iter().for_each(|way| link.hold(*way));
        let mut not_sent = 0;
        for number in 0..20 {
            let begun = Instant::now();
            let error = client.set(format!("k{number}"), 1).await.unwrap_err();
            assert!(begun.elapsed() <= SECOND + MS, "{ways:?}: {:?}", begun.elapsed());
            assert!(error.is_timeout() || error.kind() == ErrorKind::Disconnected, "{error}");
            if error.outcome() == Outcome::NotSent {
                not_sent += 1;
                assert!(std::error::Error::source(&error).is_some(), "says why: {error:?}");
                server.set(format!("not sent {number}"), "");
            }
        }
        assert!(not_sent > 10, "{ways:?}: the connection was given up: {not_sent}");
        ways.iter().for_each(|way| link.release(*way));
        sleep(CAP + SECOND).await;
        works(&client).await;
        for number in 0..20 {
            let sent = server.get(format!("not sent {number}")).is_none();
            assert!(sent || server.get(format!("k{number}")).is_none(), "{ways:?}: {number} ran");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn server_that_never_answers_is_given_up_within_the_connect_budget() {
    type Trouble = fn(&Server, &Link);
    let troubles: [(&str, Trouble, &str); 5] = [
        ("nobody answers the dial", |_, link| link.ignore(true), "did not accept"),
        ("frozen", |server, _| server.freeze(), "did not answer HELLO"),
        ("replies are lost", |_, link| link.hold(Way::ToClient), "did not answer HELLO"),
        ("requests are lost", |_, link| link.hold(Way::ToServer), "did not answer HELLO"),
        ("drip", |_, link| link.drip(Way::ToClient, 1, SECOND / 10), "did not answer HELLO"),
    ];
    for (what, trouble, words) in troubles {
        let (server, link) = (Server::new(Profile::Valkey9), Link::new());
        trouble(&server, &link);
        let config = config(&server, &link).connect_timeout(2 * SECOND);
        let begun = Instant::now();
        let error = Client::with_config(config.clone()).await.unwrap_err();
        assert!(begun.elapsed() <= 2 * SECOND + MS, "{what}: {:?}", begun.elapsed());
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::Connect, Outcome::NotSent),
            "{what}"
        );
        assert!(error.to_string().contains(words), "{what}: {error}");
        server.thaw();
        link.heal();
        works(&connect(config).await).await;
    }
}

#[tokio::test(start_paused = true)]
async fn client_connects_again_soon_after_any_trouble_however_long_it_was() {
    type Trouble = fn(&Server, &Link);
    let troubles: [Trouble; 7] = [
        |server, link| {
            server.refuse_connections(true);
            link.cut(Ending::Reset);
        },
        |_, link| {
            link.ignore(true);
            link.cut(Ending::Reset);
        },
        |_, link| link.hold(Way::ToClient),
        |server, _| server.freeze(),
        |server, link| {
            server.set_loading(true);
            link.cut(Ending::Close);
        },
        |server, _| {
            server.fault(Fault::error("ERR max number of clients reached").on("HELLO"));
            server.kill_connections();
        },
        |server, _| {
            server.fault(Fault::close());
        },
    ];
    for (number, trouble) in troubles.into_iter().enumerate() {
        let (server, link) = (Server::new(Profile::Redis7_0), Link::new());
        let client = connect(config(&server, &link).connect_timeout(SECOND)).await;
        for lasts in [SECOND / 10, 3 * SECOND, 600 * SECOND] {
            trouble(&server, &link);
            sleep(lasts).await;
            server.refuse_connections(false);
            server.set_loading(false);
            server.clear_faults();
            server.thaw();
            link.heal();
            let healed = Instant::now();
            while client.ping().await.is_err() {
                assert!(healed.elapsed() <= CAP + SECOND, "trouble {number} for {lasts:?}");
                sleep(MS).await;
            }
            sleep(5 * SECOND).await;
            works(&client).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn loading_server_is_not_ready_and_its_callers_wait() {
    for profile in [Profile::Redis6_2, Profile::Valkey9] {
        let (server, link) = (Server::new(profile), Link::new());
        let client = connect(config(&server, &link)).await;
        server.set_loading(true);
        link.cut(Ending::Reset);
        sleep(SECOND).await;
        let State::Connecting(Some(why)) = client.state() else { panic!("{:?}", client.state()) };
        assert_eq!(why.server().map(|said| said.code()), Some("LOADING"));
        let error = client.ping().await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::NotSent));
        let mut waiting = Box::pin(client.ping());
        assert!(poll_once(&mut waiting).await.is_pending());
        server.set_loading(false);
        waiting.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn server_that_is_full_is_asked_again_until_there_is_room() {
    let server = Server::builder(Profile::Redis7_0).max_clients(1).build();
    let link = Link::new();
    let first = connect(config(&server, &link)).await;
    let error = Client::with_config(config(&server, &link)).await.unwrap_err();
    assert!(error.to_string().contains("max number of clients reached"), "{error}");
    assert_eq!(error.outcome(), Outcome::NotSent);
    works(&first).await;

    // Somebody else takes the place while the first is away.
    link.refuse(true);
    link.cut(Ending::Reset);
    sleep(SECOND).await;
    let other = server.connect();
    link.refuse(false);
    let error = first.ping().await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::NotSent));
    let State::Connecting(Some(why)) = first.state() else { panic!("{:?}", first.state()) };
    assert!(why.to_string().contains("max number of clients"), "{why}");
    drop(other);
    sleep(CAP + SECOND).await;
    works(&first).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_connection_was_told_is_told_to_the_next_one_before_it_is_ready() {
    for protocol in [ProtocolChoice::Resp2, ProtocolChoice::Resp3] {
        let (server, link) = (Server::new(Profile::Redis7_0), Link::new());
        let config = config(&server, &link).db(3).client_name("me").protocol(protocol);
        let client = connect(config).await;
        client.set("k", "in three").await.unwrap();
        for _ in 0..3 {
            link.cut(Ending::Reset);
            sleep(SECOND).await;
            assert_eq!(client.get("k").await.unwrap().as_deref(), Some(&b"in three"[..]));
            let name: String = client.command("CLIENT").arg("GETNAME").send().await.unwrap();
            assert_eq!(name, "me");
            let info: String = client.command("CLIENT").arg("INFO").send().await.unwrap();
            let resp = if protocol == ProtocolChoice::Resp2 { "resp=2" } else { "resp=3" };
            assert!(info.contains(" db=3 ") && info.contains(resp), "{info}");
        }
        assert!(server.get("k").is_none(), "database 0 was never written");
    }
}

#[tokio::test(start_paused = true)]
async fn call_that_may_take_long_is_waited_for_and_others_are_not_kept_by_it() {
    let (server, link) = (Server::new(Profile::Valkey9), Link::new());
    let client = connect(config(&server, &link)).await;
    server.fault(Fault::delay_reply(8 * SECOND).on("EVAL").times(1));
    let slow = client.command("EVAL").arg(("return 1", 0)).timeout(10 * SECOND);
    let mut slow = Box::pin(slow.send::<i64>());
    assert!(poll_once(&mut slow).await.is_pending());
    let begun = Instant::now();
    assert!(client.ping().await.unwrap_err().is_timeout());
    assert!(begun.elapsed() <= SECOND + MS);
    // The in-process server has no Lua: its refusal is the answer that was waited for.
    let answered = slow.await.unwrap_err();
    assert_eq!((answered.kind(), answered.outcome()), (ErrorKind::Server, Outcome::Refused));
    assert_eq!(link.dialled(), 1);
    works(&client).await;
}

#[tokio::test(start_paused = true)]
async fn durations_that_mean_never_are_taken_for_that() {
    let server = Server::new(Profile::Valkey9);
    let never = Duration::MAX;
    let config = Config::dialer(server.dialer())
        .connect_timeout(never)
        .response_timeout(never)
        .keepalive(never)
        .stall_timeout(never);
    let client = connect(config).await;
    server.fault(Fault::delay_reply(3_600 * SECOND).on("GET").times(1));
    assert_eq!(client.get("k").await.unwrap(), None);
    client.command("PING").timeout(never).send::<String>().await.unwrap();
    client.close(never).await;
}

/// A server that does not read while it writes.
async fn one_at_a_time(mut stream: DuplexStream) -> io::Result<()> {
    let mut decoder = RequestDecoder::new(Limits::default());
    let (mut received, mut out) = (BytesMut::new(), BytesMut::new());
    loop {
        while let Some(args) = decoder.decode(&mut received).map_err(io::Error::other)? {
            match &args[0][..] {
                b"PING" | b"ECHO" if args.len() == 2 => encode::bulk(&args[1], &mut out),
                b"PING" => out.extend_from_slice(b"+PONG\r\n"),
                b"CLIENT" => out.extend_from_slice(b"+OK\r\n"),
                _ => out.extend_from_slice(b"-ERR unknown command\r\n"),
            }
            stream.write_all(&out).await?;
            out.clear();
        }
        if stream.read_buf(&mut received).await? == 0 {
            return Ok(());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn reading_goes_on_while_writing_cannot() {
    let dial = || async {
        let (near, far) = tokio::io::duplex(64);
        tokio::spawn(one_at_a_time(far));
        Ok::<_, io::Error>(near)
    };
    let client = connect(Config::dialer(dial)).await;
    // A mebibyte each way, through windows of 64 bytes.
    let calls = (0..64).map(|number| {
        let client = client.clone();
        tokio::spawn(async move {
            let words = format!("{number} {}", "x".repeat(16 << 10));
            let echoed: Result<String, Error> = client.command("ECHO").arg(&words).send().await;
            assert!(echoed.unwrap() == words);
        })
    });
    let calls: Vec<_> = calls.collect();
    for call in calls {
        timeout(SECOND, call).await.expect("no deadlock").unwrap();
    }
    works(&client).await;
}

#[tokio::test]
async fn name_is_looked_up_and_every_address_tried_at_each_dial() {
    let server = Server::new(Profile::Valkey9);
    let address = server.listen_tcp().await.unwrap();
    // "localhost" has an address of either family on most machines, and the server listens on one.
    let url = format!("redis://localhost:{}", address.port());
    let client = connect(Config::from_url(&url).unwrap()).await;
    client.ping().await.unwrap();
    server.kill_connections();
    eventually("connected anew", async || client.ping().await.is_ok()).await;
}
