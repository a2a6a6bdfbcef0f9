//! The data connections of one client: one, unless more were asked for.

use crate::client::args::Args;
use crate::client::connection::Connection;
use crate::client::home::Home;
use crate::client::route;
use crate::client::shared::Phase;
use crate::client::stats::Stats;
use crate::client::watch;
use crate::config::Config;
use crate::error::Error;
use crate::observe::Purpose;
use std::time::Duration;
use tokio::time::timeout;

/// The data connections of one client.
#[derive(Debug)]
pub(crate) struct Lanes {
    first: Connection,
    more: Box<[Connection]>,
}

impl Lanes {
    /// Opens the first connection, and lets the others follow in the background.
    ///
    /// # Errors
    ///
    /// Whatever went wrong with the first.
    pub(crate) async fn connect(home: &Home, config: Config) -> Result<Self, Error> {
        let more = config.connections.saturating_sub(1);
        let first = Connection::connect(home, config.clone(), |_| Vec::new()).await?;
        let lazy = || Connection::lazy(home, config.clone(), Purpose::Data, |_| Vec::new(), None);
        Ok(Self { first, more: (0..more).map(|_| lazy()).collect() })
    }

    /// The connection for what concerns no key.
    pub(crate) fn first(&self) -> &Connection {
        &self.first
    }

    /// The connection that the key of this command keeps.
    #[inline]
    pub(crate) fn of(&self, args: &Args) -> &Connection {
        if self.more.is_empty() { &self.first } else { self.one_of_many(args) }
    }

    /// The same, where the key is known.
    #[inline]
    pub(crate) fn of_key(&self, key: &[u8]) -> &Connection {
        if self.more.is_empty() { &self.first } else { self.number(Some(key)) }
    }

    fn one_of_many(&self, args: &Args) -> &Connection {
        self.number(route::key(args))
    }

    fn number(&self, key: Option<&[u8]>) -> &Connection {
        let index = key.map_or(0, |key| route::connection(key, self.more.len() + 1));
        index.checked_sub(1).and_then(|more| self.more.get(more)).unwrap_or(&self.first)
    }

    fn all(&self) -> impl Iterator<Item = &Connection> {
        std::iter::once(&self.first).chain(&self.more)
    }

    /// What they have done and are doing, in all.
    pub(crate) fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        self.all().for_each(|connection| stats.add(&connection.stats()));
        stats
    }

    /// What they are doing, each of them.
    pub(crate) fn phases(&self) -> Vec<watch::Receiver<Phase>> {
        self.all().map(Connection::phases).collect()
    }

    /// Takes no more calls, and waits at most `patience` for what is queued to be answered.
    pub(crate) async fn close(&self, patience: Duration) {
        self.all().for_each(Connection::end);
        let ended = async {
            for connection in self.all() {
                connection.ended().await;
            }
        };
        // Out of patience is no error: they end by themselves soon after.
        let _ = timeout(patience, ended).await;
    }
}
