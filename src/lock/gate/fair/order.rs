//! In which order the fair claims of a gate ask: whom an event calls up, who asks next, who rests.

use super::{Doing, Fair, Found};
use crate::lock::gate::Gate;
use crate::lock::gate::words::{Claim, Ears, Errand, Event, Order, Said, Scene, Why};
use crate::lock::hold::Clocks;
use tokio::time::Instant;

/// How many claims of a gate ask at the same time, at most. As many keep a server busy, and a thousand that come together take no memory
/// and no buffers beyond that.
const WINDOW: usize = 32;

impl Gate {
    /// What is the case for fair claims: where grants are not told, nobody listens.
    pub(super) fn fair_scene(&self, scene: &Scene) -> Scene {
        let told = scene.ears.told && (!self.behind.untold || defect!(59));
        Scene { ears: Ears { told, ..scene.ears }, ..*scene }
    }

    /// As whichever somebody arrives that comes to stand in line behind all others of the gate.
    pub(super) fn next_arrival(&self) -> u64 {
        let asking = self.fair.iter().map(|fair| fair.arrival).max();
        asking.max(self.behind.last()).map_or(0, |last| last + 1)
    }

    /// Calls up whoever an event concerns.
    pub(super) fn call_up_for(&mut self, event: Event, scene: &Scene, orders: &mut Vec<Order>) {
        let now = scene.now;
        match event {
            Event::Opened { fenced, .. } => {
                self.behind.opened(fenced, now);
                self.recall(|fair| !fair.waiter.patience.is_single());
            }
            Event::Flushed => self.recall(|fair| !fair.waiter.patience.is_single()),
            // Somebody of ours has released the lock to nobody, and the line is gone in which others stood.
            Event::Said { errand: Errand::Leave { .. }, said: Said::Freed { .. } } => {
                self.recall(Fair::leads);
            }
            _ if self.behind.is_empty() => {}
            Event::Given(given) => self.fair.extend(self.behind.take(given.claim, now)),
            Event::Left { claim } if self.behind.forget(claim) => {
                orders.push(Order::Forget(claim));
            }
            Event::Left { claim } => self.fair.extend(self.behind.take(claim, now)),
            // Whoever is told nothing has to ask for itself.
            Event::Deafened if !scene.ears.told => self.recall(Fair::leads),
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

    /// Nobody rests any more: these claims are to ask again, and those behind, unless they do already.
    fn recall(&mut self, whom: impl Fn(&Fair) -> bool) {
        self.behind.recall();
        let mut at = 0;
        while let Some(fair) = self.fair.get_mut(at) {
            at += 1;
            if whom(fair) {
                fair.stands = false;
                if let Doing::Waiting { .. } | Doing::Offline = fair.doing {
                    self.behind.ask_again(fair);
                    at -= 1;
                    self.fair.remove(at);
                }
            }
        }
    }

    /// Those who have asked are called up, to leave the line; of the others nothing is to be undone.
    fn turn_all_away(&mut self, why: Why, now: Instant, orders: &mut Vec<Order>) {
        self.behind.recall();
        while let Some(fair) = self.behind.asks_again(now) {
            self.fair.push_back(fair);
        }
        while let Some((waiter, _)) = self.behind.comes() {
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

    /// The server answered a question of a claim, asked then, that was taken to stand in line if it `stood`, and would have been told of a
    /// grant if it `heard`.
    pub(super) fn answered(
        &mut self,
        claim: Claim,
        (asked, (stood, heard)): (Option<Clocks>, (bool, bool)),
        said: Said,
    ) {
        let doubt = match said {
            Said::Placed { at_us, anew, .. } => {
                let last = self.next_arrival();
                let Some(at) = self.fair_at(claim) else { return };
                let Some(fair) = self.fair.get_mut(at).filter(|fair| fair.stands) else { return };
                if anew && !defect!(60) {
                    fair.arrival = last;
                }
                let forgotten = self.behind.note_time(asked, at_us);
                forgotten && !defect!(55) || stood && anew && !defect!(56)
            }
            Said::Taken { found: Found::Ours, .. } => {
                self.behind.untold |= heard;
                stood || heard
            }
            Said::Taken { found: Found::Free, .. } => stood && !defect!(58),
            // Whether it was carried out is not known, nor what the answer would have told.
            Said::Failed(_) => stood,
            _ => false,
        };
        if doubt {
            self.recall(|fair| fair.leads() && fair.claim() != claim);
        }
    }

    /// Sees to it that somebody asks while others rest, and that those ask who are to.
    pub(super) fn call_next_up(&mut self, scene: &Scene, orders: &mut Vec<Order>) {
        self.let_rest(scene, orders);
        while scene.online && self.behind.is_waiting() && !self.is_crowded(scene) {
            if let Some(mut fair) = self.behind.asks_again(scene.now) {
                fair.unsettled(scene, orders);
                self.fair.push_back(fair);
            } else if let Some(waiter) = self.behind.comes() {
                let heard = self.hears_of_grants();
                self.fair.push_back(Fair::begin(waiter, heard, scene, orders));
            }
        }
        self.behind.settle();
        if self.behind.is_empty() && !self.fair.iter().any(Fair::leads) {
            self.behind.tidy();
        }
        if self.fair.is_empty() && self.behind.is_empty() {
            self.behind = super::Behind::default();
        }
    }

    /// Whoever stands in line rests behind the foremost of those who do. While there is no connection, nobody takes over.
    fn let_rest(&mut self, scene: &Scene, orders: &mut Vec<Order>) {
        let leaders = self.fair.iter().filter(|fair| fair.leads());
        if let Some(foremost) = leaders.min_by_key(|fair| fair.arrival) {
            if let Doing::Waiting { until } = foremost.doing {
                self.behind.note_turn(until);
            }
            let (first, behind) = (foremost.arrival, &mut self.behind);
            if scene.ears.told {
                self.fair.retain(|fair| {
                    let waits = matches!(fair.doing, Doing::Waiting { .. });
                    let rests = waits && fair.leads() && fair.arrival > first;
                    if rests {
                        behind.rest(fair);
                    }
                    !rests
                });
            }
        } else if scene.online && !defect!(54) {
            if let Some(mut fair) = self.behind.takes_over(scene.now) {
                fair.tick(scene, orders);
                self.fair.push_front(fair);
            }
        }
    }

    /// Whether grants of this gate are listened for already.
    pub(super) fn hears_of_grants(&self) -> bool {
        self.heeds.is_some() || self.fair.iter().any(|fair| fair.listens)
    }
}
