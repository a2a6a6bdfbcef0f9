//! What the server knows of one connection. Pure.

use crate::acl::DEFAULT_USER;
use crate::clock::Now;
use crate::reply::{Answer, simple};
use bytes::Bytes;
use resp::Protocol;
use std::collections::BTreeSet;

/// Names one connection for as long as the server lives.
pub(crate) type ClientId = u64;

/// Queued commands of a transaction.
#[derive(Debug, Default)]
pub(crate) struct Multi {
    pub(crate) queued: Vec<Vec<Bytes>>,
    /// A command was refused while it was queued.
    pub(crate) refused: bool,
}

impl Multi {
    /// Takes one more command.
    pub(crate) fn queue(&mut self, args: &[Bytes]) -> Answer {
        self.queued.push(args.iter().map(|arg| Bytes::copy_from_slice(arg)).collect());
        Answer::Frame(simple("QUEUED"))
    }
}

/// How invalidations reach a connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tracking {
    pub(crate) no_loop: bool,
    pub(crate) opt_in: bool,
    pub(crate) opt_out: bool,
    /// Broadcast mode: the prefixes it covers.
    pub(crate) broadcast: Option<Vec<Bytes>>,
}

/// Whether replies are sent at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReplyMode {
    On,
    Off,
    /// The next command's reply is left out.
    SkipNext,
    /// This command's reply is left out.
    Skip,
}

/// The state of one connection.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: ClientId,
    pub(crate) peer: String,
    pub(crate) local: String,
    pub(crate) since: Now,
    pub(crate) name: Bytes,
    pub(crate) library: (Bytes, Bytes),
    pub(crate) user: Bytes,
    pub(crate) authenticated: bool,
    pub(crate) protocol: Protocol,
    pub(crate) db: usize,
    pub(crate) multi: Option<Multi>,
    pub(crate) watched: BTreeSet<(usize, Bytes)>,
    /// A watched key has changed.
    pub(crate) watch_broken: bool,
    pub(crate) channels: BTreeSet<Bytes>,
    pub(crate) patterns: BTreeSet<Bytes>,
    pub(crate) shard_channels: BTreeSet<Bytes>,
    pub(crate) tracking: Option<Tracking>,
    /// `CLIENT CACHING`, for the next command.
    pub(crate) caching: Option<bool>,
    pub(crate) reply_mode: ReplyMode,
    pub(crate) last_command: String,
    /// Answers nothing more: its last reply is on its way.
    pub(crate) closing: bool,
}

impl Session {
    pub(crate) fn new(id: ClientId, peer: String, local: String, since: Now) -> Self {
        Self {
            id,
            peer,
            local,
            since,
            name: Bytes::new(),
            library: (Bytes::new(), Bytes::new()),
            user: Bytes::from_static(DEFAULT_USER),
            authenticated: true,
            protocol: Protocol::Resp2,
            db: 0,
            multi: None,
            watched: BTreeSet::new(),
            watch_broken: false,
            channels: BTreeSet::new(),
            patterns: BTreeSet::new(),
            shard_channels: BTreeSet::new(),
            tracking: None,
            caching: None,
            reply_mode: ReplyMode::On,
            last_command: String::from("NULL"),
            closing: false,
        }
    }

    pub(crate) fn is_resp3(&self) -> bool {
        matches!(self.protocol, Protocol::Resp3)
    }

    /// Subscriptions that `SUBSCRIBE` and `PSUBSCRIBE` count.
    pub(crate) fn subscriptions(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }

    /// Whether only a few commands are allowed: RESP2 cannot tell a push from a reply.
    pub(crate) fn is_subscriber(&self) -> bool {
        !self.is_resp3() && self.subscriptions() + self.shard_channels.len() > 0
    }

    /// Ends a transaction and forgets the watched keys.
    pub(crate) fn leave_multi(&mut self) -> Option<Multi> {
        self.watched.clear();
        self.watch_broken = false;
        self.multi.take()
    }

    /// Back to how it was right after connecting: what `RESET` does.
    pub(crate) fn reset(&mut self, authenticated: bool) {
        let (peer, local) = (std::mem::take(&mut self.peer), std::mem::take(&mut self.local));
        *self = Self { authenticated, ..Self::new(self.id, peer, local, self.since) };
    }

    /// The mode that `CLIENT KILL TYPE` and `CLIENT LIST TYPE` select by.
    pub(crate) fn kind(&self) -> &'static str {
        if self.subscriptions() + self.shard_channels.len() > 0 { "pubsub" } else { "normal" }
    }
}
