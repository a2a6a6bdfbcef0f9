//! Ways in, and how everything ends.

use crate::support::Peer;
use std::io;
use std::time::Duration;
use tenure_server::{Profile, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Handle;

const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";

fn server() -> Server {
    Server::new(Profile::Valkey9)
}

async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_same_data_is_reached_over_every_way_in() {
    let server = server();
    let address = server.listen_tcp().await.unwrap();
    let path = std::env::temp_dir().join(format!("tenure-server-{}.sock", std::process::id()));
    server.listen_unix(&path).await.unwrap();
    let mut tcp = TcpStream::connect(address).await.unwrap();
    let mut unix = UnixStream::connect(&path).await.unwrap();
    let mut memory = server.connect();
    let mut reply = [0; 5];
    tcp.write_all(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n").await.unwrap();
    tcp.read_exact(&mut reply).await.unwrap();
    assert_eq!(&reply, b"+OK\r\n");
    let get = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";
    let mut reply = [0; 7];
    unix.write_all(get).await.unwrap();
    unix.read_exact(&mut reply).await.unwrap();
    assert_eq!(&reply, b"$1\r\nv\r\n");
    memory.write_all(get).await.unwrap();
    memory.read_exact(&mut reply).await.unwrap();
    assert_eq!(&reply, b"$1\r\nv\r\n");
    assert_eq!(server.connections(), 3);
    drop(server);
    assert_eq!(tcp.read(&mut reply).await.unwrap(), 0);
    assert!(!path.exists());
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_takes_every_task_along() {
    let server = server();
    server.listen_tcp().await.unwrap();
    let (mut peer, dialer) = (Peer::new(&server), server.dialer());
    let dialled = dialer().await.unwrap();
    assert_eq!(peer.ask("PING").await, "+PONG");
    drop(server);
    assert_eq!(peer.ask("PING").await, "+PONG", "the dialer is a handle too");
    drop(dialer);
    assert_eq!(peer.hear().await, "<end>");
    drop(dialled);
    settle().await;
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_leaves_nothing_behind() {
    let server = server();
    let mut peer = Peer::resp3(&server).await;
    peer.ask("CLIENT TRACKING ON").await;
    peer.ask("SUBSCRIBE c").await;
    peer.ask("GET k").await;
    drop(peer);
    settle().await;
    assert_eq!(server.connections(), 0);
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
    assert_eq!(Peer::new(&server).ask("PUBLISH c x").await, ":0");
}

#[tokio::test(start_paused = true)]
async fn requests_before_the_end_are_executed_and_answered() {
    let server = server();
    let mut stream = server.connect();
    stream.write_all(&PING.repeat(3)).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut replies = String::new();
    stream.read_to_string(&mut replies).await.unwrap();
    assert_eq!(replies, "+PONG\r\n".repeat(3));
}

#[tokio::test(start_paused = true)]
async fn somebody_who_has_yet_to_log_in_is_read_no_more_than_a_greeting_of() {
    let many = b"*11\r\n$4\r\nPING\r\n";
    let long = b"*2\r\n$4\r\nPING\r\n$16385\r\n";
    let logged_in = b"*2\r\n$4\r\nAUTH\r\n$2\r\npw\r\n*1\r\n$4\r\nPING\r\n*11\r\n$4\r\nPING\r\n";
    for (profile, request, answer) in [
        (Profile::Redis7_0, &many[..], "-ERR Protocol error: unauthenticated multibulk length\r\n"),
        (Profile::Valkey9, long, "-ERR Protocol error: unauthenticated bulk length\r\n"),
        (Profile::Valkey9, logged_in, "+OK\r\n+PONG\r\n"),
        (Profile::Redis6_2, many, ""),
    ] {
        let server = Server::builder(profile).password("pw").build();
        let mut stream = server.connect();
        stream.write_all(request).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut heard = String::new();
        stream.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, answer, "{profile:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_connection_too_many_is_told_so_and_closed() {
    let server = Server::builder(Profile::Redis7_0).max_clients(1).build();
    let mut first = Peer::new(&server);
    let mut second = Peer::new(&server);
    assert_eq!(second.hear().await, "-ERR max number of clients reached <end>");
    assert_eq!(first.ask("PING").await, "+PONG");
    drop(first);
    settle().await;
    assert_eq!(Peer::new(&server).ask("PING").await, "+PONG");
}

#[tokio::test(start_paused = true)]
async fn refused_connections_are_refused_until_they_are_let_in_again() {
    let server = server();
    let dialer = server.dialer();
    server.refuse_connections(true);
    assert_eq!(dialer().await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(Peer::new(&server).hear().await, "<end>");
    server.refuse_connections(false);
    assert!(dialer().await.is_ok());
    server.stop();
    assert!(dialer().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn killed_connections_end_and_new_ones_are_let_in() {
    let server = server();
    let mut peer = Peer::new(&server);
    peer.ask("PING").await;
    server.kill_connections();
    assert_eq!(peer.hear().await, "<end>");
    assert_eq!(server.connections(), 0);
    assert_eq!(Peer::new(&server).ask("PING").await, "+PONG");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_reads_does_not_stop_the_server_from_reading() {
    let server = server();
    server.set("big", "x".repeat(1 << 20));
    let mut stream = server.connect();
    for _ in 0..20 {
        stream.write_all(b"*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n").await.unwrap();
    }
    stream.write_all(b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n").await.unwrap();
    settle().await;
    assert_eq!(server.get("n").unwrap(), "1");
}

#[tokio::test(start_paused = true)]
async fn keys_expire_with_tokios_clock_and_with_the_tests() {
    let server = server();
    let mut peer = Peer::new(&server);
    peer.ask("SET k v PX 1000").await;
    tokio::time::advance(Duration::from_millis(400)).await;
    assert_eq!(peer.ask("PTTL k").await, ":600");
    server.advance(Duration::from_millis(500));
    assert_eq!(server.ttl("k"), Some(Duration::from_millis(100)));
    tokio::time::advance(Duration::from_millis(101)).await;
    assert_eq!(peer.ask("GET k").await, "$-1");
}

#[tokio::test(start_paused = true)]
async fn the_wall_clock_can_be_set_back() {
    let server = server();
    let mut peer = Peer::new(&server);
    server.set_clock(Duration::from_millis(1_700_000_000_500));
    assert_eq!(peer.ask("TIME").await, "*2 $10 1700000000 $6 500000");
    assert_eq!(peer.ask("XADD s * a b").await, "$15 1700000000500-0");
    server.set_clock(Duration::from_millis(1_600_000_000_000));
    assert_eq!(peer.ask("XADD s * a b").await, "$15 1700000000500-1", "IDs never fall");
    server.flush();
    assert_eq!(peer.ask("XADD s * a b").await, "$15 1600000000000-0");
}

#[tokio::test(start_paused = true)]
async fn the_log_shows_who_asked_for_what() {
    let server = server();
    let (mut first, mut second) = (Peer::new(&server), Peer::new(&server));
    first.ask("SET k v").await;
    second.ask("get k").await;
    let log: Vec<_> = server.log().iter().map(|r| (r.connection, r.line(), r.name())).collect();
    let want = [(1, "SET k v", "SET"), (2, "get k", "GET")];
    assert_eq!(log, want.map(|(id, line, name)| (id, line.to_owned(), name.to_owned())));
    server.clear_log();
    assert!(server.log().is_empty());
}
