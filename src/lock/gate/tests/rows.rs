//! The rows of the state table.

use super::{Desk, HELD, MS, SECOND, held_by, holding, left, terms};
use crate::lock::gate::{Claim, Ears, Event, Failure, Left, Patience, Said, Terms};
use crate::lock::options::{Renewal, Wakeup};
use std::time::Duration;

#[test]
fn uncontended_pair_takes_two_commands() {
    let mut desk = holding(1);
    assert_eq!(desk.release(1), "release 1");
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "report 1: Yes, forget 1");
    assert!(desk.gate.is_vacant());
}

#[test]
fn lease_counts_from_before_the_question() {
    let mut desk = Desk::new();
    desk.come(1);
    desk.now += 500 * MS;
    assert_eq!(desk.answer(Said::Fresh), "grant 1 until 9.978s");
    assert_eq!(desk.due(), Some(SECOND * 10 / 3));
}

#[test]
fn grant_that_comes_too_late_is_given_back_the_second_time() {
    let mut desk = Desk::new();
    for patience in [Patience::Endless, Patience::Once(desk.now + 60 * SECOND)] {
        desk.come_with(1, terms(), patience);
        if patience == Patience::Endless {
            desk.now += 10 * SECOND;
            assert_eq!(desk.answer(Said::Fresh), "ask 1", "it may have been this process");
        }
        desk.now += 10 * SECOND;
        assert_eq!(desk.answer(Said::Fresh), "refuse 1: TooShort { took: 10s }, release 1");
        assert_eq!(desk.answer(Said::NotOurs), "report 1: NotOurs, forget 1");
        assert!(desk.gate.is_vacant());
    }
}

#[test]
fn lock_is_still_to_be_had_after_a_grant_that_was_heard_of_too_late() {
    for (said, told) in [(Said::Fresh, "grant 1 until 19.978s"), (Said::Earlier, "renew 1")] {
        let mut desk = Desk::new();
        desk.come(1);
        desk.now += 10 * SECOND;
        desk.answer(Said::Fresh);
        assert_eq!(desk.answer(said), told);
    }
    let mut desk = Desk::new();
    desk.come(1);
    desk.now += 10 * SECOND;
    desk.answer(Said::Fresh);
    assert_eq!(desk.answer(HELD), "look 1", "somebody else was faster");
}

#[test]
fn refused_head_looks_rests_and_asks_when_told() {
    let mut desk = Desk::new();
    desk.come(1);
    assert_eq!(desk.answer(HELD), "look 1");
    assert_eq!(desk.answer(left(4_000)), "");
    assert_eq!(desk.due(), Some(4_001 * MS), "by itself when the lease is over");
    let announced = Event::Announced { process: 7, waits: false };
    assert_eq!(desk.told(announced), "", "it does not listen for that");
    assert_eq!(desk.told(Event::Changed), "ask 1");
    assert_eq!(desk.answer(Said::Fresh), "grant 1 until 9.978s");
}

#[test]
fn what_is_pushed_before_the_answer_happened_before_it() {
    let mut desk = Desk::new();
    desk.come(1);
    desk.told(Event::Changed);
    assert_eq!(desk.answer(HELD), "look 1");
    desk.told(Event::Changed);
    assert_eq!(desk.answer(left(4_000)), "", "the answer knows more");
    assert_eq!(desk.told(Event::Changed), "ask 1");
}

#[test]
fn key_that_is_gone_on_second_sight_is_asked_for_at_once() {
    let mut desk = Desk::new();
    desk.come(1);
    desk.answer(HELD);
    assert_eq!(desk.answer(Said::Left(Left::Nothing)), "ask 1");
}

#[test]
fn nobody_relies_on_a_push_for_ever() {
    let mut desk = Desk::new();
    desk.come(1);
    desk.answer(HELD);
    desk.answer(Said::Left(Left::Endless));
    assert_eq!(desk.due(), Some(15 * SECOND));
    assert_eq!(desk.after(15 * SECOND), "ask 1");
}

#[test]
fn deaf_head_asks_at_intervals() {
    let mut desk = Desk::new();
    desk.ears = Ears::default();
    desk.come(1);
    desk.answer(HELD);
    desk.answer(left(4_000));
    assert_eq!(desk.due(), Some(100 * MS - Duration::from_nanos(1)), "by its back-off");
    desk.after(100 * MS);
    desk.answer(HELD);
    desk.answer(left(50));
    assert_eq!(desk.due(), Some(151 * MS), "or sooner, when the lease is over");
}

#[test]
fn single_attempt_is_refused_without_a_second_look() {
    let mut desk = Desk::new();
    let once = Patience::Once(desk.now + SECOND);
    desk.come_with(1, terms(), once);
    assert_eq!(desk.answer(HELD), "refuse 1: Held, forget 1");
    assert_eq!(desk.come_with(2, terms(), once), "ask 2");
    assert_eq!(desk.come_with(3, terms(), once), "refuse 3: Held, forget 3", "2 is before it");
    assert_eq!(desk.after(SECOND), "refuse 2: NoAnswer, release 2");
}

#[test]
fn last_attempt_is_made_at_the_deadline() {
    let mut desk = Desk::new();
    let end = desk.now + 2 * SECOND;
    desk.come_with(1, terms(), Patience::Until(end));
    desk.answer(HELD);
    desk.answer(left(4_000));
    assert_eq!(desk.after(2 * SECOND - MS), "");
    assert_eq!(desk.after(MS), "ask 1");
    assert_eq!(desk.answer(HELD), "refuse 1: TimedOut, forget 1");
}

#[test]
fn last_attempt_without_an_answer_is_undone() {
    let mut desk = Desk::new();
    let end = desk.now;
    desk.come_with(1, terms(), Patience::Until(end));
    assert_eq!(desk.after(99 * MS), "");
    assert_eq!(desk.after(MS), "refuse 1: TimedOut, release 1");
}

#[test]
fn renewal_moves_the_deadline_and_a_lost_one_is_tried_again() {
    let mut desk = holding(1);
    assert_eq!(desk.after(3_334 * MS), "renew 1");
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "extend 1 until 13.312s");
    assert_eq!(desk.after(3_334 * MS), "renew 1");
    assert_eq!(desk.answer(Said::Failed(Failure::Passing { may_have_run: true })), "");
    assert_eq!(desk.due(), Some((6_668 + 250) * MS));
    assert_eq!(desk.after(250 * MS), "renew 1");
    assert_eq!(desk.after(6_394 * MS), "lose 1: Unconfirmed, release 1");
    assert_eq!(desk.release(1), "", "it is on its way already");
}

#[test]
fn renewal_whose_script_was_forgotten_is_sent_in_full() {
    let mut desk = holding(1);
    desk.after(4 * SECOND);
    assert_eq!(desk.answer(Said::InFull), "renew 1 in full");
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "extend 1 until 13.978s");
}

#[test]
fn answer_that_comes_after_the_deadline_does_not_bring_the_hold_back() {
    let mut desk = holding(1);
    desk.after(4 * SECOND);
    desk.now += 10 * SECOND;
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "lose 1: Unconfirmed, release 1");
}

#[test]
fn causes_of_a_loss_are_told_apart() {
    for (said, same, cause) in [
        (Said::Gone, true, "Deleted"),
        (Said::Gone, false, "Failover"),
        (Said::NotOurs, true, "TakenOver"),
        (Said::NotOurs, false, "TakenOver"),
    ] {
        let mut desk = holding(1);
        assert_eq!(desk.told(Event::Opened { fenced: true, same }), "renew 1");
        assert_eq!(desk.answer(said), format!("lose 1: {cause}, forget 1"));
    }
    let mut desk = Desk::new();
    desk.come_with(1, Terms { renewal: Renewal::Off, ..terms() }, Patience::Endless);
    desk.answer(Said::Fresh);
    assert_eq!(desk.after(9_978 * MS), "lose 1: Expired, release 1");
    let mut desk = Desk::new();
    desk.come_with(1, Terms { max_hold: Some(12 * SECOND), ..terms() }, Patience::Endless);
    desk.answer(Said::Fresh);
    desk.after(4 * SECOND);
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "extend 1 until 12s");
    assert_eq!(desk.after(8 * SECOND), "lose 1: MaxHold, release 1");
    let mut desk = holding(1);
    assert_eq!(desk.told(Event::Closing), "lose 1: Closed, release 1");
}

#[test]
fn lost_lock_is_asked_for_by_the_next_in_line() {
    let mut desk = holding(1);
    desk.come(2);
    desk.told(Event::Changed);
    assert_eq!(desk.answer(Said::Gone), "lose 1: Deleted, forget 1, ask 2");
}

#[test]
fn push_is_answered_by_a_renewal_or_where_there_is_none_by_a_question() {
    let mut desk = holding(1);
    assert_eq!(desk.told(Event::Changed), "renew 1");
    assert_eq!(desk.told(Event::Changed), "", "one at a time");
    let answered = desk.answer(Said::Ours(Left::Unasked));
    assert_eq!(answered, "extend 1 until 9.978s, renew 1", "and one more for the second push");
    desk.ears.echoes = true;
    assert_eq!(desk.told(Event::Changed), "", "our own script's echo");
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "extend 1 until 9.978s");

    let mut desk = Desk::new();
    desk.come_with(1, Terms { renewal: Renewal::Off, ..terms() }, Patience::Endless);
    desk.answer(Said::Fresh);
    assert_eq!(desk.told(Event::Changed), "verify 1");
    let shortened = Said::Ours(Left::For(SECOND));
    assert_eq!(desk.answer(shortened), "extend 1 until 996ms", "somebody shortened the lease");
}

#[test]
fn work_that_misses_its_beat_is_not_renewed_until_it_beats_again() {
    let mut desk = Desk::new();
    let terms = Terms { heartbeat: Some(3 * SECOND), ..terms() };
    desk.come_with(1, terms, Patience::Endless);
    desk.answer(Said::Fresh);
    assert_eq!(desk.after(4 * SECOND), "");
    assert_eq!(desk.due(), Some(9_978 * MS));
    assert_eq!(desk.told(Event::Beat { claim: Claim(1) }), "renew 1");
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "extend 1 until 13.978s");
    desk.after(4 * SECOND);
    assert_eq!(desk.after(5_978 * MS), "lose 1: Expired, release 1");
}

#[test]
fn refusal_for_good_ends_the_call_and_the_next_one_tries() {
    let mut desk = Desk::new();
    desk.come(1);
    desk.come(2);
    let refused = Said::Failed(Failure::ForGood { may_have_run: false });
    assert_eq!(desk.answer(refused), "refuse 1: Failed, forget 1, ask 2");
    assert_eq!(desk.answer(Said::KeyInUse), "refuse 2: KeyInUse, forget 2");
}

#[test]
fn server_that_turns_us_away_ends_all_waiting_and_no_hold() {
    let mut desk = holding(1);
    desk.come(2);
    assert_eq!(desk.told(Event::Refused), "refuse 2: Failed, forget 2");
    let mut desk = Desk::new();
    desk.online = false;
    assert_eq!(desk.come(1), "");
    assert_eq!(desk.told(Event::Refused), "refuse 1: Failed, forget 1");
}

#[test]
fn contended_lock_is_announced_and_its_holder_relied_on() {
    let mut desk = Desk::new();
    let auto = Terms { wakeup: Wakeup::Auto, ..terms() };
    desk.come_with(1, auto, Patience::Endless);
    assert_eq!(desk.answer(HELD), "look 1", "for the first time, the server's push will do");
    desk.answer(left(4_000));
    assert_eq!(desk.told(Event::Changed), "ask 1");
    assert_eq!(desk.answer(HELD), "look 1 and listen", "in vain: the key is handed about");
    desk.answer(left(4_000));
    assert_eq!(desk.told(Event::Announced { process: 7, waits: false }), "ask 1");
    assert_eq!(desk.answer(held_by(8)), "look 1", "8 has never spoken");
    desk.answer(left(4_000));
    assert_eq!(desk.told(Event::Announced { process: 8, waits: false }), "ask 1");
    assert_eq!(desk.answer(held_by(7)), "", "7 has: it will be heard");
    assert_eq!(desk.due(), Some(SECOND), "and asked about, should it have died");
    assert_eq!(desk.told(Event::Announced { process: 7, waits: false }), "ask 1");
    assert_eq!(desk.answer(Said::Fresh), "grant 1 until 9.978s");
    assert_eq!(desk.release(1), "release 1 aloud");
    assert_eq!(desk.answer(Said::Freed { told: 1 }), "report 1: Yes, forget 1");
    assert!(!desk.gate.is_vacant(), "rivals are remembered for a while");
    desk.come_with(2, auto, Patience::Endless);
    assert_eq!(desk.answer(held_by(7)), "", "so are speakers");
    assert_eq!(desk.leave(2), "forget 2");
    desk.after(2 * SECOND);
    assert!(desk.gate.is_vacant());
}

#[test]
fn holder_that_was_relied_on_and_says_nothing_is_looked_at() {
    let mut desk = Desk::new();
    let auto = Terms { wakeup: Wakeup::Auto, ..terms() };
    desk.come_with(1, auto, Patience::Endless);
    desk.answer(HELD);
    desk.answer(left(4_000));
    desk.told(Event::Changed);
    desk.answer(HELD);
    desk.answer(left(4_000));
    desk.told(Event::Announced { process: 8, waits: false });
    assert_eq!(desk.answer(held_by(8)), "");
    assert_eq!(desk.after(SECOND), "ask 1");
    assert_eq!(desk.answer(held_by(8)), "look 1");
    desk.answer(left(3_000));
    assert_eq!(desk.due(), Some(4_001 * MS));
}

#[test]
fn lock_for_which_nobody_waits_any_more_is_released_quietly() {
    let mut desk = Desk::new();
    let auto = Terms { wakeup: Wakeup::Auto, ..terms() };
    desk.come_with(1, auto, Patience::Endless);
    desk.answer(HELD);
    desk.answer(left(4_000));
    desk.told(Event::Changed);
    desk.answer(Said::Fresh);
    desk.now += 5 * SECOND;
    assert_eq!(desk.release(1), "release 1 aloud", "whoever met it then may still wait");
    assert_eq!(desk.answer(Said::Freed { told: 0 }), "report 1: Yes, forget 1");
    desk.come_with(2, auto, Patience::Endless);
    desk.answer(Said::Fresh);
    assert_eq!(desk.release(2), "release 2");
}
