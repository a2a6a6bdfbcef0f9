//! A socket once more, to be written to without asking the reactor first whether there is room, which there nearly always is.
//!
//! A lone caller's command costs a fiftieth less, for one file descriptor a connection. Where there is no room after all, the reactor is asked by whoever waits for it:
//! it finds out by a write of its own.

#[cfg(unix)]
use std::os::fd::{AsFd, OwnedFd};

/// A second handle to a socket that does not block, if the system gives one.
pub(crate) struct Direct<S>(pub(super) Option<S>);

#[cfg(unix)]
impl<S: From<OwnedFd>> Direct<S> {
    pub(super) fn to(socket: &impl AsFd) -> Self {
        Self(socket.as_fd().try_clone_to_owned().ok().map(S::from))
    }
}

#[cfg(not(unix))]
impl<S> Direct<S> {
    pub(super) fn to<T>(_socket: &T) -> Self {
        Self(None)
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use crate::net::{Stream, Writer};
    use std::future::poll_fn;
    use std::task::Poll;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::UnixStream;

    /// One with a second handle, or as it is where the system gives none; the reactor knows that there is room.
    async fn pair(is_given: bool) -> (Writer, UnixStream) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (_reader, mut writer) = Stream::Unix(ours).split();
        if let (Writer::Unix(_, direct), false) = (&mut writer, is_given) {
            direct.0 = None;
        }
        poll_fn(|cx| writer.poll_write(cx, b"!")).await.unwrap();
        theirs.read_exact(&mut [0]).await.unwrap();
        (writer, theirs)
    }

    #[tokio::test]
    async fn full_socket_is_pending_and_whoever_waits_is_woken_when_there_is_room() {
        for is_given in [true, false] {
            let (mut writer, mut theirs) = pair(is_given).await;
            let (block, mut sent) = ([b'x'; 4096], 0);
            while let Poll::Ready(written) = writer.try_write(&block) {
                sent += written.unwrap();
            }
            let waiting = tokio::spawn(async move {
                poll_fn(|cx| writer.poll_write(cx, b"the last of it")).await.unwrap()
            });
            tokio::task::yield_now().await;
            assert!(sent > 0 && !waiting.is_finished());
            let mut received = vec![0; sent];
            theirs.read_exact(&mut received).await.unwrap();
            let mut last = vec![0; waiting.await.unwrap()];
            theirs.read_exact(&mut last).await.unwrap();
            assert_eq!(last, b"the last of it");
            assert_eq!(theirs.read(&mut last).await.unwrap(), 0, "no handle is left open");
        }
    }

    #[tokio::test]
    async fn what_is_wrong_is_told() {
        for is_given in [true, false] {
            let (mut writer, theirs) = pair(is_given).await;
            drop(theirs);
            let Poll::Ready(Err(error)) = writer.try_write(b"nobody hears it") else {
                panic!("it was written to nobody")
            };
            assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
        }
    }
}
