//! Requests typed by hand: one line of words, quoted where they have blanks, split the way servers split it.

use bytes::Bytes;

/// Splits a line into words; `None` if a quote is not closed or not followed by a blank, or a NUL is among them.
pub(crate) fn words(line: &[u8]) -> Option<Vec<Bytes>> {
    if line.contains(&0) {
        return None; // servers written in C see no further than that
    }
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        let blanks = rest.iter().take_while(|&&byte| is_blank(byte)).count();
        rest = rest.get(blanks..)?;
        if rest.is_empty() {
            return Some(words);
        }
        let (word, after) = word(rest)?;
        words.push(word.into());
        rest = after;
    }
}

/// One word, which may turn into a quoted one half-way, and what follows it.
fn word(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    loop {
        rest = match rest {
            [] | [b' ' | b'\t' | b'\n' | b'\r', ..] => return Some((word, rest)),
            [b'"', quoted @ ..] => {
                return ended(double_quoted(quoted, &mut word)?).map(|after| (word, after));
            }
            [b'\'', quoted @ ..] => {
                return ended(single_quoted(quoted, &mut word)?).map(|after| (word, after));
            }
            [byte, after @ ..] => {
                word.push(*byte);
                after
            }
        };
    }
}

/// What follows a closing quote, which is a blank or nothing.
fn ended(after: &[u8]) -> Option<&[u8]> {
    after.first().is_none_or(|&byte| is_blank(byte)).then_some(after)
}

fn double_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, after) = match rest {
            [b'"', after @ ..] => return Some(after),
            [b'\\', b'x', high, low, after @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                (hex(*high) << 4 | hex(*low), after)
            }
            [b'\\', escaped, after @ ..] => {
                let byte = match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                };
                (byte, after)
            }
            [byte, after @ ..] => (*byte, after),
            [] => return None,
        };
        word.push(byte);
        rest = after;
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, after) = match rest {
            [b'\'', after @ ..] => return Some(after),
            [b'\\', b'\'', after @ ..] => (b'\'', after),
            [byte, after @ ..] => (*byte, after),
            [] => return None,
        };
        word.push(byte);
        rest = after;
    }
}

fn hex(digit: u8) -> u8 {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).unwrap_or_default()
}

/// What C calls a space.
fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_servers_split_them() {
        for (line, wanted) in [
            (&b""[..], &[][..]),
            (b" \t\x0b", &[]),
            (b"GET  key ", &["GET", "key"]),
            (br#"SET k "a b""#, &["SET", "k", "a b"]),
            (br#"SET k 'a "b\'c'"#, &["SET", "k", "a \"b'c"]),
            (br#"SET k "\x41\n\"\q\xg""#, &["SET", "k", "A\n\"qxg"]),
            (br#"SET k "" ''"#, &["SET", "k", "", ""]),
            (br#"a"b c" d"#, &["ab c", "d"]),
            (b"a\x0bb", &["a\x0bb"]),
        ] {
            let words = words(line).unwrap();
            assert_eq!(words, wanted, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn quotes_that_do_not_end_a_word_are_refused() {
        for line in
            [&b"SET k \""[..], b"'", br#""a"b"#, br"'a'b", br#"a""#, br#""\"#, br#""a\""#, b"a\0b"]
        {
            assert_eq!(words(line), None, "{}", line.escape_ascii());
        }
    }
}
