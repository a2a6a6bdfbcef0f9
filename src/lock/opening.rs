//! Opens claims: each has a token of its own, and says when it was made.
//!
//! The wall clock is looked at every few milliseconds at most, and who comes soon after a look is dated by it. For people that is
//! no difference. For a hold, which compares both clocks later to notice that the machine has slept, it is as good as a look
//! of its own: the look was before the command was written, and a sleep since then shows.

use crate::lock::book::Book;
use crate::lock::engine::Engine;
use crate::lock::gate::Claim;
use crate::lock::hold::Clocks;
use crate::lock::plan::Plan;
use crate::lock::record::place;
use crate::lock::token::Since;
use crate::seam::after;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a look at the wall clock serves.
const SERVES: Duration = Duration::from_millis(5);

/// One look at both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Date {
    pub(crate) clocks: Clocks,
    since: Since,
    until: Instant,
}

impl Date {
    fn new(clocks: Clocks) -> Self {
        Self { clocks, since: Since::new(clocks.wall), until: after(clocks.now, SERVES) }
    }
}

impl Engine {
    /// Opens a claim at its key's gate; gives the gate's place, and the date.
    #[inline]
    pub(crate) fn open(&self, book: &mut Book, plan: &Arc<Plan>, now: Instant) -> (usize, Claim) {
        if book.date.as_ref().is_none_or(|date| now >= date.until) {
            book.date = Some(Date::new(self.clocks()));
        }
        let gate = book.gates.of(plan);
        let claim = book.claim(gate, plan);
        let dice = book.dice.get_or_insert_with(|| Box::new(self.seam.dice()));
        if let Some((record, date)) = book.claims.get_mut(place(claim)).zip(book.date.as_ref()) {
            let [high, low] = dice.roll_both();
            record.stamp.token.renew(high, low);
            record.stamp.since = date.since;
        }
        (gate, claim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::gate::Terms;
    use crate::lock::options::Options;
    use crate::lock::plan::{Hashed, Key, Kind};
    use crate::lock::token::{Signature, holder};
    use crate::seam::Seam;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::UNIX_EPOCH;

    fn plan(host: &str) -> Arc<Plan> {
        let key = Key::new("k".into(), &Hashed::default());
        let terms = Terms::new(&Options::new(), Kind { fair: false, fenced: false }).unwrap();
        Plan::new(key, terms, Signature::new(["", host, ""], 1, 1).into(), 1).into()
    }

    #[test]
    fn wall_clock_is_looked_at_again_once_a_look_is_old() {
        let looks = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&looks);
        // A second later each time.
        let wall = move || {
            UNIX_EPOCH + Duration::from_secs(told.fetch_add(1, Ordering::Relaxed) + 1_790_000_000)
        };
        let engine = Engine::new(Seam::system().with_wall(wall), None);
        let (mut book, plan, start) = (engine.book(), plan("host"), Instant::now());
        let mut open = |after: Duration| {
            let (_, claim) = engine.open(&mut book, &plan, start + after);
            let since = holder(book.value(claim)).since().unwrap();
            (since.duration_since(UNIX_EPOCH).unwrap().as_secs(), book.date.unwrap().clocks.wall)
        };
        let first = (1_790_000_000, Duration::from_secs(1_790_000_000));
        assert_eq!([open(Duration::ZERO), open(SERVES / 2)], [first; 2]);
        let second = Duration::from_secs(1_790_000_001);
        assert_eq!(open(Duration::from_secs(3_600)), (second.as_secs(), second));
        assert_eq!(looks.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn each_claim_has_a_value_of_its_own_also_in_the_place_of_another() {
        let engine = Engine::new(Seam::system(), None);
        let (mut book, now) = (engine.book(), Instant::now());
        let mut values = Vec::new();
        for host in ["one", "a longer one", "two", "two"] {
            let (_, claim) = engine.open(&mut book, &plan(host), now);
            assert_eq!(place(claim), 0);
            assert_eq!(holder(book.value(claim)).host(), host);
            values.push(book.value(claim).to_vec());
            let record = book.record(claim).unwrap();
            (record.forgotten, record.wanted) = (true, false);
            book.drop_if_done(claim);
        }
        values.sort();
        values.dedup();
        assert_eq!(values.len(), 4);
    }
}
