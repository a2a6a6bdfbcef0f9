//! Numbers as the servers read and print them. Pure.

use bytes::Bytes;

/// A whole decimal number: no plus, no leading zero, nothing around it.
pub(crate) fn integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let canonical = match digits {
        [b'0'] => digits.len() == text.len(),
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !canonical {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A float; `nan` is none.
pub(crate) fn float(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    if text.is_empty()
        || text.starts_with(char::is_whitespace)
        || text.ends_with(char::is_whitespace)
    {
        return None;
    }
    text.parse::<f64>().ok().filter(|number| !number.is_nan())
}

/// Prints a float as short as it can be read back, whole ones without a point.
pub(crate) fn print_float(number: f64) -> Bytes {
    if number.is_infinite() {
        return Bytes::from_static(if number > 0.0 { b"inf" } else { b"-inf" });
    }
    Bytes::from(format!("{number}"))
}

/// Prints an integer.
pub(crate) fn print(number: i64) -> Bytes {
    Bytes::from(number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_strictly_as_the_servers_do() {
        for (text, number) in [
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("", None),
            ("-", None),
            ("-0", None),
            ("+1", None),
            ("01", None),
            (" 1", None),
            ("1 ", None),
            ("1.0", None),
        ] {
            assert_eq!(integer(text.as_bytes()), number, "{text:?}");
        }
    }

    #[test]
    fn floats_are_printed_without_a_needless_point() {
        for (number, text) in [(3.0, "3"), (10.5, "10.5"), (-0.25, "-0.25"), (f64::INFINITY, "inf")]
        {
            assert_eq!(print_float(number), text);
        }
    }
}
