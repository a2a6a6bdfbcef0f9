//! When commands leave that callers ask together, because they were answered together: in few writes, and none of them late. Pure.
//!
//! On a runtime with several workers they run on all of them: the driver, woken by the first command of one worker, would else
//! write that alone, be woken by the second, and so on. What it waits for is a turn of the runtime, never time; but who asks later
//! than [`PATIENCE`] allows has found something else to do, and nobody waits for that.
//!
//! A large crowd leaves in portions of the same size, each written by the caller who completes it: the server works on one while
//! the rest still ask, and the last who asks leaves nothing for the driver.

use crate::client::clock::{Span, Time};
use std::time::Duration;

/// How long each of them may take, and all together.
const PATIENCE: Duration = Duration::from_micros(2);
const MOST: Duration = Duration::from_millis(1);

/// So many commands are a portion at most. Measured from 64 to 256 against servers that share the machine: fewer cost more system
/// calls than they gain, more let the server wait.
const PORTION: u64 = 192;
/// A crowd of this size leaves in two portions at least if the server has nothing else to do. For smaller ones, measured down to 16,
/// the second write costs about what the overlap gains.
const TWO_PORTIONS: u64 = 96;

/// Callers who were answered together and are about to ask again.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    /// How many commands there will have been once all of them have asked, and until when that is likely.
    complete_at: u64,
    until: Time,
    /// Whether the driver has let them go first, and not written since.
    waited: bool,
    /// How many commands there will have been when the next portion is complete.
    leaves_at: u64,
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

    /// Divides what is still to leave after the first `left` commands. `idle` says that the server has nothing else to do.
    pub(crate) fn divide(&mut self, left: u64, idle: bool) {
        let missing = self.complete_at.saturating_sub(left);
        let least = if idle && missing >= TWO_PORTIONS { 2 } else { 1 };
        let portion = match missing {
            0 => PORTION,
            missing => missing.div_ceil(missing.div_ceil(PORTION).max(least)),
        };
        self.leaves_at = left + portion;
    }

    /// Whether a portion is complete, of which nobody has written the last command yet.
    #[inline(always)] // of what queues a call
    pub(crate) fn has_portion(&self, asked: u64) -> bool {
        asked >= self.leaves_at
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

    /// The sizes in which a crowd leaves that was answered after 10 commands, if all of them ask.
    fn portions(callers: usize, idle: bool) -> Vec<u64> {
        let mut crowd = Crowd::default();
        crowd.woke(callers, 10, at(0));
        crowd.divide(10, idle);
        let (mut left, mut portions) = (10, Vec::new());
        for asked in 11..=10 + callers as u64 {
            if crowd.has_portion(asked) {
                portions.push(asked - left);
                left = asked;
                crowd.divide(left, false);
            }
        }
        assert_eq!(
            portions.iter().sum::<u64>(),
            callers as u64,
            "the last one completes a portion"
        );
        portions
    }

    #[test]
    fn crowd_leaves_in_portions_of_the_same_size() {
        assert_eq!(portions(2, true), [2]);
        assert_eq!(portions(192, false), [192]);
        assert_eq!(portions(193, false), [97, 96]);
        assert_eq!(portions(512, false), [171, 171, 170]);
        assert_eq!(portions(512, true), [171, 171, 170]);
    }

    #[test]
    fn server_that_has_nothing_to_do_gets_half_of_a_crowd_early() {
        assert_eq!(portions(95, true), [95]);
        assert_eq!(portions(96, true), [48, 48]);
        assert_eq!(portions(192, true), [96, 96]);
    }

    #[test]
    fn commands_of_no_crowd_are_a_portion_too_once_there_are_many() {
        let mut crowd = Crowd::default();
        crowd.divide(7, true);
        assert!(!crowd.has_portion(7 + 191));
        assert!(crowd.has_portion(7 + 192));
    }
}
