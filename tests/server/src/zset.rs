//! Sorted sets: members ordered by score, then by their bytes. Pure.

use bytes::Bytes;
use std::collections::BTreeMap;

/// Members with their scores.
#[derive(Debug, Clone, Default)]
pub(crate) struct Zset {
    scores: BTreeMap<Bytes, f64>,
}

impl Zset {
    pub(crate) fn is_empty(&self) -> bool {
        self.scores.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.scores.len()
    }

    pub(crate) fn score(&self, member: &[u8]) -> Option<f64> {
        self.scores.get(member).copied()
    }

    /// Sets a score, and gives the one before.
    pub(crate) fn insert(&mut self, member: &[u8], score: f64) -> Option<f64> {
        self.scores.insert(Bytes::copy_from_slice(member), score)
    }

    pub(crate) fn remove(&mut self, member: &[u8]) -> bool {
        self.scores.remove(member).is_some()
    }

    /// Members and scores in order.
    pub(crate) fn ordered(&self) -> Vec<(Bytes, f64)> {
        let mut members: Vec<_> = self.scores.iter().map(|(m, s)| (m.clone(), *s)).collect();
        members.sort_by(|(a, x), (b, y)| x.total_cmp(y).then_with(|| a.cmp(b)));
        members
    }
}
