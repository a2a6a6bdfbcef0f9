//! Taking elements out of lists and sorted sets, and waiting for them. Pure.

use super::{Keys, ONE_KEY, Spec, control, flag, lower};
use crate::blocking::{Block, seconds};
use crate::call::{Call, arg};
use crate::keyspace::Value;
use crate::number;
use crate::profile::Profile;
use crate::refusal::{Refusal, SYNTAX, WRONG_TYPE};
use crate::reply::{Answer, bulk, score};
use bytes::Bytes;
use resp::{Frame, Protocol};

const TAKE: u16 = flag::WRITE | flag::FAST;
const WAIT: u16 = flag::WRITE | flag::NO_SCRIPT;
const MOVE: u16 = flag::WRITE | flag::DENY_OOM;
const WAIT_MOVE: u16 = MOVE | flag::NO_SCRIPT;
/// All arguments but the last, which is the time-out.
const KEYS_THEN_TIME: Keys = (1, -2, 1);
const FROM_TO: Keys = (1, 2, 1);

/// In order of their names.
pub(super) const TABLE: &[Spec] = &[
    control("blmove", 6, WAIT_MOVE, |call, args| {
        let (from, to) = (List::end(args, 3)?, List::end(args, 4)?);
        let time = seconds(arg(args, 5)?, call.profile)?;
        Ok(moved(call, args, from, to)?.unwrap_or_else(|| Block::again(args, time)))
    })
    .keyed(FROM_TO),
    control("blmpop", -5, WAIT, |call, args| pop_many(call, args, List::end, Waits::Yes))
        .only(Profile::since_7_0),
    control("blpop", -3, WAIT, |call, args| pop_first(call, args, List::Left))
        .keyed(KEYS_THEN_TIME),
    control("brpop", -3, WAIT, |call, args| pop_first(call, args, List::Right))
        .keyed(KEYS_THEN_TIME),
    control("brpoplpush", 4, WAIT_MOVE, |call, args| {
        let time = seconds(arg(args, 3)?, call.profile)?;
        let moved = moved(call, args, List::Right, List::Left)?;
        Ok(moved.unwrap_or_else(|| Block::again(args, time)))
    })
    .keyed(FROM_TO),
    control("bzmpop", -5, WAIT, |call, args| pop_many(call, args, Zset::end, Waits::Yes))
        .only(Profile::since_7_0),
    control("bzpopmax", -3, WAIT, |call, args| pop_first(call, args, Zset::Max))
        .keyed(KEYS_THEN_TIME),
    control("bzpopmin", -3, WAIT, |call, args| pop_first(call, args, Zset::Min))
        .keyed(KEYS_THEN_TIME),
    control("lmove", 5, MOVE, |call, args| {
        let moved = moved(call, args, List::end(args, 3)?, List::end(args, 4)?)?;
        Ok(moved.unwrap_or(Answer::Frame(Frame::Null)))
    })
    .keyed(FROM_TO),
    control("lmpop", -4, flag::WRITE, |call, args| pop_many(call, args, List::end, Waits::No))
        .only(Profile::since_7_0),
    control("rpoplpush", 3, MOVE, |call, args| {
        let moved = moved(call, args, List::Right, List::Left)?;
        Ok(moved.unwrap_or(Answer::Frame(Frame::Null)))
    })
    .keyed(FROM_TO),
    control("zmpop", -4, flag::WRITE, |call, args| pop_many(call, args, Zset::end, Waits::No))
        .only(Profile::since_7_0),
    control("zpopmax", -2, TAKE, |call, args| zpop(call, args, Zset::Max)).keyed(ONE_KEY),
    control("zpopmin", -2, TAKE, |call, args| zpop(call, args, Zset::Min)).keyed(ONE_KEY),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waits {
    Yes,
    No,
}

/// An end of a collection that elements are taken from.
trait End: Copy {
    /// How the words of a command name it.
    fn end(args: &[Bytes], at: usize) -> Result<Self, Refusal>;

    /// Takes up to `count` elements, as the replies to commands that take one or many show them; none from an empty one.
    fn take(
        self,
        value: &mut Value,
        count: usize,
        protocol: Protocol,
    ) -> Result<Vec<Frame>, Refusal>;

    /// What stands in a reply behind the key, for one element.
    fn flat(element: Frame) -> Vec<Frame>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    Left,
    Right,
}

impl End for List {
    fn end(args: &[Bytes], at: usize) -> Result<Self, Refusal> {
        match lower(args.get(at)).as_str() {
            "left" => Ok(Self::Left),
            "right" => Ok(Self::Right),
            _ => Err(SYNTAX),
        }
    }

    fn take(self, value: &mut Value, count: usize, _: Protocol) -> Result<Vec<Frame>, Refusal> {
        let Value::List(list) = value else { return Err(WRONG_TYPE) };
        let pop = || match self {
            Self::Left => list.pop_front(),
            Self::Right => list.pop_back(),
        };
        Ok(std::iter::from_fn(pop).take(count).map(Frame::bulk).collect())
    }

    fn flat(element: Frame) -> Vec<Frame> {
        vec![element]
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Zset {
    Min,
    Max,
}

impl End for Zset {
    fn end(args: &[Bytes], at: usize) -> Result<Self, Refusal> {
        match lower(args.get(at)).as_str() {
            "min" => Ok(Self::Min),
            "max" => Ok(Self::Max),
            _ => Err(SYNTAX),
        }
    }

    fn take(
        self,
        value: &mut Value,
        count: usize,
        protocol: Protocol,
    ) -> Result<Vec<Frame>, Refusal> {
        let Value::Zset(zset) = value else { return Err(WRONG_TYPE) };
        let mut members = zset.ordered();
        if self == Self::Max {
            members.reverse();
        }
        members.truncate(count);
        for (member, _) in &members {
            zset.remove(member);
        }
        let pair = |(member, held)| Frame::Array(vec![bulk(member), score(held, protocol)]);
        Ok(members.into_iter().map(pair).collect())
    }

    fn flat(pair: Frame) -> Vec<Frame> {
        match pair {
            Frame::Array(parts) => parts,
            other => vec![other],
        }
    }
}

/// Takes up to `count` elements from one end of a key.
fn take<E: End>(
    call: &mut Call<'_>,
    key: &Bytes,
    end: E,
    count: usize,
) -> Result<Vec<Frame>, Refusal> {
    let protocol = call.protocol;
    let Some(value) = call.value_mut(key) else { return Ok(Vec::new()) };
    let taken = end.take(value, count, protocol)?;
    if !taken.is_empty() {
        call.changed(key);
    }
    Ok(taken)
}

/// `BLPOP` and its like: one element of the first key that has one.
fn pop_first<E: End>(call: &mut Call<'_>, args: &[Bytes], end: E) -> Result<Answer, Refusal> {
    let [_, keys @ .., time] = args else { return Err(SYNTAX) };
    let time = seconds(time, call.profile)?;
    for key in keys {
        if let Some(element) = take(call, key, end, 1)?.pop() {
            let mut reply = vec![bulk(Bytes::copy_from_slice(key))];
            reply.extend(E::flat(element));
            return Ok(Answer::Frame(Frame::Array(reply)));
        }
    }
    Ok(Block::again(args, time))
}

/// `LMPOP` and its like: `[timeout] numkeys key… end [COUNT n]`.
fn pop_many<E: End>(
    call: &mut Call<'_>,
    args: &[Bytes],
    end: fn(&[Bytes], usize) -> Result<E, Refusal>,
    waits: Waits,
) -> Result<Answer, Refusal> {
    let first = if waits == Waits::Yes { 2 } else { 1 };
    let time = if waits == Waits::Yes { seconds(arg(args, 1)?, call.profile)? } else { None };
    let positive = |at: usize, what: &str| {
        let number = args.get(at).and_then(|text| number::integer(text));
        let number = number.and_then(|number| usize::try_from(number).ok());
        let refusal = || Refusal::new(format!("ERR {what} should be greater than 0"));
        number.filter(|&number| number > 0).ok_or_else(refusal)
    };
    let keys = positive(first, "numkeys")?;
    let behind = first.saturating_add(keys).saturating_add(1);
    let end = end(args, behind)?;
    let count = match args.get(behind + 1..).unwrap_or_default() {
        [] => 1,
        [word, _] if lower(Some(word)) == "count" => positive(behind + 2, "count")?,
        _ => return Err(SYNTAX),
    };
    for key in args.get(first + 1..behind).unwrap_or_default() {
        let taken = take(call, key, end, count)?;
        if !taken.is_empty() {
            let reply = vec![bulk(Bytes::copy_from_slice(key)), Frame::Array(taken)];
            return Ok(Answer::Frame(Frame::Array(reply)));
        }
    }
    Ok(if waits == Waits::Yes { Block::again(args, time) } else { Answer::NullArray })
}

/// Takes one element and puts it into another list, or the same.
fn moved(
    call: &mut Call<'_>,
    args: &[Bytes],
    from: List,
    to: List,
) -> Result<Option<Answer>, Refusal> {
    let (source, target) = (arg(args, 1)?, arg(args, 2)?);
    match call.entry(source).map(|entry| &entry.value) {
        None => return Ok(None),
        Some(Value::List(_)) => {}
        Some(_) => return Err(WRONG_TYPE),
    }
    if !matches!(call.entry(target).map(|entry| &entry.value), None | Some(Value::List(_))) {
        return Err(WRONG_TYPE);
    }
    let Some(Frame::Bulk(element)) = take(call, source, from, 1)?.pop() else { return Ok(None) };
    if let Value::List(list) = call.value_or(target, || Value::List(Default::default())) {
        match to {
            List::Left => list.push_front(element.clone().into()),
            List::Right => list.push_back(element.clone().into()),
        }
    }
    call.changed(target);
    Ok(Some(Answer::Frame(Frame::Bulk(element))))
}

/// Without a count one member and its score, with one RESP3 pairs them and RESP2 lines them up.
fn zpop(call: &mut Call<'_>, args: &[Bytes], end: Zset) -> Result<Answer, Refusal> {
    let count = match args.get(2..).unwrap_or_default() {
        [] => None,
        [count] => {
            let count = number::integer(count).and_then(|count| usize::try_from(count).ok());
            Some(count.ok_or(Refusal::fixed("ERR value is out of range, must be positive"))?)
        }
        _ => return Err(SYNTAX),
    };
    let taken = take(call, arg(args, 1)?, end, count.unwrap_or(1))?;
    let pairs = count.is_some() && matches!(call.protocol, Protocol::Resp3);
    let frames = if pairs { taken } else { taken.into_iter().flat_map(Zset::flat).collect() };
    Ok(Answer::Frame(Frame::Array(frames)))
}
