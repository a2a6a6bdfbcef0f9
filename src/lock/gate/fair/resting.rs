//! Claims that rest: of those of a gate that stand in line, the foremost alone is heard of, and the others sleep behind it.
//!
//! What a claim asks for at intervals is for, and why one of them can do it for all:
//!
//! | what for | who sees to it |
//! |---|---|
//! | the line does not end, and the process counts as alive | one life for all claims of a process, and one end for the whole line: whoever asks puts both off |
//! | the holder has died | the server gives the lock to the first in line, whoever asks |
//! | a grant of which no news has come | only the first in line is given the lock, and who of ours stands before all others of ours has asked by then |
//! | the line is gone, with all that the server knew or by itself | the answer says that the place is new: then everybody asks |
//! | the server has taken us for dead, and passed some of us over | the answer comes so long after the one before that we may have been: then everybody asks |
//! | the connection was lost | everybody asks on the next one |
//!
//! So a place can be lost only where everybody asks again for theirs. Once the foremost has the lock or has gone, the next one takes
//! over, no later than it would have asked. A claim that is given the lock, or goes, is called up for that.

use super::{ALIVE, BEAT, Doing, Fair};
use crate::lock::gate::Gate;
use crate::lock::gate::head::Waiter;
use crate::lock::gate::line::earlier;
use crate::lock::gate::places::Places;
use crate::lock::gate::words::{Claim, Event, Order, Said, Scene};
use crate::seam::after;
use std::time::Duration;
use tokio::time::Instant;

/// For how long a process counts as alive, at least, after one of its claims has asked: `fair_ask.lua` puts that off only where less
/// is left of it.
const LIVES: Duration = Duration::from_millis(ALIVE.as_millis() as u64 * 4 / 5);
/// Room for so many claims that ask is kept, whether it is needed or not.
const KEPT: usize = 16;

/// Who rests, and what is known of the line.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Resting {
    places: Places,
    /// No one of them gives up before.
    gives_up: Option<Instant>,
    /// Until when a connection that could not be fenced off may still bring a value of theirs.
    haunted: Option<Instant>,
    /// When the next one is to ask that is called up.
    asks_at: Option<Instant>,
    /// When the line was asked for a place last, and what time it was then at the server, at the earliest.
    placed: Option<(Instant, u64)>,
}

impl Resting {
    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(super) fn gives_up(&self) -> Option<Instant> {
        self.gives_up.filter(|_| !self.is_empty())
    }

    /// The earliest time here at which it can have been `at_us` at the server, if it was no earlier than when it told the time last.
    pub(super) fn since(&self, at_us: u64, now: Instant) -> Option<Instant> {
        let (asked, then_us) = self.placed?;
        let passed = Duration::from_micros(at_us.checked_sub(then_us)?);
        Some(defect!(48, now, after(asked, passed - passed / 500).min(now)))
    }

    /// Another server's clock says nothing about this one's.
    pub(super) fn forget_time(&mut self) {
        self.placed = None;
    }

    fn push(&mut self, fair: &Fair) {
        let Fair { waiter, haunted, .. } = *fair;
        self.gives_up = earlier(self.gives_up, waiter.patience.end());
        self.haunted = self.haunted.max(haunted);
        self.places.push_last(waiter);
    }

    /// The claim is to ask when whoever was foremost would have.
    fn call_up(&self, waiter: Waiter, now: Instant) -> Fair {
        let until =
            self.asks_at.filter(|asks_at| *asks_at > now).unwrap_or_else(|| after(now, BEAT));
        let (doing, haunted) = (Doing::Waiting { until }, self.haunted);
        Fair { waiter, doing, asked: true, listens: true, stands: true, haunted, tries: 0 }
    }
}

impl Gate {
    /// Calls up whoever an event concerns.
    pub(super) fn call_up_for(&mut self, event: Event, scene: &Scene) {
        if self.resting.is_empty() {
            return;
        }
        match event {
            Event::Given(given) => self.call_up(given.claim, scene.now),
            Event::Left { claim } => self.call_up(claim, scene.now),
            Event::Deafened if scene.ears.told => {}
            Event::Flushed
            | Event::Opened { .. }
            | Event::Refused
            | Event::Deafened
            | Event::Closing
            | Event::Closed => self.call_all_up(scene.now),
            Event::Tick => self.call_up_whose_time_is_over(scene.now),
            _ => {}
        }
    }

    fn call_up(&mut self, claim: Claim, now: Instant) {
        if let Some(waiter) = self.resting.places.take(claim) {
            let fair = self.resting.call_up(waiter, now);
            self.fair.push_back(fair);
        }
    }

    /// In their order, behind the foremost and before those who have come since.
    fn call_all_up(&mut self, now: Instant) {
        let behind = self.foremost().map_or(0, |at| at + 1);
        let mut others = self.fair.split_off(behind);
        while let Some(waiter) = self.resting.places.pop_first() {
            self.fair.push_back(self.resting.call_up(waiter, now));
        }
        self.fair.append(&mut others);
    }

    fn call_up_whose_time_is_over(&mut self, now: Instant) {
        let Resting { places, gives_up, .. } = &mut self.resting;
        if gives_up.is_none_or(|due| now < due) {
            return;
        }
        *gives_up = None;
        let mut over = Vec::new();
        places.retain_or_give(
            |patience| {
                let stays = patience.end().is_none_or(|end| now < end);
                if stays {
                    *gives_up = earlier(*gives_up, patience.end());
                }
                stays
            },
            &mut over,
        );
        for waiter in over {
            self.fair.push_back(self.resting.call_up(waiter, now));
        }
    }

    /// Who of those that ask stands before all others of ours.
    fn foremost(&self) -> Option<usize> {
        self.fair.iter().position(Fair::leads)
    }

    /// A claim was told its place, by a command sent then, and knew before whether it `stood` in line.
    pub(super) fn took_place(
        &mut self,
        at: usize,
        (sent, stood, said): (Instant, bool, Said),
        scene: &Scene,
        orders: &mut Vec<Order>,
    ) {
        let Said::Placed { at_us, anew, .. } = said else { return };
        let Some(&Fair { doing: Doing::Waiting { until }, listens: true, .. }) = self.fair.get(at)
        else {
            return;
        };
        let before = self.resting.placed.replace((sent, at_us));
        let forgotten = before.is_some_and(|(_, before_us)| {
            Duration::from_micros(at_us.saturating_sub(before_us)) > LIVES
        });
        let first = self.foremost() == Some(at);
        if first {
            self.resting.asks_at = Some(until);
        }
        if forgotten && !defect!(55) || stood && anew && !defect!(56) {
            self.call_all_up(scene.now);
            let others =
                self.fair.iter_mut().enumerate().filter(|(other, _)| !first || *other != at);
            others
                .filter(|(_, fair)| fair.leads())
                .for_each(|(_, fair)| fair.unsettled(scene, orders));
        } else if !first {
            self.rest(at);
        }
    }

    fn rest(&mut self, at: usize) {
        let Some(fair) = self.fair.remove(at) else { return };
        self.resting.push(&fair);
        if self.fair.capacity() > KEPT.max(4 * self.fair.len()) {
            self.fair.shrink_to(KEPT.max(2 * self.fair.len()));
        }
    }

    /// Sees to it that somebody asks while others rest.
    pub(super) fn relieve(&mut self, now: Instant) {
        if self.resting.is_empty() {
            if self.fair.is_empty() {
                self.resting = Resting::default();
            }
            return;
        }
        if self.foremost().is_some() || defect!(54) {
            return;
        }
        if let Some(waiter) = self.resting.places.pop_first() {
            self.fair.push_front(self.resting.call_up(waiter, now));
        }
    }
}
