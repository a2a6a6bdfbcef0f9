//! One key, as one process sees it: who holds it here, who waits for it here, and what is still to be undone.
//!
//! ```text
//!            came                 fresh                       released, nobody waits
//!   (empty) ─────► head ─────────────────────────► held ─────────────────────────────────► (empty)
//!                  │  ▲ held by another:            │ ▲ │                                     ▲
//!                  │  └ look, rest, ask again       │ │ └ deadline, deleted, taken over: lost ┘
//!                  │                                │ └──────────────────────────┐
//!                  ├ refused, timed out, gone       └► passing ── the next one's ┘ in one command
//!                  ▼                                   released, somebody waits
//!                leaving: the value may be there, and is taken back until the server says that it is gone
//! ```
//!
//! A pure decider: told what happened and what time it is, it answers with orders. It knows no value, no command and no
//! future; claims stand for them. Nothing in it is shared, so that a model checker can copy, compare and hash it.
//!
//! Invariants, each with a test in `tests`:
//!
//! * I1: a value is sent by commands ordered here only, and by none after it was decided to take it back.
//! * I2: a hold is granted and extended only for a time that begins before its command was sent.
//! * I3: for one claim, what takes the key is ordered before what renews it, and that before what releases it.
//! * I4: every command that writes carries a lease.
//! * I5: whoever waits has a time at which it asks by itself; a push only comes before it.
//! * I6: what is over is neither renewed nor extended.
//! * I7: at the end nothing is left: each claim is forgotten once, after its last order.

mod alone;
mod fair;
mod head;
mod held;
mod holding;
mod leaving;
mod line;
mod passing;
mod places;
mod rivals;
#[cfg(test)]
mod tests;
mod words;

pub(crate) use words::{
    Claim, Ears, Errand, Event, Failure, Fence, Left, Order, Patience, Released, Said, Scene, Term,
    Terms, Why,
};

pub(crate) use fair::{ALIVE, Found, Given, confirm_within};

use crate::lock::error::LostCause;
use crate::lock::options::Wakeup;
use alone::Alone;
use fair::{Behind, Fair};
use head::{Head, Step, Waiter};
use held::{Granted, Held};
use leaving::{Leaving, Remains};
use line::earlier;
use passing::{Passing, Turns};
use places::Places;
use rivals::Rivals;
use std::collections::VecDeque;
use tokio::time::Instant;

/// One key in one process.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Gate {
    /// The only claim, if nothing unusual has happened to it; then there is nothing else.
    alone: Option<Alone>,
    seat: Seat,
    /// Who waits behind the seat, oldest first.
    line: Places,
    /// No one in the line gives up before.
    line_due: Option<Instant>,
    leaving: Vec<Leaving>,
    /// Claims that wait in the line on the server, or have the lock by it.
    fair: VecDeque<Fair>,
    behind: Behind,
    /// Until when grants are listened for, beyond the last claim that did.
    heeds: Option<Instant>,
    turns: Turns,
    rivals: Rivals,
    /// No connection will come any more: what is stuck on its way is not waited for.
    closed: bool,
}

/// The one claim of this process that deals with the server about the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
enum Seat {
    #[default]
    Empty,
    Head(Head),
    Held(Held),
    Passing(Passing),
}

impl Gate {
    /// Takes in what happened, and adds what is to be done.
    pub(crate) fn on(&mut self, event: &Event, scene: &Scene, orders: &mut Vec<Order>) {
        if !self.alone_on(event, scene, orders) {
            self.on_any(*event, scene, orders);
        }
    }

    /// The same, of a gate that is not folded.
    fn on_any(&mut self, event: Event, scene: &Scene, orders: &mut Vec<Order>) {
        self.let_go_of_what_is_over(scene, orders);
        if let Some(event) = self.fair_on(event, scene, orders) {
            self.happen(event, scene, orders);
        }
        self.advance(scene, orders);
        if self.closed {
            self.leaving.iter_mut().for_each(Leaving::stop_doubting);
        }
    }

    /// The same, of claims that are not fair.
    fn happen(&mut self, event: Event, scene: &Scene, orders: &mut Vec<Order>) {
        match event {
            Event::Came { claim, terms, patience } => {
                self.came(Waiter { claim, terms, patience }, scene, orders);
            }
            Event::Left { claim } => self.left(claim, scene, orders),
            Event::Declined { claim } => {
                if let Some(held) = self.held_by(claim) {
                    // There is no work whose shortest time counts.
                    held.forgo_shortest(scene.now);
                }
                self.released(claim, scene, orders);
            }
            Event::Released { claim } => self.released(claim, scene, orders),
            Event::Beat { claim } => {
                if let Some(held) = self.held_by(claim) {
                    held.beat(scene, orders);
                }
            }
            Event::Doubted { claim } => {
                if let Some(held) = self.held_by(claim) {
                    held.doubt(scene, orders);
                }
            }
            Event::Suspected { claim } => {
                if let Some(held) = self.held_by(claim) {
                    held.suspect(scene, orders);
                }
            }
            Event::Said { errand, said } => self.said(errand, said, scene, orders),
            Event::Given(_) => {}
            Event::Changed | Event::Flushed => match &mut self.seat {
                Seat::Head(head) => head.woken(Wakeup::Track, 0, scene, orders),
                Seat::Held(held) => held.touched(scene, orders),
                Seat::Empty | Seat::Passing(_) => {}
            },
            Event::Announced { process, waits } => {
                self.rivals.spoke(process, waits, scene.now);
                self.rivals.met(scene.now);
                if let Seat::Head(head) = &mut self.seat {
                    let ahead = self.rivals.ahead(scene.now);
                    head.woken(Wakeup::Announce, ahead, scene, orders);
                }
            }
            Event::Pleaded { process } => {
                self.rivals.pleaded(process, scene.now);
                self.rivals.met(scene.now);
            }
            Event::Hearing => {
                if let Seat::Head(head) = &mut self.seat {
                    head.woken(Wakeup::Announce, 0, scene, orders);
                }
            }
            Event::Deafened => {
                if std::mem::take(&mut self.rivals.listening) {
                    if let Seat::Head(head) = &mut self.seat {
                        head.relied_on_nobody(scene, orders);
                    }
                }
            }
            Event::Opened { fenced, same } => self.opened(fenced, same, scene, orders),
            Event::Refused => {
                self.turn_away(Why::Failed, orders);
                self.step(Step::Refused(Why::Failed), scene, orders);
            }
            Event::Closing => self.close(false, scene, orders),
            Event::Closed => self.close(true, scene, orders),
            Event::Tick => self.tick(scene, orders),
        }
    }

    /// When time alone changes something.
    pub(crate) fn due(&self) -> Option<Instant> {
        if let Some(alone) = &self.alone {
            return alone.due();
        }
        let seat = match &self.seat {
            Seat::Empty => self.rivals.due(),
            Seat::Head(head) => head.due(),
            Seat::Held(held) => Some(held.due()),
            Seat::Passing(passing) => passing.due(),
        };
        let line = self.line_due.filter(|_| !self.line.is_empty());
        let leaving = self.leaving.iter().map(Leaving::due);
        leaving.fold(earlier(earlier(seat, line), self.fair_due()), earlier)
    }

    fn released(&mut self, claim: Claim, scene: &Scene, orders: &mut Vec<Order>) {
        let Seat::Held(from) = self.seat else { return };
        if from.claim != claim {
            return;
        }
        self.give_up_waiters(scene.now, orders);
        let next = !self.line.is_empty() && !from.is_fair() && !from.is_early(scene.now);
        if next && scene.online && self.turns.allow(scene.now) {
            self.pass(&from, scene, orders);
        } else {
            self.leave(&from, scene, orders);
        }
    }

    fn let_go_of_what_is_over(&mut self, scene: &Scene, orders: &mut Vec<Order>) {
        if let Seat::Held(held) = self.seat {
            if let Some(cause) = held.overdue(scene.now) {
                self.lose(&held, cause, scene, orders);
            }
        }
        self.fair_over(scene, orders);
    }

    fn lose(&mut self, held: &Held, cause: LostCause, scene: &Scene, orders: &mut Vec<Order>) {
        orders.push(Order::Lose { claim: held.claim, cause });
        self.turns = Turns::default();
        match cause {
            // The server said so: there is nothing to take back.
            LostCause::Deleted | LostCause::TakenOver | LostCause::Failover => {
                self.seat = Seat::Empty;
                orders.push(Order::Forget(held.claim));
            }
            // The work may go on for a while: nobody else is to begin before the delay is over.
            LostCause::Expired | LostCause::Unconfirmed | LostCause::MaxHold if held.lingers() => {
                self.seat = Seat::Empty;
                orders.push(Order::Forget(held.claim));
            }
            LostCause::Expired
            | LostCause::Unconfirmed
            | LostCause::MaxHold
            | LostCause::Closed => self.leave(held, scene, orders),
        }
    }

    fn said(&mut self, errand: Errand, said: Said, scene: &Scene, orders: &mut Vec<Order>) {
        match (&mut self.seat, errand) {
            (
                _,
                Errand::Release { claim, .. }
                | Errand::Keep { claim, .. }
                | Errand::Leave { claim, .. },
            ) => {
                self.release_said(claim, said, scene, orders);
            }
            (Seat::Passing(passing), Errand::HandOver { from, sent, in_full, .. })
                if passing.from.claim == from && passing.sent == sent =>
            {
                self.passed(said, in_full, scene, orders);
            }
            (Seat::Head(head), errand) if head.expects(errand) => {
                let step = head.said(said, &mut self.rivals, scene, orders);
                self.step(step, scene, orders);
            }
            (Seat::Held(held), errand) if held.expects(errand) => {
                let lost = held.said(said, scene, orders);
                if let (Some(cause), Seat::Held(held)) = (lost, self.seat) {
                    self.lose(&held, cause, scene, orders);
                }
            }
            _ => {} // of a claim that has gone on since, or has gone
        }
    }

    fn step(&mut self, step: Step, scene: &Scene, orders: &mut Vec<Order>) {
        let Seat::Head(head) = self.seat else { return };
        match step {
            Step::Stay => {}
            Step::Granted { sent: asked, fence } => {
                let sent = defect!(26, scene.now, asked);
                let (to, haunted, late) = (head.waiter, head.haunted(), head.is_late());
                let granted = Granted { to, haunted, sent, fence, late };
                self.grant(granted, scene, orders);
            }
            Step::Refused(why) => {
                orders.push(Order::Refuse { claim: head.waiter.claim, why });
                self.vacate(scene, orders);
            }
        }
    }

    /// The server gave the lock to a claim.
    fn grant(&mut self, granted: Granted, scene: &Scene, orders: &mut Vec<Order>) {
        let Granted { to: Waiter { claim, terms, .. }, haunted, sent, fence, .. } = granted;
        if let Some(held) = Held::begin(&granted, scene) {
            orders.push(Order::Grant { claim, term: held.term(sent), fence });
            self.rivals.keep(true, scene.now);
            self.seat = Seat::Held(held);
            return;
        }
        if granted.is_worth_another(scene.now) {
            self.seat = Seat::Head(Head::late(&granted, scene, orders));
            return;
        }
        let took = scene.now.saturating_duration_since(sent);
        orders.push(Order::Refuse { claim, why: Why::TooShort { took } });
        let (lease, aloud) = (terms.lease, self.rivals.are_told(&terms, scene.now));
        let (keep, fair, unsure) = (None, terms.fair, false);
        let (surely_over, waits) = (lease.surely_over(scene.now), !self.line.is_empty());
        self.seat = Seat::Empty;
        self.leaving.push(Leaving::begin(
            Remains { claim, lease, fair, aloud, waits, keep, surely_over, unsure, haunted },
            scene,
            orders,
        ));
    }

    fn opened(&mut self, fenced: bool, same: bool, scene: &Scene, orders: &mut Vec<Order>) {
        self.rivals.listening = false;
        for leaving in &mut self.leaving {
            leaving.opened(fenced, scene, orders);
        }
        match &mut self.seat {
            Seat::Head(head) => head.opened(fenced, scene, orders),
            Seat::Held(held) => held.opened(same, scene, orders),
            Seat::Empty | Seat::Passing(_) => {}
        }
    }

    fn tick(&mut self, scene: &Scene, orders: &mut Vec<Order>) {
        self.leaving.retain_mut(|leaving| {
            let over = leaving.tick(scene, orders);
            if over {
                orders.push(Order::Forget(leaving.claim));
            }
            !over
        });
        self.give_up_waiters(scene.now, orders);
        let step = match &mut self.seat {
            Seat::Head(head) => head.tick(scene, orders),
            Seat::Held(held) => {
                held.tick(scene, orders);
                Step::Stay
            }
            Seat::Passing(passing) => {
                passing.tick(scene.now, orders);
                Step::Stay
            }
            Seat::Empty => Step::Stay,
        };
        self.step(step, scene, orders);
        if let Seat::Empty = self.seat {
            self.rivals.tick(scene.now);
        }
    }

    fn close(&mut self, for_good: bool, scene: &Scene, orders: &mut Vec<Order>) {
        self.closed |= for_good;
        self.turn_away(Why::Closed, orders);
        self.rivals.forget();
        match &mut self.seat {
            Seat::Empty => {}
            Seat::Head(_) => self.step(Step::Refused(Why::Closed), scene, orders),
            Seat::Held(held) => {
                let held = *held;
                self.lose(&held, LostCause::Closed, scene, orders);
            }
            Seat::Passing(passing) => passing.turn_away(Why::Closed, orders),
        }
    }
}
