//! What a server tells of itself: `COMMAND`, `INFO`, `CONFIG` and their like. Pure.

use super::{NO_KEYS, Spec, container, control, flag, lower, plain};
use crate::blocking::{Block, milliseconds};
use crate::call::{Call, arg, integer};
use crate::config;
use crate::glob;
use crate::number;
use crate::profile::Profile;
use crate::refusal::{NOT_FLOAT, NOT_INTEGER, Refusal};
use crate::reply::{Answer, count, ok, simple, word};
use bytes::Bytes;
use resp::Frame;
use std::time::Duration;

const ANY_TIME: u16 = flag::LOADING | flag::STALE;
const ADMIN: u16 = flag::ADMIN | flag::NO_SCRIPT | ANY_TIME;

/// In order of their names.
pub(super) const TABLE: &[Spec] = &[
    plain("command", -1, ANY_TIME, NO_KEYS, |call, _| Ok(all_commands(call))).with_subcommands(),
    plain("command|count", 2, ANY_TIME, NO_KEYS, |call, _| {
        Ok(count(call.state.table.top_level().len()))
    }),
    plain("command|info", -2, ANY_TIME, NO_KEYS, command_info),
    container("config", 0),
    plain("config|get", -3, ADMIN, NO_KEYS, config_get),
    plain("config|set", -4, ADMIN, NO_KEYS, config_set),
    control("debug", -2, ADMIN, debug),
    control("info", -1, ANY_TIME, info),
    plain("monitor", 1, ADMIN, NO_KEYS, |_, _| {
        Err(Refusal::fixed("ERR this server has no MONITOR: its handle has a log of all requests"))
    }),
    plain("role", 1, flag::NO_SCRIPT | ANY_TIME | flag::FAST, NO_KEYS, |_, _| {
        Ok(Frame::Array(vec![word("master"), Frame::Integer(0), Frame::Array(Vec::new())]))
    }),
    control("wait", 3, flag::NO_SCRIPT, wait),
    control("waitaof", 4, flag::NO_SCRIPT, wait_aof).only(Profile::since_7_2),
];

fn all_commands(call: &Call<'_>) -> Frame {
    let specs = call.state.table.top_level();
    Frame::Array(specs.into_iter().map(|spec| describe(call, spec)).collect())
}

fn command_info(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let names = args.get(2..).unwrap_or_default();
    if names.is_empty() && call.profile.since_7_0() {
        return Ok(all_commands(call));
    }
    let entries = names.iter().map(|name| {
        let spec = call.state.table.get(&lower(Some(name)));
        let spec = spec.filter(|spec| call.profile.since_7_0() || !spec.name.contains('|'));
        spec.map_or(Frame::Null, |spec| describe(call, spec))
    });
    Ok(Frame::Array(entries.collect()))
}

/// One entry of `COMMAND INFO`: 7 elements up to 6.2, 10 from 7.0.
fn describe(call: &Call<'_>, spec: &Spec) -> Frame {
    let (first, last, step) = spec.keys;
    let names = |names: Vec<&'static str>| Frame::Set(names.into_iter().map(simple).collect());
    let mut categories = Vec::new();
    for (wanted, name) in [
        (spec.is(flag::WRITE), "@write"),
        (spec.is(flag::READ), "@read"),
        (spec.is(flag::ADMIN), "@admin"),
        (spec.is(flag::PUBSUB), "@pubsub"),
        (spec.is(flag::FAST), "@fast"),
        (!spec.is(flag::FAST), "@slow"),
    ] {
        categories.extend(wanted.then_some(name));
    }
    let mut entry = vec![
        word(spec.name),
        Frame::Integer(spec.arity.into()),
        names(spec.flag_names().collect()),
        Frame::Integer(first.into()),
        Frame::Integer(last.into()),
        Frame::Integer(step.into()),
        names(categories),
    ];
    if call.profile.since_7_0() {
        let subcommands = call.state.table.subcommands(spec.name);
        let subcommands = subcommands.into_iter().map(|sub| describe(call, sub)).collect();
        let none = || Frame::Array(Vec::new());
        entry.extend([Frame::Set(Vec::new()), none(), Frame::Array(subcommands)]);
    }
    Frame::Array(entry)
}

fn config_get(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let patterns: Vec<_> = args.iter().skip(2).map(|arg| lower(Some(arg))).collect();
    if patterns.len() > 1 && !call.profile.since_7_0() {
        let text =
            "ERR Unknown subcommand or wrong number of arguments for 'get'. Try CONFIG HELP.";
        return Err(Refusal::fixed(text));
    }
    let fits = |name: &str| patterns.iter().any(|p| glob::matches(p.as_bytes(), name.as_bytes()));
    let settings = call.state.config.iter().filter(|(name, _)| fits(name));
    Ok(Frame::Map(settings.map(|(name, value)| (word(name), word(value))).collect()))
}

fn config_set(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let pairs = args.get(2..).unwrap_or_default();
    if pairs.len() % 2 != 0 {
        return Err(Refusal::arity("config|set"));
    }
    for pair in pairs.chunks_exact(2) {
        let [name, value] = pair else { continue };
        let (given, name) = (String::from_utf8_lossy(name).into_owned(), lower(Some(name)));
        let mut value = String::from_utf8_lossy(value).into_owned();
        if !call.state.config.contains_key(&name) {
            return Err(Refusal::new(match call.profile.since_7_0() {
                true => {
                    format!("ERR Unknown option or number of arguments for CONFIG SET - '{given}'")
                }
                false => format!("ERR Unsupported CONFIG parameter: {given}"),
            }));
        }
        let unfit = |reason: &str| unfit(call.profile, &given, &value, reason);
        match name.as_str() {
            "maxmemory" => {
                let bytes = config::memory(&value);
                value = bytes.ok_or_else(|| unfit("argument must be a memory value"))?.to_string();
            }
            "maxclients" => drop(config::max_clients(&value).map_err(unfit)?),
            config::OUTPUT_LIMIT => {
                let settings = &call.state.config[&name];
                let (merged, hard) = config::output_limit(settings, &value).map_err(unfit)?;
                call.state.output_limit = Some(hard).filter(|hard| *hard > 0);
                value = merged;
            }
            _ => {}
        }
        if name == "requirepass" {
            call.state.users.set_default_password(Some(&*value).filter(|value| !value.is_empty()));
        }
        call.state.config.insert(name, value);
    }
    Ok(ok())
}

/// A value that a setting cannot have.
fn unfit(profile: Profile, name: &str, value: &str, reason: &str) -> Refusal {
    let reason = match profile.since_7_0() {
        true => format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}"),
        false if name == config::OUTPUT_LIMIT => {
            format!("ERR Invalid argument '{value}' for CONFIG SET '{name}'")
        }
        false => format!("ERR Invalid argument '{value}' for CONFIG SET '{name}' - {reason}"),
    };
    Refusal::new(reason)
}

fn info(call: &mut Call<'_>, args: &[Bytes]) -> Result<Answer, Refusal> {
    let wanted: Vec<_> = args.iter().skip(1).map(|arg| lower(Some(arg))).collect();
    let everything = wanted.is_empty()
        || wanted.iter().any(|name| matches!(name.as_str(), "all" | "default" | "everything"));
    let sections = [
        ("server", "Server", server_section(call)),
        (
            "clients",
            "Clients",
            format!(
                "connected_clients:{}\r\nblocked_clients:{}\r\n",
                call.state.sessions.len(),
                call.state.blocked.len()
            ),
        ),
        ("memory", "Memory", memory_section(call)),
        ("replication", "Replication", replication_section()),
        ("keyspace", "Keyspace", keyspace_section(call)),
    ];
    let mut text = String::new();
    for (name, title, body) in sections {
        if everything || wanted.iter().any(|wanted| wanted == name) {
            if !text.is_empty() {
                text += "\r\n";
            }
            text += &format!("# {title}\r\n{body}");
        }
    }
    Ok(Answer::Text(text))
}

fn server_section(call: &Call<'_>) -> String {
    let version = call.profile.version();
    let mut text = match call.profile {
        Profile::Valkey9 => format!(
            "redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:{version}\r\n\
             valkey_release_stage:ga\r\nserver_mode:standalone\r\n"
        ),
        _ => format!("redis_version:{version}\r\nredis_mode:standalone\r\n"),
    };
    let uptime = (call.now.ms() - call.state.started.ms()) / 1000;
    text += &format!("process_id:{}\r\n", std::process::id());
    text += &format!("run_id:{:040x}\r\n", call.state.started.us());
    text += &format!("server_time_usec:{}\r\n", call.now.us());
    text += &format!("uptime_in_seconds:{uptime}\r\nhz:10\r\n");
    text
}

fn memory_section(call: &Call<'_>) -> String {
    let setting = |name: &str| call.state.config.get(name).cloned().unwrap_or_default();
    format!(
        "used_memory:{}\r\nmaxmemory:{}\r\nmaxmemory_policy:{}\r\n",
        call.state.used_memory(),
        setting("maxmemory"),
        setting("maxmemory-policy"),
    )
}

fn replication_section() -> String {
    let id = "0".repeat(40);
    format!(
        "role:master\r\nconnected_slaves:0\r\nmaster_failover_state:no-failover\r\n\
         master_replid:{id}\r\nmaster_repl_offset:0\r\n"
    )
}

fn keyspace_section(call: &Call<'_>) -> String {
    let mut text = String::new();
    for (index, db) in call.state.dbs.iter().enumerate() {
        let (keys, expires) = (db.len(), db.expiring());
        if keys > 0 {
            text += &format!("db{index}:keys={keys},expires={expires},avg_ttl=0\r\n");
        }
    }
    text
}

/// Only 6.2 takes `DEBUG` from everybody.
fn debug(call: &mut Call<'_>, args: &[Bytes]) -> Result<Answer, Refusal> {
    if call.profile.since_7_0() {
        return Err(Refusal::fixed(
            "ERR DEBUG command not allowed. If the enable-debug-command option is set to \
             \"local\", you can run it from a local connection, otherwise you need to set this \
             option in the configuration file, and then restart the server.",
        ));
    }
    if lower(args.get(1)) != "sleep" || args.len() != 3 {
        let sub = String::from_utf8_lossy(arg(args, 1)?).into_owned();
        return Err(Refusal::new(format!(
            "ERR Unknown subcommand or wrong number of arguments for '{sub}'. Try DEBUG HELP."
        )));
    }
    let seconds = number::float(arg(args, 2)?).ok_or(NOT_FLOAT)?;
    let time = Duration::try_from_secs_f64(seconds.max(0.0)).map_err(|_| NOT_FLOAT)?;
    Ok(Answer::Stall(time, ok()))
}

/// There are no replicas, so who asks for one waits in vain.
fn wait(_: &mut Call<'_>, args: &[Bytes]) -> Result<Answer, Refusal> {
    let replicas = integer(args, 1)?;
    let time = milliseconds(arg(args, 2)?)?;
    let none = Frame::Integer(0);
    let none = Answer::Frame(none);
    Ok(if replicas <= 0 { none } else { Block::in_vain(time, none) })
}

fn wait_aof(_: &mut Call<'_>, args: &[Bytes]) -> Result<Answer, Refusal> {
    let (local, replicas) = (integer(args, 1)?, integer(args, 2)?);
    if !(0..=1).contains(&local) || replicas < 0 {
        return Err(NOT_INTEGER);
    }
    let time = milliseconds(arg(args, 3)?)?;
    if local > 0 {
        return Err(Refusal::fixed(
            "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
        ));
    }
    let none = Frame::Array(vec![Frame::Integer(0), Frame::Integer(0)]);
    let none = Answer::Frame(none);
    Ok(if replicas == 0 { none } else { Block::in_vain(time, none) })
}
