//! `Spans`: an observer that writes to `tracing`, under the names that OpenTelemetry has for clients of databases.

use super::{
    CommandEnd, ConnectionEvent, LockEvent, NotAcquired, Note, ObservedCommand, Observer, Peer,
    Unlocked,
};
use tracing::field::Empty;
use tracing::{Level, Span};

/// Makes a span of each command and an event of what becomes of connections and locks, for `tracing`; the feature `tracing` adds it.
///
/// ```
/// use std::sync::Arc;
/// use tenure::observe::Spans;
///
/// let config = tenure::Config::from_url("redis://10.0.0.7")?.observer(Arc::new(Spans::new()));
/// # Ok::<(), tenure::Error>(())
/// ```
///
/// A command's span has level `INFO`, the target `tenure`, and the caller's span as its parent. Its fields are those of
/// the OpenTelemetry conventions for Redis: `db.system.name`, `db.operation.name`, `db.namespace`, `db.operation.batch.size` (for
/// two commands and more), `server.address`, `server.port`, and when it failed `error.type` and, for an error of the
/// server, `db.response.status_code`. `otel.name`, `otel.kind` and `otel.status_code` are for whoever passes spans on to
/// OpenTelemetry. Arguments, replies and credentials appear nowhere.
///
/// Events: connections lost, not opened or refused are warnings, opened ones `INFO`, closed ones `DEBUG`; locks that are lost, or
/// released too late, are warnings, and everything else about locks is `DEBUG`, but for renewals, which are `TRACE`. A lock's
/// key is in the field `lock.key`, times in seconds are in `lock.wait`, `lock.held` and `lock.renew.margin`.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Spans;

impl Spans {
    /// An observer for [`Config::observer`](crate::Config::observer).
    pub fn new() -> Self {
        Self
    }
}

impl Observer for Spans {
    fn command_started(&self, command: &ObservedCommand<'_>) -> Note {
        let ObservedCommand { peer, name, commands, .. } = *command;
        let span = tracing::span!(
            target: "tenure",
            Level::INFO,
            "command",
            otel.name = name,
            otel.kind = "client",
            otel.status_code = Empty,
            "db.system.name" = "redis",
            "db.operation.name" = name,
            "db.namespace" = %peer.db,
            "db.operation.batch.size" = (commands > 1).then_some(commands),
            "server.address" = peer.server,
            "server.port" = peer.port,
            "error.type" = Empty,
            "db.response.status_code" = Empty,
        );
        if span.is_disabled() { None } else { Some(Box::new(span)) }
    }

    fn command_ended(&self, _: &ObservedCommand<'_>, end: &CommandEnd<'_>, note: Note) {
        let Some(span) = note.and_then(|note| note.downcast::<Span>().ok()) else { return };
        if let Some(error_type) = end.error_type() {
            span.record("error.type", error_type).record("otel.status_code", "ERROR");
        }
        if let Some(refused) = end.refused {
            span.record("db.response.status_code", refused.code());
        }
    }

    fn connection_changed(&self, peer: &Peer, event: &ConnectionEvent<'_>) {
        let Peer { purpose, server, port, .. } = peer;
        macro_rules! tell {
            ($level:expr, $text:literal $(, $name:literal = $value:expr)*) => {
                tracing::event!(
                    target: "tenure",
                    $level,
                    "db.system.name" = "redis",
                    "server.address" = server,
                    "server.port" = port,
                    "db.client.connection.purpose" = %purpose,
                    $($name = $value,)*
                    $text
                )
            };
        }
        match *event {
            ConnectionEvent::Opened { again } => {
                tell!(Level::INFO, "connection opened", "again" = again);
            }
            ConnectionEvent::Lost { error } => {
                tell!(Level::WARN, "connection lost", "error" = display(error));
            }
            ConnectionEvent::NotOpened { error } => {
                tell!(Level::WARN, "connection not opened", "error" = display(error));
            }
            ConnectionEvent::Refused { error } => {
                tell!(Level::WARN, "connection refused by the server", "error" = display(error));
            }
            ConnectionEvent::Closed => tell!(Level::DEBUG, "connection closed"),
        }
    }

    fn lock_changed(&self, key: &str, event: &LockEvent) {
        macro_rules! tell {
            ($level:expr, $text:literal, $($name:literal = $value:expr),+) => {
                tracing::event!(target: "tenure", $level, "lock.key" = key, $($name = $value,)+ $text)
            };
        }
        match *event {
            LockEvent::Acquired { waited } => {
                tell!(Level::DEBUG, "lock acquired", "lock.wait" = waited.as_secs_f64());
            }
            LockEvent::NotAcquired { waited, why } => {
                let (wait, why) = (waited.as_secs_f64(), NotAcquired::as_str(why));
                tell!(Level::DEBUG, "lock not acquired", "lock.wait" = wait, "error.type" = why);
            }
            LockEvent::Renewed { margin } => {
                let margin = margin.as_secs_f64();
                tell!(Level::TRACE, "lock renewed", "lock.renew.margin" = margin);
            }
            LockEvent::Lost { held, cause } => {
                let held = held.as_secs_f64();
                tell!(Level::WARN, "lock lost", "lock.held" = held, "cause" = display(cause));
            }
            LockEvent::Released { held, how: Unlocked::Confirmed } => {
                tell!(Level::DEBUG, "lock released", "lock.held" = held.as_secs_f64());
            }
            LockEvent::Released { held, how } => {
                let (held, how) = (held.as_secs_f64(), how.as_str());
                tell!(
                    Level::WARN,
                    "lock released too late",
                    "lock.held" = held,
                    "error.type" = how
                );
            }
        }
    }
}
