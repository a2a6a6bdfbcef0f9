//! The handle: makes servers, opens ways to them, looks inside, and breaks them.

use crate::acl::{AclRules, Users};
use crate::clock::Clock;
use crate::connection::serve;
use crate::core::{Core, Shared};
use crate::fault::Fault;
use crate::journal::Logged;
use crate::keyspace::Value;
use crate::profile::Profile;
use crate::state::State;
use bytes::Bytes;
use std::collections::VecDeque;
use std::fmt;
use std::future::{Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::{TcpListener, UnixListener};

/// Bytes that an in-memory connection holds in each direction: about what sockets do.
const PIPE: usize = 64 * 1024;

/// How a server is to be: made by [`Server::builder`].
#[derive(Debug)]
pub struct Builder {
    profile: Profile,
    users: Users,
    databases: usize,
    max_clients: usize,
}

impl Builder {
    /// Asks everybody who names no user for this password. By default nobody is asked.
    pub fn password(mut self, password: &str) -> Self {
        self.users.set_default_password(Some(password));
        self
    }

    /// Adds a user with a password, who may run what `rules` say. By default there is only `default`.
    pub fn user(mut self, name: &str, password: &str, rules: AclRules) -> Self {
        self.users.put(name.as_bytes(), Some(password), rules);
        self
    }

    /// How many databases `SELECT` can choose from: 16 by default.
    pub fn databases(mut self, databases: usize) -> Self {
        self.databases = databases;
        self
    }

    /// How many connections are let in: 10 000 by default. One more is told so and closed.
    pub fn max_clients(mut self, clients: usize) -> Self {
        self.max_clients = clients;
        self
    }

    /// Makes the server. Nothing runs until somebody connects or it is told to listen.
    pub fn build(self) -> Server {
        let clock = Clock::new();
        let mut state = State::new(self.profile, self.users, self.databases, clock.now());
        state.config.insert("maxclients".to_owned(), self.max_clients.to_string());
        let shared = Arc::new(Shared::new(Core::new(state, clock)));
        Server { last: Arc::new(Last { shared }) }
    }
}

/// Stops the server when the last handle goes.
struct Last {
    shared: Arc<Shared>,
}

impl Drop for Last {
    fn drop(&mut self) {
        self.shared.with(|core, _| core.stop());
    }
}

/// A Redis or Valkey in this process: a cheap handle, to be cloned at will.
///
/// Dropping the last handle ends listeners and connections; a [dialer](Self::dialer) counts as a handle.
#[derive(Clone)]
pub struct Server {
    last: Arc<Last>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (profile, connections) =
            self.shared().with(|core, _| (core.state.profile, core.connections()));
        f.debug_struct("Server")
            .field("profile", &profile)
            .field("connections", &connections)
            .finish_non_exhaustive()
    }
}

/// Ways to it.
impl Server {
    /// A server without a password. Nothing runs until somebody connects or it is told to listen; no runtime is needed.
    pub fn new(profile: Profile) -> Self {
        Self::builder(profile).build()
    }

    /// A server with a password, users, or other settings.
    pub fn builder(profile: Profile) -> Builder {
        let (databases, max_clients) = (16, 10_000);
        Builder { profile, users: Users::default(), databases, max_clients }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.last.shared
    }

    /// Listens on a free TCP port of this machine, and says which.
    ///
    /// # Errors
    ///
    /// If the port cannot be opened.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a listener that was not handed out yet is closed.
    pub async fn listen_tcp(&self) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::clone(self.shared());
        let task = tokio::spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                // Without it replies would only come later, not wrong.
                let _ = stream.set_nodelay(true);
                serve(&shared, stream, Some(peer.to_string()), address.to_string());
            }
        });
        self.shared().with(|core, _| core.listener(task.abort_handle(), None));
        Ok(address)
    }

    /// Listens on a unix socket, whose file is removed when the server stops.
    ///
    /// # Errors
    ///
    /// If the socket cannot be made, for instance because the file is there already.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it never waits.
    pub async fn listen_unix(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let path = path.as_ref().to_owned();
        let listener = UnixListener::bind(&path)?;
        let address = format!("{}:0", path.display());
        let shared = Arc::clone(self.shared());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serve(&shared, stream, Some(address.clone()), address.clone());
            }
        });
        self.shared().with(|core, _| core.listener(task.abort_handle(), Some(path)));
        Ok(())
    }

    /// Opens a connection in memory, served by tasks on the current runtime. It ends at once if the server is stopped
    /// or refuses connections.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn connect(&self) -> DuplexStream {
        let (near, far) = tokio::io::duplex(PIPE);
        serve(self.shared(), far, None, "127.0.0.1:6379".to_owned());
        near
    }

    /// Serves a stream of the caller's on the current runtime: the server's end of a link that a test has made. It ends at
    /// once if the server is stopped or refuses connections.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn accept<S>(&self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        serve(self.shared(), stream, None, "127.0.0.1:6379".to_owned());
    }

    /// A closure that opens connections in memory: what `tenure::Config::dialer` takes. While connections are refused,
    /// it answers with [`io::ErrorKind::ConnectionRefused`]. It keeps the server alive.
    pub fn dialer(
        &self,
    ) -> impl Fn() -> Ready<io::Result<DuplexStream>> + Clone + Send + Sync + 'static {
        let server = self.clone();
        move || {
            if server.shared().with(|core, _| core.turns_away()) {
                return ready(Err(io::ErrorKind::ConnectionRefused.into()));
            }
            ready(Ok(server.connect()))
        }
    }
}

/// Its clock.
impl Server {
    /// Moves the server's clock: what expires meanwhile is gone, `TIME` is later. The clock goes with tokio's besides,
    /// also where that is paused.
    pub fn advance(&self, by: Duration) {
        self.shared().with(|core, _| core.clock.advance(by));
        self.shared().look_again();
    }

    /// Sets the server's wall clock, given as the time since 1970, forward or back. What expires does so when the clock
    /// says it.
    pub fn set_clock(&self, since_1970: Duration) {
        self.shared().with(|core, _| core.clock.set(since_1970));
        self.shared().look_again();
    }

    /// The server's wall clock, as the time since 1970.
    pub fn clock(&self) -> Duration {
        let us = self.shared().with(|_, now| now.us());
        Duration::from_micros(u64::try_from(us).unwrap_or(0))
    }
}

/// Its data: database 0, without a connection. Others are told of changes as if another client had made them.
impl Server {
    /// The keys, in order of their bytes.
    pub fn keys(&self) -> Vec<Bytes> {
        self.shared().with(|core, now| core.state.peek_keys(now))
    }

    /// The string under a key; none if the key is missing or holds something else.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<Bytes> {
        let key = Bytes::copy_from_slice(key.as_ref());
        self.shared().with(|core, now| core.state.peek(&key, now))
    }

    /// How long a key has left; none if it is missing or stays for good.
    pub fn ttl(&self, key: impl AsRef<[u8]>) -> Option<Duration> {
        let key = Bytes::copy_from_slice(key.as_ref());
        self.shared().with(|core, now| core.state.peek_ttl(&key, now)).map(Duration::from_millis)
    }

    /// Stores a string that stays for good.
    pub fn set(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.store(key.as_ref(), text(value.as_ref()), None);
    }

    /// Stores a string that expires.
    pub fn set_for(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>, ttl: Duration) {
        self.store(key.as_ref(), text(value.as_ref()), Some(ttl));
    }

    /// Stores a list with one element: a key of the wrong type for a lock.
    pub fn set_list(&self, key: impl AsRef<[u8]>, element: impl AsRef<[u8]>) {
        let element = Bytes::copy_from_slice(element.as_ref());
        self.store(key.as_ref(), Value::List(VecDeque::from([element])), None);
    }

    fn store(&self, key: &[u8], value: Value, ttl: Option<Duration>) {
        let key = Bytes::copy_from_slice(key);
        self.shared().with(|core, now| {
            let ms = ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
            let expires_at = ms.map(|ms| now.after_ms(ms).ms());
            core.state.poke(&key, value, expires_at);
        });
    }

    /// Deletes a key, and says whether it was there.
    pub fn del(&self, key: impl AsRef<[u8]>) -> bool {
        let key = Bytes::copy_from_slice(key.as_ref());
        self.shared().with(|core, now| core.state.poke_away(&key, now))
    }

    /// Deletes every key of every database, as `FLUSHALL` does.
    pub fn flush(&self) {
        self.shared().with(|core, now| core.state.flush_everything(now));
    }

    /// Forgets every script that was loaded, as `SCRIPT FLUSH` does.
    pub fn script_flush(&self) {
        self.shared().with(|core, _| core.state.scripts.clear());
    }
}

/// What happened, and what is to go wrong.
impl Server {
    /// Every request that was taken up, oldest first; what a fault kept from being executed is not among them. The last
    /// 65 536 are kept, or fewer large ones; see [`Server::clear_log`].
    pub fn log(&self) -> Vec<Logged> {
        self.shared().with(|core, _| core.state.journal.all())
    }

    /// Empties the log.
    pub fn clear_log(&self) {
        self.shared().with(|core, _| core.state.journal.clear());
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.shared().with(|core, _| core.connections())
    }

    /// Ends every connection at once. New ones are let in.
    pub fn kill_connections(&self) {
        self.shared().with(|core, _| core.cut_all());
    }

    /// Turns new connections away, or lets them in again.
    pub fn refuse_connections(&self, refuse: bool) {
        self.shared().with(|core, _| core.refusing = refuse);
    }

    /// Stops for good: no listener, no connection, no task is left.
    pub fn stop(&self) {
        self.shared().with(|core, _| core.stop());
    }

    /// Adds a fault.
    pub fn fault(&self, fault: Fault) -> FaultRule {
        let id = self.shared().with(|core, _| core.state.rules.add(fault));
        FaultRule { server: self.clone(), id }
    }

    /// Removes every fault.
    pub fn clear_faults(&self) {
        self.shared().with(|core, _| core.state.rules.clear());
    }

    /// Stops reading and answering, on every connection, until [`Server::thaw`]. Connections can still be opened.
    pub fn freeze(&self) {
        self.shared().with(|core, _| core.frozen = true);
    }

    /// Goes on after [`Server::freeze`]: what has come meanwhile is taken up.
    pub fn thaw(&self) {
        self.shared().with(|core, _| core.frozen = false);
        self.shared().look_again();
    }

    /// Refuses what a server refuses while it reads its data from disk, with LOADING.
    pub fn set_loading(&self, loading: bool) {
        self.shared().with(|core, _| core.state.condition.loading = loading);
    }

    /// Refuses writes as a replica does, with READONLY.
    pub fn set_read_only(&self, read_only: bool) {
        self.shared().with(|core, _| core.state.condition.read_only = read_only);
    }

    /// Changes the password of the default user, or takes it away. Connections that are open stay logged in, as on a real server.
    pub fn set_password(&self, password: Option<&str>) {
        self.shared().with(|core, _| core.state.users.set_default_password(password));
    }

    /// Refuses what a server without memory refuses under `noeviction`, with OOM.
    pub fn set_full(&self, full: bool) {
        self.shared().with(|core, _| core.state.condition.full = full);
    }
}

/// A fault that was added to a server. Dropping this leaves the fault in force.
#[derive(Debug, Clone)]
pub struct FaultRule {
    server: Server,
    id: u64,
}

impl FaultRule {
    /// How many requests it has befallen; 0 after it was removed.
    pub fn hits(&self) -> u64 {
        self.server.shared().with(|core, _| core.state.rules.hits(self.id))
    }

    /// Ends it.
    pub fn remove(&self) {
        self.server.shared().with(|core, _| core.state.rules.remove(self.id));
    }
}

fn text(value: &[u8]) -> Value {
    Value::Text(Bytes::copy_from_slice(value))
}
