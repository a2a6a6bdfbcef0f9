//! Looking at the socket before the thread sleeps (`Config::spin`): what is read that way is what is read in any other.

use crate::support::eventually;
use std::time::Duration;
use tenure::{Client, Config};
use tenure_server::{Profile, Server};

const MS: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn looking_at_the_socket_changes_nothing_but_the_time() {
    let server = Server::new(Profile::Valkey9);
    let config = Config::dialer(server.dialer()).spin(50 * MS);
    let client = Client::with_config(config).await.unwrap();
    for wanted in 1..=100 {
        assert_eq!(client.incr("counter").await.unwrap(), wanted);
    }
    server.freeze();
    let error = client.incr("counter").await.unwrap_err();
    assert!(error.is_timeout(), "a clock that stands still did not keep it from its deadline");
    server.thaw();
    client.ping().await.unwrap();
}

#[tokio::test]
async fn replies_of_every_length_come_whole_over_a_socket_that_is_looked_at() {
    let server = Server::new(Profile::Valkey9);
    let address = server.listen_tcp().await.unwrap();
    let socket = std::env::temp_dir().join(format!("tenure-look-{}.sock", std::process::id()));
    server.listen_unix(&socket).await.unwrap();
    for url in [format!("redis://{address}"), format!("unix://{}", socket.display())] {
        let config = Config::from_url(&url).unwrap().spin(5 * MS);
        let client = Client::with_config(config).await.unwrap();
        // Around what is looked at in one go, and around what is read in one.
        for len in (0..40).chain(490..530).chain([4_000, 5_000, 40_000, 300_000]) {
            let value = vec![b'a' + u8::try_from(len % 26).unwrap(); len];
            client.set("k", &value).await.unwrap();
            assert!(client.get("k").await.unwrap().unwrap() == value, "{len} bytes by {url}");
            let (one, two) = tokio::join!(client.get("k"), client.exists("k"));
            assert!(one.unwrap().unwrap() == value && two.unwrap() == 1, "{len} bytes by {url}");
        }
        let stats = client.stats();
        assert!(stats.reads > 0 && stats.bytes_in > 600_000, "{stats:?}");
        server.kill_connections();
        eventually("it is connected again", async || client.ping().await.is_ok()).await;
        drop(client);
        eventually("nothing keeps the socket", async || server.connections() == 0).await;
    }
    std::fs::remove_file(&socket).unwrap();
}
