//! The scripts that mint fences, and those that heed them. Pure.

use super::Running;
use crate::refusal::Refusal;
use bytes::Bytes;
use resp::Frame;

macro_rules! script {
    ($name:literal) => {
        include_str!(concat!("../../../../src/lock/scripts/", $name, ".lua"))
    };
}
pub(super) use script;

pub(super) const TAKE: &str = concat!(script!("mint"), script!("take_fenced"));
pub(super) const PASS: &str = concat!(script!("mint"), script!("pass_fenced"));
pub(super) const SET: &str = script!("fenced_set");
pub(super) const GET: &str = script!("fenced_get");

/// The largest number within a millisecond.
const LAST_SEQ: u64 = 1_048_575;

pub(super) fn words<const N: usize>(words: [&'static str; N]) -> [Bytes; N] {
    words.map(|word| Bytes::from_static(word.as_bytes()))
}

/// `local function mint(fences, keep) … end`
pub(super) fn mint(
    script: &mut Running<'_, '_>,
    fences: Bytes,
    keep: Bytes,
) -> Result<Bytes, Refusal> {
    let [time, xrevrange, count, one, newest, oldest] =
        words(["TIME", "XREVRANGE", "COUNT", "1", "+", "-"]);
    let (mut ms, mut seq) = match script.redis(&[time])? {
        Frame::Array(parts) => {
            let part = |at: usize| parts.get(at).and_then(number).unwrap_or(0);
            (part(0) * 1000 + part(1) / 1000, part(1) % 1000 * 1000)
        }
        _ => (0, 0),
    };
    let last = script.redis(&[xrevrange, fences.clone(), newest, oldest, count, one])?;
    if let Some((last_ms, last_seq)) = last_id(&last) {
        if last_ms > ms || last_ms == ms && last_seq >= seq {
            (ms, seq) = (last_ms, last_seq + 1);
            if seq > LAST_SEQ {
                (ms, seq) = (last_ms + 1, 0);
            }
        }
    }
    let id = Bytes::from(format!("{ms}-{seq}"));
    let [xadd, max_len, one, field, empty, pexpire] =
        words(["XADD", "MAXLEN", "1", "f", "", "PEXPIRE"]);
    script.redis(&[xadd, fences.clone(), max_len, one, id.clone(), field, empty])?;
    script.redis(&[pexpire, fences, keep])?;
    Ok(id)
}

pub(super) fn number(frame: &Frame) -> Option<u64> {
    match frame {
        Frame::Bulk(text) => std::str::from_utf8(text).ok()?.parse().ok(),
        _ => None,
    }
}

/// The ID of the first of these entries.
fn last_id(entries: &Frame) -> Option<(u64, u64)> {
    let Frame::Array(entries) = entries else { return None };
    let Some(Frame::Array(entry)) = entries.first() else { return None };
    let Some(Frame::Bulk(id)) = entry.first() else { return None };
    let (ms, seq) = std::str::from_utf8(id).ok()?.split_once('-')?;
    Some((ms.parse().ok()?, seq.parse().ok()?))
}

pub(super) fn set_px(
    script: &mut Running<'_, '_>,
    key: Bytes,
    value: Bytes,
    lease: Bytes,
) -> Result<Frame, Refusal> {
    let [set, px] = words(["SET", "PX"]);
    script.redis(&[set, key, value, px, lease])
}

fn get_key(script: &mut Running<'_, '_>) -> Result<(Bytes, Frame), Refusal> {
    let key = script.key(0, "'GET'")?;
    let [get] = words(["GET"]);
    let held = script.redis(&[get, key.clone()])?;
    Ok((key, held))
}

/// `… local fence = mint(KEYS[2], ARGV[3]) redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) …`
pub(super) fn take(script: &mut Running<'_, '_>) -> Result<Frame, Refusal> {
    let (key, held) = get_key(script)?;
    if matches!(held, Frame::Bulk(_)) && !script.equals_arg(&held, 0) {
        return Ok(held);
    }
    let (fences, keep) = (script.key(1, "'XREVRANGE'")?, script.arg(2, "'PEXPIRE'")?);
    let id = mint(script, fences, keep)?;
    let (value, lease) = (script.arg(0, "'SET'")?, script.arg(1, "'SET'")?);
    set_px(script, key, value, lease)?;
    Ok(Frame::Simple(id.into()))
}

/// `… local fence = mint(KEYS[2], ARGV[4]) redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) …`
pub(super) fn pass(script: &mut Running<'_, '_>) -> Result<Frame, Refusal> {
    let (key, held) = get_key(script)?;
    if !script.equals_arg(&held, 0) {
        return Ok(Frame::Integer(0));
    }
    let (fences, keep) = (script.key(1, "'XREVRANGE'")?, script.arg(3, "'PEXPIRE'")?);
    let id = mint(script, fences, keep)?;
    let (value, lease) = (script.arg(1, "'SET'")?, script.arg(2, "'SET'")?);
    set_px(script, key, value, lease)?;
    Ok(Frame::Simple(id.into()))
}

/// Whether somebody with a later fence was there; otherwise key and fence.
fn heed(script: &mut Running<'_, '_>) -> Result<Option<(Bytes, Bytes)>, Refusal> {
    let (key, fence) = (script.key(0, "'HGET'")?, script.arg(0, "'HGET'")?);
    let [hget, field] = words(["HGET", "fence"]);
    let last = script.redis(&[hget, key.clone(), field])?;
    let later = |last: &Bytes| (fence.len(), &fence) < (last.len(), last);
    let is_stale = match last {
        Frame::Bulk(last) => later(&last.into_bytes()),
        _ => false,
    };
    Ok((!is_stale).then_some((key, fence)))
}

/// `… redis.call('HSET', KEYS[1], 'fence', fence, 'value', ARGV[2]) return 1`
pub(super) fn set(script: &mut Running<'_, '_>) -> Result<Frame, Refusal> {
    let Some((key, fence)) = heed(script)? else { return Ok(Frame::Integer(0)) };
    let [hset, fence_field, value_field] = words(["HSET", "fence", "value"]);
    let value = script.arg(1, "'HSET'")?;
    script.redis(&[hset, key, fence_field, fence, value_field, value])?;
    Ok(Frame::Integer(1))
}

/// `… redis.call('HSET', KEYS[1], 'fence', fence) return {redis.call('HGET', KEYS[1], 'value')}`
pub(super) fn get(script: &mut Running<'_, '_>) -> Result<Frame, Refusal> {
    let Some((key, fence)) = heed(script)? else { return Ok(Frame::Null) };
    let [hset, hget, fence_field, value_field] = words(["HSET", "HGET", "fence", "value"]);
    script.redis(&[hset, key.clone(), fence_field, fence])?;
    let value = script.redis(&[hget, key, value_field])?;
    Ok(Frame::Array(vec![value]))
}
