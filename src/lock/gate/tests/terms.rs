//! How long holds last, what they keep beyond their release, and what they leave behind on purpose.

use super::{Desk, HELD, MS, SECOND, terms};
use crate::lock::gate::{Event, Failure, Left, Patience, Said, Terms};
use crate::lock::lease::Lease;
use crate::lock::options::Renewal;
use std::time::Duration;

const OURS: Said = Said::Ours(Left::Unasked);

fn at_least(least: Duration) -> Terms {
    Terms { at_least: least, ..terms() }
}

fn holding(terms: Terms) -> Desk {
    let mut desk = Desk::new();
    desk.come_with(1, terms, Patience::Endless);
    assert_eq!(desk.answer(Said::Fresh), "grant 1 until 9.978s");
    desk
}

#[test]
fn release_before_the_shortest_time_leaves_the_key_for_the_rest_of_it() {
    let mut desk = holding(at_least(20 * SECOND));
    desk.now += 5 * SECOND / 2;
    assert_eq!(desk.release(1), "keep 1 for 17.5s");
    assert_eq!(desk.answer(Said::InFull), "keep 1 for 17.5s in full");
    assert_eq!(desk.answer(OURS), "report 1: Yes, forget 1");
    assert!(desk.gate.is_vacant());
}

#[test]
fn release_after_the_shortest_time_frees_the_key() {
    let mut desk = holding(at_least(2 * SECOND));
    desk.now += 2 * SECOND;
    assert_eq!(desk.release(1), "release 1");
}

#[test]
fn lock_is_not_handed_over_before_the_shortest_time_is_over() {
    let mut desk = holding(at_least(2 * SECOND));
    desk.come(2);
    desk.now += SECOND;
    assert_eq!(desk.release(1), "keep 1 for 1s, ask 2");
    desk.answer(OURS);
    assert_eq!(desk.answer(HELD), "look 2");
    assert_eq!(desk.answer(Said::Left(Left::For(SECOND))), "");
    assert_eq!(desk.after(SECOND + MS), "ask 2");
}

#[test]
fn key_whose_keeping_went_without_an_answer_is_freed_once_the_time_is_over() {
    let mut desk = holding(at_least(SECOND));
    assert_eq!(desk.release(1), "keep 1 for 1s");
    assert_eq!(desk.answer(Said::Failed(Failure::Passing { may_have_run: true })), "");
    assert_eq!(desk.after(50 * MS), "keep 1 for 950ms");
    assert_eq!(desk.answer(Said::Failed(Failure::Passing { may_have_run: true })), "");
    assert_eq!(desk.after(SECOND), "release 1");
}

#[test]
fn caller_that_goes_before_it_knows_of_its_grant_has_no_shortest_time() {
    let mut desk = holding(at_least(20 * SECOND));
    assert_eq!(desk.decline(1), "release 1");
}

#[test]
fn key_of_a_hold_that_ran_out_is_left_for_the_delay() {
    let lease = Lease::new(10 * SECOND).unwrap().with_delay(15 * SECOND).unwrap();
    let mut desk = holding(Terms { lease, ..terms() });
    desk.come(2);
    assert_eq!(desk.after(SECOND * 10 / 3), "renew 1");
    let lost = desk.after(7 * SECOND);
    assert_eq!(lost, "lose 1: Unconfirmed, forget 1, ask 2", "nothing takes the key back");
}

#[test]
fn release_in_order_knows_no_delay() {
    let lease = Lease::new(10 * SECOND).unwrap().with_delay(15 * SECOND).unwrap();
    let mut desk = holding(Terms { lease, ..terms() });
    assert_eq!(desk.release(1), "release 1");
}

#[test]
fn answer_that_was_long_on_its_way_shortens_no_lease() {
    let mut desk = Desk::new();
    desk.come_with(1, Terms { renewal: Renewal::Off, ..terms() }, Patience::Endless);
    desk.answer(Said::Fresh);
    assert_eq!(desk.told(Event::Changed), "verify 1");
    desk.after(4 * SECOND);
    // The server looked after three of them, when seven were left.
    let unchanged = Said::Ours(Left::For(7 * SECOND));
    assert_eq!(desk.answer(unchanged), "extend 1 until 9.978s", "all that the holder relies on");
}
