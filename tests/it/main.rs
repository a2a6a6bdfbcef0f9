//! What the library does, from the outside: first the contract on every server, then behaviour in process.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod load;
mod real;
mod support;

mod connections;
mod contract;

mod batches;
mod blocking;
mod cancel;
mod credentials;
mod exit;
mod faults;
mod holding;
mod liveness;
mod ordeals;
mod payloads;
mod loss;
mod peers;
mod place;
mod slips;
mod states;
#[cfg(feature = "tls")]
mod tls;
mod stats;
mod waiting;
mod wire;
