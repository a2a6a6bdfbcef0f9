//! Faults: what each one does to a request, its connection, and the data.

use crate::support::Peer;
use std::time::Duration;
use tenure_server::{Fault, Profile, Server};

fn server() -> Server {
    Server::new(Profile::Valkey9)
}

#[tokio::test(start_paused = true)]
async fn a_dropped_request_is_neither_executed_nor_answered() {
    let server = server();
    let mut peer = Peer::new(&server);
    let rule = server.fault(Fault::drop_request().on("set").times(1));
    assert_eq!(peer.ask("SET k v").await, "");
    assert_eq!(server.get("k"), None);
    assert_eq!(rule.hits(), 1);
    assert!(server.log().is_empty());
    assert_eq!(peer.ask("SET k v").await, "+OK");
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_leaves_its_effect_behind() {
    let server = server();
    let mut peer = Peer::new(&server);
    server.fault(Fault::lose_reply().on("set").times(1));
    assert_eq!(peer.ask("SET k v").await, "");
    assert_eq!(server.get("k").unwrap(), "v");
    assert_eq!(peer.ask("GET k").await, "$1 v");
}

#[tokio::test(start_paused = true)]
async fn a_cut_reply_ends_the_connection_after_so_many_bytes() {
    for (bytes, heard) in [(0, "<end>"), (1, "+<end>"), (4, "+OK\r<end>"), (5, "+OK <end>")] {
        let server = server();
        let mut peer = Peer::new(&server);
        server.fault(Fault::cut_reply(bytes).on("set"));
        assert_eq!(peer.ask("SET k v").await, heard);
        assert_eq!(server.get("k").unwrap(), "v");
        assert_eq!(server.connections(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_closed_connection_executes_nothing_more() {
    let server = server();
    let mut peer = Peer::new(&server);
    server.fault(Fault::close().on("set"));
    peer.send("SET k v").await;
    assert_eq!(peer.ask("INCR n").await, "<end>");
    assert_eq!(server.keys().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_delayed_reply_comes_later_and_a_delayed_request_runs_later() {
    let server = server();
    let mut peer = Peer::new(&server);
    let second = Duration::from_secs(1);
    server.fault(Fault::delay_reply(second).on("set").times(1));
    assert_eq!(peer.ask("SET k v").await, "");
    assert_eq!(server.get("k").unwrap(), "v");
    tokio::time::sleep(second).await;
    assert_eq!(peer.hear().await, "+OK");
    server.fault(Fault::delay_request(second).on("del").times(1));
    assert_eq!(peer.ask("DEL k").await, "");
    assert_eq!(server.get("k").unwrap(), "v");
    tokio::time::sleep(second).await;
    assert_eq!(peer.hear().await, ":1");
    assert_eq!(server.get("k"), None);
}

#[tokio::test(start_paused = true)]
async fn wrong_frames_are_sent_as_they_were_given() {
    let server = server();
    let mut peer = Peer::new(&server);
    server.fault(Fault::duplicate_reply().on("get").times(1));
    server.fault(Fault::stray_bytes("+stray\r\n").on("get").times(1));
    server.fault(Fault::raw_reply("HTTP/1.1 400 Bad Request\r\n").on("get").times(1));
    assert_eq!(peer.ask("GET k").await, "$-1 $-1");
    assert_eq!(peer.ask("GET k").await, "+stray $-1");
    assert_eq!(peer.ask("GET k").await, "HTTP/1.1 400 Bad Request");
    assert_eq!(peer.ask("GET k").await, "$-1");
}

#[tokio::test(start_paused = true)]
async fn errors_are_given_instead_of_executing() {
    let server = server();
    let mut peer = Peer::new(&server);
    for (fault, start) in [
        (Fault::loading(), "-LOADING "),
        (Fault::read_only(), "-READONLY "),
        (Fault::out_of_memory(), "-OOM "),
        (Fault::error("BUSY a script is running"), "-BUSY "),
    ] {
        server.fault(fault.on("set").times(1));
        let answer = peer.ask("SET k v").await;
        assert!(answer.starts_with(start), "{answer}");
    }
    assert_eq!(server.get("k"), None);
}

#[tokio::test(start_paused = true)]
async fn conditions_refuse_what_the_servers_refuse_in_them() {
    let server = server();
    let mut peer = Peer::new(&server);
    server.set("k", "v");
    server.set_read_only(true);
    assert!(peer.ask("DEL k").await.starts_with("-READONLY "));
    assert_eq!(peer.ask("GET k").await, "$1 v");
    server.set_read_only(false);
    server.set_loading(true);
    assert!(peer.ask("GET k").await.starts_with("-LOADING "));
    assert!(peer.ask("HELLO 2").await.starts_with("*14"));
    server.set_loading(false);
    server.set_full(true);
    assert!(peer.ask("SET k w").await.starts_with("-OOM "));
    assert_eq!(peer.ask("DELIFEQ k v").await, ":1");
}

#[tokio::test(start_paused = true)]
async fn a_frozen_server_takes_everything_up_when_it_thaws() {
    let server = server();
    let mut peer = Peer::new(&server);
    server.freeze();
    assert_eq!(peer.ask("SET k v").await, "");
    let mut late = Peer::new(&server);
    assert_eq!(late.ask("GET k").await, "");
    assert_eq!(server.get("k"), None);
    server.thaw();
    assert_eq!(peer.hear().await, "+OK");
    assert_eq!(late.hear().await, "$1 v");
    server.fault(Fault::freeze().on("get"));
    assert_eq!(peer.ask("GET k").await, "");
    assert_eq!(late.ask("PING").await, "");
    server.thaw();
    assert_eq!(peer.hear().await, "$1 v");
    assert_eq!(late.hear().await, "+PONG");
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_requests_until_it_ends() {
    let server = server();
    let (mut peer, mut other) = (Peer::new(&server), Peer::new(&server));
    peer.ask("CLIENT PAUSE 1000 WRITE").await;
    assert_eq!(other.ask("SET k v").await, "");
    assert_eq!(peer.ask("GET k").await, "$-1");
    peer.ask("CLIENT UNPAUSE").await;
    assert_eq!(other.hear().await, "+OK");
    peer.ask("CLIENT PAUSE 1000").await;
    assert_eq!(other.ask("GET k").await, "");
    tokio::time::sleep(Duration::from_millis(1001)).await;
    assert_eq!(other.hear().await, "$1 v");
}

#[tokio::test(start_paused = true)]
async fn a_fault_ends_when_it_is_removed() {
    let server = server();
    let mut peer = Peer::new(&server);
    let rule = server.fault(Fault::drop_request());
    assert_eq!(peer.ask("PING").await, "");
    rule.remove();
    assert_eq!(peer.ask("PING").await, "+PONG");
    server.fault(Fault::drop_request());
    server.clear_faults();
    assert_eq!(peer.ask("PING").await, "+PONG");
}
