//! The future of one acquire call, and that of one release: they wait for what the gate decides.

use crate::client::Flush;
use crate::error::{Error, Outcome};
use crate::lock::book::{Book, News};
use crate::lock::engine::Engine;
use crate::lock::error::{AcquireError, ReleaseError};
use crate::lock::gate::{Claim, Event, Patience, Released, Why};
use crate::lock::guard::Guard;
use crate::lock::hold::{Clocks, Hold};
use crate::lock::locker::Locker;
use crate::lock::plan::Plan;
use crate::lock::record::{Mail, Refusal};
use crate::lock::sight::Sight;
use crate::lock::token::OwnerToken;
use crate::seam::after;
use bytes::Bytes;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// One acquire call.
pub(crate) struct Acquiring<'a> {
    locker: &'a Arc<Locker>,
    plan: &'a Arc<Plan>,
    patience: Patience,
    begun: Instant,
    /// What the claim's value says of when it was made.
    since: Duration,
    timeout: Option<Duration>,
    flush: Flush,
    /// The value of the hold that it is to take the key from, if it is.
    prey: Option<&'a Bytes>,
    step: Step,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Start,
    Waiting(Claim),
    Over,
}

impl<'a> Acquiring<'a> {
    /// A caller that waits, for `timeout` at most.
    pub(crate) fn waiting(
        locker: &'a Arc<Locker>,
        plan: &'a Arc<Plan>,
        timeout: Option<Duration>,
    ) -> Self {
        let Clocks { now: begun, wall: since } = locker.engine.clocks();
        let end = timeout.and_then(|timeout| begun.checked_add(timeout));
        let patience = end.map_or(Patience::Endless, Patience::Until);
        let (flush, step) = (Flush::Auto, Step::Start);
        Self { locker, plan, patience, begun, since, timeout, flush, prey: None, step }
    }

    /// A caller that makes one attempt; `flush` says who writes.
    pub(crate) fn once(locker: &'a Arc<Locker>, plan: &'a Arc<Plan>, flush: Flush) -> Self {
        let Clocks { now: begun, wall: since } = locker.engine.clocks();
        let timeout = locker.config().response_timeout;
        let patience = Patience::Once(after(begun, timeout));
        let (timeout, step) = (Some(timeout), Step::Start);
        Self { locker, plan, patience, begun, since, timeout, flush, prey: None, step }
    }

    /// A caller that makes one attempt to take the key from the hold with this value.
    pub(crate) fn seizing(locker: &'a Arc<Locker>, plan: &'a Arc<Plan>, prey: &'a Bytes) -> Self {
        let once = Self::once(locker, plan, Flush::Auto);
        let end = once.patience.end().unwrap_or(once.begun);
        Self { patience: Patience::Seize(end), prey: Some(prey), ..once }
    }

    /// Opens a claim, tells its gate, and looks what came of it, all at once.
    fn begin(&mut self, cx: &Context<'_>) -> Poll<<Self as Future>::Output> {
        let Self { locker, plan, patience, begun, since, prey, .. } = *self;
        let engine = &locker.engine;
        let token = OwnerToken::new(engine.seam.entropy(), engine.seam.entropy());
        let clocks = Clocks { now: begun, wall: since };
        let come = |book: &mut Book| {
            if let Some(barred) = &book.barred {
                return Err(barred.clone());
            }
            let gate = book.gates.of(plan);
            let claim = book.claim(gate, plan);
            if let Some(record) = book.record(claim) {
                plan.signature.sign(token, since, &mut record.value);
                record.prey = prey.cloned().map(Box::new);
            }
            book.clocks = Some(clocks);
            let plainly = prey.is_none();
            if plainly && engine.ask_shortly(book, (gate, claim), (plan, patience), clocks) {
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
        match engine.act_and_look(self.flush, Some(begun), come, look) {
            Ok((claim, found)) => {
                self.step = Step::Waiting(claim);
                found.map(|found| self.end(claim, found))
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
    fn end(&mut self, claim: Claim, found: Found) -> <Self as Future>::Output {
        self.step = Step::Over;
        match found {
            Found::Granted(hold) => {
                Ok(Some(Guard::new(Arc::clone(self.locker), Arc::clone(self.plan), hold, claim)))
            }
            Found::Refused(refusal) => {
                self.locker.engine.let_go(claim);
                if refusal.why == Why::Held { Ok(None) } else { Err(self.error(*refusal)) }
            }
            Found::Nothing => {
                self.locker.engine.let_go(claim);
                Err(AcquireError::Closed)
            }
        }
    }

    fn error(&self, refusal: Refusal) -> AcquireError {
        let Refusal { why, seen, error, barred } = refusal;
        let waited = self.begun.elapsed();
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
                let reason = "a fair lock needs scripts, and the server refuses them: allow \
                              SCRIPT LOAD, EVAL and EVALSHA";
                AcquireError::Unsupported { reason: reason.to_owned() }
            }
            Why::NoAnswer => {
                let timeout = self.timeout.unwrap_or(waited);
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
                    timeout: self.timeout.unwrap_or(Duration::MAX),
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
fn look(book: &mut Book, claim: Claim, cx: &Context<'_>) -> Poll<Found> {
    let Some(record) = book.record(claim) else { return Poll::Ready(Found::Nothing) };
    if record.mail.wait(cx).is_pending() {
        return Poll::Pending;
    }
    Poll::Ready(match (std::mem::take(&mut record.mail), &record.hold) {
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
            Step::Waiting(claim) => {
                let found = look(&mut self.locker.engine.book(), claim, cx);
                found.map(|found| self.end(claim, found))
            }
            Step::Over => Poll::Ready(Err(AcquireError::Closed)),
        }
    }
}

/// A caller that goes: what it was granted already is released, and what it may get is taken back.
impl Drop for Acquiring<'_> {
    fn drop(&mut self) {
        let Step::Waiting(claim) = self.step else { return };
        self.locker.engine.act(Flush::Now, |book| {
            let Some(record) = book.record(claim) else { return };
            record.wanted = false;
            let (gate, mail) = (record.gate, std::mem::take(&mut record.mail));
            let event = match mail {
                Mail::Granted if !defect!(31) => Event::Declined { claim },
                _ => Event::Left { claim },
            };
            if self.locker.engine.witness.is_some() && matches!(event, Event::Left { .. }) {
                book.watch_leave(claim, Instant::now());
            }
            book.news.push_back(News { gate, event, sent: None });
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
fn released(book: &mut Book, claim: Claim, cx: &Context<'_>) -> Poll<Result<(), ReleaseError>> {
    let Some(record) = book.record(claim) else { return Poll::Ready(Err(ReleaseError::Lost)) };
    if !record.forgotten && record.mail.wait(cx).is_pending() {
        return Poll::Pending;
    }
    let mail = std::mem::take(&mut record.mail);
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
