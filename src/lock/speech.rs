//! What processes that share a lock tell each other, on the channel beside its key.
//!
//! ```text
//! 00c0ffee00c0ffee;billing;host-7;4711;     the client and the process that have freed the key
//! 00c0ffee00c0ffee;billing;host-7;4711;+    the same, and callers of its own still wait
//! 00c0ffee00c0ffee;billing;host-7;4711;?    it waits, and others are faster
//! ```
//!
//! Pure.

use bytes::Bytes;

/// What can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    Freed,
    FreedAndWaiting,
    Waiting,
}

/// What one client of one process says, made once.
#[derive(PartialEq, Eq)]
pub(crate) struct Speech([Bytes; 3]);

/// Digits of a client's number.
const CLIENT: usize = 16;

impl Speech {
    /// Of a client's number, and its process as values tell it, which ends with `;`.
    pub(crate) fn new(client: u64, process: &str) -> Self {
        let message = |mark| format!("{client:016x}{process}{mark}").into();
        Self(["", "+", "?"].map(message))
    }

    pub(crate) fn says(&self, word: Word) -> &[u8] {
        let [freed, freed_and_waiting, waiting] = &self.0;
        match word {
            Word::Freed => freed,
            Word::FreedAndWaiting => freed_and_waiting,
            Word::Waiting => waiting,
        }
    }
}

/// Reads off a message which client has spoken, in which process, and what.
pub(crate) fn heard(message: &[u8]) -> Option<(u64, &[u8], Word)> {
    let (client, rest) = message.split_at_checked(CLIENT)?;
    let client = u64::from_str_radix(std::str::from_utf8(client).ok()?, 16).ok()?;
    let (process, word) = match rest {
        [process @ .., b'+'] => (process, Word::FreedAndWaiting),
        [process @ .., b'?'] => (process, Word::Waiting),
        process => (process, Word::Freed),
    };
    Some((client, process, word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_heard() {
        let speech = Speech::new(0xc0ffee, ";billing;host;7;");
        for word in [Word::Freed, Word::FreedAndWaiting, Word::Waiting] {
            let known = Some((0xc0ffee, &b";billing;host;7;"[..], word));
            assert_eq!(heard(speech.says(word)), known, "{word:?}");
        }
    }

    #[test]
    fn what_others_publish_is_passed_over() {
        for message in ["", "+", "?", "00c0ffee", "not a number at all"] {
            assert_eq!(heard(message.as_bytes()), None, "{message}");
        }
    }
}
