//! The fair claims of a gate: each of them is told what concerns it.

use super::{ALIVE, Doing, Fair, Next};
use crate::lock::error::LostCause;
use crate::lock::gate::Gate;
use crate::lock::gate::head::Waiter;
use crate::lock::gate::held::Held;
use crate::lock::gate::leaving::{Leaving, Remains};
use crate::lock::gate::line::earlier;
use crate::lock::gate::words::{Claim, Errand, Event, Order, Patience, Scene, Why};
use crate::seam::after;
use std::time::Duration;
use tokio::time::Instant;

/// For how long grants are listened for after the last claim that did.
const HEED: Duration = Duration::from_secs(1);

impl Gate {
    /// Does what concerns fair claims. Gives the event back if it may concern others.
    pub(crate) fn fair_on(
        &mut self,
        event: Event,
        scene: &Scene,
        orders: &mut Vec<Order>,
    ) -> Option<Event> {
        let heard = self.fair_scene(scene);
        self.call_up_for(event, &heard, orders);
        let event = self.fair_event(event, &heard, orders);
        self.call_next_up(&self.fair_scene(scene), orders);
        event
    }

    fn fair_event(
        &mut self,
        event: Event,
        scene: &Scene,
        orders: &mut Vec<Order>,
    ) -> Option<Event> {
        match event {
            // What is taken from another hold is taken whoever stands in line.
            Event::Came { patience: Patience::Seize(_), .. } => return Some(event),
            Event::Came { claim, terms, patience } if terms.fair => {
                let waiter = Waiter { claim, terms, patience };
                let arrival = self.next_arrival();
                let waits = !patience.is_over(scene.now);
                if waits && (self.behind.is_waiting() || self.is_crowded(scene)) {
                    self.behind.come(waiter, arrival);
                } else {
                    let heard = self.hears_of_grants();
                    self.fair.push_back(Fair::begin((waiter, arrival), heard, scene, orders));
                }
                return None;
            }
            Event::Given(given) => {
                let heard = scene.clocks;
                let since = heard.and_then(|clocks| self.behind.since(given.at_us, clocks));
                match self.fair_at(given.claim) {
                    Some(at) => self.fair.get_mut(at)?.given(given, since, scene, orders),
                    // Has gone, and a late command has brought it back into the line.
                    None => {
                        let mut leaving = self.leaving.iter_mut();
                        leaving.find(|leaving| leaving.claim == given.claim)?.again(scene, orders);
                    }
                }
                return None;
            }
            Event::Tick if self.heeds.is_some_and(|until| until <= scene.now) => self.heeds = None,
            _ => {}
        }
        match event {
            _ if self.fair.is_empty() => {}
            Event::Left { claim } | Event::Released { claim } | Event::Declined { claim } => {
                let Some(at) = self.fair_at(claim) else { return Some(event) };
                let mut fair = self.take_fair(at, scene)?;
                if let (Event::Declined { .. }, Doing::Held(held)) = (event, &mut fair.doing) {
                    // There is no work whose shortest time counts.
                    held.forgo_shortest(scene.now);
                }
                self.vacate_fair(&fair, scene, orders);
                return None;
            }
            Event::Said { errand, said } => {
                let Some(at) = errand.asker().and_then(|claim| self.fair_at(claim)) else {
                    return Some(event);
                };
                if self.fair.get(at)?.expects(errand) {
                    let fair = self.fair.get_mut(at)?;
                    let before = (fair.stands, fair.hears);
                    let next = fair.said(said, scene, orders);
                    self.fair_next(at, next, scene, orders);
                    if let Errand::Queue { claim, .. } = errand {
                        self.answered(claim, (scene.clocks, before), said);
                    }
                }
                return None;
            }
            _ => self.fair_all(event, scene, orders),
        }
        Some(event)
    }

    /// Does what concerns all fair claims.
    fn fair_all(&mut self, event: Event, scene: &Scene, orders: &mut Vec<Order>) {
        match event {
            Event::Changed => self.fair_each(scene, orders, |fair, scene, orders| {
                if let Doing::Held(held) = &mut fair.doing {
                    held.touched(scene, orders);
                }
                Next::Stays
            }),
            Event::Flushed => self.fair_each(scene, orders, |fair, scene, orders| {
                fair.unsettled(scene, orders);
                Next::Stays
            }),
            Event::Deafened => self.fair_each(scene, orders, |fair, scene, orders| {
                fair.deafened(scene, orders);
                Next::Stays
            }),
            Event::Opened { fenced, same } => {
                self.fair_each(scene, orders, |fair, scene, orders| {
                    fair.opened(fenced, same, scene, orders);
                    Next::Stays
                });
            }
            Event::Refused => self.fair_each(scene, orders, |fair, _, _| match fair.doing {
                Doing::Held(_) => Next::Stays,
                _ => Next::Refused(Why::Failed),
            }),
            Event::Closing | Event::Closed => {
                self.fair_each(scene, orders, |fair, _, _| match fair.doing {
                    Doing::Held(_) => Next::Lost(LostCause::Closed),
                    _ => Next::Refused(Why::Closed),
                });
                self.heeds = None; // nobody will come
            }
            Event::Tick => {
                self.fair_each(scene, orders, |fair, scene, orders| fair.tick(scene, orders));
            }
            _ => {}
        }
    }

    /// Fair claims whose time is over lose the lock, before anything else happens to them.
    pub(crate) fn fair_over(&mut self, scene: &Scene, orders: &mut Vec<Order>) {
        self.fair_each(scene, orders, |fair, scene, _| fair.overdue(scene.now));
    }

    pub(crate) fn fair_due(&self) -> Option<Instant> {
        let waiting = self.fair.iter().filter_map(Fair::due).min();
        let waiting = earlier(waiting, self.behind.gives_up());
        earlier(waiting, self.heeds.filter(|_| self.fair.is_empty()))
    }

    pub(crate) fn fair_at(&self, claim: Claim) -> Option<usize> {
        self.fair.iter().position(|fair| fair.claim() == claim)
    }

    fn fair_each(
        &mut self,
        scene: &Scene,
        orders: &mut Vec<Order>,
        mut act: impl FnMut(&mut Fair, &Scene, &mut Vec<Order>) -> Next,
    ) {
        let mut at = 0;
        while let Some(fair) = self.fair.get_mut(at) {
            let next = act(fair, scene, orders);
            if self.fair_next(at, next, scene, orders) {
                at += 1;
            }
        }
    }

    /// Whether the claim stays in its place.
    fn fair_next(&mut self, at: usize, next: Next, scene: &Scene, orders: &mut Vec<Order>) -> bool {
        match next {
            Next::Stays => return true,
            Next::Refused(why) => {
                let Some(fair) = self.take_fair(at, scene) else { return false };
                orders.push(Order::Refuse { claim: fair.claim(), why });
                self.vacate_fair(&fair, scene, orders);
            }
            Next::Lost(cause) => {
                let Some(fair) = self.take_fair(at, scene) else { return false };
                let claim = fair.claim();
                orders.push(Order::Lose { claim, cause });
                let lingers = fair.held().is_some_and(Held::lingers);
                match cause {
                    // The work may go on for a while: nobody else is to begin before the delay is over.
                    LostCause::Expired | LostCause::Unconfirmed | LostCause::MaxHold if lingers => {
                        orders.push(Order::Forget(claim));
                    }
                    // Even if the server said that the key is not ours: the line may have ended with us, and is tidied up.
                    _ => self.vacate_fair(&fair, scene, orders),
                }
            }
        }
        false
    }

    /// Removes a claim. The next one may come soon: what it would have to subscribe to is listened to for a while.
    fn take_fair(&mut self, at: usize, scene: &Scene) -> Option<Fair> {
        let fair = self.fair.remove(at)?;
        if fair.listens {
            self.heeds = Some(after(scene.now, HEED));
        }
        Some(fair)
    }

    /// Sees to it that nothing is left of a claim, in the line or in the key.
    fn vacate_fair(&mut self, fair: &Fair, scene: &Scene, orders: &mut Vec<Order>) {
        if let Doing::Held(held) = &fair.doing {
            let remains = held.remains(&self.rivals, scene.now);
            return self.leaving.push(Leaving::begin(remains, scene, orders));
        }
        let claim = fair.claim();
        if !fair.asked || defect!(50) {
            return orders.push(Order::Forget(claim));
        }
        // The line remembers a place for as long as its owner counts as alive, however short the lease it waits for.
        let lease = fair.waiter.terms.lease;
        let lease = defect!(51, lease, lease.no_shorter_than(ALIVE));
        let remains = Remains {
            claim,
            lease,
            fair: true,
            aloud: false,
            waits: false,
            keep: None,
            surely_over: lease.surely_over(scene.now),
            unsure: true,
            haunted: fair.haunted,
        };
        self.leaving.push(Leaving::begin(remains, scene, orders));
    }
}
