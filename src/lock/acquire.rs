//! The future of one acquire call: it waits for what the gate decides.

use crate::client::Flush;
use crate::error::{Error, Outcome};
use crate::lock::book::{Book, News};
use crate::lock::dialect::Dialect;
use crate::lock::error::AcquireError;
use crate::lock::gate::{Claim, Event, Patience, Why};
use crate::lock::guard::Guard;
use crate::lock::handle::{Lock, Ready};
use crate::lock::hold::Hold;
use crate::lock::record::{Mail, Refusal};
use crate::lock::sight::Sight;
use crate::seam::after;
use bytes::Bytes;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// One acquire call. It begins when it is polled first.
pub(crate) struct Acquiring<'a> {
    lock: &'a Lock,
    wish: Wish<'a>,
    step: Step<'a>,
}

/// What a caller wants.
#[derive(Debug, Clone, Copy)]
enum Wish<'a> {
    /// To wait, for this long at most.
    Wait(Option<Duration>),
    /// One attempt; this says who writes.
    Once(Flush),
    /// One attempt to take the key from the hold with this value.
    Seize(&'a Bytes),
}

enum Step<'a> {
    Start,
    Waiting(Wait<'a>),
    Over,
}

/// A caller whose claim is open.
struct Wait<'a> {
    ready: &'a Ready,
    claim: Claim,
    begun: Instant,
    /// What begins if the claim asked the short way and has the lock by that. Whatever else comes of it, the record says.
    hold: Option<Arc<Hold>>,
}

impl<'a> Acquiring<'a> {
    /// A caller that waits, for `timeout` at most.
    #[inline]
    pub(crate) fn waiting(lock: &'a Lock, timeout: Option<Duration>) -> Self {
        Self { lock, wish: Wish::Wait(timeout), step: Step::Start }
    }

    /// A caller that makes one attempt; `flush` says who writes.
    #[inline]
    pub(crate) fn once(lock: &'a Lock, flush: Flush) -> Self {
        Self { lock, wish: Wish::Once(flush), step: Step::Start }
    }

    /// A caller that makes one attempt to take the key from the hold with this value.
    pub(crate) fn seizing(lock: &'a Lock, prey: &'a Bytes) -> Self {
        Self { lock, wish: Wish::Seize(prey), step: Step::Start }
    }

    pub(crate) fn lock(&self) -> &'a Lock {
        self.lock
    }

    /// How long the caller waits, if there is an end to it.
    fn timeout(&self, ready: &Ready) -> Option<Duration> {
        match self.wish {
            Wish::Wait(timeout) => timeout,
            Wish::Once(_) | Wish::Seize(_) => Some(ready.locker.config().response_timeout),
        }
    }

    #[inline]
    fn patience(&self, ready: &Ready, begun: Instant) -> Patience {
        let Some(timeout) = self.timeout(ready) else { return Patience::Endless };
        match self.wish {
            Wish::Wait(_) => begun.checked_add(timeout).map_or(Patience::Endless, Patience::Until),
            Wish::Once(_) => Patience::Once(after(begun, timeout)),
            Wish::Seize(_) => Patience::Seize(after(begun, timeout)),
        }
    }

    /// Opens a claim, tells its gate, and looks what came of it, all at once.
    #[inline(never)] // the rest of its future is small
    fn begin(&mut self, cx: &Context<'_>) -> Poll<<Self as Future>::Output> {
        self.step = Step::Over;
        let ready = match self.lock.ready() {
            Ok(ready) => ready,
            Err(error) => return Poll::Ready(Err(error)),
        };
        let (begun, wish) = (Instant::now(), self.wish);
        let patience = self.patience(ready, begun);
        let flush = if let Wish::Once(flush) = wish { flush } else { Flush::Auto };
        let Ready { locker, plan } = ready;
        let engine = &locker.engine;
        let come = |book: &mut Book| {
            if let Some(barred) = &book.barred {
                return Err(Box::new(barred.clone()));
            }
            let (gate, claim) = engine.open(book, plan, begun);
            if let Wish::Seize(prey) = wish {
                let record = book.record(claim).into_iter();
                record.for_each(|record| record.prey = Some(Box::new(prey.clone())));
            } else {
                let (terms, now) = ((&**plan, patience), (begun, cx.waker()));
                if let Some(hold) = engine.ask_shortly(book, (gate, claim), terms, now) {
                    return Ok((claim, Some(hold)));
                }
            }
            if engine.witness.is_some() {
                book.watch_begin(claim, begun);
            }
            let event = Event::Came { claim, terms: plan.terms, patience };
            engine.happen(book, gate, &event, None);
            Ok((claim, None))
        };
        let look = |book: &mut Book, come| match come {
            Ok((claim, None)) => (come, look(book, claim, cx)),
            asked_or_barred => (asked_or_barred, Poll::Pending),
        };
        let (come, found) = engine.act_and_look(flush, Some(begun), come, look);
        let (claim, hold) = match come {
            Ok(open) => open,
            Err(barred) => {
                if let Some(witness) = &engine.witness {
                    Sight::turned_away(plan).tell(witness);
                }
                return Poll::Ready(Err(*barred));
            }
        };
        match found {
            Poll::Ready(found) => Poll::Ready(self.end((ready, claim, begun), found)),
            Poll::Pending => {
                self.step = Step::Waiting(Wait { ready, claim, begun, hold });
                Poll::Pending
            }
        }
    }

    /// Looks what the caller was told who waits.
    #[inline(never)] // nothing, mostly
    fn look(&mut self, cx: &Context<'_>) -> Poll<<Self as Future>::Output> {
        let Step::Waiting(wait) = &self.step else { return Poll::Ready(Err(AcquireError::Closed)) };
        let &Wait { ready, claim, begun, .. } = wait;
        let found = {
            let mut book = ready.locker.engine.book();
            // It may have begun since it was looked at, and then who was woken is the waker of an earlier poll.
            match wait.hold.as_ref().filter(|hold| hold.has_begun() && !defect!(64)) {
                Some(hold) => Poll::Ready(Found::Granted(Arc::clone(hold))),
                None => look(&mut book, claim, cx),
            }
        };
        let acquired = found.map(|found| self.end((ready, claim, begun), found));
        if acquired.is_ready() {
            self.step = Step::Over;
        }
        acquired
    }

    /// What a caller that was told something makes of it.
    fn end(
        &self,
        (ready, claim, begun): (&Ready, Claim, Instant),
        found: Found,
    ) -> <Self as Future>::Output {
        match found {
            Found::Granted(hold) => Ok(Some(ready.guard(hold, claim))),
            Found::Refused(refusal) => {
                ready.locker.engine.let_go(claim);
                let is_held = refusal.why == Why::Held;
                if is_held { Ok(None) } else { Err(self.error((ready, begun), *refusal)) }
            }
            Found::Nothing => {
                ready.locker.engine.let_go(claim);
                Err(AcquireError::Closed)
            }
        }
    }

    fn error(&self, (ready, begun): (&Ready, Instant), refusal: Refusal) -> AcquireError {
        let Ready { locker, plan } = ready;
        let Refusal { why, seen, error, barred } = refusal;
        let waited = begun.elapsed();
        let lease_left = |over: Instant| {
            let left = over.saturating_duration_since(Instant::now());
            Duration::from_millis(u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
        };
        let unasked = || locker.last_failure().or_else(|| error.clone());
        match why {
            Why::Closed => AcquireError::Closed,
            Why::KeyInUse => {
                let key = String::from_utf8_lossy(&plan.key.bytes).into_owned();
                AcquireError::KeyInUse { key }
            }
            Why::TooShort { took } => AcquireError::LeaseTooShort { rtt: took },
            Why::NoScripts => {
                let dialect = locker.engine.book().dialect.clone();
                let refusal = dialect.as_deref().map(Dialect::refusal).unwrap_or_default();
                let reason = format!(
                    "a fair lock needs scripts, and the server refuses them ({refusal}): allow EVAL \
                     and EVALSHA"
                );
                AcquireError::Unsupported { reason }
            }
            Why::NoAnswer => {
                let timeout = self.timeout(ready).unwrap_or(waited);
                let cause = unasked();
                let outcome = if cause.is_some() { Outcome::NotSent } else { Outcome::Unknown };
                let known = locker.connection.circumstances();
                let error = Error::timed_out(timeout, outcome, cause.as_ref(), Some(&known));
                AcquireError::Client(error)
            }
            Why::Failed => match (barred, error) {
                (Some(barred), _) => barred,
                (None, Some(error)) => error.into(),
                (None, None) => AcquireError::Client(Error::closed(Outcome::Unknown)),
            },
            Why::TimedOut | Why::Held => {
                let (holder, over) = seen.map_or((None, None), |(who, over)| (Some(who), over));
                let (last_error, circumstances) = match holder {
                    Some(_) => (error, None),
                    None => (unasked(), Some(Box::new(locker.connection.circumstances()))),
                };
                AcquireError::TimedOut {
                    key: String::from_utf8_lossy(&plan.key.bytes).into_owned(),
                    timeout: self.timeout(ready).unwrap_or(Duration::MAX),
                    waited,
                    holder,
                    lease_left: over.map(lease_left),
                    last_error,
                    circumstances,
                }
            }
        }
    }
}

/// What an acquire call was told.
enum Found {
    Granted(Arc<Hold>),
    Refused(Box<Refusal>),
    Nothing,
}

/// Looks what a claim's caller was told; remembers the waker if that is nothing yet.
#[inline(always)] // one function with the lock around it
fn look(book: &mut Book, claim: Claim, cx: &Context<'_>) -> Poll<Found> {
    let Some(record) = book.record(claim) else { return Poll::Ready(Found::Nothing) };
    record.fetch(cx).map(|mail| match (mail, &record.hold) {
        (Mail::Granted, Some(hold)) => Found::Granted(Arc::clone(hold)),
        (Mail::Refused(refusal), _) => Found::Refused(refusal),
        _ => Found::Nothing,
    })
}

impl Future for Acquiring<'_> {
    /// The guard; or `None` if one attempt was to be made, and somebody else has the lock.
    type Output = Result<Option<Guard>, AcquireError>;

    #[inline(always)] // of whoever waits, to whom a guard moves once
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.step {
            Step::Start => self.begin(cx),
            Step::Waiting(wait) => match wait.take_granted() {
                Some(guard) => {
                    self.step = Step::Over;
                    Poll::Ready(Ok(Some(guard)))
                }
                None => self.look(cx),
            },
            Step::Over => Poll::Ready(Err(AcquireError::Closed)),
        }
    }
}

impl Wait<'_> {
    /// The guard, if the claim asked the short way and has the lock by that, as most do: then there is nothing else to look at.
    #[inline]
    fn take_granted(&mut self) -> Option<Guard> {
        let hold = self.hold.take_if(|hold| hold.has_begun())?;
        Some(self.ready.guard(hold, self.claim))
    }
}

/// A caller that goes: what it was granted already is released, and what it may get is taken back.
impl Drop for Acquiring<'_> {
    fn drop(&mut self) {
        let Step::Waiting(Wait { ready, claim, ref hold, .. }) = self.step else { return };
        let engine = &ready.locker.engine;
        engine.act(Flush::Now, |book| {
            let Some(record) = book.record(claim) else { return };
            record.wanted = false;
            let gate = record.gate;
            let is_granted = hold.as_ref().is_some_and(|hold| hold.has_begun())
                || matches!(record.mail, Mail::Granted);
            let event = match is_granted && !defect!(31) {
                true => Event::Declined { claim },
                false => Event::Left { claim },
            };
            record.listen_no_more();
            if engine.witness.is_some() && matches!(event, Event::Left { .. }) {
                book.watch_leave(claim, Instant::now());
            }
            book.news.push_back(News { gate, event, clocks: None });
            book.drop_if_done(claim);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Client;
    use crate::config::Config;
    use std::future::poll_fn;
    use std::task::Waker;
    use tenure_server::{Profile, Server};

    /// Whoever polls with another waker looks at its hold first: an answer that comes then wakes the waker of before.
    #[tokio::test]
    async fn caller_that_is_answered_between_two_looks_is_served() {
        let server = Server::new(Profile::Valkey9);
        let client = Client::with_config(Config::dialer(server.dialer())).await.unwrap();
        let lock = client.lock("l");
        for _ in 0..4 {
            lock.acquire().await.unwrap().release().await.unwrap(); // then it goes the short way
        }
        let mut call = Acquiring::waiting(&lock, None);
        poll_fn(|cx| {
            assert!(Pin::new(&mut call).poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        loop {
            let Step::Waiting(Wait { hold: Some(hold), .. }) = &call.step else {
                panic!("it has asked the short way")
            };
            if hold.has_begun() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let looked = call.look(&Context::from_waker(Waker::noop()));
        assert!(matches!(looked, Poll::Ready(Ok(Some(_)))));
    }
}
