//! Somebody else has the key: how to learn when that changes, and when to ask again by oneself.

use super::{Head, Step};
use crate::lock::gate::rivals::Rivals;
use crate::lock::gate::words::{Errand, Left, Order, Scene, Why};
use crate::lock::options::Wakeup;
use crate::seam::after;
use std::time::Duration;
use tokio::time::Instant;

/// What a server rounds away from a lease that it tells in milliseconds.
const ROUNDING: Duration = Duration::from_millis(1);
/// How long a waiter relies on being told before it asks by itself.
const NET: Duration = Duration::from_secs(15);
/// The same where it does not know when the holder's lease is over.
const SHORT_NET: Duration = Duration::from_secs(1);
/// Holders renew after such a part of their lease, and are late or early by no more than such another.
const RENEWED: (u32, u32) = (3, 100);

impl Head {
    /// Somebody else has the lock.
    pub(super) fn held(
        &mut self,
        left: Left,
        rivals: &mut Rivals,
        scene: &Scene,
        orders: &mut Vec<Order>,
    ) -> Step {
        if let Left::Undated(until_ms) = left {
            self.look(false, Some(until_ms), scene, orders);
            return Step::Stay;
        }
        if self.waiter.patience.is_single() {
            return Step::Refused(Why::Held);
        }
        let over = self.waiter.patience.is_over(scene.now);
        let mode = self.waiter.terms.mode(scene.ears);
        let listen = match mode {
            Wakeup::Announce => true,
            Wakeup::Auto => rivals.are_about(scene.now),
            _ => false,
        } && !rivals.listening;
        if let Wakeup::Auto | Wakeup::Announce = mode {
            rivals.met(scene.now);
        }
        if self.told && mode != Wakeup::Track && !over {
            match std::mem::take(&mut self.news) {
                true => self.ask(scene, orders),
                false => self.rest(after(scene.now, SHORT_NET)),
            }
            if rivals.lost(scene.now) {
                orders.push(Order::Send(Errand::Plead { claim: self.waiter.claim }));
            }
            return Step::Stay;
        }
        if left == Left::Unasked && !(over && self.looked) || listen {
            rivals.listening |= listen;
            self.look(listen, None, scene, orders);
            return Step::Stay;
        }
        self.seen(left, rivals.listening, scene, orders)
    }

    /// It is known what is left of the holder's lease.
    pub(super) fn seen(
        &mut self,
        left: Left,
        listening: bool,
        scene: &Scene,
        orders: &mut Vec<Order>,
    ) -> Step {
        self.looked = true;
        let glanced = std::mem::take(&mut self.glances);
        if left == Left::Dated(Duration::ZERO) {
            self.take(false, scene, orders);
            return Step::Stay;
        }
        if self.waiter.patience.is_over(scene.now) && !glanced {
            let single = self.waiter.patience.is_single();
            return Step::Refused(if single { Why::Held } else { Why::TimedOut });
        }
        let last = self.waiter.patience.is_over(scene.now);
        if left == Left::Nothing || last || std::mem::take(&mut self.news) {
            self.ask(scene, orders);
            return Step::Stay;
        }
        let pushed = match self.waiter.terms.mode(scene.ears) {
            Wakeup::Auto | Wakeup::Track => scene.ears.tracks,
            // Who does not know that somebody listens is silent, unless that was agreed upon.
            Wakeup::Announce => {
                let agreed = self.waiter.terms.wakeup == Wakeup::Announce;
                agreed && listening && matches!(left, Left::For(_))
            }
            Wakeup::Poll => false,
        };
        self.renewal = match left {
            // A lease that has just begun, most likely: one that is prolonged again when a part of it is over.
            Left::For(lease) if self.changed && pushed => {
                Some((after(scene.now, lease / RENEWED.0), lease / RENEWED.1))
            }
            _ => None,
        };
        let rest = if pushed { NET } else { self.back_off(scene) };
        let over = match left {
            Left::For(left) | Left::Dated(left) => after(scene.now, left.saturating_add(ROUNDING)),
            _ => after(scene.now, rest),
        };
        self.rest(after(scene.now, rest).min(over));
        Step::Stay
    }

    /// Whether a change of the key is most likely its holder's renewal. It costs one command to see that it is, instead of two to be
    /// refused; and one round trip more to take the lock if it was freed at that very moment.
    pub(super) fn is_renewal(&self, now: Instant) -> bool {
        let Some((due, within)) = self.renewal else { return false };
        now.saturating_duration_since(due) <= within && due.saturating_duration_since(now) <= within
    }
}
