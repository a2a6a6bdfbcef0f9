//! Pipelines and transactions when something goes wrong. In process, on a paused clock.

use std::time::Duration;
use tenure::{Backoff, Client, Config, Error, ErrorKind, Frame, Outcome};
use tenure_server::{Fault, Profile, Server};

const MS: Duration = Duration::from_millis(1);

async fn connect(server: &Server) -> Client {
    let config = Config::dialer(server.dialer()).reconnect(Backoff::new(3 * MS, 1.0, 3 * MS));
    Client::with_config(config).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn pipeline_leaves_in_one_write_and_a_transaction_too() {
    let (server, counting) = (Server::new(Profile::Valkey9), crate::support::Counting::default());
    let client = Client::with_config(counting.config(&server)).await.unwrap();
    client.transaction().incr("n").send::<()>().await.unwrap();
    for batch in [client.pipeline(), client.transaction()] {
        let before = counting.writes();
        batch.set("k", 1).incr("k").get("k").send::<((), i64, Frame)>().await.unwrap();
        assert_eq!(counting.writes() - before, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn lost_connection_keeps_the_replies_that_came_and_fails_the_rest() {
    let server = Server::new(Profile::Redis7_0);
    let client = connect(&server).await;
    server.fault(Fault::cut_reply(0).on("INCR").after(1).times(1));
    let batch = client.pipeline().incr("n").incr("n").incr("n");
    let all: Vec<Result<i64, Error>> = batch.send().await.unwrap();
    assert_eq!(*all[0].as_ref().unwrap(), 1);
    for lost in &all[1..] {
        let error = lost.as_ref().unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Disconnected, Outcome::Unknown));
    }
    let sum: i64 = client.command("INCRBY").arg(("n", 10)).send().await.unwrap();
    assert_eq!(sum, 12, "nothing of it is sent again");
}

#[tokio::test(start_paused = true)]
async fn exec_with_a_lost_connection_has_an_unknown_outcome_and_is_not_sent_again() {
    for executed in [false, true] {
        let server = Server::new(Profile::Valkey9);
        let client = connect(&server).await;
        client.transaction().exists("k").send::<()>().await.unwrap();
        let fault = if executed { Fault::cut_reply(0) } else { Fault::close() };
        server.fault(fault.on("EXEC").times(1));
        let error = client.transaction().incr("k").incr("k").send::<()>().await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Disconnected, Outcome::Unknown));
        client.ping().await.unwrap();
        let left = server.get("k");
        assert_eq!(left.as_deref(), executed.then_some(&b"2"[..]), "all of it or nothing");
    }
}

#[tokio::test(start_paused = true)]
async fn transaction_waits_for_a_connection_whole_and_is_withdrawn_whole() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    client.transaction().exists("k").send::<()>().await.unwrap();
    server.refuse_connections(true);
    server.kill_connections();
    tokio::time::sleep(MS).await;
    let error = client.transaction().set("late", 1).send::<()>().await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::NotSent));
    let waits = tokio::spawn({
        let client = client.clone();
        async move { client.transaction().set("k", 1).incr("k").send::<((), i64)>().await }
    });
    tokio::time::sleep(100 * MS).await;
    server.refuse_connections(false);
    assert_eq!(waits.await.unwrap().unwrap().1, 2);
    let names: Vec<_> = server.log().iter().map(|entry| entry.name()).collect();
    assert_eq!(names[names.len() - 4..], ["MULTI", "SET", "INCR", "EXEC"]);
    assert_eq!(server.keys(), ["k"]);
}

/// The pipe takes 64 KiB, so the connection ends while a part of what is queued has left.
#[tokio::test(start_paused = true)]
async fn transaction_that_left_in_part_is_never_finished_on_another_connection() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    client.transaction().exists("k").send::<()>().await.unwrap();
    server.freeze();
    let big = vec![b'x'; 100_000];
    let torn = tokio::spawn({
        let client = client.clone();
        async move { client.transaction().set("big", big).set("small", 1).incr("n").send::<()>().await }
    });
    tokio::task::yield_now().await;
    let whole = tokio::spawn({
        let client = client.clone();
        async move { client.transaction().incr("m").send::<(i64,)>().await }
    });
    tokio::task::yield_now().await;
    server.kill_connections();
    server.thaw();
    let error = torn.await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Disconnected, Outcome::Unknown));
    assert_eq!(whole.await.unwrap().unwrap(), (1,), "never left, so it goes out now");
    assert_eq!(server.keys(), ["m"]);
}

#[tokio::test(start_paused = true)]
async fn server_without_memory_executes_nothing_of_a_transaction() {
    let server = Server::new(Profile::Redis7_0);
    let client = connect(&server).await;
    server.set_full(true);
    let error = client.transaction().del("k").set("k", 1).send::<()>().await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Refused);
    assert!(error.to_string().starts_with("nothing was executed: command 1 (DEL): OOM"), "{error}");
}
