//! `Config`: where to connect and how, with a default and a reason for each setting.

mod credentials;
mod observing;
#[cfg(feature = "tls-rustls")]
mod tls;
#[cfg(not(feature = "tls-rustls"))]
#[path = "no_tls.rs"]
mod tls;

pub use credentials::Credentials;
#[cfg(feature = "tls-rustls")]
pub use tls::Tls;
#[cfg(not(feature = "tls-rustls"))]
pub(crate) use tls::Tls;

use crate::backoff::Backoff;
use crate::dialer::{BoxedDial, Dial};
use crate::error::Error;
use crate::observe::Observer;
use crate::seam::Seam;
use crate::url::{self, Address, ProtocolChoice};
use credentials::{Ask, BoxedProvider};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;

/// Settings of a [`Client`](crate::Client), built by value.
///
/// ```
/// use std::time::Duration;
///
/// let config = tenure::Config::from_url("redis://user:secret@10.0.0.7:6379/2")?
///     .client_name("billing")
///     .response_timeout(Duration::from_millis(500));
/// assert!(!format!("{config:?}").contains("secret"));
/// # Ok::<(), tenure::Error>(())
/// ```
#[derive(Clone)]
pub struct Config {
    pub(crate) address: Address,
    pub(crate) credentials: Credentials,
    pub(crate) provider: Option<BoxedProvider>,
    pub(crate) tls: Option<Tls>,
    pub(crate) db: u32,
    pub(crate) client_name: String,
    pub(crate) protocol: ProtocolChoice,
    pub(crate) connect_timeout: Duration,
    pub(crate) response_timeout: Duration,
    pub(crate) keepalive: Duration,
    pub(crate) stall_timeout: Duration,
    pub(crate) reconnect: Backoff,
    pub(crate) max_queued_bytes: usize,
    pub(crate) overflow: Overflow,
    pub(crate) spin: Duration,
    pub(crate) leased_connections: usize,
    pub(crate) subscription_buffer: usize,
    pub(crate) dial: Option<BoxedDial>,
    pub(crate) connections: usize,
    pub(crate) placement: Placement,
    observer: Option<Arc<dyn Observer>>,
    pub(crate) seam: Seam,
}

/// What becomes of a call when too much is on its way already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_enums, reason = "it fails, or it waits")]
pub enum Overflow {
    /// It fails at once with [`ErrorKind::Overloaded`](crate::ErrorKind::Overloaded); nothing was sent.
    #[default]
    Fail,
    /// It waits for room, first come, first served, until its own deadline. What belongs together (pipelines, transactions)
    /// fails all the same, and so does a lock's command, which is tried again.
    Wait,
}

/// Where connections are driven.
#[derive(Clone)]
pub(crate) enum Placement {
    Caller,
    Runtime(Handle),
    OwnThread,
}

impl Config {
    fn at(address: Address) -> Self {
        Self {
            address,
            credentials: Credentials::default(),
            provider: None,
            tls: None,
            db: 0,
            client_name: format!("tenure:{}", std::process::id()),
            protocol: ProtocolChoice::Auto,
            connect_timeout: Duration::from_secs(3),
            response_timeout: Duration::from_secs(1),
            keepalive: Duration::from_millis(2_500),
            stall_timeout: Duration::from_secs(2),
            reconnect: Backoff::new(Duration::from_millis(10), 2.0, Duration::from_millis(500)),
            max_queued_bytes: 64 << 20,
            overflow: Overflow::Fail,
            spin: Duration::ZERO,
            leased_connections: 8,
            subscription_buffer: 1 << 20,
            dial: None,
            connections: 1,
            placement: Placement::Caller,
            observer: None,
            seam: Seam::system(),
        }
    }

    /// Settings from a URL:
    ///
    /// * `(redis|valkey)://[[user][:password]@]host[:port][/db][?key=value…]`, port 6379 and database 0 by default,
    ///   IPv6 addresses in brackets;
    /// * `(rediss|valkeys)://…`, the same with TLS, for which the feature `tls` must be on;
    /// * `(unix|redis+unix|valkey+unix):///path[?db=…&user=…&pass=…]`.
    ///
    /// Query keys: `client_name`, `connect_timeout`, `response_timeout`, `keepalive` (durations such as `500ms`, `2s`,
    /// `1m`), `protocol` (`resp2`, `resp3`) and `db`; with TLS also `tls_ca`, `tls_cert` and `tls_key` (PEM files: whom to
    /// trust in place of whom the system trusts, and the client's certificate with its key) and `tls_server_name` (where the
    /// certificate is for another name than the host). In user and password `@` and `:` may stand as they are; `/`, `#`,
    /// `?` and `%` are written `%2F`, `%23`, `%3F` and `%25`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) names the part that makes no sense and the nearest valid one.
    pub fn from_url(url: &str) -> Result<Self, Error> {
        let parts = url::parse(url)?;
        let mut config = Self::at(parts.address);
        config.credentials = Credentials { username: parts.username, password: parts.password };
        config.tls = parts.tls.map(Tls::of_url).transpose()?;
        config.db = parts.db.unwrap_or(config.db);
        config.client_name = parts.client_name.unwrap_or(config.client_name);
        config.protocol = parts.protocol.unwrap_or(config.protocol);
        config.connect_timeout = parts.connect_timeout.unwrap_or(config.connect_timeout);
        config.response_timeout = parts.response_timeout.unwrap_or(config.response_timeout);
        config.keepalive = parts.keepalive.unwrap_or(config.keepalive);
        Ok(config)
    }

    /// Settings from the URL in the environment variable `REDIS_URL`.
    ///
    /// # Errors
    ///
    /// As [`Config::from_url`], and when the variable is not set or is not UTF-8.
    pub fn from_env() -> Result<Self, Error> {
        Self::from_lookup(|name| std::env::var_os(name))
    }

    /// As [`Config::from_env`], with the look-up of variables handed in.
    ///
    /// # Errors
    ///
    /// As [`Config::from_env`].
    pub fn from_lookup(
        lookup: impl FnOnce(&str) -> Option<std::ffi::OsString>,
    ) -> Result<Self, Error> {
        let Some(url) = lookup("REDIS_URL") else {
            return Err(Error::config("REDIS_URL is not set: REDIS_URL=redis://HOST:PORT"));
        };
        match url.into_string() {
            Ok(url) => Self::from_url(&url),
            Err(_) => Err(Error::config("REDIS_URL is not UTF-8")),
        }
    }

    /// Settings for a server that is reached by calling `dial`, once per connection attempt: a stream in memory, a
    /// tunnel, a transport of your own.
    ///
    /// The in-process server for tests hands one out: `Config::dialer(server.dialer())`.
    pub fn dialer<F, R, S>(dial: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let mut config = Self::at(Address::Dialer);
        config.dial = Some(Arc::new(Dial(dial)));
        config
    }

    /// The ACL user. Default: the one of the URL, else the server's `default`.
    pub fn username(mut self, username: impl Into<String>) -> Self {
        self.credentials.username = Some(username.into());
        self
    }

    /// The password. Default: the one of the URL, else none. It is never printed.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.credentials.password = Some(password.into());
        self
    }

    /// Asks `provide` for user and password at every handshake, in place of fixed ones: for passwords that are rotated and for
    /// tokens that expire.
    ///
    /// Its time counts against [`Config::connect_timeout`]. While it fails, dialling goes on as if the server could not be
    /// reached. A connection that stands is not asked again; a server that ends it when its credentials expire is dialled
    /// with new ones. It runs where the connection is driven and must not block.
    ///
    /// ```
    /// use tenure::{Config, Credentials};
    ///
    /// # fn demo() -> Result<Config, tenure::Error> {
    /// let config = Config::from_url("redis://10.0.0.7")?.credentials_provider(|| async {
    ///     let token = fetch_token().await?;
    ///     Ok::<_, std::io::Error>(Credentials::user("billing", token))
    /// });
    /// # Ok(config)
    /// # }
    /// # async fn fetch_token() -> std::io::Result<String> { Ok(String::new()) }
    /// ```
    pub fn credentials_provider<F, R, E>(mut self, provide: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<Credentials, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        self.provider = Some(Arc::new(Ask(provide)));
        self
    }

    /// The database that every connection selects. Default: 0.
    pub fn db(mut self, db: u32) -> Self {
        self.db = db;
        self
    }

    /// The name that `CLIENT LIST` shows. Default: `tenure:` and the process id.
    pub fn client_name(mut self, name: impl Into<String>) -> Self {
        self.client_name = name.into();
        self
    }

    /// Which protocol to speak. Default: RESP3, and RESP2 where the server has no other.
    pub fn protocol(mut self, protocol: ProtocolChoice) -> Self {
        self.protocol = protocol;
        self
    }

    /// The budget for one connection attempt: look-up, dial and handshake together. Default: 3 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long a command may take, queue and flight together, before its caller gets an error. Default: 1 s, far
    /// above any healthy answer and short enough for a request of a user behind it.
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.response_timeout = timeout;
        self
    }

    /// How long a connection may be silent before the client asks whether the server is still there. Default: 2.5 s.
    ///
    /// Together with [`Config::stall_timeout`] it bounds how long a server that froze, or a connection of which only this end
    /// is left, goes unnoticed, also while nobody calls: 4.5 s unless set. Half a second each makes it one.
    pub fn keepalive(mut self, interval: Duration) -> Self {
        self.keepalive = interval;
        self
    }

    /// How long a server that owes an answer may send nothing at all before the connection is given up. Default: 2 s,
    /// twice what a call waits, so that one slow answer is a time-out and not a lost connection.
    ///
    /// Whatever is in flight then fails with [`Outcome::Unknown`](crate::Outcome::Unknown). A call that was given more time than the client's calls
    /// usually get, as by [`Command::timeout`](crate::client::Command::timeout), has that time first.
    pub fn stall_timeout(mut self, timeout: Duration) -> Self {
        self.stall_timeout = timeout;
        self
    }

    /// The waits between attempts to reconnect. Default: from 10 ms, doubled, up to 500 ms, with full jitter, for ever:
    /// half of all clients are back within 150 ms of a server that was gone for long.
    pub fn reconnect(mut self, backoff: Backoff) -> Self {
        self.reconnect = backoff;
        self
    }

    /// The bytes of commands that may be queued or unanswered on one connection; each command counts 128 more for its place. What
    /// becomes of calls above it says [`Config::overflow`]. Default: 64 MiB.
    pub fn max_queued_bytes(mut self, bytes: usize) -> Self {
        self.max_queued_bytes = bytes;
        self
    }

    /// What becomes of a call when [`Config::max_queued_bytes`] are on their way. Default: [`Overflow::Fail`], because a
    /// service that is told at once can shed load.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// Looks at the socket for that long after the last traffic before the thread sleeps. Default: zero, that is never.
    ///
    /// Where a core is free, an answer is then seen without the kernel waking a thread for it, and a call by itself takes half the
    /// time or less; some tens of microseconds are enough, a little more than the server needs. It costs that core, and a second
    /// handle to the socket. Answers are timed with and without: where looking does not save a tenth of their time, because the
    /// server is far, shares the core, or wakes us fast enough, it is left out, but for a try now and then. A try lasts for some
    /// hundreds of calls, with several workers for a thousand. With TLS, and on streams of a dialer, what has come is asked of the
    /// reactor, which sleeping workers watch: there it helps on a current-thread runtime only.
    pub fn spin(mut self, duration: Duration) -> Self {
        self.spin = duration;
        self
    }

    /// How many connections carry data commands, for programs that one core cannot serve: each is driven by a task of its
    /// own. Default: 1, which is fastest until then, because more commands leave in one write. Zero counts as one.
    ///
    /// A key keeps its connection, and keys with the same `{tag}` share one. What names no key travels on the first, and so do
    /// pipelines and transactions. Locks have one connection whatever is set here. [`Client::connect`](crate::Client::connect) waits for
    /// the first; the others are opened in the background, and calls wait for theirs.
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// How many connections commands that wait ([`Client::blocking_command`](crate::Client::blocking_command)) and
    /// [`Client::watch`](crate::Client::watch) may have at the same time, each of them one. Default: 8. They are opened when
    /// they are needed, and kept.
    pub fn leased_connections(mut self, connections: usize) -> Self {
        self.leased_connections = connections.clamp(1, 1 << 20);
        self
    }

    /// How many bytes of messages a [`Subscription`](crate::client::Subscription) keeps for a reader that is slow; then the
    /// oldest make room, and are counted. Default: 1 MiB, some thousand small messages.
    pub fn subscription_buffer(mut self, bytes: usize) -> Self {
        self.subscription_buffer = bytes;
        self
    }

    /// The runtime that opens and drives the connections. Default: the one on which `connect` is called, because a
    /// reply then wakes its caller on the worker that read it.
    pub fn runtime(mut self, handle: Handle) -> Self {
        self.placement = Placement::Runtime(handle);
        self
    }

    /// Lets a thread of its own open and drive the connections: the client then outlives the runtime on which it was
    /// made, renews leases while that one is busy, and sends commands from anywhere, also without a runtime; acquiring
    /// a lock needs one, for its timers. Each reply crosses a thread for it. The thread ends with the client's last
    /// handle and guard, once what they left is sent. Default: off.
    pub fn own_thread(mut self) -> Self {
        self.placement = Placement::OwnThread;
        self
    }

    /// Replaces the wall clock, which dates lock values. For tests.
    #[doc(hidden)]
    pub fn wall_clock(mut self, now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.seam = self.seam.with_wall(now);
        self
    }

    /// Replaces the source of random numbers, of which tokens and jitter are made. For tests.
    #[doc(hidden)]
    pub fn entropy(mut self, draw: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.seam = self.seam.with_entropy(draw);
        self
    }

    /// Replaces the host and the process id that lock values name. For tests.
    #[doc(hidden)]
    pub fn process(mut self, host: &str, id: u32) -> Self {
        self.seam = self.seam.with_process(host, id);
        self
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("address", &format_args!("{}", self.address))
            .field("credentials", &self.credentials)
            .field("credentials_provider", &self.provider.is_some())
            .field("tls", &self.tls)
            .field("db", &self.db)
            .field("client_name", &self.client_name)
            .field("protocol", &self.protocol)
            .field("connect_timeout", &self.connect_timeout)
            .field("response_timeout", &self.response_timeout)
            .field("keepalive", &self.keepalive)
            .field("stall_timeout", &self.stall_timeout)
            .field("reconnect", &self.reconnect)
            .field("max_queued_bytes", &self.max_queued_bytes)
            .field("overflow", &self.overflow)
            .field("spin", &self.spin)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
