//! `Args`: the arguments of one command, encoded as they come.

use bytes::BytesMut;
use resp::encode;
use std::cell::Cell;
use std::fmt;

/// A buffer that one long command made larger than this is not kept.
const KEPT_CAPACITY: usize = 16 << 10;
/// What a command of fewer than ten arguments begins with; longer counts do not fit, and are written apart.
const HEADER: [u8; 4] = *b"*0\r\n";

thread_local! {
    /// The buffer of the last command that this thread encoded: the next one needs no allocation.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Arguments of a command, encoded as they come.
#[derive(Clone)]
pub struct Args {
    /// The whole command, with room for the count in front.
    encoded: Vec<u8>,
    count: usize,
    longest: usize,
    /// Length of the first one, the name of the command.
    name_len: usize,
}

impl Args {
    /// Appends one argument.
    pub fn push(&mut self, arg: &[u8]) {
        encode::bulk(arg, &mut self.encoded);
        if self.count == 0 {
            self.name_len = arg.len();
        }
        self.count += 1;
        self.longest = self.longest.max(arg.len());
    }

    /// Appends one argument: the number in decimal.
    pub fn push_i64(&mut self, number: i64) {
        encode::bulk_i64(number, &mut self.encoded);
        self.count += 1;
    }

    /// How many arguments there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is no argument.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Appends `count` arguments that are bulk strings already, such as `$2\r\nNX\r\n`. The first has fewer than ten bytes.
    #[inline]
    pub(crate) fn push_encoded(&mut self, count: usize, bulks: &[u8]) {
        if self.count == 0 {
            self.name_len = bulks.get(1).map_or(0, |&digit| usize::from(digit - b'0'));
        }
        self.encoded.extend_from_slice(bulks);
        self.count += count;
    }

    /// Appends what another list holds.
    pub(crate) fn append(&mut self, other: &Self) {
        self.encoded.extend_from_slice(other.bulks());
        self.count += other.count;
        self.longest = self.longest.max(other.longest);
    }

    /// The first argument; empty where there is none, or where it is longer than any command's name.
    #[inline]
    pub(crate) fn name(&self) -> &[u8] {
        let begin = if self.name_len < 10 { "$9\r\n".len() } else { "$99\r\n".len() };
        match self.name_len {
            0..100 => self.bulks().get(begin..begin + self.name_len).unwrap_or_default(),
            _ => &[],
        }
    }

    /// The arguments, read back.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.bulks();
        std::iter::from_fn(move || {
            let line = rest.get(1..)?.split(|&byte| byte == b'\r').next()?; // "$5\r\n"
            let len: usize = std::str::from_utf8(line).ok()?.parse().ok()?;
            let start = line.len() + 3;
            let arg = rest.get(start..start + len)?;
            rest = rest.get(start + len + 2..).unwrap_or_default();
            Some(arg)
        })
    }

    pub(crate) fn longest(&self) -> usize {
        self.longest
    }

    /// The arguments, without the count.
    #[inline]
    fn bulks(&self) -> &[u8] {
        self.encoded.get(HEADER.len()..).unwrap_or_default()
    }

    /// Appends the whole command to a write buffer, and gives its own back: nothing is left in it.
    #[inline]
    pub(crate) fn write(&mut self, out: &mut BytesMut) {
        match (u8::try_from(self.count), self.encoded.get_mut(1)) {
            (Ok(count @ 0..=9), Some(digit)) => {
                *digit = b'0' + count;
                out.extend_from_slice(&self.encoded);
            }
            _ => {
                encode::array_header(self.count, out);
                out.extend_from_slice(self.bulks());
            }
        }
        self.give_back();
    }

    #[inline]
    fn give_back(&mut self) {
        if (1..=KEPT_CAPACITY).contains(&self.encoded.capacity()) {
            self.encoded.clear();
            let encoded = std::mem::take(&mut self.encoded);
            // A thread that is ending has no place for it.
            let _ = SPARE.try_with(|spare| spare.set(encoded));
        }
    }
}

impl Default for Args {
    #[inline]
    fn default() -> Self {
        let mut encoded = SPARE.try_with(Cell::take).unwrap_or_default();
        encoded.extend_from_slice(&HEADER);
        Self { encoded, count: 0, longest: 0, name_len: 0 }
    }
}

impl Drop for Args {
    #[inline]
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Shows how many, never what: an argument may be a secret.
impl fmt::Debug for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Args").field("count", &self.count).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_is_the_first_argument() {
        for name in ["", "GET", "A", "ZRANGEBYSCORE", &"N".repeat(99)] {
            let mut args = Args::default();
            args.push(name.as_bytes());
            args.push(b"key");
            assert_eq!(args.name(), name.as_bytes());
        }
        assert_eq!(Args::default().name(), b"");
        let mut args = Args::default();
        args.push_encoded(1, b"$3\r\nSET\r\n");
        args.push_encoded(1, b"$2\r\nNX\r\n");
        assert_eq!(args.name(), b"SET");
    }

    #[test]
    fn buffer_is_used_again_but_never_what_was_in_it() {
        let mut first = Args::default();
        first.push(b"secret");
        let memory = first.encoded.as_ptr();
        drop(first);
        let second = Args::default();
        assert_eq!(second.encoded.as_ptr(), memory);
        assert!(second.is_empty() && second.iter().next().is_none());
        let third = Args::default(); // while the second is in use
        assert_ne!(third.encoded.as_ptr(), memory);
    }

    #[test]
    fn buffer_of_a_long_command_is_not_kept() {
        let mut long = Args::default();
        long.push(&vec![b'x'; KEPT_CAPACITY]);
        drop(long);
        assert!(Args::default().encoded.capacity() <= KEPT_CAPACITY);
    }
}
