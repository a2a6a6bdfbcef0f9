//! What is known of commands that wait: how long they do, and how to give back what one took for a caller who has gone. Pure.

use crate::client::args::Args;
use crate::client::refused::blocks;
use bytes::Bytes;
use resp::Frame;
use std::time::Duration;

/// How long a command may wait at the server, by its own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    For(Duration),
    /// Until something comes.
    Forever,
}

impl Wait {
    /// Both, one after the other.
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::For(first), Self::For(second)) => Self::For(first.saturating_add(second)),
            _ => Self::Forever,
        }
    }
}

/// How long a command may wait; one that cannot be read is refused by the server at once.
pub(crate) fn wait(args: &Args) -> Wait {
    let words: Vec<&[u8]> = args.iter().collect();
    let name = words.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
    let seconds = |text: Option<&&[u8]>| number(text).map(Duration::try_from_secs_f64);
    let time = match &name[..] {
        b"BLPOP" | b"BRPOP" | b"BRPOPLPUSH" | b"BLMOVE" | b"BZPOPMIN" | b"BZPOPMAX" => {
            seconds(words.last())
        }
        b"BLMPOP" | b"BZMPOP" => seconds(words.get(1)),
        b"WAIT" | b"WAITAOF" => number(words.last()).map(milliseconds),
        b"XREAD" | b"XREADGROUP" if blocks(args) => {
            let at = words.iter().position(|word| word.eq_ignore_ascii_case(b"BLOCK"));
            number(at.and_then(|at| words.get(at + 1))).map(milliseconds)
        }
        _ => None,
    };
    match time {
        Some(Ok(Duration::ZERO)) => Wait::Forever,
        Some(Ok(time)) => Wait::For(time),
        Some(Err(_)) | None => Wait::For(Duration::ZERO),
    }
}

fn number(text: Option<&&[u8]>) -> Option<f64> {
    std::str::from_utf8(text?).ok()?.parse().ok()
}

fn milliseconds(number: f64) -> Result<Duration, std::time::TryFromFloatSecsError> {
    Duration::try_from_secs_f64(number / 1000.0)
}

/// The command that puts back where it was what `args` took out: at the same end of its list, or with its score unless somebody
/// has added the member anew. None for commands that take nothing away, and for a reply that has nothing.
pub(crate) fn give_back(args: &Args, reply: Frame) -> Option<Args> {
    let name = args.iter().next()?.to_ascii_uppercase();
    let Frame::Array(parts) = reply else { return None };
    let mut parts = parts.into_iter();
    let key = text(parts.next()?)?;
    let mut back = Args::default();
    match &name[..] {
        b"BLPOP" | b"BRPOP" => {
            list(&mut back, &key, name.starts_with(b"BL"));
            back.push(&text(parts.next()?)?);
        }
        b"BLMPOP" => {
            let Frame::Array(elements) = parts.next()? else { return None };
            list(&mut back, &key, from_left(args)?);
            // The one that was taken first comes back last, and so is first again.
            for element in elements.into_iter().rev() {
                back.push(&text(element)?);
            }
        }
        b"BZPOPMIN" | b"BZPOPMAX" => {
            zset(&mut back, &key);
            scored(&mut back, parts)?;
        }
        b"BZMPOP" => {
            let Frame::Array(pairs) = parts.next()? else { return None };
            zset(&mut back, &key);
            for pair in pairs {
                let Frame::Array(pair) = pair else { return None };
                scored(&mut back, pair.into_iter())?;
            }
        }
        _ => return None,
    }
    Some(back)
}

/// The word behind the keys of `BLMPOP timeout numkeys key… LEFT`.
fn from_left(args: &Args) -> Option<bool> {
    let keys: usize = std::str::from_utf8(args.iter().nth(2)?).ok()?.parse().ok()?;
    let end = args.iter().nth(keys.checked_add(3)?)?;
    Some(end.eq_ignore_ascii_case(b"LEFT"))
}

fn list(back: &mut Args, key: &[u8], left: bool) {
    back.push(if left { b"LPUSH" } else { b"RPUSH" });
    back.push(key);
}

fn zset(back: &mut Args, key: &[u8]) {
    back.push(b"ZADD");
    back.push(key);
    back.push(b"NX");
}

/// A member and its score, the other way round.
fn scored(back: &mut Args, mut pair: impl Iterator<Item = Frame>) -> Option<()> {
    let member = text(pair.next()?)?;
    match pair.next()? {
        Frame::Double(score) => back.push(score.to_string().as_bytes()),
        score => back.push(&text(score)?),
    }
    back.push(&member);
    Some(())
}

fn text(frame: Frame) -> Option<Bytes> {
    match frame {
        Frame::Bulk(text) | Frame::Simple(text) => Some(text.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::convert::ToArg as _;

    fn args(line: &str) -> Args {
        let mut args = Args::default();
        line.split(' ').collect::<Vec<_>>().write_args(&mut args);
        args
    }

    #[test]
    fn time_stands_where_each_command_has_it() {
        let ms = |ms| Wait::For(Duration::from_millis(ms));
        for (line, wanted) in [
            ("blpop a b 0", Wait::Forever),
            ("BRPOP a 1.5", ms(1500)),
            ("BLMOVE a b LEFT RIGHT 2", ms(2000)),
            ("BLMPOP 3 1 a LEFT", ms(3000)),
            ("BZMPOP 0 1 a MIN", Wait::Forever),
            ("BZPOPMIN a 0.25", ms(250)),
            ("XREAD BLOCK 250 STREAMS s $", ms(250)),
            ("XREADGROUP GROUP g c block 0 STREAMS s >", Wait::Forever),
            ("XREAD STREAMS BLOCK 7", ms(0)),
            ("WAIT 1 100", ms(100)),
            ("WAITAOF 1 0 0", Wait::Forever),
            ("BLPOP a never", ms(0)),
            ("BLPOP a -1", ms(0)),
            ("BLPOP a 1e300", ms(0)),
            ("GET 5", ms(0)),
        ] {
            assert_eq!(wait(&args(line)), wanted, "{line}");
        }
        assert_eq!(ms(1).and(ms(2)), ms(3));
        assert_eq!(ms(1).and(Wait::Forever), Wait::Forever);
    }

    fn bulk(text: &str) -> Frame {
        Frame::bulk(Bytes::copy_from_slice(text.as_bytes()))
    }

    fn array<const N: usize>(items: [Frame; N]) -> Frame {
        Frame::Array(items.into())
    }

    #[test]
    fn what_was_taken_goes_back_to_where_it_was() {
        let pair = array([bulk("k"), bulk("a")]);
        let many = array([bulk("k"), array([bulk("a"), bulk("b")])]);
        let scored = array([bulk("k"), bulk("m"), Frame::Double(1.5)]);
        let old = array([bulk("k"), bulk("m"), bulk("1.5")]);
        let pairs = [array([bulk("m"), Frame::Double(2.0)]), array([bulk("n"), bulk("1")])];
        let pairs = array([bulk("k"), array(pairs)]);
        for (line, reply, wanted) in [
            ("BLPOP x k 0", pair.clone(), Some("LPUSH k a")),
            ("brpop k 0", pair.clone(), Some("RPUSH k a")),
            ("BLMPOP 0 1 k LEFT COUNT 2", many.clone(), Some("LPUSH k b a")),
            ("BLMPOP 0 2 left k RIGHT COUNT 2", many, Some("RPUSH k b a")),
            ("BZPOPMIN k 0", scored, Some("ZADD k NX 1.5 m")),
            ("BZPOPMAX k 0", old, Some("ZADD k NX 1.5 m")),
            ("BZMPOP 0 1 k MAX COUNT 2", pairs, Some("ZADD k NX 2 m 1 n")),
            ("BLMOVE k d LEFT LEFT 0", bulk("a"), None),
            ("XREAD BLOCK 0 STREAMS k $", pair.clone(), None),
            ("BLPOP k 0", Frame::Null, None),
            ("BLPOP k 0", array([bulk("k")]), None),
            ("LPOP k", pair, None),
        ] {
            let back = give_back(&args(line), reply);
            let back = back
                .map(|args| args.iter().map(String::from_utf8_lossy).collect::<Vec<_>>().join(" "));
            assert_eq!(back.as_deref(), wanted, "{line}");
        }
    }
}
