//! The future of one acquire call, and that of one release: they wait for what the gate decides.

use crate::client::Flush;
use crate::error::{Error, Outcome};
use crate::lock::book::{Mail, News, Refusal};
use crate::lock::error::{AcquireError, ReleaseError};
use crate::lock::gate::{Claim, Event, Patience, Released, Why};
use crate::lock::guard::Guard;
use crate::lock::hold::Hold;
use crate::lock::locker::Locker;
use crate::lock::plan::Plan;
use crate::lock::sight::Sight;
use crate::lock::token::OwnerToken;
use crate::seam::after;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// One acquire call, from its first poll on.
pub(crate) struct Acquiring {
    locker: Arc<Locker>,
    plan: Arc<Plan>,
    claim: Claim,
    begun: Instant,
    timeout: Option<Duration>,
    over: bool,
}

impl Acquiring {
    /// A caller that waits, for `timeout` at most.
    ///
    /// # Errors
    ///
    /// If nobody gets a lock, with the reason.
    pub(crate) fn waiting(
        locker: &Arc<Locker>,
        plan: &Arc<Plan>,
        timeout: Option<Duration>,
    ) -> Result<Self, AcquireError> {
        let begun = Instant::now();
        let end = timeout.and_then(|timeout| begun.checked_add(timeout));
        let patience = end.map_or(Patience::Endless, Patience::Until);
        Self::begin(locker, plan, patience, (begun, timeout), Flush::Auto)
    }

    /// A caller that makes one attempt; `flush` says who writes.
    ///
    /// # Errors
    ///
    /// If nobody gets a lock, with the reason.
    pub(crate) fn once(
        locker: &Arc<Locker>,
        plan: &Arc<Plan>,
        flush: Flush,
    ) -> Result<Self, AcquireError> {
        let begun = Instant::now();
        let timeout = locker.config().response_timeout;
        let patience = Patience::Once(after(begun, timeout));
        Self::begin(locker, plan, patience, (begun, Some(timeout)), flush)
    }

    fn begin(
        locker: &Arc<Locker>,
        plan: &Arc<Plan>,
        patience: Patience,
        (begun, timeout): (Instant, Option<Duration>),
        flush: Flush,
    ) -> Result<Self, AcquireError> {
        let engine = &locker.engine;
        let token = OwnerToken::new(engine.seam.entropy(), engine.seam.entropy());
        let since = engine.seam.wall();
        let claim = engine.act(flush, |book| {
            if let Some(barred) = &book.barred {
                return Err(barred.clone());
            }
            let gate = book.gate_of(plan);
            let claim = book.claim(gate, plan);
            if let Some(record) = book.record(claim) {
                plan.signature.sign(token, since, &mut record.value);
            }
            if engine.witness.is_some() {
                book.watch_begin(claim, begun);
            }
            let event = Event::Came { claim, terms: plan.terms, patience };
            book.news.push_back(News { gate, event, sent: None });
            Ok(claim)
        });
        let claim = match (claim, &engine.witness) {
            (Err(error), Some(witness)) => {
                Sight::turned_away(plan).tell(witness);
                return Err(error);
            }
            (claim, _) => claim?,
        };
        let (locker, plan) = (Arc::clone(locker), Arc::clone(plan));
        Ok(Self { locker, plan, claim, begun, timeout, over: false })
    }

    fn guard(&self, hold: Arc<Hold>) -> Guard {
        Guard::new(Arc::clone(&self.locker), Arc::clone(&self.plan), hold, self.claim)
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

impl Future for Acquiring {
    /// The guard; or `None` if one attempt was to be made, and somebody else has the lock.
    type Output = Result<Option<Guard>, AcquireError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let claim = self.claim;
        let (mail, hold) = {
            let mut book = self.locker.engine.book();
            let Some(record) = book.record(claim) else {
                return Poll::Ready(Err(AcquireError::Closed));
            };
            match &mut record.mail {
                Mail::Waiting(waker) if waker.will_wake(cx.waker()) => return Poll::Pending,
                waiting @ (Mail::Empty | Mail::Waiting(_)) => {
                    *waiting = Mail::Waiting(cx.waker().clone());
                    return Poll::Pending;
                }
                mail => (std::mem::take(mail), record.hold.clone()),
            }
        };
        self.over = true;
        Poll::Ready(match (mail, hold) {
            (Mail::Granted, Some(hold)) => Ok(Some(self.guard(hold))),
            (Mail::Refused(refusal), _) => {
                self.locker.engine.let_go(claim);
                if refusal.why == Why::Held {
                    return Poll::Ready(Ok(None));
                }
                Err(self.error(*refusal))
            }
            _ => {
                self.locker.engine.let_go(claim);
                Err(AcquireError::Closed)
            }
        })
    }
}

/// A caller that goes: what it was granted already is released, and what it may get is taken back.
impl Drop for Acquiring {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let claim = self.claim;
        self.locker.engine.act(Flush::Now, |book| {
            let Some(record) = book.record(claim) else { return };
            record.wanted = false;
            let (gate, mail) = (record.gate, std::mem::take(&mut record.mail));
            let event = match mail {
                Mail::Granted => Event::Released { claim },
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

/// A release whose caller waits for what becomes of it. Dropping it changes nothing but that nobody is told.
pub(crate) struct Releasing {
    locker: Arc<Locker>,
    claim: Claim,
}

impl Releasing {
    /// Follows a release that was begun.
    pub(crate) fn of(locker: &Arc<Locker>, claim: Claim) -> Self {
        Self { locker: Arc::clone(locker), claim }
    }
}

impl Future for Releasing {
    type Output = Result<(), ReleaseError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut book = self.locker.engine.book();
        let Some(record) = book.record(self.claim) else {
            return Poll::Ready(Err(ReleaseError::Lost));
        };
        match std::mem::replace(&mut record.mail, Mail::Empty) {
            Mail::Released(Released::Yes, _) => Poll::Ready(Ok(())),
            Mail::Released(Released::NotOurs, _) => Poll::Ready(Err(ReleaseError::Lost)),
            Mail::Released(Released::Unconfirmed, error) => {
                let error = error.unwrap_or_else(|| Error::closed(Outcome::Unknown));
                Poll::Ready(Err(ReleaseError::Client(error)))
            }
            _ if record.forgotten => Poll::Ready(Err(ReleaseError::Lost)),
            _ => {
                record.mail = Mail::Waiting(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Releasing {
    fn drop(&mut self) {
        self.locker.engine.let_go(self.claim);
    }
}
