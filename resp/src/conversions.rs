//! What a [`Str`] is to whoever uses it: how it is shown, what it is compared with, and what it is made of and turned into.

use crate::str::{Repr, Str};
use bytes::Bytes;
use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};

impl Str {
    /// A string that has a place in the program itself: costs nothing however long it is.
    pub const fn from_static(bytes: &'static [u8]) -> Self {
        Self(Repr::Shared(Bytes::from_static(bytes)))
    }

    /// The same bytes as a handle to shared memory: copied there if they lie in place.
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            Repr::Shared(bytes) => bytes,
            Repr::Inline(..) => Bytes::copy_from_slice(&self),
        }
    }
}

impl Default for Str {
    fn default() -> Self {
        Self::new()
    }
}

impl AsRef<[u8]> for Str {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// In quotes, what is no printable ASCII escaped.
impl fmt::Debug for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.escape_ascii())
    }
}

impl PartialEq for Str {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}

impl Eq for Str {}

impl Hash for Str {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self[..].hash(state);
    }
}

impl PartialEq<[u8]> for Str {
    fn eq(&self, other: &[u8]) -> bool {
        self[..] == *other
    }
}

impl PartialEq<&[u8]> for Str {
    fn eq(&self, other: &&[u8]) -> bool {
        self[..] == **other
    }
}

impl PartialEq<str> for Str {
    fn eq(&self, other: &str) -> bool {
        self[..] == *other.as_bytes()
    }
}

impl PartialEq<&str> for Str {
    fn eq(&self, other: &&str) -> bool {
        self[..] == *other.as_bytes()
    }
}

impl PartialEq<Bytes> for Str {
    fn eq(&self, other: &Bytes) -> bool {
        self[..] == other[..]
    }
}

impl PartialEq<Str> for Bytes {
    fn eq(&self, other: &Str) -> bool {
        self[..] == other[..]
    }
}

impl From<String> for Str {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&'static str> for Str {
    fn from(text: &'static str) -> Self {
        Self::from_static(text.as_bytes())
    }
}

impl From<&'static [u8]> for Str {
    fn from(bytes: &'static [u8]) -> Self {
        Self::from_static(bytes)
    }
}

impl From<Cow<'static, str>> for Str {
    fn from(text: Cow<'static, str>) -> Self {
        match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        }
    }
}

impl From<Str> for Bytes {
    fn from(text: Str) -> Self {
        text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::{BuildHasher as _, RandomState};

    const LONG: &str = "longer than thirty-eight bytes, so it is shared";

    fn all_ways(text: &'static str) -> [Str; 7] {
        [
            text.into(),
            text.as_bytes().into(),
            text.to_owned().into(),
            text.as_bytes().to_vec().into(),
            Bytes::from_static(text.as_bytes()).into(),
            Cow::Borrowed(text).into(),
            Cow::<str>::Owned(text.to_owned()).into(),
        ]
    }

    #[test]
    fn string_is_the_same_whatever_it_was_made_of_and_wherever_it_lies() {
        let hashers = RandomState::new();
        for text in ["", "OK", LONG] {
            let copy = Str::copy_from_slice(text.as_bytes());
            for string in all_ways(text) {
                assert_eq!(string, copy);
                assert_eq!(string, *text);
                assert_eq!(string, text);
                assert_eq!(string, *text.as_bytes());
                assert_eq!(string, text.as_bytes());
                assert_eq!(string, Bytes::from_static(text.as_bytes()));
                assert_eq!(Bytes::from_static(text.as_bytes()), string);
                assert_ne!(string, "other");
                assert_eq!(string.as_ref(), text.as_bytes());
                assert_eq!(hashers.hash_one(&string), hashers.hash_one(&copy));
                assert_eq!(Bytes::from(string), text);
            }
        }
        assert_eq!(Str::default(), "");
    }

    #[test]
    fn string_is_shown_as_text_as_far_as_it_is_text() {
        assert_eq!(format!("{:?}", Str::from(&b"a\"b\xff"[..])), r#"b"a\"b\xff""#);
    }

    #[test]
    fn bytes_of_a_shared_string_are_not_copied() {
        let bytes = Bytes::from(LONG);
        assert_eq!(Str::from(bytes.clone()).into_bytes().as_ptr(), bytes.as_ptr());
    }
}
