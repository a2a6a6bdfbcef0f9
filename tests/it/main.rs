//! What the library does, from the outside: first the contract on every server, then behaviour in process.

mod real;
mod support;

mod contract;

mod cancel;
mod exit;
mod faults;
mod holding;
mod peers;
