//! What a world is like, and how much may go wrong in it.

use super::world::Minting;
use crate::lock::gate::{Ears, Terms};
use crate::lock::lease::Lease;
use std::time::Duration;
use tokio::time::Instant;

/// What the server and the connections do; the rest is up to the processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) begun: Instant,
    pub(super) terms: Terms,
    /// How the server mints, where terms want fences.
    pub(super) minting: Minting,
    pub(super) patience: Option<Duration>,
    pub(super) ears: Ears,
    /// Whether the server's clock is as fast as leases allow for, or as slow.
    pub(super) fast: bool,
    /// Whether processes cannot be told from one another, so that states which differ in nothing else are one.
    pub(super) alike: bool,
    /// Whether the server tells those who are gone or cut off as if they were there.
    pub(super) half_open: bool,
}

impl Setting {
    /// When the server ends a lease that begins now.
    pub(super) fn until(&self, lease: Lease, now: Instant) -> Instant {
        if self.fast { lease.deadline(now) } else { lease.surely_over(now) }
    }
}

/// How often this and that may still happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Faults {
    pub(super) cuts: u8,
    pub(super) crashes: u8,
    pub(super) pauses: u8,
    /// Answers that come too late to be waited for.
    pub(super) overdue: u8,
    /// Commands that the server does not carry out.
    pub(super) refusals: u8,
    /// Times that the server loses what it knows, or the fences only.
    pub(super) flushes: u8,
    /// Writes to what the lock protects, each of them late at will.
    pub(super) writes: u8,
    /// Callers who go away.
    pub(super) leaves: u8,
    /// Times that something stays on its way while time passes.
    pub(super) delays: u8,
}
