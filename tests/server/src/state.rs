//! All that the server knows, and the messages it owes. Pure: told the time, it only says what to send.
//!
//! Messages go into one queue in the order in which they were caused; who performs takes them from there. A push to the
//! connection whose command is being run is held back until after the reply where the profile does so.

use crate::acl::Users;
use crate::blocking::Blocked;
use crate::clock::Now;
use crate::command::Table;
use crate::fault::Rules;
use crate::journal::Journal;
use crate::keyspace::Keyspace;
use crate::profile::Profile;
use crate::session::{ClientId, Session};
use bytes::{Bytes, BytesMut};
use resp::{Frame, encode};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What is to be done to a connection.
#[derive(Debug)]
pub(crate) enum Output {
    Bytes(BytesMut),
    /// Wait before the next ones.
    Pause(Duration),
    /// End the connection after what is written so far.
    Close,
    /// End the connection now.
    Kill,
}

/// Why a push is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PushKind {
    Message,
    Invalidation,
}

/// Until when commands of clients have to wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pause {
    pub(crate) until: Now,
    pub(crate) writes_only: bool,
}

/// Conditions in which a server refuses commands.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Condition {
    pub(crate) loading: bool,
    pub(crate) read_only: bool,
    pub(crate) full: bool,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) profile: Profile,
    pub(crate) table: Table,
    pub(crate) dbs: Vec<Keyspace>,
    pub(crate) sessions: BTreeMap<ClientId, Session>,
    pub(crate) users: Users,
    pub(crate) scripts: BTreeSet<String>,
    pub(crate) config: BTreeMap<String, String>,
    /// What a connection may leave unread, if there is a limit.
    pub(crate) output_limit: Option<usize>,
    pub(crate) tracked: BTreeMap<Bytes, BTreeSet<ClientId>>,
    /// Whose commands wait, oldest first.
    pub(crate) blocked: Vec<Blocked>,
    /// A key has changed since those were tried last.
    pub(crate) touched: bool,
    /// Somebody's wait has ended.
    pub(crate) served: bool,
    pub(crate) pause: Option<Pause>,
    pub(crate) condition: Condition,
    pub(crate) rules: Rules,
    pub(crate) journal: Journal,
    pub(crate) started: Now,
    pub(crate) commands_run: u64,
    /// The time that `TIME` told last, in microseconds.
    pub(crate) told_us: i64,
    next_id: ClientId,
    pub(crate) current: Option<ClientId>,
    held_back: Vec<Frame>,
    /// A reply in the making that own pushes may stand inside of.
    whole: Option<BytesMut>,
    outbox: Vec<(ClientId, Output)>,
}

impl State {
    pub(crate) fn new(profile: Profile, users: Users, databases: usize, now: Now) -> Self {
        let mut dbs = Vec::new();
        dbs.resize_with(databases.max(1), Keyspace::default);
        Self {
            profile,
            table: Table::new(profile),
            dbs,
            sessions: BTreeMap::new(),
            users,
            scripts: BTreeSet::new(),
            config: crate::config::defaults(databases),
            output_limit: None,
            tracked: BTreeMap::new(),
            blocked: Vec::new(),
            touched: false,
            served: false,
            pause: None,
            condition: Condition::default(),
            rules: Rules::default(),
            journal: Journal::default(),
            started: now,
            commands_run: 0,
            told_us: 0,
            next_id: 0,
            current: None,
            held_back: Vec::new(),
            whole: None,
            outbox: Vec::new(),
        }
    }

    /// Takes a new connection in.
    pub(crate) fn connect(&mut self, peer: Option<String>, local: String, now: Now) -> ClientId {
        self.next_id += 1;
        let id = self.next_id;
        let peer = peer.unwrap_or_else(|| format!("127.0.0.1:{}", 40_000 + id % 20_000));
        let mut session = Session::new(id, peer, local, now);
        session.authenticated = !self.users.default_needs_password();
        self.sessions.insert(id, session);
        id
    }

    /// Begins anew as a server does that was started again: what only lives in memory beside the data is gone.
    pub(crate) fn begin_anew(&mut self, now: Now) {
        self.scripts.clear();
        self.tracked.clear();
        self.pause = None;
        self.started = now;
    }

    /// Forgets a connection.
    pub(crate) fn disconnect(&mut self, id: ClientId) {
        self.sessions.remove(&id);
        self.blocked.retain(|blocked| !blocked.is(id));
        self.tracked.retain(|_, clients| {
            clients.remove(&id);
            !clients.is_empty()
        });
    }

    /// Ends connections by force.
    pub(crate) fn kill(&mut self, id: ClientId) {
        self.disconnect(id);
        self.outbox.push((id, Output::Kill));
    }

    /// What the performer has to do, in order.
    pub(crate) fn take_outbox(&mut self) -> Vec<(ClientId, Output)> {
        std::mem::take(&mut self.outbox)
    }

    pub(crate) fn emit(&mut self, id: ClientId, output: Output) {
        if let (Output::Bytes(more), Some((last, Output::Bytes(bytes)))) =
            (&output, self.outbox.last_mut())
        {
            if *last == id {
                bytes.extend_from_slice(more);
                return;
            }
        }
        self.outbox.push((id, output));
    }

    /// Sends a frame in the connection's protocol, at once.
    pub(crate) fn send(&mut self, id: ClientId, frame: &Frame) {
        let Some(session) = self.sessions.get(&id) else { return };
        let mut out = BytesMut::new();
        encode::frame(frame, session.protocol, &mut out);
        if let (Some(whole), true) = (&mut self.whole, self.current == Some(id)) {
            whole.extend_from_slice(&out);
            return;
        }
        self.emit(id, Output::Bytes(out));
    }

    /// Sends a frame that nobody asked for.
    pub(crate) fn push(&mut self, id: ClientId, frame: Frame, kind: PushKind) {
        let held_back = match kind {
            PushKind::Message => self.profile.since_7_2(),
            PushKind::Invalidation => self.profile.since_7_0(),
        };
        if held_back && self.current == Some(id) {
            self.held_back.push(frame);
        } else {
            self.send(id, &frame);
        }
    }

    /// Begins a reply of several parts.
    pub(crate) fn begin_whole(&mut self) {
        self.whole = Some(BytesMut::new());
    }

    pub(crate) fn add_to_whole(&mut self, bytes: &[u8]) {
        if let Some(whole) = &mut self.whole {
            whole.extend_from_slice(bytes);
        }
    }

    /// The parts since [`State::begin_whole`], and what was pushed between them.
    pub(crate) fn end_whole(&mut self) -> BytesMut {
        self.whole.take().unwrap_or_default()
    }

    /// Sends what was held back for the reply of `id`.
    pub(crate) fn release_held_back(&mut self, id: ClientId) {
        for frame in std::mem::take(&mut self.held_back) {
            self.send(id, &frame);
        }
    }

    pub(crate) fn db(&mut self, index: usize) -> &mut Keyspace {
        let last = self.dbs.len() - 1;
        &mut self.dbs[index.min(last)]
    }

    /// Bytes in use, as far as `maxmemory` is concerned.
    pub(crate) fn used_memory(&self) -> usize {
        1_000_000 + self.dbs.iter().map(Keyspace::bytes).sum::<usize>()
    }

    /// Whether commands that need memory are refused.
    pub(crate) fn is_full(&self) -> bool {
        let setting = |name: &str| self.config.get(name).map_or("", String::as_str);
        let max: usize = setting("maxmemory").parse().unwrap_or(0);
        let bounded = max > 0 && setting("maxmemory-policy") == "noeviction";
        self.condition.full || bounded && self.used_memory() > max
    }

    /// Removes every key whose time is over, and tells those who track one.
    pub(crate) fn expire_all(&mut self, now: Now) {
        for index in 0..self.dbs.len() {
            for key in self.db(index).take_all_expired(now.ms()) {
                self.modified(index, &key, None);
            }
        }
    }

    /// A time before which no key expires, in milliseconds since 1970; none for a connection that tracks no keys.
    pub(crate) fn next_expiry_for(&self, id: ClientId) -> Option<i64> {
        self.sessions.get(&id).filter(|session| session.tracking.is_some())?;
        self.dbs.iter().filter_map(Keyspace::earliest_expiry).min()
    }

    /// Breaks the transactions that watch one of `keys`.
    pub(crate) fn break_watches(&mut self, db: usize, keys: &[Bytes]) {
        for session in self.sessions.values_mut() {
            let watches = |key: &Bytes| session.watched.contains(&(db, key.clone()));
            if !session.watched.is_empty() && keys.iter().any(watches) {
                session.watch_broken = true;
            }
        }
    }

    /// Breaks the transactions that watch a key and tells those who track it. `actor` is who changed it, as far as
    /// `NOLOOP` is concerned.
    pub(crate) fn modified(&mut self, db: usize, key: &Bytes, actor: Option<ClientId>) {
        self.touched = true;
        self.break_watches(db, std::slice::from_ref(key));
        self.invalidate(key, actor);
    }
}
