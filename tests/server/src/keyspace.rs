//! Keys, values and their expiry, told what time it is. Pure.
//!
//! Invariant: nothing here ever hands out a key whose expiry has passed; [`Keyspace::take_expired`] says which ones went
//! so that others can be told.

use crate::stream::Stream;
use crate::zset::Zset;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

/// What a key holds.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(Bytes),
    List(VecDeque<Bytes>),
    Hash(BTreeMap<Bytes, Bytes>),
    Set(BTreeSet<Bytes>),
    Zset(Zset),
    Stream(Stream),
}

impl Value {
    /// What `TYPE` says.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "string",
            Self::List(_) => "list",
            Self::Hash(_) => "hash",
            Self::Set(_) => "set",
            Self::Zset(_) => "zset",
            Self::Stream(_) => "stream",
        }
    }

    /// Whether a key that holds this goes away; an empty stream or string stays.
    fn is_spent(&self) -> bool {
        match self {
            Self::Text(_) | Self::Stream(_) => false,
            Self::List(list) => list.is_empty(),
            Self::Hash(hash) => hash.is_empty(),
            Self::Set(set) => set.is_empty(),
            Self::Zset(zset) => zset.is_empty(),
        }
    }
}

/// A value with the moment at which it goes, in milliseconds since 1970.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) value: Value,
    pub(crate) expires_at: Option<i64>,
}

impl Entry {
    pub(crate) fn expired(&self, now_ms: i64) -> bool {
        self.expires_at.is_some_and(|at| at < now_ms)
    }
}

/// One numbered database.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keyspace {
    entries: HashMap<Bytes, Entry>,
    /// No key expires before this.
    earliest: Option<i64>,
}

impl Keyspace {
    /// Removes `key` if its time is over, and says whether it did.
    pub(crate) fn take_expired(&mut self, key: &[u8], now_ms: i64) -> bool {
        let expired = self.entries.get(key).is_some_and(|entry| entry.expired(now_ms));
        if expired {
            self.entries.remove(key);
        }
        expired
    }

    /// Removes and names every key whose time is over.
    pub(crate) fn take_all_expired(&mut self, now_ms: i64) -> Vec<Bytes> {
        let over = self.entries.iter().filter(|(_, entry)| entry.expired(now_ms));
        let mut keys: Vec<_> = over.map(|(key, _)| key.clone()).collect();
        keys.sort();
        for key in &keys {
            self.entries.remove(key);
        }
        self.earliest = self.entries.values().filter_map(|entry| entry.expires_at).min();
        keys
    }

    /// A time before which no key expires; none if none will.
    pub(crate) fn earliest_expiry(&self) -> Option<i64> {
        self.earliest
    }

    fn note_expiry(&mut self, expires_at: Option<i64>) {
        let both = self.earliest.into_iter().chain(expires_at);
        self.earliest = both.min();
    }

    /// Sets when a key goes, if it is there.
    pub(crate) fn set_expiry(&mut self, key: &[u8], expires_at: Option<i64>) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.expires_at = expires_at;
            self.note_expiry(expires_at);
        }
    }

    /// The entry of a key that has not expired: call [`Keyspace::take_expired`] first.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&Entry> {
        self.entries.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &[u8]) -> Option<&mut Entry> {
        self.entries.get_mut(key)
    }

    /// Stores a value. The bytes are copied, so that a small one never keeps a receive buffer alive.
    pub(crate) fn put(&mut self, key: &[u8], value: Value, expires_at: Option<i64>) {
        self.note_expiry(expires_at);
        let entry = Entry { value, expires_at };
        match self.entries.get_mut(key) {
            Some(held) => *held = entry,
            None => {
                self.entries.insert(Bytes::copy_from_slice(key), entry);
            }
        }
    }

    /// The value of a key that has not expired, made if the key is missing.
    pub(crate) fn get_or_put(&mut self, key: &[u8], make: impl FnOnce() -> Value) -> &mut Value {
        let key = Bytes::copy_from_slice(key);
        let new = || Entry { value: make(), expires_at: None };
        &mut self.entries.entry(key).or_insert_with(new).value
    }

    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        self.entries.remove(key)
    }

    /// Removes a key whose collection has become empty.
    pub(crate) fn remove_if_spent(&mut self, key: &[u8]) {
        if self.entries.get(key).is_some_and(|entry| entry.value.is_spent()) {
            self.entries.remove(key);
        }
    }

    /// Every live key, in order of its bytes.
    pub(crate) fn keys(&self, now_ms: i64) -> Vec<Bytes> {
        let live = self.entries.iter().filter(|(_, entry)| !entry.expired(now_ms));
        let mut keys: Vec<_> = live.map(|(key, _)| key.clone()).collect();
        keys.sort();
        keys
    }

    /// Number of keys, with those that expired and that nobody has asked for since.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Number of keys that will expire.
    pub(crate) fn expiring(&self) -> usize {
        self.entries.values().filter(|entry| entry.expires_at.is_some()).count()
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.earliest = None;
    }

    /// Bytes of keys and strings: what counts as used memory.
    pub(crate) fn bytes(&self) -> usize {
        let held = |entry: &Entry| match &entry.value {
            Value::Text(text) => text.len(),
            _ => 64,
        };
        self.entries.iter().map(|(key, entry)| 64 + key.len() + held(entry)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_lives_through_the_millisecond_of_its_expiry_and_not_longer() {
        let mut keys = Keyspace::default();
        keys.put(b"k", Value::Text(Bytes::from_static(b"v")), Some(1000));
        assert!(!keys.take_expired(b"k", 1000));
        assert_eq!(keys.keys(1001), Vec::<Bytes>::new());
        assert!(keys.take_expired(b"k", 1001));
        assert!(keys.get(b"k").is_none());
    }

    #[test]
    fn the_earliest_expiry_is_never_later_than_that_of_a_key() {
        let mut keys = Keyspace::default();
        let text = || Value::Text(Bytes::new());
        keys.put(b"late", text(), Some(3000));
        keys.put(b"stays", text(), None);
        assert_eq!(keys.earliest_expiry(), Some(3000));
        keys.set_expiry(b"stays", Some(1000));
        assert_eq!(keys.earliest_expiry(), Some(1000));
        assert_eq!(keys.take_all_expired(1001), vec![Bytes::from_static(b"stays")]);
        assert_eq!(keys.earliest_expiry(), Some(3000));
    }

    #[test]
    fn an_emptied_collection_takes_its_key_along() {
        let mut keys = Keyspace::default();
        keys.put(b"l", Value::List(VecDeque::new()), None);
        keys.put(b"t", Value::Text(Bytes::new()), None);
        keys.remove_if_spent(b"l");
        keys.remove_if_spent(b"t");
        assert_eq!(keys.keys(0), vec![Bytes::from_static(b"t")]);
    }
}
