//! The rows of fair claims.

use super::{Desk, MS, SECOND, terms};
use crate::lock::gate::{
    Claim, Event, Failure, Found, Given, Left, Patience, Said, Terms, confirm_within,
};
use crate::lock::lease::Lease;
use crate::lock::options::Renewal;
use std::time::Duration;

/// The lock is the claim's by its turn.
pub(super) const TURN: Said = Said::Taken { fence: None, found: Found::Turn };

pub(super) fn fair() -> Terms {
    Terms { fair: true, ..terms() }
}

pub(super) fn placed(ms: u64, before: u32) -> Said {
    Said::Placed {
        left: Left::For(Duration::from_millis(ms)),
        before,
        at_us: 5_000_000,
        anew: false,
    }
}

/// The server gave the lock to a claim so long after `placed`.
pub(super) fn given(claim: u64, after: Duration) -> Event {
    let at_us = 5_000_000 + u64::try_from(after.as_micros()).unwrap();
    Event::Given(Given { claim: Claim(claim), at_us, fence: None })
}

fn standing() -> Desk {
    let mut desk = Desk::new();
    assert_eq!(desk.come_with(1, fair(), Patience::Endless), "try 1");
    assert_eq!(desk.answer(placed(9_000, 0)), "stand 1 and listen", "only who waits listens");
    assert_eq!(desk.answer(placed(9_000, 0)), "");
    desk
}

#[test]
fn uncontended_fair_pair_takes_two_commands() {
    let mut desk = Desk::new();
    desk.come_with(1, fair(), Patience::Endless);
    assert_eq!(desk.answer(TURN), "grant 1 until 9.978s");
    assert_eq!(desk.release(1), "leave 1");
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "report 1: Yes, forget 1");
    assert!(desk.gate.is_vacant());
}

#[test]
fn grant_is_held_at_once_from_its_beginning_and_confirmed_later() {
    let mut desk = standing();
    desk.now += 501 * MS;
    assert_eq!(desk.told(given(1, 500 * MS)), "grant 1 until 2.493s");
    assert_eq!(desk.told(Event::Changed), "", "the echo of what gave it to us");
    assert_eq!(desk.due(), Some(511 * MS));
    assert_eq!(desk.told(Event::Tick), "", "that was for another");
    assert_eq!(desk.after(10 * MS), "confirm 1");
    assert_eq!(desk.told(Event::Changed), "", "the echo of what gave it to us");
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "extend 1 until 10.489s");
    assert_eq!(desk.told(Event::Changed), "renew 1");
}

#[test]
fn grant_that_cannot_be_confirmed_is_asked_about_before_the_cause_is_told() {
    for (found, told) in
        [(Said::Gone, "lose 1: Deleted, leave 1"), (Said::NotOurs, "lose 1: TakenOver, leave 1")]
    {
        let mut desk = standing();
        desk.told(given(1, Duration::ZERO));
        assert_eq!(desk.after(10 * MS), "confirm 1");
        assert_eq!(desk.answer(Said::NotOurs), "verify 1");
        assert_eq!(desk.answer(found), told);
    }
}

#[test]
fn grant_that_is_released_soon_is_not_confirmed() {
    let mut desk = standing();
    desk.told(given(1, Duration::ZERO));
    desk.now += 9 * MS;
    assert_eq!(desk.release(1), "leave 1");
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "report 1: Yes, forget 1");
    assert_eq!(desk.after(SECOND), "");
    assert!(desk.gate.is_vacant());
}

#[test]
fn grant_is_confirmed_sooner_where_it_is_good_for_little() {
    let mut desk = Desk::new();
    let short = Terms { lease: Lease::new(40 * MS).unwrap(), renewal: Renewal::Off, ..fair() };
    desk.come_with(1, short, Patience::Endless);
    desk.answer(placed(9_000, 0));
    desk.answer(placed(9_000, 0));
    desk.told(given(1, Duration::ZERO));
    assert_eq!(desk.after(5 * MS), "confirm 1");
}

#[test]
fn grant_is_confirmed_at_once_where_everything_may_have_changed() {
    for event in [Event::Flushed, Event::Opened { fenced: true, same: false }] {
        let mut desk = standing();
        desk.told(given(1, Duration::ZERO));
        assert_eq!(desk.told(event), "confirm 1");
        assert_eq!(desk.answer(Said::Failed(Failure::Refused)), "");
        assert_eq!(desk.told(Event::Changed), "confirm 1", "that is no echo any more");
    }
}

#[test]
fn grant_that_comes_late_is_confirmed_first() {
    let mut desk = standing();
    desk.now += 2 * SECOND;
    assert_eq!(desk.told(given(1, 500 * MS)), "confirm 1");
    assert_eq!(desk.answer(Said::InFull), "confirm 1 in full");
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "grant 1 until 11.978s");
}

#[test]
fn grant_of_a_time_that_has_not_come_here_is_confirmed_first() {
    let mut desk = standing();
    desk.now += SECOND;
    assert_eq!(desk.told(given(1, 30 * SECOND)), "confirm 1", "we may have slept, and it be over");
}

#[test]
fn grant_that_the_machine_may_have_slept_behind_is_confirmed_first() {
    for (slept, told) in [(900, "grant 1 until 1.593s"), (1_000, "confirm 1")] {
        let mut desk = standing();
        desk.now += 501 * MS;
        desk.slept += slept * MS;
        assert_eq!(desk.told(given(1, 500 * MS)), told);
    }
    let mut desk = standing();
    desk.slept += 60 * SECOND;
    assert_eq!(desk.after(5 * SECOND), "stand 1 and listen");
    assert_eq!(desk.answer(placed(9_000, 0)), "");
    assert!(desk.told(given(1, Duration::ZERO)).starts_with("grant 1"), "it has asked since");
}

#[test]
fn lock_that_was_heard_of_too_late_is_asked_for_once_more() {
    for again in [TURN, placed(9_000, 0)] {
        let mut desk = Desk::new();
        desk.come_with(1, fair(), Patience::Endless);
        desk.now += 10 * SECOND;
        assert_eq!(desk.answer(TURN), "try 1");
        let told = desk.answer(again);
        assert!(told == "grant 1 until 19.978s" || told == "stand 1 and listen", "{told}");
    }
    let mut desk = Desk::new();
    desk.come_with(1, fair(), Patience::Endless);
    desk.now += 10 * SECOND;
    desk.answer(TURN);
    desk.now += 10 * SECOND;
    assert_eq!(desk.answer(TURN), "refuse 1: TooShort { took: 10s }, leave 1");
}

#[test]
fn grant_that_went_on_to_the_next_is_waited_for_again() {
    let mut desk = standing();
    desk.now += 4 * SECOND;
    desk.told(given(1, 500 * MS));
    assert_eq!(desk.answer(Said::NotOurs), "stand 1 and listen");
}

#[test]
fn grant_that_crosses_a_question_is_told_by_its_answer() {
    let mut desk = standing();
    assert_eq!(desk.after(5 * SECOND), "stand 1 and listen", "whoever waits makes itself heard");
    assert_eq!(desk.told(given(1, 5 * SECOND)), "");
    assert_eq!(desk.answer(TURN), "grant 1 until 14.978s");
}

#[test]
fn grant_of_another_life_of_the_server_is_confirmed_first() {
    let mut desk = standing();
    desk.cut();
    assert_eq!(desk.open(true), "stand 1 and listen");
    desk.answer(Said::Failed(Failure::Passing { may_have_run: true }));
    assert_eq!(desk.told(given(1, MS)), "confirm 1");
}

#[test]
fn first_in_line_asks_when_the_holder_has_died_and_the_others_behind_it() {
    for (before, due) in [(0, 101), (1, 151), (10, 601)] {
        let mut desk = Desk::new();
        desk.come_with(1, fair(), Patience::Endless);
        desk.answer(placed(100, before));
        desk.answer(placed(100, before));
        assert_eq!(desk.due(), Some(due * MS));
    }
}

#[test]
fn whoever_leaves_the_line_says_so_and_passes_on_what_it_was_given() {
    let mut desk = standing();
    assert_eq!(desk.leave(1), "leave 1");
    assert_eq!(desk.told(given(1, MS)), "", "the release is on its way");
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "report 1: Yes, forget 1");
}

#[test]
fn place_is_given_up_until_the_line_has_forgotten_it_however_short_the_lease() {
    let mut desk = Desk::new();
    let short = Terms { lease: Lease::new(176 * MS).unwrap(), ..fair() };
    desk.come_with(1, short, Patience::Endless);
    desk.answer(placed(100, 3));
    desk.answer(placed(100, 3));
    assert_eq!(desk.leave(1), "leave 1");
    let read_only = Said::Failed(Failure::Refused);
    for _ in 0..14 {
        assert_eq!(desk.answer(read_only), "");
        assert_eq!(desk.after(SECOND), "leave 1", "its place is still there");
    }
    assert_eq!(desk.answer(Said::NotOurs), "report 1: NotOurs, forget 1");
}

#[test]
fn last_attempt_does_not_stand_in_line_and_the_place_is_given_up() {
    let mut desk = Desk::new();
    let until = Patience::Until(desk.now + SECOND);
    assert_eq!(desk.come_with(1, fair(), until), "try 1");
    desk.answer(placed(9_000, 3));
    desk.answer(placed(9_000, 3));
    assert_eq!(desk.after(SECOND), "try 1");
    assert_eq!(desk.answer(placed(8_000, 2)), "refuse 1: TimedOut, leave 1");
}

#[test]
fn single_attempt_leaves_nothing_to_undo() {
    let mut desk = Desk::new();
    let once = Patience::Once(desk.now + SECOND);
    assert_eq!(desk.come_with(1, fair(), once), "try 1");
    assert_eq!(desk.answer(placed(9_000, 0)), "refuse 1: Held, forget 1");
    assert!(desk.gate.is_vacant());
}

#[test]
fn line_that_was_flushed_forms_anew() {
    let mut desk = standing();
    assert_eq!(desk.told(Event::Changed), "");
    assert_eq!(desk.told(Event::Flushed), "stand 1 and listen");
}

#[test]
fn whoever_comes_to_a_gate_that_listens_does_so_at_once() {
    let mut desk = standing();
    assert_eq!(desk.come_with(2, fair(), Patience::Endless), "stand 2 and listen");
    assert_eq!(desk.leave(2), "leave 2");
    desk.leave(1);
    assert_eq!(desk.come_with(3, fair(), Patience::Endless), "stand 3 and listen", "a while ago");
}

#[test]
fn gate_forgets_that_it_listened_after_a_while() {
    let mut desk = standing();
    desk.leave(1);
    assert_eq!(desk.answer(Said::NotOurs), "report 1: NotOurs, forget 1");
    assert!(!desk.gate.is_vacant(), "the next one may come soon");
    assert_eq!(desk.due(), Some(SECOND));
    assert_eq!(desk.after(SECOND), "");
    assert!(desk.gate.is_vacant());
}

#[test]
fn whoever_may_not_listen_asks_at_intervals() {
    let mut desk = standing();
    desk.ears.told = false;
    assert_eq!(desk.told(Event::Deafened), "stand 1");
    assert_eq!(desk.answer(placed(9_000, 0)), "");
    assert!(desk.due().is_some_and(|due| due <= 100 * MS), "the back-off");
}

#[test]
fn hold_that_ended_out_of_order_keeps_the_key_for_its_delay() {
    let lease = terms().lease.with_delay(5 * SECOND).unwrap();
    assert_eq!(confirm_within(lease).ttl_ms(), 7_000, "of a grant, too");
    let mut desk = Desk::new();
    let terms = Terms { lease, renewal: Renewal::Off, ..fair() };
    desk.come_with(1, terms, Patience::Endless);
    desk.answer(TURN);
    assert_eq!(desk.after(10 * SECOND), "lose 1: Expired, forget 1");
}

#[test]
fn shortest_time_is_kept_before_the_next_is_served() {
    let mut desk = Desk::new();
    desk.come_with(1, Terms { at_least: 3 * SECOND, ..fair() }, Patience::Endless);
    desk.answer(TURN);
    desk.now += SECOND;
    assert_eq!(desk.release(1), "keep 1 for 2s");
}

#[test]
fn loss_is_told_from_the_beginning_where_that_is_wanted() {
    let watched = Terms { watch_at_once: true, ..fair() };
    let mut desk = Desk::new();
    desk.come_with(1, watched, Patience::Endless);
    assert_eq!(desk.answer(TURN), "grant 1 until 9.978s, renew 1");
    let mut desk = Desk::new();
    desk.come_with(1, watched, Patience::Endless);
    desk.answer(placed(9_000, 0));
    desk.answer(placed(9_000, 0));
    desk.now += MS;
    assert!(desk.told(given(1, MS)).ends_with("confirm 1"));
    assert!(desk.answer(Said::Ours(Left::Unasked)).ends_with("renew 1"));
}

#[test]
fn client_that_closes_passes_on_what_it_holds_and_leaves_the_line() {
    for event in [Event::Closing, Event::Closed] {
        let mut desk = Desk::new();
        desk.come_with(1, fair(), Patience::Endless);
        desk.answer(TURN);
        assert_eq!(desk.told(event), "lose 1: Closed, leave 1");
        let mut desk = standing();
        assert_eq!(desk.told(event), "refuse 1: Closed, leave 1");
    }
}

#[test]
fn server_without_scripts_has_no_line() {
    let mut desk = Desk::new();
    desk.come_with(1, fair(), Patience::Endless);
    assert!(desk.answer(Said::NoScripts).starts_with("refuse 1: NoScripts"));
}

#[test]
fn value_that_comes_back_into_the_line_is_taken_out_again() {
    let mut desk = standing();
    desk.cut();
    desk.open(false);
    desk.flying.clear();
    desk.leave(1);
    assert_eq!(desk.answer(Said::NotOurs), "report 1: NotOurs");
    assert_eq!(desk.told(given(1, MS)), "leave 1");
}
