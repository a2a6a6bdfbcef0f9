//! Who is told what a connection hears without a caller waiting for it: pushes, and replies to commands that carry a tag.
//!
//! A listener sees everything in the order in which it came, so it can tell a push that stands before a reply from one behind
//! it. It is called by the driver between reading and writing, with no lock held: what it posts leaves in the same turn.
//! A connection without a listener drops pushes, at the cost of decoding them.

use crate::client::shared::Phase;
use crate::client::trace::{End, Trace};
use crate::error::Error;
use resp::{Frame, Protocol};
use std::sync::Arc;
use std::task::Waker;
use tokio::time::Instant;

/// Names a command whose reply the listener is told; its meaning is the listener's, but for one bit.
pub(crate) type Tag = u64;

/// In the tag of a command that is for this connection only: if that is lost before the command was written, it fails as one that was
/// not sent, rather than being the first to be written on the next one.
pub(crate) const BOUND: Tag = 1 << 60;

/// Hears what a connection is sent, and what becomes of the connection.
///
/// Its methods run on the driver's task, or on the thread that drops it: they must neither wait nor panic.
pub(crate) trait Listener: Send + Sync {
    /// Told in order, and drained by the listener. Every tagged command is answered once, with an error if need be. `now` is when
    /// it was heard.
    fn heard(&self, notices: &mut Vec<Notice>, now: Instant) -> Heard;

    /// The connection opened, was lost, could not be opened again, was refused or closed. Commands that were lost with it have
    /// been told of before; those that are [`BOUND`] to it and were not written are told of next.
    fn changed(&self, phase: &Phase);
}

/// One thing that was heard.
#[derive(Debug)]
pub(crate) enum Notice {
    /// The reply to a tagged command, error frames included.
    Reply(Tag, Result<Frame, Error>),
    /// What the server sent without being asked: a published message, an invalidation.
    Push(Vec<Frame>),
}

/// What hearing has led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Heard {
    #[default]
    Nothing,
    /// Commands that are to be written.
    Posted,
}

/// Room for so many is kept, whether it was needed or not.
const KEPT: usize = 64;

/// Who is to be told what, once no lock is held.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) wakers: Vec<Waker>,
    pub(crate) notices: Vec<Notice>,
    /// How many of them answer somebody.
    pub(crate) replies: usize,
    /// Commands that are observed, and their ends.
    pub(crate) ends: Vec<(Arc<Trace>, End)>,
}

impl Outbox {
    /// Tells the listener first: whoever is woken may rely on its having heard what came before.
    #[inline(always)]
    pub(crate) fn deliver(&mut self, listener: Option<&dyn Listener>, now: Instant) -> Heard {
        let posted = self.tell(listener, now);
        self.wake();
        posted
    }

    /// The same without waking anybody.
    #[inline(always)] // mostly there is nothing to tell
    pub(crate) fn tell(&mut self, listener: Option<&dyn Listener>, now: Instant) -> Heard {
        if self.ends.is_empty() && self.notices.is_empty() {
            return Heard::Nothing;
        }
        self.tell_all(listener, now)
    }

    fn tell_all(&mut self, listener: Option<&dyn Listener>, now: Instant) -> Heard {
        if !self.ends.is_empty() {
            self.end_traces();
        }
        match listener {
            _ if self.notices.is_empty() => Heard::Nothing,
            Some(listener) => listener.heard(&mut self.notices, now),
            None => {
                self.notices.clear();
                Heard::Nothing
            }
        }
    }

    #[cold]
    fn end_traces(&mut self) {
        for (trace, end) in self.ends.drain(..) {
            trace.end(&end);
        }
    }

    /// Gives memory back that a burst has taken; what is in it stays.
    pub(crate) fn trim(&mut self) {
        self.wakers.shrink_to(KEPT);
        self.notices.shrink_to(KEPT);
        self.ends.shrink_to(KEPT);
    }

    pub(crate) fn wake(&mut self) {
        // A lone caller's is not worth the care that many take.
        match self.wakers.len() {
            0 => {}
            1 => self.wakers.pop().into_iter().for_each(Waker::wake),
            _ => self.wakers.drain(..).for_each(Waker::wake),
        }
    }
}

/// Tells replies from pushes. The confirmation of a subscription is a push that answers its command, one for each channel;
/// RESP2 has no pushes, and sends messages as arrays.
pub(crate) fn is_reply(frame: &Frame, protocol: Protocol) -> bool {
    match frame {
        Frame::Attributed(attributed) if frame.is_push() => is_reply(&attributed.frame, protocol),
        Frame::Push(items) => confirms(items),
        Frame::Array(items) => protocol != Protocol::Resp2 || !is_message(items),
        _ => true,
    }
}

/// Takes a push out of its place; a reply stays there.
#[inline]
pub(crate) fn take_push(place: &mut Frame, protocol: Protocol) -> Option<Vec<Frame>> {
    if !matches!(place, Frame::Push(_) | Frame::Array(_) | Frame::Attributed(_)) {
        return None;
    }
    if place.is_push() {
        *place = std::mem::take(place).without_attributes();
    }
    if is_reply(place, protocol) {
        return None;
    }
    match std::mem::take(place) {
        Frame::Push(items) | Frame::Array(items) => Some(items),
        _ => None,
    }
}

fn first(items: &[Frame]) -> &[u8] {
    match items.first() {
        Some(Frame::Bulk(word) | Frame::Simple(word)) => word,
        _ => &[],
    }
}

fn confirms(items: &[Frame]) -> bool {
    const WORDS: [&[u8]; 6] = [
        b"subscribe",
        b"unsubscribe",
        b"psubscribe",
        b"punsubscribe",
        b"ssubscribe",
        b"sunsubscribe",
    ];
    items.len() == 3 && WORDS.contains(&first(items))
}

fn is_message(items: &[Frame]) -> bool {
    matches!((first(items), items.len()), (b"message" | b"smessage", 3) | (b"pmessage", 4))
}

#[cfg(test)]
mod tests;
