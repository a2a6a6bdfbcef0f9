//! Locks, of the standard library or of loom: the one place where models of what is shared replace them.

#[cfg(all(test, tenure_loom))]
pub(crate) use loom::sync::{Mutex, MutexGuard};
#[cfg(not(all(test, tenure_loom)))]
pub(crate) use std::sync::{Mutex, MutexGuard};
