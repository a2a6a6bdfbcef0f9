//! Lua scripts, sent by digest.

use crate::client::args::Args;
use crate::client::convert::{FromReply, ToArg};
use crate::client::handle::Client;
use crate::client::sha1;
use crate::error::{Error, ServerError};
use std::sync::OnceLock;

/// A Lua script that is called by its digest, once the server knows it.
///
/// ```no_run
/// use tenure::Script;
///
/// # async fn run(client: tenure::Client) -> Result<(), tenure::Error> {
/// let bump = Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])");
/// let sum: i64 = bump.run(&client, "counter", 5).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Script {
    text: String,
    digest: OnceLock<String>,
}

impl Script {
    /// A script; nothing is sent yet.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), digest: OnceLock::new() }
    }

    /// Runs the script with its `KEYS` and `ARGV`.
    ///
    /// Only the script's digest is sent (`EVALSHA`), and its text behind that (`EVAL`) while the server does not know it, or does not
    /// let the user call scripts by their digests.
    ///
    /// # Errors
    ///
    /// The server's, for scripts that do not compile, fail, or are not allowed; otherwise as every call.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop a script on its way.
    pub async fn run<T: FromReply>(
        &self,
        client: &Client,
        keys: impl ToArg,
        args: impl ToArg,
    ) -> Result<T, Error> {
        let digest = self.digest.get_or_init(|| sha1::hex(self.text.as_bytes()));
        let by_digest = script_args("EVALSHA", digest, &keys, &args);
        let reply = match client.send(by_digest, None).await {
            Err(error) if error.server().is_some_and(wants_text) => {
                client.send(script_args("EVAL", &self.text, &keys, &args), None).await
            }
            reply => reply,
        };
        T::from_reply(reply?)
    }
}

fn wants_text(said: &ServerError) -> bool {
    said.code() == "NOSCRIPT" || said.forbids_command()
}

impl Client {
    /// Runs a Lua script once, sending its text (`EVAL`); [`Script`] is for those that run often.
    ///
    /// # Errors
    ///
    /// As [`Script::run`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop a script on its way.
    pub async fn eval<T: FromReply>(
        &self,
        text: &str,
        keys: impl ToArg,
        args: impl ToArg,
    ) -> Result<T, Error> {
        T::from_reply(self.send(script_args("EVAL", text, &keys, &args), None).await?)
    }
}

fn script_args(name: &str, script: &str, keys: &impl ToArg, values: &impl ToArg) -> Args {
    let mut key_args = Args::default();
    keys.write_args(&mut key_args);
    let mut args = Args::default();
    args.push(name.as_bytes());
    args.push(script.as_bytes());
    key_args.len().write_args(&mut args);
    args.append(&key_args);
    values.write_args(&mut args);
    args
}
