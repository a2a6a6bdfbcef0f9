//! One command being run: the data it may touch, on behalf of whom, at what time. Pure.

use crate::clock::Now;
use crate::keyspace::{Entry, Keyspace, Value};
use crate::profile::Profile;
use crate::refusal::{Refusal, WRONG_TYPE};
use crate::session::{ClientId, Session};
use crate::state::State;
use bytes::Bytes;
use resp::Protocol;

/// A command being run.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) id: ClientId,
    pub(crate) now: Now,
    /// Inside a script.
    pub(crate) scripted: bool,
    /// Which database, protocol and profile it runs with.
    pub(crate) db: usize,
    pub(crate) protocol: Protocol,
    pub(crate) profile: Profile,
}

impl<'a> Call<'a> {
    /// A command of connection `id`; none if that has gone.
    pub(crate) fn new(state: &'a mut State, id: ClientId, now: Now) -> Option<Self> {
        let session = state.sessions.get(&id)?;
        let (db, protocol, profile) = (session.db, session.protocol, state.profile);
        Some(Self { state, id, now, scripted: false, db, protocol, profile })
    }

    /// Does something to the connection whose command this is.
    pub(crate) fn session<R>(&mut self, change: impl FnOnce(&mut Session) -> R) -> Option<R> {
        self.state.sessions.get_mut(&self.id).map(change)
    }

    pub(crate) fn keyspace(&mut self) -> &mut Keyspace {
        self.state.db(self.db)
    }

    /// Lets `key` expire if its time is over.
    fn expire(&mut self, key: &Bytes) {
        let now_ms = self.now.ms();
        if self.keyspace().take_expired(key, now_ms) {
            // Up to 6.2 nobody counts as the one who let it expire, so NOLOOP does not hold the push back.
            let actor = self.profile.since_7_0().then_some(self.id);
            self.state.modified(self.db, key, actor);
        }
    }

    /// The live entry of a key.
    pub(crate) fn entry(&mut self, key: &Bytes) -> Option<&Entry> {
        self.expire(key);
        self.keyspace().get(key)
    }

    /// The live value of a key, to be changed; say [`Call::changed`] afterwards.
    pub(crate) fn value_mut(&mut self, key: &Bytes) -> Option<&mut Value> {
        self.expire(key);
        self.keyspace().get_mut(key).map(|entry| &mut entry.value)
    }

    /// The live value of a key, made if the key is missing; say [`Call::changed`] afterwards.
    pub(crate) fn value_or(&mut self, key: &Bytes, make: impl FnOnce() -> Value) -> &mut Value {
        self.expire(key);
        self.keyspace().get_or_put(key, make)
    }

    /// The string under a key.
    ///
    /// # Errors
    ///
    /// WRONGTYPE if the key holds anything else.
    pub(crate) fn text(&mut self, key: &Bytes) -> Result<Option<Bytes>, Refusal> {
        match self.entry(key).map(|entry| &entry.value) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text.clone())),
            Some(_) => Err(WRONG_TYPE),
        }
    }

    /// Stores a string, copied, and tells those who care.
    pub(crate) fn put_text(&mut self, key: &Bytes, text: &[u8], expires_at: Option<i64>) {
        self.expire(key);
        let value = Value::Text(Bytes::copy_from_slice(text));
        self.keyspace().put(key, value, expires_at);
        self.changed(key);
    }

    /// Deletes a key, tells those who care, and says whether it was there.
    pub(crate) fn remove(&mut self, key: &Bytes) -> bool {
        self.expire(key);
        let removed = self.keyspace().remove(key).is_some();
        if removed {
            self.changed(key);
        }
        removed
    }

    /// Tells those who care that a key has changed, and drops it if it has become an empty collection.
    pub(crate) fn changed(&mut self, key: &Bytes) {
        self.keyspace().remove_if_spent(key);
        // Up to 6.2 a script's writes are nobody's own.
        let actor = (self.profile.since_7_0() || !self.scripted).then_some(self.id);
        self.state.modified(self.db, key, actor);
    }
}

/// The argument at `index`; the table has checked that it is there.
///
/// # Errors
///
/// A syntax error if it is not.
pub(crate) fn arg(args: &[Bytes], index: usize) -> Result<&Bytes, Refusal> {
    args.get(index).ok_or(crate::refusal::SYNTAX)
}

/// The argument at `index` as an integer.
///
/// # Errors
///
/// The server's words if it is none.
pub(crate) fn integer(args: &[Bytes], index: usize) -> Result<i64, Refusal> {
    crate::number::integer(arg(args, index)?).ok_or(crate::refusal::NOT_INTEGER)
}
