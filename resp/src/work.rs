//! How many bytes of input were looked at: a bound on it is a promise, so tests count.
//!
//! Only with the feature `count-work`; without it, counting compiles to nothing.

#[cfg(feature = "count-work")]
use std::cell::Cell;

#[cfg(feature = "count-work")]
thread_local! {
    static LOOKED: Cell<u64> = const { Cell::new(0) };
}

/// How many bytes all decoders on this thread have looked at so far, those looked at twice counted twice.
#[cfg(feature = "count-work")]
pub fn examined() -> u64 {
    LOOKED.get()
}

/// These many bytes are looked at, for the first time or again. The passes over the text of a number, 32 bytes or 8 KiB at most,
/// count as one.
#[cfg(feature = "count-work")]
pub(crate) fn look(bytes: usize) {
    LOOKED.set(LOOKED.get() + bytes as u64);
}

/// Costs nothing where nobody counts.
#[cfg(not(feature = "count-work"))]
#[inline(always)]
pub(crate) fn look(_: usize) {}
