//! The lock: what it promises, what it cannot, and how it works.
//!
//! # States of a hold
//!
//! ```text
//!             SET key value NX PX lease               DELIFEQ key value
//!   free ────────────────────────────────► held ────────────────────────► free
//!    ▲                                     │  ▲
//!    │                                     └──┘ SET key value IFEQ value PX lease, every lease/3
//!    │                                     │
//!    └──────── the server ends the lease ──┴──► lost: the guard knows by its own clock, before the server does
//! ```
//!
//! The value is unique to one acquire call: 128 random bits, and who holds the lock for people to read. Release and renewal
//! name it, and the server compares: nobody releases or prolongs a lock that is somebody else's.
//!
//! # What is promised
//!
//! * While [`Guard::is_held`] is true and the server keeps the key, nobody else holds the lock: validity is counted from
//!   before the command was sent and ends before the server's lease does.
//! * Dropping anything at any moment leaves nothing behind. An acquire that is given up undoes what may have reached the server,
//!   on the same connection and so in order; a guard that is dropped releases; and if the connection is lost, the old one is
//!   killed before the new one is used, and the release is sent again until the lease has ended.
//! * A lost reply does not lock its own caller out: attempts repeat their value, and find it.
//! * What a guard does not know it does not claim: a renewal without an answer is tried again, and the guard counts as lost at its
//!   own deadline, which needs no network.
//!
//! # What is not
//!
//! * If the server loses the key or is told to delete it (flush, eviction, failover without the tail), somebody else may
//!   acquire before the old holder learns of it, which is at its next renewal.
//! * A holder that is paused between looking at its guard and acting may act too late. Keep the act short, and look at
//!   [`Guard::validity`] right before it.
//! * There is no order between waiters, and a data command whose future was dropped may still run after the release.
//!
//! # Files
//!
//! | file | what it does |
//! |---|---|
//! | `handle.rs`, `options.rs`, `guard.rs`, `inspect.rs`, `error.rs` | what users call |
//! | `acquire.rs`, `waiting.rs` | trying, waiting, giving up, undoing |
//! | `hold.rs`, `lease.rs`, `keeper.rs`, `upkeep.rs` | holding: validity, renewal, releases seen through |
//! | `dialect.rs`, `token.rs` | what goes over the wire |
//! | `locker.rs` | what all locks of a client share |

mod acquire;
mod dialect;
mod error;
mod guard;
mod handle;
mod hold;
mod inspect;
mod keeper;
mod lease;
mod locker;
mod options;
mod token;
mod upkeep;
mod waiting;

pub use error::{AcquireError, LostCause, ReleaseError};
pub use guard::Guard;
pub use handle::Lock;
pub use inspect::Observed;
pub use options::{Options, Renewal};
pub use token::Holder;

use crate::client::Client;
use crate::seam::after;
use locker::Locker;
use std::time::Duration;
use tokio::time::Instant;

impl Client {
    /// Ends the client in order: guards that are still held are released and count as lost, calls from now on fail, what is
    /// on its way is waited for, at most for `timeout` in all. Other clones end with it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was begun goes on in the background.
    pub async fn close(&self, timeout: Duration) {
        let until = after(Instant::now(), timeout);
        if let Some(locker) = Locker::existing(self) {
            locker.close(timeout).await;
        }
        self.close_data(until.saturating_duration_since(Instant::now())).await;
    }
}
