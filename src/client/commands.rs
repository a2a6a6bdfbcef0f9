//! `Commands`: several commands, encoded one behind the other. Pure.

use crate::client::args::Args;
use crate::client::encode::Ink;
use bytes::BytesMut;
use resp::{Limits, RequestDecoder};
use std::fmt;

/// Encoded commands, one behind the other.
#[derive(Clone, Default)]
pub(crate) struct Commands {
    encoded: Ink,
    /// The last one, which may get more arguments.
    open: Args,
    count: usize,
}

impl Commands {
    /// Adds a command; it may get more arguments until the next one is added.
    pub(crate) fn add(&mut self, command: Args) {
        self.close();
        self.open = command;
        self.count += 1;
    }

    /// The command that was added last, unless it is closed; empty if none was.
    pub(crate) fn last(&self) -> &Args {
        &self.open
    }

    pub(crate) fn last_mut(&mut self) -> &mut Args {
        &mut self.open
    }

    /// Writes the last command behind the others.
    pub(crate) fn close(&mut self) {
        let mut last = std::mem::take(&mut self.open);
        if !last.is_empty() {
            last.write(&mut self.encoded);
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Appends all of them to a write buffer.
    pub(crate) fn write(&self, out: &mut Ink) {
        out.extend_from_slice(&self.encoded);
    }

    /// The commands, read back.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Args> {
        let (mut decoder, mut encoded) =
            (RequestDecoder::new(Limits::default()), BytesMut::from(&self.encoded[..]));
        std::iter::from_fn(move || {
            let mut args = Args::default();
            let words = decoder.decode(&mut encoded).ok().flatten()?;
            words.iter().for_each(|word| args.push(word));
            Some(args)
        })
    }

    /// The name of a command, counted from 1.
    pub(crate) fn name(&self, at: usize) -> String {
        let args = self.iter().nth(at.saturating_sub(1)).unwrap_or_default();
        let name = args.iter().next().unwrap_or_default();
        String::from_utf8_lossy(name).to_uppercase()
    }
}

/// Shows how many, never what: an argument may be a secret.
impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commands").field("count", &self.count).finish_non_exhaustive()
    }
}
