//! Commands that found nothing and wait: who waits for what, until when, in which order they are tried again. Pure.

use crate::clock::Now;
use crate::fault::Effect;
use crate::number;
use crate::profile::Profile;
use crate::refusal::Refusal;
use crate::reply::Answer;
use crate::session::ClientId;
use crate::state::State;
use bytes::Bytes;
use std::time::Duration;

/// What a command waits for.
#[derive(Debug)]
pub(crate) struct Block {
    /// What is tried again when a key has changed; none if nothing that happens here can help.
    pub(crate) again: Option<Vec<Bytes>>,
    /// For ever if none.
    pub(crate) time: Option<Duration>,
    /// What it gets when the time is over, and at once where nothing may wait.
    pub(crate) otherwise: Answer,
}

impl Block {
    /// Tries the same command again.
    pub(crate) fn again(args: &[Bytes], time: Option<Duration>) -> Answer {
        let again = args.iter().map(|arg| Bytes::copy_from_slice(arg)).collect();
        Answer::Block(Box::new(Self { again: Some(again), time, otherwise: Answer::NullArray }))
    }

    /// Waits for what never comes.
    pub(crate) fn in_vain(time: Option<Duration>, otherwise: Answer) -> Answer {
        Answer::Block(Box::new(Self { again: None, time, otherwise }))
    }
}

/// A connection whose command waits.
#[derive(Debug)]
pub(crate) struct Blocked {
    id: ClientId,
    block: Block,
    until: Option<Now>,
    effect: Option<Effect>,
}

impl Blocked {
    /// Whether it is this connection that waits.
    pub(crate) fn is(&self, id: ClientId) -> bool {
        self.id == id
    }
}

impl State {
    /// Lets a connection's command wait; `effect` befalls its answer.
    pub(crate) fn block(&mut self, id: ClientId, block: Block, effect: Option<Effect>, now: Now) {
        let ms =
            |time: Duration| u64::try_from(time.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
        let until = block.time.map(|time| now.after_ms(ms(time)));
        self.blocked.push(Blocked { id, block, until, effect });
    }

    /// For how long a connection's command may still wait; none if none does. One whose time is over is answered.
    pub(crate) fn blocked_for(&mut self, id: ClientId, now: Now) -> Option<Option<Duration>> {
        let at = self.blocked.iter().position(|blocked| blocked.is(id))?;
        match self.blocked.get(at)?.until {
            Some(until) if until <= now => {
                self.unblock(id, None);
                None
            }
            until => Some(until.map(|until| now.until(until))),
        }
    }

    /// Ends a connection's wait: with what it gets when its time is over, or with an error. Tells whether it waited.
    pub(crate) fn unblock(&mut self, id: ClientId, error: Option<Refusal>) -> bool {
        let Some(at) = self.blocked.iter().position(|blocked| blocked.is(id)) else {
            return false;
        };
        let blocked = self.blocked.remove(at);
        let error = error.map(|refusal| Answer::Frame(refusal.into()));
        self.reply(id, error.unwrap_or(blocked.block.otherwise), blocked.effect);
        self.served = true;
        true
    }

    /// Tries again what waits, oldest first, as long as that changes something.
    pub(crate) fn serve_blocked(&mut self, now: Now) {
        while std::mem::take(&mut self.touched) {
            let mut at = 0;
            while let Some(blocked) = self.blocked.get(at) {
                let (id, again) = (blocked.id, blocked.block.again.clone());
                match again.and_then(|args| self.try_again(id, &args, now)) {
                    None => at += 1,
                    Some(answer) => {
                        let blocked = self.blocked.remove(at);
                        self.reply(id, answer, blocked.effect);
                        self.served = true;
                    }
                }
            }
        }
    }

    /// A key of a type that the command cannot use does not end the wait.
    fn try_again(&mut self, id: ClientId, args: &[Bytes], now: Now) -> Option<Answer> {
        let spec = self.table.find(args).ok()?;
        self.current = Some(id);
        let answer = self.run(id, spec, args, now);
        self.current = None;
        answer.ok().filter(|answer| !matches!(answer, Answer::Block(_)))
    }

    /// Whether somebody's wait has ended since this was asked last.
    pub(crate) fn take_served(&mut self) -> bool {
        std::mem::take(&mut self.served)
    }
}

/// A time-out in seconds; zero is for ever.
///
/// # Errors
///
/// The server's words for what is none.
pub(crate) fn seconds(text: &[u8], profile: Profile) -> Result<Option<Duration>, Refusal> {
    const NEGATIVE: Refusal = Refusal::fixed("ERR timeout is negative");
    let number =
        number::float(text).ok_or(Refusal::fixed("ERR timeout is not a float or out of range"))?;
    if number < 0.0 {
        return Err(NEGATIVE);
    }
    if number > 9e12 {
        // Redis lets it overflow.
        let too_long = Refusal::fixed("ERR timeout is out of range");
        return Err(if profile == Profile::Valkey9 { too_long } else { NEGATIVE });
    }
    Ok((number > 0.0).then(|| Duration::from_secs_f64(number)))
}

/// A time-out in milliseconds; zero is for ever.
///
/// # Errors
///
/// The server's words for what is none.
pub(crate) fn milliseconds(text: &[u8]) -> Result<Option<Duration>, Refusal> {
    let number = number::integer(text)
        .ok_or(Refusal::fixed("ERR timeout is not an integer or out of range"))?;
    let ms = u64::try_from(number).map_err(|_| Refusal::fixed("ERR timeout is negative"))?;
    Ok((ms > 0).then(|| Duration::from_millis(ms)))
}
