//! Patterns of `KEYS`, `SCAN`, `PSUBSCRIBE` and `CONFIG GET`. Pure.

/// Whether `text` fits a pattern of `*`, `?`, `[a-c]`, `[^a]` and `\` escapes.
pub(crate) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    // Where to go on after the last star if what follows does not fit: iterative, so no pattern is costly.
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            star = Some((p, t));
            continue;
        }
        let step = text.get(t).and_then(|&byte| one(pattern.get(p..)?, byte));
        match step {
            Some(width) => {
                p += width;
                t += 1;
            }
            None if t == text.len() && p == pattern.len() => return true,
            None => match star {
                Some((after, from)) if from < text.len() => {
                    (p, t) = (after, from + 1);
                    star = Some((after, from + 1));
                }
                _ => return false,
            },
        }
    }
}

/// How much of the pattern one byte takes; none if it does not fit.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'\\', escaped, ..] => (escaped == byte).then_some(2),
        [b'[', ref class @ ..] => {
            let (negated, class, skipped) = match class {
                [b'^', rest @ ..] => (true, rest, 2),
                _ => (false, class, 1),
            };
            let (mut found, mut at) = (false, 0);
            loop {
                match class.get(at..).unwrap_or_default() {
                    [] => break,
                    [b']', ..] => {
                        at += 1;
                        break;
                    }
                    [b'\\', escaped, ..] => {
                        found |= *escaped == byte;
                        at += 2;
                    }
                    [low, b'-', high, ..] => {
                        found |= (*low.min(high)..=*low.max(high)).contains(&byte);
                        at += 3;
                    }
                    [single, ..] => {
                        found |= *single == byte;
                        at += 1;
                    }
                }
            }
            (found != negated).then_some(skipped + at)
        }
        [literal, ..] => (literal == byte).then_some(1),
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_fit_as_on_the_servers() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("*", "anything", true),
            ("lk:*", "lk:a", true),
            ("lk:*", "lx:a", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("h[ae]llo", "hello", true),
            ("h[^e]llo", "hello", false),
            ("h[a-c]llo", "hbllo", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "aXb", false),
            ("*a*b*c", "xxaxxbxxc", true),
            ("*a*b*c", "xxaxxbxx", false),
            ("", "", true),
            ("", "a", false),
            ("a**", "a", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), fits, "{pattern} {text}");
        }
    }
}
