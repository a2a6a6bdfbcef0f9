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
#[inline]
pub(crate) fn check(args: &Args) -> Result<(), Error> {
    match refusal(args) {
        None => Ok(()),
        Some(why) => Err(refused(args.name(), why)),
    }
}

#[cold]
fn refused(name: &[u8], why: &str) -> Error {
    let name = name.to_ascii_uppercase();
    Error::refused(format!("{} is refused here: {why}", String::from_utf8_lossy(&name)))
}

const CHANGES: &str =
    "it changes the connection under everybody else; say it in the URL or in Config";
const ENDS: &str = "it ends the connection under everybody else; drop the Client";
const ENDLESS: &str = "its answer never ends; use a tool such as redis-cli";
const MESSAGES: &str = "its messages would mix with other replies";
const TRANSACTION: &str =
    "other callers' commands would end up in the transaction; use Client::transaction";
const WAITS: &str = "everybody else would wait with it";
const BLOCKS: &str = "everybody else would wait with it; use the command without B";
const MAY_BLOCK: &str = "with BLOCK everybody else would wait with it; leave BLOCK out";
const CLIENT: &str = "it changes the connection under everybody else";

/// What must not go out on a connection that others share, and what to use instead.
const REFUSED: [(&str, &str); 32] = [
    ("HELLO", CHANGES),
    ("AUTH", CHANGES),
    ("SELECT", CHANGES),
    ("RESET", ENDS),
    ("QUIT", ENDS),
    ("MONITOR", ENDLESS),
    ("SYNC", ENDLESS),
    ("PSYNC", ENDLESS),
    ("SUBSCRIBE", MESSAGES),
    ("PSUBSCRIBE", MESSAGES),
    ("SSUBSCRIBE", MESSAGES),
    ("UNSUBSCRIBE", MESSAGES),
    ("PUNSUBSCRIBE", MESSAGES),
    ("SUNSUBSCRIBE", MESSAGES),
    ("MULTI", TRANSACTION),
    ("EXEC", TRANSACTION),
    ("DISCARD", TRANSACTION),
    ("WATCH", TRANSACTION),
    ("UNWATCH", TRANSACTION),
    ("WAIT", WAITS),
    ("WAITAOF", WAITS),
    ("BLPOP", BLOCKS),
    ("BRPOP", BLOCKS),
    ("BRPOPLPUSH", BLOCKS),
    ("BLMOVE", BLOCKS),
    ("BLMPOP", BLOCKS),
    ("BZPOPMIN", BLOCKS),
    ("BZPOPMAX", BLOCKS),
    ("BZMPOP", BLOCKS),
    ("XREAD", MAY_BLOCK),
    ("XREADGROUP", MAY_BLOCK),
    ("CLIENT", CLIENT),
];

/// For each length, with which letters the names of that length begin and end: nearly all other names are told apart by that.
const EDGES: [(u32, u32); 16] = {
    let mut edges = [(0, 0); 16];
    let mut at = 0;
    while at < REFUSED.len() {
        let name = REFUSED[at].0.as_bytes();
        edges[name.len()].0 |= letter(name[0]);
        edges[name.len()].1 |= letter(name[name.len() - 1]);
        at += 1;
    }
    edges
};

const fn letter(byte: u8) -> u32 {
    1 << (byte & 31) // the same for small letters
}

/// Why a command must not go out on a connection that others share.
fn refusal(args: &Args) -> Option<&'static str> {
    let name = args.name();
    let (Some(&(begins, ends)), Some(&first), Some(&last)) =
        (EDGES.get(name.len()), name.first(), name.last())
    else {
        return misspelt(name);
    };
    if begins & letter(first) == 0 || ends & letter(last) == 0 {
        return misspelt(name);
    }
    let known = REFUSED.iter().find(|(word, _)| name.eq_ignore_ascii_case(word.as_bytes()));
    let Some(&(_, why)) = known else { return misspelt(name) };
    let is_harmless = match why {
        MAY_BLOCK => !args.iter().any(|arg| arg.eq_ignore_ascii_case(b"BLOCK")),
        CLIENT => !args.iter().nth(1).is_some_and(|sub| {
            [&b"REPLY"[..], b"TRACKING", b"CACHING"]
                .iter()
                .any(|word| sub.eq_ignore_ascii_case(word))
        }),
        _ => false,
    };
    (!is_harmless).then_some(why)
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
    fn every_name_in_the_table_is_refused_in_any_spelling() {
        for (name, why) in REFUSED.iter().filter(|(_, why)| ![MAY_BLOCK, CLIENT].contains(why)) {
            assert!(refused(&[name]) && refused(&[&name.to_lowercase()]), "{name}: {why}");
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
