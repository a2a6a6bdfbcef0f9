//! A claim that has its gate to itself: it asks, has the lock, and releases it, and nothing else happens.
//!
//! Nearly all holds are like that from beginning to end, so such a gate is kept folded: as its claim, and when what happened to it.
//! That is all there is to know: where anything else happens, a gate that was told the same goes on from there.

use crate::lock::fence::FencingToken;
use crate::lock::gate::Gate;
use crate::lock::gate::head::{Waiter, gives_up_at};
use crate::lock::gate::words::{
    Claim, Errand, Event, Fence, Order, Patience, Released, Said, Scene, Term, Terms,
};
use crate::lock::options::{Renewal, Wakeup};
use std::time::Duration;
use tokio::time::Instant;

/// A claim that has its gate to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Alone {
    waiter: Waiter,
    asked: Instant,
    /// Until when the lock is held, if it is ours by that question.
    pub(crate) deadline: Instant,
    doing: Doing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Doing {
    Asking,
    Holding { granted: Granted },
    Releasing { granted: Granted, released: Instant },
}

/// When it was told that it has the lock, and which fence it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Granted {
    at: Instant,
    fence: Option<FencingToken>,
}

impl Alone {
    /// When time alone changes something.
    #[inline]
    pub(crate) fn due(&self) -> Option<Instant> {
        let Terms { lease, renewal, .. } = self.waiter.terms;
        match self.doing {
            Doing::Asking => gives_up_at(self.waiter.patience, Some(self.asked)),
            Doing::Holding { .. } if renewal == Renewal::Auto => Some(lease.renew_at(self.asked)),
            Doing::Holding { .. } => Some(self.deadline),
            Doing::Releasing { released, .. } => Some(lease.surely_over(released)),
        }
    }

    /// Who holds the lock, and until when for certain.
    pub(crate) fn holder(&self) -> Option<(Claim, Instant)> {
        let Waiter { claim, terms, .. } = self.waiter;
        let holds = matches!(self.doing, Doing::Holding { .. });
        holds.then(|| (claim, terms.lease.surely_over(self.asked)))
    }

    /// Whether its release is still to be answered.
    #[inline]
    pub(crate) fn is_leaving(&self) -> bool {
        matches!(self.doing, Doing::Releasing { .. })
    }

    fn question(&self) -> Errand {
        let Waiter { claim, terms, .. } = self.waiter;
        let (sent, lease, fence) = (self.asked, terms.lease, terms.first_fence());
        Errand::Ask { claim, sent, lease, watch: false, fence }
    }
}

impl Terms {
    /// How the first attempt of a claim is to get its fence.
    pub(crate) fn first_fence(&self) -> Fence {
        if self.fenced { Fence::Along } else { Fence::No }
    }

    /// Whether a hold on these terms is as simple as that, at least until it is renewed.
    pub(crate) fn are_plain(&self) -> bool {
        let special = self.fair || self.watch_at_once;
        let shortest = self.at_least > Duration::ZERO;
        let longest = self.max_hold.is_some_and(|most| most <= self.lease.length());
        !special && !shortest && !longest
    }
}

impl Gate {
    /// Takes in what happens to a claim that has the gate to itself. False if that is not so, or not any more.
    pub(crate) fn alone_on(
        &mut self,
        event: &Event,
        scene: &Scene,
        orders: &mut Vec<Order>,
    ) -> bool {
        let &Scene { now, online, .. } = scene;
        let done = match *event {
            Event::Came { claim, ref terms, patience } => {
                let waits_its_turn = !matches!(patience, Patience::Seize(_));
                let alone = terms.are_plain() && waits_its_turn && self.is_vacant();
                (online && alone).then(|| {
                    let alone = self.comes_alone(claim, (terms, patience), now);
                    orders.push(Order::Send(alone.question()));
                })
            }
            Event::Said {
                errand: Errand::Ask { claim, sent, .. },
                said: said @ (Said::Fresh | Said::Fenced(_)),
            } if self.alone.as_ref().is_some_and(|alone| alone.asked == sent) => {
                let fence = said.fence();
                self.taken_alone(claim, fence, now).map(|deadline| {
                    let term = Term { sent, deadline };
                    orders.push(Order::Grant { claim, term, fence });
                })
            }
            Event::Released { claim } => self.released_alone(claim, now, online).map(|errand| {
                orders.push(Order::Send(errand));
            }),
            Event::Said {
                errand: Errand::Release { claim, .. },
                said: Said::Ours(_) | Said::Freed { told: 0 },
            } => self.freed_alone(claim).map(|released| {
                orders.push(Order::Report { claim, released });
                orders.push(Order::Forget(claim));
            }),
            _ => None,
        };
        if done.is_none() {
            self.unfold(scene);
        }
        done.is_some()
    }

    /// Somebody comes to the gate while it is vacant, on plain terms, and asks.
    #[inline]
    pub(crate) fn comes_alone(
        &mut self,
        claim: Claim,
        (terms, patience): (&Terms, Patience),
        now: Instant,
    ) -> &Alone {
        debug_assert!(terms.are_plain() && self.is_vacant());
        let deadline = terms.lease.deadline(now);
        let waiter = Waiter { claim, terms: *terms, patience };
        self.alone.insert(Alone { waiter, asked: now, deadline, doing: Doing::Asking })
    }

    /// The key is the claim's, with this fence: until when it has the lock.
    #[inline]
    pub(crate) fn taken_alone(
        &mut self,
        claim: Claim,
        fence: Option<FencingToken>,
        now: Instant,
    ) -> Option<Instant> {
        let alone = self.alone.as_mut()?;
        let (Waiter { claim: mine, terms, .. }, deadline) = (&alone.waiter, alone.deadline);
        let asked = matches!(alone.doing, Doing::Asking) && claim == *mine;
        if !asked || now >= deadline || fence.is_some() != terms.fenced {
            return None;
        }
        alone.doing = Doing::Holding { granted: Granted { at: now, fence } };
        Some(defect!(26, terms.lease.deadline(now), deadline))
    }

    /// The holder lets go: the errand that frees the key.
    #[inline]
    pub(crate) fn released_alone(
        &mut self,
        claim: Claim,
        now: Instant,
        online: bool,
    ) -> Option<Errand> {
        let alone = self.alone.as_mut()?;
        let Doing::Holding { granted } = alone.doing else { return None };
        let Waiter { claim: mine, terms: Terms { wakeup, .. }, .. } = alone.waiter;
        if claim != mine || !online || now >= alone.deadline || defect!(23) {
            return None;
        }
        alone.doing = Doing::Releasing { granted, released: now };
        let aloud = wakeup == Wakeup::Announce;
        Some(Errand::Release { claim, in_full: false, aloud, waits: false })
    }

    /// The key was freed: what becomes of the release, after which there is nothing more to do.
    #[inline]
    pub(crate) fn freed_alone(&mut self, claim: Claim) -> Option<Released> {
        let alone = self.alone.as_ref()?;
        if !alone.is_leaving() || claim != alone.waiter.claim {
            return None;
        }
        self.alone = None;
        Some(Released::Yes)
    }

    /// Tells what has happened so far once more, to the gate that will decide from now on.
    #[cold]
    pub(super) fn unfold(&mut self, scene: &Scene) {
        let Some(alone) = self.alone.take() else { return };
        // What this leads to has been done.
        let mut done = Vec::new();
        let then = |now| Scene { now, online: true, ..*scene };
        let claim = alone.waiter.claim;
        self.came(alone.waiter, &then(alone.asked), &mut done);
        if let Doing::Holding { granted } | Doing::Releasing { granted, .. } = alone.doing {
            let said = granted.fence.map_or(Said::Fresh, Said::Fenced);
            self.said(alone.question(), said, &then(granted.at), &mut done);
        }
        if let Doing::Releasing { released, .. } = alone.doing {
            self.released(claim, &then(released), &mut done);
        }
    }
}
