//! One value that many wait for to change, woken in the order in which they began to wait.
//!
//! Tokio's own wakes them in random order: good for a crowd, but here the callers that wait for a connection would overtake each
//! other when it comes, and a simulated run would not repeat itself.

use crate::sync::{Mutex, MutexGuard};
use std::sync::{Arc, PoisonError};
use tokio::sync::Notify;

/// Who changes the value; when it goes, the value is final.
#[derive(Debug)]
pub(crate) struct Sender<T>(Arc<Shared<T>>);

/// Who waits for it to change.
#[derive(Debug)]
pub(crate) struct Receiver<T> {
    shared: Arc<Shared<T>>,
    seen: u64,
}

#[derive(Debug)]
struct Shared<T> {
    value: Mutex<Versioned<T>>,
    changed: Notify,
}

#[derive(Debug)]
pub(crate) struct Versioned<T> {
    value: T,
    version: u64,
    is_final: bool,
}

/// No further change will come.
#[derive(Debug)]
pub(crate) struct Final;

impl<T> Sender<T> {
    pub(crate) fn new(value: T) -> Self {
        let value = Mutex::new(Versioned { value, version: 0, is_final: false });
        Self(Arc::new(Shared { value, changed: Notify::new() }))
    }

    /// Changes the value.
    pub(crate) fn send(&self, value: T) {
        let old = {
            let mut state = self.0.lock();
            state.version += 1;
            std::mem::replace(&mut state.value, value)
        };
        self.0.changed.notify_waiters();
        drop(old);
    }

    /// A receiver that has seen the value as it is now.
    pub(crate) fn subscribe(&self) -> Receiver<T> {
        let seen = self.0.lock().version;
        Receiver { shared: Arc::clone(&self.0), seen }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.lock().is_final = true;
        self.0.changed.notify_waiters();
    }
}

impl<T> Receiver<T> {
    /// Looks at the value.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.shared.lock().value)
    }

    /// Looks at the value, and counts it as seen.
    pub(crate) fn see<R>(&mut self, look: impl FnOnce(&T) -> R) -> R {
        let state = self.shared.lock();
        self.seen = state.version;
        look(&state.value)
    }

    /// Waits for a value that was not seen, and counts it as seen.
    ///
    /// # Errors
    ///
    /// If none can come.
    pub(crate) async fn changed(&mut self) -> Result<(), Final> {
        loop {
            let mut notified = std::pin::pin!(self.shared.changed.notified());
            notified.as_mut().enable(); // before the look, so that no change falls in between
            {
                let state = self.shared.lock();
                if state.version != self.seen {
                    self.seen = state.version;
                    return Ok(());
                }
                if state.is_final {
                    return Err(Final);
                }
            }
            notified.await;
        }
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Versioned<T>> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future as _;
    use std::pin::pin;
    use std::task::{Context, Waker};

    #[test]
    fn change_is_seen_once_and_the_last_one_also_after_the_end() {
        let sender = Sender::new(0);
        let mut receiver = sender.subscribe();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(pin!(receiver.changed()).poll(&mut cx).is_pending());
        sender.send(1);
        sender.send(2);
        assert!(pin!(receiver.changed()).poll(&mut cx).is_ready());
        assert_eq!(receiver.look(|value| *value), 2);
        assert!(pin!(receiver.changed()).poll(&mut cx).is_pending());
        sender.send(3);
        drop(sender);
        assert!(matches!(pin!(receiver.changed()).poll(&mut cx), std::task::Poll::Ready(Ok(()))));
        assert!(matches!(pin!(receiver.changed()).poll(&mut cx), std::task::Poll::Ready(Err(_))));
        assert_eq!(receiver.see(|value| *value), 3);
    }
}
