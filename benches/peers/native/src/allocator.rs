//! The system's allocator, with a counter that is off while time is taken.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

static ON: AtomicBool = AtomicBool::new(false);
static CALLS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
static FREED: AtomicU64 = AtomicU64::new(0);

/// The system's allocator. Made the global one by the program.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counting;

/// What was allocated, by every thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allocations {
    /// Calls of `alloc`, `alloc_zeroed` and `realloc`.
    pub calls: u64,
    /// Bytes they asked for.
    pub bytes: u64,
    /// Bytes that were given back, whenever they had been allocated.
    pub freed: u64,
}

impl Allocations {
    /// Bytes that stayed allocated.
    pub fn kept(self) -> f64 {
        self.bytes as f64 - self.freed as f64
    }
}

/// Runs `work` and tells what was allocated meanwhile. Not to be nested.
pub fn count(work: impl FnOnce()) -> Allocations {
    CALLS.store(0, Ordering::SeqCst);
    BYTES.store(0, Ordering::SeqCst);
    FREED.store(0, Ordering::SeqCst);
    ON.store(true, Ordering::SeqCst);
    work();
    ON.store(false, Ordering::SeqCst);
    let [calls, bytes, freed] =
        [&CALLS, &BYTES, &FREED].map(|counter| counter.load(Ordering::SeqCst));
    Allocations { calls, bytes, freed }
}

fn note(bytes: usize) {
    if ON.load(Ordering::Relaxed) {
        CALLS.fetch_add(1, Ordering::Relaxed);
        BYTES.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

fn note_freed(bytes: usize) {
    if ON.load(Ordering::Relaxed) {
        FREED.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator with the arguments as they came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        note_freed(layout.size());
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        note_freed(layout.size());
        unsafe { System.dealloc(at, layout) }
    }
}
