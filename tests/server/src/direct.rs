//! Direct access to the data, for tests that look behind the server's back. Pure.

use crate::clock::Now;
use crate::keyspace::Value;
use crate::state::State;
use bytes::Bytes;

/// The database that direct access goes to.
const DB: usize = 0;

impl State {
    fn expire_direct(&mut self, key: &Bytes, now: Now) {
        if self.db(DB).take_expired(key, now.ms()) {
            self.modified(DB, key, None);
        }
    }

    pub(crate) fn peek_keys(&mut self, now: Now) -> Vec<Bytes> {
        self.db(DB).keys(now.ms())
    }

    /// The string under a key.
    pub(crate) fn peek(&mut self, key: &Bytes, now: Now) -> Option<Bytes> {
        self.expire_direct(key, now);
        match &self.db(DB).get(key)?.value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    /// Milliseconds that a key has left; none if it stays or is not there.
    pub(crate) fn peek_ttl(&mut self, key: &Bytes, now: Now) -> Option<u64> {
        self.expire_direct(key, now);
        let left = self.db(DB).get(key)?.expires_at? - now.ms();
        u64::try_from(left).ok()
    }

    pub(crate) fn poke(&mut self, key: &Bytes, value: Value, expires_at: Option<i64>) {
        self.db(DB).put(key, value, expires_at);
        self.modified(DB, key, None);
    }

    pub(crate) fn poke_away(&mut self, key: &Bytes, now: Now) -> bool {
        self.expire_direct(key, now);
        let removed = self.db(DB).remove(key).is_some();
        if removed {
            self.modified(DB, key, None);
        }
        removed
    }

    /// What `FLUSHALL` does.
    pub(crate) fn flush_everything(&mut self, now: Now) {
        for index in 0..self.dbs.len() {
            self.flush_db(index, now);
        }
        self.invalidate_all();
    }

    /// Empties one database, and leaves it to the caller to tell those who track keys.
    pub(crate) fn flush_db(&mut self, index: usize, now: Now) {
        let gone = self.db(index).keys(now.ms());
        self.break_watches(index, &gone);
        self.db(index).clear();
    }
}
