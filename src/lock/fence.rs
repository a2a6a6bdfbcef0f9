//! `FencingToken`: which grant of a lock this is. It only rises.
//!
//! The server makes it: the ID of an entry in a stream beside the lock, milliseconds and a sequence number. A stream's IDs
//! rise while it lives; and because they carry the time, they rise after it was lost as well. Pure.

use crate::client::{Args, ToArg};
use std::fmt;
use std::num::NonZeroU64;

/// For how long a stream of fences is kept after the last one, in milliseconds: a week.
pub(crate) const KEPT_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// How many bits the sequence number has within a millisecond.
const SEQUENCE_BITS: u32 = 20;
/// How many the milliseconds have, so that the whole is positive as an `i64`. They last until the year 2248.
const TIME_BITS: u32 = 43;

/// Which grant of a lock this is: each one is greater than all before it, of the same name on the same server.
///
/// To be given to whatever the lock protects, which refuses what comes with a smaller one than it has seen. Then a holder
/// that was paused, or that lost its lock without knowing, does no harm: whoever came after it is known by a greater token.
///
/// It is made by the server, and carries its time: it rises also after the server has lost its data. It does not if
/// the server's clock was set back together with the loss; and a server without scripts may repeat itself if the lock's
/// fences begin, are lost and begin again within two milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FencingToken(NonZeroU64);

impl FencingToken {
    /// Reads an entry's ID, such as `1790000000123-45000`.
    pub(crate) fn parse(id: &[u8]) -> Option<Self> {
        let dash = id.iter().position(|byte| *byte == b'-')?;
        let (ms, sequence) = (number(id.get(..dash)?)?, number(id.get(dash + 1..)?)?);
        if ms >> TIME_BITS != 0 || sequence >> SEQUENCE_BITS != 0 {
            return None;
        }
        NonZeroU64::new(ms << SEQUENCE_BITS | defect!(42, 0, sequence)).map(Self)
    }

    /// The token that this is as a number.
    pub(crate) fn of(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    /// The token as a number.
    pub fn as_u64(self) -> u64 {
        self.0.get()
    }

    /// The same for what knows no unsigned numbers, such as SQL's `BIGINT`. It is positive.
    pub fn as_i64(self) -> i64 {
        i64::try_from(self.as_u64()).unwrap_or(i64::MAX)
    }
}

/// Reads a number as servers write them: digits, and nothing else; of no more than so many that none overflows.
fn number(digits: &[u8]) -> Option<u64> {
    const MOST: usize = 19;
    if !(1..=MOST).contains(&digits.len()) {
        return None;
    }
    let mut number = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number * 10 + u64::from(digit);
    }
    Some(number)
}

impl From<FencingToken> for u64 {
    fn from(token: FencingToken) -> Self {
        token.as_u64()
    }
}

impl From<FencingToken> for i64 {
    fn from(token: FencingToken) -> Self {
        token.as_i64()
    }
}

/// In decimal.
impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ToArg for FencingToken {
    fn write_args(&self, args: &mut Args) {
        args.push_i64(defect!(43, self.as_i64() as f64 as i64, self.as_i64()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_rise_as_ids_do_and_fit_a_signed_number() {
        let last = (1_u64 << TIME_BITS) - 1;
        let ids = ["0-1", "0-1048575", "1-0", "1790000000123-45000", "1790000000124-0"];
        let mut tokens: Vec<_> =
            ids.iter().map(|id| FencingToken::parse(id.as_bytes()).unwrap()).collect();
        tokens.push(FencingToken::parse(format!("{last}-1048575").as_bytes()).unwrap());
        assert!(tokens.is_sorted_by(|one, other| one < other));
        assert!(tokens.iter().all(|token| token.as_i64() > 0));
        assert_eq!(tokens.last().unwrap().as_i64(), i64::MAX);
        assert_eq!(tokens[2].to_string(), "1048576");
    }

    #[test]
    fn what_has_no_room_in_a_token_is_none() {
        let long = "99999999999999999999999-1";
        let others =
            ["0-0", "1-1048576", "8796093022208-0", "1", "-1", "1-", "x-1", "1-1-1", "+1-1"];
        for id in others.into_iter().chain(["", long]) {
            assert_eq!(FencingToken::parse(id.as_bytes()), None, "{id}");
        }
    }
}
