//! The options of `SET`.

use crate::client::args::Args;
use crate::client::convert::ToArg;
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
    Equal(Args),
}

#[derive(Debug, Clone, Default)]
enum Expiry {
    #[default]
    Never,
    In(Duration),
    Kept,
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
        value.write_args(&mut args);
        self.condition = Condition::Equal(args);
        self
    }

    /// Let the key expire after `ttl`, in whole milliseconds, at least one (`PX`).
    pub fn expire(mut self, ttl: Duration) -> Self {
        self.expiry = Expiry::In(ttl);
        self
    }

    /// Keep the expiry that the key has (`KEEPTTL`).
    pub fn keep_ttl(mut self) -> Self {
        self.expiry = Expiry::Kept;
        self
    }

    pub(crate) fn write(&self, args: &mut Args) {
        match &self.condition {
            Condition::Always => {}
            Condition::Absent => args.push_encoded(b"$2\r\nNX\r\n"),
            Condition::Present => args.push_encoded(b"$2\r\nXX\r\n"),
            Condition::Equal(value) => {
                args.push(b"IFEQ");
                args.append(value);
            }
        }
        match self.expiry {
            Expiry::Never => {}
            Expiry::In(ttl) => {
                args.push_encoded(b"$2\r\nPX\r\n");
                args.push_i64(millis(ttl));
            }
            Expiry::Kept => args.push(b"KEEPTTL"),
        }
    }
}

/// Whole milliseconds, at least one: zero would be refused or would delete.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX).max(1)
}
