//! The connection on which announcements are heard where the lock connection cannot hear any: with RESP2 a connection that
//! subscribes can do nothing else.

use crate::client::Connection;
use std::fmt;
use std::sync::OnceLock;

/// Opened when somebody listens for the first time.
pub(crate) struct Aside {
    open: Box<dyn Fn() -> Connection + Send + Sync>,
    connection: OnceLock<Connection>,
}

impl Aside {
    pub(crate) fn new(open: impl Fn() -> Connection + Send + Sync + 'static) -> Self {
        Self { open: Box::new(open), connection: OnceLock::new() }
    }

    /// The connection, which is opened if need be.
    pub(crate) fn connection(&self) -> &Connection {
        self.connection.get_or_init(&self.open)
    }

    /// The connection, if anybody has listened.
    pub(crate) fn existing(&self) -> Option<&Connection> {
        self.connection.get()
    }
}

impl fmt::Debug for Aside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Aside").field(&self.connection.get()).finish()
    }
}
