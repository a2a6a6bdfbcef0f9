//! Commands that wait, and watched transactions, when something goes wrong. In process, on a paused clock.

use crate::support::{eventually, poll_once};
use std::time::Duration;
use tenure::{Backoff, Client, Config, ErrorKind, Frame, Outcome};
use tenure_server::{Fault, Profile, Server};
use tokio::time::{Instant, sleep, timeout};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn config(server: &Server) -> Config {
    Config::dialer(server.dialer()).reconnect(Backoff::new(3 * MS, 1.0, 3 * MS))
}

async fn connect(server: &Server) -> Client {
    Client::with_config(config(server)).await.unwrap()
}

async fn rpush(client: &Client, elements: &[&str]) {
    client.command("RPUSH").arg("k").arg(elements).send::<()>().await.unwrap();
}

async fn list(client: &Client) -> Vec<String> {
    client.command("LRANGE").arg(("k", 0, -1)).send().await.unwrap()
}

/// Dropped after each of its polls, with the element there before, coming meanwhile, or coming after: it is in the list or with
/// the caller, and never lost or doubled.
#[tokio::test(start_paused = true)]
async fn element_is_never_lost_with_a_dropped_wait() {
    for (name, args) in [("BLPOP", ("k", "0")), ("BRPOP", ("k", "0"))] {
        for delay in [Duration::ZERO, MS, 3 * MS] {
            for comes_after in [None, Some(Duration::ZERO), Some(2 * MS), Some(5 * MS)] {
                for polls in 1..50 {
                    let server = Server::new(Profile::Valkey9);
                    let client = connect(&server).await;
                    if !delay.is_zero() {
                        server.fault(Fault::delay_reply(delay).on(name));
                    }
                    if comes_after.is_none() {
                        rpush(&client, &["a", "b", "c"]).await;
                    }
                    let mut call =
                        Box::pin(
                            client.blocking_command(name).arg(args).send::<(String, String)>(),
                        );
                    let pusher = tokio::spawn({
                        let client = client.clone();
                        async move {
                            if let Some(after) = comes_after {
                                sleep(after).await;
                                rpush(&client, &["a", "b", "c"]).await;
                            }
                        }
                    });
                    let mut popped = None;
                    for _ in 0..polls {
                        if let std::task::Poll::Ready(answer) = poll_once(&mut call).await {
                            popped = Some(answer.unwrap().1);
                            break;
                        }
                        tokio::task::yield_now().await;
                        sleep(MS / 2).await;
                    }
                    let ended = popped.is_some();
                    drop(call);
                    pusher.await.unwrap();
                    sleep(SECOND).await;
                    let mut left = list(&client).await;
                    match (name, popped) {
                        ("BLPOP", Some(popped)) => left.insert(0, popped),
                        (_, Some(popped)) => left.push(popped),
                        (_, None) => {}
                    }
                    let place = format!("{name}, {delay:?}, {comes_after:?}, {polls} polls");
                    assert_eq!(left, ["a", "b", "c"], "{place}");
                    assert!(server.connections() <= 2, "{place}: data, and the one that waited");
                    if ended {
                        break;
                    }
                    assert!(polls < 49, "{place}: never ends");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn lost_connection_ends_the_wait_with_an_unknown_outcome() {
    let server = Server::new(Profile::Redis7_0);
    let client = connect(&server).await;
    server.fault(Fault::cut_reply(0).on("BLPOP").times(1));
    rpush(&client, &["a"]).await;
    let call = client.blocking_command("BLPOP").arg(("k", 0)).send::<Frame>();
    let error = call.await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Disconnected, Outcome::Unknown));
    let next = client.blocking_command("BLPOP").arg(("k", 0.01)).send::<Option<Frame>>();
    assert_eq!(next.await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn server_that_is_gone_without_a_word_is_noticed_while_a_command_waits_for_ever() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    let mut call = Box::pin(client.blocking_command("BLPOP").arg(("k", 0)).send::<Frame>());
    // Nothing is wrong for an hour.
    assert!(timeout(3_600 * SECOND, &mut call).await.is_err());
    server.freeze();
    let begun = Instant::now();
    let error = call.await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Disconnected, Outcome::Unknown));
    assert!(error.to_string().contains("does not answer elsewhere"), "{error}");
    assert!(begun.elapsed() <= 5 * SECOND, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn late_answer_is_a_time_out_and_what_it_brings_is_put_back() {
    let server = Server::new(Profile::Redis6_2);
    let client = connect(&server).await;
    rpush(&client, &["a"]).await;
    server.fault(Fault::delay_reply(2_500 * MS).on("BLPOP").times(1));
    let begun = Instant::now();
    let call = client.blocking_command("BLPOP").arg(("k", 1)).send::<Frame>();
    let error = call.await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::Unknown));
    assert_eq!(begun.elapsed().as_secs(), 2, "1 s that it waits, and the response time-out");
    eventually("the element is back", async || list(&client).await == ["a"]).await;
    let call = client.blocking_command("BLPOP").arg(("k", 0)).timeout(10 * MS);
    assert_eq!(call.send::<(String, String)>().await.unwrap().1, "a");
    let call = client.blocking_command("BLPOP").arg(("k", 0)).timeout(10 * MS).send::<Frame>();
    assert!(call.await.unwrap_err().is_timeout(), "a time-out of one's own");
}

#[tokio::test(start_paused = true)]
async fn more_waits_than_connections_are_told_so_and_get_their_turn_when_one_comes_free() {
    let server = Server::new(Profile::Valkey9);
    let client = Client::with_config(config(&server).leased_connections(2)).await.unwrap();
    let waits = |time| {
        let client = client.clone();
        tokio::spawn(async move {
            client.blocking_command("BLPOP").arg(("k", time)).send::<Option<Frame>>().await
        })
    };
    let (first, second) = (waits(5.0), waits(5.0));
    sleep(MS).await;
    let error = waits(5.0).await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Overloaded, Outcome::NotSent));
    assert!(error.to_string().contains("Config::leased_connections"), "{error}");
    let error = client.watch("k").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    first.abort();
    assert_eq!(waits(0.1).await.unwrap().unwrap(), None);
    assert_eq!(second.await.unwrap().unwrap(), None);
    assert_eq!(server.connections(), 3);
}

#[tokio::test(start_paused = true)]
async fn idle_connection_that_the_server_has_closed_is_not_used_again() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    let pop = || client.blocking_command("BLPOP").arg(("k", 0.01)).send::<Option<Frame>>();
    assert_eq!(pop().await.unwrap(), None);
    server.kill_connections();
    sleep(10 * MS).await;
    assert_eq!(pop().await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn closed_client_ends_its_waits_and_the_last_handle_their_connections() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    let waits = tokio::spawn({
        let client = client.clone();
        async move { client.blocking_command("BLPOP").arg(("k", 0)).send::<Frame>().await }
    });
    sleep(MS).await;
    client.close(SECOND).await;
    let error = waits.await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Closed, Outcome::Unknown));
    let error = client.blocking_command("BLPOP").arg(("k", 0)).send::<Frame>().await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Closed, Outcome::NotSent));
    assert_eq!(server.connections(), 0);

    let client = connect(&server).await;
    drop(client.watch("k").await.unwrap());
    assert_eq!(server.connections(), 2);
    drop(client);
    eventually("all connections are closed", async || server.connections() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn watch_whose_connection_is_lost_never_goes_on_with_another() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    let watch = client.watch("k").await.unwrap();
    server.kill_connections();
    sleep(10 * MS).await;
    let error = watch.get("k").await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Disconnected, Outcome::NotSent));
    let error = watch.transaction().incr("k").send::<Option<(i64,)>>().await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Disconnected, Outcome::NotSent));

    let watch = client.watch("k").await.unwrap();
    server.fault(Fault::cut_reply(0).on("EXEC").times(1));
    let error = watch.transaction().incr("k").send::<Option<(i64,)>>().await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Disconnected, Outcome::Unknown));
    assert!(server.keys().is_empty() || server.get("k").as_deref() == Some(b"1"));
}

#[test]
fn waits_from_outside_a_runtime_run_on_the_clients_own_thread() {
    let server_runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = Server::new(Profile::Valkey9);
    let address = server_runtime.block_on(server.listen_tcp()).unwrap();
    let bare = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let config = Config::from_url(&format!("redis://{address}")).unwrap().own_thread();
    bare.block_on(async {
        let client = Client::with_config(config).await.unwrap();
        let call = client.blocking_command("BLPOP").arg(("k", 0.01));
        assert_eq!(call.send::<Option<Frame>>().await.unwrap(), None);
        let watch = client.watch("k").await.unwrap();
        let batch = watch.transaction().incr("k");
        assert_eq!(batch.send::<Option<(i64,)>>().await.unwrap(), Some((1,)));
    });
}
