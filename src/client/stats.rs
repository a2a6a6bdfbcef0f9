//! What a client has done and is doing: counters that are kept under a lock that is taken anyway.

use crate::client::clock::Span;
use crate::client::handle::Client;
use std::time::Duration;

/// From 1 ns to 64 s and more.
const BUCKETS: usize = 37;

/// Counts of a [`Client`]'s data connections since it connected, and what is on its way; made by [`Client::stats`].
///
/// What connections of their own do (locks, subscriptions, commands that wait) is not in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Commands that were queued. A batch counts as one.
    pub commands: u64,
    /// Bytes that were written to the sockets.
    pub bytes_out: u64,
    /// Bytes that were read from them.
    pub bytes_in: u64,
    /// Writes that took something.
    pub writes: u64,
    /// Reads that gave something.
    pub reads: u64,
    /// Connections that were opened after the first.
    pub reconnects: u64,
    /// Commands whose caller got no answer in time.
    pub timeouts: u64,
    /// Commands that are queued and not written.
    pub queued: usize,
    /// Commands that were written and not answered.
    pub in_flight: usize,
    /// Bytes of both.
    pub bytes_held: usize,
    round_trips: RoundTrips,
}

/// How many round trips took how long, in powers of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RoundTrips([u64; BUCKETS]);

impl Default for RoundTrips {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

impl Stats {
    /// How many commands left in one write, on average.
    pub fn commands_per_write(&self) -> f64 {
        if self.writes == 0 { 0.0 } else { self.commands as f64 / self.writes as f64 }
    }

    /// How many round trips took less than each duration, and at least as long as the one before it. The durations are powers of
    /// two in nanoseconds; the last one stands for all that took longer. A round trip begins when the driver sees a command, and
    /// ends when it has read the reply.
    pub fn round_trips(&self) -> impl Iterator<Item = (Duration, u64)> {
        let bounds = (0..BUCKETS as u32).map(|power| Duration::from_nanos(2 << power));
        bounds.zip(self.round_trips.0)
    }

    /// So many replies took so long each.
    pub(crate) fn took(&mut self, round_trip: Span, replies: u64) {
        let power = round_trip.nanos().checked_ilog2().unwrap_or_default() as usize;
        if let Some(count) = self.round_trips.0.get_mut(power.min(BUCKETS - 1)) {
            *count += replies;
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.commands += other.commands;
        self.bytes_out += other.bytes_out;
        self.bytes_in += other.bytes_in;
        self.writes += other.writes;
        self.reads += other.reads;
        self.reconnects += other.reconnects;
        self.timeouts += other.timeouts;
        self.queued += other.queued;
        self.in_flight += other.in_flight;
        self.bytes_held += other.bytes_held;
        for (count, more) in self.round_trips.0.iter_mut().zip(other.round_trips.0) {
            *count += more;
        }
    }
}

impl Client {
    /// What the client has done so far and is doing now. Costs one short lock for each data connection.
    pub fn stats(&self) -> Stats {
        self.data_stats()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_are_counted_by_powers_of_two_to_the_longest() {
        let mut stats = Stats::default();
        for nanos in [0, 1, 2, 3, 1024, 2047, u64::MAX] {
            stats.took(Span::of(Duration::from_nanos(nanos)), 1);
        }
        let counted: Vec<_> = stats.round_trips().filter(|(_, count)| *count > 0).collect();
        let nanos = Duration::from_nanos;
        let longest = nanos(2 << (BUCKETS - 1));
        assert_eq!(counted, [(nanos(2), 2), (nanos(4), 2), (nanos(2048), 2), (longest, 1)]);
        assert!(longest > Duration::from_secs(64));
    }
}
