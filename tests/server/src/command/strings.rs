//! Strings: what locks, counters and values are made of. Pure.

use super::{ALL_KEYS, ONE_KEY, Spec, flag, lower, plain};
use crate::call::{Call, arg, integer};
use crate::keyspace::Value;
use crate::number;
use crate::profile::Profile;
use crate::refusal::{NOT_FLOAT, NOT_INTEGER, OVERFLOW, Refusal, SYNTAX, WRONG_TYPE};
use crate::reply::{count, flag as yes_or_no, maybe, ok};
use bytes::Bytes;
use resp::Frame;

const READ: u16 = flag::READ | flag::FAST;
const FILL: u16 = flag::WRITE | flag::DENY_OOM;
const FAST_FILL: u16 = FILL | flag::FAST;

/// In order of their names.
pub(super) const TABLE: &[Spec] = &[
    plain("append", 3, FAST_FILL, ONE_KEY, append),
    plain("decr", 2, FAST_FILL, ONE_KEY, |call, args| step(call, args, Some(-1))),
    plain("decrby", 3, FAST_FILL, ONE_KEY, decr_by),
    plain("get", 2, READ, ONE_KEY, |call, args| Ok(maybe(call.text(arg(args, 1)?)?))),
    plain("getdel", 2, flag::WRITE | flag::FAST, ONE_KEY, get_del),
    plain("getset", 3, FAST_FILL, ONE_KEY, get_set),
    plain("incr", 2, FAST_FILL, ONE_KEY, |call, args| step(call, args, Some(1))),
    plain("incrby", 3, FAST_FILL, ONE_KEY, |call, args| step(call, args, None)),
    plain("incrbyfloat", 3, FAST_FILL, ONE_KEY, incr_by_float),
    plain("mget", -2, READ, ALL_KEYS, mget),
    plain("mset", -3, FILL, (1, -1, 2), mset),
    plain("msetnx", -3, FILL, (1, -1, 2), mset_nx),
    plain("psetex", 4, FILL, ONE_KEY, |call, args| set_ex(call, args, 1)),
    plain("set", -3, FILL, ONE_KEY, set),
    plain("setex", 4, FILL, ONE_KEY, |call, args| set_ex(call, args, 1000)),
    plain("setnx", 3, FAST_FILL, ONE_KEY, set_nx),
    plain("strlen", 2, READ, ONE_KEY, str_len),
];

/// When a `SET` happens.
#[derive(Debug, Default, PartialEq)]
enum Condition {
    #[default]
    Always,
    Missing,
    Present,
    Equals(Bytes),
}

/// The options of `SET`.
#[derive(Debug, Default)]
struct SetOptions {
    condition: Condition,
    get: bool,
    keep_ttl: bool,
    expires_at: Option<i64>,
}

impl SetOptions {
    fn parse(call: &Call<'_>, args: &[Bytes]) -> Result<Self, Refusal> {
        let mut options = Self::default();
        let mut expiry: Option<(String, Bytes)> = None;
        let mut rest = args.iter();
        while let Some(word) = rest.next() {
            let free = options.condition == Condition::Always;
            match lower(Some(word)).as_str() {
                "nx" if free => options.condition = Condition::Missing,
                "nx" if options.condition == Condition::Missing => {}
                "xx" if free => options.condition = Condition::Present,
                "xx" if options.condition == Condition::Present => {}
                "ifeq" if free && call.profile.has_ifeq() => {
                    options.condition = Condition::Equals(rest.next().ok_or(SYNTAX)?.clone());
                }
                "get" => options.get = true,
                "keepttl" if expiry.is_none() => options.keep_ttl = true,
                unit @ ("ex" | "px" | "exat" | "pxat") if expiry.is_none() && !options.keep_ttl => {
                    expiry = Some((unit.to_owned(), rest.next().ok_or(SYNTAX)?.clone()));
                }
                _ => return Err(SYNTAX),
            }
        }
        let nx_get = options.get && options.condition == Condition::Missing;
        if nx_get && call.profile == Profile::Redis6_2 {
            return Err(SYNTAX);
        }
        if let Some((unit, amount)) = expiry {
            let amount = number::integer(&amount).ok_or(NOT_INTEGER)?;
            options.expires_at = Some(expiry_of(call, &unit, amount, "set")?);
        }
        Ok(options)
    }
}

/// The moment that `EX 10` and the like mean.
fn expiry_of(call: &Call<'_>, unit: &str, amount: i64, command: &str) -> Result<i64, Refusal> {
    let invalid = || {
        Refusal::new(match call.profile {
            Profile::Redis6_2 => format!("ERR invalid expire time in {command}"),
            _ => format!("ERR invalid expire time in '{command}' command"),
        })
    };
    let ms = if unit.starts_with("ex") { amount.checked_mul(1000) } else { Some(amount) };
    let ms = ms.filter(|ms| *ms > 0).ok_or_else(invalid)?;
    let base = if unit.ends_with("at") { 0 } else { call.now.ms() };
    base.checked_add(ms).ok_or_else(invalid)
}

fn set(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let (key, text) = (arg(args, 1)?, arg(args, 2)?);
    let options = SetOptions::parse(call, args.get(3..).unwrap_or_default())?;
    let compares = matches!(options.condition, Condition::Equals(_));
    // A plain NX or XX asks only whether there is a key, of whatever type.
    let held = if options.get || compares { call.text(key)? } else { None };
    let present = call.entry(key).is_some();
    let happens = match &options.condition {
        Condition::Always => true,
        Condition::Missing => !present,
        Condition::Present => present,
        Condition::Equals(wanted) => held.as_ref() == Some(wanted),
    };
    if happens {
        let kept = call.entry(key).and_then(|entry| entry.expires_at);
        let expires_at = if options.keep_ttl { kept } else { options.expires_at };
        call.put_text(key, text, expires_at);
    }
    Ok(match (options.get, happens) {
        (true, _) => maybe(held),
        (false, true) => ok(),
        (false, false) => Frame::Null,
    })
}

fn set_ex(call: &mut Call<'_>, args: &[Bytes], unit_ms: i64) -> Result<Frame, Refusal> {
    let (unit, name) = if unit_ms == 1 { ("px", "psetex") } else { ("ex", "setex") };
    let expires_at = expiry_of(call, unit, integer(args, 2)?, name)?;
    call.put_text(arg(args, 1)?, arg(args, 3)?, Some(expires_at));
    Ok(ok())
}

fn set_nx(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let key = arg(args, 1)?;
    let free = call.entry(key).is_none();
    if free {
        call.put_text(key, arg(args, 2)?, None);
    }
    Ok(yes_or_no(free))
}

fn get_set(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let key = arg(args, 1)?;
    let held = call.text(key)?;
    call.put_text(key, arg(args, 2)?, None);
    Ok(maybe(held))
}

fn get_del(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let key = arg(args, 1)?;
    let held = call.text(key)?;
    call.remove(key);
    Ok(maybe(held))
}

fn append(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let (key, more) = (arg(args, 1)?, arg(args, 2)?);
    let mut text = call.text(key)?.unwrap_or_default().to_vec();
    text.extend_from_slice(more);
    let expires_at = call.entry(key).and_then(|entry| entry.expires_at);
    call.put_text(key, &text, expires_at);
    Ok(count(text.len()))
}

fn str_len(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    Ok(count(call.text(arg(args, 1)?)?.map_or(0, |text| text.len())))
}

/// Adds `by`, or the third argument.
fn step(call: &mut Call<'_>, args: &[Bytes], by: Option<i64>) -> Result<Frame, Refusal> {
    let by = by.map_or_else(|| integer(args, 2), Ok)?;
    add(call, arg(args, 1)?, by)
}

fn decr_by(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let by = integer(args, 2)?;
    let by = match call.profile {
        Profile::Redis6_2 => by.wrapping_neg(), // does not look
        _ => by.checked_neg().ok_or(Refusal::fixed("ERR decrement would overflow"))?,
    };
    add(call, arg(args, 1)?, by)
}

fn add(call: &mut Call<'_>, key: &Bytes, by: i64) -> Result<Frame, Refusal> {
    let held = call.text(key)?;
    let held = held.map_or(Some(0), |text| number::integer(&text)).ok_or(NOT_INTEGER)?;
    let sum = held.checked_add(by).ok_or(OVERFLOW)?;
    let expires_at = call.entry(key).and_then(|entry| entry.expires_at);
    call.put_text(key, &number::print(sum), expires_at);
    Ok(Frame::Integer(sum))
}

fn incr_by_float(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let key = arg(args, 1)?;
    let held = call.text(key)?;
    let held = held.map_or(Some(0.0), |text| number::float(&text)).ok_or(NOT_FLOAT)?;
    let sum = held + number::float(arg(args, 2)?).ok_or(NOT_FLOAT)?;
    if !sum.is_finite() {
        return Err(Refusal::fixed("ERR increment would produce NaN or Infinity"));
    }
    let text = number::print_float(sum);
    let expires_at = call.entry(key).and_then(|entry| entry.expires_at);
    call.put_text(key, &text, expires_at);
    Ok(Frame::bulk(text))
}

fn mget(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let keys = args.get(1..).unwrap_or_default().iter();
    Ok(Frame::Array(keys.map(|key| maybe(call.text(key).ok().flatten())).collect()))
}

fn pairs<'a>(
    call: &Call<'_>,
    args: &'a [Bytes],
    name: &str,
) -> Result<impl Iterator<Item = (&'a Bytes, &'a Bytes)> + Clone + use<'a>, Refusal> {
    let rest = args.get(1..).unwrap_or_default();
    if rest.len() % 2 != 0 {
        return Err(match call.profile {
            Profile::Redis6_2 => Refusal::fixed("ERR wrong number of arguments for MSET"),
            _ => Refusal::arity(name),
        });
    }
    Ok(rest.iter().step_by(2).zip(rest.iter().skip(1).step_by(2)))
}

fn mset(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    for (key, text) in pairs(call, args, "mset")? {
        call.put_text(key, text, None);
    }
    Ok(ok())
}

fn mset_nx(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let pairs = pairs(call, args, "msetnx")?;
    if pairs.clone().any(|(key, _)| call.entry(key).is_some()) {
        return Ok(yes_or_no(false));
    }
    for (key, text) in pairs {
        call.put_text(key, text, None);
    }
    Ok(yes_or_no(true))
}

/// Deletes `key` if it holds exactly `wanted`: `DELIFEQ` and `DELEX … IFEQ`.
pub(super) fn delete_if_equal(
    call: &mut Call<'_>,
    key: &Bytes,
    wanted: &Bytes,
) -> Result<Frame, Refusal> {
    let equal = match call.entry(key).map(|entry| &entry.value) {
        None => false,
        Some(Value::Text(text)) => text == wanted,
        Some(_) => return Err(WRONG_TYPE),
    };
    Ok(yes_or_no(equal && call.remove(key)))
}
