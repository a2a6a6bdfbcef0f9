//! Which key a command is about, and which of several connections a key keeps.
//!
//! Any command may travel on any connection: what a route decides is only the order in which commands leave that were begun one
//! after the other without waiting. Those of one key, or of keys with one `{tag}`, keep theirs.
//!
//! Pure.

use crate::client::args::Args;

/// Where in a command its first key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Nowhere,
    /// The argument with this number; the name is number 0.
    At(usize),
    /// Behind the number of keys, which is the argument with this number.
    Counted(usize),
    /// Behind the word `STREAMS`.
    Streams,
}

/// The first key that a command names.
pub(crate) fn key(args: &Args) -> Option<&[u8]> {
    let mut words = args.iter();
    let name = words.next()?;
    // The iterator stands behind the name, so argument `n` is its `n - 1`.
    match place(name) {
        Place::Nowhere => None,
        Place::At(index) => words.nth(index.checked_sub(1)?),
        Place::Counted(index) => match words.nth(index.checked_sub(1)?)? {
            b"0" => None,
            _ => words.next(),
        },
        Place::Streams => {
            words.find(|word| word.eq_ignore_ascii_case(b"STREAMS"))?;
            words.next()
        }
    }
}

/// Which of `connections` the key keeps.
pub(crate) fn connection(key: &[u8], connections: usize) -> usize {
    // FNV-1a, whose upper bits hardly change with the last bytes of a key; so they are mixed once more, as MurmurHash3 does.
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let fnv = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(PRIME);
    let mut hash = tag(key).iter().fold(OFFSET, fnv);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    let scaled = (u128::from(hash ^ (hash >> 33)) * connections as u128) >> 64;
    usize::try_from(scaled).unwrap_or_default()
}

/// What counts of a key: the text between its first `{` and the next `}`, if there is any, as in a cluster.
fn tag(key: &[u8]) -> &[u8] {
    let tagged = || {
        let open = key.iter().position(|&byte| byte == b'{')?;
        let inner = key.get(open + 1..)?;
        let len = inner.iter().position(|&byte| byte == b'}')?;
        inner.get(..len).filter(|tag| !tag.is_empty())
    };
    tagged().unwrap_or(key)
}

/// Most commands name their key first. A name that is not known here is taken for one of those.
fn place(name: &[u8]) -> Place {
    let mut buffer = [0; 16];
    let Some(upper) = buffer.get_mut(..name.len()) else { return Place::At(1) };
    upper.copy_from_slice(name);
    upper.make_ascii_uppercase();
    match &*upper {
        b"ACL" | b"BGREWRITEAOF" | b"BGSAVE" | b"CLIENT" | b"CLUSTER" | b"COMMAND" | b"CONFIG"
        | b"DBSIZE" | b"DEBUG" | b"ECHO" | b"FAILOVER" | b"FLUSHALL" | b"FLUSHDB" | b"FUNCTION"
        | b"INFO" | b"KEYS" | b"LASTSAVE" | b"LATENCY" | b"LOLWUT" | b"MIGRATE" | b"MODULE"
        | b"PING" | b"PUBSUB" | b"RANDOMKEY" | b"REPLICAOF" | b"ROLE" | b"SAVE" | b"SCAN"
        | b"SCRIPT" | b"SHUTDOWN" | b"SLAVEOF" | b"SLOWLOG" | b"SWAPDB" | b"TIME" => Place::Nowhere,
        b"BITOP" | b"MEMORY" | b"OBJECT" | b"XGROUP" | b"XINFO" => Place::At(2),
        b"LMPOP" | b"SINTERCARD" | b"ZDIFF" | b"ZINTER" | b"ZINTERCARD" | b"ZMPOP" | b"ZUNION" => {
            Place::Counted(1)
        }
        b"EVAL" | b"EVAL_RO" | b"EVALSHA" | b"EVALSHA_RO" | b"FCALL" | b"FCALL_RO" => {
            Place::Counted(2)
        }
        b"XREAD" | b"XREADGROUP" => Place::Streams,
        _ => Place::At(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::convert::ToArg;

    #[test]
    fn key_is_found_wherever_a_command_has_it() {
        let cases = [
            ("GET k", Some("k")),
            ("get k", Some("k")),
            ("MSET k 1 l 2", Some("k")),
            ("PUBLISH channel m", Some("channel")), // the messages of a channel keep their order
            ("EVALSHA d 2 k l a", Some("k")),
            ("EVAL s 0 a", None),
            ("OBJECT ENCODING k", Some("k")),
            ("BITOP AND k l", Some("k")),
            ("ZUNION 2 k l", Some("k")),
            ("XREAD COUNT 1 streams k 0", Some("k")),
            ("XREAD COUNT 1", None),
            ("CONFIG GET save", None),
            ("PING hello", None),
            ("RANDOMKEY", None),
            ("GET", None),
            ("A.MODULE.WITH.A.LONG.NAME k", Some("k")),
        ];
        for (line, wanted) in cases {
            let words: Vec<&str> = line.split(' ').collect();
            let mut args = Args::default();
            words[..].write_args(&mut args);
            assert_eq!(key(&args), wanted.map(str::as_bytes), "{line}");
        }
    }

    #[test]
    fn keys_spread_evenly_and_those_with_one_tag_stay_together() {
        for connections in [1, 2, 3, 8] {
            let mut load = vec![0; connections];
            for number in 0..8_000 {
                load[connection(format!("invoice:{number}").as_bytes(), connections)] += 1;
            }
            let even = 8_000 / connections;
            assert!(
                load.iter().all(|&got| got * 10 >= even * 9 && got * 10 <= even * 11),
                "{load:?}"
            );
        }
        let tagged = |key: &str| connection(key.as_bytes(), 8);
        assert!((0..100).all(|number| tagged(&format!("{{u7}}:{number}")) == tagged("u7")));
        assert_eq!(tag(b"{}a"), b"{}a");
        assert_eq!(tag(b"a{b"), b"a{b");
        assert_eq!(tag(b"a{b}{c}"), b"b");
    }
}
