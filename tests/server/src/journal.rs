//! What the server was asked, in order: the record that tests look at. Pure.

use crate::session::ClientId;
use bytes::Bytes;
use std::collections::VecDeque;
use tokio::time::Instant;

/// Requests kept; older ones are forgotten.
const REQUESTS: usize = 65_536;
/// Bytes kept in all.
const BYTES: usize = 64 << 20;
/// Bytes of an argument that are kept.
const ARGUMENT: usize = 4096;

/// One request, in the order in which the server took it up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Logged {
    /// When it was taken up.
    pub at: Instant,
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
    bytes: usize,
}

impl Journal {
    pub(crate) fn note(&mut self, at: Instant, connection: ClientId, args: &[Bytes]) {
        let cut = |arg: &Bytes| Bytes::copy_from_slice(&arg[..arg.len().min(ARGUMENT)]);
        let logged = Logged { at, connection, args: args.iter().map(cut).collect() };
        self.bytes += size(&logged);
        self.requests.push_back(logged);
        while self.requests.len() > REQUESTS || self.bytes > BYTES {
            let Some(oldest) = self.requests.pop_front() else { break };
            self.bytes -= size(&oldest);
        }
    }

    pub(crate) fn all(&self) -> Vec<Logged> {
        self.requests.iter().cloned().collect()
    }

    pub(crate) fn clear(&mut self) {
        self.requests.clear();
        self.bytes = 0;
    }
}

fn size(logged: &Logged) -> usize {
    logged.args.iter().map(|arg| arg.len() + size_of::<Bytes>()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_forgets_the_oldest_instead_of_growing() {
        let (mut journal, at) = (Journal::default(), Instant::now());
        for number in 0..=REQUESTS {
            journal.note(at, 1, &[Bytes::from(number.to_string())]);
        }
        assert_eq!(journal.all().len(), REQUESTS);
        assert_eq!(journal.all()[0].line(), "1");
        let large = vec![Bytes::from(vec![b'x'; 10_000]); BYTES / ARGUMENT];
        journal.note(at, 1, &large[..10]);
        journal.note(at, 2, &large[..large.len() / 2]);
        journal.note(at, 3, &large[..large.len() / 2]);
        assert!(journal.bytes <= BYTES);
        assert_eq!(journal.all().last().unwrap().connection, 3);
        assert_eq!(journal.all().last().unwrap().args[0].len(), ARGUMENT);
    }
}
