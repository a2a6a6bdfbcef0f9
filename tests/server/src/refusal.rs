//! Why a command was refused, in the server's words. Pure.

use bytes::Bytes;
use resp::Frame;

/// An error reply, without its leading dash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal(pub(crate) Bytes);

impl Refusal {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(Bytes::from(text.into()))
    }

    pub(crate) const fn fixed(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }

    /// `wrong number of arguments for 'get' command`
    pub(crate) fn arity(command: &str) -> Self {
        Self::new(format!("ERR wrong number of arguments for '{command}' command"))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

impl From<Refusal> for Frame {
    fn from(refusal: Refusal) -> Self {
        Self::Error(refusal.0.into())
    }
}

pub(crate) const SYNTAX: Refusal = Refusal::fixed("ERR syntax error");
pub(crate) const NOT_INTEGER: Refusal =
    Refusal::fixed("ERR value is not an integer or out of range");
pub(crate) const NOT_FLOAT: Refusal = Refusal::fixed("ERR value is not a valid float");
pub(crate) const OVERFLOW: Refusal = Refusal::fixed("ERR increment or decrement would overflow");
pub(crate) const WRONG_TYPE: Refusal =
    Refusal::fixed("WRONGTYPE Operation against a key holding the wrong kind of value");
pub(crate) const OOM: Refusal =
    Refusal::fixed("OOM command not allowed when used memory > 'maxmemory'.");
pub(crate) const READ_ONLY: Refusal =
    Refusal::fixed("READONLY You can't write against a read only replica.");
pub(crate) const LOADING: Refusal =
    Refusal::fixed("LOADING Redis is loading the dataset in memory");
