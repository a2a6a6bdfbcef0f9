//! A client without opinions: sends words, shows the bytes that come back.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use tenure_server::Server;
use tokio::io::{AsyncRead, AsyncWriteExt, DuplexStream, ReadBuf};

/// A connection in memory, for tests on a current-thread runtime: its bytes are complete once no task can go on.
pub(crate) struct Peer {
    stream: DuplexStream,
}

impl Peer {
    pub(crate) fn new(server: &Server) -> Self {
        Self { stream: server.connect() }
    }

    /// A connection that speaks RESP3.
    pub(crate) async fn resp3(server: &Server) -> Self {
        let mut peer = Self::new(server);
        let reply = peer.ask("HELLO 3").await;
        assert!(reply.starts_with("%7"), "{reply}");
        peer
    }

    /// Sends a request, given as words.
    pub(crate) async fn send(&mut self, line: &str) {
        let words: Vec<_> = line.split(' ').collect();
        self.send_words(&words).await;
    }

    pub(crate) async fn send_words(&mut self, words: &[&str]) {
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request += &format!("${}\r\n{word}\r\n", word.len());
        }
        self.stream.write_all(request.as_bytes()).await.expect("the server reads");
    }

    /// Sends a request and gives what comes back, line ends shown as spaces.
    pub(crate) async fn ask(&mut self, line: &str) -> String {
        self.send(line).await;
        self.hear().await
    }

    pub(crate) async fn ask_words(&mut self, words: &[&str]) -> String {
        self.send_words(words).await;
        self.hear().await
    }

    /// What has come; `<end>` stands for the end of the connection.
    pub(crate) async fn hear(&mut self) -> String {
        let mut heard = Vec::new();
        loop {
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            let mut bytes = [0; 4096];
            let read = poll_fn(|cx| {
                let mut buffer = ReadBuf::new(&mut bytes);
                match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                    Poll::Pending => Poll::Ready(None),
                    Poll::Ready(_) => Poll::Ready(Some(buffer.filled().to_vec())),
                }
            });
            match read.await {
                None => break,
                Some(more) if more.is_empty() => {
                    heard.extend_from_slice(b"<end>");
                    break;
                }
                Some(more) => heard.extend_from_slice(&more),
            }
        }
        String::from_utf8(heard)
            .expect("these tests store text only")
            .trim_end()
            .replace("\r\n", " ")
    }
}
