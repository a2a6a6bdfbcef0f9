//! Claims behind: of those of a gate, few ask at the same time, and one of those that stand in line is heard of for all.
//!
//! ```text
//!   came ──► coming ──► asks ── in line ──► foremost, or resting behind it ──► has the lock
//!                        ▲                              │
//!                        └────────── again ◄────────────┘ where places may be lost
//! ```
//!
//! What a claim asks for at intervals, and why the foremost can do it for all:
//!
//! | what for | who sees to it |
//! |---|---|
//! | the line does not end, and the process counts as alive | one life for all claims of a process, and one end for the whole line: whoever asks puts both off |
//! | the holder has died | the server gives the lock to the first in line, whoever asks |
//! | a grant of which no news has come | only the first in line is given the lock, and who of ours stands before all others of ours has asked by then |
//! | the line is gone, with all that the server knew or by itself | an answer says that a place is new or was not needed, or that nobody waits: then everybody asks |
//! | the server has taken us for dead, and passed some of us over | the answer comes so long after the one before that it may have: then everybody asks |
//! | the connection was lost, or an answer is overdue | everybody asks, on the next one if need be |
//! | grants are not told, because somebody may not publish | one is found by asking: from then on everybody asks, as where nobody may listen |
//!
//! So whatever is out of the ordinary makes everybody ask again, in the order in which they came to stand in line. To rest is only
//! to save commands: a claim rests while another one, which came to stand there before, is known to stand there and asks. That is
//! looked at in one place, after every event. Once the foremost has the lock or has gone, the next one takes over, no later than it
//! would have asked. A claim that is given the lock, or goes, is called up for that.

use super::{ALIVE, Doing, Fair};
use crate::lock::gate::head::Waiter;
use crate::lock::gate::line::earlier;
use crate::lock::gate::places::Places;
use crate::lock::gate::words::Claim;
use crate::lock::hold::Clocks;
use crate::seam::after;
use std::time::Duration;
use tokio::time::Instant;

/// For how long a process counts as alive, at least, after one of its claims has asked: `fair_ask.lua` puts that off only where less
/// is left of it.
const LIVES: Duration = Duration::from_millis(ALIVE.as_millis() as u64 * 4 / 5);

/// Who is behind, and what is known of the line.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Behind {
    /// Those who have not asked yet.
    coming: Places,
    /// Those who are to ask again, and may still stand in line.
    again: Places,
    /// Those who stand in line.
    resting: Places,
    /// No one of them gives up before.
    gives_up: Option<Instant>,
    /// Until when a connection that could not be fenced off may still bring a value of those who have asked.
    haunted: Option<Instant>,
    /// When such a connection was followed by another one.
    unfenced: Option<Instant>,
    /// When the foremost is to ask, or was to.
    asks_at: Option<Instant>,
    /// There has been another connection since some of those have asked who are to ask again.
    reopened: bool,
    /// A grant was found of which nothing had been told.
    pub(super) untold: bool,
    /// When the line was asked for a place last, and what time it was then at the server, at the earliest.
    placed: Option<(Clocks, u64)>,
}

impl Behind {
    pub(crate) fn is_empty(&self) -> bool {
        self.coming.is_empty() && self.again.is_empty() && self.resting.is_empty()
    }

    /// Whether somebody is to ask.
    pub(super) fn is_waiting(&self) -> bool {
        !self.coming.is_empty() || !self.again.is_empty()
    }

    pub(super) fn gives_up(&self) -> Option<Instant> {
        self.gives_up.filter(|_| !self.is_empty())
    }

    /// The earliest time here at which it can have been `at_us` at the server, as was heard at these `clocks`, if it was no earlier
    /// than when it told the time last.
    pub(super) fn since(&self, at_us: u64, clocks: Clocks) -> Option<Instant> {
        let (asked, then_us) = self.placed?;
        let passed = Duration::from_micros(at_us.checked_sub(then_us)?);
        let since = after(asked.now, passed - passed / 500);
        // Where more time has passed there than here, nobody knows when it was.
        let since = Some(defect!(48, clocks.now, since)).filter(|since| *since <= clocks.now)?;
        // What the machine has slept since it asked may all have come behind that, and does not show in this clock.
        since.checked_sub(defect!(61, Duration::ZERO, clocks.slept(asked)))
    }

    /// The line was asked then, at that time of the server's. Whether it may have taken us for dead since it was asked before.
    pub(super) fn note_time(&mut self, asked: Option<Clocks>, at_us: u64) -> bool {
        let before = std::mem::replace(&mut self.placed, asked.map(|asked| (asked, at_us)));
        before.is_some_and(|(_, before_us)| {
            Duration::from_micros(at_us.saturating_sub(before_us)) > LIVES
        })
    }

    /// The foremost is to ask then.
    pub(super) fn note_turn(&mut self, asks_at: Instant) {
        self.asks_at = Some(asks_at);
    }

    /// There is another connection, perhaps to a server that knows nothing of us, and whose clock says nothing about this one's.
    pub(super) fn opened(&mut self, fenced: bool, now: Instant) {
        (self.placed, self.untold, self.reopened) = (None, false, true);
        self.unfenced = if fenced { self.unfenced } else { Some(now) };
    }

    pub(super) fn come(&mut self, waiter: Waiter, arrival: u64) {
        self.gives_up = earlier(self.gives_up, waiter.patience.end());
        self.coming.insert(waiter, arrival);
    }

    /// As whichever the last one arrived.
    pub(super) fn last(&self) -> Option<u64> {
        let all = [&self.coming, &self.again, &self.resting];
        all.into_iter().filter_map(Places::last_arrival).max()
    }

    /// The next one that has not asked yet.
    pub(super) fn comes(&mut self) -> Option<(Waiter, u64)> {
        self.coming.pop_earliest()
    }

    pub(super) fn rest(&mut self, fair: &Fair) {
        self.note(fair);
        self.resting.insert(fair.waiter, fair.arrival);
    }

    /// The claim is to ask once more, if it has asked at all.
    pub(super) fn ask_again(&mut self, fair: &Fair) {
        self.note(fair);
        let places = if fair.asked { &mut self.again } else { &mut self.coming };
        places.insert(fair.waiter, fair.arrival);
    }

    fn note(&mut self, fair: &Fair) {
        self.gives_up = earlier(self.gives_up, fair.waiter.patience.end());
        self.haunted = self.haunted.max(fair.haunted);
    }

    /// All those who rest are to ask again.
    pub(super) fn recall(&mut self) {
        while let Some((waiter, arrival)) = self.resting.pop_earliest() {
            self.again.insert(waiter, arrival);
        }
    }

    /// The next one that is to ask again.
    pub(super) fn asks_again(&mut self, now: Instant) -> Option<Fair> {
        self.again.pop_earliest().map(|asked| self.call_up(asked, now))
    }

    /// The next one that rests.
    pub(super) fn takes_over(&mut self, now: Instant) -> Option<Fair> {
        self.resting.pop_earliest().map(|rested| self.stand_up(rested, now))
    }

    /// Whoever was to ask on this connection has, if nobody is left.
    pub(super) fn settle(&mut self) {
        self.reopened &= !self.again.is_empty();
    }

    /// Forgets what mattered to those who were there.
    pub(super) fn tidy(&mut self) {
        (self.gives_up, self.asks_at, self.haunted) = (None, None, None);
    }

    /// A claim that has asked.
    pub(super) fn take(&mut self, claim: Claim, now: Instant) -> Option<Fair> {
        if let Some(rested) = self.resting.take(claim) {
            return Some(self.stand_up(rested, now));
        }
        self.again.take(claim).map(|asked| self.call_up(asked, now))
    }

    /// Whether a claim that has not asked is there no more.
    pub(super) fn forget(&mut self, claim: Claim) -> bool {
        self.coming.remove(claim)
    }

    /// Those whose patience is over: who has asked, and who has not.
    pub(super) fn give_up(&mut self, now: Instant) -> (Vec<Fair>, Vec<(Waiter, u64)>) {
        if self.gives_up.is_none_or(|due| now < due) {
            return (Vec::new(), Vec::new());
        }
        self.gives_up = None;
        let gives_up = &mut self.gives_up;
        let [asked, more, unasked] =
            [&mut self.resting, &mut self.again, &mut self.coming].map(|places| {
                places.take_those(|patience| {
                    let over = patience.end().is_some_and(|end| now >= end);
                    *gives_up = if over { *gives_up } else { earlier(*gives_up, patience.end()) };
                    over
                })
            });
        let asked = asked.into_iter().chain(more).map(|asked| self.call_up(asked, now));
        (asked.collect(), unasked)
    }

    /// The claim still stands in line, and is to ask when whoever was foremost would have.
    fn stand_up(&self, rested: (Waiter, u64), now: Instant) -> Fair {
        let until = self.asks_at.map_or(now, |asks_at| asks_at.max(now));
        Fair { doing: Doing::Waiting { until }, stands: true, ..self.call_up(rested, now) }
    }

    /// The claim is to ask, and may not stand in line any more.
    fn call_up(&self, (waiter, arrival): (Waiter, u64), now: Instant) -> Fair {
        let lease = waiter.terms.lease.no_shorter_than(ALIVE);
        let haunted = self.unfenced.map(|opened| lease.surely_over(opened)).max(self.haunted);
        let (doing, asked, listens) = (Doing::Waiting { until: now }, true, true);
        let (stands, hears, tries, late) = (false, !self.reopened, 0, false);
        Fair { waiter, arrival, doing, asked, listens, stands, hears, haunted, tries, late }
    }
}
