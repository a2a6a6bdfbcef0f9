//! The commands that a service needs beside its locks, each with the type it returns.

use crate::client::args::Args;
use crate::client::at_hand;
use crate::client::convert::{FromReply, ToArg, kind};
use crate::client::encode::{self, Ink};
use crate::client::handle::Client;
use crate::client::set::{SetOptions, millis};
use crate::error::Error;
use bytes::Bytes;
use resp::Frame;
use std::time::Duration;

/// How long a key has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the command has these three answers")]
pub enum Ttl {
    /// There is no such key.
    Missing,
    /// It does not expire.
    Forever,
    /// It expires after this time.
    Left(Duration),
}

impl FromReply for Ttl {
    fn from_reply(reply: Frame) -> Result<Self, Error> {
        match i64::from_reply(reply)? {
            -2 => Ok(Self::Missing),
            left => Ok(u64::try_from(left)
                .map_or(Self::Forever, |left| Self::Left(Duration::from_millis(left)))),
        }
    }
}

/// Every call here can fail as calls do: with the server's error, a time-out ([`Config::response_timeout`]), a lost
/// connection, or an answer of another type; [`Error::outcome`] says what became of the command. A command whose future was
/// dropped may still run.
///
/// [`Config::response_timeout`]: crate::Config::response_timeout
impl Client {
    async fn ask<T: FromReply>(&self, name: &str, values: impl ToArg) -> Result<T, Error> {
        let reply = match values.at_hand() {
            Some(value) => {
                let words = [name.as_bytes(), value];
                self.say(&[value], move |out| encode::command(&words, out)).await
            }
            None => {
                let mut args = Args::default();
                args.push(name.as_bytes());
                values.write_args(&mut args);
                self.send(args, None).await
            }
        };
        T::from_reply(reply?)
    }

    /// The value of a key, if it exists (`GET`).
    ///
    /// # Errors
    ///
    /// `WRONGTYPE` from the server if the key holds no string.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: reading changes nothing.
    pub async fn get(&self, key: impl ToArg) -> Result<Option<Bytes>, Error> {
        self.ask("GET", key).await
    }

    /// Stores a value, whatever was there, without expiry (`SET`).
    ///
    /// # Errors
    ///
    /// As every call.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop a command on its way.
    pub async fn set(&self, key: impl ToArg, value: impl ToArg) -> Result<(), Error> {
        self.set_with(key, value, &SetOptions::new()).await.map(drop)
    }

    /// Stores a value if the options' condition holds; tells whether it did (`SET` with options).
    ///
    /// # Errors
    ///
    /// `ERR syntax error` from a server that lacks an option.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop a command on its way.
    pub async fn set_with(
        &self,
        key: impl ToArg,
        value: impl ToArg,
        options: &SetOptions,
    ) -> Result<bool, Error> {
        let mut room = None;
        let [key, value] = at_hand::pair("SET", (&key, &value), &mut room)?;
        options.check_length()?;
        let write = move |out: &mut Ink| options.write_command(key, value, out);
        match self.say(&[key, value], write).await? {
            Frame::Null => Ok(false),
            Frame::Simple(_) => Ok(true),
            other => Err(Error::unexpected("OK or null", kind(&other))),
        }
    }

    /// As [`Client::set_with`], but gives the value that was there before, if any (`SET … GET`).
    ///
    /// # Errors
    ///
    /// `WRONGTYPE` if the key holds no string; `ERR syntax error` from a server that lacks an option, such as one older than
    /// 7.0 for `GET` together with `NX`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop a command on its way.
    pub async fn set_and_get(
        &self,
        key: impl ToArg,
        value: impl ToArg,
        options: &SetOptions,
    ) -> Result<Option<Bytes>, Error> {
        let mut args = set_args(key, value, options)?;
        args.push(b"GET");
        FromReply::from_reply(self.send(args, None).await?)
    }

    /// Stores a value if the key does not exist; tells whether it did (`SETNX`).
    ///
    /// # Errors
    ///
    /// As every call.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop a command on its way.
    pub async fn set_nx(&self, key: impl ToArg, value: impl ToArg) -> Result<bool, Error> {
        self.ask("SETNX", (key, value)).await
    }

    /// Deletes keys; tells how many there were (`DEL`).
    ///
    /// # Errors
    ///
    /// As every call.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop a command on its way.
    pub async fn del(&self, keys: impl ToArg) -> Result<u64, Error> {
        self.ask("DEL", keys).await
    }

    /// Adds one to a number, zero if the key does not exist; gives the sum (`INCR`).
    ///
    /// # Errors
    ///
    /// From the server if the value is no integer or the sum does not fit 64 bits.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop a command on its way.
    pub async fn incr(&self, key: impl ToArg) -> Result<i64, Error> {
        self.ask("INCR", key).await
    }

    /// Adds `amount` to a number, zero if the key does not exist; gives the sum (`INCRBY`).
    ///
    /// # Errors
    ///
    /// From the server if the value is no integer or the sum does not fit 64 bits.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop a command on its way.
    pub async fn incr_by(&self, key: impl ToArg, amount: i64) -> Result<i64, Error> {
        self.ask("INCRBY", (key, amount)).await
    }

    /// How many of the keys exist; one named twice counts twice (`EXISTS`).
    ///
    /// # Errors
    ///
    /// As every call.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: reading changes nothing.
    pub async fn exists(&self, keys: impl ToArg) -> Result<u64, Error> {
        self.ask("EXISTS", keys).await
    }

    /// Lets a key expire after `ttl`, in whole milliseconds, at least one; tells whether the key exists (`PEXPIRE`).
    ///
    /// # Errors
    ///
    /// As every call.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop a command on its way.
    pub async fn expire(&self, key: impl ToArg, ttl: Duration) -> Result<bool, Error> {
        self.ask("PEXPIRE", (key, millis(ttl))).await
    }

    /// How long a key has left (`PTTL`).
    ///
    /// # Errors
    ///
    /// As every call.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: reading changes nothing.
    pub async fn pttl(&self, key: impl ToArg) -> Result<Ttl, Error> {
        self.ask("PTTL", key).await
    }

    /// The values of several keys, in their order; `None` for one that does not exist or holds no string (`MGET`).
    ///
    /// # Errors
    ///
    /// As every call.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: reading changes nothing.
    pub async fn mget(&self, keys: impl ToArg) -> Result<Vec<Option<Bytes>>, Error> {
        self.ask("MGET", keys).await
    }

    /// Stores several values at once: `client.mset([("a", 1), ("b", 2)])` (`MSET`).
    ///
    /// # Errors
    ///
    /// As every call.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop a command on its way.
    pub async fn mset(&self, pairs: impl ToArg) -> Result<(), Error> {
        self.ask("MSET", pairs).await
    }

    /// Asks the server for a sign of life (`PING`).
    ///
    /// # Errors
    ///
    /// As every call.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn ping(&self) -> Result<(), Error> {
        self.ask("PING", None::<&str>).await
    }

    /// Sends a message to a channel; gives the number of subscribers that got it (`PUBLISH`).
    ///
    /// # Errors
    ///
    /// As every call.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop a command on its way.
    pub async fn publish(&self, channel: impl ToArg, message: impl ToArg) -> Result<u64, Error> {
        self.ask("PUBLISH", (channel, message)).await
    }
}

pub(crate) fn set_args(
    key: impl ToArg,
    value: impl ToArg,
    options: &SetOptions,
) -> Result<Args, Error> {
    let mut args = Args::default();
    args.push_encoded(1, b"\r\n$3\r\nSET");
    (key, value).write_args(&mut args);
    at_hand::check("SET", args.len() - 1)?;
    options.write(&mut args);
    Ok(args)
}
