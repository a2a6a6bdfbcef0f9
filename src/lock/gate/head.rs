//! The head of a line: the one caller of this process who asks the server for the key, and waits to ask again.
//!
//! One claim has one value, which every attempt repeats: an attempt whose reply was lost is found again by the next one
//! instead of locking its own caller out. Whether the value may be on the server is known at any time, so that a caller
//! who gives up leaves nothing behind.

mod asking;
mod contended;
mod minting;

use crate::lock::fence::FencingToken;
use crate::lock::gate::rivals::Rivals;
use crate::lock::gate::words::{Claim, Failure, Fence, Order, Patience, Said, Scene, Terms, Why};
use crate::lock::lease::Lease;
use crate::lock::options::Wakeup;
use crate::seam::after;
use std::time::Duration;
use tokio::time::Instant;

/// How long the last attempt, begun at the caller's deadline, may take.
const GRACE: Duration = Duration::from_millis(100);
/// How long a process that has had its turn waits, at most, before it asks again.
const COURTESY: Duration = Duration::from_millis(5);
/// How long it waits for each of those whose turn is before its own.
const COURTESY_EACH: Duration = Duration::from_millis(1);

/// A caller in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Waiter {
    pub(crate) claim: Claim,
    pub(crate) terms: Terms,
    pub(crate) patience: Patience,
}

impl Waiter {
    /// Why it is not to ask again after a command has failed.
    pub(crate) fn given_up(&self, failure: Failure, now: Instant) -> Option<Why> {
        match (failure, self.patience) {
            (Failure::Closed, _) => Some(Why::Closed),
            (Failure::ForGood { .. }, _) | (_, Patience::Once(_) | Patience::Seize(_)) => {
                Some(Why::Failed)
            }
            (_, patience) => patience.is_over(now).then_some(Why::TimedOut),
        }
    }
}

/// When a caller gives up whose command is not answered, if it was sent then.
pub(crate) fn gives_up_at(patience: Patience, sent: Option<Instant>) -> Option<Instant> {
    match patience {
        Patience::Once(end) | Patience::Seize(end) => Some(end),
        // A last attempt that begins late gets its time all the same.
        Patience::Until(end) => Some(after(sent.map_or(end, |sent| sent.max(end)), GRACE)),
        Patience::Endless => None,
    }
}

/// The first of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Head {
    pub(crate) waiter: Waiter,
    doing: Doing,
    /// When the value was last sent without an answer that tells what became of it.
    doubt: Option<Instant>,
    /// Until when a connection that could not be fenced off may still bring the value.
    haunted: Option<Instant>,
    /// Waits since the holder changed.
    tries: u32,
    holder: u64,
    /// Whether the holder's lease was ever asked for.
    looked: bool,
    /// The holder, seen for the first time, is one of those who tell when they release.
    told: bool,
    /// Something was told on another connection while a command was on its way: nobody knows which came first.
    news: bool,
    /// It lets others go first, or did so in vain before it asked.
    defers: bool,
    /// It asks or looks because somebody changed the key.
    changed: bool,
    /// When the holder is to renew its lease, and how much earlier or later it may.
    renewal: Option<(Instant, Duration)>,
    /// It looks without having asked before.
    glances: bool,
    /// It had been given the key, and heard of that too late.
    late: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Doing {
    Asking {
        sent: Instant,
    },
    Looking {
        sent: Instant,
    },
    /// The value was found on the server, with a lease that cannot be counted: a new one is.
    Confirming {
        sent: Instant,
    },
    /// The key is ours by a command sent when it was taken, and the fence is still missing.
    Minting {
        taken: Instant,
        sent: Instant,
    },
    Resting {
        until: Instant,
    },
    /// The others' turn: until the release before is answered, or a moment has passed.
    Yielding {
        until: Instant,
    },
    /// There is no connection.
    Offline,
}

/// What a head comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Stay,
    /// The lock is its own, by a command sent then.
    Granted {
        sent: Instant,
        fence: Option<FencingToken>,
    },
    Refused(Why),
}

impl Head {
    /// A head that asks.
    pub(crate) fn asking(waiter: Waiter, scene: &Scene, orders: &mut Vec<Order>) -> Self {
        let mut head = Self::new(waiter, Doing::Offline);
        head.ask(scene, orders);
        head
    }

    /// A head that first lets others have their turn.
    pub(crate) fn yielding(waiter: Waiter, scene: &Scene) -> Self {
        Self::new(waiter, Doing::Yielding { until: scene.now + COURTESY })
    }

    /// A head that lets so many others go first.
    pub(crate) fn deferring(waiter: Waiter, ahead: u32, scene: &Scene) -> Self {
        let mut head = Self::new(waiter, Doing::Offline);
        head.defer(ahead, scene);
        head
    }

    /// A head whose value was sent before, and nobody knows what became of it.
    pub(crate) fn doubtful(
        waiter: Waiter,
        sent: Instant,
        scene: &Scene,
        orders: &mut Vec<Order>,
    ) -> Self {
        let mut head = Self::new(waiter, Doing::Offline);
        head.doubt = Some(sent);
        head.ask(scene, orders);
        head
    }

    fn new(waiter: Waiter, doing: Doing) -> Self {
        Self {
            waiter,
            doing,
            doubt: None,
            haunted: None,
            tries: 0,
            holder: 0,
            looked: false,
            told: false,
            news: false,
            defers: false,
            changed: false,
            renewal: None,
            glances: false,
            late: false,
        }
    }

    /// The last time a command with the value was sent whose effect may last, if any was.
    pub(crate) fn suspect(&self) -> Option<Instant> {
        match self.doing {
            Doing::Asking { sent } | Doing::Confirming { sent } => Some(sent),
            Doing::Minting { taken, .. } => Some(taken),
            _ => self.doubt,
        }
    }

    /// The waiter, if nothing of it is on its way or may be on the server.
    pub(crate) fn idle(&self) -> Option<Waiter> {
        let rests = matches!(self.doing, Doing::Resting { .. } | Doing::Yielding { .. });
        (rests && self.doubt.is_none() && self.haunted.is_none()).then_some(self.waiter)
    }

    /// Until when a late command may bring the value back.
    pub(crate) fn haunted(&self) -> Option<Instant> {
        self.haunted
    }

    /// When time alone changes something.
    pub(crate) fn due(&self) -> Option<Instant> {
        match self.doing {
            Doing::Resting { .. } if defect!(33) => None,
            Doing::Resting { until } | Doing::Yielding { until } => Some(until),
            _ => self.gives_up_at(),
        }
    }

    fn gives_up_at(&self) -> Option<Instant> {
        gives_up_at(self.waiter.patience, self.suspect())
    }

    /// The server answered what was asked last.
    pub(crate) fn said(
        &mut self,
        said: Said,
        rivals: &mut Rivals,
        scene: &Scene,
        orders: &mut Vec<Order>,
    ) -> Step {
        let doing = std::mem::replace(&mut self.doing, Doing::Resting { until: scene.now });
        if std::mem::take(&mut self.defers) && matches!(said, Said::Fresh | Said::Fenced(_)) {
            rivals.pass_over();
        }
        match (doing, said) {
            (Doing::Asking { sent }, Said::Fresh | Said::Ours(_))
            | (Doing::Confirming { sent }, Said::Ours(_)) => {
                return self.taken(sent, scene, orders);
            }
            (Doing::Asking { sent }, Said::Fenced(fence)) => {
                return Step::Granted { sent, fence: Some(fence) };
            }
            (Doing::Minting { taken, .. }, said) => {
                return self.minted(said, taken, scene, orders);
            }
            (Doing::Asking { .. }, Said::Forgotten) => self.ask_for(Fence::InFull, scene, orders),
            (Doing::Asking { .. }, Said::Earlier) => self.confirm(false, scene, orders),
            (Doing::Confirming { .. }, Said::InFull) => self.confirm(true, scene, orders),
            (Doing::Asking { .. }, Said::InFull) => self.take(true, scene, orders),
            (Doing::Asking { .. } | Doing::Confirming { .. }, Said::Gone | Said::NotOurs) => {
                self.doubt = None;
                if let Patience::Seize(_) = self.waiter.patience {
                    return Step::Refused(Why::Held);
                }
                self.ask(scene, orders);
            }
            (Doing::Asking { .. }, Said::Rephrase) => self.ask(scene, orders),
            (Doing::Asking { .. }, Said::Held { holder, process, left }) => {
                (self.doubt, self.late) = (None, false);
                let known = std::mem::replace(&mut self.holder, holder) == holder;
                if !known {
                    self.tries = 0;
                }
                self.told = !known && rivals.will_hear(process, scene.now);
                return self.held(left, rivals, scene, orders);
            }
            (Doing::Asking { .. }, Said::KeyInUse) => {
                self.doubt = None;
                return Step::Refused(Why::KeyInUse);
            }
            (Doing::Asking { .. }, Said::TooShort { took }) => {
                return Step::Refused(Why::TooShort { took });
            }
            (Doing::Looking { .. }, Said::Left(left)) => {
                return self.seen(left, rivals.listening, scene, orders);
            }
            (Doing::Asking { sent } | Doing::Confirming { sent }, Said::Failed(failure)) => {
                if failure.may_have_run() {
                    self.doubt = Some(sent);
                }
                return self.failed(failure, scene);
            }
            (_, Said::Failed(failure)) => return self.failed(failure, scene),
            _ => return self.failed(Failure::ForGood { may_have_run: true }, scene),
        }
        Step::Stay
    }

    fn failed(&mut self, failure: Failure, scene: &Scene) -> Step {
        if let Some(why) = self.waiter.given_up(failure, scene.now) {
            return Step::Refused(why);
        }
        let rest = self.back_off(scene);
        self.rest(after(scene.now, rest));
        Step::Stay
    }

    fn back_off(&mut self, scene: &Scene) -> Duration {
        let rest = self.waiter.terms.backoff.delay(self.tries, scene.entropy);
        self.tries = self.tries.saturating_add(1);
        rest
    }

    /// Rests, and no longer than the caller is patient: the last attempt is at its deadline.
    fn rest(&mut self, until: Instant) {
        let until = self.waiter.patience.end().map_or(until, |end| until.min(end));
        self.doing = Doing::Resting { until };
    }

    /// Lets so many others go first: they have been told, too.
    fn defer(&mut self, ahead: u32, scene: &Scene) {
        self.defers = true;
        self.rest(after(scene.now, COURTESY.min(COURTESY_EACH * ahead)));
    }

    fn ask_after(&mut self, ahead: u32, scene: &Scene, orders: &mut Vec<Order>) {
        self.defers = false;
        match ahead {
            0 => self.ask(scene, orders),
            _ => self.defer(ahead, scene),
        }
    }

    /// The server, or whoever released the lock, gave word that it may be free. So many others go first.
    pub(crate) fn woken(&mut self, by: Wakeup, ahead: u32, scene: &Scene, orders: &mut Vec<Order>) {
        let mode = self.waiter.terms.mode(scene.ears);
        if mode != by && mode != Wakeup::Auto {
            return;
        }
        match self.doing {
            Doing::Resting { .. } => {
                self.changed = by == Wakeup::Track;
                if self.changed && self.is_renewal(scene.now) {
                    self.glance(scene, orders);
                } else {
                    self.ask_after(ahead, scene, orders);
                }
            }
            // What comes on the connection that the answer will come on happened before the server looked for that answer.
            Doing::Asking { .. } | Doing::Looking { .. } => {
                self.news |= by == Wakeup::Announce && !scene.ears.told;
            }
            Doing::Confirming { .. }
            | Doing::Minting { .. }
            | Doing::Yielding { .. }
            | Doing::Offline => {}
        }
    }

    /// It was to be told of releases, and is not.
    pub(crate) fn relied_on_nobody(&mut self, scene: &Scene, orders: &mut Vec<Order>) {
        if let Doing::Resting { .. } = self.doing {
            self.ask(scene, orders);
        }
    }

    /// The others know that it is their turn, and so many of them go first.
    pub(crate) fn stop_yielding(&mut self, ahead: u32, scene: &Scene, orders: &mut Vec<Order>) {
        if let Doing::Yielding { .. } = self.doing {
            self.ask_after(ahead, scene, orders);
        }
    }

    /// There is a connection again.
    pub(crate) fn opened(&mut self, fenced: bool, scene: &Scene, orders: &mut Vec<Order>) {
        if let (Some(sent), false) = (self.doubt, fenced) {
            self.haunted = self.haunted.max(Some(self.lease().surely_over(sent)));
        }
        match self.doing {
            Doing::Resting { .. } | Doing::Yielding { .. } | Doing::Offline => {
                self.ask(scene, orders);
            }
            // Had not been sent, and is now.
            Doing::Asking { .. }
            | Doing::Looking { .. }
            | Doing::Confirming { .. }
            | Doing::Minting { .. } => {}
        }
    }

    fn lease(&self) -> Lease {
        self.waiter.terms.lease
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, scene: &Scene, orders: &mut Vec<Order>) -> Step {
        let now = scene.now;
        match self.doing {
            Doing::Resting { until } | Doing::Yielding { until } if now >= until => {
                self.changed = false;
                self.ask(scene, orders);
                Step::Stay
            }
            Doing::Resting { .. } | Doing::Yielding { .. } => Step::Stay,
            _ if self.gives_up_at().is_none_or(|end| now < end) => Step::Stay,
            _ => match self.waiter.patience {
                Patience::Once(_) | Patience::Seize(_) => Step::Refused(Why::NoAnswer),
                Patience::Until(_) | Patience::Endless => Step::Refused(Why::TimedOut),
            },
        }
    }
}
