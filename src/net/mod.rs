//! Streams: TCP, unix sockets and whatever a dialer brings, behind one reading and one writing half.
//!
//! [`dial()`] opens one, [`secure`] puts TLS around it where the settings say so. Budgets are the caller's.

mod dial;
mod direct;
mod glance;
#[cfg(feature = "tls-rustls")]
mod tls;
#[cfg(not(feature = "tls-rustls"))]
#[path = "no_tls.rs"]
mod tls;

pub(crate) use dial::dial;
pub(crate) use glance::Glance;
pub(crate) use tls::{explain, secure};

use crate::dialer::BoxedStream;
use crate::net::direct::Direct;
use bytes::BytesMut;
use std::io::{self, Write as _};
#[cfg(unix)]
use std::os::fd::{AsFd as _, BorrowedFd};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncReadExt as _, AsyncWrite as _, Interest, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
#[cfg(unix)]
use tokio::net::{UnixStream, unix};

/// An open connection.
pub(crate) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    Other(BoxedStream),
}

/// The half that the driver reads from.
pub(crate) enum Reader {
    Tcp(OwnedReadHalf),
    #[cfg(unix)]
    Unix(unix::OwnedReadHalf),
    Other(ReadHalf<BoxedStream>),
}

/// The half that the driver, and a caller who finds nothing queued, write to.
pub(crate) enum Writer {
    Tcp(OwnedWriteHalf, Direct<std::net::TcpStream>),
    #[cfg(unix)]
    Unix(unix::OwnedWriteHalf, Direct<std::os::unix::net::UnixStream>),
    Other(WriteHalf<BoxedStream>),
}

impl Stream {
    /// Both halves, to be read and written by turns.
    pub(crate) fn split(self) -> (Reader, Writer) {
        match self {
            Self::Tcp(stream) => {
                let direct = Direct::to(&stream);
                let (reader, writer) = stream.into_split();
                (Reader::Tcp(reader), Writer::Tcp(writer, direct))
            }
            #[cfg(unix)]
            Self::Unix(stream) => {
                let direct = Direct::to(&stream);
                let (reader, writer) = stream.into_split();
                (Reader::Unix(reader), Writer::Unix(writer, direct))
            }
            Self::Other(stream) => {
                let (reader, writer) = tokio::io::split(stream);
                (Reader::Other(reader), Writer::Other(writer))
            }
        }
    }
}

/// Whether a read that does not fill its buffer shows that nothing is left, as tokio itself takes it to be: where the kernel
/// tells of an arrival once.
const SHORT_READ_IS_LAST: bool = cfg!(all(
    any(target_os = "linux", target_os = "android"),
    not(mio_unsupported_force_poll_poll)
));

/// Reads from a socket into the room that a buffer has. As tokio's `poll_read`, but what has come is read at half the price:
/// neither a future nor a task's budget is in between. Whoever reads in a loop has to bound it.
macro_rules! read_socket {
    ($socket:expr, $cx:expr, $buffer:expr) => {{
        let (socket, room) = ($socket, $buffer.capacity() - $buffer.len());
        loop {
            let mut count = None;
            let tried = socket.try_io(Interest::READABLE, || {
                let read = socket.try_read_buf($buffer)?;
                count = Some(read);
                // As if it had been asked once more, and had said so.
                let is_last = SHORT_READ_IS_LAST && (1..room).contains(&read);
                if is_last { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
            });
            match (count, tried) {
                (Some(count), tried) => {
                    std::mem::forget(tried); // it holds nothing, and to find that out costs as much as a call
                    return Poll::Ready(Ok(count));
                }
                (None, Err(error)) if error.kind() != io::ErrorKind::WouldBlock => {
                    return Poll::Ready(Err(error));
                }
                (None, _) => ready!(socket.poll_read_ready($cx))?,
            }
        }
    }};
}

impl Reader {
    /// Reads into the room that `buffer` has, or makes a little where it has none; no bytes are the end.
    #[inline(always)] // the socket's part is then one function with the loop around it, a hundred instructions less
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(half) => read_socket!(AsRef::<TcpStream>::as_ref(half), cx, buffer),
            #[cfg(unix)]
            Self::Unix(half) => read_socket!(AsRef::<UnixStream>::as_ref(half), cx, buffer),
            Self::Other(half) => pin!(half.read_buf(buffer)).poll(cx),
        }
    }

    /// A way to look at the socket; none where there are layers above it, or where the system gives no second handle.
    #[cfg(unix)]
    pub(crate) fn glance(&self) -> Option<Glance> {
        let again = |socket: BorrowedFd<'_>| socket.try_clone_to_owned().ok();
        match self {
            Self::Tcp(half) => again(AsRef::<TcpStream>::as_ref(half).as_fd())
                .map(|socket| Glance::new(std::net::TcpStream::from(socket))),
            Self::Unix(half) => again(AsRef::<UnixStream>::as_ref(half).as_fd())
                .map(|socket| Glance::new(std::os::unix::net::UnixStream::from(socket))),
            Self::Other(_) => None,
        }
    }

    #[cfg(not(unix))]
    pub(crate) fn glance(&self) -> Option<Glance> {
        None
    }

    /// Whether to read again now; if not, the task is woken when there is something. Costs less than a read that finds nothing.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        // Whatever is wrong with it, the next read will tell.
        match self {
            Self::Tcp(half) => AsRef::<TcpStream>::as_ref(half).poll_read_ready(cx).map(drop),
            #[cfg(unix)]
            Self::Unix(half) => AsRef::<UnixStream>::as_ref(half).poll_read_ready(cx).map(drop),
            Self::Other(_) => Poll::Ready(()),
        }
    }
}

impl Writer {
    /// Writes what the socket takes now; the task is woken when it takes more.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(half, _) => Pin::new(half).poll_write(cx, bytes),
            #[cfg(unix)]
            Self::Unix(half, _) => Pin::new(half).poll_write(cx, bytes),
            Self::Other(half) => Pin::new(half).poll_write(cx, bytes),
        }
    }

    /// The same for one who does not wait, and is not woken.
    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let tried = match self {
            Self::Tcp(_, Direct(Some(socket))) => socket.write(bytes),
            Self::Tcp(half, _) => half.try_write(bytes),
            #[cfg(unix)]
            Self::Unix(_, Direct(Some(socket))) => socket.write(bytes),
            #[cfg(unix)]
            Self::Unix(half, _) => half.try_write(bytes),
            Self::Other(half) => {
                return Pin::new(half).poll_write(&mut Context::from_waker(Waker::noop()), bytes);
            }
        };
        match tried {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            tried => Poll::Ready(tried),
        }
    }

    /// Pushes on what a layer below keeps back; sockets keep nothing.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(..) => Poll::Ready(Ok(())),
            #[cfg(unix)]
            Self::Unix(..) => Poll::Ready(Ok(())),
            Self::Other(half) => Pin::new(half).poll_flush(cx),
        }
    }
}
