//! How a connection stands: the counters of `client.stats()`, and what an error says of it. Pure.

use super::State;
use crate::client::clock::Time;
use crate::client::stats::Stats;
use crate::error::Circumstances;
use crate::url::Address;

impl State {
    /// How the connection stands, for whoever gets no answer.
    pub(crate) fn circumstances(&self, now: Time, server: &Address) -> Circumstances {
        Circumstances {
            server: server.to_string(),
            silent_for: self.last_byte.map(|heard| now.since(heard)),
            queued: self.slots.unsent(),
            in_flight: self.slots.sent(),
        }
    }

    /// What has been done and is being done.
    pub(crate) fn stats(&self) -> Stats {
        let mut stats = self.stats.clone();
        stats.commands = self.slots.pushed();
        stats.queued = self.slots.unsent();
        stats.in_flight = self.slots.sent();
        stats.bytes_held = self.slots.bytes();
        stats.reconnects = stats.reconnects.saturating_sub(1);
        stats
    }
}
