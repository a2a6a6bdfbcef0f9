//! How a claim comes to its lock: by an answer, or by a grant that is told.

use super::{Doing, Fair, Given, Next, confirm_within};
use crate::lock::fence::FencingToken;
use crate::lock::gate::held::{Granted, Held};
use crate::lock::gate::words::{Order, Scene, Why};
use tokio::time::Instant;

impl Fair {
    /// The lock is the claim's, by a command sent then.
    pub(super) fn granted(
        &mut self,
        sent: Instant,
        fence: Option<FencingToken>,
        scene: &Scene,
        orders: &mut Vec<Order>,
    ) -> Next {
        let (to, haunted, late) = (self.waiter, self.haunted, self.late);
        let granted = Granted { to, haunted, sent, fence, late };
        match Held::begin(&granted, scene) {
            Some(mut held) => {
                orders.push(Order::Grant { claim: self.claim(), term: held.term(sent), fence });
                held.watch_at_once(scene, orders);
                self.doing = Doing::Held(Box::new(held));
                Next::Stays
            }
            None if granted.is_worth_another(scene.now) => {
                (self.stands, self.hears, self.late) = (false, false, true);
                self.ask(false, scene, orders);
                Next::Stays
            }
            None => {
                Next::Refused(Why::TooShort { took: scene.now.saturating_duration_since(sent) })
            }
        }
    }

    /// The server says that it has given us the lock, at a time no earlier than `since`.
    pub(super) fn given(
        &mut self,
        Given { fence, .. }: Given,
        since: Option<Instant>,
        scene: &Scene,
        orders: &mut Vec<Order>,
    ) {
        (self.stands, self.hears) = (false, false);
        let Doing::Waiting { .. } = self.doing else {
            return; // what was asked meanwhile is answered behind it
        };
        let lease = confirm_within(self.waiter.terms.lease);
        if let Some(since) = since {
            let (to, haunted, sent) = (self.waiter, self.haunted, since);
            let granted = Granted { to, haunted, sent, fence, late: false };
            if let Some(mut held) = Held::provisional(&granted, lease, scene) {
                let term = held.term(since);
                orders.push(Order::Grant { claim: self.claim(), term, fence });
                held.watch_at_once(scene, orders);
                self.doing = Doing::Held(Box::new(held));
                return;
            }
        }
        self.confirm(fence, false, scene, orders);
    }
}
