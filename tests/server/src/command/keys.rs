//! Keys of any type: deleting, expiring, finding. Pure.

use super::{ALL_KEYS, NO_KEYS, ONE_KEY, Spec, flag, lower, plain};
use crate::call::{Call, arg, integer};
use crate::glob;
use crate::number;
use crate::profile::Profile;
use crate::refusal::{NOT_INTEGER, Refusal, SYNTAX};
use crate::reply::{bulks, count, flag as yes_or_no, ok, simple};
use bytes::Bytes;
use resp::Frame;

const READ: u16 = flag::READ | flag::FAST;
const TOUCH: u16 = flag::WRITE | flag::FAST;

/// In order of their names.
pub(super) const TABLE: &[Spec] = &[
    plain("dbsize", 1, READ, NO_KEYS, db_size),
    plain("del", -2, flag::WRITE, ALL_KEYS, del),
    plain("delex", -2, TOUCH, ONE_KEY, delex).only(|profile| profile == Profile::Redis8_4),
    plain("delifeq", 3, TOUCH, ONE_KEY, del_if_eq).only(|profile| profile == Profile::Valkey9),
    plain("exists", -2, READ, ALL_KEYS, exists),
    expiry("expire", -3, |call, args| expire(call, args, 1000, true)).only(Profile::since_7_0),
    expiry("expire", 3, |call, args| expire(call, args, 1000, true)).only(before_7_0),
    expiry("expireat", -3, |call, args| expire(call, args, 1000, false)).only(Profile::since_7_0),
    expiry("expireat", 3, |call, args| expire(call, args, 1000, false)).only(before_7_0),
    plain("flushall", -1, flag::WRITE, NO_KEYS, |call, args| flush(call, args, true)),
    plain("flushdb", -1, flag::WRITE, NO_KEYS, |call, args| flush(call, args, false)),
    plain("keys", 2, flag::READ, NO_KEYS, keys),
    plain("persist", 2, TOUCH, ONE_KEY, persist),
    expiry("pexpire", -3, |call, args| expire(call, args, 1, true)).only(Profile::since_7_0),
    expiry("pexpire", 3, |call, args| expire(call, args, 1, true)).only(before_7_0),
    expiry("pexpireat", -3, |call, args| expire(call, args, 1, false)).only(Profile::since_7_0),
    expiry("pexpireat", 3, |call, args| expire(call, args, 1, false)).only(before_7_0),
    plain("pttl", 2, READ, ONE_KEY, |call, args| ttl(call, args, 1)),
    plain("scan", -2, flag::READ, NO_KEYS, scan),
    plain("swapdb", 3, TOUCH, NO_KEYS, swap_db),
    plain("ttl", 2, READ, ONE_KEY, |call, args| ttl(call, args, 1000)),
    plain("type", 2, READ, ONE_KEY, kind),
    plain("unlink", -2, TOUCH, ALL_KEYS, del),
];

const fn expiry(name: &'static str, arity: i8, run: super::Plain) -> Spec {
    plain(name, arity, TOUCH, ONE_KEY, run)
}

/// Before 7.0 there were no options.
fn before_7_0(profile: Profile) -> bool {
    !profile.since_7_0()
}

fn del(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let keys = args.get(1..).unwrap_or_default();
    Ok(count(keys.iter().filter(|key| call.remove(key)).count()))
}

fn del_if_eq(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    super::strings::delete_if_equal(call, arg(args, 1)?, arg(args, 2)?)
}

fn delex(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let key = arg(args, 1)?;
    match (args.get(2), args.get(3)) {
        (None, _) => Ok(yes_or_no(call.remove(key))),
        (Some(word), Some(wanted)) if args.len() == 4 => match lower(Some(word)).as_str() {
            "ifeq" => super::strings::delete_if_equal(call, key, wanted),
            "ifne" => match call.text(key)? {
                Some(text) => Ok(yes_or_no(text != wanted && call.remove(key))),
                None => Ok(yes_or_no(false)),
            },
            _ => Err(Refusal::fixed("ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE")),
        },
        _ => Err(Refusal::arity("delex")),
    }
}

fn exists(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let keys = args.get(1..).unwrap_or_default();
    Ok(count(keys.iter().filter(|key| call.entry(key).is_some()).count()))
}

/// The options that 7.0 added to `EXPIRE` and its like.
#[derive(Debug, Default)]
struct Only {
    without: bool,
    with: bool,
    later: bool,
    earlier: bool,
}

impl Only {
    fn parse(args: &[Bytes]) -> Result<Self, Refusal> {
        let mut only = Self::default();
        for word in args {
            match lower(Some(word)).as_str() {
                "nx" => only.without = true,
                "xx" => only.with = true,
                "gt" => only.later = true,
                "lt" => only.earlier = true,
                _ => {
                    let word = String::from_utf8_lossy(word);
                    return Err(Refusal::new(format!("ERR Unsupported option {word}")));
                }
            }
        }
        if only.without && (only.with || only.later || only.earlier) {
            return Err(Refusal::fixed(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if only.later && only.earlier {
            return Err(Refusal::fixed(
                "ERR GT and LT options at the same time are not compatible",
            ));
        }
        Ok(only)
    }

    fn allows(&self, held: Option<i64>, at: i64) -> bool {
        !(self.without && held.is_some()
            || self.with && held.is_none()
            || self.later && held.is_none_or(|held| at <= held)
            || self.earlier && held.is_some_and(|held| at >= held))
    }
}

fn expire(
    call: &mut Call<'_>,
    args: &[Bytes],
    unit_ms: i64,
    relative: bool,
) -> Result<Frame, Refusal> {
    let name = lower(args.first());
    let only = Only::parse(args.get(3..).unwrap_or_default())?;
    let key = arg(args, 1)?;
    let amount = integer(args, 2)?;
    let base = if relative { call.now.ms() } else { 0 };
    let ms = match call.profile.since_7_0() {
        true => amount.checked_mul(unit_ms),
        false => Some(amount.wrapping_mul(unit_ms)), // does not look
    };
    let at = ms.and_then(|ms| ms.checked_add(base)).ok_or_else(|| {
        Refusal::new(match call.profile.since_7_0() {
            true => format!("ERR invalid expire time in '{name}' command"),
            false => format!("ERR invalid expire time in {name}"),
        })
    })?;
    let Some(entry) = call.entry(key) else { return Ok(yes_or_no(false)) };
    if !only.allows(entry.expires_at, at) {
        return Ok(yes_or_no(false));
    }
    if at <= call.now.ms() {
        return Ok(yes_or_no(call.remove(key)));
    }
    call.keyspace().set_expiry(key, Some(at));
    call.changed(key);
    Ok(yes_or_no(true))
}

fn persist(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let key = arg(args, 1)?;
    if call.entry(key).is_none_or(|entry| entry.expires_at.is_none()) {
        return Ok(yes_or_no(false));
    }
    call.keyspace().set_expiry(key, None);
    call.changed(key);
    Ok(yes_or_no(true))
}

fn ttl(call: &mut Call<'_>, args: &[Bytes], unit_ms: i64) -> Result<Frame, Refusal> {
    let now_ms = call.now.ms();
    let Some(entry) = call.entry(arg(args, 1)?) else { return Ok(Frame::Integer(-2)) };
    let Some(at) = entry.expires_at else { return Ok(Frame::Integer(-1)) };
    let left = (at - now_ms).max(0);
    Ok(Frame::Integer(if unit_ms == 1 { left } else { (left + 500) / unit_ms }))
}

fn kind(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let kind = call.entry(arg(args, 1)?).map(|entry| entry.value.kind());
    Ok(simple(kind.unwrap_or("none")))
}

fn keys(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let (pattern, now_ms) = (arg(args, 1)?, call.now.ms());
    let mut keys = call.keyspace().keys(now_ms);
    keys.retain(|key| glob::matches(pattern, key));
    Ok(bulks(keys))
}

fn db_size(call: &mut Call<'_>, _: &[Bytes]) -> Result<Frame, Refusal> {
    Ok(count(call.keyspace().len()))
}

fn flush(call: &mut Call<'_>, args: &[Bytes], all: bool) -> Result<Frame, Refusal> {
    match args.get(1) {
        Some(word) if args.len() > 2 || !matches!(&*lower(Some(word)), "sync" | "async") => {
            return Err(SYNTAX);
        }
        _ => {}
    }
    if all {
        call.state.flush_everything(call.now);
    } else {
        call.state.flush_db(call.db, call.now);
        call.state.invalidate_all();
    }
    Ok(ok())
}

fn swap_db(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let index = |at: usize, which: &str| {
        let number = args.get(at).and_then(|arg| number::integer(arg));
        let number = number.ok_or_else(|| Refusal::new(format!("ERR invalid {which} DB index")))?;
        let known = usize::try_from(number).ok().filter(|index| *index < call.state.dbs.len());
        known.ok_or(Refusal::fixed("ERR DB index is out of range"))
    };
    let (first, second) = (index(1, "first")?, index(2, "second")?);
    call.state.dbs.swap(first, second);
    Ok(ok())
}

/// A cursor is the number of keys that were looked at, in the order of their bytes.
fn scan(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let cursor = std::str::from_utf8(arg(args, 1)?).ok().and_then(|text| text.parse().ok());
    let cursor: usize = cursor.ok_or(Refusal::fixed("ERR invalid cursor"))?;
    let (mut batch, mut pattern, mut kind) = (10, None, None);
    let mut rest = args.get(2..).unwrap_or_default().iter();
    while let Some(word) = rest.next() {
        let value = rest.next().ok_or(SYNTAX)?;
        match lower(Some(word)).as_str() {
            "count" => {
                let number = number::integer(value).ok_or(NOT_INTEGER)?;
                batch = usize::try_from(number).ok().filter(|n| *n > 0).ok_or(SYNTAX)?;
            }
            "match" => pattern = Some(value),
            "type" => kind = Some(lower(Some(value))),
            _ => return Err(SYNTAX),
        }
    }
    let now_ms = call.now.ms();
    let all = call.keyspace().keys(now_ms);
    let mut found: Vec<_> = all.iter().skip(cursor).take(batch).cloned().collect();
    let next = if cursor + found.len() < all.len() { cursor + found.len() } else { 0 };
    found.retain(|key| pattern.is_none_or(|pattern| glob::matches(pattern, key)));
    if let Some(kind) = kind {
        found.retain(|key| call.entry(key).is_some_and(|entry| entry.value.kind() == kind));
    }
    let next = Frame::bulk(next.to_string());
    Ok(Frame::Array(vec![next, bulks(found)]))
}
