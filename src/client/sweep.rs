//! One timer for the deadlines of all callers of a connection: arming a timer for each call would cost more than the call.

use crate::client::listener::Outbox;
use crate::client::shared::Shared;
use std::pin::Pin;
use std::task::Context;
use tokio::time::{Instant, Sleep, sleep_until};

/// The timer for the deadlines of all callers.
#[derive(Default)]
pub(crate) struct Sweep {
    timer: Option<Pin<Box<Sleep>>>,
}

impl Sweep {
    /// Answers the callers whose deadline has come, and sleeps until the next one.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, shared: &Shared, out: &mut Outbox) {
        loop {
            let Some(at) = shared.lock().sweep_at else { return };
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
            if timer.deadline() != at {
                timer.as_mut().reset(at);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return;
            }
            {
                let mut state = shared.lock();
                state.expire(Instant::now(), out);
            }
            out.deliver(shared.listener());
        }
    }
}
