//! The future of one release: it waits for what the gate decides.

use crate::client::Flush;
use crate::error::{Error, Outcome};
use crate::lock::book::Book;
use crate::lock::error::ReleaseError;
use crate::lock::gate::{Claim, Released};
use crate::lock::guard::Guard;
use crate::lock::hold::{Hold, Status};
use crate::lock::record::Mail;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::time::Instant;

/// A release whose caller waits for what becomes of it. It begins when it is polled first; dropped after that, it changes nothing but
/// that nobody is told.
pub(crate) struct Releasing {
    guard: Guard,
    has_begun: bool,
}

impl Releasing {
    #[inline]
    pub(crate) fn new(guard: Guard) -> Self {
        Self { guard, has_begun: false }
    }

    #[inline(never)] // the rest of its future is small
    fn begin(&mut self, cx: &Context<'_>) -> Poll<Result<(), ReleaseError>> {
        self.has_begun = true;
        let now = Instant::now();
        let (engine, hold, claim) = self.guard.parts();
        if hold.is_over(now) {
            self.guard.is_held();
            return Poll::Ready(Err(ReleaseError::Lost));
        }
        if !hold.end(Status::Released) {
            return Poll::Ready(Err(ReleaseError::Lost));
        }
        let release = |book: &mut Book| engine.release(book, claim, Some(cx.waker()));
        let look = |book: &mut Book, is_awaited| match is_awaited {
            true => Poll::Pending,
            false => released(book, (claim, hold), cx),
        };
        let released = engine.act_and_look(Flush::Auto, Some(now), release, look);
        self.guard.over = released.is_ready();
        released
    }

    #[inline(never)] // nobody was told anything, mostly
    fn look(&mut self, cx: &Context<'_>) -> Poll<Result<(), ReleaseError>> {
        let (engine, hold, claim) = self.guard.parts();
        let released = released(&mut engine.book(), (claim, hold), cx);
        self.guard.over = released.is_ready();
        released
    }
}

impl Future for Releasing {
    type Output = Result<(), ReleaseError>;

    #[inline] // of whoever waits
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.has_begun {
            return self.begin(cx);
        }
        if !self.guard.hold.is_freed() {
            return self.look(cx);
        }
        self.guard.over = true;
        Poll::Ready(Ok(()))
    }
}

/// Looks what became of a claim's release; remembers the waker if nobody knows yet, and lets go of the claim otherwise.
fn released(
    book: &mut Book,
    (claim, hold): (Claim, &Hold),
    cx: &Context<'_>,
) -> Poll<Result<(), ReleaseError>> {
    let Some(record) = book.record(claim) else {
        // It was forgotten once it was known to be free: just now, if not before.
        let freed = hold.is_freed().then_some(());
        return Poll::Ready(freed.ok_or(ReleaseError::Lost));
    };
    let mail = match record.fetch(cx) {
        Poll::Ready(mail) => mail,
        Poll::Pending if record.forgotten => Mail::Empty,
        Poll::Pending => return Poll::Pending,
    };
    record.wanted = false;
    book.drop_if_done(claim);
    Poll::Ready(match mail {
        Mail::Released(Released::Yes, _) => Ok(()),
        Mail::Released(Released::Unconfirmed, error) => {
            Err(ReleaseError::Client(error.unwrap_or_else(|| Error::closed(Outcome::Unknown))))
        }
        _ => Err(ReleaseError::Lost),
    })
}
