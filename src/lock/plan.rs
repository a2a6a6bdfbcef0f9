//! What all acquire calls on one `Lock` share, made once: key, terms, and what a value says about its holder.

use crate::error::Error;
use crate::lock::dialect::{Dialect, Script};
use crate::lock::fairness::Line;
use crate::lock::gate::{Terms, confirm_within};
use crate::lock::lease::Lease;
use crate::lock::options::Options;
use crate::lock::phrases::SetPhrases;
use crate::lock::token::Signature;
use bytes::Bytes;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// What all acquire calls on one lock share.
pub(crate) struct Plan {
    pub(crate) key: Key,
    pub(crate) terms: Terms,
    /// Whether nothing about these terms is special.
    pub(crate) plain: bool,
    pub(crate) signature: Arc<Signature>,
    /// See [`Plan::set_phrases`].
    set_phrases: OnceLock<SetPhrases>,
    /// How often they could have been used to take the key, and were not there.
    said: AtomicU8,
    /// Where releases are announced.
    pub(crate) channel: Bytes,
    /// Where the key's gate was last: a place to look first.
    gate: AtomicUsize,
    /// The stream that fences are minted in; empty if none are.
    pub(crate) fences: Bytes,
    /// What a fair lock has beside its key.
    pub(crate) line: Option<Box<Line>>,
}

/// Which kind of lock it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Waited for in one line with all other processes.
    pub(crate) fair: bool,
    /// Each hold has a fence.
    pub(crate) fenced: bool,
}

impl Terms {
    /// # Errors
    ///
    /// If the lease cannot be counted.
    pub(crate) fn new(options: &Options, kind: Kind) -> Result<Self, Error> {
        Ok(Self {
            lease: Lease::new(options.lease)?.with_delay(options.lock_delay)?,
            renewal: options.renewal,
            max_hold: options.max_hold,
            heartbeat: options.heartbeat,
            at_least: options.at_least_for,
            watch_at_once: options.watch_at_once,
            fenced: kind.fenced,
            fair: kind.fair,
            wakeup: options.wakeup,
            backoff: options.backoff,
        })
    }
}

impl Plan {
    /// As the client of this number takes a lock on these terms.
    pub(crate) fn new(key: Key, terms: Terms, signature: Arc<Signature>, client: u64) -> Self {
        let Terms { fair, fenced, lease, .. } = terms;
        let line = || {
            let [queue, lives] = [b"q", b"w"].map(|name| side_key(&key.bytes, name));
            let keys = [queue, lives, inbox(client)];
            Box::new(Line::new(keys, confirm_within(lease), fenced))
        };
        Self {
            channel: side_key(&key.bytes, CHANNEL),
            fences: if fair || fenced { side_key(&key.bytes, FENCES) } else { Bytes::new() },
            line: fair.then(line),
            key,
            plain: terms.are_plain(),
            terms,
            signature,
            set_phrases: OnceLock::new(),
            said: AtomicU8::new(0),
            gate: AtomicUsize::new(usize::MAX),
        }
    }

    /// What is the same in the commands of all simple holds, for one that is about to take the key: not for the first, as to
    /// make it for a lock that is taken once would cost more than it saves.
    #[inline]
    pub(crate) fn set_phrases(&self, dialect: &Dialect) -> Option<&SetPhrases> {
        self.known_phrases().or_else(|| self.learn(dialect))
    }

    /// The same for any command, where it was made.
    #[inline]
    pub(crate) fn known_phrases(&self) -> Option<&SetPhrases> {
        self.set_phrases.get()
    }

    #[cold]
    fn learn(&self, dialect: &Dialect) -> Option<&SetPhrases> {
        // It asks on the short way, and on the long one.
        const FIRST_HOLD: u8 = 2;
        if self.said.fetch_add(1, Ordering::Relaxed) < FIRST_HOLD {
            return None;
        }
        let (key, value) = (&self.key.bytes, &self.signature.form);
        let phrases = SetPhrases::new(key, value, self.terms.lease);
        let phrases = match self.terms.fenced {
            true => {
                let digest = dialect.calls_by_digest().then(|| Script::TakeFenced.digest())?;
                phrases.fenced([key, &self.fences, digest], value)
            }
            false => phrases,
        };
        Some(self.set_phrases.get_or_init(|| phrases))
    }

    /// See [`Plan::note_gate`]; no place if it was never told.
    #[inline]
    pub(crate) fn gate(&self) -> usize {
        self.gate.load(Ordering::Relaxed)
    }

    /// The key's gate was found here.
    pub(crate) fn note_gate(&self, at: usize) {
        self.gate.store(at, Ordering::Relaxed);
    }
}

/// Not the values, which are secrets; they are not here.
impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("key", &self.key.bytes).field("terms", &self.terms).finish()
    }
}

/// A lock's key with its hash, which is computed once.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    hash: u64,
    pub(crate) bytes: Bytes,
}

impl Key {
    pub(crate) fn new(bytes: Bytes, hasher: &impl BuildHasher) -> Self {
        Self { hash: hasher.hash_one(&bytes[..]), bytes }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        let [mine, others] = [&self.bytes, &other.bytes].map(|bytes| (bytes.as_ptr(), bytes.len()));
        // Most often they are clones of one.
        self.hash == other.hash && (mine == others || self.bytes == other.bytes)
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Takes a [`Key`]'s hash as it is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl BuildHasher for Hashed {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        Self::default()
    }
}

/// The channel on which a client is told that it is its turn.
pub(crate) fn inbox(client: u64) -> Bytes {
    format!("lk:i:{client:016x}").into()
}

/// The names of the channel and of the stream beside a key.
const CHANNEL: &[u8] = b"c";
const FENCES: &[u8] = b"f";

/// The keys that a channel may stand beside.
pub(crate) fn keys_of_channel(channel: &Bytes) -> [Option<Bytes>; 2] {
    let end = channel.len().saturating_sub(CHANNEL.len() + 1);
    let key = channel.slice(..end);
    let bare = key.starts_with(b"{") && key.ends_with(b"}") && key.len() > 2;
    let inner = bare.then(|| key.slice(1..key.len() - 1));
    [Some(key), inner]
}

/// A key or channel beside a lock's key, in the same slot of a cluster.
fn side_key(key: &[u8], name: &[u8]) -> Bytes {
    let tagged = has_tag(key);
    let parts: [&[u8]; 4] = if tagged { [b"", key, b":", name] } else { [b"{", key, b"}:", name] };
    parts.concat().into()
}

/// Whether there is something in braces.
fn has_tag(key: &[u8]) -> bool {
    let open = key.iter().position(|&byte| byte == b'{');
    let rest = open.and_then(|open| key.get(open + 1..)).unwrap_or_default();
    rest.iter().position(|&byte| byte == b'}').is_some_and(|length| length > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Client;
    use crate::config::Config;
    use tenure_server::{Profile, Server};

    #[tokio::test(start_paused = true)]
    async fn phrases_are_made_for_the_second_hold_of_a_lock_that_can_use_them() {
        for profile in [Profile::Valkey9, Profile::Redis7_0] {
            let server = Server::new(profile);
            let client = Client::with_config(Config::dialer(server.dialer())).await.unwrap();
            // Until there is a connection, nobody knows what it can use.
            client.lock("other").acquire().await.unwrap().release().await.unwrap();
            for (fair, made) in [(false, [false, true]), (true, [false, false])] {
                let lock = client.lock(format!("fair {fair}"));
                let lock = if fair { lock.fair() } else { lock };
                for made in made {
                    lock.acquire().await.unwrap().release().await.unwrap();
                    let plan = &lock.ready().unwrap().plan;
                    assert_eq!(plan.known_phrases().is_some(), made, "{profile:?}, fair {fair}");
                }
            }
        }
    }

    #[test]
    fn side_keys_share_the_tag_of_their_lock() {
        for (key, side) in [
            ("lk:a", "{lk:a}:c"),
            ("lk:{a}", "lk:{a}:c"),
            ("{a}b", "{a}b:c"),
            ("lk:{}a", "{lk:{}a}:c"),
        ] {
            assert_eq!(side_key(key.as_bytes(), CHANNEL), side);
            let keys = keys_of_channel(&Bytes::from(side));
            assert!(keys.into_iter().flatten().any(|found| found == key));
        }
    }
}
