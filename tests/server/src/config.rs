//! The few settings that `CONFIG` knows. Pure.

use std::collections::BTreeMap;

/// What a connection may leave unread; only the hard limit of the class `normal` has an effect here.
pub(crate) const OUTPUT_LIMIT: &str = "client-output-buffer-limit";

/// Settings of a server that was just started.
pub(crate) fn defaults(databases: usize) -> BTreeMap<String, String> {
    let databases = databases.max(1).to_string();
    let settings = [
        ("appendonly", "no"),
        ("bind", "127.0.0.1"),
        (OUTPUT_LIMIT, "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"),
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

/// The settings with the classes of `change` in the place of theirs, and the hard limit of the class `normal`: 0 for none.
///
/// # Errors
///
/// What is wrong with it, in the servers' words.
pub(crate) fn output_limit(settings: &str, change: &str) -> Result<(String, usize), &'static str> {
    const COUNT: &str = "Wrong number of arguments in buffer limit configuration.";
    const CLASS: &str = "Invalid client class specified in buffer limit configuration.";
    const SIZE: &str = "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let (mut settings, change) = (words(settings), words(change));
    if change.len() % 4 != 0 {
        return Err(COUNT);
    }
    for class in change.chunks_exact(4) {
        let name = class[0].to_ascii_lowercase();
        let at = settings.iter().position(|word| *word == name).ok_or(CLASS)?;
        let sizes = [memory(&class[1]), memory(&class[2]), class[3].parse().ok()];
        for (setting, size) in settings[at + 1..].iter_mut().zip(sizes) {
            *setting = size.ok_or(SIZE)?.to_string();
        }
    }
    let normal = settings.iter().position(|word| word == "normal").ok_or(CLASS)?;
    let hard = settings.get(normal + 1).and_then(|hard| hard.parse().ok()).ok_or(SIZE)?;
    Ok((settings.join(" "), hard))
}

/// Reads a number of connections.
///
/// # Errors
///
/// What is wrong with it, in the servers' words.
pub(crate) fn max_clients(value: &str) -> Result<u32, &'static str> {
    match value.parse::<i64>().map(u32::try_from) {
        Err(_) => Err("argument couldn't be parsed into an integer"),
        Ok(Err(_) | Ok(0)) => Err("argument must be between 1 and 4294967295 inclusive"),
        Ok(Ok(most)) => Ok(most),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_limits_are_set_by_class() {
        let defaults = &defaults(16)[OUTPUT_LIMIT];
        let (settings, hard) = output_limit(defaults, "normal 1mb 0 0 pubsub 2kb 1 7").unwrap();
        assert_eq!(settings, "normal 1048576 0 0 slave 268435456 67108864 60 pubsub 2048 1 7");
        assert_eq!(hard, 1 << 20);
        assert_eq!(output_limit(defaults, "").unwrap(), (defaults.clone(), 0));
        for wrong in ["normal", "normal 1 2", "other 0 0 0", "normal x 0 0", "normal -1 0 0"] {
            assert!(output_limit(defaults, wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn connections_are_counted_from_one() {
        assert_eq!(max_clients("1"), Ok(1));
        assert!(["0", "-1", "x", "4294967296"].iter().all(|value| max_clients(value).is_err()));
    }
}
