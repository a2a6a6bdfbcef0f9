//! Damage to wire bytes that knows where values begin: what a random flip rarely hits.

use crate::grammar::Grammar;
use rand::{Rng, RngExt as _};
use resp::Protocol;

/// Counts around which something changes.
pub(crate) const INTERESTING: [&str; 22] = [
    "0",
    "1",
    "-1",
    "-2",
    "?",
    "+1",
    "00",
    "15",
    "16",
    "17",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "4294967297",
    "4611686018427387904",
    "9223372036854775805",
    "9223372036854775806",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
];
const TYPES: &[u8] = b"+-:$*_#,(!=%~>|;.?";

/// Damages wire bytes in one place, or puts another value into them.
pub fn damage<R: Rng>(rng: &mut R, protocol: Protocol, wire: &mut Vec<u8>) {
    let starts = starts(wire);
    let start = starts[rng.random_range(0..starts.len())];
    let at = rng.random_range(0..=wire.len());
    match rng.random_range(0..12) {
        0 | 1 => change_count(rng, start, wire),
        2 => {
            if let Some(kind) = wire.get_mut(start) {
                *kind = TYPES[rng.random_range(0..TYPES.len())];
            }
        }
        3 => {
            // One half of a line end, or both.
            let ends: Vec<_> =
                (0..wire.len()).filter(|&at| matches!(wire[at], b'\r' | b'\n')).collect();
            if !ends.is_empty() {
                wire.remove(ends[rng.random_range(0..ends.len())]);
            }
        }
        4 => wire.insert(at, if rng.random() { b'\r' } else { b'\n' }),
        5 => {
            let mut value = Vec::new();
            Grammar::new(rng, protocol, 4).spoiled(16).reply(&mut value);
            wire.splice(start..start, value);
        }
        6 => {
            let other = starts[rng.random_range(0..starts.len())];
            let copy = wire[start.min(other)..start.max(other)].to_vec();
            wire.splice(start..start, copy);
        }
        7 => {
            let other = starts[rng.random_range(0..starts.len())];
            wire.drain(start.min(other)..start.max(other));
        }
        8 => wire.truncate(at),
        9 => {
            if let Some(byte) = wire.get_mut(at) {
                *byte = rng.random();
            }
        }
        10 => {
            let opening: &[u8] =
                [&b"|1\r\n+a\r\n+b\r\n"[..], b"*?\r\n", b"$?\r\n", b"%?\r\n", b".\r\n", b";0\r\n"]
                    [rng.random_range(0..6)];
            wire.splice(start..start, opening.iter().copied());
        }
        _ => {
            let opening: &[u8] =
                [&b"*1\r\n"[..], b"~1\r\n", b"|0\r\n", b"%1\r\n_\r\n"][rng.random_range(0..4)];
            let levels = rng.random_range(0..300);
            wire.splice(start..start, opening.repeat(levels));
        }
    }
}

/// Where values may begin.
fn starts(wire: &[u8]) -> Vec<usize> {
    let ends = wire.windows(2).enumerate().filter(|(_, pair)| pair == b"\r\n");
    let mut starts: Vec<_> = std::iter::once(0).chain(ends.map(|(at, _)| at + 2)).collect();
    if starts.last() == Some(&wire.len()) && starts.len() > 1 {
        starts.pop();
    }
    starts
}

/// Makes the count behind a type byte one more or less, or another altogether.
fn change_count<R: Rng>(rng: &mut R, start: usize, wire: &mut Vec<u8>) {
    let from = (start + 1).min(wire.len());
    let digits = wire[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let text = std::str::from_utf8(&wire[from..from + digits]).unwrap_or_default();
    let changed = match (text.parse::<u64>(), rng.random_range(0..4)) {
        (Ok(count), 0 | 1) => count.wrapping_add(1).to_string(),
        (Ok(count), 2) => count.saturating_sub(1).to_string(),
        _ => Grammar::interesting(rng).to_owned(),
    };
    wire.splice(from..from + digits, changed.into_bytes());
}
