//! Streams: entries under IDs that only rise. Pure.

use bytes::Bytes;
use std::collections::VecDeque;
use std::fmt;

/// An entry's ID: milliseconds and a sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct StreamId {
    pub(crate) ms: u64,
    pub(crate) seq: u64,
}

impl StreamId {
    pub(crate) const MIN: Self = Self { ms: 0, seq: 0 };
    pub(crate) const MAX: Self = Self { ms: u64::MAX, seq: u64::MAX };

    /// Reads `5-1`, or `5` with `seq` for the part that is missing.
    pub(crate) fn parse(text: &[u8], seq: u64) -> Option<Self> {
        let part = |text: &[u8]| -> Option<u64> {
            let number: u64 = std::str::from_utf8(text).ok()?.parse().ok()?;
            (!text.starts_with(b"+")).then_some(number)
        };
        match text.iter().position(|&byte| byte == b'-') {
            Some(dash) => {
                Some(Self { ms: part(text.get(..dash)?)?, seq: part(text.get(dash + 1..)?)? })
            }
            None => Some(Self { ms: part(text)?, seq }),
        }
    }

    /// The smallest ID above this one.
    pub(crate) fn next(self) -> Option<Self> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => Some(Self { ms: self.ms.checked_add(1)?, seq: 0 }),
        }
    }

    /// The largest ID below this one.
    pub(crate) fn previous(self) -> Option<Self> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => Some(Self { ms: self.ms.checked_sub(1)?, seq: u64::MAX }),
        }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// An entry: its ID, and fields and values in turn.
pub(crate) type StreamEntry = (StreamId, Vec<Bytes>);

/// Entries in order, and the highest ID ever given.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stream {
    entries: VecDeque<StreamEntry>,
    last: StreamId,
}

impl Stream {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The highest ID ever given.
    pub(crate) fn last(&self) -> StreamId {
        self.last
    }

    /// The ID that `*` gives at `now_ms`: time, but never below the last one.
    pub(crate) fn next_id(&self, now_ms: u64) -> Option<StreamId> {
        if now_ms > self.last.ms {
            return Some(StreamId { ms: now_ms, seq: 0 });
        }
        self.last.next()
    }

    /// The ID that `ms-*` gives.
    pub(crate) fn next_in(&self, ms: u64) -> Option<StreamId> {
        match ms.cmp(&self.last.ms) {
            std::cmp::Ordering::Less => None,
            std::cmp::Ordering::Equal => Some(StreamId { ms, seq: self.last.seq.checked_add(1)? }),
            std::cmp::Ordering::Greater => Some(StreamId { ms, seq: 0 }),
        }
    }

    /// Appends an entry; `false` if its ID does not rise.
    pub(crate) fn push(&mut self, id: StreamId, fields: Vec<Bytes>) -> bool {
        if id <= self.last {
            return false;
        }
        self.last = id;
        self.entries.push_back((id, fields));
        true
    }

    /// Drops the oldest entries above `max`.
    pub(crate) fn trim(&mut self, max: usize) -> usize {
        let surplus = self.entries.len().saturating_sub(max);
        self.entries.drain(..surplus);
        surplus
    }

    /// Entries from `from` to `to`, both included, oldest first.
    pub(crate) fn range(
        &self,
        from: StreamId,
        to: StreamId,
    ) -> impl DoubleEndedIterator<Item = &StreamEntry> {
        self.entries.iter().filter(move |(id, _)| (from..=to).contains(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_also_when_the_clock_stands_or_goes_back() {
        let mut stream = Stream::default();
        let first = stream.next_id(100).unwrap();
        assert!(stream.push(first, Vec::new()));
        for now in [100, 50] {
            let id = stream.next_id(now).unwrap();
            assert!(id > first, "{id}");
            assert!(stream.push(id, Vec::new()));
        }
        assert!(!stream.push(first, Vec::new()), "an ID that does not rise was taken");
    }

    #[test]
    fn ids_are_read_whole_or_by_their_first_part() {
        for (text, id) in [
            ("5-1", Some((5, 1))),
            ("5", Some((5, 7))),
            ("5-", None),
            ("-1", None),
            ("a", None),
            ("+5", None),
        ] {
            let want = id.map(|(ms, seq)| StreamId { ms, seq });
            assert_eq!(StreamId::parse(text.as_bytes(), 7), want, "{text}");
        }
    }
}
