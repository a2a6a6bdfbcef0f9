//! What can go wrong between a call and its answer, and what became of the command.
//!
//! [`Error`] is opaque: callers ask it questions. It prints one level and leaves the rest to `source()`.
//! Neither its text nor its debug form ever holds a password or an owner token.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Why a call to the server failed. Cheap to clone: all callers of a lost connection share one cause.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: ErrorKind,
    outcome: Outcome,
    message: String,
    server: Option<ServerError>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    circumstances: Option<Circumstances>,
}

/// How the connection stood when a call ran out of time: whether it is the network, the server, or the load.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Circumstances {
    /// The server's address.
    pub server: String,
    /// How long ago the last byte came from it; none if there was no connection.
    pub silent_for: Option<Duration>,
    /// Commands that were queued and not written.
    pub queued: usize,
    /// Commands that were written and not answered.
    pub in_flight: usize,
}

impl fmt::Display for Circumstances {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.silent_for {
            Some(silent) => {
                write!(f, "{} was last heard {} ms ago", self.server, silent.as_millis())?;
            }
            None => write!(f, "no connection to {}", self.server)?,
        }
        write!(f, "; {} in flight, {} queued", self.in_flight, self.queued)
    }
}

/// The classes of failure that a caller may want to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A URL or a setting makes no sense; the text names the part.
    Config,
    /// No connection: the name did not resolve, nobody listens, or the budget ran out.
    Connect,
    /// The server turned the connection away, for credentials, rights or the database; or one side's certificate was not
    /// accepted by the other.
    Handshake,
    /// No answer before the deadline.
    Timeout,
    /// The connection was lost while the command was on its way.
    Disconnected,
    /// The client was closed, or the runtime it lived on has ended.
    Closed,
    /// The peer broke the protocol; the connection was given up.
    Protocol,
    /// The server answered with an error; see [`Error::server`].
    Server,
    /// The answer has a type that the call cannot use.
    UnexpectedReply,
    /// Refused before anything was sent: the command would break a shared connection, or an argument is too long.
    Refused,
    /// Too many bytes are queued already; nothing was sent.
    Overloaded,
}

/// What became of the command that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there is no fourth fate, and callers should match")]
pub enum Outcome {
    /// It never left this process, and will not: sending it again is safe.
    NotSent,
    /// The server said no; it did not run.
    Refused,
    /// It may have run, may still run, or never will.
    Unknown,
}

/// An error in the server's own words, such as `WRONGTYPE Operation against a key …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerError {
    text: Box<str>,
}

impl ServerError {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self { text: String::from_utf8_lossy(bytes).into() }
    }

    /// The first word: `ERR`, `WRONGTYPE`, `NOAUTH`, …
    pub fn code(&self) -> &str {
        self.text.split(' ').next().unwrap_or_default()
    }

    /// The whole text, code included.
    pub fn message(&self) -> &str {
        &self.text
    }

    /// Whether the server lacks the command; the wording differs between versions.
    pub(crate) fn is_unknown_command(&self) -> bool {
        let text = self.text.to_ascii_lowercase();
        text.starts_with("err unknown command") || text.starts_with("err unknown subcommand")
    }

    /// Whether the user may not run the command at all, whatever the key. Redis 6.2 says it as all others do.
    pub(crate) fn forbids_command(&self) -> bool {
        self.code() == "NOPERM" && self.text.contains("no permissions to run")
    }

    /// Whether a script ran into a command that the user may not run: not the script is forbidden, but what it does. Redis says it
    /// in other words than Valkey.
    pub(crate) fn forbids_in_script(&self) -> bool {
        ["ACL failure in script", "The user executing the script can't run"]
            .iter()
            .any(|words| self.text.contains(words))
    }

    /// Whether the state of the server, not the request, is at fault: it passes by itself.
    pub(crate) fn is_transient(&self) -> bool {
        const PASSING: [&str; 11] = [
            "LOADING",
            "BUSY",
            "READONLY",
            "MASTERDOWN",
            "CLUSTERDOWN",
            "TRYAGAIN",
            "OOM",
            "MISCONF",
            "NOREPLICAS",
            "NOSCRIPT",
            "UNBLOCKED",
        ];
        // Redis 6.2 wraps what a script ran into, and names it further in: `… @user_script: 14: -READONLY You can't …`.
        let wrapped = self.text.starts_with("ERR Error running script");
        let mut inner = self.text.split(": -").skip(1).filter_map(|rest| rest.split(' ').next());
        PASSING.contains(&self.code())
            || self.text.starts_with("ERR max number of clients reached")
            || self.text.contains("OOM command not allowed")
            || wrapped && inner.any(|code| PASSING.contains(&code))
    }
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, outcome: Outcome, message: impl Into<String>) -> Self {
        Self::build(kind, outcome, message.into(), None, None)
    }

    fn build(
        kind: ErrorKind,
        outcome: Outcome,
        message: String,
        server: Option<ServerError>,
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self(Arc::new(Inner { kind, outcome, message, server, source, circumstances: None }))
    }

    pub(crate) fn caused_by(
        kind: ErrorKind,
        outcome: Outcome,
        message: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::build(kind, outcome, message.into(), None, Some(source.into()))
    }

    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, Outcome::NotSent, message)
    }

    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Refused, Outcome::NotSent, message)
    }

    pub(crate) fn closed(outcome: Outcome) -> Self {
        Self::new(ErrorKind::Closed, outcome, "the client is closed")
    }

    /// `cause` is why there is no connection, where that is known; `known` is how it stood, where there was to be one.
    pub(crate) fn timed_out(
        after: Duration,
        outcome: Outcome,
        cause: Option<&Self>,
        known: Option<&Circumstances>,
    ) -> Self {
        let fate = match outcome {
            Outcome::NotSent => "the command was not sent",
            Outcome::Refused | Outcome::Unknown => "the command may have run",
        };
        let mut message = format!("no answer within {after:?}; {fate}");
        if let Some(known) = known {
            message.push_str(&format!(" ({known})"));
        }
        let source = cause.map(|cause| Box::new(cause.clone()) as _);
        let mut error = Self::build(ErrorKind::Timeout, outcome, message, None, source);
        if let Some(inner) = Arc::get_mut(&mut error.0) {
            inner.circumstances = known.cloned();
        }
        error
    }

    pub(crate) fn server_said(error: ServerError) -> Self {
        let mut message = error.message().to_owned();
        if error.code() == "NOPERM" {
            message.push_str("; give the user the right to it (ACL SETUSER)");
        }
        Self::build(ErrorKind::Server, Outcome::Refused, message, Some(error), None)
    }

    /// The server's words on the way to a usable connection, and what to change.
    pub(crate) fn handshake(error: ServerError, cure: &str) -> Self {
        let message = format!("the server refused the connection: {}; {cure}", error.message());
        Self::build(ErrorKind::Handshake, Outcome::NotSent, message, Some(error), None)
    }

    pub(crate) fn unexpected(wanted: &str, got: &str) -> Self {
        Self::new(
            ErrorKind::UnexpectedReply,
            Outcome::Unknown,
            format!("the reply is {got}, where {wanted} was expected"),
        )
    }

    /// The same failure of a command that had, or had not, left already.
    pub(crate) fn with_outcome(&self, outcome: Outcome) -> Self {
        if self.0.outcome == outcome {
            return self.clone();
        }
        Self::build(
            self.0.kind,
            outcome,
            self.0.message.clone(),
            self.0.server.clone(),
            Some(Box::new(self.clone())),
        )
    }

    /// The same failure, with words in front of its text that say where it happened.
    pub(crate) fn prefixed(&self, place: &str) -> Self {
        let inner = &self.0;
        let message = format!("{place}: {}", inner.message);
        let source = inner.source.as_ref().map(|_| Box::new(self.clone()) as _);
        Self::build(inner.kind, inner.outcome, message, inner.server.clone(), source)
    }

    /// The failure of one command of several, counted from 1.
    pub(crate) fn of_command(&self, at: usize, name: &str) -> Self {
        self.prefixed(&format!("command {at} ({name})"))
    }

    /// The class of failure.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What became of the command.
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// The server's own error, where there is one.
    pub fn server(&self) -> Option<&ServerError> {
        self.0.server.as_ref()
    }

    /// How the connection stood when a command got no answer in time.
    pub fn circumstances(&self) -> Option<&Circumstances> {
        self.0.circumstances.as_ref()
    }

    /// Whether no answer came in time.
    pub fn is_timeout(&self) -> bool {
        self.0.kind == ErrorKind::Timeout
    }

    /// Whether the client was closed or its runtime has ended.
    pub fn is_closed(&self) -> bool {
        self.0.kind == ErrorKind::Closed
    }

    /// Whether the same call may work later without anybody changing anything: nobody answered, or the server is loading, is
    /// a replica for now, is full, has too many clients, or the like. Look at [`Error::outcome`] before sending it again.
    pub fn is_transient(&self) -> bool {
        match self.0.kind {
            ErrorKind::Timeout
            | ErrorKind::Disconnected
            | ErrorKind::Connect
            | ErrorKind::Protocol
            | ErrorKind::Overloaded => true,
            ErrorKind::Server | ErrorKind::Handshake => {
                self.server().is_some_and(ServerError::is_transient)
            }
            ErrorKind::Config
            | ErrorKind::Closed
            | ErrorKind::UnexpectedReply
            | ErrorKind::Refused => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Error");
        out.field("kind", &self.0.kind).field("outcome", &self.0.outcome);
        out.field("message", &self.0.message);
        if let Some(source) = &self.0.source {
            out.field("source", source);
        }
        out.finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_by_itself_is_known_also_from_within_a_script() {
        let script =
            "ERR Error running script (call to f_0a1b): @user_script:14: @user_script: 14: ";
        let passes = |text: String| ServerError::new(text.as_bytes()).is_transient();
        for bare in [
            "READONLY You can't write against a read only replica.",
            "OOM command not allowed when used memory > 'maxmemory'.",
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        ] {
            assert!(passes(bare.to_owned()), "{bare}");
            assert!(passes(format!("{script}-{bare} ")), "{bare}, in a script");
        }
        let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
        assert!(!passes(wrong.to_owned()));
        assert!(!passes(format!("{script}-{wrong}")));
        assert!(!passes("ERR unknown: -READONLY is no option".to_owned()), "not of a script");
    }
}
