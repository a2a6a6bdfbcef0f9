//! What an observer is told of locks: put down while the book is locked, told once it is not. Nothing here is done without one.

use crate::lock::book::Book;
use crate::lock::gate::{Claim, Event, Order, Released, Why};
use crate::lock::hold::Status;
use crate::lock::plan::Plan;
use crate::lock::record::Record;
use crate::observe::{LockEvent, NotAcquired, Unlocked, Witness};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// One thing that is to be told.
pub(crate) struct Sight {
    plan: Arc<Plan>,
    event: LockEvent,
}

/// When what happened to a claim, where it did.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Times {
    begun: Option<Instant>,
    granted: Option<Instant>,
    given_up: Option<Instant>,
    refused: bool,
}

impl Times {
    fn held(&self, now: Instant) -> Duration {
        let until = self.given_up.unwrap_or(now);
        until.saturating_duration_since(self.granted.unwrap_or(until))
    }

    fn waited(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.begun.unwrap_or(now))
    }
}

impl Sight {
    /// Nobody gets a lock, and that was known before anything was done.
    pub(crate) fn turned_away(plan: &Arc<Plan>) -> Self {
        let (waited, why) = (Duration::ZERO, NotAcquired::Failed);
        Self { plan: Arc::clone(plan), event: LockEvent::NotAcquired { waited, why } }
    }

    pub(crate) fn tell(&self, witness: &Witness) {
        let key = std::str::from_utf8(&self.plan.key.bytes).unwrap_or_default();
        witness.lock(key, &self.event);
    }
}

impl Record {
    /// Kept on the side, and for the next claim, as most have no observer.
    fn times(&mut self) -> &mut Times {
        self.times.get_or_insert_default()
    }
}

impl Book {
    pub(crate) fn take_seen(&mut self) -> Vec<Sight> {
        std::mem::take(&mut self.seen)
    }

    /// A caller came.
    pub(crate) fn watch_begin(&mut self, claim: Claim, begun: Instant) {
        if let Some(record) = self.record(claim) {
            *record.times() = Times { begun: Some(begun), ..Times::default() };
        }
    }

    /// A caller goes that was granted nothing; one that was refused has been told of.
    pub(crate) fn watch_leave(&mut self, claim: Claim, now: Instant) {
        let Some(record) = self.record(claim) else { return };
        let Times { refused, .. } = *record.times();
        let waited = record.times().waited(now);
        if !refused {
            self.see(claim, LockEvent::NotAcquired { waited, why: NotAcquired::GaveUp });
        }
    }

    /// Something is about to be told to a gate.
    pub(crate) fn watch_news(&mut self, event: &Event, now: Instant) {
        if let Event::Released { claim } | Event::Declined { claim } = *event {
            if let Some(record) = self.record(claim) {
                record.times().given_up = Some(now);
            }
        }
    }

    /// A gate's order is about to be carried out.
    pub(crate) fn watch_order(&mut self, order: &Order, now: Instant) {
        let (Order::Grant { claim, .. }
        | Order::Refuse { claim, .. }
        | Order::Extend { claim, .. }
        | Order::Lose { claim, .. }
        | Order::Report { claim, .. }) = *order
        else {
            return;
        };
        let Some(record) = self.record(claim) else { return };
        let status = record.hold.as_ref().map(|hold| hold.status());
        let times = *record.times();
        let event = match *order {
            Order::Grant { .. } if record.wanted => {
                record.times().granted = Some(now);
                LockEvent::Acquired { waited: times.waited(now) }
            }
            Order::Refuse { why, .. } if record.wanted => {
                record.times().refused = true;
                LockEvent::NotAcquired { waited: times.waited(now), why: refusal(why) }
            }
            Order::Extend { .. } => match &record.hold {
                Some(hold) if status == Some(Status::Held) => {
                    let margin = hold.deadline().saturating_duration_since(now);
                    LockEvent::Renewed { margin }
                }
                _ => return,
            },
            Order::Lose { cause, .. } if status == Some(Status::Held) => {
                LockEvent::Lost { held: times.held(now), cause }
            }
            Order::Report { released, .. } if times.granted.is_some() => match status {
                Some(Status::Held | Status::Released) => {
                    LockEvent::Released { held: times.held(now), how: unlocked(released) }
                }
                _ => return,
            },
            _ => return,
        };
        self.see(claim, event);
    }

    fn see(&mut self, claim: Claim, event: LockEvent) {
        if let Some(plan) = self.record(claim).and_then(|record| record.plan.clone()) {
            self.seen.push(Sight { plan, event });
        }
    }
}

fn refusal(why: Why) -> NotAcquired {
    match why {
        Why::Held => NotAcquired::Held,
        Why::TimedOut => NotAcquired::TimedOut,
        Why::NoAnswer
        | Why::TooShort { .. }
        | Why::KeyInUse
        | Why::NoScripts
        | Why::Failed
        | Why::Closed => NotAcquired::Failed,
    }
}

fn unlocked(released: Released) -> Unlocked {
    match released {
        Released::Yes => Unlocked::Confirmed,
        Released::NotOurs => Unlocked::NotOurs,
        Released::Unconfirmed => Unlocked::Unconfirmed,
    }
}
