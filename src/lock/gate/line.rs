//! Who waits for the key in this process: one line, served in the order of coming.

use crate::lock::gate::head::{Head, Waiter};
use crate::lock::gate::passing::Turns;
use crate::lock::gate::words::{Claim, Order, Patience, Scene, Why};
use crate::lock::gate::{Gate, Seat};
use tokio::time::Instant;

impl Gate {
    pub(crate) fn came(&mut self, waiter: Waiter, scene: &Scene, orders: &mut Vec<Order>) {
        let over = waiter.patience.is_over(scene.now);
        match (&self.seat, waiter.patience) {
            (Seat::Empty, _) => {
                self.turns = Turns::default();
                let ahead = self.rivals.ahead(scene.now);
                self.seat = Seat::Head(if ahead == 0 || over {
                    Head::asking(waiter, scene, orders)
                } else {
                    Head::deferring(waiter, ahead, scene)
                });
            }
            (Seat::Head(_), Patience::Seize(end)) => {
                self.line_due = earlier(self.line_due, Some(end));
                self.line.push_first(waiter);
            }
            (_, Patience::Once(_) | Patience::Seize(_)) => refuse(waiter.claim, Why::Held, orders),
            _ if over => refuse(waiter.claim, Why::TimedOut, orders),
            _ => {
                self.line_due = earlier(self.line_due, waiter.patience.end());
                self.line.push_last(waiter);
            }
        }
    }

    pub(crate) fn left(&mut self, claim: Claim, scene: &Scene, orders: &mut Vec<Order>) {
        match &mut self.seat {
            Seat::Head(head) if head.waiter.claim == claim => self.vacate(scene, orders),
            Seat::Passing(passing) if passing.to.claim == claim => passing.gone = true,
            _ => {
                if self.line.remove(claim) {
                    orders.push(Order::Forget(claim));
                }
            }
        }
    }

    pub(crate) fn return_to_line(&mut self, waiter: Waiter, gone: bool, orders: &mut Vec<Order>) {
        if gone {
            orders.push(Order::Forget(waiter.claim));
        } else {
            self.line_due = earlier(self.line_due, waiter.patience.end());
            self.line.push_first(waiter);
        }
    }

    /// Those in the line whose patience is over go: somebody before them has not got the lock either.
    pub(crate) fn give_up_waiters(&mut self, now: Instant, orders: &mut Vec<Order>) {
        if self.line_due.is_none_or(|due| now < due) {
            return;
        }
        self.line_due = None;
        let line_due = &mut self.line_due;
        self.line.retain(|claim, patience| {
            let over = patience.end().is_some_and(|end| now >= end);
            if over {
                refuse(claim, Why::TimedOut, orders);
            } else {
                *line_due = earlier(*line_due, patience.end());
            }
            !over
        });
    }

    /// Everybody who waits gets no lock.
    pub(crate) fn turn_away(&mut self, why: Why, orders: &mut Vec<Order>) {
        self.line_due = None;
        self.line.retain(|claim, _| {
            refuse(claim, why, orders);
            false
        });
    }

    /// Whoever is to take the key from a hold goes before a head that rests, and has come in vain once somebody here has it.
    pub(crate) fn let_seize(&mut self, scene: &Scene, orders: &mut Vec<Order>) {
        while let Some(first) = self.line.first() {
            let Patience::Seize(_) = first.patience else { return };
            match &self.seat {
                Seat::Held(_) | Seat::Passing(_) => {
                    self.line.pop_first();
                    refuse(first.claim, Why::Held, orders);
                }
                Seat::Head(head) => {
                    let Some(idle) = head.idle() else { return };
                    self.line.pop_first();
                    self.return_to_line(idle, false, orders);
                    self.seat = Seat::Head(Head::asking(first, scene, orders));
                    return;
                }
                Seat::Empty => return,
            }
        }
    }

    /// If the seat is empty, the first of the line takes it.
    pub(crate) fn advance(&mut self, scene: &Scene, orders: &mut Vec<Order>) {
        self.let_seize(scene, orders);
        if !matches!(self.seat, Seat::Empty) {
            return;
        }
        let Some(waiter) = self.line.pop_first() else { return };
        let after_our_turns = std::mem::take(&mut self.turns).count > 0;
        self.seat = Seat::Head(if after_our_turns && !self.leaving.is_empty() {
            Head::yielding(waiter, scene)
        } else {
            Head::asking(waiter, scene, orders)
        });
    }
}

fn refuse(claim: Claim, why: Why, orders: &mut Vec<Order>) {
    orders.push(Order::Refuse { claim, why });
    orders.push(Order::Forget(claim));
}

pub(crate) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, None) => one,
        (None, other) => other,
    }
}
