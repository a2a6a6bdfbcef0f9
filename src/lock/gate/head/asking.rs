//! What a head asks the server, and which answer is to which question.

use super::{Doing, Head};
use crate::lock::gate::held::Granted;
use crate::lock::gate::words::{Errand, Fence, Order, Patience, Scene};

impl Head {
    /// A head that was given the key, and heard of that when its lease was over.
    pub(crate) fn late(granted: &Granted, scene: &Scene, orders: &mut Vec<Order>) -> Self {
        let mut head = Self::new(granted.to, Doing::Offline);
        (head.doubt, head.haunted, head.late) = (Some(granted.sent), granted.haunted, true);
        head.ask(scene, orders);
        head
    }

    /// Whether an answer came too late to this question or one before.
    pub(crate) fn is_late(&self) -> bool {
        self.late
    }

    pub(super) fn ask(&mut self, scene: &Scene, orders: &mut Vec<Order>) {
        self.ask_for(self.fence(), scene, orders);
    }

    pub(super) fn ask_for(&mut self, fence: Fence, scene: &Scene, orders: &mut Vec<Order>) {
        if !scene.online {
            self.doing = Doing::Offline;
            return;
        }
        if let Patience::Seize(_) = self.waiter.patience {
            return self.take(false, scene, orders);
        }
        let (claim, sent) = (self.waiter.claim, scene.now);
        (self.news, self.glances) = (false, false);
        self.doing = Doing::Asking { sent };
        let (lease, watch) = (self.lease(), self.waiter.terms.watch_at_once);
        orders.push(Order::Send(Errand::Ask { claim, sent, lease, watch, fence }));
    }

    pub(super) fn look(
        &mut self,
        listen: bool,
        dated: Option<u64>,
        scene: &Scene,
        orders: &mut Vec<Order>,
    ) {
        let (claim, sent) = (self.waiter.claim, scene.now);
        self.doing = Doing::Looking { sent };
        orders.push(Order::Send(Errand::Look { claim, sent, listen, dated }));
    }

    /// Looks whether the key is still there, before it asks for it.
    pub(super) fn glance(&mut self, scene: &Scene, orders: &mut Vec<Order>) {
        self.glances = true;
        self.look(false, None, scene, orders);
    }

    /// Takes the key from a holder that is not to be waited for any longer.
    pub(super) fn take(&mut self, in_full: bool, scene: &Scene, orders: &mut Vec<Order>) {
        let (claim, sent, lease) = (self.waiter.claim, scene.now, self.lease());
        self.doing = Doing::Asking { sent };
        orders.push(Order::Send(Errand::Take { claim, sent, lease, in_full }));
    }

    pub(super) fn confirm(&mut self, in_full: bool, scene: &Scene, orders: &mut Vec<Order>) {
        let (claim, sent, lease) = (self.waiter.claim, scene.now, self.waiter.terms.lease);
        self.doing = Doing::Confirming { sent };
        orders.push(Order::Send(Errand::Renew { claim, sent, lease, in_full }));
    }

    /// Whether an answer is the one that is waited for.
    pub(crate) fn expects(&self, errand: Errand) -> bool {
        match (self.doing, errand) {
            (
                Doing::Asking { sent: mine },
                Errand::Ask { claim, sent, .. } | Errand::Take { claim, sent, .. },
            )
            | (Doing::Looking { sent: mine }, Errand::Look { claim, sent, .. })
            | (Doing::Confirming { sent: mine }, Errand::Renew { claim, sent, .. })
            | (Doing::Minting { sent: mine, .. }, Errand::Mint { claim, sent, .. }) => {
                mine == sent && claim == self.waiter.claim
            }
            _ => false,
        }
    }
}
