//! Mistakes that are made on purpose, one at a time, so that it can be seen which test catches each.
//!
//! Only a build with `--cfg tenure_defects` has them, and makes the one whose number stands in `TENURE_DEFECT`: in any other,
//! `defect!` is what is right, and nothing is left of what is wrong. What each is, and what catches it, says `tests/DEFECTS.md`.

/// `defect!(7)` tells whether mistake 7 is made; `defect!(7, wrong, right)` makes it.
#[cfg(tenure_defects)]
macro_rules! defect {
    ($number:literal) => {
        $crate::defects::is_planted($number)
    };
    ($number:literal, $wrong:expr, $right:expr) => {
        if $crate::defects::is_planted($number) { $wrong } else { $right }
    };
}

/// Never, in a build that is to be used.
#[cfg(not(tenure_defects))]
macro_rules! defect {
    ($number:literal) => {
        false
    };
    ($number:literal, $wrong:expr, $right:expr) => {
        $right
    };
}

#[cfg(tenure_defects)]
pub(crate) fn is_planted(number: usize) -> bool {
    use std::sync::OnceLock;
    static PLANTED: OnceLock<Option<usize>> = OnceLock::new();
    let read = || std::env::var("TENURE_DEFECT").ok()?.parse().ok();
    *PLANTED.get_or_init(read) == Some(number)
}
