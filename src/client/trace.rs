//! `Trace`: one command that somebody observes, from its start to its end.
//!
//! A command is queued under a lock and observed without one, so its end can be found on one thread before its start was told
//! on another. Whoever comes first tells the start: no observer hears of an end without one.

use crate::error::{Error, ServerError};
use crate::observe::{CommandEnd, Note, ObservedCommand, Witness};
use resp::Frame;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// No command's name is longer.
const LONGEST_NAME: usize = 64;

/// One command, or one batch, that is observed.
pub(crate) struct Trace {
    witness: Arc<Witness>,
    name: Box<str>,
    commands: usize,
    bytes: usize,
    begun: Instant,
    progress: Mutex<Progress>,
}

enum Progress {
    Queued,
    Started(Note),
    Ended,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) enum End {
    Answered,
    Refused(ServerError),
    Failed(Error),
    /// Its caller went away before it was sent.
    Withdrawn,
}

impl End {
    /// What an answer comes to. Of the answers to a batch, the first error counts; those to the commands of a transaction are in
    /// its last one.
    pub(crate) fn of(answer: &Result<Frame, Error>, is_batch: bool) -> Self {
        let refused = match answer {
            Err(error) => return Self::Failed(error.clone()),
            Ok(Frame::Array(replies)) if is_batch => {
                let executed = match &replies[..] {
                    [Frame::Simple(_), .., Frame::Array(executed)] => &executed[..],
                    _ => &[],
                };
                replies.iter().chain(executed).find_map(refusal)
            }
            Ok(reply) => refusal(reply),
        };
        refused.map_or(Self::Answered, Self::Refused)
    }
}

fn refusal(reply: &Frame) -> Option<ServerError> {
    match reply {
        Frame::Error(text) | Frame::BulkError(text) => Some(ServerError::new(text)),
        Frame::Attributed(attributed) => refusal(&attributed.frame),
        _ => None,
    }
}

impl Trace {
    /// Of `commands` commands, which are encoded as `encoded`.
    pub(crate) fn new(witness: &Arc<Witness>, encoded: &[u8], commands: usize) -> Self {
        Self {
            witness: Arc::clone(witness),
            name: name(encoded, commands).into(),
            commands,
            bytes: encoded.len(),
            begun: Instant::now(),
            progress: Mutex::new(Progress::Queued),
        }
    }

    /// Tells the start, unless somebody else did.
    pub(crate) fn start(&self) {
        let mut progress = self.progress();
        if let Progress::Queued = *progress {
            *progress = Progress::Started(self.witness.started(&self.command()));
        }
    }

    /// Tells the end, once.
    pub(crate) fn end(&self, end: &End) {
        self.start();
        let Progress::Started(note) = std::mem::replace(&mut *self.progress(), Progress::Ended)
        else {
            return;
        };
        let mut told = CommandEnd {
            took: self.begun.elapsed(),
            refused: None,
            failed: None,
            withdrawn: false,
        };
        match end {
            End::Answered => {}
            End::Refused(refused) => told.refused = Some(refused),
            End::Failed(failed) => told.failed = Some(failed),
            End::Withdrawn => told.withdrawn = true,
        }
        self.witness.ended(&self.command(), &told, note);
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        // An observer that panics does so behind a shield.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn command(&self) -> ObservedCommand<'_> {
        let (peer, name) = (&self.witness.peer, &*self.name);
        ObservedCommand { peer, name, commands: self.commands, bytes: self.bytes }
    }
}

/// What encoded commands are called. A first argument that can be no name is not shown: it may be anything.
fn name(encoded: &[u8], commands: usize) -> &str {
    let mut lines = encoded.split(|&byte| byte == b'\n'); // "*2\r\n$3\r\nGET\r\n…"
    let (length, name) = (lines.nth(1).unwrap_or_default(), lines.next().unwrap_or_default());
    let name = name.strip_suffix(b"\r").unwrap_or_default();
    let is_whole = length.strip_suffix(b"\r") == Some(format!("${}", name.len()).as_bytes());
    let is_name = is_whole
        && (1..=LONGEST_NAME).contains(&name.len())
        && name.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"._-|".contains(&byte));
    match std::str::from_utf8(name) {
        Ok(name) if commands > 1 && name.eq_ignore_ascii_case("MULTI") => "MULTI",
        _ if commands > 1 => "PIPELINE",
        Ok(name) if is_name => name,
        _ => "_OTHER",
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use resp::encode;

    #[test]
    fn name_is_the_first_argument_if_it_can_be_one() {
        let of = |args: &[&str], commands| {
            let mut encoded = BytesMut::new();
            encode::command(args, &mut encoded);
            name(&encoded, commands).to_owned()
        };
        assert_eq!(of(&["GET", "k"], 1), "GET");
        assert_eq!(of(&["json.get", "k"], 1), "json.get");
        assert_eq!(of(&["MULTI"], 3), "MULTI");
        assert_eq!(of(&["GET", "k"], 2), "PIPELINE");
        for odd in ["", "my secret", "a\r\nb", &"x".repeat(65)] {
            assert_eq!(of(&[odd, "k"], 1), "_OTHER", "{odd:?}");
        }
        assert_eq!(name(b"", 1), "_OTHER");
    }

    #[test]
    fn first_error_among_the_replies_is_the_end() {
        let error = |text: &'static str| Frame::Error(text.as_bytes().into());
        let code = |frame, is_batch| match End::of(&Ok(frame), is_batch) {
            End::Refused(error) => Some(error.code().to_owned()),
            _ => None,
        };
        assert_eq!(code(Frame::Integer(1), false), None);
        assert_eq!(code(error("OOM z"), false).as_deref(), Some("OOM"));
        let replies = vec![Frame::Null, error("WRONGTYPE x"), error("ERR y")];
        let array = Frame::Array(replies);
        assert_eq!(code(array.clone(), true).as_deref(), Some("WRONGTYPE"));
        assert_eq!(code(array.clone(), false), None, "one reply that holds an error");
        let executed = vec![Frame::Simple("OK".into()), Frame::Simple("QUEUED".into()), array];
        assert_eq!(code(Frame::Array(executed), true).as_deref(), Some("WRONGTYPE"));
    }
}
