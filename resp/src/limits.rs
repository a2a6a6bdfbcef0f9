//! Ceilings on what a peer may make us hold.

/// The most levels that are skipped over when a reply is nested too deep; above it, framing counts as lost. A reply of 7,995
/// levels has been seen from a genuine server.
pub(crate) const HARD_DEPTH: usize = 65_536;

/// Ceilings on what a peer may make us hold, each with a default that no healthy server reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Levels of nesting, at most [`Limits::MAX_DEPTH`]; a deeper reply is skipped and comes out as invalid. Default: 128; the
    /// deepest reply of a command of Redis has 12.
    pub depth: usize,
    /// Bytes of one string. Default: 512 MiB, as servers have it.
    pub payload: u64,
    /// Children of one aggregate. Default: 2²⁷.
    pub children: u64,
    /// Bytes of one top-level frame; what a header announces counts from its last byte on. Default: 1 GiB.
    pub frame: u64,
}

impl Limits {
    /// The most levels that [`Limits::depth`] may allow; more is taken as this many. A frame is dropped, cloned, compared and
    /// printed level by level on the caller's stack, for which this is safe within 2 MiB even in unoptimised builds.
    pub const MAX_DEPTH: usize = 1_024;
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 128, payload: 512 << 20, children: 1 << 27, frame: 1 << 30 }
    }
}
