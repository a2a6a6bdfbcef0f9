//! `Str`: a string of any bytes, in place where it is short.
//!
//! Most strings of most replies are short. One that lies in the frame itself costs neither an allocation nor a reference count,
//! and keeps no input alive; a longer one is a slice of the input.

use bytes::Bytes;
use std::ops::Deref;

/// The longest string that lies in place: a UUID is one.
pub(crate) const INLINE: usize = 38;

/// A string of any bytes, as RESP has it: cheap to clone. Decoded or copied it needs no allocation up to 38 bytes; made of
/// [`Bytes`] it stays shared.
#[derive(Clone)]
pub struct Str(pub(crate) Repr);

#[derive(Clone)]
pub(crate) enum Repr {
    /// What lies behind the length is not part of the string.
    Inline(u8, [u8; INLINE]),
    Shared(Bytes),
}

impl Str {
    pub(crate) const OK: Self = {
        let mut place = [0; INLINE];
        place[0] = b'O';
        place[1] = b'K';
        Self(Repr::Inline(2, place))
    };

    /// The empty string.
    pub const fn new() -> Self {
        Self(Repr::Inline(0, [0; INLINE]))
    }

    /// A copy of `bytes`: in place where they are few, else in memory of its own.
    pub fn copy_from_slice(bytes: &[u8]) -> Self {
        Self::short(bytes).unwrap_or_else(|| Self(Repr::Shared(Bytes::copy_from_slice(bytes))))
    }

    /// A copy of `bytes` in place, if they are few enough.
    pub(crate) fn short(bytes: &[u8]) -> Option<Self> {
        let mut place = [0; INLINE];
        place.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self(Repr::Inline(u8::try_from(bytes.len()).ok()?, place)))
    }

    /// Becomes the first `len` bytes of `bytes`, of which it takes no more than it has room for; does nothing to what is shared.
    ///
    /// Where that many bytes are there, all the room is overwritten: a copy of fixed size is faster, whatever comes behind.
    #[inline]
    pub(crate) fn replace_inline(&mut self, bytes: &[u8], len: usize) {
        let Repr::Inline(length, place) = &mut self.0 else { return };
        let len = len.min(INLINE);
        match bytes.first_chunk() {
            Some(all) => *place = *all,
            None => copy(bytes, len, place),
        }
        *length = len as u8;
    }

    /// Whether it lies in place.
    #[inline]
    pub(crate) fn is_inline(&self) -> bool {
        matches!(self.0, Repr::Inline(..))
    }

    /// The bytes.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline(len, place) => place.get(..usize::from(*len)).unwrap_or_default(),
            Repr::Shared(bytes) => bytes,
        }
    }
}

/// Apart from where it is called, or it would be merged with the copy of fixed size.
#[inline(never)]
fn copy(bytes: &[u8], len: usize, place: &mut [u8; INLINE]) {
    if let (Some(place), Some(bytes)) = (place.get_mut(..len), bytes.get(..len)) {
        place.copy_from_slice(bytes);
    }
}

impl Deref for Str {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

/// Stays shared, however short it is.
impl From<Bytes> for Str {
    fn from(bytes: Bytes) -> Self {
        Self(Repr::Shared(bytes))
    }
}

impl From<Vec<u8>> for Str {
    fn from(bytes: Vec<u8>) -> Self {
        Self::short(&bytes).unwrap_or_else(|| Bytes::from(bytes).into())
    }
}
