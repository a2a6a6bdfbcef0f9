//! Connections that are one caller's for a while: for commands that wait, and for `WATCH`.
//!
//! They are opened when somebody needs one, at most so many at a time, and kept for the next one. A leased connection never
//! dials again: what was begun on it is gone with it, and must not go on elsewhere as if nothing had happened.

use crate::client::connection::Connection;
use crate::client::home::Home;
use crate::client::shared::Phase;
use crate::config::Config;
use crate::error::{Error, ErrorKind, Outcome};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The leased connections of one client.
pub(crate) struct Pool {
    home: Home,
    config: Config,
    permits: Arc<Semaphore>,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    idle: Vec<Connection>,
    leased: BTreeMap<u64, Connection>,
    leases: u64,
    closed: bool,
}

/// A connection that is one caller's. Dropping it ends the connection, unless it is [clean](Lease::clean).
pub(crate) struct Lease {
    pool: Arc<Pool>,
    connection: Connection,
    number: u64,
    clean: bool,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    /// None open yet.
    pub(crate) fn new(home: Home, config: Config) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(config.leased_connections));
        Arc::new(Self { home, config, permits, book: Mutex::default() })
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Nothing under this lock panics half-way, so what a panicking thread left is whole.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection of one's own: one that is idle, or a new one. Waits at most `patience` for one that others use.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Overloaded`] if none comes free in time, and whatever went wrong with connecting.
    pub(crate) async fn lease(self: &Arc<Self>, patience: Duration) -> Result<Lease, Error> {
        let permits = Arc::clone(&self.permits);
        let wait = async move { timeout(patience, permits.acquire_owned()).await };
        let permit = self.home.run(wait).await?;
        let permit = permit.map_err(|_| self.exhausted(patience))?;
        let permit = permit.map_err(|_| Error::closed(Outcome::NotSent))?;
        let connection = match self.idle() {
            Some(connection) => connection,
            None => Connection::connect_once(&self.home, self.config.clone()).await?,
        };
        let mut book = self.book();
        if book.closed {
            return Err(Error::closed(Outcome::NotSent));
        }
        book.leases += 1;
        let number = book.leases;
        book.leased.insert(number, connection.clone());
        drop(book);
        Ok(Lease { pool: Arc::clone(self), connection, number, clean: false, _permit: permit })
    }

    /// The one that was used last, so that others get old enough for the server to close them.
    fn idle(&self) -> Option<Connection> {
        let mut book = self.book();
        book.idle.retain(is_open);
        book.idle.pop()
    }

    fn exhausted(&self, patience: Duration) -> Error {
        let limit = self.config.leased_connections;
        Error::new(
            ErrorKind::Overloaded,
            Outcome::NotSent,
            format!(
                "all {limit} connections for commands that wait are in use, and none came free within {patience:?}; \
                 Config::leased_connections says how many there may be"
            ),
        )
    }

    /// Ends all of them, and leases no more.
    pub(crate) fn close(&self) {
        self.permits.close();
        let (idle, leased) = {
            let mut book = self.book();
            book.closed = true;
            (std::mem::take(&mut book.idle), std::mem::take(&mut book.leased))
        };
        drop(idle);
        leased.values().for_each(Connection::end);
    }
}

fn is_open(connection: &Connection) -> bool {
    connection.phases().look(|phase| matches!(phase, Phase::Ready(_)))
}

impl Lease {
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Nothing of this caller's is left on the connection: the next one may have it.
    pub(crate) fn clean(&mut self) {
        self.clean = true;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut book = self.pool.book();
        book.leased.remove(&self.number);
        if self.clean && !book.closed && is_open(&self.connection) {
            book.idle.push(self.connection.clone());
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("connection", &self.connection).finish_non_exhaustive()
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let book = self.book();
        f.debug_struct("Pool")
            .field("idle", &book.idle.len())
            .field("leased", &book.leased.len())
            .finish_non_exhaustive()
    }
}
