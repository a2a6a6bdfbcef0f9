//! Any command by name, except those that would break a connection that others share.

use crate::client::args::Args;
use crate::client::convert::{FromReply, ToArg};
use crate::client::handle::Client;
use crate::error::Error;
use std::time::Duration;

/// A command by name, made by [`Client::command`].
#[derive(Debug)]
#[must_use = "a command does nothing until it is sent"]
pub struct Command<'a> {
    client: &'a Client,
    args: Args,
    patience: Option<Duration>,
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
        let mut args = Args::default();
        args.push(name.as_bytes());
        Command { client: self, args, patience: None }
    }
}

impl Command<'_> {
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
        check(&self.args)?;
        T::from_reply(self.client.send(self.args, self.patience).await?)
    }
}

/// Refuses a command that must not go out on a connection that others share.
pub(crate) fn check(args: &Args) -> Result<(), Error> {
    let Some(why) = refusal(args) else { return Ok(()) };
    let name = args.iter().next().unwrap_or_default().to_ascii_uppercase();
    let name = String::from_utf8_lossy(&name);
    Err(Error::refused(format!("{name} is refused here: {why}")))
}

/// Why a command must not go out on a connection that others share, and what to use instead.
fn refusal(args: &Args) -> Option<&'static str> {
    const OWN: &str = "it changes the connection under everybody else";
    let name = args.iter().next().unwrap_or_default();
    let mut upper = [0; 16]; // longer than the longest name below
    let Some(upper) = upper.get_mut(..name.len()) else { return misspelt(name) };
    upper.copy_from_slice(name);
    upper.make_ascii_uppercase();
    match &*upper {
        b"HELLO" | b"AUTH" | b"SELECT" => {
            Some("it changes the connection under everybody else; say it in the URL or in Config")
        }
        b"RESET" | b"QUIT" => Some("it ends the connection under everybody else; drop the Client"),
        b"MONITOR" | b"SYNC" | b"PSYNC" => {
            Some("its answer never ends; use a tool such as redis-cli")
        }
        b"SUBSCRIBE" | b"PSUBSCRIBE" | b"SSUBSCRIBE" | b"UNSUBSCRIBE" | b"PUNSUBSCRIBE"
        | b"SUNSUBSCRIBE" => Some("its messages would mix with other replies"),
        b"MULTI" | b"EXEC" | b"DISCARD" | b"WATCH" | b"UNWATCH" => {
            Some("other callers' commands would end up in the transaction; use Client::transaction")
        }
        b"WAIT" | b"WAITAOF" => Some("everybody else would wait with it"),
        b"BLPOP" | b"BRPOP" | b"BRPOPLPUSH" | b"BLMOVE" | b"BLMPOP" | b"BZPOPMIN" | b"BZPOPMAX"
        | b"BZMPOP" => Some("everybody else would wait with it; use the command without B"),
        b"XREAD" | b"XREADGROUP" => args
            .iter()
            .any(|arg| arg.eq_ignore_ascii_case(b"BLOCK"))
            .then_some("with BLOCK everybody else would wait with it; leave BLOCK out"),
        b"CLIENT" => args
            .iter()
            .nth(1)
            .is_some_and(|sub| {
                [&b"REPLY"[..], b"TRACKING", b"CACHING"]
                    .iter()
                    .any(|word| sub.eq_ignore_ascii_case(word))
            })
            .then_some(OWN),
        _ => misspelt(name),
    }
}

/// A name that no server can know.
fn misspelt(name: &[u8]) -> Option<&'static str> {
    (name.is_empty() || name.iter().any(u8::is_ascii_whitespace))
        .then_some("a name is one word, the rest are arguments: command(\"CONFIG\").arg(\"GET\")")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(words: &[&str]) -> bool {
        let mut args = Args::default();
        words.write_args(&mut args);
        refusal(&args).is_some()
    }

    #[test]
    fn commands_that_break_a_shared_connection_are_refused() {
        for words in [
            &["monitor"][..],
            &["CLIENT", "reply", "OFF"],
            &["client", "TRACKING", "ON"],
            &["XREAD", "COUNT", "1", "block", "0", "STREAMS", "s", "$"],
            &["blpop", "k", "0"],
            &["MULTI"],
            &["SELECT", "1"],
            &["WAIT", "1", "0"],
            &["CONFIG GET", "save"],
            &["a name that is longer than any"],
            &[""],
        ] {
            assert!(refused(words), "{words:?}");
        }
    }

    #[test]
    fn neighbours_of_refused_commands_pass() {
        for words in [
            &["CLIENT", "INFO"][..],
            &["XREAD", "COUNT", "1", "STREAMS", "s", "0"],
            &["LPOP", "k"],
            &["GET", "MONITOR"],
            &["SOMEMODULE.SOMECOMMAND"],
        ] {
            assert!(!refused(words), "{words:?}");
        }
    }
}
