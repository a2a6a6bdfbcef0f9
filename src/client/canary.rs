//! Proves now and then that replies still belong to their commands: a `PING` with words that are used once, whose answer must
//! be those words.
//!
//! RESP has no request numbers. A server or a proxy that loses one reply, or sends one twice, shifts all that follow by
//! one, and nothing in the bytes says so. The canary does: the wrong reply in its place, or its words in the place of another
//! reply, end the connection, and everything in flight with an unknown outcome. It sings after a caller's time-out, when
//! the next call would get the reply that came too late for this one; after every [`EVERY`] replies; and in place of a plain
//! `PING` when the server has been silent.
//!
//! At most one is on its way. Pure.

use resp::Frame;

/// How many replies a shift can go unnoticed, at the cost of one `PING` among as many commands.
pub(crate) const EVERY: u32 = 256;

const MARK: &[u8; 7] = b"canary:";
const LEN: usize = MARK.len() + 32;

/// What one canary says.
pub(crate) type Words = [u8; LEN];

/// When to send the next canary, and what the last one said.
#[derive(Debug)]
pub(crate) struct Canary {
    words: Option<Words>,
    secret: u64,
    sent: u64,
    replies: u32,
    on_its_way: bool,
    doubt: bool,
}

impl Canary {
    /// `secret` is any random number: nobody can send the words before they have seen them.
    pub(crate) fn new(secret: u64) -> Self {
        Self { words: None, secret, sent: 0, replies: 0, on_its_way: false, doubt: false }
    }

    /// Something happened after which a reply may come that nobody waits for.
    pub(crate) fn doubt(&mut self) {
        self.doubt = true;
    }

    /// Whether it is time to send something.
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        !self.on_its_way && (self.doubt || self.replies >= EVERY) && !defect!(2)
    }

    /// What to send now, if it is time; from then on it is on its way.
    pub(crate) fn due(&mut self) -> Option<Words> {
        if !self.is_due() {
            return None;
        }
        self.on_its_way = true;
        self.doubt = false;
        self.replies = 0;
        self.sent += 1;
        let words = words(self.secret, self.sent);
        self.words = Some(words);
        Some(words)
    }

    /// It was on its way, and no answer will come.
    pub(crate) fn silenced(&mut self) {
        self.on_its_way = false;
    }

    /// Takes note of a reply to the canary, or to another command; tells whether it proves that replies are shifted.
    ///
    /// An error proves nothing: a user may lack the right to `PING`.
    #[inline]
    pub(crate) fn is_shifted(&mut self, reply: &Frame, to_canary: bool) -> bool {
        if to_canary {
            self.on_its_way = false;
        } else {
            self.replies = self.replies.saturating_add(1);
        }
        !self.allows(reply, to_canary)
    }

    /// Whether one is on its way.
    pub(crate) fn is_out(&self) -> bool {
        self.on_its_way
    }

    /// Whether `reply` may be what the canary hears, or another command does, as `to_canary` says. Changes nothing.
    #[inline]
    pub(crate) fn allows(&self, reply: &Frame, to_canary: bool) -> bool {
        if to_canary { self.may_hear(reply) } else { !self.sang(reply) }
    }

    fn may_hear(&self, reply: &Frame) -> bool {
        matches!(reply, Frame::Error(_) | Frame::BulkError(_)) || self.sang(reply)
    }

    #[inline]
    fn sang(&self, reply: &Frame) -> bool {
        // Most replies cannot be the words, and are asked by the thousand.
        matches!(reply, Frame::Bulk(_) | Frame::Attributed(_) | Frame::Array(_))
            && self.heard_in(reply)
    }

    fn heard_in(&self, reply: &Frame) -> bool {
        match (reply, &self.words) {
            (Frame::Bulk(heard), Some(said)) => heard.len() == LEN && heard[..] == said[..],
            (Frame::Attributed(attributed), _) => self.sang(&attributed.frame),
            // On a connection of RESP2 that subscribes.
            (Frame::Array(items), _) => match &items[..] {
                [Frame::Bulk(pong), words] => pong == "pong" && self.sang(words),
                _ => false,
            },
            _ => false,
        }
    }
}

/// What the canary of this number says.
pub(crate) fn words(secret: u64, number: u64) -> Words {
    let mut words = [0; LEN];
    let (mark, digits) = words.split_at_mut(MARK.len());
    mark.copy_from_slice(MARK);
    let numbers = [secret, number].map(u64::to_be_bytes);
    for (pair, byte) in digits.chunks_exact_mut(2).zip(numbers.as_flattened()) {
        pair.copy_from_slice(&hex(*byte));
    }
    words
}

fn hex(byte: u8) -> [u8; 2] {
    [byte >> 4, byte & 15].map(|digit| if digit < 10 { b'0' + digit } else { b'a' + digit - 10 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn bulk(words: &[u8]) -> Frame {
        Frame::bulk(Bytes::copy_from_slice(words))
    }

    #[test]
    fn words_are_never_said_twice() {
        let mut canary = Canary::new(0xfeed);
        canary.doubt();
        let first = canary.due().unwrap();
        assert_eq!(&first, b"canary:000000000000feed0000000000000001");
        assert!(!canary.is_shifted(&bulk(&first), true));
        canary.doubt();
        let second = canary.due().unwrap();
        assert_ne!(first, second);
        assert!(canary.is_shifted(&bulk(&first), true));
    }

    #[test]
    fn subscriber_on_resp2_is_answered_in_an_array() {
        let mut canary = Canary::new(1);
        canary.doubt();
        let words = canary.due().unwrap();
        let answer = |words: &[u8]| Frame::Array(vec![bulk(b"pong"), bulk(words)]);
        assert!(!canary.allows(&answer(b""), true));
        assert!(canary.allows(&answer(&words), true));
    }

    #[test]
    fn is_due_after_a_doubt_and_after_so_many_replies_and_only_one_at_a_time() {
        let mut canary = Canary::new(1);
        assert!(canary.due().is_none());
        canary.doubt();
        assert!(canary.due().is_some());
        canary.doubt();
        assert!(canary.due().is_none(), "one is on its way");
        canary.silenced();
        assert!(canary.due().is_some(), "the doubt is left");
        canary.silenced();
        for reply in 1..EVERY {
            assert!(!canary.is_shifted(&Frame::Null, false));
            assert!(canary.due().is_none(), "after {reply} replies");
        }
        assert!(!canary.is_shifted(&Frame::Null, false));
        assert!(canary.due().is_some());
    }

    #[test]
    fn any_other_reply_in_its_place_is_wrong_but_an_error_proves_nothing() {
        let mut canary = Canary::new(1);
        canary.doubt();
        canary.due().unwrap();
        for reply in [Frame::Null, Frame::Simple("PONG".into()), bulk(b"value"), Frame::Integer(1)]
        {
            assert!(canary.is_shifted(&reply, true), "{reply:?}");
        }
        assert!(!canary.is_shifted(&Frame::Error("NOPERM no".into()), true));
    }

    #[test]
    fn its_words_in_the_place_of_another_reply_are_recognised_also_late() {
        let mut canary = Canary::new(1);
        canary.doubt();
        let words = canary.due().unwrap();
        assert!(canary.is_shifted(&bulk(&words), false));
        canary.silenced();
        assert!(canary.is_shifted(&bulk(&words), false));
        assert!(!canary.is_shifted(&bulk(b"canary:"), false));
    }
}
