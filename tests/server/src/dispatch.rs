//! From a request to what is sent for it: the checks in the order in which the servers make them. Pure.

use crate::call::Call;
use crate::clock::Now;
use crate::command::{Run, Spec, flag, lower};
use crate::fault::Effect;
use crate::profile::Profile;
use crate::refusal::{LOADING, OOM, READ_ONLY, Refusal};
use crate::reply::Answer;
use crate::session::{ClientId, ReplyMode};
use crate::state::{Output, State};
use bytes::{Bytes, BytesMut};
use resp::{DecodeError, DecodeErrorKind, Frame};
use std::time::Duration;

const NO_AUTH: Refusal = Refusal::fixed("NOAUTH Authentication required.");

/// So often keys that have expired are removed, whether or not anybody asks for them.
const SWEEP: u64 = 4096;

/// How a connection goes on after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Go,
    /// Its later requests wait until this one is answered.
    Block,
    /// Everybody's later requests wait.
    Stall(Duration),
    /// Those who wait for the end of a pause look again.
    Unpaused,
    /// It takes up no further request.
    Stop,
}

impl State {
    /// Takes one request up. What is to be sent is in the outbox afterwards.
    pub(crate) fn request(
        &mut self,
        id: ClientId,
        args: &[Bytes],
        effect: Option<Effect>,
        now: Now,
    ) -> Next {
        if self.sessions.get(&id).is_none_or(|session| session.closing) {
            return Next::Stop;
        }
        match &effect {
            Some(Effect::Drop) => return Next::Go,
            Some(Effect::DropAndClose) => {
                self.close(id);
                return Next::Stop;
            }
            Some(Effect::Answer(bytes)) => {
                self.emit(id, Output::Bytes(BytesMut::from(&bytes[..])));
                return Next::Go;
            }
            Some(Effect::Precede(bytes)) => {
                self.emit(id, Output::Bytes(BytesMut::from(&bytes[..])));
            }
            _ => {}
        }
        self.journal.note(now.at(), id, args);
        self.commands_run += 1;
        if self.commands_run % SWEEP == 0 {
            self.expire_all(now);
        }
        self.current = Some(id);
        let answer = self.process(id, args, now);
        self.current = None;
        match answer {
            Ok(Answer::Block(block)) => {
                self.block(id, *block, effect, now);
                Next::Block
            }
            Ok(answer) => self.reply(id, answer, effect),
            Err(refusal) => self.reply(id, Answer::Frame(refusal.into()), effect),
        }
    }

    /// Whether somebody has yet to log in, and is not to make the server remember much. Redis 6.2 learned that late.
    pub(crate) fn is_stranger(&self, id: ClientId) -> bool {
        self.profile != Profile::Redis6_2
            && self.sessions.get(&id).is_some_and(|session| !session.authenticated)
    }

    /// Says that a request could not be read, and ends the connection.
    pub(crate) fn protocol_error(&mut self, id: ClientId, error: &DecodeError) {
        let stranger = self.is_stranger(id);
        let text = match error.kind() {
            DecodeErrorKind::TooMany if stranger => "unauthenticated multibulk length".to_owned(),
            DecodeErrorKind::TooLong if stranger => "unauthenticated bulk length".to_owned(),
            _ => error.to_string().replace(['\r', '\n'], " "),
        };
        let text = format!("ERR Protocol error: {text}");
        self.send(id, &Frame::Error(text.into()));
        self.close(id);
    }

    /// Sends an answer, harmed by a fault if there is one.
    pub(crate) fn reply(&mut self, id: ClientId, answer: Answer, effect: Option<Effect>) -> Next {
        let Some(session) = self.sessions.get_mut(&id) else { return Next::Stop };
        let mut out = BytesMut::new();
        answer.encode(session.protocol, &mut out);
        let silent = matches!(session.reply_mode, ReplyMode::Off | ReplyMode::Skip);
        session.reply_mode = match session.reply_mode {
            ReplyMode::SkipNext => ReplyMode::Skip,
            ReplyMode::Skip => ReplyMode::On,
            other => other,
        };
        if silent {
            out.clear();
        }
        let mut next = match answer {
            Answer::Stall(delay, _) => Next::Stall(delay),
            Answer::Close(_) => Next::Stop,
            Answer::Unpause(_) => Next::Unpaused,
            _ => Next::Go,
        };
        if let Next::Stall(delay) = next {
            self.emit(id, Output::Pause(delay));
        }
        match effect {
            Some(Effect::LoseReply) => out.clear(),
            Some(Effect::DuplicateReply) => {
                let again = out.clone();
                out.extend_from_slice(&again);
            }
            Some(Effect::DelayReply(by)) => self.emit(id, Output::Pause(by)),
            Some(Effect::CutReply(bytes)) => {
                out.truncate(bytes);
                next = Next::Stop;
            }
            _ => {}
        }
        if !out.is_empty() {
            self.emit(id, Output::Bytes(out));
        }
        self.release_held_back(id);
        if next == Next::Stop {
            self.close(id);
        }
        next
    }

    /// Ends a connection once everything before has been sent.
    pub(crate) fn close(&mut self, id: ClientId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.closing = true;
        }
        self.emit(id, Output::Close);
    }

    fn process(&mut self, id: ClientId, args: &[Bytes], now: Now) -> Result<Answer, Refusal> {
        let found = self.admit(id, args).and_then(|()| self.table.find(args)).and_then(|spec| {
            match self.check(id, spec) {
                Err(refusal) if spec.name == "exec" => Err(self.abort(id, &refusal)),
                checked => checked.map(|()| spec),
            }
        });
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(Answer::Sent) };
        let spec = match (found, &mut session.multi) {
            (Ok(spec), _) => spec,
            (Err(_), Some(multi)) if self.table.finds_out_late(args) => {
                return Ok(multi.queue(args));
            }
            (Err(refusal), multi) => {
                if let Some(multi) = multi {
                    multi.refused = true;
                }
                return Err(refusal);
            }
        };
        session.last_command = match self.profile.since_7_0() {
            true => spec.name.to_owned(),
            false => spec.name.split('|').next().unwrap_or_default().to_owned(),
        };
        if let Some(multi) = &mut session.multi {
            if !matches!(spec.name, "exec" | "discard" | "multi" | "watch" | "quit" | "reset") {
                return Ok(multi.queue(args));
            }
        }
        let answer = self.run(id, spec, args, now);
        if spec.name != "client|caching" {
            if let Some(session) = self.sessions.get_mut(&id) {
                session.caching = None;
            }
        }
        answer
    }

    /// Ends a transaction whose `EXEC` was refused.
    fn abort(&mut self, id: ClientId, refusal: &Refusal) -> Refusal {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.leave_multi();
        }
        let text = refusal.text();
        Refusal::new(format!("EXECABORT Transaction discarded because of: {text}"))
    }

    /// Valkey tells nobody which commands it knows before they have logged in.
    ///
    /// # Errors
    ///
    /// NOAUTH.
    fn admit(&self, id: ClientId, args: &[Bytes]) -> Result<(), Refusal> {
        let stranger = self.sessions.get(&id).is_some_and(|session| !session.authenticated);
        let spec = self.table.get(&lower(args.first()));
        let open = spec.is_some_and(|spec| spec.is(flag::NO_AUTH));
        if stranger && !open && self.profile == Profile::Valkey9 { Err(NO_AUTH) } else { Ok(()) }
    }

    /// Runs a command that has passed its checks, for a request or out of a transaction.
    pub(crate) fn run(
        &mut self,
        id: ClientId,
        spec: &Spec,
        args: &[Bytes],
        now: Now,
    ) -> Result<Answer, Refusal> {
        let Some(mut call) = Call::new(self, id, now) else { return Ok(Answer::Sent) };
        call.run(spec, args)
    }

    /// Whether the connection may run a command now.
    ///
    /// # Errors
    ///
    /// The server's words for why not.
    fn check(&self, id: ClientId, spec: &Spec) -> Result<(), Refusal> {
        let Some(session) = self.sessions.get(&id) else { return Ok(()) };
        if !session.authenticated && !spec.is(flag::NO_AUTH) {
            return Err(NO_AUTH);
        }
        let exempt = spec.is(flag::NO_AUTH);
        if !exempt && !self.users.permits(&session.user, spec.name) {
            return Err(self.no_permission(&session.user, spec.name));
        }
        let full = self.is_full();
        if full && self.is_refused_when_full(id, spec) {
            return Err(OOM);
        }
        if self.condition.read_only && spec.is(flag::WRITE) {
            return Err(READ_ONLY);
        }
        if self.condition.loading && !spec.is(flag::LOADING) {
            return Err(LOADING);
        }
        let allowed = matches!(
            spec.name,
            "subscribe"
                | "unsubscribe"
                | "psubscribe"
                | "punsubscribe"
                | "ssubscribe"
                | "sunsubscribe"
                | "ping"
                | "quit"
                | "reset"
        );
        if session.is_subscriber() && !allowed {
            let kinds = if self.profile.since_7_0() { "(P|S)" } else { "(P)" };
            return Err(Refusal::new(format!(
                "ERR Can't execute '{}': only {kinds}SUBSCRIBE / {kinds}UNSUBSCRIBE / PING / QUIT \
                 / RESET are allowed in this context",
                spec.name
            )));
        }
        let nested = session.multi.is_some() && matches!(spec.name, "multi" | "watch");
        if nested && self.profile == Profile::Valkey9 {
            let text = format!("ERR Command '{}' not allowed inside a transaction", spec.name);
            return Err(Refusal::new(text));
        }
        Ok(())
    }

    /// Whether a command needs memory. Redis does not queue anything either when there is none.
    fn is_refused_when_full(&self, id: ClientId, spec: &Spec) -> bool {
        let multi = self.sessions.get(&id).and_then(|session| session.multi.as_ref());
        let Some(multi) = multi else { return spec.is(flag::DENY_OOM) };
        if spec.name == "exec" {
            let queued = multi.queued.iter().filter_map(|args| self.table.find(args).ok());
            return queued.into_iter().any(|spec| spec.is(flag::DENY_OOM));
        }
        let queues_anyway = self.profile == Profile::Valkey9;
        spec.is(flag::DENY_OOM)
            || !queues_anyway
                && !matches!(spec.name, "discard" | "quit" | "reset" | "multi" | "watch")
    }

    fn no_permission(&self, user: &[u8], command: &str) -> Refusal {
        let user = String::from_utf8_lossy(user);
        Refusal::new(match self.profile {
            Profile::Redis6_2 => format!(
                "NOPERM this user has no permissions to run the '{}' command or its subcommand",
                command.split('|').next().unwrap_or_default()
            ),
            Profile::Redis7_0 => {
                format!("NOPERM this user has no permissions to run the '{command}' command")
            }
            Profile::Redis8_4 | Profile::Valkey9 => {
                format!("NOPERM User {user} has no permissions to run the '{command}' command")
            }
        })
    }
}

impl Call<'_> {
    /// Runs a command and arms invalidations for what it has read.
    pub(crate) fn run(&mut self, spec: &Spec, args: &[Bytes]) -> Result<Answer, Refusal> {
        let answer = match spec.run {
            Run::Plain(run) => run(self, args).map(Answer::Frame),
            Run::Control(run) => run(self, args),
            Run::Container => Ok(Answer::Frame(Frame::Null)),
        };
        if spec.is(flag::READ) {
            self.state.remember(self.id, &spec.keys(args));
        }
        answer
    }
}
