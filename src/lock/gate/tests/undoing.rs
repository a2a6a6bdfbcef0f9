//! What is taken back: whatever a caller that went, a holder that released or a connection that was lost may have left.

use super::{Desk, HELD, MS, SECOND, holding, terms};
use crate::lock::gate::{Event, Failure, Left, Patience, Said};

#[test]
fn caller_that_goes_is_undone_behind_its_question_and_the_next_asks_behind_that() {
    let mut desk = Desk::new();
    desk.come(1);
    desk.come(2);
    assert_eq!(desk.leave(1), "release 1, ask 2");
    assert_eq!(desk.answer(Said::Fresh), "", "nobody wants it any more");
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "report 1: Yes, forget 1");
    assert_eq!(desk.answer(Said::Fresh), "grant 2 until 9.978s");
}

#[test]
fn caller_that_goes_while_it_rests_leaves_nothing_to_undo() {
    let mut desk = Desk::new();
    desk.come(1);
    desk.answer(HELD);
    assert_eq!(desk.leave(1), "forget 1");
    assert!(desk.gate.is_vacant());
}

#[test]
fn value_whose_fate_is_unknown_is_undone_even_if_its_caller_rests() {
    let mut desk = Desk::new();
    desk.come(1);
    desk.cut();
    assert_eq!(desk.leave(1), "");
    assert_eq!(desk.open(true), "release 1");
    assert_eq!(desk.answer(Said::NotOurs), "report 1: NotOurs, forget 1");
}

#[test]
fn question_without_an_answer_is_repeated_and_finds_its_own_value() {
    let mut desk = Desk::new();
    desk.come(1);
    assert_eq!(desk.cut(), "");
    assert_eq!(desk.after(SECOND), "", "nothing is sent into the dark");
    assert_eq!(desk.open(true), "ask 1");
    assert_eq!(desk.answer(Said::Earlier), "renew 1");
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "grant 1 until 10.978s");
}

#[test]
fn value_that_a_connection_may_still_bring_is_taken_back_until_it_cannot_any_more() {
    let mut desk = Desk::new();
    desk.come(1);
    desk.cut();
    desk.open(false); // the server did not let us kill the old connection
    assert_eq!(desk.leave(1), "release 1");
    assert_eq!(desk.answer(HELD), "", "the answer to the question");
    assert_eq!(desk.answer(Said::NotOurs), "report 1: NotOurs");
    let mut seen = Vec::new();
    while !desk.gate.is_vacant() {
        desk.now = desk.gate.due().unwrap();
        if !desk.told(Event::Tick).starts_with("release 1") {
            break;
        }
        seen.push((desk.now - desk.begun).as_millis());
        desk.answer(Said::NotOurs);
    }
    assert_eq!(seen, [200, 1_200, 6_200]);
    assert!(desk.gate.is_vacant());
    assert_eq!(desk.now - desk.begun, 10_022 * MS);
}

#[test]
fn value_that_is_stuck_on_its_way_is_taken_back_also_when_it_comes_after_its_lease() {
    let mut desk = Desk::new();
    desk.come(1);
    assert_eq!(desk.leave(1), "release 1");
    assert_eq!(desk.after(30 * SECOND), "report 1: Unconfirmed", "whoever waits is told");
    assert_eq!(desk.cut(), "; ", "and now the server may carry both out, or only the first");
    assert_eq!(desk.after(10 * MS), "");
    assert!(desk.gate.due().unwrap() > desk.now, "it is not looked at again and again until then");
    assert_eq!(desk.open(true), "release 1");
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "forget 1");
    assert!(desk.gate.is_vacant());
}

#[test]
fn release_that_never_left_says_nothing_of_what_was_sent_before_it() {
    let mut desk = Desk::new();
    desk.come(1);
    desk.leave(1);
    desk.flying.pop_front(); // the question is stuck on its way
    desk.answer(Said::Failed(Failure::Passing { may_have_run: false }));
    assert_eq!(desk.after(30 * SECOND), "report 1: Unconfirmed, release 1");
    desk.cut();
    assert_eq!(desk.open(true), "release 1");
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "forget 1");
}

#[test]
fn value_that_is_stuck_on_its_way_is_taken_back_also_by_a_client_that_is_closing() {
    let mut desk = Desk::new();
    desk.come(1);
    assert_eq!(desk.leave(1), "release 1");
    assert_eq!(desk.told(Event::Closing), "");
    assert_eq!(desk.after(30 * SECOND), "report 1: Unconfirmed", "whoever waits is told");
    desk.cut();
    assert_eq!(desk.open(true), "release 1");
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "forget 1");
    assert!(desk.gate.is_vacant());
}

#[test]
fn what_a_closed_client_has_left_is_not_waited_for_beyond_its_lease() {
    let mut desk = holding(1);
    desk.come(2);
    desk.release(1); // handed over, and never answered
    assert_eq!(desk.told(Event::Closed), "refuse 2: Closed");
    desk.cut();
    for _ in 0..3 {
        desk.after(11 * SECOND);
    }
    assert!(desk.gate.is_vacant(), "{:?}", desk.gate);
}

#[test]
fn vacant_gate_has_nothing_to_look_at() {
    let mut desk = holding(1);
    let patience = Patience::Until(desk.now + SECOND);
    desk.come_with(2, terms(), patience);
    desk.release(1);
    desk.answer(Said::Ours(Left::Unasked)); // handed over
    desk.release(2);
    desk.answer(Said::Ours(Left::Unasked));
    assert!(desk.gate.is_vacant());
    assert_eq!(desk.due(), None);
}

#[test]
fn release_without_an_answer_is_repeated_until_the_lease_has_ended() {
    let mut desk = holding(1);
    assert_eq!(desk.release(1), "release 1");
    desk.cut();
    assert_eq!(desk.after(60 * MS), "");
    assert_eq!(desk.open(true), "release 1");
    assert_eq!(desk.answer(Said::NotOurs), "report 1: Unconfirmed, forget 1");

    let mut desk = holding(1);
    desk.release(1);
    desk.cut();
    assert_eq!(desk.after(10_022 * MS), "report 1: Unconfirmed, forget 1");
}
