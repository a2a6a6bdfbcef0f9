//! A distributed lock over Redis or Valkey: one line to take it, a guard that releases it when it goes out of scope.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let client = tenure::Client::connect("redis://127.0.0.1:6379").await?;
//!
//! let guard = client.lock("invoice:42").acquire_for(Duration::from_secs(2)).await?;
//! client.incr("invoices").await?;
//! guard.release().await?; // or drop it
//! # Ok(())
//! # }
//! ```
//!
//! # What a lock promises, and what it does not
//!
//! While [`Guard::is_held`] is true and the server keeps the key, nobody else holds the lock. Only its owner can release or renew
//! it. Dropping anything at any moment, a guard or a future that was acquiring one, leaves nothing behind on the server.
//!
//! If the server loses the key (a flush, an eviction, a failover that had not replicated it), somebody else can acquire it before
//! the old holder learns of that, by the server's push or at its next renewal. And a holder that is paused between looking at its guard and
//! acting may act too late: call [`Guard::check`] right before what must not happen twice, and keep that short. Or let
//! what you act on refuse whoever came before: [`Lock::fenced`] gives each grant a number that only rises, also
//! when the server loses its data.
//!
//! ```no_run
//! # async fn run(client: tenure::Client) -> Result<(), Box<dyn std::error::Error>> {
//! let guard = client.lock("invoice:42").fenced().acquire().await?;
//! let work = async { client.fenced_set("total:42", guard.token(), 1_200).await };
//! match guard.run(work).await {
//!     Ok(written) => println!("nobody has held the lock since: {}", written?),
//!     Err(cause) => println!("stopped where it stood: {cause}"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Locks are not reentrant. Data commands travel on another connection than locks: one whose future was dropped may still run after the
//! release.
//!
//! The module [`lock`] says how it works and what is promised by what means.
//!
//! # What happens when it goes wrong
//!
//! | | |
//! |---|---|
//! | no connection | calls wait for it until their deadline, [`Config::response_timeout`], then fail with [`Outcome::NotSent`] |
//! | connection lost | what was on its way fails with [`Outcome::Unknown`], and is not sent again by itself; dialling goes on for ever |
//! | server silent | callers fail at their deadlines; after [`Config::stall_timeout`] the connection is replaced |
//! | TLS not accepted, by us or by the server | [`ErrorKind::Handshake`], saying which side did not accept what and what to change |
//! | server refuses | [`ErrorKind::Server`] with its words; wrong credentials fail calls at once until they are right |
//! | waiting for a lock | an outage is waited out until the caller's own deadline |
//! | holding a lock | a renewal without an answer is tried again until the guard's own deadline; then [`Guard::lost`] resolves |
//!
//! # Runtime
//!
//! Connections are driven by tasks on the tokio runtime that called [`Client::connect`], on the one of [`Config::runtime`], or on
//! a thread of their own, [`Config::own_thread`]; a runtime of yours needs I/O and time enabled. Guards may be dropped anywhere,
//! also outside a runtime and after its end.
//!
//! # Weight
//!
//! Four crates: bytes, memchr, tokio and rand; thirteen with what they need.
//!
//! # Features
//!
//! None is on by default, and each only adds.
//!
//! | feature | what it adds | crates in all |
//! |---|---|--:|
//! | `blocking` | `tenure::blocking`: the same names for threads without a runtime | 13 |
//! | `tls` | `rediss://`, `valkeys://` and `Config::tls`: TLS by rustls, with ring for its cryptography; the same as `tls-ring` | 25 |
//! | `tls-aws-lc-rs` | the same with aws-lc-rs, which needs a C compiler; it is what is used where both are on | 25 |
//! | `tls-rustls` | the same without cryptography, for a provider of your own: `Tls::provider` | 23 |
//! | `tracing` | [`observe`]`::Spans`: spans and events under the names of OpenTelemetry, without arguments | 16 |

#[macro_use]
mod defects;

mod backoff;
#[cfg(feature = "blocking")]
pub mod blocking;
pub mod client;
mod config;
mod dialer;
mod error;
pub mod lock;
mod loss;
mod net;
pub mod observe;
mod seam;
mod sync;
mod url;

pub use backoff::Backoff;
pub use client::{Client, FromReply, Script, ToArg};
#[cfg(feature = "tls-rustls")]
pub use config::Tls;
pub use config::{Config, Credentials, Overflow};
pub use error::{Circumstances, Error, ErrorKind, Outcome, ServerError};
pub use lock::{
    AcquireError, AllGuard, CheckError, Durability, FENCED_GET, FENCED_SET, FencedGuard,
    FencedLock, FencingToken, Guard, Holder, Lock, LockAll, LockAny, LostCause, Options,
    ReleaseError, Renewal, Wakeup, WithError,
};
pub use observe::Observer;
pub use resp::Frame;
#[cfg(feature = "tls-rustls")]
pub use tokio_rustls::rustls;
pub use url::ProtocolChoice;
