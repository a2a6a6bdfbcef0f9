//! A claim on its way out: its release is seen through until the server has answered, or the lease has surely ended.
//!
//! Also for a claim whose caller went away before it was known whether it had the lock. Tokens are random and used once, so
//! a release that comes late, or twice, frees nobody else's lock.

use crate::lock::gate::head::Waiter;
use crate::lock::gate::held::Held;
use crate::lock::gate::words::{Claim, Errand, Failure, Order, Released, Said, Scene};
use crate::lock::gate::{Gate, Seat};
use crate::lock::lease::Lease;
use crate::seam::after;
use std::time::Duration;
use tokio::time::Instant;

/// How long to wait before a release that failed is sent again.
const AGAIN: Duration = Duration::from_millis(50);
/// When to release again what a connection that could not be fenced off may still bring; then at half the lease.
const HAUNTED: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];

/// A claim that is to leave no value behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Leaving {
    pub(crate) claim: Claim,
    lease: Lease,
    fair: bool,
    aloud: bool,
    waits: bool,
    /// Until when the key is to stay.
    keep: Option<Instant>,
    doing: Doing,
    /// When the server has ended the lease by itself.
    surely_over: Instant,
    /// Whether a command that brought the value, or prolonged its lease, went without an answer.
    unsure: bool,
    /// Until when such a command may still bring it, late.
    haunted: Option<Instant>,
    /// A release went without an answer: then "not ours" may be its own doing.
    doubt: bool,
    /// Whoever waits for the release has been told.
    told: bool,
    /// Releases since the first answer.
    rounds: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Doing {
    Releasing,
    /// To be released again then.
    Resting {
        until: Instant,
    },
    /// To be released again when there is a connection.
    Offline,
}

/// What is known of a value that is to go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Remains {
    pub(crate) claim: Claim,
    pub(crate) lease: Lease,
    /// Whether it is a matter of the line on the server, too.
    pub(crate) fair: bool,
    pub(crate) aloud: bool,
    /// Whether others wait in this process, for those to know who are told.
    pub(crate) waits: bool,
    /// Until when the key is to stay.
    pub(crate) keep: Option<Instant>,
    pub(crate) surely_over: Instant,
    /// Whether a command that brought the value, or prolonged its lease, went without an answer.
    pub(crate) unsure: bool,
    /// Until when such a command may still bring it, late.
    pub(crate) haunted: Option<Instant>,
}

/// What is left to a moment.
fn rest(until: Instant, now: Instant) -> Option<Lease> {
    Lease::new(until.saturating_duration_since(now)).ok()
}

impl Leaving {
    /// Sends the release behind whatever was sent before.
    pub(crate) fn begin(remains: Remains, scene: &Scene, orders: &mut Vec<Order>) -> Self {
        let Remains { claim, lease, fair, aloud, waits, keep, surely_over, .. } = remains;
        let Remains { unsure, haunted, .. } = remains;
        let kept_until = keep.and_then(|until| rest(until, scene.now));
        let kept_until = kept_until.map_or(surely_over, |rest| rest.surely_over(scene.now));
        let mut leaving = Self {
            claim,
            lease,
            fair,
            aloud,
            waits,
            keep,
            doing: Doing::Releasing,
            surely_over: surely_over.max(kept_until),
            unsure,
            haunted,
            doubt: false,
            told: false,
            rounds: 0,
        };
        leaving.release(false, scene, orders);
        leaving
    }

    /// What stood for a release of this claim went without an answer.
    pub(crate) fn doubt_if_of(&mut self, claim: Claim) {
        self.doubt |= self.claim == claim;
    }

    fn release(&mut self, in_full: bool, scene: &Scene, orders: &mut Vec<Order>) {
        if !scene.online {
            self.doing = Doing::Offline;
            return;
        }
        let (claim, aloud, waits) = (self.claim, self.aloud, self.waits);
        self.doing = Doing::Releasing;
        let rest = self.keep.and_then(|until| rest(until, scene.now));
        orders.push(Order::Send(match (rest, self.fair) {
            (Some(rest), _) => Errand::Keep { claim, rest, in_full },
            (None, true) => Errand::Leave { claim, in_full },
            (None, false) => Errand::Release { claim, in_full, aloud, waits },
        }));
    }

    /// The value has come back.
    pub(crate) fn again(&mut self, scene: &Scene, orders: &mut Vec<Order>) {
        if self.doing != Doing::Releasing {
            self.release(false, scene, orders);
        }
    }

    /// When there can be nothing left to release.
    fn end(&self) -> Instant {
        self.haunted.map_or(self.surely_over, |until| until.max(self.surely_over))
    }

    /// When time alone changes something.
    pub(crate) fn due(&self) -> Option<Instant> {
        // Once nobody is to be told any more, only an answer ends the doubt.
        let end = if self.told && self.unsure { None } else { Some(self.end()) };
        match (self.doing, end) {
            (Doing::Resting { until }, Some(end)) => Some(until.min(end)),
            (Doing::Resting { until }, None) => Some(until),
            (Doing::Releasing | Doing::Offline, end) => end,
        }
    }

    /// The server answered a release. True once there is nothing more to do.
    pub(crate) fn said(&mut self, said: Said, scene: &Scene, orders: &mut Vec<Order>) -> bool {
        match said {
            Said::Ours(_) | Said::Freed { .. } => self.tell(Released::Yes, orders),
            Said::Gone | Said::NotOurs if defect!(39) => self.tell(Released::Yes, orders),
            Said::Gone | Said::NotOurs if self.doubt => self.tell(Released::Unconfirmed, orders),
            Said::Gone | Said::NotOurs => self.tell(Released::NotOurs, orders),
            Said::InFull => {
                self.release(true, scene, orders);
                return false;
            }
            Said::Failed(failure @ (Failure::Passing { .. } | Failure::Refused)) => {
                self.doubt |= failure.may_have_run();
                if failure == Failure::Refused && std::mem::take(&mut self.unsure) {
                    // Whatever was sent before has run by now, and no sooner than that the lease began.
                    self.surely_over = self.lease.surely_over(scene.now);
                }
                self.doing = Doing::Resting { until: after(scene.now, AGAIN) };
                return self.is_over(scene, orders);
            }
            _ => {
                self.tell(Released::Unconfirmed, orders);
                return true;
            }
        }
        self.unsure = false; // whatever was sent before on this connection came before the release
        let Some(haunted) = self.haunted.filter(|until| scene.now < *until) else { return true };
        let next = HAUNTED.get(self.rounds).copied().unwrap_or_else(|| self.lease.length() / 2);
        self.rounds += 1;
        self.doing = Doing::Resting { until: after(scene.now, next).min(haunted) };
        false
    }

    /// Time has passed. True once there is nothing more to do.
    pub(crate) fn tick(&mut self, scene: &Scene, orders: &mut Vec<Order>) -> bool {
        if self.is_over(scene, orders) {
            return true;
        }
        match self.doing {
            Doing::Resting { until } if scene.now >= until => self.release(false, scene, orders),
            _ => {}
        }
        false
    }

    fn is_over(&mut self, scene: &Scene, orders: &mut Vec<Order>) -> bool {
        if scene.now < self.end() {
            return false;
        }
        self.tell(Released::Unconfirmed, orders);
        // The lease of a value that is still on its way has not begun, and only the next connection puts an end to that.
        !self.unsure
    }

    /// There is a connection again.
    pub(crate) fn opened(&mut self, fenced: bool, scene: &Scene, orders: &mut Vec<Order>) {
        if std::mem::take(&mut self.unsure) {
            // As late as now may it have run, or later if nothing stops it.
            self.surely_over = self.lease.surely_over(scene.now);
            if !fenced {
                self.haunted = Some(self.surely_over);
            }
        }
        if let Doing::Resting { .. } | Doing::Offline = self.doing {
            self.release(false, scene, orders);
        }
    }

    /// No connection will come any more.
    pub(crate) fn stop_doubting(&mut self) {
        self.unsure = false;
    }

    fn tell(&mut self, released: Released, orders: &mut Vec<Order>) {
        if !std::mem::replace(&mut self.told, true) {
            orders.push(Order::Report { claim: self.claim, released });
        }
    }
}

impl Gate {
    /// Empties the seat of a head, and takes back what it may have left on the server.
    pub(crate) fn vacate(&mut self, scene: &Scene, orders: &mut Vec<Order>) {
        let Seat::Head(head) = std::mem::take(&mut self.seat) else { return };
        let Waiter { claim, terms, .. } = head.waiter;
        let sent = head.suspect();
        if sent.is_none() && head.haunted().is_none() || defect!(25) {
            orders.push(Order::Forget(claim));
            return;
        }
        let surely_over = terms.lease.surely_over(scene.now);
        let (unsure, haunted) = (sent.is_some(), head.haunted());
        let aloud = self.rivals.are_told(&terms, scene.now);
        let (lease, keep, fair) = (terms.lease, None, terms.fair);
        let waits = !self.line.is_empty();
        self.leaving.push(Leaving::begin(
            Remains { claim, lease, fair, aloud, waits, keep, surely_over, unsure, haunted },
            scene,
            orders,
        ));
    }

    /// Empties the seat of a holder, whose key is released.
    pub(crate) fn leave(&mut self, held: &Held, scene: &Scene, orders: &mut Vec<Order>) {
        self.seat = defect!(23, self.seat, Seat::Empty);
        let waits = !self.line.is_empty();
        let remains = Remains { waits, ..held.remains(&self.rivals, scene.now) };
        self.rivals.keep(false, scene.now);
        if remains.aloud {
            self.rivals.had_turn(waits, scene.now);
        }
        self.leaving.push(Leaving::begin(remains, scene, orders));
    }

    /// The server answered the release of a claim.
    pub(crate) fn release_said(
        &mut self,
        claim: Claim,
        said: Said,
        scene: &Scene,
        orders: &mut Vec<Order>,
    ) {
        let Some(at) = self.leaving.iter().position(|leaving| leaving.claim == claim) else {
            return;
        };
        if self.leaving.get_mut(at).is_some_and(|leaving| leaving.said(said, scene, orders)) {
            self.leaving.swap_remove(at);
            orders.push(Order::Forget(claim));
        }
        let others = match said {
            Said::Freed { told } => told > u32::from(self.rivals.listening),
            _ => false,
        };
        if others {
            self.rivals.met(scene.now);
        }
        if let Seat::Head(head) = &mut self.seat {
            let ahead = if others { self.rivals.ahead(scene.now) } else { 0 };
            head.stop_yielding(ahead, scene, orders);
        }
    }
}
