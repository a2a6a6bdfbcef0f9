//! The one timer of a driver, for the deadlines of all callers and the pulse of the server: arming a timer for each call
//! would cost more than the call.
//!
//! It is moved forward only. What it was set for has mostly been done when it rings; then it is set again, once per time-out
//! and not once per call.

use crate::client::clock::{Clock, Time};
use std::pin::{Pin, pin};
use std::task::Context;
use tokio::task::unconstrained;
use tokio::time::{Sleep, sleep_until};

/// A timer that wakes the driver.
#[derive(Debug)]
pub(crate) struct Alarm {
    timer: Option<Pin<Box<Sleep>>>,
    at: Time,
}

impl Alarm {
    pub(crate) fn new() -> Self {
        Self { timer: None, at: Time::NEVER }
    }

    /// Whether it has rung since it was set.
    pub(crate) fn rang(&mut self) -> bool {
        let set = self.at != Time::NEVER;
        let rang = set && self.timer.as_ref().is_some_and(|timer| timer.is_elapsed());
        if rang {
            self.at = Time::NEVER;
        }
        rang
    }

    /// Rings at `due`, or earlier if it was set to that before.
    #[inline]
    pub(crate) fn set(&mut self, due: Time, clock: &Clock, cx: &mut Context<'_>) {
        if due < self.at {
            self.move_to(due, clock, cx);
        }
    }

    #[cold]
    fn move_to(&mut self, due: Time, clock: &Clock, cx: &mut Context<'_>) {
        self.at = due;
        let at = clock.instant(due);
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if timer.deadline() != at {
            timer.as_mut().reset(at);
        }
        // A task that has used up its budget must not be left without the timer it goes by.
        if pin!(unconstrained(timer.as_mut())).poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }
}
