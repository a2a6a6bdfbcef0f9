//! In which order the fair claims of a gate ask: whom an event calls up, who asks next, who rests.

use super::{Doing, Fair};
use crate::lock::gate::Gate;
use crate::lock::gate::words::{Event, Order, Said, Scene, Why};
use tokio::time::Instant;

/// How many claims of a gate ask at the same time, at most. As many keep a server busy, and a thousand that come together take no memory
/// and no buffers beyond that.
const WINDOW: usize = 32;

impl Gate {
    /// Calls up whoever an event concerns.
    pub(super) fn call_up_for(&mut self, event: Event, scene: &Scene, orders: &mut Vec<Order>) {
        let now = scene.now;
        match event {
            Event::Opened { fenced, .. } => self.behind.opened(fenced, now),
            _ if self.behind.is_empty() => {}
            Event::Given(given) => self.fair.extend(self.behind.take(given.claim, now)),
            Event::Left { claim } if self.behind.forget(claim) => {
                orders.push(Order::Forget(claim));
            }
            Event::Left { claim } => self.fair.extend(self.behind.take(claim, now)),
            Event::Flushed => self.behind.recall(),
            // Whoever is told nothing has to ask for itself.
            Event::Deafened if !scene.ears.told => self.call_all_up(now),
            Event::Refused => self.turn_all_away(Why::Failed, now, orders),
            Event::Closing | Event::Closed => self.turn_all_away(Why::Closed, now, orders),
            Event::Tick => {
                let (asked, unasked) = self.behind.give_up(now);
                self.fair.extend(asked);
                for waiter in unasked {
                    self.fair.push_back(Fair::begin(waiter, false, scene, orders));
                }
            }
            _ => {}
        }
    }

    /// Those who have asked, in their order.
    fn call_all_up(&mut self, now: Instant) {
        self.behind.recall();
        while let Some(fair) = self.behind.asks_again(now) {
            self.fair.push_back(fair);
        }
    }

    /// Those who have asked are called up, to leave the line; of the others nothing is to be undone.
    fn turn_all_away(&mut self, why: Why, now: Instant, orders: &mut Vec<Order>) {
        self.call_all_up(now);
        while let Some(waiter) = self.behind.comes() {
            orders.push(Order::Refuse { claim: waiter.claim, why });
            orders.push(Order::Forget(waiter.claim));
        }
    }

    /// Whether somebody who comes is to wait until others have asked.
    pub(super) fn is_crowded(&self, scene: &Scene) -> bool {
        let asking = self.fair.iter().filter(|fair| matches!(fair.doing, Doing::Asking { .. }));
        asking.count() >= WINDOW || self.is_tried(scene)
    }

    /// Whether somebody finds out, without listening, whether there is a line to stand in. Whoever comes meanwhile would come to stand
    /// there first.
    fn is_tried(&self, scene: &Scene) -> bool {
        let tries = |fair: &Fair| {
            let asks = matches!(fair.doing, Doing::Asking { .. }) && !fair.listens;
            asks && !fair.waiter.patience.is_over(scene.now)
        };
        scene.ears.told && !defect!(57) && self.fair.iter().any(tries)
    }

    /// Who of those that ask stands before all others of ours.
    fn foremost(&self) -> Option<usize> {
        self.fair.iter().position(Fair::leads)
    }

    /// A claim was told its place, by a command sent then, and knew before whether it `stood` in line.
    pub(super) fn took_place(
        &mut self,
        at: usize,
        (sent, stood, said): (Instant, bool, Said),
        scene: &Scene,
        orders: &mut Vec<Order>,
    ) {
        let Said::Placed { at_us, anew, .. } = said else { return };
        let Some(&Fair { doing: Doing::Waiting { until }, listens: true, .. }) = self.fair.get(at)
        else {
            return;
        };
        let forgotten = self.behind.note_time(sent, at_us);
        let first = self.foremost() == Some(at);
        if first {
            self.behind.note_turn(until);
        }
        let lost = forgotten && !defect!(55) || stood && anew && !defect!(56);
        if lost {
            self.behind.recall();
        }
        if !first {
            let Some(fair) = self.fair.remove(at) else { return };
            if lost {
                self.behind.ask_again(&fair);
                let others = self.fair.iter_mut().filter(|fair| fair.leads());
                others.for_each(|fair| fair.unsettled(scene, orders));
            } else {
                self.behind.rest(&fair);
            }
        }
    }

    /// Sees to it that somebody asks while others rest, and that those ask who are to.
    pub(super) fn call_next_up(&mut self, scene: &Scene, orders: &mut Vec<Order>) {
        if self.behind.is_resting() && self.foremost().is_none() && !defect!(54) {
            if let Some(fair) = self.behind.takes_over(scene.now) {
                self.fair.push_front(fair);
            }
        }
        while scene.online && self.behind.is_waiting() && !self.is_crowded(scene) {
            if let Some(mut fair) = self.behind.asks_again(scene.now) {
                fair.unsettled(scene, orders);
                self.fair.push_back(fair);
            } else if let Some(waiter) = self.behind.comes() {
                let heard = self.hears_of_grants();
                self.fair.push_back(Fair::begin(waiter, heard, scene, orders));
            }
        }
        if self.behind.is_empty() && self.foremost().is_none() {
            self.behind.tidy();
        }
        if self.fair.is_empty() && self.behind.is_empty() {
            self.behind = super::Behind::default();
        }
    }

    /// Whether grants of this gate are listened for already.
    pub(super) fn hears_of_grants(&self) -> bool {
        self.heeds.is_some() || self.fair.iter().any(|fair| fair.listens)
    }
}
