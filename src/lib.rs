//! Distributed locks over Redis or Valkey.

mod backoff;
pub mod client;
mod config;
mod dialer;
mod error;
pub mod lock;
mod net;
mod seam;
mod url;

pub use backoff::Backoff;
pub use client::{Client, FromReply, Script, ToArg};
pub use config::Config;
pub use error::{Error, ErrorKind, Outcome, ServerError};
pub use lock::{AcquireError, Guard, Holder, Lock, LostCause, Options, ReleaseError, Renewal};
pub use resp::Frame;
pub use url::ProtocolChoice;
