//! From an open stream to a usable session, as a state machine fed with frames.
//!
//! `HELLO` with `AUTH` is alone in flight, because some servers drop the reply of a refused one that was pipelined.
//! RESP2 is the fall-back for "unknown command" and `NOPROTO` only, never for refused credentials. What the server
//! refuses for good ends the attempt with the server's words and what to change, password blotted out.
//!
//! Pure: it encodes and decides; `redial` reads and writes.

use crate::client::canary::Words;
use crate::config::{Config, Credentials};
use crate::error::{Error, ErrorKind, Outcome, ServerError};
use crate::url::ProtocolChoice;
use bytes::BytesMut;
use resp::{Frame, Protocol, encode};
use std::any::Any;
use std::sync::{Arc, OnceLock};

/// Commands that a connection sends before it is ready, each as its arguments; told of the session before, if any.
pub(crate) type Setup = fn(Option<&Session>) -> Vec<Vec<Vec<u8>>>;

/// What is known of a connection that is ready.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) protocol: Protocol,
    /// `redis`, `valkey`, …; empty where there is no `HELLO`.
    pub(crate) server: String,
    /// Major and minor version; `(0, 0)` where there is no `HELLO`.
    pub(crate) version: (u32, u32),
    /// What the server calls this connection, where it says so.
    pub(crate) id: Option<i64>,
    /// The replies to the [`Setup`], in order, errors included.
    pub(crate) setup: Vec<Frame>,
    derived: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl Session {
    /// Whether the server can send what nobody asked for beside replies.
    pub(crate) fn has_pushes(&self) -> bool {
        self.protocol == Protocol::Resp3
    }

    /// What the layer above makes of the session; made once.
    pub(crate) fn derived<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let derived = self.derived.get_or_init(|| Arc::new(make()));
        Arc::clone(derived).downcast().expect("one layer derives one type from its sessions")
    }
}

/// What to do next.
#[derive(Debug)]
pub(crate) enum Step {
    /// Write these bytes, switch to this protocol, and feed the replies.
    Send(BytesMut),
    /// Feed the next reply.
    Wait,
    /// The connection is ready.
    Ready(Session),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Hello,
    Auth,
    Settle,
}

/// One handshake.
#[derive(Debug)]
pub(crate) struct Handshake<'a> {
    config: &'a Config,
    credentials: &'a Credentials,
    setup: Vec<Vec<Vec<u8>>>,
    words: Words,
    stage: Stage,
    session: Session,
    /// Names of the commands of the last stage whose replies are to come, last one first.
    expected: Vec<Expected>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Select,
    /// The last one. Its answer is unlike any other, so none of theirs was lost or came twice; and a server that still loads
    /// its data, which answers `HELLO`, refuses it.
    Ping,
    /// Its refusal changes nothing: names, version notes.
    Courtesy,
    Setup,
}

impl<'a> Handshake<'a> {
    /// A handshake, and its first bytes. `words` are used once, for the `PING` that ends it.
    pub(crate) fn start(
        config: &'a Config,
        credentials: &'a Credentials,
        setup: Vec<Vec<Vec<u8>>>,
        words: Words,
    ) -> (Self, BytesMut) {
        let session = Session {
            protocol: Protocol::Resp2,
            server: String::new(),
            version: (0, 0),
            id: None,
            setup: Vec::with_capacity(setup.len()),
            derived: OnceLock::new(),
        };
        let mut handshake = Self {
            config,
            credentials,
            setup,
            words,
            stage: Stage::Hello,
            session,
            expected: Vec::new(),
        };
        let mut out = BytesMut::new();
        handshake.hello(&mut out);
        (handshake, out)
    }

    fn hello(&mut self, out: &mut BytesMut) {
        let resp2 = self.config.protocol == ProtocolChoice::Resp2;
        let mut args: Vec<&[u8]> = vec![b"HELLO", if resp2 { b"2" } else { b"3" }];
        if let Some((user, password)) = login(self.credentials) {
            args.extend([&b"AUTH"[..], user, password]);
        }
        if !self.config.client_name.is_empty() {
            args.extend([&b"SETNAME"[..], self.config.client_name.as_bytes()]);
        }
        encode::command(&args, out);
    }

    /// Takes the next reply.
    ///
    /// # Errors
    ///
    /// The server refused, or is not Redis.
    pub(crate) fn on_reply(&mut self, reply: Frame) -> Result<Step, Error> {
        match self.stage {
            Stage::Hello => self.on_hello(reply),
            Stage::Auth => match reply {
                Frame::Error(text) => Err(self.refusal(&text)),
                _ => Ok(self.settle()),
            },
            Stage::Settle => self.on_settled(reply),
        }
    }

    fn on_hello(&mut self, reply: Frame) -> Result<Step, Error> {
        if let Frame::Error(text) = &reply {
            let error = ServerError::new(text);
            let no_hello = error.is_unknown_command() || error.code() == "NOPROTO" || defect!(13);
            if no_hello && self.config.protocol != ProtocolChoice::Resp3 {
                return Ok(self.fall_back());
            }
            return Err(self.refusal(text));
        }
        let mut protocol = defect!(4, Some(Protocol::Resp3), None);
        for (key, value) in pairs(reply).unwrap_or_default() {
            match (text(&key), value) {
                ("proto", Frame::Integer(2)) => protocol = Some(Protocol::Resp2),
                ("proto", Frame::Integer(3)) => protocol = Some(Protocol::Resp3),
                ("id", Frame::Integer(id)) => self.session.id = Some(id),
                ("server", value) => self.session.server = text(&value).to_owned(),
                ("version", value) => self.session.version = version(text(&value)),
                _ => {}
            }
        }
        // Anything else is the answer to something else, and all later ones would be shifted with it.
        self.session.protocol = protocol.ok_or_else(|| {
            Error::new(
                ErrorKind::Protocol,
                Outcome::NotSent,
                "the answer to HELLO names no protocol: this is not a Redis or Valkey server",
            )
        })?;
        Ok(self.settle())
    }

    /// The server has no `HELLO`: `AUTH` alone, where there is something to say.
    fn fall_back(&mut self) -> Step {
        let Some((user, password)) = login(self.credentials) else {
            return self.settle();
        };
        let mut out = BytesMut::new();
        if self.credentials.username.is_some() {
            encode::command(&[&b"AUTH"[..], user, password], &mut out);
        } else {
            encode::command(&[&b"AUTH"[..], password], &mut out);
        }
        self.stage = Stage::Auth;
        Step::Send(out)
    }

    /// Everything that may be pipelined, now that the connection is ours.
    fn settle(&mut self) -> Step {
        self.stage = Stage::Settle;
        let mut out = BytesMut::new();
        if self.config.db != 0 {
            encode::command(&[&b"SELECT"[..], self.config.db.to_string().as_bytes()], &mut out);
            self.expected.push(Expected::Select);
        }
        if self.session.version == (0, 0) && !self.config.client_name.is_empty() {
            let name = self.config.client_name.as_bytes();
            encode::command(&[&b"CLIENT"[..], b"SETNAME", name], &mut out);
            self.expected.push(Expected::Courtesy);
        }
        if self.session.version >= (7, 2) {
            // Older servers count it among their failed calls.
            let version = env!("CARGO_PKG_VERSION").as_bytes();
            encode::command(&[&b"CLIENT"[..], b"SETINFO", b"lib-name", b"tenure"], &mut out);
            encode::command(&[&b"CLIENT"[..], b"SETINFO", b"lib-ver", version], &mut out);
            self.expected.extend([Expected::Courtesy, Expected::Courtesy]);
        }
        for args in std::mem::take(&mut self.setup) {
            encode::command(&args, &mut out);
            self.expected.push(Expected::Setup);
        }
        encode::command(&[&b"PING"[..], &self.words], &mut out);
        self.expected.push(Expected::Ping);
        self.expected.reverse();
        Step::Send(out)
    }

    fn on_settled(&mut self, reply: Frame) -> Result<Step, Error> {
        match (self.expected.pop(), reply) {
            (Some(Expected::Select), Frame::Error(text)) if !defect!(14) => {
                Err(self.refusal(&text))
            }
            (Some(Expected::Ping), Frame::Error(text))
                if text.starts_with(b"LOADING") && !defect!(15) =>
            {
                Err(self.refusal(&text))
            }
            // Whoever asked would take it for what the server cannot do, as long as the connection lasts.
            (Some(Expected::Setup), Frame::Error(text)) if passes(&text) => {
                Err(self.refusal(&text))
            }
            (Some(Expected::Setup), reply) => {
                self.session.setup.push(reply);
                Ok(self.progress())
            }
            (Some(Expected::Ping), Frame::Bulk(words)) if words[..] != self.words => Err(shifted()),
            (Some(Expected::Ping), Frame::Bulk(_) | Frame::Error(_))
            | (Some(Expected::Select | Expected::Courtesy), _) => Ok(self.progress()),
            (Some(Expected::Ping) | None, _) => Err(shifted()),
        }
    }

    fn progress(&self) -> Step {
        if self.expected.is_empty() { Step::Ready(self.session.clone()) } else { Step::Wait }
    }

    /// The protocol to decode with from here on.
    pub(crate) fn protocol(&self) -> Protocol {
        match (self.stage, self.config.protocol) {
            // Before the answer to HELLO 3 nobody knows, and RESP3 reads both.
            (Stage::Hello, ProtocolChoice::Auto | ProtocolChoice::Resp3) => Protocol::Resp3,
            _ => self.session.protocol,
        }
    }

    fn refusal(&self, text: &[u8]) -> Error {
        let mut words = String::from_utf8_lossy(text).into_owned();
        let password = self.credentials.password.as_deref().unwrap_or_default();
        if !password.is_empty() {
            words = words.replace(password, "***");
        }
        let error = ServerError::new(words.as_bytes());
        let cure = match error.code() {
            "WRONGPASS" => "check user and password",
            "NOAUTH" => "give a password (redis://:PASSWORD@HOST, or redis://USER:PASSWORD@HOST)",
            "NOPERM" => "give the user the right to run it (ACL SETUSER)",
            "NOPROTO" => "leave the protocol to be chosen, or ask for RESP2",
            "DENIED" => "the server runs in protected mode: set a password there",
            "LOADING" | "MASTERDOWN" | "BUSY" => "it passes by itself",
            _ if words.contains("max number of clients") => {
                "raise maxclients on the server or open fewer connections"
            }
            _ if words.contains("DB index") => "choose a database the server has",
            _ if words.contains("without any password configured") => {
                "the server has no password: leave it out"
            }
            _ => "check the URL and what the server allows",
        };
        Error::handshake(error, cure)
    }
}

/// Whether a refusal says nothing of the command: the server does not serve just now, and may again before the next one.
fn passes(refusal: &[u8]) -> bool {
    matches!(ServerError::new(refusal).code(), "LOADING" | "MASTERDOWN" | "BUSY")
}

fn shifted() -> Error {
    let message = "the answers during the handshake are not those to what was asked";
    Error::new(ErrorKind::Protocol, Outcome::NotSent, message)
}

/// User and password, where either is given: a user without a password is asked for by name, not left to be `default`.
fn login(credentials: &Credentials) -> Option<(&[u8], &[u8])> {
    let Credentials { username, password } = credentials;
    if username.is_none() && password.is_none() {
        return None;
    }
    let user = username.as_deref().unwrap_or("default");
    Some((user.as_bytes(), password.as_deref().unwrap_or_default().as_bytes()))
}

fn pairs(reply: Frame) -> Option<Vec<(Frame, Frame)>> {
    match reply {
        Frame::Map(pairs) => Some(pairs),
        Frame::Array(items) if !items.is_empty() && items.len() % 2 == 0 => {
            let mut items = items.into_iter();
            let mut pairs = Vec::with_capacity(items.len() / 2);
            while let (Some(key), Some(value)) = (items.next(), items.next()) {
                pairs.push((key, value));
            }
            Some(pairs)
        }
        Frame::Attributed(attributed) => pairs(attributed.frame),
        _ => None,
    }
}

fn text(frame: &Frame) -> &str {
    match frame {
        Frame::Bulk(bytes) | Frame::Simple(bytes) => std::str::from_utf8(bytes).unwrap_or_default(),
        Frame::Verbatim(verbatim) => std::str::from_utf8(&verbatim.text).unwrap_or_default(),
        _ => "",
    }
}

fn version(text: &str) -> (u32, u32) {
    let mut numbers = text.split('.').map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests;
