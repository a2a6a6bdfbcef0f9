//! Which of the two protocols a connection speaks.

/// RESP2 or RESP3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a third protocol would be a new major version")]
pub enum Protocol {
    /// Up to Redis 5, and after `HELLO 2`.
    Resp2,
    /// After `HELLO 3`. Reads RESP2 as well.
    Resp3,
}
