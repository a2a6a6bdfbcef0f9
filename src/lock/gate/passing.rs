//! The lock goes from one claim of this process to the next in one command, without becoming free in between.
//!
//! Bounded, so that one process cannot keep all others out: after so many turns, or so long, the key is freed, and whoever
//! waits here asks again only when the others have had the time to ask.

use crate::lock::gate::head::{Head, Waiter};
use crate::lock::gate::held::{Granted, Held};
use crate::lock::gate::words::{Claim, Errand, Order, Patience, Released, Said, Scene, Why};
use crate::lock::gate::{Gate, Seat};
use crate::seam::after;
use std::time::Duration;
use tokio::time::Instant;

/// How often in a row a lock is handed over within the process, and for how long in all, before others get their turn.
const TURNS: (u8, Duration) = (8, Duration::from_millis(50));
/// How long the next owner waits for the server beyond its patience.
const GRACE: Duration = Duration::from_millis(100);

/// A lock on its way from one claim to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Passing {
    pub(crate) from: Held,
    pub(crate) to: Waiter,
    pub(crate) sent: Instant,
    /// The next owner has gone: the lock goes on from it.
    pub(crate) gone: bool,
}

/// Hand-overs in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Turns {
    pub(crate) count: u8,
    since: Option<Instant>,
}

impl Turns {
    /// Whether the process may have another turn.
    pub(crate) fn allow(&self, now: Instant) -> bool {
        let (most, longest) = TURNS;
        let began = self.since.unwrap_or(now);
        defect!(32) || self.count < most && now.saturating_duration_since(began) < longest
    }

    fn take(&mut self, now: Instant) {
        self.count += 1;
        self.since.get_or_insert(now);
    }
}

impl Passing {
    /// When the next owner gives up, if the server does not answer.
    pub(crate) fn due(&self) -> Option<Instant> {
        match self.to.patience {
            Patience::Once(end) | Patience::Seize(end) | Patience::Until(end) if !self.gone => {
                Some(after(end, GRACE))
            }
            _ => None,
        }
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Instant, orders: &mut Vec<Order>) {
        if self.due().is_some_and(|due| now >= due) {
            self.turn_away(Why::TimedOut, orders);
        }
    }

    /// The next owner is not to have the lock, unless it has gone before.
    pub(crate) fn turn_away(&mut self, why: Why, orders: &mut Vec<Order>) {
        if !std::mem::replace(&mut self.gone, true) {
            orders.push(Order::Refuse { claim: self.to.claim, why });
        }
    }

    fn send(&self, in_full: bool, orders: &mut Vec<Order>) {
        let (from, sent) = (self.from.claim, self.sent);
        let Waiter { claim: to, terms, .. } = self.to;
        let (lease, fenced) = (terms.lease, terms.fenced);
        orders.push(Order::Send(Errand::HandOver { from, to, sent, lease, in_full, fenced }));
    }
}

impl Gate {
    /// Hands the lock over to the first of the line.
    pub(crate) fn pass(&mut self, from: &Held, scene: &Scene, orders: &mut Vec<Order>) {
        let Some(to) = self.line.pop_first() else { return };
        self.turns.take(scene.now);
        let passing = Passing { from: *from, to, sent: scene.now, gone: false };
        passing.send(false, orders);
        self.seat = Seat::Passing(passing);
    }

    /// The server answered a hand-over.
    pub(crate) fn passed(
        &mut self,
        said: Said,
        in_full: bool,
        scene: &Scene,
        orders: &mut Vec<Order>,
    ) {
        let Seat::Passing(passing) = self.seat else { return };
        let Passing { from, to, sent, gone } = passing;
        match said {
            Said::Ours(_) | Said::Fenced(_) => {
                report(from.claim, Released::Yes, orders);
                let fence = said.fence();
                // Whoever has gone asks no more.
                let granted = Granted { to, haunted: None, sent, fence, late: gone };
                if gone {
                    self.pass_on_unwanted(granted, scene, orders);
                } else if to.terms.fenced && fence.is_none() && !defect!(47) {
                    self.seat = Seat::Head(Head::minting(to, sent, scene, orders));
                } else {
                    self.grant(granted, scene, orders);
                }
            }
            Said::Gone | Said::NotOurs => {
                report(from.claim, Released::NotOurs, orders);
                self.seat = Seat::Empty;
                self.return_to_line(to, gone, orders);
            }
            Said::InFull if !in_full => {
                let again = Passing { sent: scene.now, ..passing };
                again.send(true, orders);
                self.seat = Seat::Passing(again);
            }
            Said::TooShort { took } => {
                if !gone {
                    orders.push(Order::Refuse { claim: to.claim, why: Why::TooShort { took } });
                }
                orders.push(Order::Forget(to.claim));
                self.seat = Seat::Held(from);
                self.released(from.claim, scene, orders);
            }
            // Either value may be there, or none: the old one goes first.
            said => {
                let ran = match said {
                    Said::Failed(failure) => failure.may_have_run(),
                    said => said != Said::InFull,
                };
                self.leave(&from, scene, orders);
                if !ran {
                    return self.return_to_line(to, gone, orders);
                }
                self.leaving.iter_mut().for_each(|leaving| leaving.doubt_if_of(from.claim));
                self.seat = Seat::Head(Head::doubtful(to, sent, scene, orders));
                if gone {
                    self.vacate(scene, orders);
                }
            }
        }
    }

    /// The lock came to a claim whose caller has gone: it is held for a moment, and goes on.
    fn pass_on_unwanted(&mut self, granted: Granted, scene: &Scene, orders: &mut Vec<Order>) {
        match Held::begin(&granted, scene) {
            Some(held) => {
                self.seat = Seat::Held(held);
                self.released(held.claim, scene, orders);
            }
            None => self.grant(granted, scene, orders),
        }
    }
}

fn report(claim: Claim, released: Released, orders: &mut Vec<Order>) {
    orders.push(Order::Report { claim, released });
    orders.push(Order::Forget(claim));
}
