//! The connection to the server: handle, driver, order of replies, reconnecting.
//!
//! ```text
//!   callers ── encode ──► write buffer ─┐                       ┌─► socket
//!                         reply slots ──┴── driver (one task) ──┤
//!   callers ◄── wake ──── filled slots ◄────────────────────────┴── socket
//! ```
//!
//! A [`Client`] is a cheap handle. Calls from many tasks share one connection and leave in as few writes as their timing
//! allows; replies come back in the order of the commands, so the oldest open slot gets the next reply, and a slot
//! outlives a caller that went away. A reply that nobody asked for ends the connection.
//!
//! When a connection is lost, every command that was sent fails with [`Outcome::Unknown`](crate::Outcome::Unknown) and is
//! never sent again by itself; what was still queued waits for the next connection, or for its deadline. Dialling goes
//! on for ever, with full jitter; the name is looked up again each time, and database and client name are set again.
//!
//! What would disturb the others on a shared connection is refused, and has a way of its own:
//!
//! | for | there is | on |
//! |---|---|---|
//! | several commands at once | [`Client::pipeline`] | the shared connection |
//! | `MULTI`, `EXEC` | [`Client::transaction`] | the shared connection, in one piece |
//! | `WATCH` | [`Client::watch`] | a leased connection |
//! | `BLPOP`, `BLMOVE`, `XREAD` with `BLOCK`, … | [`Client::blocking_command`] | a leased connection |
//! | `WAIT` after writes | [`Client::blocking_pipeline`] | a leased connection |
//! | `SUBSCRIBE`, `PSUBSCRIBE`, `SSUBSCRIBE` | [`Client::subscribe`] and its like | one that all subscriptions share |
//!
//! A leased connection is one caller's until the call is over, and never dials again.
//!
//! # Why a driver
//!
//! Three ways of sharing a connection were measured as prototypes that encode, queue, write, read, decode and wake, and do nothing
//! else (`cargo bench -p tenure-exact --bench architectures`, which also measures this module): the driver above; a leader, one of
//! the callers that wait, who reads for all and, when alone, for itself; and one task that writes beside one that reads.
//!
//! | one task / 512 tasks, current-thread | instructions of a pair | system calls of a pair |
//! |---|--:|--:|
//! | driver | 8,170 / 2,780 | 6.00 / 0.04 |
//! | leader | 7,760 / 3,080 | 6.00 / 0.04 |
//! | two tasks | 8,840 / 2,780 | 6.00 / 0.04 |
//! | this module | 9,080 / 2,810 | 6.02 / 0.06 |
//!
//! The leader spares a lone caller one task switch, 5 % of its instructions and none of its system calls, and costs a crowd 11 %,
//! because leadership changes hands; a caller that is dropped while it leads would have to hand on a read that has begun. With two
//! tasks a lone caller is written for by another, which costs 8 %. Half of the pairs of one task take less than 1.03 times what a
//! blocking socket takes where the kernel has client and server on two cores, and 1.14 times where on one, with each of the three. So
//! one task drives, and a caller that finds nothing on its way writes by itself. So does whoever makes the queue long in a crowd, which
//! costs 0.02 system calls of a pair: the server has work while the others still ask, and where it is not the limit itself, 1.7 times
//! as many commands are answered. And on several workers the driver does not write for the first of those who were answered
//! together, but lets the others of its worker ask before (`crowd.rs`): half the writes, two thirds of the CPU.
//!
//! All of it is under one lock. A lock of its own for each reply, so that who fetches one stands in nobody's way, was tried as well: it
//! takes 1 to 6 % more instructions, and two workers answered no more commands for it.
//!
//! # Files
//!
//! | file | what it does |
//! |---|---|
//! | `handle.rs`, `verbs.rs`, `set.rs`, `compare.rs`, `command.rs`, `batch.rs`, `script.rs`, `sha1.rs`, `typed.rs`, `state.rs`, `stats.rs` | what users call |
//! | `blocking.rs`, `optimistic.rs`, `lease.rs`, `pops.rs` | what has a connection of its own for a while |
//! | `args.rs`, `at_hand.rs`, `encode.rs`, `commands.rs`, `convert.rs`, `replies.rs`, `refused.rs` | values to arguments, replies to values |
//! | `connection.rs`, `call.rs`, `shared.rs`, `posting.rs`, `queue.rs`, `room.rs`, `pen.rs`, `crowd.rs`, `listener.rs`, `trace.rs` | what callers and driver share |
//! | `slot.rs`, `slots.rs`, `waves.rs`, `gather.rs`, `canary.rs` | which reply is whose, and when it is late |
//! | `driver.rs`, `intake.rs`, `alarm.rs`, `clock.rs`, `pulse.rs`, `spin.rs`, `redial.rs`, `handshake.rs` | the task that owns the socket |
//! | `pubsub/` | subscriptions |
//! | `home.rs` | where that task runs |
//! | `lanes.rs`, `route.rs` | several connections, and which one a key keeps |

mod alarm;
mod args;
mod arrivals;
mod at_hand;
mod batch;
mod blocking;
mod call;
mod canary;
mod clock;
mod command;
mod commands;
mod compare;
mod connection;
mod convert;
mod crowd;
mod driver;
pub(crate) mod encode;
mod gather;
mod handle;
mod handshake;
mod home;
mod intake;
mod lanes;
mod lease;
mod listener;
mod optimistic;
mod pen;
mod pops;
mod posting;
mod pubsub;
mod pulse;
mod queue;
mod redial;
mod refused;
mod replies;
mod room;
mod route;
mod script;
mod set;
mod sha1;
mod shared;
mod slot;
mod slots;
mod spin;
mod state;
mod stats;
#[cfg(all(test, tenure_loom))]
mod tests;
mod trace;
mod typed;
mod verbs;
mod watch;
mod waves;

pub use args::Args;
pub use batch::Batch;
pub use blocking::BlockingCommand;
pub use command::Command;
pub use convert::{FromReply, ToArg};
pub use handle::Client;
pub use optimistic::Watch;
pub use pubsub::{Event, Gap, Message, Subscription};
pub use replies::{FromReplies, Replies};
pub use script::Script;
pub use set::SetOptions;
pub use state::{State, StateChanges};
pub use stats::Stats;
pub use typed::Typed;
pub use verbs::Ttl;

pub(crate) use connection::Connection;
pub(crate) use convert::{answer, kind};
pub(crate) use encode::{Decimal, Ink};
pub(crate) use handshake::Session;
pub(crate) use listener::{BOUND, Heard, Listener, Notice, Tag};
pub(crate) use pen::Draft;
pub(crate) use queue::{Due, Flush};
pub(crate) use resp::Frame;
pub(crate) use sha1::hex as digest;
pub(crate) use shared::Phase;
