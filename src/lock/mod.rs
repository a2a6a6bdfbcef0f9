//! The lock: what it promises, what it cannot, and how it works.
//!
//! # How it works
//!
//! ```text
//!   Lock::acquire ──┐                                              ┌──► connection ──► server
//!   Guard (drop) ───┼──► events ──► gate of the key ──► orders ──► engine
//!   replies, pushes ┤             (decides, knows no I/O)          └──► guards, futures, errors
//!   ticker (time) ──┘
//! ```
//!
//! There is one lock connection for each client, and one gate (`gate/`) for each key that the process has to do with: it knows
//! who holds the lock here, who waits for it here and in which order, and what is still to be undone. Its module has the
//! picture of its states, and its invariants. Whatever happens is told to the gate as an event, wherever it happens: on the
//! caller's thread, on the one that drops a guard, on the connection's driver, on the one timer task. What the gate
//! orders is done on the spot. So an uncontended acquire crosses no task but its caller's, a push is answered in the
//! same turn in which it was read, and a caller that goes away takes nothing with it.
//!
//! The value is unique to one acquire call: 128 random bits, and who holds the lock for people to read. Release, renewal and
//! hand-over name it, and the server compares: nobody releases or prolongs a lock that is somebody else's.
//!
//! # What is promised
//!
//! * While [`Guard::is_held`] is true and the server keeps the key, nobody else holds the lock: validity is counted from
//!   before the command was sent and ends before the server's lease does.
//! * Waiting costs hardly any requests: the server tells when the key changes, or the holder when it releases ([`Wakeup`]). Behind
//!   either stands a timer. Waiters of one process are served in order, by handing the lock over in one command; after eight
//!   hand-overs, or 50 ms, other processes get their turn. They take turns as long as they hear each other: whoever has had the
//!   lock lets those go first who have waited for longer and say so (`speech.rs`), for a few milliseconds at most.
//! * Those who wait for a fair lock ([`Lock::fair`]) are served in the order of coming, in whatever process: the server keeps the
//!   line, and a release gives the lock to the first in it and tells it so. It holds the lock from then on; `gate/fair.rs` has
//!   the reckoning. Whoever has no connection then is passed over. One command in five seconds keeps the places of all who wait for
//!   one lock in one process (`gate/fair/behind.rs`).
//! * Dropping anything at any moment leaves nothing behind. An acquire that is given up undoes what may have reached the server,
//!   on the same connection and so in order; a guard that is dropped releases; and if the connection is lost, the old one is
//!   killed before the new one is used, and the release is sent again until the lease has ended. Where the server does not
//!   let us kill it, what it may still bring is taken back until it cannot bring it any more.
//! * A lost reply does not lock its own caller out: attempts repeat their value, and find it.
//! * Every grant of a fenced lock ([`Lock::fenced`]) has a token that is greater than those of all grants before it, through
//!   hand-overs, lost replies and lost data; it comes in the same round trip.
//! * What a guard does not know it does not claim: a renewal without an answer is tried again, and the guard counts as lost at its
//!   own deadline, which needs no network. A machine that slept is found out by its wall clock.
//!
//! # What is not
//!
//! * If the server loses the key or is told to delete it (flush, eviction, failover without the tail), somebody else may
//!   acquire before the old holder learns of it: within a round trip of the server's push, where it has one armed (from the
//!   first renewal on, or with [`Options::watch_at_once`]), else at its next renewal.
//! * A holder that is paused between looking at its guard and acting may act too late. Keep the act short, and call
//!   [`Guard::check`] right before it, or have what is acted on check a fencing token.
//! * Fencing tokens carry the server's time. They do not rise if its clock was set back together with a loss of its data.
//!   A server that refuses scripts mints to the millisecond only: there, fences that begin, are lost and begin again within
//!   two milliseconds may repeat themselves.
//! * There is no strict order between waiters of different processes unless all of them stand in line ([`Lock::fair`]). Whoever has no connection
//!   when its turn comes loses its place, and so does everybody if the server loses its data. Whoever is given the lock reckons from when
//!   by the server's clock: if that is set forward while it waits, it may rely on its grant for as long as the news was on its way,
//!   beyond the two seconds within which it was to confirm it.
//! * A data command whose future was dropped may still run after the release.
//!
//! # What is proven, by what, and what is not
//!
//! Nothing here is proven as a theorem is; each line says what was searched for a counterexample, and how.
//!
//! | what holds | looked for by |
//! |---|---|
//! | one owner at most relies on a lock while the server keeps the key; nothing that was given up stays on the server; nobody waits for ever | every order of events in small worlds, up to three processes or four callers and one server: stateright over the shipped `gate/`, about thirty million states (`gate/tests/model`) |
//! | each grant of a fenced lock has a fence of its own; they rise from each grant to those asked for after it, also after the server has lost them; what is written with them refuses whoever held before | the same, with a server that mints by our script or by one command after another, and writes that come at any time later |
//! | the same of client, lock, network and server together, with crashes, cuts at any byte, clocks that differ, lost data; and that histories are those of a lock | simulated runs, from one seed each, checked for linearizability (`tests/sim`) |
//! | the same of real servers and processes that are killed, stopped and started again; no leak, and back soon after a restart | `tests/soak`, half an hour at a time |
//! | that histories are those of a lock also where connections to Redis 7.0 and Valkey 9.1 are cut at any byte, held, slowed, refused and damaged while servers and processes are killed and stopped and wall clocks jump by an hour; no key is left | ten thousand short histories of each server, checked for linearizability (`tests/soak`) |
//! | no wake-up between callers and the connection's driver is lost, and no answer goes to another caller, in any order of threads | loom over the shipped queue, slots and calls (`client/tests`); the driver's loop is modelled, tokio's own parts are taken as given |
//! | whoever breaks one of sixty-three rules on purpose is caught | `tests/DEFECTS.md` |
//! | what each command means is what real servers make of it | one suite on Redis 6.2, Redis 7.0, Valkey 9.1 and the in-process server (`tests/it/contract`) |
//!
//! Not proven: worlds beyond those bounds; the commands of
//! Redis 8.4, which no real server was asked about; clocks that differ by more than a lease allows for; and, as no lock on Redis
//! can promise it, exclusion while the server has lost the key.
//!
//! # Files
//!
//! | file | what it does |
//! |---|---|
//! | `handle.rs`, `options.rs`, `guard.rs`, `inspect.rs`, `error.rs` | what users call |
//! | `steal.rs`, `list.rs`, `watching.rs`, `bells.rs` | what operators call, and whom to tell of a key |
//! | `durable.rs` | copies of a lock before it is handed out |
//! | `handing.rs` | what an acquire call hands out |
//! | `all.rs`, `all_guard.rs`, `any.rs` | several locks at once |
//! | `fenced.rs`, `fence.rs`, `fenced_set.rs` | the same with a number for each grant, and values that heed it |
//! | `gate/`, `lease.rs` | what to do: pure |
//! | `acquire.rs`, `release.rs`, `hold.rs` | what callers and guards wait for and look at |
//! | `engine.rs`, `post.rs`, `book.rs`, `record.rs`, `gates.rs`, `wakers.rs` | events to gates, orders to errands, answers to events |
//! | `shortcut.rs` | the same for a hold that nothing interferes with |
//! | `ear.rs`, `aside.rs`, `ticker.rs` | what the connection hears, or one beside it, and when it is time |
//! | `dialect.rs`, `phrases.rs`, `answers.rs`, `minting.rs`, `fairness.rs`, `token.rs`, `elder.rs`, `plan.rs`, `speech.rs` | what goes over the wire, and what comes back: pure |
//! | `locker.rs` | what all locks of a client share |
//! | `sight.rs` | what an observer is told |
//!
//! # Another kind of lock
//!
//! What a caller asked for travels to the gate in its terms (`gate::Terms`), made from [`Options`] in `plan.rs`.
//! A kind that takes, keeps or frees the key in another way gets a field there, and where its commands differ an errand of
//! its own (`gate::Errand`): `phrases.rs` says it in the server's words, `answers.rs` reads what comes back into
//! `gate::Said`, and the gate decides on that. Everything else, timers, order, lost connections, callers that leave, is
//! the same for each kind. A result beyond the lock itself, such as a fencing token, goes with the grant (`gate::Order::Grant`)
//! into the hold, where the guard finds it. A script is one file in `scripts/`; the test
//! server knows its twin by its text.

mod acquire;
mod all;
mod all_guard;
mod answers;
mod any;
mod aside;
mod bells;
mod book;
mod dialect;
mod durable;
mod ear;
mod elder;
mod engine;
mod error;
mod fairness;
mod fence;
mod fenced;
mod fenced_set;
mod gate;
mod gates;
mod guard;
mod handing;
mod handle;
mod hold;
mod inspect;
mod lease;
mod list;
mod locker;
mod minting;
mod opening;
mod options;
mod phrases;
mod plan;
mod post;
mod record;
mod release;
mod shortcut;
mod sight;
mod speech;
mod steal;
mod ticker;
mod token;
mod wakers;
mod watching;

pub use all::LockAll;
pub use all_guard::AllGuard;
pub use any::LockAny;
pub use error::{AcquireError, CheckError, LostCause, ReleaseError, WithError};
pub use fence::FencingToken;
pub use fenced::{FencedGuard, FencedLock};
pub use fenced_set::{FENCED_GET, FENCED_SET};
pub use guard::Guard;
pub use handle::Lock;
pub use inspect::Observed;
pub use list::{Listed, Listing};
pub use options::{Durability, Options, Renewal, Wakeup};
pub use token::Holder;
pub use watching::{LockState, Watching};

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
        self.end(until.saturating_duration_since(Instant::now())).await;
    }
}
