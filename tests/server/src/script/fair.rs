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
    records: Bytes,
    fences: Bytes,
    now: u64,
}

impl Line {
    fn of(script: &mut Running<'_, '_>) -> Result<Self, Refusal> {
        let [time] = words(["TIME"]);
        let now = match script.redis(&[time])? {
            Frame::Array(parts) => {
                let part = |at: usize| parts.get(at).and_then(number).unwrap_or(0);
                part(0) * 1_000_000 + part(1)
            }
            _ => 0,
        };
        Ok(Self {
            key: script.key(0, "'GET'")?,
            queue: script.key(1, "'ZREM'")?,
            records: script.key(2, "'HDEL'")?,
            fences: script.key(3, "'XADD'")?,
            now,
        })
    }

    fn at(&self) -> Bytes {
        Bytes::from(self.now.to_string())
    }

    /// `local function forget(value) … end`
    fn forget(&self, script: &mut Running<'_, '_>, value: &Bytes) -> Result<(), Refusal> {
        let [zrem, hdel] = words(["ZREM", "HDEL"]);
        script.redis(&[zrem, self.queue.clone(), value.clone()])?;
        script.redis(&[hdel, self.records.clone(), value.clone()])?;
        Ok(())
    }

    fn first(&self, script: &mut Running<'_, '_>) -> Result<Option<Bytes>, Refusal> {
        let [zrange, zero] = words(["ZRANGE", "0"]);
        Ok(first(script.redis(&[zrange, self.queue.clone(), zero.clone(), zero])?))
    }

    /// `local function pass_on() … end`
    fn pass_on(&self, script: &mut Running<'_, '_>) -> Result<Option<Bytes>, Refusal> {
        while let Some(value) = self.first(script)? {
            let [hget, publish] = words(["HGET", "PUBLISH"]);
            let record = script.redis(&[hget, self.records.clone(), value.clone()])?;
            self.forget(script, &value)?;
            let Some([alive, confirm, fenced, claim, inbox]) = fields(&record) else { continue };
            if alive.parse::<u64>().is_ok_and(|alive| alive < self.now) {
                continue;
            }
            let fence = match fenced.as_str() {
                "1" => mint(script, self.fences.clone(), WEEK)?,
                _ => Bytes::new(),
            };
            if !inbox.is_empty() {
                let claim = Bytes::from(claim);
                let parts = [&self.key, &value, &claim, &self.at(), &fence];
                let message = Bytes::from(parts.map(|part| &part[..]).join(&b'\n'));
                if script.redis(&[publish, Bytes::from(inbox), message])? == Frame::Integer(0) {
                    continue;
                }
            }
            set_px(script, self.key.clone(), value.clone(), Bytes::from(confirm))?;
            return Ok(Some(value));
        }
        Ok(None)
    }

    /// `local function stand_in_line() … end`
    fn stand_in_line(&self, script: &mut Running<'_, '_>, value: &Bytes) -> Result<(), Refusal> {
        let [zscore, zrange, last, scores, zadd, hset, pexpire] =
            words(["ZSCORE", "ZRANGE", "-1", "WITHSCORES", "ZADD", "HSET", "PEXPIRE"]);
        let queue = || self.queue.clone();
        if script.redis(&[zscore, queue(), value.clone()])? == Frame::Null {
            let found = script.redis(&[zrange, queue(), last.clone(), last, scores])?;
            let ticket = ticket(&found).unwrap_or(0.0) + 1.0;
            script.redis(&[zadd, queue(), Bytes::from(ticket.to_string()), value.clone()])?;
        }
        let keep = script.arg(2, "'HSET'")?;
        let lives = number(&Frame::bulk(keep.clone())).unwrap_or(0);
        let alive = (self.now + lives * 1000).to_string();
        let mut record = vec![Bytes::from(alive)];
        for at in 3..=6 {
            record.push(script.arg(at, "'HSET'")?);
        }
        let record = Bytes::from(record.join(&b';'));
        script.redis(&[hset, self.records.clone(), value.clone(), record])?;
        script.redis(&[pexpire.clone(), queue(), keep.clone()])?;
        script.redis(&[pexpire, self.records.clone(), keep])?;
        Ok(())
    }
}

fn first(reply: Frame) -> Option<Bytes> {
    let Frame::Array(items) = reply else { return None };
    match items.into_iter().next()? {
        Frame::Bulk(value) => Some(value.into_bytes()),
        _ => None,
    }
}

/// The score in a reply to `ZRANGE … WITHSCORES`, in either protocol.
fn ticket(reply: &Frame) -> Option<f64> {
    let Frame::Array(items) = reply else { return None };
    match items.last()? {
        Frame::Array(pair) => score(pair.last()?),
        score_of_it => score(score_of_it),
    }
}

fn score(frame: &Frame) -> Option<f64> {
    match frame {
        Frame::Double(score) => Some(*score),
        Frame::Bulk(text) => std::str::from_utf8(text).ok()?.parse().ok(),
        _ => None,
    }
}

fn fields(record: &Frame) -> Option<[String; 5]> {
    let Frame::Bulk(text) = record else { return None };
    let text = std::str::from_utf8(text).ok()?;
    let fields: Vec<_> = text.splitn(5, ';').map(str::to_owned).collect();
    fields.try_into().ok()
}

/// `fair_ask.lua`
pub(super) fn ask(script: &mut Running<'_, '_>) -> Result<Frame, Refusal> {
    let line = Line::of(script)?;
    let value = script.arg(0, "'SET'")?;
    let waits = &script.arg(7, "'HSET'")?[..] == b"1";
    let [get, pttl, zrank] = words(["GET", "PTTL", "ZRANK"]);
    let mut held = match script.redis(&[get, line.key.clone()])? {
        Frame::Bulk(held) => Some(held.into_bytes()),
        _ => None,
    };
    if held.is_none() && line.first(script)?.is_some_and(|first| first != value) {
        if waits {
            line.stand_in_line(script, &value)?;
        }
        held = line.pass_on(script)?;
    }
    let Some(held) = held.filter(|held| *held != value) else {
        line.forget(script, &value)?;
        let fence = match &script.arg(4, "'XADD'")?[..] {
            b"1" => mint(script, line.fences.clone(), WEEK)?,
            _ => Bytes::new(),
        };
        let lease = script.arg(1, "'SET'")?;
        set_px(script, line.key.clone(), value, lease)?;
        let parts = [Frame::Integer(1), Frame::bulk(line.at()), Frame::bulk(fence)];
        return Ok(Frame::Array(parts.into()));
    };
    if waits {
        line.stand_in_line(script, &value)?;
    }
    let rank = match script.redis(&[zrank, line.queue.clone(), value])? {
        Frame::Null => Frame::Integer(0),
        rank => rank,
    };
    let left = script.redis(&[pttl, line.key.clone()])?;
    let at = Frame::bulk(line.at());
    Ok(Frame::Array(vec![Frame::Integer(0), at, left, Frame::bulk(held), rank]))
}

/// `fair_leave.lua`
pub(super) fn leave(script: &mut Running<'_, '_>) -> Result<Frame, Refusal> {
    let line = Line::of(script)?;
    let [get, del] = words(["GET", "DEL"]);
    let held = script.redis(&[get, line.key.clone()])?;
    if !script.equals_arg(&held, 0) {
        let value = script.arg(0, "'GET'")?;
        line.forget(script, &value)?;
        return Ok(Frame::Integer(0));
    }
    if line.pass_on(script)?.is_some() {
        return Ok(Frame::Integer(2));
    }
    script.redis(&[del, line.key.clone()])?;
    Ok(Frame::Integer(1))
}
