//! What becomes of commands when their socket, the server's good will, or the runtime is lost.

use super::Driver;
use crate::client::encode::Ink;
use crate::client::listener::Outbox;
use crate::client::pen::Pen;
use crate::client::shared::Phase;
use crate::error::{Error, ErrorKind, Outcome};
use tokio::time::Instant;

impl Driver {
    /// The socket is gone: what was sent has an unknown outcome, what was not waits for the next one, unless it was for this one.
    pub(super) fn detach(&self, error: &Error) {
        let mut out = Outbox::default();
        {
            let mut state = self.shared.lock();
            state.epoch += 1;
            state.crowded = false;
            state.last_byte = None;
            let state = &mut *state;
            let pen = state.pen.take();
            let unwritten = pen.as_deref().map(Pen::unwritten).unwrap_or_default();
            let kept = state.slots.disconnected(unwritten.len(), error, &mut out);
            if let Some(kept) = unwritten.len().checked_sub(kept).and_then(|at| unwritten.get(at..))
            {
                let mut queue = Ink::with_capacity(kept.len() + state.out.len());
                queue.extend_from_slice(kept);
                queue.extend_from_slice(&state.out);
                state.out = queue;
            }
        }
        out.tell(self.shared.listener(), Instant::now());
        self.shared.announce(Phase::Connecting(Some(error.clone())));
        {
            // The listener posts no more before there is another connection.
            let mut state = self.shared.lock();
            state.slots.release_bound(error, &mut out);
            state.withdraw(&mut out);
        }
        out.tell(self.shared.listener(), Instant::now());
        out.wake();
    }

    /// A refusal that only a person can change fails the calls at once; anything else lets them wait. Tells which it was.
    pub(super) fn note_failure(&self, error: &Error) -> bool {
        let definite = error.kind() == ErrorKind::Handshake && !error.is_transient();
        let mut out = Outbox::default();
        {
            let mut state = self.shared.lock();
            state.last_failure = Some(error.clone());
            state.unusable = definite.then(|| error.clone());
            if definite {
                state.out.clear();
                state.slots.fail_all(error, &mut out);
                state.call_in(&mut out.wakers);
            }
        }
        if definite {
            out.tell(self.shared.listener(), Instant::now());
            self.shared.announce(Phase::Refused(error.clone()));
            out.wake();
        }
        definite
    }
}

/// Also when the runtime is shut down under it, in which case nobody would ever answer.
impl Drop for Driver {
    fn drop(&mut self) {
        let mut out = Outbox::default();
        let error = {
            let mut state = self.shared.lock();
            let error = if state.closing {
                Error::closed(Outcome::NotSent)
            } else if let Some(lost) = &self.lost {
                lost.with_outcome(Outcome::NotSent)
            } else {
                Error::new(
                    ErrorKind::Closed,
                    Outcome::NotSent,
                    "the runtime that drove this connection has ended: connect again on one that runs",
                )
            };
            state.epoch += 1;
            state.closing = true;
            state.unusable = Some(error.clone());
            state.pen = None;
            state.driver = None;
            state.out = Ink::new();
            state.slots.disconnected(0, &error, &mut out);
            state.slots.fail_all(&error, &mut out);
            state.call_in(&mut out.wakers);
            error
        };
        out.tell(self.shared.listener(), Instant::now());
        self.shared.announce(Phase::Closed(error));
        out.wake();
    }
}
