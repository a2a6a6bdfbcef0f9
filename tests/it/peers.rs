//! Servers that are not Redis, and addresses where nobody is.

use std::time::Duration;
use tenure::{Client, Config, ErrorKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A server that reads one request and then says `answer`.
async fn peer(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(answer).await;
            let _ = stream.read(&mut [0; 1024]).await; // until the client has gone
        }
    });
    format!("redis://{address}")
}

#[tokio::test]
async fn http_server_is_recognised() {
    let url = peer(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let error = Client::connect(&url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.to_string().contains("HTTP"), "{error}");
}

#[tokio::test]
async fn tls_port_is_recognised() {
    let url = peer(b"\x15\x03\x03\x00\x02\x02\x0a").await;
    let error = Client::connect(&url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.to_string().contains("TLS"), "{error}");
}

#[tokio::test]
async fn peer_that_answers_something_else_to_hello_is_not_redis() {
    let url = peer(b"+OK\r\n").await;
    let error = Client::connect(&url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.to_string().contains("not a Redis"), "{error}");
}

#[tokio::test]
async fn silent_server_is_given_up_within_the_connect_budget() {
    let url = peer(b"").await;
    let config = Config::from_url(&url).unwrap().connect_timeout(Duration::from_millis(50));
    let error = Client::with_config(config).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(error.to_string().contains("did not answer HELLO"), "{error}");
    assert!(error.to_string().contains("50ms"), "{error}");
}

#[tokio::test]
async fn server_that_hangs_up_is_named_with_the_likely_cause() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 1024]).await;
        }
    });
    let error = Client::connect(&url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(error.to_string().contains("closed the connection"), "{error}");
}

#[tokio::test]
async fn port_where_nobody_listens_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = Client::connect(&format!("redis://{address}")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[test]
fn connecting_outside_a_runtime_is_an_error_and_no_panic() {
    let mut connecting = Box::pin(Client::connect("redis://127.0.0.1:1"));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(Err(error)) = connecting.as_mut().poll(&mut cx) else {
        panic!("neither error nor panic was expected");
    };
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("runtime"), "{error}");
}

#[tokio::test]
async fn every_address_of_a_name_is_tried() {
    // The name has an address in each family on most machines; somebody listens on one of them.
    let server = tenure_server::Server::new(tenure_server::Profile::Valkey9);
    let port = server.listen_tcp().await.unwrap().port();
    Client::connect(&format!("redis://localhost:{port}")).await.unwrap().ping().await.unwrap();
}
