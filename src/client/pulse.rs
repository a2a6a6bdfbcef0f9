//! Notices a server that is not there any more, without any help of the operating system: a half-open connection, a frozen
//! process, a cable that was pulled.
//!
//! Nothing heard for `keepalive` and no answer owed: the canary asks. An answer owed and nothing heard for `stall_timeout`: the
//! connection is lost. Both from the last byte that came, so a long reply that keeps coming is no silence. A call whose caller
//! said how long it may take, longer than calls usually do, is given that time before its silence counts.

use crate::client::shared::Shared;
use crate::config::Config;
use crate::seam::after;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// The timer behind one open socket.
pub(crate) struct Pulse {
    timer: Pin<Box<Sleep>>,
    heard: Instant,
}

impl Pulse {
    /// Of a socket that answered just now.
    pub(crate) fn new(config: &Config) -> Self {
        let now = Instant::now();
        Self { timer: Box::pin(sleep_until(after(now, config.keepalive))), heard: now }
    }

    /// Something came.
    pub(crate) fn heard(&mut self) {
        self.heard = Instant::now();
    }

    /// Queues the question when it is time; gives the silence that is too long once it is.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, shared: &Shared) -> Option<Duration> {
        let (keepalive, stall) = (shared.config.keepalive, shared.config.stall_timeout);
        loop {
            let owed = shared.lock().slots.owed(shared.config.response_timeout);
            let due = match owed {
                Some(owed) => after(owed.since.max(self.heard), stall).max(owed.allowed_until),
                None => after(self.heard, keepalive),
            };
            // A timer that rings too early finds out and waits on; one that would ring too late is moved.
            if due < self.timer.deadline() || self.timer.is_elapsed() {
                self.timer.as_mut().reset(due);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return None;
            }
            let now = Instant::now();
            if now < due {
                continue;
            }
            if owed.is_some() {
                return Some(now.saturating_duration_since(self.heard));
            }
            self.heard = now; // the next question comes a whole interval later
            self.timer.as_mut().reset(after(now, keepalive.min(stall)));
            let mut state = shared.lock();
            state.slots.doubt();
            state.let_canary_sing(now);
        }
    }
}
