//! What the server was asked, in order: the record that tests look at. Pure.

use crate::session::ClientId;
use bytes::Bytes;
use std::collections::VecDeque;

/// Requests kept; older ones are forgotten.
const REQUESTS: usize = 65_536;
/// Bytes of an argument that are kept.
const ARGUMENT: usize = 4096;

/// One request, in the order in which the server took it up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Logged {
    /// The connection's number, as `CLIENT ID` says it.
    pub connection: u64,
    /// The command's name and its arguments, each cut after 4096 bytes.
    pub args: Vec<Bytes>,
}

impl Logged {
    /// The request as text, its parts separated by spaces: `SET lk:a 1 NX`.
    pub fn line(&self) -> String {
        let parts: Vec<_> = self.args.iter().map(|arg| String::from_utf8_lossy(arg)).collect();
        parts.join(" ")
    }

    /// The command's name in upper case.
    pub fn name(&self) -> String {
        let name = self.args.first().map(|arg| String::from_utf8_lossy(arg)).unwrap_or_default();
        name.to_ascii_uppercase()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Journal {
    requests: VecDeque<Logged>,
}

impl Journal {
    pub(crate) fn note(&mut self, connection: ClientId, args: &[Bytes]) {
        if self.requests.len() == REQUESTS {
            self.requests.pop_front();
        }
        let cut = |arg: &Bytes| Bytes::copy_from_slice(&arg[..arg.len().min(ARGUMENT)]);
        self.requests.push_back(Logged { connection, args: args.iter().map(cut).collect() });
    }

    pub(crate) fn all(&self) -> Vec<Logged> {
        self.requests.iter().cloned().collect()
    }

    pub(crate) fn clear(&mut self) {
        self.requests.clear();
    }
}
