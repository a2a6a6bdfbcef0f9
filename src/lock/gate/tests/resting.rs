//! The rows of fair claims that rest behind another one of theirs.

use super::fair::{TURN, fair, given, placed};
use super::{Desk, MS, SECOND};
use crate::lock::gate::{Event, Failure, Found, Left, Patience, Said};

/// So many claims of one gate stand in line, in their order, at the desk's beginning.
fn line(claims: u32) -> Desk {
    let mut desk = Desk::new();
    desk.come_with(1, fair(), Patience::Endless);
    assert_eq!(desk.answer(placed(60_000, 0)), "stand 1 and listen");
    (2..=u64::from(claims)).for_each(|claim| stand(&mut desk, claim, Patience::Endless));
    for before in 0..claims {
        assert_eq!(desk.answer(anew(0, before)), "");
    }
    desk
}

fn stand(desk: &mut Desk, claim: u64, patience: Patience) {
    assert_eq!(desk.come_with(claim, fair(), patience), format!("stand {claim} and listen"));
}

/// A place that was not there before, so many seconds after the beginning.
fn anew(second: u64, before: u32) -> Said {
    match placed(60_000, before) {
        Said::Placed { left, at_us, .. } => {
            Said::Placed { left, before, at_us: at_us + second * 1_000_000, anew: true }
        }
        said => said,
    }
}

fn still(second: u64, before: u32) -> Said {
    match anew(second, before) {
        Said::Placed { left, before, at_us, .. } => {
            Said::Placed { left, before, at_us, anew: false }
        }
        said => said,
    }
}

#[test]
fn foremost_asks_for_all() {
    let mut desk = line(20);
    for second in [5, 10, 15, 20, 25, 30] {
        assert_eq!(desk.due(), Some(second * SECOND));
        assert_eq!(desk.after(5 * SECOND), "stand 1 and listen");
        assert_eq!(desk.answer(still(u64::from(second), 0)), "");
    }
}

#[test]
fn next_one_asks_when_the_foremost_would_have() {
    let mut desk = line(3);
    desk.now += 2 * SECOND;
    assert!(desk.told(given(1, 2 * SECOND)).starts_with("grant 1"));
    assert_eq!(desk.after(10 * MS), "confirm 1");
    desk.answer(Said::Ours(Left::Unasked));
    assert_eq!(desk.after(2_990 * MS), "stand 2 and listen");
    assert_eq!(desk.answer(still(5, 0)), "");
    assert_eq!(desk.after(SECOND / 2), "renew 1");
    assert_eq!(desk.leave(2), "leave 2");
    assert_eq!(desk.after(4_500 * MS), "stand 3 and listen");
}

#[test]
fn whoever_takes_over_late_asks_at_once() {
    let mut desk = line(2);
    assert_eq!(desk.after(5 * SECOND), "stand 1 and listen");
    assert_eq!(desk.answer(TURN), "grant 1 until 14.978s, stand 2 and listen");
}

#[test]
fn process_is_heard_of_in_time_also_where_patience_ends_as_the_foremost_is_to_ask() {
    let mut desk = Desk::new();
    let until = desk.now + 5 * SECOND;
    desk.come_with(1, fair(), Patience::Until(until));
    assert_eq!(desk.answer(placed(60_000, 0)), "stand 1 and listen");
    for claim in 2..=4 {
        let until = desk.now + claim * 5 * SECOND;
        stand(&mut desk, u64::from(claim), Patience::Until(until));
    }
    stand(&mut desk, 5, Patience::Endless);
    (0..5).for_each(|before| assert_eq!(desk.answer(anew(0, before)), ""));
    for claim in 1..=4 {
        let second = claim * 5;
        assert_eq!(desk.after(5 * SECOND), format!("try {claim}"), "which does not count");
        let next = claim + 1;
        let gone = format!("refuse {claim}: TimedOut, leave {claim}, stand {next} and listen");
        assert_eq!(desk.answer(still(second, 0)), gone);
        desk.answer(Said::NotOurs);
        assert_eq!(desk.answer(still(second, 0)), "");
    }
}

#[test]
fn order_outlives_outages() {
    let all = "stand 1 and listen, stand 2 and listen, stand 3 and listen, stand 4 and listen";
    for seconds in [1, 4, 6, 11, 33] {
        let mut desk = line(4);
        desk.now += 2 * SECOND;
        desk.cut();
        for _ in 0..seconds {
            assert_eq!(desk.after(SECOND), "", "nobody takes over from whoever cannot ask");
        }
        assert_eq!(desk.open(true), all);
    }
}

#[test]
fn question_that_was_not_sent_is_asked_on_the_next_connection_in_its_turn() {
    let unsent = Said::Failed(Failure::Passing { may_have_run: false });
    let mut desk = line(2);
    let once = Patience::Once(desk.now + SECOND);
    stand(&mut desk, 3, Patience::Endless);
    assert_eq!(desk.come_with(4, fair(), once), "try 4");
    desk.online = false;
    assert_eq!([desk.answer(unsent), desk.answer(unsent)], ["", ""]);
    let all = "stand 1 and listen, stand 2 and listen, stand 3 and listen";
    assert_eq!(desk.open(true), format!("try 4, {all}"));
    let mut desk = line(1);
    desk.come_with(2, fair(), once);
    desk.online = false;
    assert_eq!(desk.answer(unsent), "");
    assert!(desk.after(SECOND).starts_with("refuse 2: NoAnswer"), "its time is over all the same");
}

#[test]
fn order_is_that_of_the_line_where_a_place_was_lost() {
    let mut desk = line(3);
    desk.after(5 * SECOND);
    assert_eq!(desk.answer(anew(5, 2)), "stand 2 and listen, stand 3 and listen");
    (0..2).for_each(|before| assert_eq!(desk.answer(still(5, before)), ""));
    assert_eq!(desk.after(5 * SECOND), "stand 2 and listen", "behind which the others rest");
    desk.flying.clear();
    desk.online = false;
    assert_eq!(desk.open(true), "stand 3 and listen, stand 1 and listen");
}

#[test]
fn line_that_was_lost_is_noticed_by_whoever_finds_the_lock_free() {
    let mut desk = line(3);
    desk.after(5 * SECOND);
    let free = Said::Taken { fence: None, found: Found::Free };
    let noticed = "grant 1 until 14.978s, stand 2 and listen, stand 3 and listen";
    assert_eq!(desk.answer(free), noticed);
    (0..2).for_each(|before| assert_eq!(desk.answer(anew(5, before)), ""));
    assert_eq!(desk.release(1), "leave 1");
    let nobody_waits = Said::Freed { told: 0 };
    let noticed = "stand 2 and listen, stand 3 and listen, report 1: Yes, forget 1";
    assert_eq!(desk.answer(nobody_waits), noticed, "lost again");
}

#[test]
fn everybody_asks_where_an_answer_is_overdue() {
    let mut desk = line(3);
    desk.after(5 * SECOND);
    let overdue = Said::Failed(Failure::Passing { may_have_run: true });
    assert_eq!(desk.answer(overdue), "stand 2 and listen, stand 3 and listen");
}

#[test]
fn everybody_asks_at_intervals_where_grants_are_not_told() {
    let mut desk = line(3);
    desk.after(5 * SECOND);
    let untold = Said::Taken { fence: None, found: Found::Ours };
    assert_eq!(desk.answer(untold), "grant 1 until 14.978s, stand 2, stand 3");
    (0..2).for_each(|before| assert_eq!(desk.answer(still(5, before)), ""));
    assert_eq!(desk.come_with(4, fair(), Patience::Endless), "stand 4");
    desk.answer(anew(5, 2));
    assert_eq!(desk.after(100 * MS), "stand 2, stand 3, stand 4");
}

#[test]
fn grant_that_was_told_while_its_claim_asked_is_in_order() {
    let mut desk = line(2);
    desk.after(5 * SECOND);
    desk.told(given(1, 5 * SECOND));
    desk.answer(Said::Taken { fence: None, found: Found::Ours });
    desk.flying.clear();
    assert_eq!(desk.come_with(3, fair(), Patience::Endless), "stand 3 and listen");
}

#[test]
fn grant_to_whoever_rests_counts_by_what_the_foremost_was_told_last() {
    let mut desk = line(2);
    for second in [5, 10] {
        desk.after(5 * SECOND);
        desk.answer(still(second, 0));
    }
    desk.now += SECOND;
    assert_eq!(desk.told(given(2, 11 * SECOND)), "grant 2 until 12.992s");
}

#[test]
fn everybody_asks_once_where_a_place_was_lost() {
    let mut desk = line(3);
    desk.after(5 * SECOND);
    assert_eq!(desk.answer(anew(5, 0)), "stand 2 and listen, stand 3 and listen");
    assert_eq!(desk.answer(anew(5, 1)), "");
    assert_eq!(desk.answer(anew(5, 2)), "");
    assert_eq!(desk.due(), Some(10 * SECOND), "the foremost of them");
    assert_eq!(desk.after(5 * SECOND), "stand 1 and listen");
}

#[test]
fn everybody_asks_where_the_server_may_have_taken_them_for_dead() {
    let mut desk = line(3);
    desk.after(5 * SECOND);
    // The server was frozen, or did not hear us for so long.
    assert_eq!(desk.answer(still(13, 0)), "stand 2 and listen, stand 3 and listen");
    desk.answer(anew(13, 4));
    desk.answer(still(13, 0));
    stand(&mut desk, 4, Patience::Endless);
    // Whoever comes finds out, too.
    assert_eq!(
        desk.answer(anew(26, 5)),
        "stand 1 and listen, stand 3 and listen, stand 2 and listen",
        "2 stands behind 3 by now"
    );
}

#[test]
fn everybody_asks_after_the_connection_was_lost_or_everything_was_flushed() {
    let all = "stand 1 and listen, stand 2 and listen, stand 3 and listen";
    let mut desk = line(3);
    desk.cut();
    assert_eq!(desk.open(true), all);
    let mut desk = line(3);
    assert_eq!(desk.told(Event::Flushed), all);
}

#[test]
fn everybody_asks_for_itself_where_nobody_may_listen() {
    let mut desk = line(3);
    desk.ears.told = false;
    assert_eq!(desk.told(Event::Deafened), "stand 1, stand 2, stand 3");
    (0..3).for_each(|before| assert_eq!(desk.answer(still(0, before)), ""));
    assert_eq!(desk.after(SECOND), "stand 1, stand 2, stand 3");
}

#[test]
fn whoever_rests_gives_up_in_time_and_puts_nothing_off() {
    let mut desk = line(1);
    for claim in 2..=5 {
        let until = desk.now + claim * SECOND;
        stand(&mut desk, u64::from(claim), Patience::Until(until));
        assert_eq!(desk.answer(anew(0, 1)), "");
    }
    assert_eq!(desk.leave(1), "leave 1");
    assert_eq!(desk.answer(Said::NotOurs), "report 1: NotOurs, forget 1");
    for claim in 2..=4 {
        assert_eq!(desk.due(), Some(claim * SECOND));
        desk.now = desk.begun + claim * SECOND;
        assert_eq!(desk.told(Event::Tick), format!("try {claim}"));
        let gives_up = format!("refuse {claim}: TimedOut, leave {claim}");
        assert_eq!(desk.answer(still(u64::from(claim), 1)), gives_up);
        assert!(desk.answer(Said::NotOurs).ends_with(&format!("forget {claim}")));
    }
    assert_eq!(desk.due(), Some(5 * SECOND), "when all of them are to be heard of");
}

#[test]
fn one_who_takes_over_after_another_does_not_put_off_what_that_was_to_do() {
    let mut desk = line(4);
    assert_eq!(desk.after(5 * SECOND), "stand 1 and listen");
    assert_eq!(desk.answer(TURN), "grant 1 until 14.978s, stand 2 and listen");
    assert_eq!(desk.answer(still(5, 0)), "");
    assert_eq!(desk.release(1), "leave 1");
    desk.answer(Said::Ours(Left::Unasked));
    for claim in 2..=3 {
        assert_eq!(desk.due(), Some(10 * SECOND));
        desk.now += 2 * SECOND;
        assert_eq!(desk.leave(claim), format!("leave {claim}"));
        desk.answer(Said::NotOurs);
    }
    assert_eq!(desk.due(), Some(10 * SECOND));
}

#[test]
fn whoever_is_behind_leaves_as_others_do() {
    let mut desk = line(3);
    assert_eq!(desk.leave(2), "leave 2");
    assert_eq!(desk.answer(Said::NotOurs), "report 2: NotOurs, forget 2");
    for event in [Event::Closing, Event::Closed] {
        let mut desk = line(2);
        let gone = "refuse 1: Closed, leave 1, refuse 2: Closed, leave 2";
        assert_eq!(desk.told(event), gone);
    }
}

#[test]
fn value_that_may_come_back_is_watched_for_also_if_its_claim_has_rested() {
    let mut desk = line(2);
    desk.cut();
    desk.open(false);
    (0..2).for_each(|before| assert_eq!(desk.answer(still(0, before)), ""));
    assert_eq!(desk.leave(2), "leave 2");
    assert_eq!(desk.answer(Said::NotOurs), "report 2: NotOurs");
    assert_eq!(desk.after(200 * MS), "leave 2", "a late command may have brought it back");
}

#[test]
fn those_who_come_together_stand_in_their_order() {
    let mut desk = Desk::new();
    assert_eq!(desk.come_with(1, fair(), Patience::Endless), "try 1");
    for claim in 2..=4 {
        let comes = desk.come_with(claim, fair(), Patience::Endless);
        assert_eq!(comes, "", "or it would stand before the first");
    }
    assert_eq!(desk.leave(3), "forget 3", "it has asked for nothing");
    let all = "stand 1 and listen, stand 2 and listen, stand 4 and listen";
    assert_eq!(desk.answer(placed(60_000, 0)), all);
}

#[test]
fn few_ask_at_the_same_time_and_the_next_one_with_each_answer() {
    let mut desk = line(1);
    for claim in 2..=33 {
        stand(&mut desk, claim, Patience::Endless);
    }
    let until = desk.now + SECOND;
    assert_eq!(desk.come_with(34, fair(), Patience::Until(until)), "");
    assert_eq!(desk.come_with(35, fair(), Patience::Endless), "");
    let once = Patience::Once(desk.now + SECOND);
    assert_eq!(desk.come_with(36, fair(), once), "try 36", "whoever only tries stands in no way");
    assert_eq!(desk.answer(anew(0, 1)), "");
    assert_eq!(desk.answer(anew(0, 2)), "stand 34 and listen");
    assert_eq!(desk.answer(anew(0, 3)), "stand 35 and listen");
}

#[test]
fn whoever_has_not_asked_in_time_makes_its_last_attempt() {
    let mut desk = line(1);
    (2..=33).for_each(|claim| stand(&mut desk, claim, Patience::Endless));
    let until = desk.now + SECOND;
    assert_eq!(desk.come_with(34, fair(), Patience::Until(until)), "");
    assert_eq!(desk.come_with(35, fair(), Patience::Endless), "");
    assert_eq!(desk.after(SECOND), "try 34");
    assert!(desk.told(Event::Closing).ends_with("refuse 34: Closed, leave 34"));
}

#[test]
fn gate_forgets_the_line_once_nobody_is_in_it() {
    let mut desk = line(2);
    desk.leave(1);
    desk.leave(2);
    (0..2).for_each(|_| drop(desk.answer(Said::NotOurs)));
    desk.after(SECOND);
    assert_eq!(desk.gate, Desk::new().gate);
}
