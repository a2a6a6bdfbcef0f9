//! The few settings that `CONFIG` knows. Pure.

use std::collections::BTreeMap;

/// Settings of a server that was just started.
pub(crate) fn defaults(databases: usize) -> BTreeMap<String, String> {
    let databases = databases.max(1).to_string();
    let settings = [
        ("appendonly", "no"),
        ("bind", "127.0.0.1"),
        ("databases", databases.as_str()),
        ("hz", "10"),
        ("maxclients", "10000"),
        ("maxmemory", "0"),
        ("maxmemory-policy", "noeviction"),
        ("min-replicas-to-write", "0"),
        ("notify-keyspace-events", ""),
        ("requirepass", ""),
        ("save", ""),
        ("timeout", "0"),
    ];
    settings.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Reads a size such as `100`, `1kb`, `2mb`.
pub(crate) fn memory(text: &str) -> Option<u64> {
    let text = text.to_ascii_lowercase();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..)? {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}
