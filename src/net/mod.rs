//! Streams: TCP, unix sockets and whatever a dialer brings, behind one reading and one writing half.
//!
//! Names are resolved on every dial and every address is tried. Budgets are the caller's.

use crate::config::Config;
use crate::dialer::BoxedStream;
use crate::url::Address;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite as _, ReadBuf, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
#[cfg(unix)]
use tokio::net::{UnixStream, unix};

/// The half that the driver reads from.
pub(crate) enum Reader {
    Tcp(OwnedReadHalf),
    #[cfg(unix)]
    Unix(unix::OwnedReadHalf),
    Other(ReadHalf<BoxedStream>),
}

/// The half that the driver, and a caller who finds nothing queued, write to.
pub(crate) enum Writer {
    Tcp(OwnedWriteHalf),
    #[cfg(unix)]
    Unix(unix::OwnedWriteHalf),
    Other(WriteHalf<BoxedStream>),
}

/// Opens a connection, with Nagle's algorithm off: a command that waits for company is a lock that waits.
pub(crate) async fn dial(config: &Config) -> io::Result<(Reader, Writer)> {
    if let Some(dial) = &config.dial {
        let (reader, writer) = tokio::io::split(dial.dial().await?);
        return Ok((Reader::Other(reader), Writer::Other(writer)));
    }
    match &config.address {
        Address::Tcp { host, port } => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            let (reader, writer) = stream.into_split();
            Ok((Reader::Tcp(reader), Writer::Tcp(writer)))
        }
        #[cfg(unix)]
        Address::Unix { path } => {
            let (reader, writer) = UnixStream::connect(path).await?.into_split();
            Ok((Reader::Unix(reader), Writer::Unix(writer)))
        }
        #[cfg(not(unix))]
        Address::Unix { .. } => Err(io::Error::other("this system has no unix sockets")),
        Address::Dialer => Err(io::Error::other("there is no dialer")),
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(half) => Pin::new(half).poll_read(cx, buf),
            #[cfg(unix)]
            Self::Unix(half) => Pin::new(half).poll_read(cx, buf),
            Self::Other(half) => Pin::new(half).poll_read(cx, buf),
        }
    }
}

impl Writer {
    /// Writes what the socket takes now.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(half) => Pin::new(half).poll_write(cx, bytes),
            #[cfg(unix)]
            Self::Unix(half) => Pin::new(half).poll_write(cx, bytes),
            Self::Other(half) => Pin::new(half).poll_write(cx, bytes),
        }
    }

    /// Pushes on what a layer below keeps back; sockets keep nothing.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(_) => Poll::Ready(Ok(())),
            #[cfg(unix)]
            Self::Unix(_) => Poll::Ready(Ok(())),
            Self::Other(half) => Pin::new(half).poll_flush(cx),
        }
    }
}
