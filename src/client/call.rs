//! `Call`: one command and its reply as one future, which borrows the connection.

use crate::client::convert::answer;
use crate::client::queue::Flush;
use crate::client::shared::Shared;
use crate::client::slots::SlotId;
use crate::error::{Error, Outcome};
use bytes::BytesMut;
use resp::Frame;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Queues its command when it is polled first. Dropped after that, it leaves the command on its way; the reply is dropped.
#[must_use = "a call is a future"]
pub(crate) struct Call<'a, E> {
    shared: &'a Shared,
    step: Step<E>,
}

enum Step<E> {
    Start(Duration, E),
    Refused(Error),
    Waiting(SlotId),
    Over,
}

impl<'a, E> Call<'a, E> {
    pub(crate) fn new(shared: &'a Shared, patience: Duration, encode: E) -> Self {
        Self { shared, step: Step::Start(patience, encode) }
    }

    /// It will not be sent, for this reason.
    pub(crate) fn refused(mut self, error: Error) -> Self {
        self.step = Step::Refused(error);
        self
    }
}

impl<E: FnOnce(&mut BytesMut) + Unpin> Future for Call<'_, E> {
    type Output = Result<Frame, Error>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Step::Waiting(id) = self.step {
            let Poll::Ready(reply) = self.shared.lock().slots.poll(id, cx) else {
                return Poll::Pending;
            };
            self.step = Step::Over;
            return Poll::Ready(reply.and_then(answer));
        }
        match std::mem::replace(&mut self.step, Step::Over) {
            Step::Start(patience, encode) => {
                let waker = Some(cx.waker().clone());
                let id = self.shared.submit(patience, Flush::Auto, waker, encode)?;
                self.step = Step::Waiting(id);
                Poll::Pending
            }
            Step::Refused(error) => Poll::Ready(Err(error)),
            Step::Waiting(_) | Step::Over => Poll::Ready(Err(Error::closed(Outcome::Unknown))),
        }
    }
}

impl<E> Drop for Call<'_, E> {
    fn drop(&mut self) {
        if let Step::Waiting(id) = self.step {
            let left = self.shared.lock().slots.abandon(id);
            drop(left);
        }
    }
}
