//! Fair claims: each of them stands in the line on the server, which gives the lock to the first and tells it so.
//!
//! ```text
//!   came ──► asking ── taken ───────────────────────────────► held ──► leaving: given on, or freed
//!              ▲ │                                             ▲
//!              │ └ in line ──► waiting ── given, lately ───────┤ and confirmed later
//!              └ timer, flush, reconnect ┘ └ given, long ago ──► confirming
//! ```
//!
//! A grant is told with the server's time, and so was our place in the line before. The first command to say so had been sent by
//! then: so the lock has been ours since that moment, plus what has passed on the server's clock in between, at the earliest; less
//! what the machine may have slept since, for all of that may have come behind the grant. From there the time counts that a grant is
//! good for, and if enough of it is left, its claim holds the lock at once, and confirms the grant if it still holds it a little later.
//! Whoever goes while it waits leaves the line, or passes on what it was just given: one command does either.
//!
//! Of a gate's claims in the line the foremost asks at intervals, for all of them; the others rest (`fair/behind.rs`).

mod behind;
mod claims;
mod granting;
mod order;
mod words;

pub(crate) use behind::Behind;
pub(crate) use words::{Found, Given};

use crate::lock::error::LostCause;
use crate::lock::fence::FencingToken;
use crate::lock::gate::head::{Waiter, gives_up_at};
use crate::lock::gate::held::Held;
use crate::lock::gate::line::earlier;
use crate::lock::gate::words::{Claim, Errand, Failure, Left, Order, Patience, Said, Scene, Why};
use crate::lock::lease::Lease;
use crate::seam::after;
use std::time::Duration;
use tokio::time::Instant;

/// How long whoever waits counts as alive after it was heard of, and how often it makes itself heard.
pub(crate) const ALIVE: Duration = Duration::from_secs(15);
const BEAT: Duration = Duration::from_secs(5);
/// How long a grant is good for, at most, that has not been confirmed.
const CONFIRM: Duration = Duration::from_secs(2);
/// After the end of a dead holder's lease, the first in line asks after the first of these, and each one behind it so much later.
const TURN: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// A claim that waits for its turn, or has the lock.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Fair {
    waiter: Waiter,
    /// As whichever of its gate it came to stand in line.
    arrival: u64,
    doing: Doing,
    /// Something was sent with the value, ever.
    asked: bool,
    /// It is told of its turn.
    listens: bool,
    /// The server has said that it stands in line, and nothing makes us doubt that.
    stands: bool,
    /// It has stood in line on this connection: what was granted to it since would have been told.
    hears: bool,
    /// Until when a connection that could not be fenced off may still bring the value.
    haunted: Option<Instant>,
    tries: u32,
    /// It had been given the lock, and heard of that too late.
    late: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Doing {
    Asking {
        sent: Instant,
    },
    Waiting {
        until: Instant,
    },
    /// Given to us, nobody knows when.
    Confirming {
        sent: Instant,
        fence: Option<FencingToken>,
    },
    /// There is no connection.
    Offline,
    Held(Box<Held>),
}

/// What becomes of a claim.
enum Next {
    Stays,
    Refused(Why),
    Lost(LostCause),
}

/// How long a grant is good for that has not been confirmed.
pub(crate) fn confirm_within(lease: Lease) -> Lease {
    lease.no_longer_than(CONFIRM)
}

impl Fair {
    /// A claim that stands in line, or will. It need not listen if it gets the lock at once, unless others of its gate do.
    fn begin(
        (waiter, arrival): (Waiter, u64),
        listens: bool,
        scene: &Scene,
        orders: &mut Vec<Order>,
    ) -> Self {
        let (doing, asked, stands, hears) = (Doing::Offline, false, false, false);
        let (haunted, tries, late) = (None, 0, false);
        let mut fair =
            Self { waiter, arrival, doing, asked, listens, stands, hears, haunted, tries, late };
        fair.ask(false, scene, orders);
        fair
    }

    fn claim(&self) -> Claim {
        self.waiter.claim
    }

    /// Whether it stands in line, and others can rest behind it.
    fn leads(&self) -> bool {
        let waits = matches!(self.doing, Doing::Asking { .. } | Doing::Waiting { .. });
        self.stands && self.listens && waits
    }

    pub(crate) fn held(&self) -> Option<&Held> {
        match &self.doing {
            Doing::Held(held) => Some(held),
            _ => None,
        }
    }

    pub(crate) fn held_mut(&mut self) -> Option<&mut Held> {
        match &mut self.doing {
            Doing::Held(held) => Some(held),
            _ => None,
        }
    }

    fn ask(&mut self, in_full: bool, scene: &Scene, orders: &mut Vec<Order>) {
        if !scene.online {
            self.doing = Doing::Offline;
            return;
        }
        let Waiter { claim, terms, patience } = self.waiter;
        let sent = scene.now;
        self.asked = true;
        self.doing = Doing::Asking { sent };
        self.listens &= scene.ears.told;
        // Whoever could be told of its turn, and does not listen yet, does so before it stands in line.
        let waits = !patience.is_over(sent) && self.listens == scene.ears.told;
        let (lease, listen) = (terms.lease, self.listens && waits);
        orders.push(Order::Send(Errand::Queue { claim, sent, lease, waits, listen, in_full }));
    }

    fn confirm(
        &mut self,
        fence: Option<FencingToken>,
        in_full: bool,
        scene: &Scene,
        orders: &mut Vec<Order>,
    ) {
        let sent = scene.now;
        (self.stands, self.hears) = (false, false);
        self.doing = Doing::Confirming { sent, fence };
        let (claim, lease) = (self.claim(), self.waiter.terms.lease);
        orders.push(Order::Send(Errand::Confirm { claim, sent, lease, in_full }));
    }

    /// When to ask again: soon enough to find a grant that nobody tells us of, and to count as alive.
    fn back_off(&mut self, scene: &Scene) -> Instant {
        let grant = confirm_within(self.waiter.terms.lease).length() / 2;
        let most = if self.listens { BEAT } else { BEAT.min(grant) };
        let rest = self.waiter.terms.backoff.delay(self.tries, scene.entropy).min(most);
        self.tries = self.tries.saturating_add(1);
        after(scene.now, rest)
    }

    fn due(&self) -> Option<Instant> {
        match &self.doing {
            Doing::Waiting { until } => earlier(Some(*until), self.waiter.patience.end()),
            Doing::Held(held) => Some(held.due()),
            Doing::Asking { sent } | Doing::Confirming { sent, .. } => {
                self.gives_up_at(Some(*sent))
            }
            Doing::Offline => self.gives_up_at(None),
        }
    }

    /// When a caller gives up whose command is not answered.
    fn gives_up_at(&self, sent: Option<Instant>) -> Option<Instant> {
        gives_up_at(self.waiter.patience, sent)
    }

    fn expects(&self, errand: Errand) -> bool {
        match (&self.doing, errand) {
            (Doing::Asking { sent: mine }, Errand::Queue { sent, .. })
            | (Doing::Confirming { sent: mine, .. }, Errand::Confirm { sent, .. }) => *mine == sent,
            (Doing::Held(held), errand) => held.expects(errand),
            _ => false,
        }
    }

    fn said(&mut self, said: Said, scene: &Scene, orders: &mut Vec<Order>) -> Next {
        if let Doing::Held(held) = &mut self.doing {
            return match held.said(said, scene, orders) {
                Some(cause) => Next::Lost(cause),
                None => Next::Stays,
            };
        }
        let doing = std::mem::replace(&mut self.doing, Doing::Waiting { until: scene.now });
        match (doing, said) {
            (Doing::Asking { sent }, Said::Taken { fence, .. }) => {
                return self.granted(sent, fence, scene, orders);
            }
            (Doing::Asking { .. }, Said::Placed { left, before, .. }) => {
                return self.placed((left, before), scene, orders);
            }
            (Doing::Asking { .. }, Said::Forgotten) => self.ask(true, scene, orders),
            (Doing::Asking { .. }, Said::KeyInUse) => return Next::Refused(Why::KeyInUse),
            (Doing::Asking { .. }, Said::NoScripts) => return Next::Refused(Why::NoScripts),
            (Doing::Asking { .. }, Said::TooShort { took }) => {
                return Next::Refused(Why::TooShort { took });
            }
            (Doing::Confirming { sent, fence }, Said::Ours(_)) => {
                return self.granted(sent, fence, scene, orders);
            }
            (Doing::Confirming { fence, .. }, Said::InFull) => {
                self.confirm(fence, true, scene, orders);
            }
            (Doing::Confirming { .. }, Said::Gone | Said::NotOurs) => {
                self.ask(false, scene, orders);
            }
            (_, Said::Failed(failure)) => return self.failed(failure, scene),
            _ => return self.failed(Failure::ForGood { may_have_run: true }, scene),
        }
        Next::Stays
    }

    /// Somebody else has the lock, and we stand in line.
    fn placed(
        &mut self,
        (left, before): (Left, u32),
        scene: &Scene,
        orders: &mut Vec<Order>,
    ) -> Next {
        match self.waiter.patience {
            Patience::Once(_) | Patience::Seize(_) => {
                self.asked = false; // whoever only tries does not stand in line
                return Next::Refused(Why::Held);
            }
            patience if patience.is_over(scene.now) => return Next::Refused(Why::TimedOut),
            _ => {}
        }
        if scene.ears.told && !self.listens {
            self.listens = true;
            self.ask(false, scene, orders);
            return Next::Stays;
        }
        (self.stands, self.hears, self.late) = (true, self.listens, false);
        let beat = if self.listens { after(scene.now, BEAT) } else { self.back_off(scene) };
        let until = match left {
            Left::For(left) => {
                let turn = TURN.0.saturating_add(TURN.1.saturating_mul(before));
                after(scene.now, left.saturating_add(turn)).min(beat)
            }
            _ => beat,
        };
        self.doing = Doing::Waiting { until };
        Next::Stays
    }

    fn failed(&mut self, failure: Failure, scene: &Scene) -> Next {
        (self.stands, self.hears) = (false, false);
        // What was not sent is asked on the next connection, in its turn; an end to that is seen to as without one.
        if !scene.online && matches!(failure, Failure::Passing { may_have_run: false }) {
            self.doing = Doing::Offline;
            return Next::Stays;
        }
        if let Some(why) = self.waiter.given_up(failure, scene.now) {
            return Next::Refused(why);
        }
        self.doing = Doing::Waiting { until: self.back_off(scene) };
        Next::Stays
    }

    fn tick(&mut self, scene: &Scene, orders: &mut Vec<Order>) -> Next {
        let now = scene.now;
        let due = self.due();
        match &mut self.doing {
            Doing::Held(held) => held.tick(scene, orders),
            _ if due.is_none_or(|due| now < due) => {}
            Doing::Waiting { .. } => self.ask(false, scene, orders),
            _ => {
                return Next::Refused(match self.waiter.patience {
                    Patience::Once(_) | Patience::Seize(_) => Why::NoAnswer,
                    Patience::Until(_) | Patience::Endless => Why::TimedOut,
                });
            }
        }
        Next::Stays
    }

    fn overdue(&self, now: Instant) -> Next {
        match &self.doing {
            Doing::Held(held) => match held.overdue(now) {
                Some(cause) => Next::Lost(cause),
                None => Next::Stays,
            },
            _ => Next::Stays,
        }
    }

    /// Everything may have changed on the server.
    fn unsettled(&mut self, scene: &Scene, orders: &mut Vec<Order>) {
        self.stands = false;
        match &mut self.doing {
            Doing::Waiting { .. } | Doing::Offline => self.ask(false, scene, orders),
            Doing::Asking { .. } | Doing::Confirming { .. } => {}
            Doing::Held(held) => held.doubt(scene, orders),
        }
    }

    /// The server does not let us listen: who told it where to tell us asks again, without.
    fn deafened(&mut self, scene: &Scene, orders: &mut Vec<Order>) {
        if self.listens && !scene.ears.told {
            self.listens = false;
            if let Doing::Waiting { .. } = self.doing {
                self.ask(false, scene, orders);
            }
        }
    }

    fn opened(&mut self, fenced: bool, same: bool, scene: &Scene, orders: &mut Vec<Order>) {
        self.hears = false;
        if !fenced && self.asked {
            // What may still come late is a place in line, too.
            let until = self.waiter.terms.lease.no_shorter_than(ALIVE).surely_over(scene.now);
            self.haunted = self.haunted.max(Some(until));
        }
        // What confirms had not been sent, and is now. Whoever is to stand in line was called up to ask in its turn.
        match &mut self.doing {
            Doing::Waiting { .. } | Doing::Offline => self.ask(false, scene, orders),
            Doing::Asking { .. } | Doing::Confirming { .. } => {}
            Doing::Held(held) => held.opened(same, scene, orders),
        }
    }
}
