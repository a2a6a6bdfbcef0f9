//! What fenced locks protect: counters that are not on the server, keep the greatest fence they have seen, and refuse
//! whoever comes with a smaller one.

use std::collections::BTreeMap;
use tenure::FencingToken;

/// The counters of all locks.
#[derive(Debug, Default)]
pub(crate) struct Register {
    cells: BTreeMap<usize, Cell>,
}

#[derive(Debug, Default)]
struct Cell {
    fence: Option<FencingToken>,
    count: u64,
    /// How many increments were acknowledged.
    acknowledged: u64,
}

impl Register {
    /// The count, unless somebody with a later fence has been there.
    pub(crate) fn read(&mut self, lock: usize, fence: FencingToken) -> Option<u64> {
        let cell = self.cells.entry(lock).or_default();
        cell.admit(fence).then_some(cell.count)
    }

    /// Sets the count to one more than was read, unless somebody with a later fence has been there.
    pub(crate) fn write(&mut self, lock: usize, fence: FencingToken, read: u64) -> bool {
        let cell = self.cells.entry(lock).or_default();
        if !cell.admit(fence) {
            return false;
        }
        cell.count = read + 1;
        cell.acknowledged += 1;
        true
    }

    /// The locks whose counter lacks increments that were acknowledged.
    pub(crate) fn lost(&self) -> Vec<String> {
        let lacking = self.cells.iter().filter(|(_, cell)| cell.count != cell.acknowledged);
        lacking
            .map(|(lock, cell)| {
                let Cell { count, acknowledged, .. } = cell;
                format!(
                    "counter of lock{lock}: {count} after {acknowledged} acknowledged increments"
                )
            })
            .collect()
    }
}

impl Cell {
    fn admit(&mut self, fence: FencingToken) -> bool {
        if self.fence > Some(fence) {
            return false;
        }
        self.fence = Some(fence);
        true
    }
}
