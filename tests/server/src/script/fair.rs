//! The scripts that keep those who wait for a fair lock in line. Pure.

use super::Running;
use super::fencing::{mint, number, script, set_px, words};
use crate::refusal::Refusal;
use bytes::Bytes;
use resp::Frame;

pub(super) const ASK: &str = concat!(script!("mint"), script!("fair"), script!("fair_ask"));
pub(super) const LEAVE: &str = concat!(script!("mint"), script!("fair"), script!("fair_leave"));

const WEEK: Bytes = Bytes::from_static(b"604800000");

/// The locals at the head of both scripts.
struct Line {
    key: Bytes,
    queue: Bytes,
    lives: Bytes,
    value: Bytes,
    now: u64,
    at: Bytes,
}

impl Line {
    fn of(script: &Running<'_, '_>) -> Result<Self, Refusal> {
        Ok(Self {
            key: script.key(0, "'GET'")?,
            queue: script.key(1, "'ZPOPMIN'")?,
            lives: script.key(2, "'HGET'")?,
            value: script.arg(0, "'SET'")?,
            now: 0,
            at: Bytes::new(),
        })
    }

    /// `local function read_clock() … end`
    fn read_clock(&mut self, script: &mut Running<'_, '_>) -> Result<(), Refusal> {
        let [time] = words(["TIME"]);
        if let Frame::Array(parts) = script.redis(&[time])? {
            let part = |at: usize| parts.get(at).and_then(number).unwrap_or(0);
            self.now = part(0) * 1_000_000 + part(1);
            self.at = Bytes::from(format!("{} {}", part(0), part(1)));
        }
        Ok(())
    }

    fn held(&self, script: &mut Running<'_, '_>) -> Result<Option<Bytes>, Refusal> {
        let [get] = words(["GET"]);
        Ok(text(script.redis(&[get, self.key.clone()])?))
    }

    /// Until when whoever has this inbox, or this value, counts as alive.
    fn alive(&self, script: &mut Running<'_, '_>, who: Bytes) -> Result<Option<u64>, Refusal> {
        let [hget] = words(["HGET"]);
        Ok(number(&script.redis(&[hget, self.lives.clone(), who])?))
    }

    /// `local function is_alive(who) … end`
    fn is_alive(&self, script: &mut Running<'_, '_>, who: Bytes) -> Result<bool, Refusal> {
        Ok(self.alive(script, who)?.is_some_and(|alive| alive >= self.now))
    }

    /// `local function pass_on() … end`
    fn pass_on(&self, script: &mut Running<'_, '_>) -> Result<Option<Bytes>, Refusal> {
        let [zpopmin, publish] = words(["ZPOPMIN", "PUBLISH"]);
        while let Some(place) = first(script.redis(&[zpopmin.clone(), self.queue.clone()])?) {
            let Some([confirm, fenced, inbox, claim, next]) = fields(&place) else { continue };
            let mut told = Frame::Integer(0);
            if self.is_alive(script, inbox.clone())? {
                let fence = if fenced == "1" { fence(script)? } else { Bytes::new() };
                let parts = [&self.key, &next, &claim, &self.at, &fence];
                let message = Bytes::from(parts.map(|part| &part[..]).join(&b'\n'));
                told =
                    script.redis(&[publish.clone(), inbox, message]).unwrap_or(Frame::Integer(1));
            }
            if told != Frame::Integer(0) || self.is_alive(script, next.clone())? {
                set_px(script, self.key.clone(), next.clone(), confirm)?;
                return Ok(Some(next));
            }
        }
        Ok(None)
    }

    /// `local function stand_in_line() … end`
    fn stand_in_line(
        &self,
        script: &mut Running<'_, '_>,
        place: &Bytes,
    ) -> Result<[Frame; 2], Refusal> {
        let [zcard, zrange, end, scores, zadd, nx, zrank, hset, pexpire] = words([
            "ZCARD",
            "ZRANGE",
            "-1",
            "WITHSCORES",
            "ZADD",
            "NX",
            "ZRANK",
            "HSET",
            "PEXPIRE",
        ]);
        if &script.arg(7, "'ZCARD'")?[..] != b"1" {
            return Ok([script.redis(&[zcard, self.queue.clone()])?, Frame::Integer(0)]);
        }
        let last = script.redis(&[zrange, self.queue.clone(), end.clone(), end, scores])?;
        let last = match &last {
            Frame::Array(items) => items.get(1).and_then(number),
            _ => None,
        };
        let turn = last.filter(|last| *last >= self.now).map_or(self.now, |last| last + 1);
        let turn = Bytes::from(turn.to_string());
        let anew = script.redis(&[zadd, self.queue.clone(), nx, turn, place.clone()])?;
        let before = script.redis(&[zrank, self.queue.clone(), place.clone()])?;
        let (keep, who) = (script.arg(4, "'PEXPIRE'")?, script.arg(5, "'HSET'")?);
        let stays = number(&Frame::bulk(keep.clone())).unwrap_or(0);
        let alive = match before {
            Frame::Integer(0) => None,
            _ => self.alive(script, who.clone())?,
        };
        if alive.is_none_or(|alive| alive < self.now + stays * 800) {
            let until = Bytes::from((self.now + stays * 1000).to_string());
            script.redis(&[hset, self.lives.clone(), who, until])?;
            script.redis(&[pexpire.clone(), self.queue.clone(), keep.clone()])?;
            script.redis(&[pexpire, self.lives.clone(), keep])?;
        }
        Ok([before, anew])
    }
}

/// `mint(fences, 604800000)`
fn fence(script: &mut Running<'_, '_>) -> Result<Bytes, Refusal> {
    let fences = script.key(3, "'XADD'")?;
    mint(script, fences, WEEK)
}

fn text(reply: Frame) -> Option<Bytes> {
    match reply {
        Frame::Bulk(text) => Some(text.into_bytes()),
        _ => None,
    }
}

fn first(reply: Frame) -> Option<Bytes> {
    let Frame::Array(items) = reply else { return None };
    text(items.into_iter().next()?)
}

/// `confirm;fenced;inbox;claim;value`, of which only the value may have more of what stands between.
fn fields(place: &Bytes) -> Option<[Bytes; 5]> {
    let fields = place.splitn(5, |&byte| byte == b';').map(|field| place.slice_ref(field));
    fields.collect::<Vec<_>>().try_into().ok()
}

/// `fair_ask.lua`
pub(super) fn ask(script: &mut Running<'_, '_>) -> Result<Frame, Refusal> {
    let mut line = Line::of(script)?;
    let [zrange, zero, zrem, pttl] = words(["ZRANGE", "0", "ZREM", "PTTL"]);
    let [terms, claim] = [script.arg(2, "'ZADD'")?, script.arg(3, "'ZADD'")?];
    let place = Bytes::from([&terms[..], &claim, b";", &line.value].concat());
    let mut held = line.held(script)?;
    let mut found = 2;
    if held.as_ref() != Some(&line.value) {
        found = 0;
        let first = match &held {
            Some(_) => None,
            None => first(script.redis(&[zrange, line.queue.clone(), zero.clone(), zero])?),
        };
        if first.as_ref() == Some(&place) {
            script.redis(&[zrem, line.queue.clone(), place])?;
            found = 1;
        } else if held.is_some() || first.is_some() {
            line.read_clock(script)?;
            let [before, anew] = line.stand_in_line(script, &place)?;
            if held.is_none() {
                held = line.pass_on(script)?;
            }
            found = i64::from(held.is_some());
            if let Some(held) = held.filter(|held| *held != line.value) {
                let left = script.redis(&[pttl, line.key.clone()])?;
                let at = Frame::bulk(line.at);
                return Ok(Frame::Array(vec![
                    Frame::Integer(0),
                    at,
                    left,
                    Frame::bulk(held),
                    before,
                    anew,
                ]));
            }
        }
    }
    let fence = match &script.arg(6, "'XADD'")?[..] {
        b"1" => fence(script)?,
        _ => Bytes::new(),
    };
    let lease = script.arg(1, "'SET'")?;
    set_px(script, line.key, line.value, lease)?;
    Ok(Frame::Array(vec![Frame::Integer(1), Frame::bulk(fence), Frame::Integer(found)]))
}

/// `fair_leave.lua`
pub(super) fn leave(script: &mut Running<'_, '_>) -> Result<Frame, Refusal> {
    let mut line = Line::of(script)?;
    let [del, zrem, hdel, exists] = words(["DEL", "ZREM", "HDEL", "EXISTS"]);
    if line.held(script).ok().flatten().as_ref() != Some(&line.value) {
        let [terms, claim] = [script.arg(1, "'ZREM'")?, script.arg(2, "'ZREM'")?];
        let place = Bytes::from([&terms[..], &claim, b";", &line.value].concat());
        script.redis(&[zrem, line.queue.clone(), place])?;
        script.redis(&[hdel, line.lives.clone(), line.value])?;
        if script.redis(&[exists, line.queue])? == Frame::Integer(0) {
            script.redis(&[del, line.lives])?;
        }
        return Ok(Frame::Integer(0));
    }
    line.read_clock(script)?;
    if line.pass_on(script)?.is_some() {
        return Ok(Frame::Integer(2));
    }
    script.redis(&[del, line.key, line.lives])?;
    Ok(Frame::Integer(1))
}
