//! Which server is played, and what that server can do.

/// The server whose answers are played, word for word.
///
/// Redis 6.2, Redis 7.0 and Valkey 9 were measured against the real ones. What only Redis 8.4 does is played from its
/// documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Profile {
    /// Redis 6.2: no `SET … NX GET`, no native compare, `COMMAND INFO` with 7 elements.
    Redis6_2,
    /// Redis 7.0: `SET … NX GET`, sharded pub/sub.
    Redis7_0,
    /// Redis 8.4: `SET … IFEQ` and `DELEX`.
    Redis8_4,
    /// Valkey 9.1: `SET … IFEQ` and `DELIFEQ`.
    Valkey9,
}

impl Profile {
    /// Every profile, oldest first.
    pub const ALL: [Self; 4] = [Self::Redis6_2, Self::Redis7_0, Self::Redis8_4, Self::Valkey9];

    /// What `HELLO` says under `server`.
    pub fn server(self) -> &'static str {
        match self {
            Self::Valkey9 => "valkey",
            Self::Redis6_2 | Self::Redis7_0 | Self::Redis8_4 => "redis",
        }
    }

    /// What `HELLO` says under `version`.
    pub fn version(self) -> &'static str {
        match self {
            Self::Redis6_2 => "6.2.5",
            Self::Redis7_0 => "7.0.15",
            Self::Redis8_4 => "8.4.0",
            Self::Valkey9 => "9.1.2",
        }
    }

    /// Whether it words its errors, and shapes `COMMAND INFO`, as Redis 7.0 began to.
    pub(crate) fn since_7_0(self) -> bool {
        self != Self::Redis6_2
    }

    /// Whether it has what Redis 7.2 brought: `CLIENT SETINFO`, `WAITAOF`, a frozen clock in scripts, and own pushes
    /// after the reply.
    pub(crate) fn since_7_2(self) -> bool {
        matches!(self, Self::Redis8_4 | Self::Valkey9)
    }

    /// Whether `SET` takes `IFEQ`.
    pub(crate) fn has_ifeq(self) -> bool {
        self.since_7_2()
    }
}
