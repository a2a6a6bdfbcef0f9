//! The rows of holders whose value has no lease but names the time at which it ends.

use super::{Desk, MS, SECOND, terms};
use crate::lock::gate::{Left, Patience, Said};
use std::time::Duration;

const ELDER: Said = Said::Held { holder: 7, process: 7, left: Left::Undated(1_790_000_000_000) };

fn dated(ms: u64) -> Said {
    Said::Left(Left::Dated(Duration::from_millis(ms)))
}

#[test]
fn holder_without_a_lease_is_waited_for_until_the_time_that_it_names() {
    let mut desk = Desk::new();
    desk.come(1);
    assert_eq!(desk.answer(ELDER), "look 1 at the clock");
    assert_eq!(desk.answer(dated(4_000)), "");
    assert_eq!(desk.due(), Some(4_001 * MS));
    assert_eq!(desk.after(4_001 * MS), "ask 1");
    assert_eq!(desk.answer(ELDER), "look 1 at the clock");
    assert_eq!(desk.answer(dated(0)), "take 1");
    assert_eq!(desk.answer(Said::InFull), "take 1 in full");
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "grant 1 until 13.979s");
}

#[test]
fn holder_that_changed_before_it_was_taken_from_is_looked_at_anew() {
    for changed in [Said::NotOurs, Said::Gone] {
        let mut desk = Desk::new();
        desk.come(1);
        desk.answer(ELDER);
        assert_eq!(desk.answer(dated(0)), "take 1");
        assert_eq!(desk.answer(changed), "ask 1");
    }
}

#[test]
fn take_over_whose_caller_goes_is_taken_back() {
    let mut desk = Desk::new();
    desk.come(1);
    desk.answer(ELDER);
    desk.answer(dated(0));
    assert_eq!(desk.leave(1), "release 1");
}

#[test]
fn single_attempt_looks_at_a_dated_holder_before_it_gives_up() {
    for (said, then) in [(dated(1), "refuse 1: Held, forget 1"), (dated(0), "take 1")] {
        let mut desk = Desk::new();
        let once = Patience::Once(desk.now + SECOND);
        desk.come_with(1, terms(), once);
        assert_eq!(desk.answer(ELDER), "look 1 at the clock");
        assert_eq!(desk.answer(said), then);
    }
}
