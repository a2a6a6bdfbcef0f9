//! A gate on a desk, to be told and asked: `rows.rs`, `dated.rs` and `undoing.rs` go through the state table, `histories.rs` and
//! `lines.rs` through random histories.

mod alone;
mod dated;
mod fair;
mod fences;
mod hearing;
mod histories;
mod lines;
mod model;
mod passing;
mod resting;
mod rows;
mod terms;
mod turns;
mod undoing;

use crate::backoff::Backoff;
use crate::lock::gate::{
    Claim, Ears, Errand, Event, Failure, Fence, Gate, Left, Order, Patience, Said, Scene, Term,
    Terms,
};
use crate::lock::hold::Clocks;
use crate::lock::lease::Lease;
use crate::lock::options::{Renewal, Wakeup};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const TRACKS: Ears = Ears { tracks: true, hears: true, told: true, echoes: false };

pub(crate) fn terms() -> Terms {
    Terms {
        lease: Lease::new(10 * SECOND).unwrap(),
        renewal: Renewal::Auto,
        max_hold: None,
        heartbeat: None,
        at_least: Duration::ZERO,
        watch_at_once: false,
        fenced: false,
        fair: false,
        wakeup: Wakeup::Track,
        backoff: Backoff::new(100 * MS, 1.0, 100 * MS),
    }
}

/// The time that an event tells of: when a place in line was asked for that is answered now.
fn told_of(event: &Event, now: Instant) -> Instant {
    match *event {
        Event::Said { errand: Errand::Queue { sent, .. }, .. } => sent,
        _ => now,
    }
}

/// A gate, the commands that are on their way, and a clock.
struct Desk {
    gate: Gate,
    begun: Instant,
    now: Instant,
    online: bool,
    ears: Ears,
    /// How long the machine has slept, by the wall clock.
    slept: Duration,
    flying: VecDeque<Errand>,
}

impl Desk {
    fn new() -> Self {
        let now = Instant::now();
        let (gate, ears, slept, flying) =
            (Gate::default(), TRACKS, Duration::ZERO, VecDeque::new());
        Self { gate, begun: now, now, online: true, ears, slept, flying }
    }

    /// What is ordered when this happens.
    fn on(&mut self, event: Event) -> Vec<Order> {
        let mut orders = Vec::new();
        let (now, online, ears) = (self.now, self.online, self.ears);
        let at = told_of(&event, now);
        let clocks = Some(Clocks { now: at, wall: at - self.begun + self.slept });
        let scene = Scene { now, clocks, entropy: u64::MAX, online, ears };
        self.gate.on(&event, &scene, &mut orders);
        if event == Event::Tick {
            // What one look does not settle the next one does: nobody looks again and again at what does not change.
            let mut again = self.gate.clone();
            again.on(&Event::Tick, &scene, &mut Vec::new());
            let due = again.due();
            assert!(due.is_none_or(|due| due > now), "{again:#?} is due at {due:?} after {now:?}");
        }
        for order in &orders {
            if let Order::Send(errand) = order {
                self.flying.push_back(*errand);
            }
        }
        orders
    }

    /// The same in words.
    fn told(&mut self, event: Event) -> String {
        let orders = self.on(event);
        orders.iter().map(|order| self.words(order)).collect::<Vec<_>>().join(", ")
    }

    fn words(&self, order: &Order) -> String {
        match order {
            Order::Send(errand) => match errand {
                Errand::Ask { claim, fence, .. } => match fence {
                    Fence::No => format!("ask {}", claim.0),
                    fence => format!("ask {} for a fence {fence:?}", claim.0),
                },
                Errand::Mint { claim, begin: None, .. } => format!("mint {}", claim.0),
                Errand::Mint { claim, begin: Some(at), .. } => {
                    format!("mint {} at {at:?}", claim.0)
                }
                Errand::Look { claim, listen, dated, .. } => {
                    let how = if *listen { " and listen" } else { "" };
                    format!("look {}{how}{}", claim.0, dated.map_or("", |_| " at the clock"))
                }
                Errand::Take { claim, in_full, .. } => {
                    format!("take {}{}", claim.0, if *in_full { " in full" } else { "" })
                }
                Errand::Renew { claim, in_full, .. } => {
                    format!("renew {}{}", claim.0, if *in_full { " in full" } else { "" })
                }
                Errand::Verify { claim, .. } => format!("verify {}", claim.0),
                Errand::Queue { claim, waits, listen, in_full, .. } => {
                    let how = if *waits { "stand" } else { "try" };
                    let told = if *listen { " and listen" } else { "" };
                    format!("{how} {}{told}{}", claim.0, if *in_full { " in full" } else { "" })
                }
                Errand::Confirm { claim, in_full, .. } => {
                    format!("confirm {}{}", claim.0, if *in_full { " in full" } else { "" })
                }
                Errand::Leave { claim, in_full } => {
                    format!("leave {}{}", claim.0, if *in_full { " in full" } else { "" })
                }
                Errand::HandOver { from, to, .. } => format!("pass {} to {}", from.0, to.0),
                Errand::Keep { claim, rest, in_full } => {
                    let how = if *in_full { " in full" } else { "" };
                    format!("keep {} for {:?}{how}", claim.0, rest.length())
                }
                Errand::Release { claim, in_full, aloud, waits } => {
                    let how = if *in_full { " in full" } else { "" };
                    let told = match (aloud, waits) {
                        (true, true) => " aloud for others",
                        (true, false) => " aloud",
                        (false, _) => "",
                    };
                    format!("release {}{how}{told}", claim.0)
                }
                Errand::Plead { claim } => format!("plead {}", claim.0),
            },
            Order::Grant { claim, term, fence } => {
                let fence = fence.map_or_else(String::new, |fence| format!(", fence {fence}"));
                format!("grant {} until {}{fence}", claim.0, self.at(*term))
            }
            Order::Extend { claim, term } => format!("extend {} until {}", claim.0, self.at(*term)),
            Order::Refuse { claim, why } => format!("refuse {}: {why:?}", claim.0),
            Order::Lose { claim, cause } => format!("lose {}: {cause:?}", claim.0),
            Order::Report { claim, released } => format!("report {}: {released:?}", claim.0),
            Order::Forget(claim) => format!("forget {}", claim.0),
        }
    }

    fn at(&self, term: Term) -> String {
        format!("{:?}", term.deadline - self.begun)
    }

    fn come(&mut self, claim: u64) -> String {
        self.come_with(claim, terms(), Patience::Endless)
    }

    fn come_with(&mut self, claim: u64, terms: Terms, patience: Patience) -> String {
        self.told(Event::Came { claim: Claim(claim), terms, patience })
    }

    fn release(&mut self, claim: u64) -> String {
        self.told(Event::Released { claim: Claim(claim) })
    }

    fn decline(&mut self, claim: u64) -> String {
        self.told(Event::Declined { claim: Claim(claim) })
    }

    fn leave(&mut self, claim: u64) -> String {
        self.told(Event::Left { claim: Claim(claim) })
    }

    /// The server answers the oldest errand.
    fn answer(&mut self, said: Said) -> String {
        let errand = self.flying.pop_front().expect("something is on its way");
        self.told(Event::Said { errand, said })
    }

    fn after(&mut self, by: Duration) -> String {
        self.now += by;
        self.told(Event::Tick)
    }

    /// The connection is lost, and with it the answers.
    fn cut(&mut self) -> String {
        let lost = Said::Failed(Failure::Passing { may_have_run: true });
        let flying: Vec<_> = self.flying.drain(..).collect();
        let said: Vec<_> = flying
            .into_iter()
            .map(|errand| self.told(Event::Said { errand, said: lost }))
            .collect();
        self.online = false;
        said.join("; ")
    }

    fn open(&mut self, fenced: bool) -> String {
        self.online = true;
        self.told(Event::Opened { fenced, same: true })
    }

    fn due(&self) -> Option<Duration> {
        self.gate.due().map(|due| due - self.begun)
    }
}

const HELD: Said = held_by(7);

const fn held_by(process: u64) -> Said {
    Said::Held { holder: process, process, left: Left::Unasked }
}

fn left(ms: u64) -> Said {
    Said::Left(Left::For(Duration::from_millis(ms)))
}

fn holding(claim: u64) -> Desk {
    let mut desk = Desk::new();
    assert_eq!(desk.come(claim), format!("ask {claim}"));
    assert_eq!(desk.answer(Said::Fresh), format!("grant {claim} until 9.978s"));
    desk
}
