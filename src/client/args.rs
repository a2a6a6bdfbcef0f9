//! `Args`: the arguments of one command, encoded as they come.
//!
//! The line end that closes an argument is written together with what begins the next one, so that an argument is two
//! appends; the last one's follows when the command is done.

use crate::client::encode::{self, Ink};
use std::cell::Cell;
use std::fmt;

/// A buffer that one long command made larger than this is not kept.
const KEPT_CAPACITY: usize = 16 << 10;
/// What a command of fewer than ten arguments begins with; longer counts do not fit, and are written apart.
const HEADER: [u8; 2] = *b"*0";

thread_local! {
    /// The buffer of the last command that this thread encoded: the next one needs no allocation.
    static SPARE: Cell<Ink> = const { Cell::new(Ink::new()) };
}

/// Arguments of a command, encoded as they come.
#[derive(Clone)]
pub struct Args {
    /// The whole command but its last line end, with room for the count in front.
    encoded: Ink,
    count: usize,
}

impl Args {
    /// Appends one argument.
    pub fn push(&mut self, arg: &[u8]) {
        self.count += 1;
        encode::next_bulk(arg, &mut self.encoded);
    }

    /// Appends one argument: the number in decimal.
    pub fn push_i64(&mut self, number: i64) {
        self.count += 1;
        encode::between_line_ends(|out| encode::bulk_i64(number, out), &mut self.encoded);
    }

    /// How many arguments there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is no argument.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Appends `count` arguments that are encoded already, with the line end in front and not behind, such as
    /// `\r\n$2\r\nNX`.
    #[inline]
    pub(crate) fn push_encoded(&mut self, count: usize, bulks: &[u8]) {
        self.encoded.extend_from_slice(bulks);
        self.count += count;
    }

    /// Appends what another list holds.
    pub(crate) fn append(&mut self, other: &Self) {
        self.push_encoded(other.count, other.bulks());
    }

    /// The first argument; empty where there is none, or where it is longer than any command's name.
    #[inline]
    pub(crate) fn name(&self) -> &[u8] {
        let (begin, len) = match *self.bulks() {
            [_, _, b'$', ones @ b'0'..=b'9', b'\r', ..] => (6, ones - b'0'),
            [_, _, b'$', tens @ b'0'..=b'9', ones @ b'0'..=b'9', b'\r', ..] => {
                (7, 10 * (tens - b'0') + ones - b'0')
            }
            _ => return &[],
        };
        self.bulks().get(begin..begin + usize::from(len)).unwrap_or_default()
    }

    /// The arguments, read back.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.bulks();
        std::iter::from_fn(move || {
            let line = rest.get(3..)?.split(|&byte| byte == b'\r').next()?; // "\r\n$5\r\n"
            let len: usize = std::str::from_utf8(line).ok()?.parse().ok()?;
            let start = 3 + line.len() + 2;
            let arg = rest.get(start..start + len)?;
            rest = rest.get(start + len..).unwrap_or_default();
            Some(arg)
        })
    }

    /// The length of an argument of more than `most` bytes, if there is one.
    #[inline]
    pub(crate) fn longer_than(&self, most: usize) -> Option<usize> {
        if self.encoded.len() <= most { None } else { self.find_longer_than(most) }
    }

    #[cold]
    fn find_longer_than(&self, most: usize) -> Option<usize> {
        self.iter().map(<[u8]>::len).find(|&len| len > most)
    }

    /// The arguments, without the count, each with a line end in front of it.
    #[inline]
    pub(crate) fn bulks(&self) -> &[u8] {
        self.encoded.get(HEADER.len()..).unwrap_or_default()
    }

    /// Appends the whole command to a write buffer, and gives its own back: nothing is left in it.
    #[inline]
    pub(crate) fn write(&mut self, out: &mut Ink) {
        match (u8::try_from(self.count), self.encoded.get_mut(1)) {
            (Ok(count @ 0..=9), Some(digit)) => {
                *digit = b'0' + count;
                self.encoded.extend_from_slice(b"\r\n");
                out.extend_from_slice(&self.encoded);
            }
            _ => {
                encode::array_header(self.count, out);
                out.extend_from_slice(self.bulks().get(b"\r\n".len()..).unwrap_or_default());
                out.extend_from_slice(b"\r\n");
            }
        }
        self.give_back();
    }

    #[inline]
    fn give_back(&mut self) {
        if (1..=KEPT_CAPACITY).contains(&self.encoded.capacity()) {
            let mut encoded = std::mem::take(&mut self.encoded);
            encoded.clear();
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
        Self { encoded, count: 0 }
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
        args.push_encoded(1, b"\r\n$3\r\nSET");
        args.push_encoded(1, b"\r\n$2\r\nNX");
        assert_eq!(args.name(), b"SET");
    }

    #[test]
    fn arguments_of_any_length_and_number_are_written_and_read_back() {
        for lengths in [&[0][..], &[9, 10, 11], &[99, 100, 101, 1000], &[3; 9], &[3; 10], &[0; 101]]
        {
            let words: Vec<_> = lengths.iter().map(|&len| "x".repeat(len)).collect();
            let mut args = Args::default();
            words.iter().for_each(|word| args.push(word.as_bytes()));
            args.push_i64(-7);
            let longest = lengths.iter().fold(2, |longest, &len| longest.max(len));
            assert_eq!(args.longer_than(longest), None);
            assert!(args.longer_than(0).is_some());
            let mut wanted: Vec<_> = words.iter().map(String::as_bytes).collect();
            wanted.push(b"-7");
            assert!(args.iter().eq(wanted.iter().copied()), "{lengths:?}");
            let (mut ours, mut codecs) = (Ink::new(), bytes::BytesMut::new());
            args.write(&mut ours);
            resp::encode::command(&wanted, &mut codecs);
            assert_eq!(ours, codecs);
        }
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
