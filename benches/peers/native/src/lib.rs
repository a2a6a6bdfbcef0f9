//! What cannot be measured without `unsafe`: hiredis, which is C, and an allocator that counts only while it is asked to.
//!
//! Crates with counting allocators count always, and the time that this takes would be charged to the peers, which
//! allocate more than we do. This one costs a load and a branch while it is off.

mod allocator;
mod hiredis;

pub use allocator::{Allocations, Counting, count};
pub use hiredis::{Reader, Reply, format_command};
