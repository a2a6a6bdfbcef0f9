//! `Call`: one command and its reply as one future, which borrows the connection.

use crate::client::clock::{Span, Time};
use crate::client::convert::answer;
use crate::client::encode::Ink;
use crate::client::queue::Flush;
use crate::client::room::Ticket;
use crate::client::shared::Shared;
use crate::client::slots::SlotId;
use crate::error::{Error, Outcome};
use resp::Frame;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Queues its command when it is polled first. Dropped after that, it leaves the command on its way; the reply is dropped.
#[must_use = "a call is a future"]
pub(crate) struct Call<'a, E> {
    shared: &'a Shared,
    step: Step,
    patience: Span,
    /// Called once. It stays where it is, because moving what it holds costs more than a command's place in the queue.
    encode: E,
}

enum Step {
    Start,
    Refused(Error),
    InLine(Ticket, Time),
    Waiting(SlotId),
    Over,
}

impl<'a, E> Call<'a, E> {
    #[inline]
    pub(crate) fn new(shared: &'a Shared, patience: Span, encode: E) -> Self {
        Self { shared, step: Step::Start, patience, encode }
    }

    /// It will not be sent, for this reason.
    pub(crate) fn refuse(&mut self, error: Error) {
        self.step = Step::Refused(error);
    }
}

impl<E: FnMut(&mut Ink) + Unpin> Future for Call<'_, E> {
    type Output = Result<Frame, Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let call = self.get_mut();
        match &call.step {
            Step::Waiting(id) => {
                let Poll::Ready(reply) = call.shared.poll(*id, cx) else {
                    return Poll::Pending;
                };
                call.step = Step::Over;
                Poll::Ready(reply.and_then(answer))
            }
            Step::Start => {
                let waker = Some(cx.waker().clone());
                let submitted =
                    call.shared.submit(call.patience, Flush::Auto, waker, &mut call.encode);
                match submitted {
                    Ok(id) => {
                        call.step = Step::Waiting(id);
                        Poll::Pending
                    }
                    Err(refused) => call.not_taken(refused, cx),
                }
            }
            Step::InLine(ticket, deadline) => {
                let (ticket, terms) = (*ticket, (call.patience.duration(), *deadline));
                let shared = call.shared;
                match shared.submit_from_line(ticket, terms, cx.waker(), &mut call.encode) {
                    None => Poll::Pending,
                    Some(Ok(id)) => {
                        call.step = Step::Waiting(id);
                        Poll::Pending
                    }
                    Some(Err(error)) => {
                        call.step = Step::Over;
                        Poll::Ready(Err(error))
                    }
                }
            }
            Step::Refused(error) => {
                let error = error.clone();
                call.step = Step::Over;
                Poll::Ready(Err(error))
            }
            Step::Over => Poll::Ready(Err(Error::closed(Outcome::Unknown))),
        }
    }
}

impl<E> Call<'_, E> {
    /// Nothing was queued: waits for room, or gives up.
    #[cold]
    fn not_taken(&mut self, refused: Error, cx: &Context<'_>) -> Poll<Result<Frame, Error>> {
        match self.shared.stand_in_line(refused, self.patience.duration(), cx.waker()) {
            Ok((ticket, deadline)) => {
                self.step = Step::InLine(ticket, deadline);
                Poll::Pending
            }
            Err(error) => {
                self.step = Step::Over;
                Poll::Ready(Err(error))
            }
        }
    }
}

impl<E> Drop for Call<'_, E> {
    #[inline]
    fn drop(&mut self) {
        match self.step {
            Step::Waiting(id) => {
                let left = self.shared.lock().slots.abandon(id);
                drop(left);
            }
            Step::InLine(ticket, _) => self.shared.leave_line(ticket),
            Step::Start | Step::Refused(_) | Step::Over => {}
        }
    }
}
