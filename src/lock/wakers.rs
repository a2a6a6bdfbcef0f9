//! Whom to wake once the book is let go: mostly there is one.

use std::task::Waker;

/// Room for so many is kept.
const KEPT_WAKERS: usize = 1 << 10;

/// Wakers, of which there is mostly one.
#[derive(Default)]
pub(crate) struct Wakers(Vec<Waker>);

impl Wakers {
    #[inline]
    pub(crate) fn push(&mut self, waker: Waker) {
        self.0.push(waker);
    }

    pub(crate) fn are_none(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there are more than one.
    pub(crate) fn are_many(&self) -> bool {
        self.0.len() > 1
    }

    /// Takes the only one.
    #[inline]
    pub(crate) fn take_one(&mut self) -> Option<Waker> {
        self.0.pop()
    }

    /// Wakes them all; to be called without the lock. Gives memory that is worth keeping.
    pub(crate) fn wake(mut self) -> Option<Self> {
        self.0.drain(..).for_each(Waker::wake);
        (1..=KEPT_WAKERS).contains(&self.0.capacity()).then_some(self)
    }

    /// Keeps the memory of others.
    pub(crate) fn keep(&mut self, empty: Self) {
        if self.0.capacity() == 0 {
            *self = empty;
        }
    }
}
