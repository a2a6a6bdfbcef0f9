//! Commands that must not go out by name: each would break the connection it goes out on, for its other users or for its next
//! one. Each refusal names what to use instead. Pure.

use crate::client::args::Args;
use crate::error::Error;

/// Whose the connection is that a command is about to go out on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tenancy {
    /// Others are sending on it.
    Shared,
    /// It is this caller's for now, and somebody else's afterwards.
    Leased,
}

/// Refuses a command that must not go out.
///
/// # Errors
///
/// [`ErrorKind::Refused`](crate::ErrorKind::Refused), and what to use instead.
#[inline]
pub(crate) fn check(args: &Args, tenancy: Tenancy) -> Result<(), Error> {
    match refusal(args, tenancy) {
        None => Ok(()),
        Some(_) if defect!(20) => Ok(()),
        Some(why) => Err(refused(args.name(), why)),
    }
}

#[cold]
fn refused(name: &[u8], why: &str) -> Error {
    let name = name.to_ascii_uppercase();
    Error::refused(format!("{} is refused here: {why}", String::from_utf8_lossy(&name)))
}

/// When a command is refused, and what to use instead.
#[derive(Debug, Clone, Copy)]
enum Rule {
    Always(&'static str),
    /// Where others would wait with it.
    Waits(&'static str),
    /// As `Waits`, with the option `BLOCK`.
    MayWait(&'static str),
    /// Some of its subcommands.
    Subcommands(&'static [(&'static str, &'static str)]),
}

const CHANGES: Rule =
    Rule::Always("it changes the connection under everybody else; say it in the URL or in Config");
const ENDS: Rule = Rule::Always(
    "it ends the connection under everybody else; drop the Client, or Client::close it",
);
const ENDLESS: Rule = Rule::Always("its answer never ends; use a tool such as redis-cli");
const REPLICA: Rule =
    Rule::Always("it makes the connection a replica's; use a tool such as redis-cli --replica");
const MESSAGES: Rule =
    Rule::Always("its messages would mix with other replies; use Client::subscribe");
const PATTERNS: Rule =
    Rule::Always("its messages would mix with other replies; use Client::psubscribe");
const SHARDS: Rule =
    Rule::Always("its messages would mix with other replies; use Client::ssubscribe");
const TRANSACTION: Rule = Rule::Always(
    "other callers' commands would end up in the transaction; use Client::transaction",
);
const WATCH: Rule =
    Rule::Always("other callers' transactions would depend on it; use Client::watch");
const CLUSTER: Rule = Rule::Always(
    "it changes what the server makes of everybody else's commands, and Cluster is not supported",
);
const WAITS: Rule = Rule::Waits(
    "everybody else would wait with it; it counts the writes of its own connection, so send it with them in \
     Client::blocking_pipeline",
);
const BLOCKS: Rule = Rule::Waits(
    "everybody else would wait with it; use Client::blocking_command, or the command without B",
);
const MAY_BLOCK: Rule = Rule::MayWait(
    "with BLOCK everybody else would wait with it; use Client::blocking_command, or leave BLOCK out",
);
const PUSHES: &str =
    "its pushes would come to nobody; a lock that is waited for tracks its key by itself";
const LASTS: &str = "it changes the connection under everybody else, and the next connection would not have it; \
                     use a connection of another tool";
const CLIENT: Rule = Rule::Subcommands(&[
    (
        "REPLY",
        "others would be left without replies; drop the future of a reply that does not matter",
    ),
    ("TRACKING", PUSHES),
    ("CACHING", PUSHES),
    ("NO-EVICT", LASTS),
    ("NO-TOUCH", LASTS),
    ("CAPA", LASTS),
    ("IMPORT-SOURCE", LASTS),
]);
const SCRIPT: Rule =
    Rule::Subcommands(&[("DEBUG", "it makes the connection a debugger's; use redis-cli --ldb")]);

const REFUSED: [(&str, Rule); 37] = [
    ("HELLO", CHANGES),
    ("AUTH", CHANGES),
    ("SELECT", CHANGES),
    ("RESET", ENDS),
    ("QUIT", ENDS),
    ("MONITOR", ENDLESS),
    ("SYNC", REPLICA),
    ("PSYNC", REPLICA),
    ("REPLCONF", REPLICA),
    ("SUBSCRIBE", MESSAGES),
    ("PSUBSCRIBE", PATTERNS),
    ("SSUBSCRIBE", SHARDS),
    ("UNSUBSCRIBE", MESSAGES),
    ("PUNSUBSCRIBE", PATTERNS),
    ("SUNSUBSCRIBE", SHARDS),
    ("MULTI", TRANSACTION),
    ("EXEC", TRANSACTION),
    ("DISCARD", TRANSACTION),
    ("WATCH", WATCH),
    ("UNWATCH", WATCH),
    ("ASKING", CLUSTER),
    ("READONLY", CLUSTER),
    ("READWRITE", CLUSTER),
    ("WAIT", WAITS),
    ("WAITAOF", WAITS),
    ("BLPOP", BLOCKS),
    ("BRPOP", BLOCKS),
    ("BRPOPLPUSH", BLOCKS),
    ("BLMOVE", BLOCKS),
    ("BLMPOP", BLOCKS),
    ("BZPOPMIN", BLOCKS),
    ("BZPOPMAX", BLOCKS),
    ("BZMPOP", BLOCKS),
    ("XREAD", MAY_BLOCK),
    ("XREADGROUP", MAY_BLOCK),
    ("CLIENT", CLIENT),
    ("SCRIPT", SCRIPT),
];

/// For each length, with which letters the names of that length begin and end: nearly all other names are told apart by that.
const EDGES: [(u32, u32); 16] = {
    let mut edges = [(0, 0); 16];
    let mut at = 0;
    while at < REFUSED.len() {
        let name = REFUSED[at].0.as_bytes();
        edges[name.len()].0 |= letter(name[0]);
        edges[name.len()].1 |= letter(name[name.len() - 1]);
        at += 1;
    }
    edges
};

const fn letter(byte: u8) -> u32 {
    1 << (byte & 31) // the same for small letters
}

/// Why a command must not go out, and what to use instead.
fn refusal(args: &Args, tenancy: Tenancy) -> Option<&'static str> {
    let name = args.name();
    let (Some(&(begins, ends)), Some(&first), Some(&last)) =
        (EDGES.get(name.len()), name.first(), name.last())
    else {
        return misspelt(name);
    };
    if begins & letter(first) == 0 || ends & letter(last) == 0 {
        return misspelt(name);
    }
    let known = REFUSED.iter().find(|(word, _)| name.eq_ignore_ascii_case(word.as_bytes()));
    let Some((_, rule)) = known else { return misspelt(name) };
    let shared = tenancy == Tenancy::Shared;
    match *rule {
        Rule::Always(why) => Some(why),
        Rule::Waits(why) => shared.then_some(why),
        Rule::MayWait(why) => (shared && blocks(args)).then_some(why),
        Rule::Subcommands(refused) => {
            let second = args.iter().nth(1)?;
            let refused =
                refused.iter().find(|(word, _)| second.eq_ignore_ascii_case(word.as_bytes()));
            refused.map(|(_, why)| *why)
        }
    }
}

/// Whether `XREAD` or `XREADGROUP` has the option `BLOCK`: what comes behind `STREAMS` are names.
pub(crate) fn blocks(args: &Args) -> bool {
    let options = args.iter().take_while(|arg| !arg.eq_ignore_ascii_case(b"STREAMS"));
    options.skip(1).any(|arg| arg.eq_ignore_ascii_case(b"BLOCK"))
}

/// A name that no server can know.
fn misspelt(name: &[u8]) -> Option<&'static str> {
    (name.is_empty() || name.iter().any(|&byte| byte <= b' '))
        .then_some("a name is one word, the rest are arguments: command(\"CONFIG\").arg(\"GET\")")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::convert::ToArg as _;

    fn said(words: &str, tenancy: Tenancy) -> Option<&'static str> {
        let mut args = Args::default();
        words.split('|').collect::<Vec<_>>().write_args(&mut args);
        refusal(&args, tenancy)
    }

    /// Whoever meets a refusal is told what to do: each of them names a way that exists.
    #[test]
    fn commands_that_break_any_connection_are_refused_with_what_to_use_instead() {
        for (words, instead) in [
            ("hello|3", "Config"),
            ("AUTH|p", "Config"),
            ("SELECT|1", "Config"),
            ("RESET", "Client::close"),
            ("QUIT", "Client::close"),
            ("monitor", "redis-cli"),
            ("SYNC", "redis-cli"),
            ("PSYNC|?|-1", "redis-cli"),
            ("REPLCONF|ACK|1", "redis-cli"),
            ("SUBSCRIBE|c", "Client::subscribe"),
            ("UNSUBSCRIBE", "Client::subscribe"),
            ("PSUBSCRIBE|c*", "Client::psubscribe"),
            ("PUNSUBSCRIBE", "Client::psubscribe"),
            ("SSUBSCRIBE|c", "Client::ssubscribe"),
            ("SUNSUBSCRIBE", "Client::ssubscribe"),
            ("MULTI", "Client::transaction"),
            ("EXEC", "Client::transaction"),
            ("DISCARD", "Client::transaction"),
            ("WATCH|k", "Client::watch"),
            ("UNWATCH", "Client::watch"),
            ("CLIENT|reply|OFF", "drop the future"),
            ("client|TRACKING|ON", "by itself"),
            ("CLIENT|CACHING|YES", "by itself"),
            ("CLIENT|NO-EVICT|ON", "another tool"),
            ("CLIENT|NO-TOUCH|ON", "another tool"),
            ("CLIENT|CAPA|redirect", "another tool"),
            ("ASKING", "not supported"),
            ("READONLY", "not supported"),
            ("SCRIPT|DEBUG|YES", "redis-cli"),
            ("CONFIG GET|save", "command("),
            ("a name that is longer than any", "command("),
            ("", "command("),
        ] {
            for tenancy in [Tenancy::Shared, Tenancy::Leased] {
                let why = said(words, tenancy).unwrap_or_default();
                assert!(why.contains(instead), "{words}: {why}");
            }
        }
    }

    #[test]
    fn every_name_in_the_table_is_found_in_any_spelling() {
        for (name, rule) in REFUSED {
            for name in [name.to_owned(), name.to_lowercase()] {
                let found = match rule {
                    Rule::Always(_) | Rule::Waits(_) => said(&name, Tenancy::Shared),
                    Rule::MayWait(_) => said(&format!("{name}|BLOCK|0"), Tenancy::Shared),
                    Rule::Subcommands(subs) => {
                        said(&format!("{name}|{}", subs[0].0), Tenancy::Shared)
                    }
                };
                assert!(found.is_some(), "{name}");
            }
        }
    }

    #[test]
    fn commands_that_wait_are_refused_only_where_others_would_wait_with_them() {
        for (words, instead) in [
            ("blpop|k|0", "Client::blocking_command"),
            ("BRPOP|k|0", "Client::blocking_command"),
            ("BRPOPLPUSH|k|d|0", "Client::blocking_command"),
            ("BLMOVE|k|d|LEFT|LEFT|0", "Client::blocking_command"),
            ("BLMPOP|0|1|k|LEFT", "Client::blocking_command"),
            ("BZPOPMIN|z|0", "Client::blocking_command"),
            ("BZPOPMAX|z|0", "Client::blocking_command"),
            ("BZMPOP|0|1|z|MIN", "Client::blocking_command"),
            ("XREAD|COUNT|1|block|0|STREAMS|s|$", "Client::blocking_command"),
            ("XREADGROUP|GROUP|g|c|BLOCK|0|STREAMS|s|>", "Client::blocking_command"),
            ("WAIT|1|0", "Client::blocking_pipeline"),
            ("WAITAOF|1|0|0", "Client::blocking_pipeline"),
        ] {
            let why = said(words, Tenancy::Shared).unwrap_or_default();
            assert!(why.contains(instead), "{words}: {why}");
            assert_eq!(said(words, Tenancy::Leased), None, "{words}");
        }
    }

    #[test]
    fn neighbours_of_refused_commands_pass() {
        for words in [
            "CLIENT|INFO",
            "CLIENT|NO-SUCH",
            "CLIENT",
            "XREAD|COUNT|1|STREAMS|s|0",
            "XREAD|STREAMS|BLOCK|0",
            "LPOP|k",
            "GET|MONITOR",
            "SCRIPT|LOAD|return 1",
            "SOMEMODULE.SOMECOMMAND",
        ] {
            for tenancy in [Tenancy::Shared, Tenancy::Leased] {
                assert_eq!(said(words, tenancy), None, "{words}");
            }
        }
    }
}
