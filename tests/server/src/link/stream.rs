//! The client's end of a connection in memory, which can tell a reset from an orderly end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// The end that carries.
pub(super) type CarrierEnd = DuplexStream;

/// A client's connection through a [`Link`](super::Link).
#[derive(Debug)]
pub struct LinkStream {
    stream: DuplexStream,
    reset: Mark,
}

/// Whether the connection was reset.
#[derive(Debug, Clone, Default)]
pub(super) struct Mark(Arc<AtomicBool>);

impl Mark {
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The client's end, the other one, and the mark that is set before a reset connection is dropped.
pub(super) fn pair(window: usize) -> (LinkStream, CarrierEnd, Mark) {
    let (stream, other) = tokio::io::duplex(window);
    let reset = Mark::default();
    (LinkStream { stream, reset: reset.clone() }, other, reset)
}

impl LinkStream {
    fn reset<T>(&self, result: Poll<io::Result<T>>, ended: bool) -> Poll<io::Result<T>> {
        match result {
            Poll::Ready(_) if ended && self.reset.is_set() => {
                Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
            }
            result => result,
        }
    }
}

impl AsyncRead for LinkStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        let ended = buf.filled().len() == before && buf.remaining() > 0;
        self.reset(result, ended)
    }
}

impl AsyncWrite for LinkStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        let ended = matches!(result, Poll::Ready(Err(_)));
        self.reset(result, ended)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
