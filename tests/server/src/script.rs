//! The lock's Lua scripts, recognised by their text and done natively. Pure.
//!
//! There is no Lua here: each script of the table has a twin in Rust that makes the same calls in the same order, so
//! that tracking, `WATCH` and errors come out as they do on a server.

mod fair;
mod fencing;

use crate::call::Call;
use crate::command::{Spec, flag};
use crate::profile::Profile;
use crate::refusal::{OOM, READ_ONLY, Refusal};
use crate::reply::Answer;
use crate::sha1;
use bytes::Bytes;
use resp::{Frame, Protocol};
use std::sync::OnceLock;

type Twin = fn(&mut Running<'_, '_>) -> Result<Frame, Refusal>;

/// A script that can be run.
#[derive(Debug)]
pub(crate) struct Script {
    text: &'static str,
    twin: Twin,
    digest: OnceLock<String>,
}

/// Every script that can be run, by its exact text.
static SCRIPTS: [Script; 12] = [
    Script::new(include_str!("../../../src/lock/scripts/probe.lua"), probe),
    Script::new(include_str!("../../../src/lock/scripts/release.lua"), release),
    Script::new(include_str!("../../../src/client/scripts/del_if_equal.lua"), release),
    Script::new(include_str!("../../../src/lock/scripts/release_aloud.lua"), release_aloud),
    Script::new(include_str!("../../../src/lock/scripts/renew.lua"), renew),
    Script::new(include_str!("../../../src/lock/scripts/pass.lua"), pass),
    Script::new(fencing::TAKE, fencing::take),
    Script::new(fencing::PASS, fencing::pass),
    Script::new(fair::ASK, fair::ask),
    Script::new(fair::LEAVE, fair::leave),
    Script::new(fencing::SET, fencing::set),
    Script::new(fencing::GET, fencing::get),
];

/// The refusal of every other script.
pub(crate) const NO_LUA: Refusal = Refusal::fixed(
    "ERR this server runs no Lua: it knows the scripts of tenure's locks, and this is none of them",
);

impl Script {
    const fn new(text: &'static str, twin: Twin) -> Self {
        Self { text, twin, digest: OnceLock::new() }
    }

    /// The script with this text.
    pub(crate) fn with_text(text: &[u8]) -> Option<&'static Self> {
        SCRIPTS.iter().find(|script| script.text.as_bytes() == text)
    }

    /// The script with this digest, in small letters.
    pub(crate) fn with_digest(digest: &str) -> Option<&'static Self> {
        SCRIPTS.iter().find(|script| script.digest() == digest)
    }

    pub(crate) fn digest(&self) -> &str {
        self.digest.get_or_init(|| sha1::hex(self.text.as_bytes()))
    }

    /// The number of the first line with `needle`, as error messages tell it.
    fn line_of(&self, needle: &str) -> usize {
        let before = self.text.lines().take_while(|line| !line.contains(needle)).count();
        before + 1
    }

    /// Runs the script on behalf of the connection whose command `call` is.
    ///
    /// # Errors
    ///
    /// The server's words for what a command in it was refused with.
    pub(crate) fn run(
        &self,
        call: &mut Call<'_>,
        keys: &[Bytes],
        args: &[Bytes],
    ) -> Result<Frame, Refusal> {
        call.scripted = true;
        let mut running = Running { script: self, call, keys, args, wrote: false };
        let result = (self.twin)(&mut running);
        call.scripted = false;
        result
    }
}

/// `return 1`
fn probe(_: &mut Running<'_, '_>) -> Result<Frame, Refusal> {
    Ok(Frame::Integer(1))
}

/// `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`
fn release(script: &mut Running<'_, '_>) -> Result<Frame, Refusal> {
    let key = script.key(0, "'GET'")?;
    let held = script.redis(&[Bytes::from_static(b"GET"), key.clone()])?;
    if !script.equals_arg(&held, 0) {
        return Ok(Frame::Integer(0));
    }
    script.redis(&[Bytes::from_static(b"DEL"), key])
}

/// `… redis.call('DEL', KEYS[1]) … redis.pcall('PUBLISH', ARGV[2], ARGV[3]) …`
fn release_aloud(script: &mut Running<'_, '_>) -> Result<Frame, Refusal> {
    let key = script.key(0, "'GET'")?;
    let held = script.redis(&[Bytes::from_static(b"GET"), key.clone()])?;
    if !script.equals_arg(&held, 0) {
        return Ok(Frame::Integer(0));
    }
    script.redis(&[Bytes::from_static(b"DEL"), key])?;
    let (channel, message) = (script.arg(1, "'PUBLISH'")?, script.arg(2, "'PUBLISH'")?);
    let told = match script.redis(&[Bytes::from_static(b"PUBLISH"), channel, message]) {
        Ok(Frame::Integer(told)) => told,
        _ => 0,
    };
    Ok(Frame::Integer(1 + told))
}

/// `… redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) …`
fn pass(script: &mut Running<'_, '_>) -> Result<Frame, Refusal> {
    let key = script.key(0, "'GET'")?;
    let held = script.redis(&[Bytes::from_static(b"GET"), key.clone()])?;
    if !script.equals_arg(&held, 0) {
        return Ok(Frame::Integer(0));
    }
    let (value, lease) = (script.arg(1, "'SET'")?, script.arg(2, "'SET'")?);
    script.redis(&[Bytes::from_static(b"SET"), key, value, Bytes::from_static(b"PX"), lease])?;
    Ok(Frame::Integer(1))
}

/// `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0`
fn renew(script: &mut Running<'_, '_>) -> Result<Frame, Refusal> {
    let key = script.key(0, "'GET'")?;
    let held = script.redis(&[Bytes::from_static(b"GET"), key.clone()])?;
    if !script.equals_arg(&held, 0) {
        return Ok(Frame::Integer(0));
    }
    let lease = script.arg(1, "'PEXPIRE'")?;
    script.redis(&[Bytes::from_static(b"PEXPIRE"), key, lease])
}

/// A script being run.
#[derive(Debug)]
struct Running<'a, 'b> {
    script: &'a Script,
    call: &'a mut Call<'b>,
    keys: &'a [Bytes],
    args: &'a [Bytes],
    /// A command has written: from then on memory is not asked for.
    wrote: bool,
}

impl Running<'_, '_> {
    /// `KEYS[index + 1]`, to be given to the command in the line with `needle`.
    fn key(&self, index: usize, needle: &str) -> Result<Bytes, Refusal> {
        self.keys.get(index).cloned().ok_or_else(|| self.not_a_string(needle))
    }

    /// `ARGV[index + 1]`, to be given to the command in the line with `needle`.
    fn arg(&self, index: usize, needle: &str) -> Result<Bytes, Refusal> {
        self.args.get(index).cloned().ok_or_else(|| self.not_a_string(needle))
    }

    /// Whether a reply is the string in `ARGV[index + 1]`.
    fn equals_arg(&self, reply: &Frame, index: usize) -> bool {
        matches!((reply, self.args.get(index)), (Frame::Bulk(text), Some(arg)) if text == arg)
    }

    fn not_a_string(&self, needle: &str) -> Refusal {
        let line = self.script.line_of(needle);
        let text = match self.call.profile {
            Profile::Redis6_2 => {
                format!(
                    "@user_script: {line}: Lua redis() command arguments must be strings or \
                     integers"
                )
            }
            Profile::Valkey9 => "ERR Command arguments must be strings or integers".to_owned(),
            Profile::Redis7_0 | Profile::Redis8_4 => {
                "ERR Lua redis lib command arguments must be strings or integers".to_owned()
            }
        };
        self.raise(line, &text)
    }

    /// `redis.call(…)`: an error ends the script.
    fn redis(&mut self, args: &[Bytes]) -> Result<Frame, Refusal> {
        let line = |script: &Script| {
            let name = args.first().map(|name| String::from_utf8_lossy(name).into_owned());
            script.line_of(&format!("'{}'", name.unwrap_or_default()))
        };
        let found = self.call.state.table.find(args);
        let spec = found.map_err(|refusal| self.raise(line(self.script), &refusal.text()))?;
        if let Some(refusal) = self.refusal(spec) {
            let line = line(self.script);
            return Err(self.raise(line, &self.refused(&refusal, line)));
        }
        self.wrote |= spec.is(flag::WRITE);
        // A script is answered with RESP2, whatever its caller speaks.
        let speaks = std::mem::replace(&mut self.call.protocol, Protocol::Resp2);
        let answer = self.call.run(spec, args);
        self.call.protocol = speaks;
        match answer {
            Ok(Answer::Frame(frame)) => Ok(frame),
            Ok(_) => Ok(Frame::Null),
            Err(refusal) => Err(self.raise(line(self.script), &refusal.text())),
        }
    }

    /// Why a command may not run now.
    fn refusal(&self, spec: &Spec) -> Option<Refusal> {
        let state = &self.call.state;
        let user = state.sessions.get(&self.call.id).map(|session| &session.user[..]);
        if user.is_some_and(|user| !state.users.permits(user, spec.name)) {
            Some(self.no_permission(user.unwrap_or_default(), spec.name))
        } else if spec.is(flag::DENY_OOM) && !self.wrote && state.is_full() {
            Some(OOM)
        } else if spec.is(flag::WRITE) && state.condition.read_only {
            Some(READ_ONLY)
        } else {
            None
        }
    }

    /// The same in the words that a script's error has.
    fn refused(&self, refusal: &Refusal, line: usize) -> String {
        match self.call.profile {
            Profile::Redis6_2 => format!("@user_script: {line}: -{}", refusal.text()),
            _ => refusal.text(),
        }
    }

    /// What a user is told whose script does what it may not.
    fn no_permission(&self, user: &[u8], command: &str) -> Refusal {
        let user = String::from_utf8_lossy(user);
        Refusal::new(match self.call.profile {
            Profile::Redis6_2 => {
                "ERR The user executing the script can't run this command or subcommand".to_owned()
            }
            Profile::Redis7_0 => format!(
                "ERR ACL failure in script: this user has no permissions to run the '{command}' \
                 command"
            ),
            Profile::Redis8_4 | Profile::Valkey9 => format!(
                "ERR ACL failure in script: User {user} has no permissions to run the '{command}' \
                 command"
            ),
        })
    }

    /// The words for an error that ends the script.
    fn raise(&self, line: usize, text: &str) -> Refusal {
        let digest = self.script.digest();
        Refusal::new(match self.call.profile {
            Profile::Redis6_2 => {
                format!(
                    "ERR Error running script (call to f_{digest}): @user_script:{line}: {text}"
                )
            }
            Profile::Redis7_0 | Profile::Redis8_4 => {
                format!("{text} script: {digest}, on @user_script:{line}.")
            }
            Profile::Valkey9 => format!("{text} script: on @user_script:{line}."),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_is_found_by_its_text_and_by_its_digest() {
        for script in &SCRIPTS {
            assert_eq!(Script::with_text(script.text.as_bytes()).unwrap().text, script.text);
            assert_eq!(Script::with_digest(script.digest()).unwrap().text, script.text);
        }
        assert!(Script::with_text(b"return 1").is_none());
    }

    #[test]
    fn the_line_of_a_call_is_the_one_that_a_server_names() {
        let script = Script::new("-- a\n-- b\nredis.call('GET')\nredis.call('DEL')", release);
        assert_eq!(script.line_of("'GET'"), 3);
        assert_eq!(script.line_of("'DEL'"), 4);
    }
}
