//! The fence of a hold that is about to begin: minted along with the lock where one command does both, and right behind it
//! where not. No grant leaves here without the fence that its caller asked for.

use super::{Doing, Head, Step, Waiter};
use crate::lock::fence::FencingToken;
use crate::lock::gate::words::{Errand, Failure, Fence, Order, Said, Scene};
use std::time::Duration;
use tokio::time::Instant;

impl Said {
    /// The fence that came with it.
    pub(crate) fn fence(self) -> Option<FencingToken> {
        match self {
            Self::Fenced(fence) => Some(fence),
            _ => None,
        }
    }
}

impl Head {
    /// A head that has the key, by a command sent then, and lacks the fence.
    pub(crate) fn minting(
        waiter: Waiter,
        taken: Instant,
        scene: &Scene,
        orders: &mut Vec<Order>,
    ) -> Self {
        let mut head = Self::new(waiter, Doing::Offline);
        head.mint(None, taken, scene, orders);
        head
    }

    /// How the next attempt is to get its fence.
    pub(super) fn fence(&self) -> Fence {
        match (self.waiter.terms.fenced, self.holder) {
            (false, _) => Fence::No,
            // Nobody else has been seen with the key.
            (true, 0) => Fence::Along,
            (true, _) => Fence::Cheaply,
        }
    }

    /// The key is ours, by a command sent then.
    pub(super) fn taken(&mut self, sent: Instant, scene: &Scene, orders: &mut Vec<Order>) -> Step {
        if !self.waiter.terms.fenced {
            return Step::Granted { sent, fence: None };
        }
        self.mint(None, sent, scene, orders);
        Step::Stay
    }

    /// `begin` is where fences begin if there were none before.
    fn mint(
        &mut self,
        begin: Option<Duration>,
        taken: Instant,
        scene: &Scene,
        orders: &mut Vec<Order>,
    ) {
        let (claim, sent) = (self.waiter.claim, scene.now);
        self.doing = Doing::Minting { taken, sent };
        orders.push(Order::Send(Errand::Mint { claim, sent, begin }));
    }

    /// The server answered whether there is a fence.
    pub(super) fn minted(
        &mut self,
        said: Said,
        taken: Instant,
        scene: &Scene,
        orders: &mut Vec<Order>,
    ) -> Step {
        match said {
            Said::Fenced(fence) => {
                let sent = defect!(46, scene.now, taken);
                return Step::Granted { sent, fence: Some(fence) };
            }
            Said::Unbegun { now } => self.mint(Some(now), taken, scene, orders),
            Said::Rephrase => self.mint(None, taken, scene, orders),
            Said::Gone | Said::NotOurs => {
                self.doubt = None;
                self.ask(scene, orders);
            }
            said => {
                // Whatever became of the fence, the key is still ours.
                self.doubt = Some(taken);
                let failure = match said {
                    Said::Failed(failure) => failure,
                    _ => Failure::ForGood { may_have_run: true },
                };
                return self.failed(failure, scene);
            }
        }
        Step::Stay
    }
}
