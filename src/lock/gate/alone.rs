//! A claim that has its gate to itself: it asks, has the lock, and releases it, and nothing else happens.
//!
//! Nearly all holds are like that from beginning to end, so such a gate is kept folded: as its claim, and when what happened to it.
//! That is all there is to know: where anything else happens, a gate that was told the same goes on from there.

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
    doing: Doing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Doing {
    Asking,
    Holding { granted: Instant },
    Releasing { granted: Instant, released: Instant },
}

impl Alone {
    /// When time alone changes something.
    pub(crate) fn due(&self) -> Option<Instant> {
        let Terms { lease, renewal, .. } = self.waiter.terms;
        match self.doing {
            Doing::Asking => gives_up_at(self.waiter.patience, Some(self.asked)),
            Doing::Holding { .. } if renewal == Renewal::Auto => Some(lease.renew_at(self.asked)),
            Doing::Holding { .. } => Some(lease.deadline(self.asked)),
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
    pub(crate) fn is_leaving(&self) -> bool {
        matches!(self.doing, Doing::Releasing { .. })
    }

    fn question(&self) -> Errand {
        let Waiter { claim, terms, .. } = self.waiter;
        Errand::Ask { claim, sent: self.asked, lease: terms.lease, watch: false, fence: Fence::No }
    }
}

/// Whether a hold on these terms is as simple as that, at least until it is renewed.
fn is_plain(terms: &Terms, patience: Patience) -> bool {
    let special = terms.fair || terms.fenced || terms.watch_at_once;
    let shortest = terms.at_least > Duration::ZERO;
    let longest = terms.max_hold.is_some_and(|most| most <= terms.lease.length());
    !special && !shortest && !longest && !matches!(patience, Patience::Seize(_))
}

impl Gate {
    /// Takes in what happens to a claim that has the gate to itself. False if that is not so, or not any more.
    pub(crate) fn alone_on(
        &mut self,
        event: &Event,
        scene: &Scene,
        orders: &mut Vec<Order>,
    ) -> bool {
        let Some(alone) = &mut self.alone else { return self.begin_alone(event, scene, orders) };
        let (now, mine, asked) = (scene.now, alone.waiter.claim, alone.asked);
        let lease = alone.waiter.terms.lease;
        match (alone.doing, event) {
            (
                Doing::Asking,
                &Event::Said { errand: Errand::Ask { claim, sent, .. }, said: Said::Fresh },
            ) if claim == mine && sent == asked && now < lease.deadline(asked) => {
                let sent = defect!(26, now, asked);
                let term = Term { sent, deadline: lease.deadline(sent) };
                orders.push(Order::Grant { claim, term, fence: None });
                alone.doing = Doing::Holding { granted: now };
            }
            (Doing::Holding { granted }, &Event::Released { claim })
                if claim == mine && scene.online && now < lease.deadline(asked) && !defect!(23) =>
            {
                let aloud = alone.waiter.terms.wakeup == Wakeup::Announce;
                let (in_full, waits) = (false, false);
                orders.push(Order::Send(Errand::Release { claim, in_full, aloud, waits }));
                alone.doing = Doing::Releasing { granted, released: now };
            }
            (
                Doing::Releasing { .. },
                &Event::Said {
                    errand: Errand::Release { claim, .. },
                    said: Said::Ours(_) | Said::Freed { told: 0 },
                },
            ) if claim == mine => {
                orders.push(Order::Report { claim, released: Released::Yes });
                orders.push(Order::Forget(claim));
                self.alone = None;
            }
            _ => {
                self.unfold(scene);
                return false;
            }
        }
        true
    }

    /// Somebody who comes to a gate that nobody uses may have it to itself.
    fn begin_alone(&mut self, event: &Event, scene: &Scene, orders: &mut Vec<Order>) -> bool {
        let Event::Came { claim, terms, patience } = event else { return false };
        if !(scene.online && is_plain(terms, *patience) && self.is_vacant()) {
            return false;
        }
        let waiter = Waiter { claim: *claim, terms: *terms, patience: *patience };
        let alone = self.alone.insert(Alone { waiter, asked: scene.now, doing: Doing::Asking });
        orders.push(Order::Send(alone.question()));
        true
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
            self.said(alone.question(), Said::Fresh, &then(granted), &mut done);
        }
        if let Doing::Releasing { released, .. } = alone.doing {
            self.released(claim, &then(released), &mut done);
        }
    }
}
