//! What a gate is told of lines alone.

use crate::lock::fence::FencingToken;
use crate::lock::gate::words::Claim;

/// A lock that the server gave to the first in line, without having been asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Given {
    pub(crate) claim: Claim,
    /// When it did, in microseconds of its own clock.
    pub(crate) at_us: u64,
    pub(crate) fence: Option<FencingToken>,
}

/// How somebody who asks for a fair lock comes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Found {
    /// Nobody had it, and the claim did not stand in line.
    Free,
    /// The claim was the first in line.
    Turn,
    /// It had been given to the claim already.
    Ours,
}
