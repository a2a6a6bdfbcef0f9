//! The future of one acquire call, and that of one release: they wait for what the gate decides.

use crate::client::Flush;
use crate::error::{Error, Outcome};
use crate::lock::book::{Book, News};
use crate::lock::dialect::Dialect;
use crate::lock::engine::Engine;
use crate::lock::error::{AcquireError, ReleaseError};
use crate::lock::gate::{Claim, Event, Patience, Released, Why};
use crate::lock::guard::Guard;
use crate::lock::hold::Hold;
use crate::lock::locker::Locker;
use crate::lock::plan::Plan;
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
    locker: &'a Arc<Locker>,
    plan: &'a Arc<Plan>,
    wish: Wish<'a>,
    step: Step,
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

#[derive(Debug, Clone, Copy)]
enum Step {
    Start,
    Waiting { claim: Claim, begun: Instant },
    Over,
}

impl<'a> Acquiring<'a> {
    /// A caller that waits, for `timeout` at most.
    #[inline]
    pub(crate) fn waiting(
        locker: &'a Arc<Locker>,
        plan: &'a Arc<Plan>,
        timeout: Option<Duration>,
    ) -> Self {
        Self { locker, plan, wish: Wish::Wait(timeout), step: Step::Start }
    }

    /// A caller that makes one attempt; `flush` says who writes.
    pub(crate) fn once(locker: &'a Arc<Locker>, plan: &'a Arc<Plan>, flush: Flush) -> Self {
        Self { locker, plan, wish: Wish::Once(flush), step: Step::Start }
    }

    /// A caller that makes one attempt to take the key from the hold with this value.
    pub(crate) fn seizing(locker: &'a Arc<Locker>, plan: &'a Arc<Plan>, prey: &'a Bytes) -> Self {
        Self { locker, plan, wish: Wish::Seize(prey), step: Step::Start }
    }

    /// How long the caller waits, if there is an end to it.
    fn timeout(&self) -> Option<Duration> {
        match self.wish {
            Wish::Wait(timeout) => timeout,
            Wish::Once(_) | Wish::Seize(_) => Some(self.locker.config().response_timeout),
        }
    }

    #[inline]
    fn patience(&self, begun: Instant) -> Patience {
        let Some(timeout) = self.timeout() else { return Patience::Endless };
        match self.wish {
            Wish::Wait(_) => begun.checked_add(timeout).map_or(Patience::Endless, Patience::Until),
            Wish::Once(_) => Patience::Once(after(begun, timeout)),
            Wish::Seize(_) => Patience::Seize(after(begun, timeout)),
        }
    }

    /// Opens a claim, tells its gate, and looks what came of it, all at once.
    fn begin(&mut self, cx: &Context<'_>) -> Poll<<Self as Future>::Output> {
        let Self { locker, plan, wish, .. } = *self;
        let begun = Instant::now();
        let patience = self.patience(begun);
        let flush = if let Wish::Once(flush) = wish { flush } else { Flush::Auto };
        let engine = &locker.engine;
        let come = |book: &mut Book| {
            if let Some(barred) = &book.barred {
                return Err(barred.clone());
            }
            let (gate, claim) = engine.open(book, plan, begun);
            if let Wish::Seize(prey) = wish {
                let record = book.record(claim).into_iter();
                record.for_each(|record| record.prey = Some(Box::new(prey.clone())));
            } else if engine.ask_shortly(book, (gate, claim), (plan, patience), begun) {
                return Ok(claim);
            }
            if engine.witness.is_some() {
                book.watch_begin(claim, begun);
            }
            let event = Event::Came { claim, terms: plan.terms, patience };
            engine.happen(book, gate, &event, None);
            Ok(claim)
        };
        let look = |book: &mut Book, claim: Result<Claim, AcquireError>| {
            claim.map(|claim| (claim, look(book, claim, cx)))
        };
        match engine.act_and_look(flush, Some(begun), come, look) {
            Ok((claim, found)) => {
                self.step = Step::Waiting { claim, begun };
                found.map(|found| self.end((claim, begun), found))
            }
            Err(barred) => {
                self.step = Step::Over;
                if let Some(witness) = &engine.witness {
                    Sight::turned_away(plan).tell(witness);
                }
                Poll::Ready(Err(barred))
            }
        }
    }

    /// What a caller that was told something makes of it.
    #[inline]
    fn end(&mut self, (claim, begun): (Claim, Instant), found: Found) -> <Self as Future>::Output {
        self.step = Step::Over;
        match found {
            Found::Granted(hold) => {
                Ok(Some(Guard::new(Arc::clone(self.locker), Arc::clone(self.plan), hold, claim)))
            }
            Found::Refused(refusal) => {
                self.locker.engine.let_go(claim);
                if refusal.why == Why::Held { Ok(None) } else { Err(self.error(begun, *refusal)) }
            }
            Found::Nothing => {
                self.locker.engine.let_go(claim);
                Err(AcquireError::Closed)
            }
        }
    }

    fn error(&self, begun: Instant, refusal: Refusal) -> AcquireError {
        let Refusal { why, seen, error, barred } = refusal;
        let waited = begun.elapsed();
        let lease_left = |over: Instant| {
            let left = over.saturating_duration_since(Instant::now());
            Duration::from_millis(u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
        };
        let unasked = || self.locker.last_failure().or_else(|| error.clone());
        match why {
            Why::Closed => AcquireError::Closed,
            Why::KeyInUse => {
                let key = String::from_utf8_lossy(&self.plan.key.bytes).into_owned();
                AcquireError::KeyInUse { key }
            }
            Why::TooShort { took } => AcquireError::LeaseTooShort { rtt: took },
            Why::NoScripts => {
                let dialect = self.locker.engine.book().dialect.clone();
                let refusal = dialect.as_deref().map(Dialect::refusal).unwrap_or_default();
                let reason = format!(
                    "a fair lock needs scripts, and the server refuses them ({refusal}): allow EVAL \
                     and EVALSHA"
                );
                AcquireError::Unsupported { reason }
            }
            Why::NoAnswer => {
                let timeout = self.timeout().unwrap_or(waited);
                let cause = unasked();
                let outcome = if cause.is_some() { Outcome::NotSent } else { Outcome::Unknown };
                let known = self.locker.connection.circumstances();
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
                    None => (unasked(), Some(Box::new(self.locker.connection.circumstances()))),
                };
                AcquireError::TimedOut {
                    key: String::from_utf8_lossy(&self.plan.key.bytes).into_owned(),
                    timeout: self.timeout().unwrap_or(Duration::MAX),
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

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.step {
            Step::Start => self.begin(cx),
            Step::Waiting { claim, begun } => {
                let found = look(&mut self.locker.engine.book(), claim, cx);
                found.map(|found| self.end((claim, begun), found))
            }
            Step::Over => Poll::Ready(Err(AcquireError::Closed)),
        }
    }
}

/// A caller that goes: what it was granted already is released, and what it may get is taken back.
impl Drop for Acquiring<'_> {
    fn drop(&mut self) {
        let Step::Waiting { claim, .. } = self.step else { return };
        self.locker.engine.act(Flush::Now, |book| {
            let Some(record) = book.record(claim) else { return };
            record.wanted = false;
            let gate = record.gate;
            let event = match record.mail {
                Mail::Granted if !defect!(31) => Event::Declined { claim },
                _ => Event::Left { claim },
            };
            record.listen_no_more();
            if self.locker.engine.witness.is_some() && matches!(event, Event::Left { .. }) {
                book.watch_leave(claim, Instant::now());
            }
            book.news.push_back(News { gate, event, clocks: None });
            book.drop_if_done(claim);
        });
    }
}

/// A release whose caller waits for what becomes of it. It begins when it is polled first; dropping it then changes nothing but
/// that nobody is told.
#[must_use = "it begins when it is polled first"]
pub(crate) struct Releasing<'a> {
    engine: &'a Engine,
    claim: Claim,
    /// What time it is, until it has begun.
    now: Option<Instant>,
    over: bool,
}

impl<'a> Releasing<'a> {
    /// Of a guard that sees to its claim no more.
    #[inline]
    pub(crate) fn new(engine: &'a Engine, claim: Claim, now: Instant) -> Self {
        Self { engine, claim, now: Some(now), over: false }
    }
}

impl Future for Releasing<'_> {
    type Output = Result<(), ReleaseError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let claim = self.claim;
        let released = match self.now.take() {
            Some(now) => {
                let release = |book: &mut Book| self.engine.release(book, claim);
                let look = |book: &mut Book, ()| released(book, claim, cx);
                self.engine.act_and_look(Flush::Auto, Some(now), release, look)
            }
            None => released(&mut self.engine.book(), claim, cx),
        };
        self.over = released.is_ready();
        released
    }
}

/// Looks what became of a claim's release; remembers the waker if nobody knows yet, and lets go of the claim otherwise.
#[inline(always)] // as above
fn released(book: &mut Book, claim: Claim, cx: &Context<'_>) -> Poll<Result<(), ReleaseError>> {
    let Some(record) = book.record(claim) else { return Poll::Ready(Err(ReleaseError::Lost)) };
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

impl Drop for Releasing<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.engine.let_go(self.claim);
        }
    }
}
