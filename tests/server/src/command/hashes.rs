//! Hashes and sets, as far as they are needed. Pure.

use super::{ONE_KEY, Spec, flag, plain};
use crate::call::{Call, arg};
use crate::keyspace::Value;
use crate::refusal::{Refusal, WRONG_TYPE};
use crate::reply::{count, flag as yes_or_no, maybe};
use bytes::Bytes;
use resp::Frame;
use std::collections::{BTreeMap, BTreeSet};

const FAST_READ: u16 = flag::READ | flag::FAST;
const FILL: u16 = flag::WRITE | flag::DENY_OOM | flag::FAST;
const TAKE: u16 = flag::WRITE | flag::FAST;

/// In order of their names.
pub(super) const TABLE: &[Spec] = &[
    plain("hdel", -3, TAKE, ONE_KEY, hdel),
    plain("hexists", 3, FAST_READ, ONE_KEY, |call, args| {
        Ok(yes_or_no(hash(call, args)?.is_some_and(|hash| hash.contains_key(&args[2]))))
    }),
    plain("hget", 3, FAST_READ, ONE_KEY, |call, args| {
        Ok(maybe(hash(call, args)?.and_then(|hash| hash.get(&args[2]).cloned())))
    }),
    plain("hgetall", 2, flag::READ, ONE_KEY, hgetall),
    plain("hlen", 2, FAST_READ, ONE_KEY, |call, args| {
        Ok(count(hash(call, args)?.map_or(0, BTreeMap::len)))
    }),
    plain("hset", -4, FILL, ONE_KEY, hset),
    plain("sadd", -3, FILL, ONE_KEY, sadd),
    plain("scard", 2, FAST_READ, ONE_KEY, |call, args| {
        Ok(count(set(call, args)?.map_or(0, BTreeSet::len)))
    }),
    plain("sismember", 3, FAST_READ, ONE_KEY, |call, args| {
        Ok(yes_or_no(set(call, args)?.is_some_and(|set| set.contains(&args[2]))))
    }),
    plain("smembers", 2, flag::READ, ONE_KEY, |call, args| {
        let members = set(call, args)?.into_iter().flatten();
        Ok(Frame::Set(members.cloned().map(Frame::bulk).collect()))
    }),
    plain("srem", -3, TAKE, ONE_KEY, srem),
];

fn hash<'a>(
    call: &'a mut Call<'_>,
    args: &[Bytes],
) -> Result<Option<&'a BTreeMap<Bytes, Bytes>>, Refusal> {
    match call.entry(arg(args, 1)?).map(|entry| &entry.value) {
        None => Ok(None),
        Some(Value::Hash(hash)) => Ok(Some(hash)),
        Some(_) => Err(WRONG_TYPE),
    }
}

fn set<'a>(call: &'a mut Call<'_>, args: &[Bytes]) -> Result<Option<&'a BTreeSet<Bytes>>, Refusal> {
    match call.entry(arg(args, 1)?).map(|entry| &entry.value) {
        None => Ok(None),
        Some(Value::Set(set)) => Ok(Some(set)),
        Some(_) => Err(WRONG_TYPE),
    }
}

fn hgetall(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let fields = hash(call, args)?.into_iter().flatten();
    let pairs = fields.map(|(name, value)| (Frame::bulk(name.clone()), Frame::bulk(value.clone())));
    Ok(Frame::Map(pairs.collect()))
}

fn hset(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let (key, rest) = (arg(args, 1)?, args.get(2..).unwrap_or_default());
    if rest.len() % 2 != 0 {
        return Err(Refusal::arity("hset"));
    }
    let Value::Hash(hash) = call.value_or(key, || Value::Hash(BTreeMap::new())) else {
        return Err(WRONG_TYPE);
    };
    let mut added = 0;
    for pair in rest.chunks_exact(2) {
        let [name, value] = pair else { continue };
        let (name, value) = (Bytes::copy_from_slice(name), Bytes::copy_from_slice(value));
        added += usize::from(hash.insert(name, value).is_none());
    }
    call.changed(key);
    Ok(count(added))
}

fn hdel(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let key = arg(args, 1)?;
    let hash = match call.value_mut(key) {
        None => return Ok(count(0)),
        Some(Value::Hash(hash)) => hash,
        Some(_) => return Err(WRONG_TYPE),
    };
    let names = args.get(2..).unwrap_or_default();
    let removed = names.iter().filter(|name| hash.remove(*name).is_some()).count();
    if removed > 0 {
        call.changed(key);
    }
    Ok(count(removed))
}

fn sadd(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let key = arg(args, 1)?;
    let Value::Set(set) = call.value_or(key, || Value::Set(BTreeSet::new())) else {
        return Err(WRONG_TYPE);
    };
    let members = args.get(2..).unwrap_or_default().iter();
    let added = members.filter(|member| set.insert(Bytes::copy_from_slice(member))).count();
    if added > 0 {
        call.changed(key);
    }
    Ok(count(added))
}

fn srem(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let key = arg(args, 1)?;
    let set = match call.value_mut(key) {
        None => return Ok(count(0)),
        Some(Value::Set(set)) => set,
        Some(_) => return Err(WRONG_TYPE),
    };
    let members = args.get(2..).unwrap_or_default().iter();
    let removed = members.filter(|member| set.remove(*member)).count();
    if removed > 0 {
        call.changed(key);
    }
    Ok(count(removed))
}
