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
mod circumstances;
mod copies;
mod credentials;
mod exit;
mod faults;
mod fencing;
mod floods;
mod ghosts;
mod holding;
mod leftovers;
mod lessons;
mod lines;
mod liveness;
mod looking;
mod loss;
mod observer;
mod ordeals;
mod overflow;
mod payloads;
mod peers;
mod place;
mod processes;
mod pubsub;
mod recovery;
mod rights;
#[cfg(feature = "blocking")]
mod runtimeless;
mod sends;
mod several;
mod slips;
#[cfg(feature = "tracing")]
mod spans;
mod states;
mod stats;
#[cfg(feature = "tls")]
mod tls;
mod waiting;
mod wire;
