//! The line of callers who wait until there is room for their commands: first come, first served. Pure.

use crate::client::clock::Time;
use std::collections::VecDeque;
use std::task::Waker;

/// Names one caller in line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

#[derive(Debug)]
struct Waiter {
    ticket: Ticket,
    deadline: Time,
    /// Taken when the caller is called.
    waker: Option<Waker>,
}

/// Callers in line.
#[derive(Debug, Default)]
pub(crate) struct Line {
    waiters: VecDeque<Waiter>,
    tickets: u64,
}

impl Line {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// Joins at the end.
    pub(crate) fn join(&mut self, deadline: Time, waker: Waker) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.waiters.push_back(Waiter { ticket, deadline, waker: Some(waker) });
        ticket
    }

    pub(crate) fn is_first(&self, ticket: Ticket) -> bool {
        self.waiters.front().is_some_and(|first| first.ticket == ticket)
    }

    /// Waits on, with this waker. Gives the one before, to be dropped without the lock.
    pub(crate) fn wait_on(&mut self, ticket: Ticket, waker: &Waker) -> Option<Waker> {
        let at = self.position(ticket)?;
        self.waiters.get_mut(at)?.waker.replace(waker.clone())
    }

    /// Leaves, wherever it stands.
    pub(crate) fn leave(&mut self, ticket: Ticket) -> Option<Waker> {
        let at = self.position(ticket)?;
        self.waiters.remove(at)?.waker
    }

    /// Whom to wake so that the first looks whether there is room; nobody if that was done already.
    pub(crate) fn call_first(&mut self) -> Option<Waker> {
        self.waiters.front_mut()?.waker.take()
    }

    /// Whom to wake so that everybody looks.
    pub(crate) fn call_all(&mut self, wakers: &mut Vec<Waker>) {
        wakers.extend(self.waiters.iter_mut().filter_map(|waiter| waiter.waker.take()));
    }

    /// Whom to wake because their deadline has come; gives the next one.
    pub(crate) fn call_overdue(&mut self, now: Time, wakers: &mut Vec<Waker>) -> Time {
        let mut next = Time::NEVER;
        for waiter in &mut self.waiters {
            if waiter.deadline > now {
                next = next.min(waiter.deadline);
            } else {
                wakers.extend(waiter.waker.take());
            }
        }
        next
    }

    /// Tickets rise along the line.
    fn position(&self, ticket: Ticket) -> Option<usize> {
        self.waiters.binary_search_by_key(&ticket, |waiter| waiter.ticket).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const MS: Duration = Duration::from_millis(1);

    fn at(ms: u32) -> Time {
        Time::default().after(ms * MS)
    }

    #[test]
    fn first_come_is_first_called_also_after_others_left() {
        let mut line = Line::default();
        let [first, second, third] = [(); 3].map(|()| line.join(at(9), Waker::noop().clone()));
        assert!(line.is_first(first) && !line.is_first(second));
        assert!(line.leave(second).is_some());
        assert!(line.leave(second).is_none(), "it has left");
        assert!(line.call_first().is_some());
        assert!(line.call_first().is_none(), "it was called");
        line.leave(first);
        assert!(line.is_first(third) && line.call_first().is_some());
        line.leave(third);
        assert!(line.is_empty());
    }

    #[test]
    fn caller_whose_deadline_has_come_is_called_wherever_it_stands() {
        let mut line = Line::default();
        let [_, late, _] = [9, 3, 7].map(|ms| line.join(at(ms), Waker::noop().clone()));
        let mut wakers = Vec::new();
        assert_eq!(line.call_overdue(at(3), &mut wakers), at(7));
        assert_eq!(wakers.len(), 1);
        assert!(line.leave(late).is_none(), "it was called, and had left its waker");
        line.call_all(&mut wakers);
        assert_eq!(wakers.len(), 3);
    }
}
