//! Commands into the write buffer, which is a plain vector: each append costs a comparison and a copy. Pure.
//!
//! `resp::encode` does the same for any buffer; here every command of every call passes, some of it under a lock.

/// What commands are written into.
pub(crate) type Ink = Vec<u8>;

/// Appends one command: an array of bulk strings.
pub(crate) fn command<A: AsRef<[u8]>>(args: &[A], out: &mut Ink) {
    array_header(args.len(), out);
    for arg in args {
        bulk(arg.as_ref(), out);
    }
}

/// Appends `*len`; that many calls of [`bulk`] or [`bulk_i64`] are to follow.
#[inline]
pub(crate) fn array_header(len: usize, out: &mut Ink) {
    match u8::try_from(len) {
        Ok(short @ 0..=9) => out.extend_from_slice(&[b'*', b'0' + short, b'\r', b'\n']),
        _ => resp::encode::array_header(len, out),
    }
}

/// Appends one bulk string.
#[inline]
pub(crate) fn bulk(bytes: &[u8], out: &mut Ink) {
    match u8::try_from(bytes.len()) {
        Ok(short @ 0..=9) => out.extend_from_slice(&[b'$', b'0' + short, b'\r', b'\n']),
        Ok(short @ 10..=99) => {
            let [tens, ones] = two_digits(short);
            out.extend_from_slice(&[b'$', tens, ones, b'\r', b'\n']);
        }
        _ => return resp::encode::bulk(bytes, out),
    }
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Appends one bulk string as [`bulk`] does, but with a line end in front and none behind: two appends for each argument.
#[inline(always)] // of what encodes a call
pub(crate) fn next_bulk(bytes: &[u8], out: &mut Ink) {
    match (bytes.len(), HEADS.get(bytes.len())) {
        (0..=9, Some([_, short @ ..])) => out.extend_from_slice(short),
        (_, Some(head)) => out.extend_from_slice(head),
        (_, None) => return between_line_ends(|out| bulk(bytes, out), out),
    }
    out.extend_from_slice(bytes);
}

/// What [`next_bulk`] begins with, by length; of those below 10 the first byte is not written.
const HEADS: [[u8; 7]; 100] = {
    let (mut heads, mut len) = ([*b"\r\n$00\r\n"; 100], 0);
    while len < heads.len() {
        let [tens, ones] = two_digits(len as u8);
        heads[len] = match tens {
            b'0' => [0, b'\r', b'\n', b'$', ones, b'\r', b'\n'],
            _ => [b'\r', b'\n', b'$', tens, ones, b'\r', b'\n'],
        };
        len += 1;
    }
    heads
};

/// Appends a bulk string with the line end in front that it has behind.
#[inline(never)]
pub(crate) fn between_line_ends(bulk: impl FnOnce(&mut Ink), out: &mut Ink) {
    out.extend_from_slice(b"\r\n");
    bulk(out);
    out.truncate(out.len() - b"\r\n".len());
}

/// Appends one bulk string that holds `number` in decimal.
pub(crate) fn bulk_i64(number: i64, out: &mut Ink) {
    match u64::try_from(number) {
        Ok(number) => bulk(Decimal::of(number).digits(), out),
        Err(_) => resp::encode::bulk_i64(number, out),
    }
}

/// The digits of a number below 100.
#[inline]
pub(crate) const fn two_digits(number: u8) -> [u8; 2] {
    [b'0' + number / 10, b'0' + number % 10]
}

/// A number in decimal, made two digits at a time.
pub(crate) struct Decimal {
    digits: [[u8; 2]; 10],
    used: usize,
}

/// The numbers below 100.
const PAIRS: [[u8; 2]; 100] = {
    let (mut pairs, mut number) = ([[0; 2]; 100], 0);
    while number < 100 {
        pairs[number as usize] = two_digits(number);
        number += 1;
    }
    pairs
};

impl Decimal {
    pub(crate) fn of(mut number: u64) -> Self {
        let mut digits = [[b'0'; 2]; 10];
        let mut used = 0;
        for pair in digits.iter_mut().rev() {
            *pair = PAIRS[(number % 100) as usize];
            used += 2;
            if number < 100 {
                used -= usize::from(number < 10);
                break;
            }
            number /= 100;
        }
        Self { digits, used }
    }

    pub(crate) fn digits(&self) -> &[u8] {
        let digits = self.digits.as_flattened();
        digits.get(digits.len() - self.used..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;

    #[test]
    fn bytes_are_those_of_the_codec_at_every_length() {
        for lengths in [&[0][..], &[9, 10], &[99, 100, 255, 256, 1000], &[5; 12]] {
            let args: Vec<_> = lengths.iter().map(|&len| vec![b'x'; len]).collect();
            let (mut ours, mut codecs) = (Ink::new(), BytesMut::new());
            command(&args, &mut ours);
            resp::encode::command(&args, &mut codecs);
            assert_eq!(ours, codecs);
        }
        for number in [0, 9, 10, 99, 100, 12_345, i64::MAX, -1, i64::MIN] {
            let (mut ours, mut codecs) = (Ink::new(), BytesMut::new());
            bulk_i64(number, &mut ours);
            resp::encode::bulk_i64(number, &mut codecs);
            assert_eq!(ours, codecs, "{number}");
        }
        assert_eq!(Decimal::of(u64::MAX).digits(), u64::MAX.to_string().as_bytes());
    }
}
