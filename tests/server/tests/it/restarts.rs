//! A server that is started again, with its data or without, and one whose clock is off.

use crate::support::Peer;
use std::time::Duration;
use tenure_server::{Profile, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(start_paused = true)]
async fn a_restart_brings_back_what_the_snapshot_had_and_nothing_else() {
    let server = Server::new(Profile::Valkey9);
    let mut before = Peer::new(&server);
    before.ask("SET kept 1").await;
    let snapshot = server.snapshot();
    before.ask("SET tail 2").await;
    before.ask("DEL kept").await;
    server.restart(Some(&snapshot));
    assert_eq!(server.connections(), 0);
    assert_eq!((server.get("kept").as_deref(), server.get("tail")), (Some(&b"1"[..]), None));
    server.restart(None);
    assert_eq!(server.get("kept"), None);
    assert_eq!(Peer::new(&server).ask("PING").await, "+PONG");
}

#[tokio::test(start_paused = true)]
async fn a_restart_is_seen_by_its_run_id_and_forgets_scripts() {
    const SCRIPT: &str = include_str!("../../../../src/lock/scripts/release.lua");
    let server = Server::new(Profile::Redis7_0);
    let mut peer = Peer::new(&server);
    let digest = peer.ask_words(&["SCRIPT", "LOAD", SCRIPT]).await;
    let digest = digest.split_whitespace().last().unwrap().to_owned();
    let info = peer.ask("INFO server").await;
    tokio::time::advance(Duration::from_secs(1)).await;
    server.restart(Some(&server.snapshot()));
    let mut peer = Peer::new(&server);
    assert_ne!(peer.ask("INFO server").await, info);
    let missing = peer.ask_words(&["EVALSHA", &digest, "1", "k", "v"]).await;
    assert!(missing.starts_with("-NOSCRIPT"), "{missing}");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_fast_ends_leases_early() {
    let server = Server::new(Profile::Valkey9);
    server.drift_clock(10_000); // one percent
    server.set_for("lk:a", "v", Duration::from_secs(10));
    tokio::time::advance(Duration::from_millis(9_890)).await;
    assert!(server.get("lk:a").is_some());
    tokio::time::advance(Duration::from_millis(20)).await;
    assert!(server.get("lk:a").is_none());
}

#[tokio::test]
async fn a_stream_of_the_callers_is_served_like_any_other() {
    let server = Server::new(Profile::Valkey9);
    let (mut near, far) = tokio::io::duplex(64);
    server.accept(far);
    near.write_all(b"*1\r\n$4\r\nPING\r\n").await.unwrap();
    let mut reply = [0; 7];
    near.read_exact(&mut reply).await.unwrap();
    assert_eq!(&reply, b"+PONG\r\n");
}
