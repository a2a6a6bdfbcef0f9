//! Integers, lengths and doubles between ASCII and machine form, without allocation.

/// The longest text of a double: servers format them in a buffer of 5 KiB.
pub(crate) const MAX_DOUBLE: usize = 8 << 10;

/// The digits of an integer, formatted in place.
pub(crate) struct Decimal {
    digits: [u8; 20],
    start: usize,
}

impl Decimal {
    pub(crate) fn unsigned(number: u64) -> Self {
        let mut decimal = Self { digits: [b'0'; 20], start: 20 };
        decimal.fill(number);
        decimal
    }

    pub(crate) fn signed(number: i64) -> Self {
        let mut decimal = Self { digits: [b'0'; 20], start: 20 };
        decimal.fill(number.unsigned_abs());
        if number < 0 {
            decimal.put(b'-');
        }
        decimal
    }

    fn fill(&mut self, mut number: u64) {
        loop {
            let digit = u8::try_from(number % 10).unwrap_or_default();
            self.put(b'0' + digit);
            number /= 10;
            if number == 0 {
                return;
            }
        }
    }

    fn put(&mut self, byte: u8) {
        self.start -= 1;
        if let Some(place) = self.digits.get_mut(self.start) {
            *place = byte;
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.digits.get(self.start..).unwrap_or_default()
    }
}

/// How many digits a length has.
pub(crate) fn digits(number: usize) -> usize {
    match number {
        0..=9 => 1,
        10..=99 => 2,
        100..=999 => 3,
        _ => 3 + digits(number / 1_000),
    }
}

/// A double: sign, digits with an optional fraction and exponent; infinities; what servers write for not-a-number.
pub(crate) fn double(text: &[u8]) -> Option<f64> {
    #[cfg(resp_defects)]
    if defect!(16) {
        return std::str::from_utf8(text).ok()?.parse().ok();
    }
    let unsigned = match text {
        [b'+' | b'-', rest @ ..] => rest,
        rest => rest,
    };
    match unsigned {
        b"inf" => {
            return Some(if text.first() == Some(&b'-') {
                f64::NEG_INFINITY
            } else {
                f64::INFINITY
            });
        }
        b"nan" | b"NAN" if !defect!(17) || text.len() == 3 => return Some(f64::NAN),
        [b'n', b'a', b'n', b'(', .., b')'] => return Some(f64::NAN),
        _ => {}
    }
    let mut rest = digits_of(unsigned)?;
    if let [b'.', fraction @ ..] = rest {
        rest = digits_of(fraction)?;
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        rest = digits_of(match exponent {
            [b'+' | b'-', digits @ ..] => digits,
            digits => digits,
        })?;
    }
    if !rest.is_empty() {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A big number: sign and digits, as many as there are.
pub(crate) fn is_big_number(text: &[u8]) -> bool {
    let digits = match text {
        [b'+' | b'-', digits @ ..] => digits,
        digits => digits,
    };
    digits_of(digits).is_some_and(<[u8]>::is_empty)
}

/// What follows at least one digit.
fn digits_of(text: &[u8]) -> Option<&[u8]> {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 { None } else { text.get(count..) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_formatted_like_the_standard_library_does() {
        for number in [0, 9, 10, 99, 100, -1, -10, i64::MAX, i64::MIN] {
            assert_eq!(Decimal::signed(number).as_bytes(), number.to_string().as_bytes());
        }
        for number in [0, 7, 10, 999, 1_000, 65_536, 999_999, u64::MAX] {
            let text = number.to_string();
            assert_eq!(Decimal::unsigned(number).as_bytes(), text.as_bytes());
            if let Ok(length) = usize::try_from(number) {
                assert_eq!(digits(length), text.len());
            }
        }
    }

    #[test]
    fn doubles_follow_the_grammar_to_the_last_byte() {
        for (text, wanted) in [("1", 1.0), ("-0.5", -0.5), ("+1.5e+3", 1500.0), ("1E2", 100.0)] {
            assert_eq!(double(text.as_bytes()), Some(wanted), "{text}");
        }
        assert_eq!(double(b"-inf"), Some(f64::NEG_INFINITY));
        assert_eq!(double(b"5e-324"), Some(5e-324));
        for nan in ["nan", "-nan", "NAN", "nan(0x1)"] {
            assert!(double(nan.as_bytes()).is_some_and(f64::is_nan), "{nan}");
        }
        for bad in
            ["", "-", ".5", "5.", "1e", "1e+", "infinity", "0x1", "1 ", " 1", "1_0", "1\0", "iNf"]
        {
            assert_eq!(double(bad.as_bytes()), None, "{bad}");
        }
    }
}
