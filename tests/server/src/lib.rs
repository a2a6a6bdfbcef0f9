//! A Redis or Valkey inside the test: real RESP over memory, TCP or a unix socket, a clock that the test owns, and
//! faults on request.
//!
//! What it answers is what the server of its [`Profile`] answers, word for word, for the commands that locks and the
//! services around them use; what that server lacks is refused the way it refuses. There is no Lua: the lock's scripts
//! are recognised by their text and done natively, every other script is refused.
//!
//! A unit test gives its client a [dialer](Server::dialer) and runs on a paused clock, so that leases end and time-outs
//! come without waiting:
//!
//! ```
//! use std::time::Duration;
//! use tenure::{Client, Config};
//! use tenure_server::{Profile, Server};
//!
//! # /*
//! #[tokio::test(start_paused = true)]
//! # */
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() { the_report_is_not_written_twice().await }
//! async fn the_report_is_not_written_twice() {
//!     let server = Server::new(Profile::Valkey9);
//!     let client = Client::with_config(Config::dialer(server.dialer())).await.unwrap();
//!     server.set_for("lk:report", "somebody else", Duration::from_secs(10));
//!     assert!(client.lock("report").try_acquire().await.unwrap().is_none());
//!     tokio::time::sleep(Duration::from_secs(11)).await; // takes no time
//!     assert!(client.lock("report").try_acquire().await.unwrap().is_some());
//! }
//! ```
//!
//! Without a client, the same server speaks RESP to whoever connects:
//!
//! ```
//! # use tenure_server::{Fault, Profile, Server};
//! # use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let server = Server::new(Profile::Redis7_0);
//! let mut stream = server.connect();
//! server.fault(Fault::loading().on("ping").times(1)); // the first PING goes wrong
//! stream.write_all(b"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n").await?;
//! stream.shutdown().await?;
//! let mut replies = String::new();
//! stream.read_to_string(&mut replies).await?;
//! assert_eq!(replies, "-LOADING Redis is loading the dataset in memory\r\n+PONG\r\n");
//! # Ok(())
//! # }
//! ```
//!
//! Redis 6.2, Redis 7.0 and Valkey 9 have real servers behind them, compared byte by byte. The profile of Redis 8.4 plays
//! what its documentation says.

mod acl;
mod blocking;
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
mod link;
mod number;
mod profile;
mod pubsub;
mod refusal;
mod reply;
mod restart;
mod script;
mod server;
mod session;
#[path = "../../../src/client/sha1.rs"]
mod sha1;
mod state;
mod stream;
mod tracking;
mod zset;

pub use acl::AclRules;
pub use fault::Fault;
pub use journal::Logged;
pub use link::{Ending, Flaw, Link, LinkStream, Proxy, Way};
pub use profile::Profile;
pub use restart::Snapshot;
pub use server::{Builder, FaultRule, Server};
