//! Taking a lock from exactly the hold that somebody looked at.

use crate::error::Error;
use crate::lock::acquire::Acquiring;
use crate::lock::error::AcquireError;
use crate::lock::guard::Guard;
use crate::lock::handing::Handing;
use crate::lock::handle::{Lock, Ready};
use crate::lock::inspect::Observed;
use crate::lock::locker::Locker;

impl Lock {
    /// Takes the lock from exactly the hold that was looked at, without its becoming free in between: `None` if that hold is not there
    /// any more. Whoever waits for the lock, here or elsewhere, goes on waiting.
    ///
    /// The holder learns of it by a push, or at its next renewal ([`LostCause::TakenOver`](crate::LostCause::TakenOver)), and may work on until then: this is
    /// for holders that are known to be dead, and for work that must go on under the lock instead of theirs.
    /// [`Lock::force_release`] only ends a hold.
    ///
    /// # Errors
    ///
    /// As [`Lock::try_acquire`]. [`AcquireError::Client`] also if the hold is one of this very client: its guard is to be
    /// released instead.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a lock that is taken after the future was dropped is released at once.
    pub async fn steal(&self, observed: &Observed) -> Result<Option<Guard>, AcquireError> {
        let Ready { locker, plan } = self.ready()?;
        if holds(locker, &plan.key, observed) {
            let sum = "the lock is held by this client: release its guard instead";
            return Err(Error::refused(sum).into());
        }
        Handing::new(Acquiring::seizing(self, &observed.value)).await
    }
}

/// Whether a hold is one of this client.
fn holds(locker: &Locker, key: &crate::lock::plan::Key, observed: &Observed) -> bool {
    let book = locker.engine.book();
    let entry = book.gates.find(key).and_then(|at| book.gates.get(at));
    let holder = entry.and_then(|entry| entry.gate.holder());
    holder.is_some_and(|(claim, _)| book.value(claim) == &observed.value[..])
}
