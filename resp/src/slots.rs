//! Children of an aggregate, put together in place.
//!
//! Places are made before the children come, at first by those who came before: writing a child where it stays is what makes
//! large aggregates fast, and a vector that may have to grow cannot be written to directly. A place that waits holds nothing
//! that dropping would give back, so that it is overwritten without a look.

use crate::Frame;
use crate::input::Input;
use crate::simple::Stop;
use crate::str::Str;
use crate::value::Rules;

/// Writes to a place that waits.
#[inline]
pub(crate) fn put(place: &mut Frame, frame: Frame) {
    std::mem::forget(std::mem::replace(place, frame));
}

/// Writes the first `len` bytes of `string` to a place that waits, as a bulk string that is short.
#[inline]
pub(crate) fn put_short(place: &mut Frame, string: &[u8], len: usize) {
    // Mostly there was another one before, and nothing else than its bytes changes.
    if !matches!(place, Frame::Bulk(before) if before.is_inline()) {
        put(place, Frame::Bulk(Str::new()));
    }
    if let Frame::Bulk(text) = place {
        text.replace_inline(string, len);
    }
}

/// Empties a place that may hold anything, so that it waits.
#[inline]
pub(crate) fn vacate(place: &mut Frame) {
    if !place.is_plain() {
        *place = Frame::Null;
    }
}

/// Adds a child for which no place was made. The first gets room for itself alone: by themselves vectors begin with four, which
/// for a map of one pair is fifty times its bytes.
fn push<T>(places: &mut Vec<T>, child: T) {
    if places.is_empty() {
        places.reserve_exact(1);
    }
    places.push(child);
}

/// The children of an array, set or push.
#[derive(Debug, Default)]
pub(crate) struct Items {
    places: Vec<Frame>,
    filled: usize,
}

/// The children of a map or attributes, keys and values in turn.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    places: Vec<(Frame, Frame)>,
    /// Keys and values each.
    filled: usize,
}

impl Items {
    /// Takes the places of an earlier aggregate, all of which wait; so many at most.
    pub(crate) fn reusing(mut places: Vec<Frame>, at_most: usize) -> Self {
        places.truncate(at_most);
        Self { places, filled: 0 }
    }

    pub(crate) fn waiting(&self) -> usize {
        self.places.len() - self.filled
    }

    /// Makes so many places more.
    pub(crate) fn make(&mut self, count: usize) {
        let len = self.places.len() + count;
        if self.places.is_empty() {
            self.places.reserve_exact(len);
        }
        self.places.resize_with(len, || Frame::Null);
    }

    /// Reads short values to the places that wait, as many as there are; tells how many, and why no more.
    pub(crate) fn fill(&mut self, input: &mut Input<'_>, rules: &Rules) -> (usize, Stop) {
        let places = self.places.get_mut(self.filled..).unwrap_or_default();
        let (count, stop) = rules.shorts(input, places);
        self.filled += count;
        (count, stop)
    }

    pub(crate) fn add(&mut self, frame: Frame) {
        match self.places.get_mut(self.filled) {
            Some(place) => put(place, frame),
            None => push(&mut self.places, frame),
        }
        self.filled += 1;
    }

    pub(crate) fn finish(mut self) -> Vec<Frame> {
        self.places.truncate(self.filled);
        self.places
    }
}

impl Pairs {
    /// Takes the places of an earlier aggregate, all of which wait; so many pairs at most.
    pub(crate) fn reusing(mut places: Vec<(Frame, Frame)>, at_most: usize) -> Self {
        places.truncate(at_most);
        Self { places, filled: 0 }
    }

    pub(crate) fn waiting(&self) -> usize {
        2 * self.places.len() - self.filled
    }

    /// Makes places for so many pairs more.
    pub(crate) fn make(&mut self, count: usize) {
        let len = self.places.len() + count;
        if self.places.is_empty() {
            self.places.reserve_exact(len);
        }
        self.places.resize_with(len, || (Frame::Null, Frame::Null));
    }

    /// Reads short values to the places that wait, as many as there are; tells how many, and why no more.
    pub(crate) fn fill(&mut self, input: &mut Input<'_>, rules: &Rules) -> (usize, Stop) {
        let places = self.places.get_mut(self.filled / 2..).unwrap_or_default();
        let (count, stop) = match places {
            [(_, value), ..] if self.filled % 2 == 1 => {
                rules.shorts(input, std::slice::from_mut(value))
            }
            pairs => rules.short_pairs(input, pairs),
        };
        self.filled += count;
        (count, stop)
    }

    pub(crate) fn add(&mut self, frame: Frame) {
        match self.places.get_mut(self.filled / 2) {
            Some((_, value)) if self.filled % 2 == 1 => put(value, frame),
            Some((key, _)) => put(key, frame),
            None => push(&mut self.places, (frame, Frame::Null)),
        }
        self.filled += 1;
    }

    pub(crate) fn finish(mut self) -> Vec<(Frame, Frame)> {
        self.places.truncate(self.filled / 2);
        self.places
    }
}
