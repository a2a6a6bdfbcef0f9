//! Client-side caching: who has read which key, and who is told when it changes. Pure.
//!
//! Reading a key arms one invalidation for the reader. A change uses it up, also where nothing is sent: for the reader's
//! own change under `NOLOOP`, and for a connection without pushes.

use crate::session::{ClientId, Session, Tracking};
use crate::state::{PushKind, State};
use bytes::Bytes;
use resp::Frame;

impl State {
    /// Arms invalidations for what `id` has read.
    pub(crate) fn remember(&mut self, id: ClientId, keys: &[&Bytes]) {
        let Some(session) = self.sessions.get(&id) else { return };
        let Some(tracking) = &session.tracking else { return };
        let wanted = match (tracking.opt_in, tracking.opt_out, session.caching) {
            (true, _, caching) => caching == Some(true),
            (_, true, caching) => caching != Some(false),
            (false, false, _) => true,
        };
        if !wanted || tracking.broadcast.is_some() {
            return;
        }
        for key in keys {
            match self.tracked.get_mut(*key) {
                Some(clients) => {
                    clients.insert(id);
                }
                None => {
                    self.tracked.insert(Bytes::copy_from_slice(key), [id].into());
                }
            }
        }
    }

    /// Tells those who have read `key`, and those who cover it by a prefix.
    pub(crate) fn invalidate(&mut self, key: &Bytes, actor: Option<ClientId>) {
        let mut readers = self.tracked.remove(key).unwrap_or_default();
        let covering = self.sessions.values().filter(|session| covers(session, key));
        readers.extend(covering.map(|session| session.id));
        for id in readers {
            let Some(session) = self.sessions.get(&id) else { continue };
            let Some(tracking) = &session.tracking else { continue };
            if session.is_resp3() && !(tracking.no_loop && actor == Some(id)) {
                let key = Frame::bulk(Bytes::copy_from_slice(key));
                self.push(id, invalidation(Frame::Array(vec![key])), PushKind::Invalidation);
            }
        }
    }

    /// Tells everybody who tracks that everything has changed.
    pub(crate) fn invalidate_all(&mut self) {
        self.tracked.clear();
        let told = self.sessions.values().filter(|s| s.tracking.is_some() && s.is_resp3());
        let told: Vec<_> = told.map(|session| session.id).collect();
        for id in told {
            self.push(id, invalidation(Frame::Null), PushKind::Invalidation);
        }
    }

    /// Sets how `id` is told, and forgets what it has read when that ends.
    pub(crate) fn set_tracking(&mut self, id: ClientId, tracking: Option<Tracking>) {
        if tracking.is_none() {
            self.tracked.retain(|_, clients| {
                clients.remove(&id);
                !clients.is_empty()
            });
        }
        if let Some(session) = self.sessions.get_mut(&id) {
            session.tracking = tracking;
        }
    }
}

fn covers(session: &Session, key: &Bytes) -> bool {
    let prefixes = session.tracking.as_ref().and_then(|tracking| tracking.broadcast.as_ref());
    prefixes.is_some_and(|all| all.is_empty() || all.iter().any(|prefix| key.starts_with(prefix)))
}

fn invalidation(payload: Frame) -> Frame {
    Frame::Push(vec![Frame::Bulk("invalidate".into()), payload])
}
