//! Any command by name, except those that would break a connection that others share.

use crate::client::convert::{Args, FromReply, ToArg};
use crate::client::handle::Client;
use crate::error::Error;
use std::time::Duration;

/// A command by name, made by [`Client::command`].
#[derive(Debug)]
#[must_use = "a command does nothing until it is sent"]
pub struct Command<'a> {
    client: &'a Client,
    name: String,
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
        Command { client: self, name: name.to_ascii_uppercase(), args, patience: None }
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
        if let Some(why) = refusal(&self.name, &self.args) {
            return Err(Error::refused(format!("{} is refused here: {why}", self.name)));
        }
        T::from_reply(self.client.send(&self.args, self.patience).await?)
    }
}

/// Why a command must not go out on a connection that others share, and what to use instead.
fn refusal(name: &str, args: &Args) -> Option<&'static str> {
    const OWN: &str = "it changes the connection under everybody else";
    match name {
        "HELLO" | "AUTH" | "SELECT" => {
            Some("it changes the connection under everybody else; say it in the URL or in Config")
        }
        "RESET" | "QUIT" => Some("it ends the connection under everybody else; drop the Client"),
        "MONITOR" | "SYNC" | "PSYNC" => Some("its answer never ends; use a tool such as redis-cli"),
        "SUBSCRIBE" | "PSUBSCRIBE" | "SSUBSCRIBE" | "UNSUBSCRIBE" | "PUNSUBSCRIBE"
        | "SUNSUBSCRIBE" => Some("its messages would mix with other replies"),
        "MULTI" | "EXEC" | "DISCARD" | "WATCH" | "UNWATCH" => {
            Some("other callers' commands would end up in the transaction; use a script")
        }
        "WAIT" | "WAITAOF" => Some("everybody else would wait with it"),
        "BLPOP" | "BRPOP" | "BRPOPLPUSH" | "BLMOVE" | "BLMPOP" | "BZPOPMIN" | "BZPOPMAX"
        | "BZMPOP" => Some("everybody else would wait with it; use the command without B"),
        "XREAD" | "XREADGROUP" => args
            .iter()
            .any(|arg| arg.eq_ignore_ascii_case(b"BLOCK"))
            .then_some("with BLOCK everybody else would wait with it; leave BLOCK out"),
        "CLIENT" => args
            .iter()
            .nth(1)
            .is_some_and(|sub| {
                [&b"REPLY"[..], b"TRACKING", b"CACHING"]
                    .iter()
                    .any(|word| sub.eq_ignore_ascii_case(word))
            })
            .then_some(OWN),
        _ if name.is_empty() || name.contains(char::is_whitespace) => {
            Some("a name is one word, the rest are arguments: command(\"CONFIG\").arg(\"GET\")")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(words: &[&str]) -> bool {
        let mut args = Args::default();
        words.write_args(&mut args);
        refusal(&words[0].to_ascii_uppercase(), &args).is_some()
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
        ] {
            assert!(!refused(words), "{words:?}");
        }
    }
}
