//! Who is told what a client does.

use super::Config;
use crate::observe::{Observer, Peer, Purpose, Witness};
use crate::url::Address;
use std::sync::Arc;

impl Config {
    /// Who is told of commands, connections and locks, for metrics and traces; [`observe`](crate::observe) says what. Default: nobody,
    /// which costs a command one branch.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// The observer, for one connection.
    pub(crate) fn witness(&self, purpose: Purpose) -> Option<Arc<Witness>> {
        let observer = Arc::clone(self.observer.as_ref()?);
        let (server, port) = match &self.address {
            Address::Tcp { host, port } => (host.clone(), Some(*port)),
            other => (other.to_string(), None),
        };
        let peer = Peer { purpose, server, port, db: self.db };
        Some(Arc::new(Witness::new(observer, peer)))
    }
}
