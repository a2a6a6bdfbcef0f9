//! A Redis or Valkey inside the test: real RESP over memory, TCP or a unix socket, a clock that the test owns, and
//! faults on request.
//!
//! What it answers is what the server of its [`Profile`] answers, word for word, for the commands that locks and the
//! services around them use; what that server lacks is refused the way it refuses.

mod acl;
mod call;
mod clock;
mod command;
mod config;
mod connection;
mod core;
mod direct;
mod dispatch;
mod fault;
mod glob;
mod journal;
mod keyspace;
mod number;
mod profile;
mod pubsub;
mod refusal;
mod reply;
mod script;
mod server;
mod session;
mod sha1;
mod state;
mod stream;
mod tracking;
mod zset;

pub use acl::AclRules;
pub use fault::Fault;
pub use journal::Logged;
pub use profile::Profile;
pub use server::{Builder, FaultRule, Server};
