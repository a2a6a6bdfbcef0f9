//! The rows of the state table in which a lock goes from hand to hand within a process.

use super::{MS, SECOND, holding, terms};
use crate::lock::gate::{Failure, Left, Patience, Said};

#[test]
fn waiters_of_one_process_are_served_in_order_and_only_the_first_asks() {
    let mut desk = holding(1);
    assert_eq!([desk.come(2), desk.come(3), desk.come(4)], ["", "", ""]);
    assert_eq!(desk.leave(3), "forget 3");
    assert_eq!(desk.release(1), "pass 1 to 2");
    let passed = desk.answer(Said::Ours(Left::Unasked));
    assert_eq!(passed, "report 1: Yes, forget 1, grant 2 until 9.978s");
    assert_eq!(desk.release(2), "pass 2 to 4");
    assert_eq!(desk.come(5), "");
    assert_eq!(desk.leave(4), "", "too late: it is on its way");
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "report 2: Yes, forget 2, pass 4 to 5");
    desk.answer(Said::Ours(Left::Unasked));
    assert_eq!(desk.release(5), "release 5");
}

#[test]
fn waiter_in_the_line_gives_up_in_time() {
    let mut desk = holding(1);
    let end = desk.now + SECOND;
    assert_eq!(desk.come_with(2, terms(), Patience::Until(end)), "");
    assert_eq!(desk.come(3), "");
    assert_eq!(desk.due(), Some(SECOND));
    assert_eq!(desk.after(SECOND), "refuse 2: TimedOut, forget 2");
    assert_eq!(desk.release(1), "pass 1 to 3");
}

#[test]
fn others_get_their_turn_after_eight_hand_overs() {
    let mut desk = holding(0);
    for claim in 1..=20 {
        desk.come(claim);
    }
    for claim in 0..8 {
        assert_eq!(desk.release(claim), format!("pass {claim} to {}", claim + 1));
        desk.answer(Said::Ours(Left::Unasked));
    }
    assert_eq!(desk.release(8), "release 8", "and does not ask behind it");
    let answered = desk.answer(Said::Ours(Left::Unasked));
    assert_eq!(answered, "report 8: Yes, forget 8, ask 9");
    desk.answer(Said::Fresh);
    assert_eq!(desk.release(9), "pass 9 to 10", "a new turn");
}

#[test]
fn others_get_their_turn_after_fifty_milliseconds() {
    let mut desk = holding(1);
    desk.come(2);
    desk.come(3);
    desk.release(1);
    desk.answer(Said::Ours(Left::Unasked));
    desk.now += 50 * MS;
    assert_eq!(desk.release(2), "release 2");
    assert_eq!(desk.after(5 * MS), "ask 3", "no longer than a moment, also without an answer");
}

#[test]
fn hand_over_of_a_lost_lock_gives_nothing() {
    let mut desk = holding(1);
    desk.come(2);
    desk.release(1);
    assert_eq!(desk.answer(Said::NotOurs), "report 1: NotOurs, forget 1, ask 2");
}

#[test]
fn hand_over_without_an_answer_undoes_the_old_owner_before_the_new_one_asks() {
    let mut desk = holding(1);
    desk.come(2);
    desk.release(1);
    let lost = desk.cut();
    assert_eq!(lost, "release 1, ask 2", "queued, and sent on the next connection in this order");
    desk.open(true);
    assert_eq!(desk.answer(Said::NotOurs), "report 1: Unconfirmed, forget 1");
    assert_eq!(desk.answer(Said::Earlier), "renew 2", "it had been handed over");
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "grant 2 until 9.978s");
}

#[test]
fn hand_over_that_is_refused_becomes_a_release() {
    let mut desk = holding(1);
    desk.come(2);
    desk.release(1);
    assert_eq!(desk.answer(Said::InFull), "pass 1 to 2");
    let refused = Said::Failed(Failure::Refused);
    assert_eq!(desk.answer(refused), "release 1");
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "report 1: Yes, forget 1, ask 2");
}
