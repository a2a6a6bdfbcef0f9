//! The options of `SET`.

use crate::client::args::Args;
use crate::client::convert::ToArg;
use crate::client::encode::{self, Ink, next_bulk};
use crate::client::handle::check_length;
use crate::error::Error;
use std::time::Duration;

/// Conditions and expiry of [`Client::set_with`](crate::Client::set_with). Without any, the value is stored for good.
#[derive(Debug, Clone, Default)]
pub struct SetOptions {
    condition: Condition,
    expiry: Expiry,
}

#[derive(Debug, Clone, Default)]
enum Condition {
    #[default]
    Always,
    Absent,
    Present,
    /// `IFEQ` and the value.
    Equal(Args),
}

#[derive(Debug, Clone, Default)]
enum Expiry {
    #[default]
    Never,
    In(Ttl),
    Kept,
}

/// `PX` and a number, encoded when the option is set and not for each command.
#[derive(Debug, Clone)]
struct Ttl {
    bulks: [u8; Self::LONGEST.len()],
    len: usize,
}

impl Ttl {
    const LONGEST: &[u8] = b"\r\n$2\r\nPX\r\n$19\r\n9223372036854775807";

    fn new(ttl: Duration) -> Self {
        let mut args = Args::default();
        args.push(b"PX");
        args.push_i64(millis(ttl));
        let mut bulks = [0; Self::LONGEST.len()];
        bulks.iter_mut().zip(args.bulks()).for_each(|(place, &byte)| *place = byte);
        Self { bulks, len: args.bulks().len() }
    }

    fn bulks(&self) -> &[u8] {
        self.bulks.get(..self.len).unwrap_or_default()
    }
}

impl SetOptions {
    /// No condition, no expiry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Store only if the key does not exist (`NX`).
    pub fn if_absent(mut self) -> Self {
        self.condition = Condition::Absent;
        self
    }

    /// Store only if the key exists (`XX`).
    pub fn if_present(mut self) -> Self {
        self.condition = Condition::Present;
        self
    }

    /// Store only if the key has this value (`IFEQ`; Valkey 8.1, Redis 8.4 and later).
    pub fn if_equal(mut self, value: impl ToArg) -> Self {
        let mut args = Args::default();
        args.push(b"IFEQ");
        value.write_args(&mut args);
        self.condition = Condition::Equal(args);
        self
    }

    /// Let the key expire after `ttl`, in whole milliseconds, at least one (`PX`).
    pub fn expire(mut self, ttl: Duration) -> Self {
        self.expiry = Expiry::In(Ttl::new(ttl));
        self
    }

    /// Keep the expiry that the key has (`KEEPTTL`).
    pub fn keep_ttl(mut self) -> Self {
        self.expiry = Expiry::Kept;
        self
    }

    /// Refuses what a server would close the connection for.
    #[inline]
    pub(crate) fn check_length(&self) -> Result<(), Error> {
        match &self.condition {
            Condition::Equal(args) => check_length(args),
            _ => Ok(()),
        }
    }

    pub(crate) fn write(&self, args: &mut Args) {
        for (count, bulks) in self.parts() {
            args.push_encoded(count, bulks);
        }
    }

    /// Appends `SET` with these options, whole.
    #[inline]
    pub(crate) fn write_command(&self, key: &[u8], value: &[u8], out: &mut Ink) {
        let [(some, condition), (more, expiry)] = self.parts();
        encode::array_header(3 + some + more, out);
        out.extend_from_slice(b"$3\r\nSET");
        next_bulk(key, out);
        next_bulk(value, out);
        out.extend_from_slice(condition);
        out.extend_from_slice(expiry);
        out.extend_from_slice(b"\r\n");
    }

    /// Condition and expiry: how many arguments, and these encoded, with a line end in front and none behind.
    #[inline]
    fn parts(&self) -> [(usize, &[u8]); 2] {
        let condition: (usize, &[u8]) = match &self.condition {
            Condition::Always => (0, b""),
            Condition::Absent => (1, b"\r\n$2\r\nNX"),
            Condition::Present => (1, b"\r\n$2\r\nXX"),
            Condition::Equal(args) => (args.len(), args.bulks()),
        };
        let expiry: (usize, &[u8]) = match &self.expiry {
            Expiry::Never => (0, b""),
            Expiry::In(ttl) => (2, ttl.bulks()),
            Expiry::Kept => (1, b"\r\n$7\r\nKEEPTTL"),
        };
        [condition, expiry]
    }
}

/// Whole milliseconds, at least one: zero would be refused or would delete.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As arguments; written at once, they are the same behind key and value.
    fn encoded(options: &SetOptions) -> String {
        let text = |out: Ink| String::from_utf8_lossy(&out).replace("\r\n", " ");
        let (mut args, mut out, mut whole) = (Args::default(), Ink::new(), Ink::new());
        options.write(&mut args);
        let count = 3 + args.len();
        args.write(&mut out);
        options.write_command(b"k", b"eleven long", &mut whole);
        let options = text(out);
        let (_, bulks) = options.split_once(' ').unwrap();
        assert_eq!(text(whole), format!("*{count} $3 SET $1 k $11 eleven long {bulks}"));
        options
    }

    #[test]
    fn options_are_encoded_whatever_their_length() {
        let new = SetOptions::new;
        assert_eq!(encoded(&new()), "*0 ");
        let longest = new().if_absent().expire(Duration::MAX);
        assert_eq!(encoded(&longest), "*3 $2 NX $2 PX $19 9223372036854775807 ");
        assert_eq!(encoded(&new().expire(Duration::ZERO)), "*2 $2 PX $1 1 ");
        let equal = new().if_present().if_equal("old").expire(Duration::from_secs(1)).keep_ttl();
        assert_eq!(encoded(&equal), "*3 $4 IFEQ $3 old $7 KEEPTTL ");
        let tokens: Vec<_> = (0..12).collect();
        assert_eq!(encoded(&new().if_equal(tokens)).split(' ').next(), Some("*13"));
    }
}
