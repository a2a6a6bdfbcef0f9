//! When what is queued leaves, and whether a caller or the driver writes it. What a crowd is, `crowd.rs` says.

use super::State;
use crate::client::clock::Time;
use crate::client::pen::Pen;

/// A queue of so many bytes leaves at once, as a portion of a crowd does (`crowd.rs`). It is more than a portion of the commands that
/// take and release locks, which are divided by their number.
const LONG: usize = 32 << 10;

/// When a command's bytes go to the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Flush {
    /// By the caller if nothing is on its way or enough has come together, else by the driver with whatever else has come.
    Auto,
    /// By the caller, with all that is queued ahead, unless somebody is writing at this very moment.
    Now,
    /// By the driver.
    #[default]
    Later,
}

impl State {
    /// Whether a caller who has queued something is to write it. `alone` says that nothing else is on its way. In a crowd it is
    /// the one who completes a portion of it.
    #[inline]
    pub(crate) fn writes_here(&self, flush: Flush, alone: bool) -> bool {
        let wants = match flush {
            Flush::Auto => (alone && !self.crowded) || self.is_due(),
            Flush::Now => true,
            Flush::Later => false,
        };
        wants && self.pen.as_deref().is_some_and(Pen::is_dry)
    }

    /// Whether so much is queued that it is to leave at once, whoever is about to add to it.
    #[inline(always)] // of what queues a call
    pub(super) fn is_due(&self) -> bool {
        self.crowd.has_portion(self.slots.pushed()) || self.out.len() >= LONG
    }

    /// As the driver, at the end of a turn in which so many were answered: whether to let callers ask before it writes.
    pub(crate) fn lets_ask(&mut self, answered: usize, now: Time) -> bool {
        let asked = self.slots.pushed();
        self.crowded = if answered > 1 {
            self.crowd.woke(answered, asked, now);
            self.divide();
            true
        } else {
            let waits = !self.out.is_empty() && !self.is_due();
            waits && self.crowd.is_worth_waiting_for(asked, now)
        };
        self.crowded
    }

    /// Says which command is the next to write all that is queued then.
    #[inline(never)] // rare beside what calls it
    pub(super) fn divide(&mut self) {
        let left = self.slots.pushed() - self.slots.unsent() as u64;
        self.crowd.divide(left, self.slots.sent() == 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::canary::Canary;
    use crate::client::clock::Span;
    use crate::client::encode;
    use crate::client::queue::Place;

    /// After so many commands of others that are still to be answered.
    fn state(in_flight: usize) -> State {
        let mut state = State::new(Canary::new(7), usize::MAX);
        queue(&mut state, in_flight);
        state.slots.all_sent(Time::default());
        state
    }

    fn queue(state: &mut State, commands: usize) {
        for _ in 0..commands {
            let len = state.enqueue(Place::End, |out| encode::command(&["PING"], out)).unwrap();
            state.slots.push(len, Span::ZERO, None);
        }
    }

    fn asks(state: &mut State, callers: usize) {
        queue(state, callers - 1);
        assert!(!state.is_due());
        queue(state, 1);
        assert!(state.is_due());
    }

    #[test]
    fn server_without_work_gets_half_of_a_crowd_and_a_busy_one_all_of_it() {
        for (in_flight, portion) in [(0, 50), (1, 100)] {
            let mut state = state(in_flight);
            assert!(state.lets_ask(100, Time::default()));
            asks(&mut state, portion);
        }
    }

    #[test]
    fn what_has_not_left_is_part_of_the_first_portion() {
        let mut state = state(0);
        queue(&mut state, 40);
        assert!(state.lets_ask(60, Time::default()));
        asks(&mut state, 10);
    }
}
