//! What happens to calls when the server, or the way to it, fails. In process, on a paused clock.

use crate::support::{Counting, eventually, poll_once};
use std::time::Duration;
use tenure::client::SetOptions;
use tenure::{Backoff, Client, Config, Error, ErrorKind, Outcome};
use tenure_server::{Fault, Profile, Server};
use tokio::io::BufWriter;
use tokio::time::Instant;

fn server() -> Server {
    Server::new(Profile::Valkey9)
}

/// A client that never waits long before it dials again.
async fn connect(server: &Server) -> Client {
    let tick = Duration::from_millis(10);
    let config = Config::dialer(server.dialer()).reconnect(Backoff::new(tick, 1.0, tick));
    Client::with_config(config).await.unwrap()
}

/// Ends every connection, and gives the client the time to notice.
async fn cut(server: &Server) {
    server.kill_connections();
    tokio::time::sleep(Duration::from_millis(1)).await;
}

async fn get(client: &Client, key: impl Into<String>) -> Result<Option<String>, Error> {
    client.command("GET").arg(key.into()).send().await
}

#[tokio::test(start_paused = true)]
async fn commands_of_many_tasks_leave_in_few_writes() {
    // The first of all writes alone. Then there is one write a round, or where there are many two of 96 commands each, and one for
    // those who were left over from the first round.
    for (tasks, most) in [(90, 6), (200, 15)] {
        let (server, counting) = (server(), Counting::default());
        let client = Client::with_config(counting.config(&server)).await.unwrap();
        let before = counting.writes();
        let calls = (0..tasks).map(|number| {
            let client = client.clone();
            tokio::spawn(async move {
                for round in 0..5 {
                    client.set(format!("k{number}"), round).await.unwrap();
                }
            })
        });
        for call in calls.collect::<Vec<_>>() {
            call.await.unwrap();
        }
        assert_eq!(server.keys().len(), tasks);
        let writes = counting.writes() - before;
        assert!(writes <= most, "{writes} writes for 5 rounds of {tasks} commands");
    }
}

#[tokio::test(start_paused = true)]
async fn call_alone_is_written_by_its_caller() {
    let (server, counting) = (server(), Counting::default());
    let client = Client::with_config(counting.config(&server)).await.unwrap();
    client.ping().await.unwrap();
    let before = counting.writes();
    let mut call = Box::pin(client.ping());
    assert!(poll_once(&mut call).await.is_pending());
    assert_eq!(counting.writes() - before, 1, "written within the first poll");
    call.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn bytes_that_a_layer_below_keeps_back_are_pushed_on() {
    let server = server();
    let config = Config::dialer({
        let server = server.clone();
        move || {
            // The layer takes a whole command at once and passes on 64 bytes at a time.
            let (near, far) = tokio::io::duplex(64);
            server.accept(far);
            std::future::ready(Ok(BufWriter::with_capacity(8 << 10, near)))
        }
    });
    let client = Client::with_config(config).await.unwrap();
    let value = "v".repeat(2_000);
    client.set("k", &value).await.unwrap();
    assert_eq!(get(&client, "k").await.unwrap(), Some(value));
}

#[tokio::test(start_paused = true)]
async fn reply_of_a_cancelled_call_reaches_nobody_else() {
    let server = server();
    let client = connect(&server).await;
    for number in 0..20 {
        server.set(format!("k{number}"), format!("v{number}"));
    }
    server.fault(Fault::delay_reply(Duration::from_millis(5)));
    for round in 0..20 {
        let cancelled: Vec<_> =
            (0..10).map(|number| Box::pin(get(&client, format!("k{number}")))).collect();
        for mut call in cancelled {
            let _ = poll_once(&mut call).await;
        }
        let key = round % 10 + 10;
        let value = get(&client, format!("k{key}")).await.unwrap();
        assert_eq!(value, Some(format!("v{key}")));
    }
}

#[tokio::test(start_paused = true)]
async fn frozen_server_costs_each_caller_its_time_out_and_then_the_right_reply_comes() {
    let server = server();
    let client = connect(&server).await;
    server.set("k", "v");
    server.freeze();
    let begun = Instant::now();
    let error = client.set("late", "1").await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::Unknown));
    assert!(error.to_string().contains("may have run"), "{error}");
    let known = error.circumstances().unwrap();
    assert_eq!((known.queued, known.in_flight), (0, 1));
    assert_eq!(known.silent_for.map(|silent| silent.as_secs()), Some(1));
    assert!(error.to_string().ends_with("ms ago; 1 in flight, 0 queued)"), "{error}");
    assert_eq!(begun.elapsed().as_secs(), 1);
    server.thaw();
    assert_eq!(get(&client, "k").await.unwrap().as_deref(), Some("v"));
}

#[tokio::test(start_paused = true)]
async fn server_that_stays_frozen_is_given_up_and_dialled_again() {
    let server = server();
    let client = connect(&server).await;
    let rule = server.fault(Fault::drop_request().on("GET"));
    assert!(client.get("k").await.unwrap_err().is_timeout());
    rule.remove();
    // Nothing more is asked, so nothing more is heard, and an answer is owed.
    eventually("the silent connection was replaced", async || {
        tokio::time::sleep(Duration::from_secs(1)).await;
        server.log().iter().filter(|entry| entry.name() == "HELLO").count() == 2
    })
    .await;
    client.ping().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn call_in_flight_on_a_lost_connection_has_an_unknown_outcome() {
    let server = server();
    let client = connect(&server).await;
    server.fault(Fault::close().on("SET").times(1));
    let error = client.set("k", 1).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Disconnected, Outcome::Unknown));
    client.set("k", 2).await.unwrap();
    let sets = server.log().iter().filter(|entry| entry.name() == "SET").count();
    assert!(sets <= 2, "nothing was sent again by itself: {sets}");
}

#[tokio::test(start_paused = true)]
async fn call_made_while_there_is_no_connection_waits_for_the_next_one() {
    let server = server();
    let client = connect(&server).await;
    server.refuse_connections(true);
    cut(&server).await;
    let call = tokio::spawn({
        let client = client.clone();
        async move { client.set("k", 1).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.refuse_connections(false);
    call.await.unwrap().unwrap();
    assert_eq!(server.get("k").as_deref(), Some(&b"1"[..]));
}

#[tokio::test(start_paused = true)]
async fn call_that_was_never_sent_says_so_and_is_not_sent_later() {
    let server = server();
    let client = connect(&server).await;
    server.refuse_connections(true);
    cut(&server).await;
    let error = client.set("k", 1).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::NotSent));
    assert!(std::error::Error::source(&error).is_some(), "names why there is no connection");
    let known = error.circumstances().unwrap();
    assert_eq!((known.silent_for, known.queued, known.in_flight), (None, 1, 0));
    assert!(error.to_string().contains("no connection to"), "{error}");
    server.refuse_connections(false);
    eventually("calls work again", async || client.ping().await.is_ok()).await;
    assert!(server.keys().is_empty());
}

#[tokio::test(start_paused = true)]
async fn server_that_breaks_the_protocol_is_named_and_left() {
    let server = server();
    let client = connect(&server).await;
    server.fault(Fault::raw_reply("$3\r\nabcXX").on("GET").times(1));
    let error = client.get("k").await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Protocol, Outcome::Unknown));
    client.ping().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn damaged_reply_fails_its_own_caller_only() {
    let server = server();
    let client = connect(&server).await;
    server.set("k", "v");
    server.fault(Fault::raw_reply("#maybe\r\n").on("EXISTS").times(1));
    let (damaged, whole) = tokio::join!(client.exists("k"), get(&client, "k"));
    assert_eq!(damaged.unwrap_err().kind(), ErrorKind::Protocol);
    assert_eq!(whole.unwrap().as_deref(), Some("v"));
    assert_eq!(server.log().iter().filter(|entry| entry.name() == "HELLO").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn queue_that_is_full_refuses_and_empties_again() {
    let server = server();
    let config = Config::dialer(server.dialer()).max_queued_bytes(1_000);
    let client = Client::with_config(config).await.unwrap();
    server.freeze();
    let value = vec![b'x'; 2_000];
    let first = tokio::spawn({
        let (client, value) = (client.clone(), value.clone());
        async move { client.set("k", value).await }
    });
    tokio::task::yield_now().await;
    let error = client.ping().await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Overloaded, Outcome::NotSent));
    server.thaw();
    first.await.unwrap().unwrap();
    client.ping().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn password_that_was_changed_fails_calls_at_once_until_it_is_right_again() {
    let server = server();
    let client = connect(&server).await;
    let rule = server.fault(
        Fault::error("WRONGPASS invalid username-password pair or user is disabled.").on("HELLO"),
    );
    cut(&server).await;
    eventually("calls fail with the server's words", async || match client.ping().await {
        Err(error) => {
            error.kind() == ErrorKind::Handshake && error.to_string().contains("WRONGPASS")
        }
        Ok(()) => false,
    })
    .await;
    rule.remove();
    eventually("dialling went on", async || {
        tokio::time::sleep(Duration::from_millis(100)).await;
        client.ping().await.is_ok()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn loading_server_is_waited_for() {
    let server = server();
    let client = connect(&server).await;
    let rule = server.fault(Fault::loading().on("HELLO"));
    cut(&server).await;
    let call = tokio::spawn({
        let client = client.clone();
        async move { client.ping().await }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    rule.remove();
    call.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn last_handle_gone_closes_the_connection() {
    let server = server();
    let client = connect(&server).await;
    client.lock("l").acquire().await.unwrap().release().await.unwrap();
    assert_eq!(server.connections(), 2);
    let clone = client.clone();
    drop(client);
    clone.ping().await.unwrap();
    drop(clone);
    eventually("both connections are closed", async || server.connections() == 0).await;
}

#[test]
fn client_that_outlives_its_runtime_says_so() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (first, second) = (runtime(), runtime());
    let server = server();
    let (client, guard) = first.block_on(async {
        let client = connect(&server).await;
        let guard = client.lock("l").acquire().await.unwrap();
        (client, guard)
    });
    drop(first);
    let error = second.block_on(client.ping()).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Closed, Outcome::NotSent));
    assert!(error.to_string().contains("runtime"), "{error}");
    let acquired = second.block_on(client.lock("l").acquire());
    assert!(matches!(acquired, Err(tenure::AcquireError::Closed)), "{acquired:?}");
    drop(guard); // nobody is left to send anything: no panic, no wait
}

#[tokio::test(start_paused = true)]
async fn argument_that_no_server_takes_is_refused_here_and_disturbs_nobody() {
    const MOST: usize = 512 << 20;
    let server = server();
    let client = connect(&server).await;
    server.set("k", "v");
    server.fault(Fault::delay_reply(Duration::from_millis(100)).on("GET").times(1));
    let mut on_its_way = Box::pin(get(&client, "k"));
    assert!(poll_once(&mut on_its_way).await.is_pending());
    let huge = vec![0_u8; MOST + 1];
    let error = client.set("huge", &huge[..]).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Refused, Outcome::NotSent));
    assert!(error.to_string().starts_with("an argument of 536870913 bytes"), "{error}");
    let expecting_huge = SetOptions::new().if_equal(&huge[..]);
    let error = client.set_with("k", "v", &expecting_huge).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Refused, Outcome::NotSent));
    assert_eq!(on_its_way.await.unwrap().as_deref(), Some("v"));
    assert_eq!((client.stats().reconnects, server.keys().len()), (0, 1));
}
