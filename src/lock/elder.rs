//! Locks of ServiceStack.Redis, after which this library is modelled: the value is the time until which the lock holds, and the
//! key has no lease of its own.
//!
//! Its `AcquireLock` writes milliseconds since 1970, its older `DistributedLock` seconds. When that time has passed, whoever comes
//! takes the key over. So do we: by the server's clock, which is the same for all of us, and comparing with what was seen. Other
//! numbers are nobody's time, and are left alone. Pure.

use crate::client::Frame;
use std::time::Duration;

/// The year 2001 in seconds, and in milliseconds the year 5138 in seconds: between them there is no doubt which is meant.
const SECONDS: std::ops::Range<u64> = 1_000_000_000..100_000_000_000;
/// The years 2001 to 33658 in milliseconds.
const MILLIS: std::ops::Range<u64> = 1_000_000_000_000..1_000_000_000_000_000;

/// Until when a value says that its lock holds, in milliseconds since 1970.
pub(crate) fn holds_until(value: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(value).ok()?;
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = digits.parse().ok().filter(|_| plain)?;
    if SECONDS.contains(&number) {
        return Some(number * 1_000);
    }
    MILLIS.contains(&number).then_some(number)
}

/// What is left to that time by the reply to `TIME`.
pub(crate) fn left(until_ms: u64, time: &Frame) -> Option<Duration> {
    let Frame::Array(items) = time else { return None };
    let [Frame::Bulk(seconds), Frame::Bulk(micros)] = &items[..] else { return None };
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<u64>().ok();
    let now = number(seconds)?.checked_mul(1_000)?.checked_add(number(micros)? / 1_000)?;
    Some(Duration::from_millis(until_ms.saturating_sub(now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_times_are_read_as_times() {
        for (value, until) in [
            ("1790000000001", Some(1_790_000_000_001)),
            ("1790000000", Some(1_790_000_000_000)),
            ("1", None),
            ("", None),
            ("999999999", None),
            ("500000000000", None),
            ("+1790000000001", None),
            ("1790000000001 ", None),
            ("1790000000001.5", None),
            ("99999999999999999999999", None),
            ("1;00000000000000000000000011;a;b;1;1;p", None),
        ] {
            assert_eq!(holds_until(value.as_bytes()), until, "{value}");
        }
    }

    #[test]
    fn what_is_left_is_told_by_the_servers_clock() {
        let time = |seconds: &str, micros: &str| {
            let text = |text: &str| Frame::Bulk(text.to_owned().into());
            Frame::Array(vec![text(seconds), text(micros)])
        };
        let until = 1_790_000_000_500;
        assert_eq!(left(until, &time("1790000000", "1999")), Some(Duration::from_millis(499)));
        assert_eq!(left(until, &time("1790000001", "0")), Some(Duration::ZERO));
        assert_eq!(left(until, &Frame::Null), None);
        assert_eq!(left(until, &time("x", "0")), None);
    }
}
