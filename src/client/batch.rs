//! Several commands sent as one: pipelines, and transactions that nobody else's command can get into.
//!
//! A batch is encoded into the write buffer in one piece and has one slot for all its replies, so that its commands stand
//! side by side on the wire, and are sent, withdrawn or lost together.

use crate::client::args::Args;
use crate::client::blocking;
use crate::client::commands::Commands;
use crate::client::connection::Connection;
use crate::client::convert::ToArg;
use crate::client::encode;
use crate::client::encode::Ink;
use crate::client::handle::{Client, check_length};
use crate::client::optimistic::Watch;
use crate::client::refused::{Tenancy, check};
use crate::client::replies::{FromReplies, Replies, transaction};
use crate::client::set::{SetOptions, millis};
use crate::client::verbs::set_args;
use crate::error::Error;
use resp::Frame;
use std::time::Duration;

/// Commands that are sent together, made by [`Client::pipeline`], [`Client::transaction`], [`Client::blocking_pipeline`] or
/// [`Watch::transaction`].
///
/// Each method adds a command; the types of their replies are chosen at the end, in [`Batch::send`].
#[derive(Debug)]
#[must_use = "a batch does nothing until it is sent"]
pub struct Batch<'a> {
    way: Way<'a>,
    commands: Commands,
    refusal: Option<Error>,
    patience: Option<Duration>,
}

/// Where the commands go, and what they are to each other.
#[derive(Debug)]
enum Way<'a> {
    Pipeline(&'a Client),
    Transaction(&'a Client),
    Blocking(&'a Client),
    Watched(Watch),
}

impl Way<'_> {
    fn client(&self) -> &Client {
        match self {
            Self::Pipeline(client) | Self::Transaction(client) | Self::Blocking(client) => client,
            Self::Watched(watch) => watch.client(),
        }
    }

    fn tenancy(&self) -> Tenancy {
        if matches!(self, Self::Blocking(_)) { Tenancy::Leased } else { Tenancy::Shared }
    }
}

impl Client {
    /// Several commands in one call and, where their size allows it, one write.
    ///
    /// ```no_run
    /// # async fn run(client: tenure::Client) -> Result<(), tenure::Error> {
    /// let (name, visits): (Option<String>, i64) =
    ///     client.pipeline().get("name").incr("visits").send().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The commands arrive one behind the other, but the server may do those of other connections in between; see
    /// [`Client::transaction`] for all or nothing.
    pub fn pipeline(&self) -> Batch<'_> {
        Batch::new(Way::Pipeline(self))
    }

    /// Several commands that the server executes as one (`MULTI`, `EXEC`).
    ///
    /// ```no_run
    /// # async fn run(client: tenure::Client) -> Result<(), tenure::Error> {
    /// let (left, _): (i64, ()) =
    ///     client.transaction().incr_by("left", -1).command("RPUSH").arg(("sold", "ticket")).send().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Nobody sees a part of it, and no command of another task can get into it. If one of the commands is refused before it
    /// could run (an unknown name, a wrong number of arguments, no memory), none is executed. One that fails while it runs, for
    /// instance on a key of another type, does not undo the others: that is how the server does it.
    ///
    /// The first transaction of a client asks first whether the user may run `MULTI` at all, because a server that refuses
    /// it would execute the commands one by one.
    pub fn transaction(&self) -> Batch<'_> {
        Batch::new(Way::Transaction(self))
    }

    /// Several commands in one call, on a connection of their own, which may wait at the server.
    ///
    /// ```no_run
    /// # async fn run(client: tenure::Client) -> Result<(), tenure::Error> {
    /// // WAIT counts the replicas that have the writes of its own connection.
    /// let (_, replicas): ((), u64) =
    ///     client.blocking_pipeline().set("k", "v").command("WAIT").arg((1, 500)).send().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// See [`Client::blocking_command`] for a single one, and for what happens to commands that nobody waits for any more.
    pub fn blocking_pipeline(&self) -> Batch<'_> {
        Batch::new(Way::Blocking(self))
    }
}

impl<'a> Batch<'a> {
    fn new(way: Way<'a>) -> Self {
        Self { way, commands: Commands::default(), refusal: None, patience: None }
    }

    /// Adds any command that has no method here; [`Batch::arg`] adds to it.
    pub fn command(mut self, name: &str) -> Self {
        self.check_last();
        let mut args = Args::default();
        args.push(name.as_bytes());
        self.commands.add(args);
        self
    }

    /// Adds to the last command: one argument, or several for a list or a tuple.
    pub fn arg(mut self, value: impl ToArg) -> Self {
        if self.commands.last().is_empty() {
            self.refuse(Error::refused("an argument in front of the first command"));
        }
        value.write_args(self.commands.last_mut());
        self
    }

    /// How long to wait for all the replies. Default: the client's response time-out, plus the time for which the commands of a
    /// blocking pipeline say that they wait, without end if one of them waits without end.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.patience = Some(timeout);
        self
    }

    /// Sends the commands and reads their replies: as a tuple with one type for each, as a vector with one type for all, or as
    /// `()` if it only matters that none failed.
    ///
    /// ```no_run
    /// # use tenure::{Error, Frame};
    /// # async fn run(client: tenure::Client) -> Result<(), tenure::Error> {
    /// // A part that is a `Result` keeps its error to itself.
    /// let (list, count): (Result<i64, Error>, i64) =
    ///     client.pipeline().command("LLEN").arg("jobs").incr("n").send().await?;
    /// let all: Vec<Result<Frame, Error>> = client.pipeline().get("a").get("b").send().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Refused`](crate::ErrorKind::Refused) before anything is sent: a command that cannot share a connection, an
    /// argument that is too long, or a tuple of another length. Otherwise that of the first part that failed and is no
    /// `Result`, with its place and name; the commands behind it were sent all the same.
    ///
    /// A transaction gives an error of its own when the server executed nothing, in its words for the command that it refused
    /// to queue. If the connection is lost before `EXEC` was answered,
    /// [`Outcome::Unknown`](crate::Outcome::Unknown) holds for all commands together: they ran, or none did.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop commands that are on their way: they may still run, a transaction as a whole.
    /// Their replies are dropped.
    pub async fn send<T: FromReplies>(self) -> Result<T, Error> {
        T::from_replies(self.replies(T::COUNT).await?)
    }

    /// Sends the commands, of which there must be as many as `wanted`.
    pub(crate) async fn replies(mut self, wanted: Option<usize>) -> Result<Replies, Error> {
        self.check_last();
        self.commands.close();
        if let Some(refusal) = self.refusal {
            return Err(refusal);
        }
        let count = self.commands.count();
        if let Some(length) = wanted.filter(|&length| length != count) {
            let text = format!("{count} commands, and their replies are to be a tuple of {length}");
            return Err(Error::refused(text));
        }
        if count == 0 {
            return Ok(Replies::new(self.commands, Some(Vec::new()), None));
        }
        let (commands, patience) = (self.commands, self.patience);
        let usual = patience.unwrap_or_else(|| self.way.client().config().response_timeout);
        let (received, lost) = match self.way {
            Way::Pipeline(client) => {
                let write = |out: &mut Ink| commands.write(out);
                let (received, lost) = client.data().submit_batch(usual, count, write)?.await;
                (Some(received), lost)
            }
            Way::Transaction(client) => {
                client.ask_for_multi(usual).await?;
                (execute(client.data(), usual, &commands).await?, None)
            }
            Way::Blocking(client) => {
                let (received, lost) = blocking::run(client, &commands, patience).await?;
                (Some(received), lost)
            }
            Way::Watched(mut watch) => {
                let executed = execute(watch.connection(), usual, &commands).await?;
                watch.executed();
                (executed, None)
            }
        };
        Ok(Replies::new(commands, received, lost))
    }

    /// Looks at the last command now that it is whole.
    fn check_last(&mut self) {
        let last = self.commands.last();
        if last.is_empty() {
            return;
        }
        if let Err(refusal) = check(last, self.way.tenancy()).and_then(|()| check_length(last)) {
            let at = self.commands.count();
            self.refuse(refusal.prefixed(&format!("command {at}")));
        }
    }

    /// The first refusal counts.
    fn refuse(&mut self, refusal: Error) {
        self.refusal.get_or_insert(refusal);
    }

    fn add(self, name: &str, values: impl ToArg) -> Self {
        self.command(name).arg(values)
    }
}

impl Batch<'static> {
    pub(crate) fn watched(watch: Watch) -> Self {
        Self::new(Way::Watched(watch))
    }
}

/// Sends a transaction and reads what came out of it; nothing if a watched key had changed.
async fn execute(
    connection: &Connection,
    patience: Duration,
    commands: &Commands,
) -> Result<Option<Vec<Frame>>, Error> {
    let write = |out: &mut Ink| {
        encode::command(&["MULTI"], out);
        commands.write(out);
        encode::command(&["EXEC"], out);
    };
    let (received, lost) = connection.submit_batch(patience, commands.count() + 2, write)?.await;
    transaction(received, lost, commands)
}

impl Client {
    /// Finds out once whether transactions are allowed, with one that does nothing.
    async fn ask_for_multi(&self, patience: Duration) -> Result<(), Error> {
        if self.has_transactions() {
            return Ok(());
        }
        execute(self.data(), patience, &Commands::default()).await?;
        self.note_transactions();
        Ok(())
    }
}

/// The commands that a [`Client`] has methods for, with the same arguments.
impl Batch<'_> {
    /// [`Client::get`]: an `Option`.
    pub fn get(self, key: impl ToArg) -> Self {
        self.add("GET", key)
    }

    /// [`Client::set`]: `()`.
    pub fn set(self, key: impl ToArg, value: impl ToArg) -> Self {
        self.set_with(key, value, &SetOptions::new())
    }

    /// [`Client::set_with`]: `Option<()>`, none where the condition did not hold.
    pub fn set_with(mut self, key: impl ToArg, value: impl ToArg, options: &SetOptions) -> Self {
        match set_args(key, value, options) {
            Ok(args) => {
                self.check_last();
                self.commands.add(args);
            }
            Err(refusal) => self.refuse(refusal),
        }
        self
    }

    /// [`Client::set_nx`]: a `bool`.
    pub fn set_nx(self, key: impl ToArg, value: impl ToArg) -> Self {
        self.add("SETNX", (key, value))
    }

    /// [`Client::del`]: how many there were.
    pub fn del(self, keys: impl ToArg) -> Self {
        self.add("DEL", keys)
    }

    /// [`Client::incr`]: the sum.
    pub fn incr(self, key: impl ToArg) -> Self {
        self.add("INCR", key)
    }

    /// [`Client::incr_by`]: the sum.
    pub fn incr_by(self, key: impl ToArg, amount: i64) -> Self {
        self.add("INCRBY", (key, amount))
    }

    /// [`Client::exists`]: how many of them exist.
    pub fn exists(self, keys: impl ToArg) -> Self {
        self.add("EXISTS", keys)
    }

    /// [`Client::expire`]: a `bool`.
    pub fn expire(self, key: impl ToArg, ttl: Duration) -> Self {
        self.add("PEXPIRE", (key, millis(ttl)))
    }

    /// [`Client::pttl`]: a [`Ttl`](crate::client::Ttl).
    pub fn pttl(self, key: impl ToArg) -> Self {
        self.add("PTTL", key)
    }

    /// [`Client::mget`]: a vector of `Option`s.
    pub fn mget(self, keys: impl ToArg) -> Self {
        self.add("MGET", keys)
    }

    /// [`Client::mset`]: `()`.
    pub fn mset(self, pairs: impl ToArg) -> Self {
        self.add("MSET", pairs)
    }

    /// [`Client::publish`]: the number of subscribers that got it.
    pub fn publish(self, channel: impl ToArg, message: impl ToArg) -> Self {
        self.add("PUBLISH", (channel, message))
    }

    /// [`Client::eval`]: whatever the script returns.
    pub fn eval(self, text: &str, keys: impl ToArg, args: impl ToArg) -> Self {
        let mut key_args = Args::default();
        keys.write_args(&mut key_args);
        let mut batch = self.command("EVAL").arg(text).arg(key_args.len());
        batch.commands.last_mut().append(&key_args);
        batch.arg(args)
    }
}
