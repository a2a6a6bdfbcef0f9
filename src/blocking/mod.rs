//! The same names without a runtime: for programs, and threads, that have none.
//!
//! ```no_run
//! use std::time::Duration;
//! use tenure::blocking::Client;
//!
//! # fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect("redis://127.0.0.1:6379")?;
//! let guard = client.lock("invoice:42").acquire_for(Duration::from_secs(2))?;
//! let total: i64 = client.wait(async |client| client.incr("total").await)??;
//! guard.release()?; // or drop it
//! # Ok(())
//! # }
//! ```
//!
//! A client has a thread of its own on which connections are driven and leases renewed ([`Config::own_thread`](crate::Config::own_thread)); the calling
//! thread sleeps until it is woken. What is promised of the asynchronous names holds here too, dropping included: a guard
//! is dropped without blocking.
//!
//! A call on a thread that runs asynchronous code would keep everything else on it from going on, perhaps the very task that it
//! waits for. So it fails at once, with an error that says so. That includes tokio's threads for blocking
//! work, which cannot be told apart: there, and everywhere else in a program with a runtime, the asynchronous names are the
//! right ones.

mod client;
mod guard;
mod lock;
mod wait;

pub use client::Client;
pub use guard::Guard;
pub use lock::Lock;
