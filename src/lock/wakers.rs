//! Whom to wake once the book is let go: mostly there is one.

use std::task::Waker;

/// Room for so many is kept.
const KEPT_WAKERS: usize = 1 << 10;

/// Wakers, of which there is mostly one.
#[derive(Default)]
pub(crate) struct Wakers {
    first: Option<Waker>,
    rest: Vec<Waker>,
}

impl Wakers {
    #[inline]
    pub(crate) fn push(&mut self, waker: Waker) {
        match self.first {
            None => self.first = Some(waker),
            Some(_) => self.rest.push(waker),
        }
    }

    /// Whether there are more than one.
    pub(crate) fn are_many(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Takes the only one.
    pub(crate) fn take_first(&mut self) -> Option<Waker> {
        self.first.take()
    }

    /// Wakes them all; to be called without the lock. Gives memory that is worth keeping.
    pub(crate) fn wake(mut self) -> Option<Self> {
        if let Some(first) = self.first.take() {
            first.wake();
        }
        self.rest.drain(..).for_each(Waker::wake);
        (1..=KEPT_WAKERS).contains(&self.rest.capacity()).then_some(self)
    }

    /// Keeps the memory of others.
    pub(crate) fn keep(&mut self, empty: Self) {
        if self.rest.capacity() == 0 {
            self.rest = empty.rest;
        }
    }
}
