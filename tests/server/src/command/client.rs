//! `CLIENT` and its subcommands. Pure.

use super::{NO_KEYS, Spec, container, control, flag, lower, plain};
use crate::call::{Call, arg, integer};
use crate::clock::Now;
use crate::number;
use crate::profile::Profile;
use crate::refusal::{NOT_INTEGER, Refusal, SYNTAX};
use crate::reply::{Answer, count, maybe, ok};
use crate::session::{ClientId, ReplyMode, Session, Tracking};
use crate::state::Pause;
use bytes::Bytes;
use resp::{Frame, Protocol};

const SELF: u16 = flag::NO_SCRIPT | flag::LOADING | flag::STALE;
const OTHERS: u16 = flag::ADMIN | SELF;

/// In order of their names.
pub(super) const TABLE: &[Spec] = &[
    container("client", 0),
    plain("client|caching", 3, SELF, NO_KEYS, caching),
    plain("client|getname", 2, SELF, NO_KEYS, get_name),
    plain("client|id", 2, SELF, NO_KEYS, id),
    control("client|info", 2, SELF, info),
    control("client|kill", -3, OTHERS, kill),
    control("client|list", -2, OTHERS, list),
    plain("client|no-evict", 3, OTHERS, NO_KEYS, on_or_off).only(Profile::since_7_0),
    plain("client|no-touch", 3, SELF, NO_KEYS, on_or_off).only(Profile::since_7_2),
    plain("client|pause", -3, OTHERS, NO_KEYS, pause),
    control("client|reply", 3, SELF, reply),
    plain("client|setinfo", 4, SELF, NO_KEYS, set_info).only(Profile::since_7_2),
    plain("client|setname", 3, SELF, NO_KEYS, set_name),
    plain("client|tracking", -3, SELF, NO_KEYS, tracking),
    plain("client|unblock", -3, OTHERS, NO_KEYS, unblock),
    control("client|unpause", 2, OTHERS, unpause),
];

fn id(call: &mut Call<'_>, _: &[Bytes]) -> Result<Frame, Refusal> {
    Ok(Frame::Integer(i64::try_from(call.id).unwrap_or(i64::MAX)))
}

fn unblock(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let id = u64::try_from(integer(args, 2)?).ok();
    let error = match lower(args.get(3)).as_str() {
        "" | "timeout" => None,
        "error" => Some(Refusal::fixed("UNBLOCKED client unblocked via CLIENT UNBLOCK")),
        _ => return Err(Refusal::fixed("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
    };
    let unblocked = id.is_some_and(|id| call.state.unblock(id, error));
    Ok(count(usize::from(unblocked)))
}

fn get_name(call: &mut Call<'_>, _: &[Bytes]) -> Result<Frame, Refusal> {
    Ok(maybe(call.session(|session| session.name.clone()).filter(|name| !name.is_empty())))
}

fn set_name(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    super::connection::set_name(call, arg(args, 2)?)?;
    Ok(ok())
}

fn set_info(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let (option, value) = (arg(args, 2)?, Bytes::copy_from_slice(arg(args, 3)?));
    let name = lower(Some(option));
    if !matches!(name.as_str(), "lib-name" | "lib-ver") {
        let option = String::from_utf8_lossy(option);
        return Err(Refusal::new(format!("ERR Unrecognized option '{option}'")));
    }
    if !value.iter().all(|byte| (b'!'..=b'~').contains(byte)) {
        return Err(Refusal::new(format!(
            "ERR {name} cannot contain spaces, newlines or special characters."
        )));
    }
    call.session(|session| match name.as_str() {
        "lib-name" => session.library.0 = value,
        _ => session.library.1 = value,
    });
    Ok(ok())
}

fn on_or_off(_: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    match lower(args.get(2)).as_str() {
        "on" | "off" => Ok(ok()),
        _ => Err(SYNTAX),
    }
}

fn info(call: &mut Call<'_>, _: &[Bytes]) -> Result<Answer, Refusal> {
    let (now, profile) = (call.now, call.profile);
    let line = call.session(|session| describe(session, now, profile)).unwrap_or_default();
    Ok(Answer::Text(line + "\n"))
}

fn list(call: &mut Call<'_>, args: &[Bytes]) -> Result<Answer, Refusal> {
    let (mut kind, mut ids) = (None, None);
    match args.get(2..).unwrap_or_default() {
        [] => {}
        [word, value] if lower(Some(word)) == "type" => kind = Some(client_type(value)?),
        [word, listed @ ..] if lower(Some(word)) == "id" && !listed.is_empty() => {
            let numbers = listed.iter().map(|id| number::integer(id).ok_or(NOT_INTEGER));
            ids = Some(numbers.collect::<Result<Vec<_>, _>>()?);
        }
        _ => return Err(SYNTAX),
    }
    let fits = |session: &&Session| {
        kind.as_deref().is_none_or(|kind| kind == session.kind())
            && ids
                .as_ref()
                .is_none_or(|ids| i64::try_from(session.id).is_ok_and(|id| ids.contains(&id)))
    };
    let sessions = call.state.sessions.values().filter(fits);
    let lines = sessions.map(|session| describe(session, call.now, call.profile) + "\n");
    Ok(Answer::Text(lines.collect()))
}

/// One line of `CLIENT LIST`.
fn describe(session: &Session, now: Now, profile: Profile) -> String {
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    let multi = session
        .multi
        .as_ref()
        .map_or(-1, |multi| i64::try_from(multi.queued.len()).unwrap_or(i64::MAX));
    let mut flags = String::new();
    for (set, letter) in [
        (session.subscriptions() > 0, 'P'),
        (session.multi.is_some(), 'x'),
        (session.watch_broken, 'd'),
        (session.tracking.is_some(), 't'),
        (session.tracking.as_ref().is_some_and(|t| t.broadcast.is_some()), 'B'),
    ] {
        if set {
            flags.push(letter);
        }
    }
    let mut line = format!(
        "id={} addr={} laddr={} fd=8 name={} age={} idle=0 flags={} db={} sub={} psub={}",
        session.id,
        session.peer,
        session.local,
        text(&session.name),
        (now.ms() - session.since.ms()) / 1000,
        if flags.is_empty() { "N" } else { &flags },
        session.db,
        session.channels.len(),
        session.patterns.len(),
    );
    if profile.since_7_0() {
        line += &format!(" ssub={}", session.shard_channels.len());
    }
    line += &format!(
        " multi={multi} qbuf=26 qbuf-free=20448 argv-mem=10 obl=0 oll=0 omem=0 tot-mem=22298 \
         events=r cmd={} user={} redir={}",
        session.last_command,
        text(&session.user),
        if session.tracking.is_some() { 0 } else { -1 },
    );
    if profile.since_7_0() {
        let number = if matches!(session.protocol, Protocol::Resp3) { 3 } else { 2 };
        line += &format!(" resp={number}");
    }
    if profile.since_7_2() {
        let (name, version) = &session.library;
        line += &format!(" lib-name={} lib-ver={}", text(name), text(version));
    }
    line
}

fn client_type(word: &Bytes) -> Result<String, Refusal> {
    match lower(Some(word)).as_str() {
        kind @ ("normal" | "pubsub" | "master" | "replica") => Ok(kind.to_owned()),
        "slave" => Ok("replica".to_owned()),
        _ => {
            let word = String::from_utf8_lossy(word);
            Err(Refusal::new(format!("ERR Unknown client type '{word}'")))
        }
    }
}

/// Whom `CLIENT KILL` means; what is left out fits everybody.
#[derive(Debug, Default)]
struct Victims {
    id: Option<u64>,
    addr: Option<String>,
    laddr: Option<String>,
    user: Option<Bytes>,
    kind: Option<String>,
    oneself: bool,
}

impl Victims {
    fn parse(args: &[Bytes], profile: Profile) -> Result<Self, Refusal> {
        let mut victims = Self::default();
        if args.len() % 2 != 0 {
            return Err(SYNTAX);
        }
        for pair in args.chunks_exact(2) {
            let [option, value] = pair else { return Err(SYNTAX) };
            let text = String::from_utf8_lossy(value).into_owned();
            match (lower(Some(option)).as_str(), lower(Some(value)).as_str()) {
                ("id", _) => victims.id = victim_id(value, profile)?,
                ("addr", _) => victims.addr = Some(text),
                ("laddr", _) => victims.laddr = Some(text),
                ("user", _) => victims.user = Some(value.clone()),
                ("type", _) => victims.kind = Some(client_type(value)?),
                ("skipme", "yes") => victims.oneself = false,
                ("skipme", "no") => victims.oneself = true,
                _ => return Err(SYNTAX),
            }
        }
        Ok(victims)
    }

    fn fits(&self, session: &Session, oneself: ClientId) -> bool {
        self.id.is_none_or(|id| id == session.id)
            && self.addr.as_ref().is_none_or(|addr| *addr == session.peer)
            && self.laddr.as_ref().is_none_or(|addr| *addr == session.local)
            && self.user.as_ref().is_none_or(|user| *user == session.user)
            && self.kind.as_ref().is_none_or(|kind| kind == session.kind())
            && (self.oneself || session.id != oneself)
    }
}

/// Reads the ID; 6.2 takes 0 for everybody's.
fn victim_id(value: &Bytes, profile: Profile) -> Result<Option<u64>, Refusal> {
    const NOT_POSITIVE: Refusal = Refusal::fixed("ERR client-id should be greater than 0");
    let id = number::integer(value);
    let positive = id.and_then(|id| u64::try_from(id).ok()).filter(|id| *id > 0);
    match (positive, profile) {
        (Some(id), _) => Ok(Some(id)),
        (None, Profile::Redis6_2) if id.is_some() => Ok(None),
        (None, Profile::Redis6_2) => Err(NOT_INTEGER),
        (None, Profile::Valkey9) if id.is_none() => Err(SYNTAX),
        (None, _) => Err(NOT_POSITIVE),
    }
}

fn kill(call: &mut Call<'_>, args: &[Bytes]) -> Result<Answer, Refusal> {
    // The old form names an address, spares nobody and answers OK.
    let (victims, old_form) = match args.get(2..).unwrap_or_default() {
        [] => return Err(SYNTAX),
        [addr] => {
            let addr = Some(String::from_utf8_lossy(addr).into_owned());
            (Victims { addr, oneself: true, ..Victims::default() }, true)
        }
        options => (Victims::parse(options, call.profile)?, false),
    };
    let fitting = call.state.sessions.values().filter(|session| victims.fits(session, call.id));
    let fitting: Vec<_> = fitting.map(|session| session.id).collect();
    if old_form && fitting.is_empty() {
        return Err(Refusal::fixed("ERR No such client"));
    }
    for id in fitting.iter().filter(|id| **id != call.id) {
        call.state.kill(*id);
    }
    let reply = if old_form { ok() } else { count(fitting.len()) };
    Ok(if fitting.contains(&call.id) { Answer::Close(reply) } else { Answer::Frame(reply) })
}

fn pause(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    const NOT_A_TIME: Refusal = Refusal::fixed("ERR timeout is not an integer or out of range");
    let ms = integer(args, 2).map_err(|_| NOT_A_TIME)?;
    let ms = u64::try_from(ms).map_err(|_| Refusal::fixed("ERR timeout is negative"))?;
    let writes_only = match (lower(args.get(3)).as_str(), args.len()) {
        ("", 3) | ("all", 4) => false,
        ("write", 4) => true,
        (_, 4) => return Err(Refusal::fixed("ERR CLIENT PAUSE mode must be WRITE or ALL")),
        _ => return Err(SYNTAX),
    };
    call.state.pause = Some(Pause { until: call.now.after_ms(ms), writes_only });
    Ok(ok())
}

fn unpause(call: &mut Call<'_>, _: &[Bytes]) -> Result<Answer, Refusal> {
    call.state.pause = None;
    Ok(Answer::Unpause(ok()))
}

fn reply(call: &mut Call<'_>, args: &[Bytes]) -> Result<Answer, Refusal> {
    let (mode, answer) = match lower(args.get(2)).as_str() {
        "on" => (ReplyMode::On, Answer::Frame(ok())),
        "off" => (ReplyMode::Off, Answer::Sent),
        "skip" => (ReplyMode::SkipNext, Answer::Sent),
        _ => return Err(SYNTAX),
    };
    call.session(|session| session.reply_mode = mode);
    Ok(answer)
}

fn tracking(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let on = match lower(args.get(2)).as_str() {
        "on" => true,
        "off" => false,
        _ => return Err(SYNTAX),
    };
    let mut wanted = Tracking::default();
    let mut prefixes = Vec::new();
    let mut broadcast = false;
    let mut rest = args.get(3..).unwrap_or_default().iter();
    while let Some(word) = rest.next() {
        match lower(Some(word)).as_str() {
            "noloop" => wanted.no_loop = true,
            "optin" => wanted.opt_in = true,
            "optout" => wanted.opt_out = true,
            "bcast" => broadcast = true,
            "prefix" => prefixes.push(Bytes::copy_from_slice(rest.next().ok_or(SYNTAX)?)),
            "redirect" => {
                return Err(Refusal::fixed("ERR this server redirects no invalidations"));
            }
            _ => return Err(SYNTAX),
        }
    }
    if !on {
        call.state.set_tracking(call.id, None);
        return Ok(ok());
    }
    if !broadcast && !prefixes.is_empty() {
        return Err(Refusal::fixed("ERR PREFIX option requires BCAST mode to be enabled"));
    }
    let held = call.session(|session| session.tracking.clone()).flatten();
    if held.is_some_and(|held| held.broadcast.is_some() != broadcast) {
        return Err(Refusal::fixed(
            "ERR You can't switch BCAST mode on/off before disabling tracking for this client, \
             and then re-enabling it with a different mode.",
        ));
    }
    if wanted.opt_in && wanted.opt_out {
        return Err(Refusal::fixed("ERR You can't use both OPTIN and OPTOUT"));
    }
    wanted.broadcast = broadcast.then_some(prefixes);
    call.state.set_tracking(call.id, Some(wanted));
    Ok(ok())
}

fn caching(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let tracking = call.session(|session| session.tracking.clone()).flatten();
    let tracking = tracking.unwrap_or_default();
    let wanted = match lower(args.get(2)).as_str() {
        _ if !tracking.opt_in && !tracking.opt_out => {
            return Err(Refusal::fixed(
                "ERR CLIENT CACHING can be called only when the client is in tracking mode with \
                 OPTIN or OPTOUT mode enabled",
            ));
        }
        "yes" if tracking.opt_in => true,
        "no" if tracking.opt_out => false,
        "yes" => {
            return Err(Refusal::fixed(
                "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
            ));
        }
        "no" => {
            return Err(Refusal::fixed(
                "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
            ));
        }
        _ => return Err(SYNTAX),
    };
    call.session(|session| session.caching = Some(wanted));
    Ok(ok())
}
