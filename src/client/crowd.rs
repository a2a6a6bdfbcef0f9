//! Whether callers who were answered together are still to ask again, so that letting them do so before the driver writes makes
//! one write of many. Pure.
//!
//! On a runtime with several workers they run on all of them: the driver, woken by the first command of one worker, would else
//! write that alone, be woken by the second, and so on. What it waits for is a turn of the runtime, never time; but who asks later
//! than [`PATIENCE`] allows has found something else to do, and nobody waits for that.

use crate::client::clock::{Span, Time};
use std::time::Duration;

/// How long each of them may take, and all together.
const PATIENCE: Duration = Duration::from_micros(2);
const MOST: Duration = Duration::from_millis(1);

/// Callers who were answered together and are about to ask again.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    /// How many commands there will have been once all of them have asked, and until when that is likely.
    complete_at: u64,
    until: Time,
    /// Whether the driver has let them go first, and not written since.
    waited: bool,
}

impl Crowd {
    /// So many are woken, `asked` commands after the connection began.
    pub(crate) fn woke(&mut self, callers: usize, asked: u64, now: Time) {
        let before = if now < self.until { self.complete_at.max(asked) } else { asked };
        self.complete_at = before + callers as u64;
        let missing = u32::try_from(self.complete_at - asked).unwrap_or(u32::MAX);
        self.until = now.later(Span::of(PATIENCE.saturating_mul(missing).min(MOST)));
        self.waited = false;
    }

    /// Whether the driver, who has something to write, is to let others run first; that is once for each time it is woken.
    pub(crate) fn is_worth_waiting_for(&mut self, asked: u64, now: Time) -> bool {
        let waits = !self.waited && asked < self.complete_at && now < self.until;
        self.waited = waits;
        waits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Time {
        Time::default().after(Duration::from_micros(micros))
    }

    #[test]
    fn driver_waits_once_each_time_it_is_woken_until_all_have_asked() {
        let mut crowd = Crowd::default();
        assert!(!crowd.is_worth_waiting_for(0, at(0)), "nobody was woken");
        crowd.woke(3, 10, at(100));
        for asked in [11, 12] {
            assert!(crowd.is_worth_waiting_for(asked, at(101)));
            assert!(!crowd.is_worth_waiting_for(asked, at(101)), "it has waited");
        }
        assert!(!crowd.is_worth_waiting_for(13, at(101)), "all have asked");
    }

    #[test]
    fn nobody_is_waited_for_who_has_found_something_else_to_do() {
        let mut crowd = Crowd::default();
        crowd.woke(3, 10, at(100));
        assert!(!crowd.is_worth_waiting_for(11, at(106)));
        crowd.woke(3, 11, at(107));
        assert!(!crowd.is_worth_waiting_for(14, at(108)), "those of before do not count any more");
        crowd.woke(100_000, 14, at(200));
        assert!(crowd.is_worth_waiting_for(15, at(1_199)));
        crowd.woke(2, 16, at(1_200));
        assert!(!crowd.is_worth_waiting_for(18, at(1_201)));
    }

    #[test]
    fn crowds_add_up() {
        let mut crowd = Crowd::default();
        crowd.woke(3, 10, at(100));
        crowd.woke(2, 11, at(101));
        assert!(
            crowd.is_worth_waiting_for(14, at(108)),
            "four are to come, for as long as four take"
        );
        assert!(!crowd.is_worth_waiting_for(15, at(108)));
    }
}
