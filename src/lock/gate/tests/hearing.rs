//! Being told of releases, or not.

use super::{Desk, HELD, MS, SECOND, holding, left, terms};
use crate::lock::gate::{Ears, Event, Left, Patience, Said, Terms};
use crate::lock::options::Wakeup;
use std::time::Duration;

const HEARS: Ears = Ears { tracks: false, hears: true, told: false, echoes: false };

/// A head that has asked to be told of releases.
fn listening(wakeup: Wakeup) -> Desk {
    let mut desk = Desk::new();
    desk.ears = HEARS;
    desk.come_with(1, Terms { wakeup, ..terms() }, Patience::Endless);
    assert_eq!(desk.answer(HELD), "look 1 and listen");
    assert_eq!(desk.answer(left(4_000)), "");
    desk
}

#[test]
fn who_listens_on_another_connection_asks_once_more_when_that_is_confirmed() {
    let mut desk = listening(Wakeup::Announce);
    assert_eq!(desk.told(Event::Hearing), "ask 1");
    assert_eq!(desk.answer(HELD), "look 1");
    assert_eq!(desk.answer(left(3_000)), "");
    assert_eq!(desk.told(Event::Announced { process: 7, waits: false }), "ask 1");
}

#[test]
fn what_is_told_on_another_connection_before_the_answer_may_have_happened_behind_it() {
    for (told, then) in [(false, "ask 1"), (true, "")] {
        let mut desk = listening(Wakeup::Announce);
        desk.ears.told = told;
        let announced = Event::Announced { process: 7, waits: false };
        assert_eq!(desk.told(announced), "ask 1");
        desk.told(announced);
        assert_eq!(desk.answer(HELD), "look 1");
        desk.told(announced);
        assert_eq!(desk.answer(left(3_000)), then, "on the connection itself: {told}");
    }
}

#[test]
fn who_is_told_of_one_release_in_two_ways_asks_once() {
    let mut desk = Desk::new();
    let announced = Event::Announced { process: 7, waits: false };
    desk.come_with(1, Terms { wakeup: Wakeup::Auto, ..terms() }, Patience::Endless);
    desk.answer(HELD);
    desk.answer(left(4_000));
    assert_eq!(desk.told(Event::Changed), "ask 1");
    assert_eq!(desk.told(announced), "", "the question will be answered by who knows both");
    let other = Said::Held { holder: 8, process: 8, left: Left::Unasked };
    assert_eq!(desk.answer(other), "look 1 and listen");
    assert_eq!(desk.answer(left(4_000)), "");
    assert_eq!(desk.told(Event::Announced { process: 8, waits: false }), "ask 1");
    assert_eq!(desk.told(Event::Changed), "");
    let known = Said::Held { holder: 7, process: 8, left: Left::Unasked };
    assert_eq!(desk.answer(known), "", "who speaks is listened to");
}

#[test]
fn who_hears_no_longer_asks_at_once_and_then_at_intervals() {
    let mut desk = listening(Wakeup::Announce);
    desk.ears.hears = false;
    assert_eq!(desk.told(Event::Deafened), "ask 1");
    assert_eq!(desk.told(Event::Deafened), "", "once");
    assert_eq!(desk.answer(HELD), "look 1");
    assert_eq!(desk.answer(left(4_000)), "");
    assert_eq!(desk.due(), Some(100 * MS - Duration::from_nanos(1)), "by its back-off");
}

#[test]
fn only_where_it_was_agreed_upon_is_an_announcement_relied_on() {
    for (wakeup, due) in
        [(Wakeup::Announce, 4_001 * MS), (Wakeup::Auto, 100 * MS - Duration::from_nanos(1))]
    {
        let desk = listening(wakeup);
        assert_eq!(desk.due(), Some(due), "{wakeup:?}");
    }
}

/// A head that has seen the holder renew its lease of nine seconds.
fn watching(patience: Patience) -> Desk {
    let mut desk = Desk::new();
    desk.come_with(1, terms(), patience);
    desk.answer(HELD);
    assert_eq!(desk.answer(left(7_000)), "");
    desk.after(SECOND);
    assert_eq!(desk.told(Event::Changed), "ask 1", "nobody knows yet when it renews");
    assert_eq!(desk.answer(HELD), "look 1");
    assert_eq!(desk.answer(left(9_000)), "");
    desk
}

#[test]
fn holder_that_renews_in_time_costs_who_waits_one_look() {
    let mut desk = watching(Patience::Endless);
    for early in [0, 50, 0] {
        desk.now += 3 * SECOND - early * MS;
        assert_eq!(desk.told(Event::Changed), "look 1");
        assert_eq!(desk.answer(left(9_000)), "");
    }
    assert_eq!(desk.due(), Some(9 * SECOND - 50 * MS + SECOND + 9_001 * MS), "and never for ever");
    desk.now += 2 * SECOND;
    assert_eq!(desk.told(Event::Changed), "ask 1", "a second early, that is no renewal");
}

#[test]
fn lock_that_is_freed_when_its_renewal_was_due_is_taken_at_once() {
    let mut desk = watching(Patience::Endless);
    desk.now += 3 * SECOND;
    assert_eq!(desk.told(Event::Changed), "look 1");
    assert_eq!(desk.answer(Said::Left(Left::Nothing)), "ask 1");
    assert!(desk.answer(Said::Fresh).starts_with("grant 1"));
}

#[test]
fn last_attempt_is_made_also_by_who_only_looked_at_the_deadline() {
    let mut desk = Desk::new();
    let end = Patience::Until(desk.now + 4 * SECOND);
    for (then, said) in [(left(9_000), "ask 1"), (Said::Left(Left::Nothing), "ask 1")] {
        desk = watching(end);
        desk.now += 3 * SECOND - MS;
        assert_eq!(desk.told(Event::Changed), "look 1");
        desk.now += 2 * MS;
        assert_eq!(desk.answer(then), said);
    }
    assert_eq!(desk.answer(HELD), "refuse 1: TimedOut, forget 1");
}

#[test]
fn next_in_line_whose_lease_is_too_short_does_not_stop_the_hand_over() {
    let mut desk = holding(1);
    desk.come(2);
    desk.come(3);
    assert_eq!(desk.release(1), "pass 1 to 2");
    let short = desk.answer(Said::TooShort { took: SECOND });
    assert_eq!(short, "refuse 2: TooShort { took: 1s }, forget 2, pass 1 to 3");
    let passed = desk.answer(Said::Ours(Left::Unasked));
    assert_eq!(passed, "report 1: Yes, forget 1, grant 3 until 9.978s");
}
