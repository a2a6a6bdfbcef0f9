//! Copies of a lock before it is handed out: `WAIT` and `WAITAOF`.
//!
//! Both wait for the writes of their own connection and stop everything else on it, so they cannot follow the acquire on the lock
//! connection. A renewal is written on a leased connection instead, which comes after the acquire in what replicas are sent: who has
//! that has both. It compares the owner, so that one that runs late, behind the release of a caller that went away, does nothing.

use crate::client::Frame;
use crate::error::Error;
use crate::lock::dialect::{Dialect, Script};
use crate::lock::error::AcquireError;
use crate::lock::guard::Guard;
use crate::lock::handle::Lock;
use crate::lock::locker::Locker;
use crate::lock::options::Durability;
use std::time::Duration;

impl Lock {
    /// Hands out a guard once there are as many copies of its lock as the options ask for; releases it otherwise.
    ///
    /// # Errors
    ///
    /// Why there are not.
    pub(crate) async fn secure(&self, guard: Guard) -> Result<Guard, AcquireError> {
        match self.durability() {
            None => Ok(guard),
            // On the side, as every acquire call would otherwise have room for it.
            Some(wanted) => Box::pin(self.secure_as(guard, wanted)).await,
        }
    }

    /// The same where this is what they ask for.
    pub(crate) async fn secure_as(
        &self,
        guard: Guard,
        wanted: Durability,
    ) -> Result<Guard, AcquireError> {
        match self.copies(&guard, wanted).await {
            Ok(copies) if copies.suffice(wanted) => Ok(guard),
            Ok(copies) => {
                // Whatever comes of that, it is followed up.
                let _ = guard.release().await;
                Err(AcquireError::NotDurable { wanted, replicas: copies.replicas })
            }
            Err(error) => {
                let _ = guard.release().await;
                Err(error.into())
            }
        }
    }

    async fn copies(&self, guard: &Guard, wanted: Durability) -> Result<Copies, Error> {
        let (key, value, ttl_ms) = guard.written();
        let session = Locker::of(&self.client).connection.ready().await?;
        let dialect = session.derived(|| Dialect::of(&session));
        let renewal = self.client.blocking_pipeline();
        let renewal = if dialect.has_set_ifeq() {
            renewal.command("SET").arg((key, &value[..], "IFEQ", &value[..], "PX", ttl_ms))
        } else {
            renewal.command("EVAL").arg((Script::Renew.text(), 1, key, &value[..], ttl_ms))
        };
        match wanted {
            Durability::Replicas { count, timeout } => {
                let wait = renewal.command("WAIT").arg((i64::from(count), millis(timeout)));
                let (renewed, replicas): (Frame, u64) = wait.send().await?;
                Ok(Copies { ours: is_ours(&renewed), local: true, replicas })
            }
            Durability::Disk { replicas, timeout } => {
                let wait =
                    renewal.command("WAITAOF").arg((1, i64::from(replicas), millis(timeout)));
                let (renewed, (local, replicas)): (Frame, (u64, u64)) = wait.send().await?;
                Ok(Copies { ours: is_ours(&renewed), local: local > 0, replicas })
            }
        }
    }
}

/// What has been confirmed.
struct Copies {
    /// The lock was still ours when it was written once more; otherwise nothing was waited for.
    ours: bool,
    local: bool,
    replicas: u64,
}

impl Copies {
    fn suffice(&self, wanted: Durability) -> bool {
        let (Durability::Replicas { count, .. } | Durability::Disk { replicas: count, .. }) =
            wanted;
        self.ours && self.local && self.replicas >= u64::from(count)
    }
}

fn is_ours(renewed: &Frame) -> bool {
    matches!(renewed, Frame::Simple(_) | Frame::Integer(1))
}

/// As servers read it, for whom zero is for ever.
fn millis(timeout: Duration) -> i64 {
    i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX).max(1)
}
