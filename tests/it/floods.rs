//! More to read than anybody could have asked for: it keeps nobody from a reply, nor from looking at the clock.

use crate::support::is_quiet;
use std::future::ready;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tenure::{Client, Config};
use tenure_server::{Flaw, Link, Profile, Server, Way};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

#[tokio::test(start_paused = true)]
async fn flood_of_pushes_keeps_nobody_from_a_reply() {
    let (server, link) = (Server::new(Profile::Valkey9), Link::new());
    let client = Client::with_config(Config::dialer(link.over(server.dialer()))).await.unwrap();
    let push = ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$5\r\nwords\r\n";
    link.flaw(Flaw::insert(Way::ToClient, push.repeat(20_000)));
    for _ in 0..100 {
        client.ping().await.unwrap();
        assert!(is_quiet(&client), "{client:?}");
    }
    assert_eq!(link.dialled(), 1);
}

/// Has pushes to read at any time, for a long while, and swallows what is written.
struct Flood {
    reads: u32,
    /// How much of a push was read.
    at: usize,
}

impl AsyncRead for Flood {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        const PUSH: &[u8] = b">2\r\n+a\r\n+b\r\n";
        self.reads = self.reads.saturating_sub(1);
        while self.reads > 0 && buf.remaining() > 0 {
            let count = buf.remaining().min(PUSH.len() - self.at);
            buf.put_slice(&PUSH[self.at..][..count]);
            self.at = (self.at + count) % PUSH.len();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Flood {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// In real time: on a paused clock none passes while there is something to read.
#[tokio::test]
async fn flood_within_the_handshake_does_not_outlast_the_time_to_connect() {
    let flood = || ready(Ok(Flood { reads: 100_000, at: 0 }));
    let config = Config::dialer(flood).connect_timeout(Duration::from_millis(50));
    let error = Client::with_config(config).await.unwrap_err();
    assert!(error.to_string().contains("did not answer HELLO"), "not read to its end: {error}");
}
