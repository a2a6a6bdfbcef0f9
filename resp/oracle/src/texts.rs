//! The grammars of numbers, as naive as they can be written.

/// Bytes of a line that holds a double.
const DOUBLE: usize = 8 << 10;

pub(crate) fn unsigned(text: &[u8]) -> &[u8] {
    match text {
        [b'+' | b'-', rest @ ..] => rest,
        _ => text,
    }
}

pub(crate) fn all_digits(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

pub(crate) fn integer(text: &[u8]) -> Option<i64> {
    let digits = unsigned(text);
    if !all_digits(digits) {
        return None;
    }
    // At most 32 digits, so this cannot overflow.
    let size = digits.iter().fold(0_i128, |number, digit| number * 10 + i128::from(digit - b'0'));
    i64::try_from(if text[0] == b'-' { -size } else { size }).ok()
}

/// `sign? digits [. digits] [e sign? digits]`, `inf`, `-inf`, and what old servers print for not-a-number.
pub(crate) fn double(text: &[u8]) -> Option<f64> {
    let body = unsigned(text);
    if text.len() > DOUBLE {
        return None;
    }
    match body {
        b"inf" if text[0] == b'-' => return Some(f64::NEG_INFINITY),
        b"inf" => return Some(f64::INFINITY),
        b"nan" | b"NAN" => return Some(f64::NAN),
        _ if body.starts_with(b"nan(") && body.ends_with(b")") => return Some(f64::NAN),
        _ => {}
    }
    let mut parts = body.splitn(2, |&byte| byte == b'e' || byte == b'E');
    let mantissa = parts.next()?;
    let exponent = parts.next().is_none_or(|exponent| all_digits(unsigned(exponent)));
    let mantissa = mantissa.splitn(2, |&byte| byte == b'.').all(all_digits);
    // The value, rounded correctly, is the standard library's business once the grammar is ours.
    if mantissa && exponent { std::str::from_utf8(text).ok()?.parse().ok() } else { None }
}
