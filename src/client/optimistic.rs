//! Optimistic transactions: look at some keys, decide, and write only if nobody has changed them meanwhile.

use crate::client::args::Args;
use crate::client::batch::Batch;
use crate::client::command::Command;
use crate::client::connection::Connection;
use crate::client::convert::ToArg;
use crate::client::encode;
use crate::client::encode::Ink;
use crate::client::handle::{Client, send};
use crate::client::lease::Lease;
use crate::client::queue::Flush;
use crate::error::Error;
use bytes::Bytes;

/// Keys that are watched, on a connection of their own, made by [`Client::watch`]. Dropping it ends that.
#[derive(Debug)]
#[must_use = "keys are watched as long as this lives"]
pub struct Watch {
    client: Client,
    lease: Lease,
    /// Whether `EXEC` was answered, which ends the watching.
    executed: bool,
}

impl Client {
    /// Watches keys (`WATCH`), for a transaction that is only executed if nobody changes any of them before.
    ///
    /// ```no_run
    /// # async fn run(client: tenure::Client) -> Result<(), tenure::Error> {
    /// let left = loop {
    ///     let watch = client.watch("stock").await?;
    ///     let stock: i64 = watch.command("GET").arg("stock").send().await?;
    ///     if stock == 0 {
    ///         break 0;
    ///     }
    ///     let taken: Option<(i64, i64)> =
    ///         watch.transaction().incr_by("stock", -1).incr("sold").send().await?;
    ///     if let Some((left, _sold)) = taken {
    ///         break left;
    ///     } // else somebody was faster: look again
    /// };
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Where many want to change the same key, a lock or a script is cheaper than trying again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Overloaded`](crate::ErrorKind::Overloaded) if all leased connections
    /// ([`Config::leased_connections`](crate::Config::leased_connections)) stay in use for the client's response time-out.
    /// Otherwise as every call.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was watched is watched no longer.
    pub async fn watch(&self, keys: impl ToArg) -> Result<Watch, Error> {
        let mut args = Args::default();
        args.push(b"WATCH");
        keys.write_args(&mut args);
        let lease = self.leases().lease(self.config().response_timeout).await?;
        let watch = Watch { client: self.clone(), lease, executed: false };
        send(watch.connection(), args, None).await?;
        Ok(watch)
    }
}

impl Watch {
    /// Any command, on the connection that watches; for those that read what the transaction depends on. It fails once that
    /// connection is lost, and never goes out on another one.
    pub fn command(&self, name: &str) -> Command<'_> {
        Command::watched(self, name)
    }

    /// The value of a key, if it exists (`GET`).
    ///
    /// # Errors
    ///
    /// As [`Client::get`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: reading changes nothing.
    pub async fn get(&self, key: impl ToArg) -> Result<Option<Bytes>, Error> {
        self.command("GET").arg(key).send().await
    }

    /// The transaction. Read its replies as an [`Option`]: none says that a watched key was changed, and nothing was executed.
    pub fn transaction(self) -> Batch<'static> {
        Batch::watched(self)
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn connection(&self) -> &Connection {
        self.lease.connection()
    }

    pub(crate) fn executed(&mut self) {
        self.executed = true;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let unwatched = self.executed || {
            let patience = self.client.config().response_timeout;
            let unwatch = |out: &mut Ink| encode::command(&["UNWATCH"], out);
            // Whoever has the connection next comes behind it; if it cannot be sent, nobody has it next.
            self.connection().submit(patience, Flush::Auto, unwatch).map(drop).is_ok()
        };
        if unwatched {
            self.lease.clean();
        }
    }
}
