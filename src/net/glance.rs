//! A socket once more, to be read from without asking the reactor first whether there is anything.
//!
//! The reactor knows of what has come only after a thread was woken for it. Who looks again and again takes it before, and the
//! reactor then finds nothing where it was told of something, which costs one read and is no harm. It is one socket: what is read
//! here is read there no more, and both are to be used by one task.

use bytes::BytesMut;
use std::io::{self, ErrorKind, Read};

/// Looks at a time: together about as long as a task takes that does next to nothing.
const LOOKS: usize = 4;
/// More than this comes by the way of everything else.
const ROOM: usize = 512;

/// A second handle to a socket that does not block.
pub(crate) struct Glance {
    socket: Box<dyn Read + Send>,
    room: Box<[u8; ROOM]>,
}

impl Glance {
    pub(super) fn new(socket: impl Read + Send + 'static) -> Self {
        Self { socket: Box::new(socket), room: Box::new([0; ROOM]) }
    }

    /// Appends what is there, or a beginning of it; tells how much that was. An end is left for the next read to tell.
    ///
    /// # Errors
    ///
    /// What is wrong with the socket: nobody is told it again.
    pub(crate) fn read(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        for _ in 0..LOOKS {
            match self.socket.read(&mut self.room[..]) {
                Ok(count) => {
                    buffer.extend_from_slice(self.room.get(..count).unwrap_or_default());
                    return Ok(count);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(0)
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Reader, Stream};
    use std::future::poll_fn;
    use std::task::Poll;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::UnixStream;

    async fn pair() -> (Stream, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Stream::Unix(ours), theirs)
    }

    /// What a reader reads in the usual way.
    async fn read(reader: &mut Reader) -> BytesMut {
        let mut buffer = BytesMut::with_capacity(4096);
        poll_fn(|cx| reader.poll_read(cx, &mut buffer)).await.unwrap();
        buffer
    }

    #[tokio::test]
    async fn what_is_looked_at_is_taken_and_the_rest_comes_the_usual_way() {
        let (stream, mut theirs) = pair().await;
        let (mut reader, _writer) = stream.split();
        let (mut glance, mut seen) = (reader.glance().unwrap(), BytesMut::new());
        assert_eq!(glance.read(&mut seen).unwrap(), 0, "nothing was written");
        for round in 0..3 {
            theirs.write_all(b"+OK\r\n").await.unwrap();
            assert_eq!(
                (glance.read(&mut seen).unwrap(), &seen[..]),
                (5, &b"+OK\r\n"[..]),
                "{round}"
            );
            assert_eq!(glance.read(&mut seen).unwrap(), 0, "it was taken");
            seen.clear();
            theirs.write_all(&[b'x'; 700]).await.unwrap();
            let looked = glance.read(&mut seen).unwrap();
            assert_eq!(looked + read(&mut reader).await.len(), 700);
            seen.clear();
        }
        drop(theirs);
        assert_eq!(glance.read(&mut seen).unwrap(), 0);
        assert_eq!(read(&mut reader).await.len(), 0, "the end is told");
    }

    #[tokio::test]
    async fn reader_is_woken_for_what_comes_after_a_look() {
        let (stream, mut theirs) = pair().await;
        let (mut reader, _writer) = stream.split();
        let (mut glance, mut seen) = (reader.glance().unwrap(), BytesMut::new());
        for _ in 0..100 {
            theirs.write_all(b"1").await.unwrap();
            assert_eq!(glance.read(&mut seen).unwrap(), 1);
            let mut waiting = Box::pin(read(&mut reader));
            assert!(poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx).is_pending())).await);
            theirs.write_all(b"2").await.unwrap();
            assert_eq!(&waiting.await[..], b"2");
        }
    }

    #[tokio::test]
    async fn what_is_wrong_is_told_by_the_look_that_finds_it() {
        let (Stream::Unix(mut ours), theirs) = pair().await else { panic!("it is a unix socket") };
        // Who goes without having read what was written resets the connection.
        ours.write_all(b"unread").await.unwrap();
        drop(theirs);
        let (reader, _writer) = Stream::Unix(ours).split();
        let error = reader.glance().unwrap().read(&mut BytesMut::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
}
