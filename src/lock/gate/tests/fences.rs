//! The rows of fences: no grant without one, whatever the server can do and whatever goes wrong.

use super::{Desk, HELD, MS, left, terms};
use crate::lock::fence::FencingToken;
use crate::lock::gate::{Failure, Left, Patience, Said, Terms};
use std::time::Duration;

fn fence(number: u64) -> Said {
    Said::Fenced(FencingToken::parse(format!("0-{number}").as_bytes()).unwrap())
}

fn fenced() -> Terms {
    Terms { fenced: true, ..terms() }
}

fn asking() -> Desk {
    let mut desk = Desk::new();
    let asked = desk.come_with(1, fenced(), Patience::Endless);
    assert_eq!(asked, "ask 1 for a fence Along");
    desk
}

#[test]
fn fence_comes_along_with_the_lock() {
    let mut desk = asking();
    assert_eq!(desk.answer(fence(7)), "grant 1 until 9.978s, fence 7");
}

#[test]
fn forgotten_script_is_asked_for_in_full() {
    let mut desk = asking();
    assert_eq!(desk.answer(Said::Forgotten), "ask 1 for a fence InFull");
    assert_eq!(desk.answer(fence(7)), "grant 1 until 9.978s, fence 7");
}

#[test]
fn lock_without_a_fence_is_no_grant_yet() {
    let mut desk = asking();
    assert_eq!(desk.answer(Said::Fresh), "mint 1");
    assert_eq!(desk.after(10 * MS), "");
    assert_eq!(desk.answer(Said::Unbegun { now: Duration::from_secs(5) }), "mint 1 at 5s");
    assert_eq!(desk.answer(Said::Rephrase), "mint 1");
    assert_eq!(desk.answer(fence(7)), "grant 1 until 9.978s, fence 7", "counted from the taking");
}

#[test]
fn whoever_has_seen_another_holder_mints_cheaply() {
    let mut desk = asking();
    assert_eq!(desk.answer(HELD), "look 1");
    desk.answer(left(100));
    assert_eq!(desk.after(101 * MS), "ask 1 for a fence Cheaply");
    assert_eq!(desk.answer(Said::Fresh), "mint 1");
    assert_eq!(desk.answer(fence(7)), "grant 1 until 10.079s, fence 7");
}

#[test]
fn lock_that_was_lost_before_it_had_a_fence_is_asked_for_again() {
    let mut desk = asking();
    desk.answer(Said::Fresh);
    assert_eq!(desk.answer(Said::NotOurs), "ask 1 for a fence Along");
}

#[test]
fn value_from_an_earlier_attempt_gets_a_lease_and_then_a_fence() {
    let mut desk = asking();
    assert_eq!(desk.answer(Said::Earlier), "renew 1");
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "mint 1");
    assert_eq!(desk.answer(fence(7)), "grant 1 until 9.978s, fence 7");
}

#[test]
fn lock_whose_fence_is_refused_is_released() {
    let mut desk = asking();
    desk.answer(Said::Fresh);
    let refused = Said::Failed(Failure::ForGood { may_have_run: false });
    assert_eq!(desk.answer(refused), "refuse 1: Failed, release 1");
}

#[test]
fn lock_whose_fence_went_without_an_answer_is_found_again() {
    let mut desk = asking();
    desk.answer(Said::Fresh);
    assert_eq!(desk.cut(), "");
    assert_eq!(desk.open(true), "ask 1 for a fence Along");
    assert_eq!(desk.leave(1), "release 1");
}

#[test]
fn caller_that_leaves_while_the_fence_is_minted_leaves_nothing() {
    let mut desk = asking();
    desk.answer(Said::Fresh);
    assert_eq!(desk.leave(1), "release 1");
}

#[test]
fn hand_over_brings_a_fence_of_its_own() {
    let mut desk = asking();
    desk.answer(fence(7));
    desk.come_with(2, fenced(), Patience::Endless);
    assert_eq!(desk.release(1), "pass 1 to 2");
    let passed = desk.answer(fence(8));
    assert_eq!(passed, "report 1: Yes, forget 1, grant 2 until 9.978s, fence 8");
    desk.come_with(3, fenced(), Patience::Endless);
    desk.release(2);
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "report 2: Yes, forget 2, mint 3");
    assert_eq!(desk.answer(fence(9)), "grant 3 until 9.978s, fence 9");
}
