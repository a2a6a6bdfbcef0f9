//! A user's own way to a server: a closure that opens a stream, in memory or through anything else.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};

type DialFuture = Pin<Box<dyn Future<Output = io::Result<BoxedStream>> + Send>>;
pub(crate) type BoxedStream = Box<dyn Stream>;
pub(crate) type BoxedDial = Arc<dyn Dialer>;

/// Anything that bytes can be read from and written to.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A user's way to a server.
pub(crate) trait Dialer: Send + Sync {
    fn dial(&self) -> DialFuture;
}

/// Makes a [`Dialer`] of a closure.
pub(crate) struct Dial<F>(pub(crate) F);

impl<F, R, S> Dialer for Dial<F>
where
    F: Fn() -> R + Send + Sync,
    R: Future<Output = io::Result<S>> + Send + 'static,
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    fn dial(&self) -> DialFuture {
        let dialled = (self.0)();
        Box::pin(async move { dialled.await.map(|stream| Box::new(stream) as BoxedStream) })
    }
}
