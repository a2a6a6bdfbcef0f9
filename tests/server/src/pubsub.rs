//! Channels, patterns and who listens to them. Pure.

use crate::glob;
use crate::reply::{bulk, count};
use crate::session::{ClientId, Session};
use crate::state::{PushKind, State};
use bytes::Bytes;
use resp::Frame;
use std::collections::BTreeSet;

/// What can be subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Channel,
    Pattern,
    Shard,
}

impl Kind {
    /// The words in the replies to subscribing and unsubscribing.
    pub(crate) fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Channel => ("subscribe", "unsubscribe"),
            Self::Pattern => ("psubscribe", "punsubscribe"),
            Self::Shard => ("ssubscribe", "sunsubscribe"),
        }
    }

    pub(crate) fn names(self, session: &mut Session) -> &mut BTreeSet<Bytes> {
        match self {
            Self::Channel => &mut session.channels,
            Self::Pattern => &mut session.patterns,
            Self::Shard => &mut session.shard_channels,
        }
    }

    /// How many subscriptions a reply tells of.
    pub(crate) fn count(self, session: &Session) -> usize {
        match self {
            Self::Channel | Self::Pattern => session.subscriptions(),
            Self::Shard => session.shard_channels.len(),
        }
    }
}

impl State {
    /// Sends a message to everybody who listens, and says to how many subscriptions.
    pub(crate) fn publish(&mut self, channel: &Bytes, message: &Bytes, shard: bool) -> usize {
        let mut sends: Vec<(ClientId, Frame)> = Vec::new();
        let text = |word: &'static str| bulk(Bytes::from_static(word.as_bytes()));
        let (channel, message) = (owned(channel), owned(message));
        let word = if shard { "smessage" } else { "message" };
        for session in self.sessions.values() {
            let names = if shard { &session.shard_channels } else { &session.channels };
            if names.contains(&channel) {
                let parts = vec![text(word), bulk(channel.clone()), bulk(message.clone())];
                sends.push((session.id, Frame::Push(parts)));
            }
        }
        for session in self.sessions.values().filter(|_| !shard) {
            for pattern in session.patterns.iter().filter(|p| glob::matches(p, &channel)) {
                let (channel, message) = (bulk(channel.clone()), bulk(message.clone()));
                let parts = vec![text("pmessage"), bulk(pattern.clone()), channel, message];
                sends.push((session.id, Frame::Push(parts)));
            }
        }
        let told = sends.len();
        for (id, frame) in sends {
            self.push(id, frame, PushKind::Message);
        }
        told
    }

    /// Channels that somebody listens to.
    pub(crate) fn active_channels(&self, shard: bool) -> BTreeSet<Bytes> {
        let names = |session: &Session| match shard {
            true => session.shard_channels.clone(),
            false => session.channels.clone(),
        };
        self.sessions.values().flat_map(names).collect()
    }

    /// How many connections listen to a channel.
    pub(crate) fn listeners(&self, channel: &Bytes, shard: bool) -> usize {
        let listens = |session: &&Session| match shard {
            true => session.shard_channels.contains(channel),
            false => session.channels.contains(channel),
        };
        self.sessions.values().filter(listens).count()
    }

    /// How many different patterns are listened to.
    pub(crate) fn patterns(&self) -> usize {
        let all: BTreeSet<_> = self.sessions.values().flat_map(|s| s.patterns.iter()).collect();
        all.len()
    }
}

/// The reply to one subscription or its end.
pub(crate) fn confirmation(word: &'static str, name: Option<&Bytes>, left: usize) -> Frame {
    let name = name.map_or(Frame::Null, |name| bulk(owned(name)));
    Frame::Push(vec![bulk(Bytes::from_static(word.as_bytes())), name, count(left)])
}

fn owned(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}
