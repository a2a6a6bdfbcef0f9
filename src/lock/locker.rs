//! `Locker`: what all locks of one client share. One lock connection, one keeper, one identity.

use crate::client::{Client, Connection, Session};
use crate::lock::dialect::{self, Dialect};
use crate::lock::keeper::Keeper;
use crate::lock::options::Options;
use crate::lock::token::{self, OwnerToken};
use crate::seam::after;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

#[derive(Debug)]
pub(crate) struct Locker {
    pub(crate) connection: Connection,
    pub(crate) keeper: Arc<Keeper>,
    host: String,
}

impl Locker {
    /// The locker of a client; the first call opens the lock connection in the background.
    pub(crate) fn of(client: &Client) -> Arc<Self> {
        client.companion(|| Self::new(client))
    }

    /// The locker of a client that has one.
    pub(crate) fn existing(client: &Client) -> Option<Arc<Self>> {
        client.existing_companion()
    }

    fn new(client: &Client) -> Self {
        let home = client.home();
        let connection = Connection::lazy(home, client.config().clone(), dialect::setup, None);
        Self { connection, keeper: Keeper::start(home), host: host() }
    }

    /// A value for one acquire call, with an owner token of its own.
    pub(crate) fn value(&self, options: &Options) -> Bytes {
        let seam = &self.connection.config().seam;
        let token = OwnerToken::new(seam.entropy(), seam.entropy());
        let fields = [options.label.as_str(), &self.host, &options.purpose];
        token::value(token, fields, std::process::id(), seam.wall()).into()
    }

    pub(crate) fn entropy(&self) -> u64 {
        self.connection.config().seam.entropy()
    }

    /// What the server behind the connection can do.
    pub(crate) fn dialect(session: &Session) -> Arc<Dialect> {
        session.derived(|| Dialect::of(session))
    }

    /// Releases what is held, waits at most `patience` for the answers, and ends.
    pub(crate) async fn close(&self, patience: Duration) {
        let until = after(Instant::now(), patience);
        self.keeper.close(until).await;
        self.connection.close(until.saturating_duration_since(Instant::now())).await;
    }
}

impl Drop for Locker {
    fn drop(&mut self) {
        self.keeper.stop();
    }
}

/// The machine's name, for people; empty where nobody tells.
fn host() -> String {
    let told = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .or_else(|| std::env::var("COMPUTERNAME").ok());
    told.map(|name| name.trim().to_owned()).unwrap_or_default()
}
