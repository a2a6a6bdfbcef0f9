//! Any command by name, except those that would break a connection that others share (`refused.rs`).

use crate::client::args::Args;
use crate::client::convert::{FromReply, ToArg};
use crate::client::handle::{Client, send};
use crate::client::optimistic::Watch;
use crate::client::refused::{Tenancy, check};
use crate::error::Error;
use std::time::Duration;

/// A command by name, made by [`Client::command`] or [`Watch::command`].
#[derive(Debug)]
#[must_use = "a command does nothing until it is sent"]
pub struct Command<'a> {
    way: Way<'a>,
    args: Args,
    patience: Option<Duration>,
}

/// Where a command goes.
#[derive(Debug)]
enum Way<'a> {
    Client(&'a Client),
    Watch(&'a Watch),
}

impl Client {
    /// Any command that has no method of its own.
    ///
    /// ```no_run
    /// # async fn run(client: tenure::Client) -> Result<(), tenure::Error> {
    /// let length: u64 = client.command("RPUSH").arg("jobs").arg(["a", "b"]).send().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn command(&self, name: &str) -> Command<'_> {
        Command::new(Way::Client(self), name)
    }
}

impl<'a> Command<'a> {
    fn new(way: Way<'a>, name: &str) -> Self {
        let mut args = Args::default();
        args.push(name.as_bytes());
        Self { way, args, patience: None }
    }

    /// A command on the connection that watches.
    pub(crate) fn watched(watch: &'a Watch, name: &str) -> Self {
        Self::new(Way::Watch(watch), name)
    }

    /// Appends a value: one argument, or several for a list or a tuple.
    pub fn arg(mut self, value: impl ToArg) -> Self {
        value.write_args(&mut self.args);
        self
    }

    /// How long to wait for the reply. Default: the client's response time-out.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.patience = Some(timeout);
        self
    }

    /// Sends the command and reads the reply as a `T`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Refused`](crate::ErrorKind::Refused) for a command that cannot share a connection; the text says what to use
    /// instead. [`ErrorKind::UnexpectedReply`](crate::ErrorKind::UnexpectedReply) if the reply is no `T`. Otherwise as for
    /// every call: the server's error, a time-out, a lost connection.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop a command that is on its way: it may still run. Its reply is dropped.
    pub async fn send<T: FromReply>(self) -> Result<T, Error> {
        check(&self.args, Tenancy::Shared)?;
        let connection = match self.way {
            Way::Client(client) => client.connection(&self.args),
            Way::Watch(watch) => watch.connection(),
        };
        T::from_reply(send(connection, self.args, self.patience).await?)
    }
}
