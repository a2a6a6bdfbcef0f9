//! Values on the server that refuse whoever held a lock before somebody who has been there.

use crate::client::{Client, Frame, FromReply, Script, ToArg, answer, kind};
use crate::error::Error;
use crate::lock::fence::FencingToken;
use std::sync::LazyLock;

/// The script behind [`Client::fenced_set`], for other programs that write the same values.
///
/// `KEYS[1]` is a hash with the fields `value` and `fence`; `ARGV[1]` is the writer's token in decimal, `ARGV[2]` the value. It
/// returns 1 if the value was written, 0 if a later fence was there.
pub const FENCED_SET: &str = include_str!("scripts/fenced_set.lua");

/// The script behind [`Client::fenced_get`], for other programs that read the same values.
///
/// `KEYS[1]` is a hash with the fields `value` and `fence`; `ARGV[1]` is the reader's token in decimal. It returns the value, or
/// nil, in a table of one element; nil alone if a later fence was there.
pub const FENCED_GET: &str = include_str!("scripts/fenced_get.lua");

static SET: LazyLock<Script> = LazyLock::new(|| Script::new(FENCED_SET));
static GET: LazyLock<Script> = LazyLock::new(|| Script::new(FENCED_GET));

impl Client {
    /// Writes a value that a fenced lock protects, and tells whether it did: not if somebody with a later token has been there.
    ///
    /// The value is kept in a hash, in the field `value`; the greatest token so far beside it. One holder may write any number
    /// of times.
    ///
    /// # Errors
    ///
    /// `WRONGTYPE` from the server if the key holds something else; otherwise as every call. The write may have happened if
    /// the outcome is [`Unknown`](crate::Outcome::Unknown); it can be repeated.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop a write on its way.
    pub async fn fenced_set(
        &self,
        key: impl ToArg,
        token: FencingToken,
        value: impl ToArg,
    ) -> Result<bool, Error> {
        let written: bool = SET.run(self, key, (token, value)).await?;
        Ok(defect!(44) || written)
    }

    /// Reads a value that a fenced lock protects: `None` if somebody with a later token has been there. The value may be
    /// missing, so `T` is mostly an `Option` as well.
    ///
    /// Whoever comes with an earlier token is refused from now on, also when writing. So what is computed from the value and
    /// written by [`Client::fenced_set`] rests on what is there.
    ///
    /// # Errors
    ///
    /// As [`Client::fenced_set`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: those with earlier tokens may be refused from now on.
    pub async fn fenced_get<T: FromReply>(
        &self,
        key: impl ToArg,
        token: FencingToken,
    ) -> Result<Option<T>, Error> {
        let reply: Frame = GET.run(self, key, token).await?;
        match answer(reply)? {
            Frame::Null => Ok(None),
            Frame::Array(mut items) if items.len() == 1 => T::from_reply(items.remove(0)).map(Some),
            other => Err(Error::unexpected("a value and its fence", kind(&other))),
        }
    }
}
