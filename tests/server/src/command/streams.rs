//! Streams, as far as fences need them. Pure.

use super::{ONE_KEY, Spec, control, flag, lower, plain};
use crate::blocking::{Block, milliseconds};
use crate::call::{Call, arg};
use crate::keyspace::Value;
use crate::number;
use crate::refusal::{NOT_INTEGER, Refusal, SYNTAX, WRONG_TYPE};
use crate::reply::{Answer, bulk, bulks, count};
use crate::stream::{Stream, StreamEntry, StreamId};
use bytes::Bytes;
use resp::{Frame, Protocol};

/// In order of their names.
pub(super) const TABLE: &[Spec] = &[
    plain("xadd", -5, flag::WRITE | flag::DENY_OOM | flag::FAST, ONE_KEY, xadd),
    plain("xlen", 2, flag::READ | flag::FAST, ONE_KEY, xlen),
    control("xread", -4, flag::READ | flag::NO_SCRIPT, xread),
    plain("xrange", -4, flag::READ, ONE_KEY, |call, args| xrange(call, args, false)),
    plain("xrevrange", -4, flag::READ, ONE_KEY, |call, args| xrange(call, args, true)),
];

const BAD_ID: Refusal =
    Refusal::fixed("ERR Invalid stream ID specified as stream command argument");
const ZERO_ID: Refusal = Refusal::fixed("ERR The ID specified in XADD must be greater than 0-0");
const NOT_RISING: Refusal = Refusal::fixed(
    "ERR The ID specified in XADD is equal or smaller than the target stream top item",
);

/// The ID that `XADD` asks for.
#[derive(Debug, Clone, Copy)]
enum WantedId {
    Next,
    NextIn(u64),
    Exactly(StreamId),
}

/// What stands between the key and the fields of `XADD`.
#[derive(Debug)]
struct AddOptions {
    make: bool,
    max_len: Option<usize>,
    /// `MAXLEN ~`: trims whole nodes only, so never one of a small stream.
    about: bool,
    id: WantedId,
}

impl AddOptions {
    /// Reads options and ID, and gives the fields.
    fn parse<'a>(call: &Call<'_>, mut args: &'a [Bytes]) -> Result<(Self, &'a [Bytes]), Refusal> {
        let (mut make, mut max_len, mut about) = (true, None, false);
        loop {
            let [word, rest @ ..] = args else { return Err(Refusal::arity("xadd")) };
            args = match (lower(Some(word)).as_str(), rest) {
                ("nomkstream", rest) => {
                    make = false;
                    rest
                }
                ("maxlen", [sign, rest @ ..]) => {
                    let (limit, rest) = match (&sign[..], rest) {
                        (b"~" | b"=", [limit, rest @ ..]) => {
                            about = &sign[..] == b"~";
                            (limit, rest)
                        }
                        _ => (sign, rest),
                    };
                    let limit = number::integer(limit).ok_or(NOT_INTEGER)?;
                    let limit = usize::try_from(limit)
                        .map_err(|_| Refusal::fixed("ERR The MAXLEN argument must be >= 0."))?;
                    max_len = Some(limit);
                    rest
                }
                ("maxlen" | "minid" | "limit", _) => return Err(SYNTAX),
                _ => break,
            };
        }
        let [id, fields @ ..] = args else { return Err(Refusal::arity("xadd")) };
        if fields.is_empty() || fields.len() % 2 != 0 {
            return Err(Refusal::arity("xadd"));
        }
        let id = match id.strip_suffix(b"-*") {
            _ if &id[..] == b"*" => WantedId::Next,
            Some(ms) if call.profile.since_7_0() => {
                let ms = StreamId::parse(ms, 0).filter(|_| !ms.contains(&b'-')).ok_or(BAD_ID)?;
                WantedId::NextIn(ms.ms)
            }
            _ => WantedId::Exactly(StreamId::parse(id, 0).ok_or(BAD_ID)?),
        };
        Ok((Self { make, max_len, about, id }, fields))
    }
}

fn xadd(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let key = arg(args, 1)?;
    let (options, fields) = AddOptions::parse(call, args.get(2..).unwrap_or_default())?;
    if matches!(options.id, WantedId::Exactly(StreamId::MIN)) {
        return Err(ZERO_ID);
    }
    if !options.make && call.entry(key).is_none() {
        return Ok(Frame::Null);
    }
    let now_ms = u64::try_from(call.now.ms()).unwrap_or(0);
    let fresh = call.entry(key).is_none();
    let Value::Stream(stream) = call.value_or(key, || Value::Stream(Stream::default())) else {
        return Err(WRONG_TYPE);
    };
    let id = match options.id {
        WantedId::Next => stream.next_id(now_ms),
        WantedId::NextIn(ms) => stream.next_in(ms),
        WantedId::Exactly(id) => Some(id),
    };
    let fields = fields.iter().map(|field| Bytes::copy_from_slice(field)).collect();
    let Some(id) = id.filter(|id| stream.push(*id, fields)) else {
        if fresh {
            call.keyspace().remove(key);
        }
        return Err(NOT_RISING);
    };
    if let Some(max) = options.max_len.filter(|_| !options.about) {
        stream.trim(max);
    }
    call.changed(key);
    Ok(Frame::bulk(id.to_string()))
}

fn stream<'a>(call: &'a mut Call<'_>, key: &Bytes) -> Result<Option<&'a Stream>, Refusal> {
    match call.entry(key).map(|entry| &entry.value) {
        None => Ok(None),
        Some(Value::Stream(stream)) => Ok(Some(stream)),
        Some(_) => Err(WRONG_TYPE),
    }
}

fn xlen(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    Ok(count(stream(call, arg(args, 1)?)?.map_or(0, Stream::len)))
}

fn xrange(call: &mut Call<'_>, args: &[Bytes], reversed: bool) -> Result<Frame, Refusal> {
    let (first, second) = (arg(args, 2)?, arg(args, 3)?);
    let (low, high) = if reversed { (second, first) } else { (first, second) };
    let from = bound(low, 0)?;
    let to = bound(high, u64::MAX)?;
    let limit = match args.get(4..).unwrap_or_default() {
        [] => usize::MAX,
        [word, limit] if lower(Some(word)) == "count" => {
            let limit = number::integer(limit).ok_or(NOT_INTEGER)?;
            usize::try_from(limit).unwrap_or(0)
        }
        _ => return Err(SYNTAX),
    };
    let Some(stream) = stream(call, arg(args, 1)?)? else { return Ok(Frame::Array(Vec::new())) };
    let entries = stream.range(from, to);
    let entries: Vec<_> = match reversed {
        true => entries.rev().take(limit).map(entry).collect(),
        false => entries.take(limit).map(entry).collect(),
    };
    Ok(Frame::Array(entries))
}

/// `XREAD [COUNT n] [BLOCK ms] STREAMS key… id…`
fn xread(call: &mut Call<'_>, args: &[Bytes]) -> Result<Answer, Refusal> {
    let (mut limit, mut wait) = (usize::MAX, None);
    let mut at = 1;
    let names = loop {
        match (lower(args.get(at)).as_str(), args.get(at + 1)) {
            ("count", Some(count)) => {
                let count = number::integer(count).ok_or(NOT_INTEGER)?;
                limit =
                    usize::try_from(count).ok().filter(|&count| count > 0).unwrap_or(usize::MAX);
                at += 2;
            }
            ("block", Some(ms)) => {
                wait = Some(milliseconds(ms)?);
                at += 2;
            }
            ("streams", Some(_)) => break args.get(at + 1..).unwrap_or_default(),
            _ => return Err(SYNTAX),
        }
    };
    if names.len() % 2 != 0 {
        let text = "ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified.";
        return Err(Refusal::fixed(text));
    }
    let (keys, ids) = names.split_at(names.len() / 2);
    let mut found = Vec::new();
    // What a `$` stands for is settled now, also for when it is tried again.
    let mut again = args.to_vec();
    for (index, (key, id)) in keys.iter().zip(ids).enumerate() {
        let held = stream(call, key)?;
        let last = held.map(Stream::last).unwrap_or_default();
        let after = match &id[..] {
            b"$" => last,
            id => StreamId::parse(id, 0).ok_or(BAD_ID)?,
        };
        if let Some(place) = again.get_mut(at + 1 + keys.len() + index) {
            *place = Bytes::from(after.to_string());
        }
        let Some((from, held)) = after.next().zip(held) else { continue };
        let entries: Vec<_> = held.range(from, StreamId::MAX).take(limit).map(entry).collect();
        if !entries.is_empty() {
            found.push((bulk(Bytes::copy_from_slice(key)), Frame::Array(entries)));
        }
    }
    Ok(match (found.is_empty(), wait, call.protocol) {
        (true, None, _) => Answer::NullArray,
        (true, Some(time), _) => Block::again(&again, time),
        (false, _, Protocol::Resp3) => Answer::Frame(Frame::Map(found)),
        (false, _, Protocol::Resp2) => {
            let pairs = found.into_iter().map(|(key, entries)| Frame::Array(vec![key, entries]));
            Answer::Frame(Frame::Array(pairs.collect()))
        }
    })
}

/// One end of a range: `-`, `+`, an ID, or an ID that is left out.
fn bound(text: &Bytes, missing_seq: u64) -> Result<StreamId, Refusal> {
    match &text[..] {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        [b'(', rest @ ..] => {
            let id = StreamId::parse(rest, missing_seq).ok_or(BAD_ID)?;
            let next = if missing_seq == 0 { id.next() } else { id.previous() };
            next.ok_or(Refusal::fixed("ERR invalid start ID for the interval"))
        }
        text => StreamId::parse(text, missing_seq).ok_or(BAD_ID),
    }
}

fn entry((id, fields): &StreamEntry) -> Frame {
    let id = Frame::bulk(id.to_string());
    Frame::Array(vec![id, bulks(fields.iter().cloned())])
}
