//! Sorted sets, as far as queues need them. Pure.

use super::lists::span;
use super::{ONE_KEY, Spec, flag, lower, plain};
use crate::call::{Call, arg, integer};
use crate::keyspace::Value;
use crate::number;
use crate::refusal::{NOT_FLOAT, Refusal, SYNTAX, WRONG_TYPE};
use crate::reply::{bulk, count, score};
use crate::zset::Zset;
use bytes::Bytes;
use resp::{Frame, Protocol};

const FAST_READ: u16 = flag::READ | flag::FAST;

/// In order of their names.
pub(super) const TABLE: &[Spec] = &[
    plain("zadd", -4, flag::WRITE | flag::DENY_OOM | flag::FAST, ONE_KEY, zadd),
    plain("zcard", 2, FAST_READ, ONE_KEY, |call, args| {
        Ok(count(zset(call, args)?.map_or(0, Zset::len)))
    }),
    plain("zrange", -4, flag::READ, ONE_KEY, zrange),
    plain("zrangebyscore", -4, flag::READ, ONE_KEY, zrange_by_score),
    plain("zrank", 3, FAST_READ, ONE_KEY, zrank),
    plain("zrem", -3, flag::WRITE | flag::FAST, ONE_KEY, zrem),
    plain("zremrangebyscore", 4, flag::WRITE, ONE_KEY, zrem_range_by_score),
    plain("zscore", 3, FAST_READ, ONE_KEY, zscore),
];

fn zset<'a>(call: &'a mut Call<'_>, args: &[Bytes]) -> Result<Option<&'a Zset>, Refusal> {
    match call.entry(arg(args, 1)?).map(|entry| &entry.value) {
        None => Ok(None),
        Some(Value::Zset(zset)) => Ok(Some(zset)),
        Some(_) => Err(WRONG_TYPE),
    }
}

/// The options of `ZADD`.
#[derive(Debug, Default)]
struct AddOptions {
    only_new: bool,
    only_held: bool,
    greater: bool,
    less: bool,
    count_changed: bool,
}

impl AddOptions {
    /// Reads options, and gives what is left.
    fn parse(mut args: &[Bytes]) -> Result<(Self, &[Bytes]), Refusal> {
        let mut options = Self::default();
        while let [word, rest @ ..] = args {
            match lower(Some(word)).as_str() {
                "nx" => options.only_new = true,
                "xx" => options.only_held = true,
                "gt" => options.greater = true,
                "lt" => options.less = true,
                "ch" => options.count_changed = true,
                _ => break,
            }
            args = rest;
        }
        if args.is_empty() || args.len() % 2 != 0 {
            return Err(SYNTAX);
        }
        if options.only_new && options.only_held {
            return Err(Refusal::fixed(
                "ERR XX and NX options at the same time are not compatible",
            ));
        }
        if (options.greater && options.less)
            || (options.only_new && (options.greater || options.less))
        {
            return Err(Refusal::fixed(
                "ERR GT, LT, and/or NX options at the same time are not compatible",
            ));
        }
        Ok((options, args))
    }

    fn allows(&self, held: Option<f64>, new: f64) -> bool {
        match held {
            None => !self.only_held,
            Some(held) => {
                !(self.only_new || self.greater && new <= held || self.less && new >= held)
            }
        }
    }
}

fn zadd(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let key = arg(args, 1)?;
    let (options, rest) = AddOptions::parse(args.get(2..).unwrap_or_default())?;
    let mut members = Vec::new();
    for pair in rest.chunks_exact(2) {
        let [text, member] = pair else { continue };
        members.push((number::float(text).ok_or(NOT_FLOAT)?, member));
    }
    let Value::Zset(zset) = call.value_or(key, || Value::Zset(Zset::default())) else {
        return Err(WRONG_TYPE);
    };
    let (mut added, mut changed) = (0, 0);
    for (new, member) in members {
        let held = zset.score(member);
        if !options.allows(held, new) {
            continue;
        }
        zset.insert(member, new);
        added += usize::from(held.is_none());
        changed += usize::from(held != Some(new));
    }
    if changed > 0 {
        call.changed(key);
    } else {
        call.keyspace().remove_if_spent(key);
    }
    Ok(count(if options.count_changed { changed } else { added }))
}

fn zrem(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let members = args.get(2..).unwrap_or_default();
    remove(call, arg(args, 1)?, |_| members.to_vec())
}

fn zrem_range_by_score(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let range = ScoreRange::parse(arg(args, 2)?, arg(args, 3)?)?;
    remove(call, arg(args, 1)?, |zset| {
        let ordered = zset.ordered().into_iter();
        ordered.filter(|(_, score)| range.contains(*score)).map(|(member, _)| member).collect()
    })
}

fn remove(
    call: &mut Call<'_>,
    key: &Bytes,
    which: impl FnOnce(&Zset) -> Vec<Bytes>,
) -> Result<Frame, Refusal> {
    let zset = match call.value_mut(key) {
        None => return Ok(count(0)),
        Some(Value::Zset(zset)) => zset,
        Some(_) => return Err(WRONG_TYPE),
    };
    let members = which(zset);
    let removed = members.iter().filter(|member| zset.remove(member)).count();
    if removed > 0 {
        call.changed(key);
    }
    Ok(count(removed))
}

fn zscore(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let member = arg(args, 2)?;
    let held = zset(call, args)?.and_then(|zset| zset.score(member));
    Ok(held.map_or(Frame::Null, |held| score(held, call.protocol)))
}

fn zrank(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let member = arg(args, 2)?;
    let Some(zset) = zset(call, args)? else { return Ok(Frame::Null) };
    let rank = zset.ordered().iter().position(|(held, _)| held == member);
    Ok(rank.map_or(Frame::Null, count))
}

fn zrange(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let mut with_scores = false;
    let mut reversed = false;
    for word in args.get(4..).unwrap_or_default() {
        match lower(Some(word)).as_str() {
            "withscores" => with_scores = true,
            "rev" => reversed = true,
            _ => return Err(SYNTAX),
        }
    }
    let (from, to) = (integer(args, 2)?, integer(args, 3)?);
    let mut members = zset(call, args)?.map(Zset::ordered).unwrap_or_default();
    if reversed {
        members.reverse();
    }
    let (from, len) = span(from, to, members.len());
    let members = members.into_iter().skip(from).take(len);
    Ok(listed(members, with_scores, call.protocol))
}

fn zrange_by_score(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let range = ScoreRange::parse(arg(args, 2)?, arg(args, 3)?)?;
    let mut with_scores = false;
    let (mut skip, mut take) = (0, usize::MAX);
    let mut rest = args.get(4..).unwrap_or_default();
    while let [word, more @ ..] = rest {
        rest = match (lower(Some(word)).as_str(), more) {
            ("withscores", more) => {
                with_scores = true;
                more
            }
            ("limit", [offset, limit, more @ ..]) => {
                let number =
                    |text: &Bytes| number::integer(text).ok_or(crate::refusal::NOT_INTEGER);
                skip = usize::try_from(number(offset)?).unwrap_or(usize::MAX);
                take = usize::try_from(number(limit)?).unwrap_or(usize::MAX);
                more
            }
            _ => return Err(SYNTAX),
        };
    }
    let members = zset(call, args)?.map(Zset::ordered).unwrap_or_default();
    let members = members.into_iter().filter(|(_, score)| range.contains(*score));
    Ok(listed(members.skip(skip).take(take), with_scores, call.protocol))
}

/// Members as a reply; with scores, RESP3 pairs them and RESP2 lines them up.
fn listed(
    members: impl Iterator<Item = (Bytes, f64)>,
    with_scores: bool,
    protocol: Protocol,
) -> Frame {
    let mut out = Vec::new();
    for (member, held) in members {
        match (with_scores, protocol) {
            (false, _) => out.push(bulk(member)),
            (true, Protocol::Resp2) => out.extend([bulk(member), score(held, protocol)]),
            (true, Protocol::Resp3) => {
                out.push(Frame::Array(vec![bulk(member), score(held, protocol)]));
            }
        }
    }
    Frame::Array(out)
}

/// Scores between two bounds, each of which may be left out by an opening parenthesis.
#[derive(Debug)]
struct ScoreRange {
    min: (f64, bool),
    max: (f64, bool),
}

impl ScoreRange {
    fn parse(min: &Bytes, max: &Bytes) -> Result<Self, Refusal> {
        let bound = |text: &Bytes| {
            let (text, open) = match text.strip_prefix(b"(") {
                Some(text) => (text, true),
                None => (&text[..], false),
            };
            let number = number::float(text).ok_or(Refusal::fixed("ERR min or max is not a float"));
            number.map(|number| (number, open))
        };
        Ok(Self { min: bound(min)?, max: bound(max)? })
    }

    fn contains(&self, score: f64) -> bool {
        let above = if self.min.1 { score > self.min.0 } else { score >= self.min.0 };
        let below = if self.max.1 { score < self.max.0 } else { score <= self.max.0 };
        above && below
    }
}
