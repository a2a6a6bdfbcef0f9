//! Mistakes that are made on purpose, one at a time, so that it can be seen which test catches each.
//!
//! Only a build with `--cfg resp_defects` has them: in any other, `defect!` is what is right, and nothing is left of what is wrong.

/// `defect!(7)` tells whether mistake 7 is made; `defect!(7, wrong, right)` makes it.
#[cfg(resp_defects)]
macro_rules! defect {
    ($number:literal) => {
        $crate::defects::is_planted($number)
    };
    ($number:literal, $wrong:expr, $right:expr) => {
        if $crate::defects::is_planted($number) { $wrong } else { $right }
    };
}

/// Never, in a build that is to be used.
#[cfg(not(resp_defects))]
macro_rules! defect {
    ($number:literal) => {
        false
    };
    ($number:literal, $wrong:expr, $right:expr) => {
        $right
    };
}

#[cfg(resp_defects)]
use std::sync::atomic::{AtomicUsize, Ordering};

#[cfg(resp_defects)]
static PLANTED: AtomicUsize = AtomicUsize::new(0);

/// From here on this mistake is made, and no other; none is number 0.
#[cfg(resp_defects)]
pub fn plant(number: usize) {
    PLANTED.store(number, Ordering::Relaxed);
}

#[cfg(resp_defects)]
pub(crate) fn is_planted(number: usize) -> bool {
    PLANTED.load(Ordering::Relaxed) == number
}

/// What each mistake is, and the type that it is about; the first is number 1.
#[cfg(resp_defects)]
pub const ALL: [(&str, &str); 44] = [
    ("+", "a CR ends a line whatever follows it"),
    ("-", "an LF by itself ends a line"),
    ("+", "a line that is not whole is looked at again from its start"),
    ("+", "a line may have any length"),
    ("$", "-2 is a null as well"),
    ("$", "a length may have a plus in front"),
    ("$", "a length is cut to 32 bits"),
    ("*", "a count may have any number of digits"),
    ("!", "-1 is a null of every type"),
    ("?", "every type may be streamed"),
    (">", "a push need not say its kind"),
    (">", "a push with attributes in front is not one"),
    ("$", "the two bytes behind a string are not looked at"),
    ("_", "a null may have something in it"),
    ("#", "T is true as well"),
    (",", "whatever the standard library reads is a double"),
    (",", "not-a-number may have no sign"),
    (":", "an integer that is too large is the largest"),
    ("(", "a big number may be any text"),
    ("(", "a big number that is none loses the framing"),
    ("=", "the colon behind a format is not looked at"),
    ("=", "the colon belongs to the text"),
    ("*", "an empty array is a null"),
    ("*", "a null array is an empty one"),
    ("depth", "one level more is allowed"),
    ("depth", "a reply that is too deep loses the framing"),
    ("limits", "an aggregate may have any number of children"),
    ("limits", "a frame may have any size"),
    (";", "anything may stand among chunks"),
    (".", "an end may come anywhere"),
    ("%", "a streamed map may end behind a key"),
    ("*", "a stream may have any number of children"),
    ("|", "attributes are an element"),
    ("|", "attributes are left out"),
    ("%", "a map has as many keys and values as pairs"),
    (">", "a push that is damaged stands for a reply"),
    ("damage", "what is wrong inside a reply makes a null of it"),
    ("poison", "after an error it goes on"),
    ("memory", "storage is reserved by the count in a header"),
    ("requests", "a count may begin with zeros"),
    ("frames", "what lies before a frame that is not short comes again"),
    ("frames", "behind one that is not whole another one begins"),
    ("frames", "an error is told again and again"),
    (":", "digits that arrive together are put together back to front"),
];
