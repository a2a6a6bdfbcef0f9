//! A lock that is held: when to renew it, and when and why it is over.
//!
//! Unknown is not lost: a renewal without an answer is tried again until the hold's own deadline, which needs no network. What
//! is over stays over, even if the server would still renew it: a process that slept through its deadline must not
//! find itself holding again.

use crate::lock::error::LostCause;
use crate::lock::fence::FencingToken;
use crate::lock::gate::head::Waiter;
use crate::lock::gate::leaving::Remains;
use crate::lock::gate::rivals::Rivals;
use crate::lock::gate::words::{Claim, Errand, Left, Order, Said, Scene, Term, Terms};
use crate::lock::lease::Lease;
use crate::lock::options::Renewal;
use crate::seam::after;
use std::time::Duration;
use tokio::time::Instant;

/// How early a renewal may leave to go along with others, as a part of its lease and at most.
const EARLY: (u32, Duration) = (100, Duration::from_millis(50));

/// How long a hold that the server began is left unconfirmed, as a part of what it is good for and at most: whoever releases it sooner
/// has nothing to confirm.
const UNCONFIRMED: (u32, Duration) = (8, Duration::from_millis(10));

/// What the server gave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Granted {
    pub(crate) to: Waiter,
    /// Until when a late command may bring the value once more.
    pub(crate) haunted: Option<Instant>,
    /// Before the command was sent.
    pub(crate) sent: Instant,
    pub(crate) fence: Option<FencingToken>,
    /// An answer to the same question had come too late before.
    pub(crate) late: bool,
}

impl Granted {
    /// Whether to ask once more where this came too late: it may be this process that has stood still, and not the server that takes
    /// longer than a lease. Which it is shows in the next answer.
    pub(crate) fn is_worth_another(&self, now: Instant) -> bool {
        !self.late && !self.to.patience.is_over(now)
    }
}

/// A claim that has the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Held {
    pub(crate) claim: Claim,
    terms: Terms,
    /// When the longest hold is over.
    limit: Option<Instant>,
    /// When the shortest one is.
    early_until: Instant,
    deadline: Instant,
    /// Until when the server may have the key.
    surely_over: Instant,
    haunted: Option<Instant>,
    /// When the work last said that it is alive.
    beat: Instant,
    doing: Doing,
    /// A renewal went without an answer since the last one that was confirmed.
    unconfirmed: bool,
    /// The server gave it to us, and has not been told yet that we know.
    provisional: bool,
    /// Something was pushed while an answer was on its way.
    news: bool,
    /// Another server, or another life of it, answers since the last confirmation.
    moved: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Doing {
    Resting {
        renew_at: Instant,
    },
    /// Nothing more to do before the deadline.
    RunningOut,
    Renewing {
        sent: Instant,
        lease: Lease,
    },
    Verifying {
        sent: Instant,
    },
}

impl Held {
    /// A hold, or `None` if its lease was over before the answer came.
    pub(crate) fn begin(granted: &Granted, scene: &Scene) -> Option<Self> {
        let Granted { to: Waiter { claim, terms, .. }, haunted, sent, .. } = *granted;
        let limit = terms.max_hold.filter(|_| !defect!(37)).map(|most| after(sent, most));
        let mut held = Self {
            claim,
            terms,
            limit,
            early_until: after(scene.now, terms.at_least),
            deadline: sent,
            surely_over: terms.lease.surely_over(sent),
            haunted,
            beat: scene.now,
            doing: Doing::RunningOut,
            unconfirmed: false,
            provisional: false,
            news: false,
            moved: false,
        };
        held.confirmed(sent, terms.lease);
        (scene.now < held.deadline).then_some(held)
    }

    /// A hold that the server began, for as long as `lease`; or `None` if half of that is over.
    pub(crate) fn provisional(granted: &Granted, lease: Lease, scene: &Scene) -> Option<Self> {
        let mut held = Self::begin(granted, scene)?;
        held.deadline = granted.sent;
        held.confirmed(granted.sent, lease);
        held.provisional = true;
        let rest = (lease.length() / UNCONFIRMED.0).min(UNCONFIRMED.1);
        let renew_at = after(scene.now, rest);
        held.doing = defect!(49, Doing::RunningOut, Doing::Resting { renew_at });
        (after(scene.now, lease.length() / 2) < held.deadline).then_some(held)
    }

    /// Begins the lease proper of a provisional hold.
    fn confirm(&mut self, in_full: bool, scene: &Scene, orders: &mut Vec<Order>) {
        let (claim, sent, lease) = (self.claim, scene.now, self.terms.lease);
        self.surely_over = self.surely_over.max(lease.surely_over(sent));
        self.doing = Doing::Renewing { sent, lease };
        orders.push(Order::Send(Errand::Confirm { claim, sent, lease, in_full }));
    }

    /// How long it may be relied on, by a command sent then.
    pub(crate) fn term(&self, sent: Instant) -> Term {
        Term { sent, deadline: self.deadline }
    }

    /// Until when the server may have the key.
    pub(crate) fn surely_over(&self) -> Instant {
        self.surely_over
    }

    /// What is to go when the hold ends. The server may have carried out a command as late as now.
    pub(crate) fn remains(&self, rivals: &Rivals, now: Instant) -> Remains {
        let Self { claim, terms, haunted, early_until, .. } = *self;
        let keep = Some(early_until).filter(|until| *until > now);
        let (lease, fair, aloud) = (terms.lease, terms.fair, rivals.are_told(&terms, now));
        let surely_over = lease.surely_over(now);
        let unsure = self.unconfirmed || self.is_asking();
        let waits = false;
        Remains { claim, lease, fair, aloud, waits, keep, surely_over, unsure, haunted }
    }

    /// Whether the next holder is the first in the line on the server.
    pub(crate) fn is_fair(&self) -> bool {
        self.terms.fair
    }

    /// Whether its shortest time is not over.
    pub(crate) fn is_early(&self, now: Instant) -> bool {
        now < self.early_until
    }

    /// Its shortest time is over.
    pub(crate) fn forgo_shortest(&mut self, now: Instant) {
        self.early_until = now;
    }

    /// Whether the key is to outlive a hold that did not end in order.
    pub(crate) fn lingers(&self) -> bool {
        self.terms.lease.is_delayed()
    }

    /// When time alone changes something.
    pub(crate) fn due(&self) -> Instant {
        match self.doing {
            Doing::Resting { renew_at } => renew_at.min(self.deadline),
            _ => self.deadline,
        }
    }

    /// Why it is over, if it is.
    pub(crate) fn overdue(&self, now: Instant) -> Option<LostCause> {
        if now < self.deadline {
            return None;
        }
        Some(match self.doing {
            _ if self.limit == Some(self.deadline) => LostCause::MaxHold,
            Doing::Renewing { .. } | Doing::Verifying { .. } => LostCause::Unconfirmed,
            _ if self.unconfirmed => LostCause::Unconfirmed,
            _ => LostCause::Expired,
        })
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, scene: &Scene, orders: &mut Vec<Order>) {
        let Doing::Resting { renew_at } = self.doing else { return };
        let early = match self.provisional {
            true => defect!(65, EARLY.1, Duration::ZERO), // there is nothing to go along with
            false => (self.terms.lease.length() / EARLY.0).min(EARLY.1),
        };
        match after(scene.now, early) >= renew_at {
            true if self.provisional => self.confirm(false, scene, orders),
            true => self.renew(false, scene, orders),
            false => {}
        }
    }

    /// The work is alive. Returns to renewing if it had been thought dead.
    pub(crate) fn beat(&mut self, scene: &Scene, orders: &mut Vec<Order>) {
        self.beat = scene.now;
        if self.doing == Doing::RunningOut && self.terms.renewal == Renewal::Auto {
            self.renew(false, scene, orders);
        }
    }

    /// Has the server tell of what happens to the key from the beginning, if it is to.
    pub(crate) fn watch_at_once(&mut self, scene: &Scene, orders: &mut Vec<Order>) {
        if self.terms.watch_at_once {
            self.news = self.provisional; // to confirm does not have it tell
            self.suspect(scene, orders);
        }
    }

    /// Asks the server; again, if an answer to an earlier question is on its way.
    pub(crate) fn doubt(&mut self, scene: &Scene, orders: &mut Vec<Order>) {
        self.news |= self.is_asking();
        self.suspect(scene, orders);
    }

    /// Somebody touched the key. Before an answer that may be the echo of our own script; before the server was told that we know, of
    /// the one that gave us the lock.
    pub(crate) fn touched(&mut self, scene: &Scene, orders: &mut Vec<Order>) {
        let is_echo = if self.is_asking() {
            scene.ears.echoes || self.provisional
        } else {
            self.provisional && !self.unconfirmed
        };
        if !is_echo {
            self.doubt(scene, orders);
        }
    }

    /// Asks the server, unless an answer is on its way.
    pub(crate) fn suspect(&mut self, scene: &Scene, orders: &mut Vec<Order>) {
        match self.doing {
            Doing::Resting { .. } if self.provisional => self.confirm(false, scene, orders),
            Doing::Resting { .. } => self.renew(false, scene, orders),
            Doing::RunningOut => {}
            Doing::Renewing { .. } | Doing::Verifying { .. } => return,
        }
        if self.doing == Doing::RunningOut {
            self.verify(scene, orders);
        }
    }

    fn is_asking(&self) -> bool {
        matches!(self.doing, Doing::Renewing { .. } | Doing::Verifying { .. })
    }

    /// There is a connection again, perhaps to a server that knows nothing of us.
    pub(crate) fn opened(&mut self, same: bool, scene: &Scene, orders: &mut Vec<Order>) {
        self.moved |= !same;
        self.suspect(scene, orders);
    }

    fn renew(&mut self, in_full: bool, scene: &Scene, orders: &mut Vec<Order>) {
        let (claim, sent) = (self.claim, scene.now);
        let Some(lease) = self.next_lease(sent) else {
            self.doing = Doing::RunningOut;
            return;
        };
        self.surely_over = self.surely_over.max(lease.surely_over(sent));
        self.doing = Doing::Renewing { sent, lease };
        orders.push(Order::Send(Errand::Renew { claim, sent, lease, in_full }));
    }

    /// The lease to ask for, unless the hold is to run out.
    fn next_lease(&self, now: Instant) -> Option<Lease> {
        let silent = |most| !defect!(38) && now.saturating_duration_since(self.beat) > most;
        if self.terms.renewal == Renewal::Off || self.terms.heartbeat.is_some_and(silent) {
            return None;
        }
        let reached = self.limit.is_some_and(|limit| limit <= self.deadline);
        (!reached).then_some(self.terms.lease)
    }

    fn verify(&mut self, scene: &Scene, orders: &mut Vec<Order>) {
        let (claim, sent) = (self.claim, scene.now);
        self.doing = Doing::Verifying { sent };
        orders.push(Order::Send(Errand::Verify { claim, sent }));
    }

    /// Whether an answer is the one that is waited for.
    pub(crate) fn expects(&self, errand: Errand) -> bool {
        match (self.doing, errand) {
            (
                Doing::Renewing { sent: mine, .. },
                Errand::Renew { claim, sent, .. } | Errand::Confirm { claim, sent, .. },
            )
            | (Doing::Verifying { sent: mine }, Errand::Verify { claim, sent }) => {
                mine == sent && claim == self.claim
            }
            _ => false,
        }
    }

    /// The server answered what was asked last. Gives the cause if the hold is over.
    pub(crate) fn said(
        &mut self,
        said: Said,
        scene: &Scene,
        orders: &mut Vec<Order>,
    ) -> Option<LostCause> {
        let doing = std::mem::replace(&mut self.doing, Doing::RunningOut);
        match (doing, said) {
            (Doing::Renewing { sent, lease }, Said::Ours(_)) => {
                self.confirmed(sent, lease);
                self.tell(sent, orders);
                self.heed_news(scene, orders);
            }
            (Doing::Verifying { sent }, Said::Ours(left)) => {
                self.verified(sent, left, scene.now);
                self.tell(sent, orders);
                self.heed_news(scene, orders);
            }
            // Nor does that tell whether there is another owner.
            (Doing::Renewing { .. }, Said::NotOurs) if self.provisional => {
                self.verify(scene, orders);
            }
            (_, Said::Gone) if self.moved => return Some(LostCause::Failover),
            (_, Said::Gone) => return Some(LostCause::Deleted),
            (_, Said::NotOurs) => return Some(LostCause::TakenOver),
            (Doing::Renewing { .. }, Said::InFull) if self.provisional => {
                self.confirm(true, scene, orders);
            }
            (Doing::Renewing { .. }, Said::InFull) => self.renew(true, scene, orders),
            (Doing::Renewing { .. }, _) if defect!(29) => return Some(LostCause::Unconfirmed),
            (Doing::Renewing { .. }, _) => {
                self.unconfirmed = true;
                let renew_at = after(scene.now, self.terms.lease.retry_after());
                self.doing = Doing::Resting { renew_at: renew_at.min(self.deadline) };
                if defect!(30) {
                    self.doing = Doing::RunningOut;
                }
            }
            _ => self.unconfirmed = true,
        }
        None
    }

    /// A lease by a command sent then is ours. It never brings a deadline back.
    fn confirmed(&mut self, sent: Instant, lease: Lease) {
        let deadline = self.deadline.max(lease.deadline(sent));
        self.deadline = self.limit.map_or(deadline, |limit| deadline.min(limit));
        (self.unconfirmed, self.provisional, self.moved) = (false, false, false);
        self.doing = match self.terms.renewal {
            Renewal::Auto if self.limit.is_none_or(|limit| limit > self.deadline) => {
                Doing::Resting { renew_at: lease.renew_at(sent) }
            }
            Renewal::Auto | Renewal::Off => Doing::RunningOut,
        };
    }

    /// The key is ours, and the server says for how long. Somebody may have shortened that: surely so if it ends too soon even
    /// counted from now. Counted from when we asked it seems to end sooner the longer the answer took, and that alone must not
    /// take back what the holder was told to rely on.
    fn verified(&mut self, sent: Instant, left: Left, now: Instant) {
        if let Left::For(left) = left {
            if after(now, left) < self.deadline {
                let lease = self.terms.lease.at_most(left);
                self.deadline = self.deadline.min(lease.map_or(sent, |lease| lease.deadline(sent)));
            }
        }
        self.moved = false;
        self.doing = Doing::RunningOut;
    }

    fn tell(&self, sent: Instant, orders: &mut Vec<Order>) {
        orders.push(Order::Extend { claim: self.claim, term: self.term(sent) });
    }

    fn heed_news(&mut self, scene: &Scene, orders: &mut Vec<Order>) {
        if std::mem::take(&mut self.news) {
            self.doubt(scene, orders);
        }
    }
}
