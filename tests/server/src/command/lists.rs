//! Lists: a few commands, so that keys of the wrong type and small queues can be made. Pure.

use super::{ONE_KEY, Spec, flag, plain};
use crate::call::{Call, arg, integer};
use crate::keyspace::Value;
use crate::refusal::{Refusal, WRONG_TYPE};
use crate::reply::{bulks, count, maybe};
use bytes::Bytes;
use resp::Frame;
use std::collections::VecDeque;

const FILL: u16 = flag::WRITE | flag::DENY_OOM | flag::FAST;
const TAKE: u16 = flag::WRITE | flag::FAST;

/// In order of their names.
pub(super) const TABLE: &[Spec] = &[
    plain("llen", 2, flag::READ | flag::FAST, ONE_KEY, len),
    plain("lpop", 2, TAKE, ONE_KEY, |call, args| pop(call, args, VecDeque::pop_front)),
    plain("lpush", -3, FILL, ONE_KEY, |call, args| push(call, args, VecDeque::push_front)),
    plain("lrange", 4, flag::READ, ONE_KEY, range),
    plain("rpop", 2, TAKE, ONE_KEY, |call, args| pop(call, args, VecDeque::pop_back)),
    plain("rpush", -3, FILL, ONE_KEY, |call, args| push(call, args, VecDeque::push_back)),
];

fn list<'a>(call: &'a mut Call<'_>, key: &Bytes) -> Result<Option<&'a VecDeque<Bytes>>, Refusal> {
    match call.entry(key).map(|entry| &entry.value) {
        None => Ok(None),
        Some(Value::List(list)) => Ok(Some(list)),
        Some(_) => Err(WRONG_TYPE),
    }
}

fn push(
    call: &mut Call<'_>,
    args: &[Bytes],
    put: fn(&mut VecDeque<Bytes>, Bytes),
) -> Result<Frame, Refusal> {
    let key = arg(args, 1)?;
    let Value::List(list) = call.value_or(key, || Value::List(VecDeque::new())) else {
        return Err(WRONG_TYPE);
    };
    for element in args.get(2..).unwrap_or_default() {
        put(list, Bytes::copy_from_slice(element));
    }
    let len = list.len();
    call.changed(key);
    Ok(count(len))
}

fn pop(
    call: &mut Call<'_>,
    args: &[Bytes],
    take: fn(&mut VecDeque<Bytes>) -> Option<Bytes>,
) -> Result<Frame, Refusal> {
    let key = arg(args, 1)?;
    let element = match call.value_mut(key) {
        None => return Ok(Frame::Null),
        Some(Value::List(list)) => take(list),
        Some(_) => return Err(WRONG_TYPE),
    };
    call.changed(key);
    Ok(maybe(element))
}

fn len(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    Ok(count(list(call, arg(args, 1)?)?.map_or(0, VecDeque::len)))
}

fn range(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let (from, to) = (integer(args, 2)?, integer(args, 3)?);
    let Some(list) = list(call, arg(args, 1)?)? else { return Ok(Frame::Array(Vec::new())) };
    let (from, len) = span(from, to, list.len());
    Ok(bulks(list.iter().skip(from).take(len).cloned()))
}

/// Where a range of indices begins, and how many elements it has; negative indices count from the end.
pub(super) fn span(from: i64, to: i64, len: usize) -> (usize, usize) {
    let place = |index: i64| match u64::try_from(index) {
        Ok(index) => usize::try_from(index).map(|index| index.min(len)).ok(),
        Err(_) => len.checked_sub(usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX)),
    };
    let from = place(from).unwrap_or(0);
    let end = place(to).map_or(0, |to| (to + 1).min(len));
    (from, end.saturating_sub(from))
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn ranges_count_from_either_end_and_never_beyond() {
        for (from, to, want) in [
            (0, -1, (0, 3)),
            (1, 1, (1, 1)),
            (-2, -1, (1, 2)),
            (-9, 0, (0, 1)),
            (0, -9, (0, 0)),
            (2, 9, (2, 1)),
            (9, 9, (3, 0)),
            (i64::MIN, i64::MAX, (0, 3)),
        ] {
            assert_eq!(span(from, to, 3), want, "{from} {to}");
        }
    }
}
