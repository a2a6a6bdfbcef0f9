//! Who wants to know when something happens to a key, beside its gate.

use bytes::Bytes;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use tokio::sync::Notify;

/// One bell for each key that is watched.
#[derive(Debug, Default)]
pub(crate) struct Bells(HashMap<Bytes, Weak<Notify>>);

impl Bells {
    /// The bell of a key; it hangs for as long as somebody keeps it.
    pub(crate) fn hang(&mut self, key: &Bytes) -> Arc<Notify> {
        if let Some(bell) = self.0.get(key).and_then(Weak::upgrade) {
            return bell;
        }
        self.0.retain(|_, bell| bell.strong_count() > 0);
        let bell = Arc::new(Notify::new());
        self.0.insert(key.clone(), Arc::downgrade(&bell));
        bell
    }

    /// Whether nobody watches anything.
    pub(crate) fn are_none(&self) -> bool {
        self.0.is_empty()
    }

    /// Something happened to a key.
    pub(crate) fn ring(&mut self, key: &[u8]) {
        match self.0.get(key).map(Weak::upgrade) {
            Some(Some(bell)) => bell.notify_waiters(),
            Some(None) => drop(self.0.remove(key)),
            None => {}
        }
    }

    /// Something happened that may concern every key.
    pub(crate) fn ring_all(&mut self) {
        self.0.retain(|_, bell| bell.strong_count() > 0);
        self.0.values().filter_map(Weak::upgrade).for_each(|bell| bell.notify_waiters());
    }
}
