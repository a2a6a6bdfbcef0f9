//! Who a connection is and how it speaks: `HELLO`, `AUTH`, `SELECT` and their like. Pure.

use super::{Spec, control, flag, lower, plain};
use crate::acl::DEFAULT_USER;
use crate::call::{Call, arg, integer};
use crate::command::NO_KEYS;
use crate::number;
use crate::profile::Profile;
use crate::refusal::{Refusal, SYNTAX};
use crate::reply::{Answer, bulk, bulks, ok, simple, word};
use bytes::Bytes;
use resp::{Frame, Protocol};

const ANY_TIME: u16 = flag::LOADING | flag::STALE | flag::FAST;
const BEFORE_AUTH: u16 = flag::NO_SCRIPT | ANY_TIME | flag::NO_AUTH;

/// In order of their names.
pub(super) const TABLE: &[Spec] = &[
    plain("auth", -2, BEFORE_AUTH, NO_KEYS, auth),
    plain("echo", 2, flag::FAST, NO_KEYS, |_, args| Ok(Frame::bulk(arg(args, 1)?.clone()))),
    plain("hello", -1, BEFORE_AUTH, NO_KEYS, hello),
    plain("ping", -1, flag::FAST, NO_KEYS, ping),
    control("quit", -1, BEFORE_AUTH, |_, _| Ok(Answer::Close(ok()))),
    plain("reset", 1, BEFORE_AUTH, NO_KEYS, reset).only(Profile::since_7_0),
    plain("reset", 1, flag::NO_SCRIPT | ANY_TIME, NO_KEYS, reset)
        .only(|profile| !profile.since_7_0()),
    plain("select", 2, ANY_TIME, NO_KEYS, select),
    plain("time", 1, ANY_TIME, NO_KEYS, time),
];

const WRONG_PASS: Refusal =
    Refusal::fixed("WRONGPASS invalid username-password pair or user is disabled.");
const BAD_NAME: Refusal =
    Refusal::fixed("ERR Client names cannot contain spaces, newlines or special characters.");

fn auth(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let default = Bytes::from_static(DEFAULT_USER);
    let (user, password) = match args {
        [_, password] => {
            if !call.state.users.default_needs_password() {
                return Err(Refusal::fixed(
                    "ERR AUTH <password> called without any password configured for the default \
                     user. Are you sure your configuration is correct?",
                ));
            }
            (&default, password)
        }
        [_, user, password] => (user, password),
        _ => return Err(SYNTAX),
    };
    log_in(call, user, password)?;
    Ok(ok())
}

fn log_in(call: &mut Call<'_>, user: &Bytes, password: &Bytes) -> Result<(), Refusal> {
    if !call.state.users.login(user, password) {
        return Err(WRONG_PASS);
    }
    call.session(|session| {
        session.user = Bytes::copy_from_slice(user);
        session.authenticated = true;
    });
    Ok(())
}

/// What `HELLO` asks for.
#[derive(Debug, Default)]
struct Greeting {
    protocol: Option<Protocol>,
    login: Option<(Bytes, Bytes)>,
    name: Option<Bytes>,
}

impl Greeting {
    fn parse(args: &[Bytes]) -> Result<Self, Refusal> {
        let mut greeting = Self::default();
        let Some(version) = args.get(1) else { return Ok(greeting) };
        greeting.protocol = Some(match number::integer(version) {
            Some(2) => Protocol::Resp2,
            Some(3) => Protocol::Resp3,
            Some(_) => return Err(Refusal::fixed("NOPROTO unsupported protocol version")),
            None => {
                return Err(Refusal::fixed(
                    "ERR Protocol version is not an integer or out of range",
                ));
            }
        });
        let mut rest = args.get(2..).unwrap_or_default();
        loop {
            rest = match rest {
                [] => return Ok(greeting),
                [option, user, password, rest @ ..] if lower(Some(option)) == "auth" => {
                    greeting.login = Some((user.clone(), password.clone()));
                    rest
                }
                [option, name, rest @ ..] if lower(Some(option)) == "setname" => {
                    greeting.name = Some(name.clone());
                    rest
                }
                [option, ..] => {
                    let option = String::from_utf8_lossy(option);
                    let text = format!("ERR Syntax error in HELLO option '{option}'");
                    return Err(Refusal::new(text));
                }
            };
        }
    }
}

fn hello(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let greeting = Greeting::parse(args)?;
    if let Some((user, password)) = &greeting.login {
        log_in(call, user, password)?;
    }
    if call.session(|session| !session.authenticated) == Some(true) {
        return Err(Refusal::fixed(match call.profile {
            Profile::Valkey9 => {
                "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
                 HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client \
                 and select the RESP protocol version at the same time"
            }
            _ => {
                "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
                 HELLO AUTH <user> <pass> option can be used to authenticate the client and \
                 select the RESP protocol version at the same time"
            }
        }));
    }
    if let Some(name) = greeting.name {
        set_name(call, &name)?;
    }
    if let Some(protocol) = greeting.protocol {
        call.session(|session| session.protocol = protocol);
        call.protocol = protocol;
    }
    let number = match call.protocol {
        Protocol::Resp2 => 2,
        Protocol::Resp3 => 3,
    };
    let id = i64::try_from(call.id).unwrap_or(i64::MAX);
    let pair = |name: &str, value: Frame| (word(name), value);
    Ok(Frame::Map(vec![
        pair("server", word(call.profile.server())),
        pair("version", word(call.profile.version())),
        pair("proto", Frame::Integer(number)),
        pair("id", Frame::Integer(id)),
        pair("mode", word("standalone")),
        pair("role", word("master")),
        pair("modules", modules(call.profile)),
    ]))
}

/// Valkey 9 runs its Lua in a module.
fn modules(profile: Profile) -> Frame {
    if profile != Profile::Valkey9 {
        return Frame::Array(Vec::new());
    }
    let pair = |name: &str, value: Frame| (word(name), value);
    Frame::Array(vec![Frame::Map(vec![
        pair("name", word("lua")),
        pair("ver", Frame::Integer(1)),
        pair("path", word("lua")),
        pair("args", Frame::Array(Vec::new())),
    ])])
}

/// Gives the connection a name.
///
/// # Errors
///
/// The server's words if the name has a character that a list of connections could not show.
pub(super) fn set_name(call: &mut Call<'_>, name: &Bytes) -> Result<(), Refusal> {
    if !name.iter().all(|byte| (b'!'..=b'~').contains(byte)) {
        return Err(BAD_NAME);
    }
    call.session(|session| session.name = Bytes::copy_from_slice(name));
    Ok(())
}

fn ping(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    if args.len() > 2 {
        return Err(Refusal::arity("ping"));
    }
    let text = args.get(1);
    // RESP2 subscribers get what looks like a message.
    if call.session(|session| session.is_subscriber()) == Some(true) {
        let text = text.cloned().unwrap_or_default();
        return Ok(bulks([Bytes::from_static(b"pong"), text]));
    }
    Ok(text.map_or_else(|| simple("PONG"), |text| Frame::bulk(text.clone())))
}

fn reset(call: &mut Call<'_>, _: &[Bytes]) -> Result<Frame, Refusal> {
    let authenticated = !call.state.users.default_needs_password();
    call.state.set_tracking(call.id, None);
    call.session(|session| session.reset(authenticated));
    Ok(simple("RESET"))
}

fn select(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let number = integer(args, 1)?;
    let index = usize::try_from(number).ok().filter(|index| *index < call.state.dbs.len());
    let index = index.ok_or(Refusal::fixed("ERR DB index is out of range"))?;
    call.session(|session| session.db = index);
    call.db = index;
    Ok(ok())
}

fn time(call: &mut Call<'_>, _: &[Bytes]) -> Result<Frame, Refusal> {
    // Two commands never run in the same microsecond.
    let us = call.now.us().max(call.state.told_us + 1);
    call.state.told_us = us;
    let parts = [us / 1_000_000, us % 1_000_000];
    Ok(Frame::Array(parts.map(|part| bulk(number::print(part))).into()))
}
