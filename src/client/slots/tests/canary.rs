//! Replies that are lost or come twice, and the canary that notices.

use super::*;

#[test]
fn canary_that_hears_its_own_words_costs_nobody_anything() {
    let (mut slots, now) = start();
    let words = sing(&mut slots);
    let next = push(&mut slots);
    slots.all_sent(now);
    complete(&mut slots, words, now);
    complete(&mut slots, Frame::Integer(1), now);
    assert_integer(poll(&mut slots, next), 1);
    assert_eq!((slots.len(), slots.bytes(), slots.free.len()), (0, 0, 2));
}

#[test]
fn reply_that_was_lost_is_noticed_by_the_canary_behind_it() {
    let (mut slots, now) = start();
    let late = push(&mut slots);
    slots.all_sent(now);
    slots.expire(now.after(PATIENCE), None, None, &mut Outbox::default());
    assert_outcome(poll(&mut slots, late), Outcome::Unknown);
    let words = sing(&mut slots);
    slots.all_sent(now);
    // The answer to the canary comes where the lost one was expected.
    assert_eq!(try_complete(&mut slots, words, now).unwrap_err(), Slip::Shifted);
}

#[test]
fn reply_that_came_twice_is_noticed_by_the_canary_behind_it() {
    let (mut slots, now) = start();
    push(&mut slots);
    sing(&mut slots);
    let next = push(&mut slots);
    slots.all_sent(now);
    complete(&mut slots, Frame::Integer(1), now);
    assert_eq!(try_complete(&mut slots, Frame::Integer(1), now).unwrap_err(), Slip::Shifted);
    assert!(poll(&mut slots, next).is_pending(), "nobody was given it");
}

#[test]
fn canary_that_was_not_sent_survives_a_withdrawal_and_a_lost_connection() {
    let (mut slots, now) = start();
    let words = sing(&mut slots);
    push(&mut slots);
    slots.stamp(now);
    slots.expire(now.after(PATIENCE), None, None, &mut Outbox::default());
    let mut seen = Vec::new();
    slots.withdraw(&mut Outbox::default(), |len, keep| seen.push((len, keep)));
    assert_eq!(seen, [(20, true), (10, false)]);
    slots.disconnected(0, &lost(), &mut Outbox::default());
    slots.all_sent(now);
    complete(&mut slots, words, now);
    sing(&mut slots);
    slots.all_sent(now);
    slots.disconnected(0, &lost(), &mut Outbox::default());
    sing(&mut slots); // the one before was lost: there is room for another
}
