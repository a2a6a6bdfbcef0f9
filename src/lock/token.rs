//! Owner tokens, and the value of a lock's key: the token for the server to compare, the holder for people to read.
//!
//! ```text
//! 1;3V7Q0W…26 characters;billing;host-7;4711;1790000000000;nightly close
//! ```
//!
//! Version, token, label, host, process id, milliseconds since 1970, purpose. One line of ASCII; what would break it is
//! written `%XX`. Pure: entropy and time are handed in.

use crate::client::Decimal;
use crate::lock::speech::Speech;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Crockford's base 32: no letter that reads like a digit.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// The longest label, host or purpose, before escaping.
const MAX_FIELD: usize = 64;

/// Letters of a token, and where they stand in a value.
const TOKEN: usize = 26;
const TOKEN_AT: usize = 2;
/// Digits of the milliseconds since 1970, from 2001 to 2286.
const SINCE: usize = 13;
const LATEST: u64 = 10_u64.pow(13) - 1;

/// All pairs of its letters: ten bits at a time are half the work.
const PAIRS: [[u8; 2]; 1024] = {
    let (mut pairs, mut at) = ([[0; 2]; 1024], 0);
    while at < pairs.len() {
        pairs[at] = [ALPHABET[at >> 5], ALPHABET[at & 31]];
        at += 1;
    }
    pairs
};

/// Proves who holds a lock: 128 random bits, new for every acquire call, never shown.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct OwnerToken([u8; TOKEN]);

impl OwnerToken {
    /// Makes another token of it, in its place.
    #[inline]
    pub(crate) fn renew(&mut self, high: u64, low: u64) {
        for (at, pair) in self.0.chunks_exact_mut(2).rev().enumerate() {
            let bits = match at {
                0..=5 => low >> (10 * at),
                6 => low >> 60 | high << 4,
                _ => high >> (10 * at - 64),
            };
            pair.copy_from_slice(&PAIRS[(bits & 1023) as usize]);
        }
    }
}

impl fmt::Debug for OwnerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnerToken")
    }
}

/// When a claim was made, in milliseconds since the beginning of 1970, as many digits as there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Since([u8; SINCE]);

impl Since {
    /// So long after the beginning of 1970. What is said of a clock that is wrong by decades is wrong anyway.
    pub(crate) fn new(wall: Duration) -> Self {
        let millis = u64::try_from(wall.as_millis()).unwrap_or(u64::MAX).min(LATEST);
        let mut digits = [b'0'; SINCE];
        let known = Decimal::of(millis);
        for (place, digit) in digits.iter_mut().rev().zip(known.digits().iter().rev()) {
            *place = *digit;
        }
        Self(digits)
    }
}

/// What a claim's value says that no other one does.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Stamp {
    pub(crate) token: OwnerToken,
    pub(crate) since: Since,
}

/// Who holds a lock, as far as the lock's value tells: everything about a user of this library, nothing about others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder(Option<Box<Identity>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    label: String,
    host: String,
    pid: u32,
    since: SystemTime,
    purpose: String,
}

impl Holder {
    /// Whether the holder uses this library; otherwise it is another library, or a person.
    pub fn is_known(&self) -> bool {
        self.0.is_some()
    }

    /// The label in the holder's options; empty if there is none.
    pub fn label(&self) -> &str {
        self.0.as_ref().map_or("", |identity| &identity.label)
    }

    /// The name of the holder's machine; empty if it is not known.
    pub fn host(&self) -> &str {
        self.0.as_ref().map_or("", |identity| &identity.host)
    }

    /// The holder's process id on its machine.
    pub fn pid(&self) -> Option<u32> {
        self.0.as_ref().map(|identity| identity.pid)
    }

    /// When the holder began to acquire, by its machine's clock, to within a few milliseconds.
    pub fn since(&self) -> Option<SystemTime> {
        self.0.as_ref().map(|identity| identity.since)
    }

    /// The purpose in the holder's options; empty if there is none.
    pub fn purpose(&self) -> &str {
        self.0.as_ref().map_or("", |identity| &identity.purpose)
    }
}

/// A text with room for a claim's stamp.
#[derive(PartialEq, Eq)]
pub(crate) struct Form {
    text: Box<[u8]>,
    token_at: usize,
    since_at: usize,
}

impl Form {
    /// The same between two others.
    pub(crate) fn between(&self, before: &[u8], behind: &[u8]) -> Self {
        let [token_at, since_at] = [self.token_at, self.since_at].map(|at| before.len() + at);
        Self { text: [before, &self.text, behind].concat().into(), token_at, since_at }
    }

    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// Appends the text with a stamp in it.
    #[inline]
    pub(crate) fn write(&self, stamp: &Stamp, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.text);
        let text = out.get_mut(start..).unwrap_or_default();
        put(stamp.token.0, self.token_at, text);
        put(stamp.since.0, self.since_at, text);
    }
}

#[inline]
fn put<const LEN: usize>(digits: [u8; LEN], at: usize, text: &mut [u8]) {
    if let Some(place) = text.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = digits;
    }
}

/// What every value of one lock in one process says, but for the stamp.
#[derive(PartialEq, Eq)]
pub(crate) struct Signature {
    /// A whole value.
    pub(crate) form: Form,
    who: Box<str>,
    /// What is said where releases are announced.
    pub(crate) speech: Speech,
}

impl Signature {
    pub(crate) fn new([label, host, purpose]: [&str; 3], pid: u32, client: u64) -> Self {
        let mut who = String::from(";");
        escape(label, &mut who);
        who.push(';');
        escape(host, &mut who);
        who.push_str(&format!(";{pid};"));
        let mut text = format!("1;{:0TOKEN$}{who}{:0SINCE$};", 0, 0);
        escape(purpose, &mut text);
        let (text, since_at) = (text.into_bytes().into(), TOKEN_AT + TOKEN + who.len());
        let speech = Speech::new(client, &who);
        Self { form: Form { text, token_at: TOKEN_AT, since_at }, who: who.into(), speech }
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signature").field("who", &self.who).finish_non_exhaustive()
    }
}

/// The part of a value that is the same for all locks that one process takes under one label.
pub(crate) fn process(value: &[u8]) -> Option<&[u8]> {
    const BEFORE: usize = TOKEN_AT + TOKEN;
    let rest = value.get(BEFORE..).filter(|_| value.starts_with(b"1;"))?;
    let mut ends = rest.iter().enumerate().filter(|(_, byte)| **byte == b';');
    rest.get(..=ends.nth(3)?.0)
}

/// Reads who holds a lock off its value.
pub(crate) fn holder(value: &[u8]) -> Holder {
    Holder(parse(value).map(Box::new))
}

fn parse(value: &[u8]) -> Option<Identity> {
    let text = std::str::from_utf8(value).ok().filter(|text| text.is_ascii())?;
    let mut fields = text.split(';');
    if fields.next()? != "1" || fields.next()?.len() != 26 {
        return None;
    }
    let [label, host] = [unescape(fields.next()?)?, unescape(fields.next()?)?];
    let pid = fields.next()?.parse().ok()?;
    let since = UNIX_EPOCH.checked_add(Duration::from_millis(fields.next()?.parse().ok()?))?;
    let purpose = unescape(fields.next()?)?;
    fields.next().is_none().then_some(Identity { label, host, pid, since, purpose })
}

fn escape(field: &str, out: &mut String) {
    let mut end = field.len().min(MAX_FIELD);
    while !field.is_char_boundary(end) {
        end -= 1;
    }
    for byte in field.bytes().take(end) {
        if (byte.is_ascii_graphic() || byte == b' ') && byte != b';' && byte != b'%' {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

fn unescape(field: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut parts = field.split('%');
    bytes.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(part.get(2..)?.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(identity) = &self.0 else {
            return f.write_str("somebody who does not say who they are");
        };
        let Identity { label, host, pid, purpose, .. } = &**identity;
        let who = if label.is_empty() { "process" } else { label };
        write!(f, "{} {pid}", printable(who))?;
        if !host.is_empty() {
            write!(f, " on {}", printable(host))?;
        }
        if !purpose.is_empty() {
            write!(f, " for '{}'", printable(purpose))?;
        }
        Ok(())
    }
}

/// Text of somebody else's making must not steer a terminal.
fn printable(text: &str) -> impl fmt::Display {
    text.escape_debug()
}

#[cfg(test)]
mod tests {
    use super::*;

    impl OwnerToken {
        pub(crate) fn new(high: u64, low: u64) -> Self {
            let mut token = Self::default();
            token.renew(high, low);
            token
        }
    }

    const NOW: Duration = Duration::from_millis(1_790_000_000_123);

    fn value(token: OwnerToken, fields: [&str; 3], pid: u32, since: Duration) -> String {
        let mut out = Vec::new();
        let stamp = Stamp { token, since: Since::new(since) };
        Signature::new(fields, pid, 1).form.write(&stamp, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn value_is_one_line_of_ascii_that_reads_back() {
        let text = value(OwnerToken::new(0, 33), ["bill;ing", "höst", "100%\r\n"], 7, NOW);
        assert_eq!(
            text,
            "1;00000000000000000000000011;bill%3Bing;h%C3%B6st;7;1790000000123;100%25%0D%0A"
        );
        let who = b";bill%3Bing;h%C3%B6st;7;";
        assert_eq!(process(text.as_bytes()), Some(&who[..]));
        assert_eq!(process(b"1790000000000"), None);
        let holder = holder(text.as_bytes());
        assert_eq!((holder.label(), holder.host()), ("bill;ing", "höst"));
        assert_eq!((holder.pid(), holder.since()), (Some(7), Some(UNIX_EPOCH + NOW)));
        assert_eq!(holder.purpose(), "100%\r\n");
    }

    #[test]
    fn long_fields_are_cut_at_a_character() {
        let long = "ä".repeat(100);
        let text = value(OwnerToken::new(1, 1), [&long, "", ""], 1, Duration::ZERO);
        assert_eq!(holder(text.as_bytes()).label(), "ä".repeat(32));
    }

    #[test]
    fn values_are_as_long_by_a_clock_that_is_wrong_by_decades() {
        let say = |since| value(OwnerToken::new(1, 1), ["", "", ""], 1, since);
        for (since, told) in [
            (Duration::ZERO, Duration::ZERO),
            (Duration::from_millis(7), Duration::from_millis(7)),
            (Duration::MAX, Duration::from_millis(LATEST)),
        ] {
            assert_eq!(say(since).len(), say(NOW).len());
            assert_eq!(holder(say(since).as_bytes()).since(), Some(UNIX_EPOCH + told));
        }
    }

    #[test]
    fn stamp_finds_its_place_in_whatever_is_around_the_value() {
        let stamp = Stamp { token: OwnerToken::new(3, 4), since: Since::new(NOW) };
        let form = Signature::new(["label", "host", "purpose"], 7, 1).form;
        let (mut value, mut command) = (Vec::new(), b"before".to_vec());
        form.write(&stamp, &mut value);
        let around = form.between(b"[", b"").between(b"SET ", b"]");
        around.write(&stamp, &mut command);
        assert_eq!(command, [b"beforeSET [", &value[..], b"]"].concat());
        assert_eq!(around.len(), form.len() + 6);
    }

    #[test]
    fn tokens_use_all_their_bits() {
        let OwnerToken(out) = OwnerToken::new(u64::MAX, u64::MAX);
        assert_eq!(&out, b"7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
        for bit in 0..64 {
            for (high, low) in [(1 << bit, 0), (0, 1 << bit)] {
                let OwnerToken(out) = OwnerToken::new(high, low);
                let digits = out.iter().map(|byte| ALPHABET.iter().position(|other| other == byte));
                let read = digits.fold(0, |read, digit| read << 5 | digit.unwrap() as u128);
                assert_eq!(read, u128::from(high) << 64 | u128::from(low));
            }
        }
    }

    #[test]
    fn foreign_values_are_unknown_holders() {
        for foreign in [
            &b""[..],
            b"1790000000000",
            b"1;short;a;b;1;1;p",
            b"2;00000000000000000000000011;a;b;1;1;p",
            b"1;00000000000000000000000011;a;b;x;1;p",
            b"1;00000000000000000000000011;a;b;1;1;p;more",
            b"1;00000000000000000000000011;a;b;1;99999999999999999999999;p",
            b"1;00000000000000000000000011;%;b;1;1;p",
            b"\xff\xfe",
        ] {
            assert!(!holder(foreign).is_known(), "{foreign:?}");
        }
    }

    #[test]
    fn holder_is_described_without_control_characters() {
        let text = value(OwnerToken::new(1, 2), ["billing", "h\u{1b}[2J", ""], 9, Duration::ZERO);
        assert_eq!(holder(text.as_bytes()).to_string(), "billing 9 on h\\u{1b}[2J");
    }
}
