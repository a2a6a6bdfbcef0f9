//! Which reply is whose, in every order in which commands are sent, given up, lost and answered.

mod batches;
mod canary;
mod listener;

use super::*;
use crate::client::listener::{BOUND, Notice};
use crate::client::slots::ends::Expired;
use crate::client::stats::Stats;
use crate::error::ErrorKind;

use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(1);

fn empty() -> Slots {
    Slots::new(Canary::new(7))
}

fn start() -> (Slots, Time) {
    (empty(), Time::default().after(PATIENCE))
}

fn sing(slots: &mut Slots) -> Frame {
    slots.doubt();
    let words = slots.canary_due().expect("none is on its way");
    slots.push_canary(20);
    Frame::bulk(bytes::Bytes::copy_from_slice(&words))
}

fn push(slots: &mut Slots) -> SlotId {
    slots.push(10, Span::of(PATIENCE), None)
}

fn poll(slots: &mut Slots, id: SlotId) -> Poll<Result<Frame, Error>> {
    slots.poll(id, &Context::from_waker(Waker::noop()))
}

fn try_complete(slots: &mut Slots, reply: Frame, now: Time) -> Result<Span, Slip> {
    complete_into(slots, reply, now, &mut Outbox::default())
}

fn complete_into(
    slots: &mut Slots,
    mut reply: Frame,
    now: Time,
    out: &mut Outbox,
) -> Result<Span, Slip> {
    let mut stats = Stats::default();
    let mut tally = Tally::new(now, &mut stats);
    slots.complete(&mut reply, &mut tally, out).map(|()| tally.finish())
}

fn vet(slots: &Slots, replies: &[&Frame]) -> Result<(), Slip> {
    slots.vet(replies.iter().copied(), replies.len())
}

fn complete(slots: &mut Slots, reply: Frame, now: Time) {
    try_complete(slots, reply, now).unwrap();
}

fn lost() -> Error {
    Error::new(ErrorKind::Disconnected, Outcome::Unknown, "lost")
}

#[track_caller]
fn assert_integer(polled: Poll<Result<Frame, Error>>, wanted: i64) {
    match polled {
        Poll::Ready(Ok(Frame::Integer(got))) => assert_eq!(got, wanted),
        other => panic!("{other:?}, wanted {wanted}"),
    }
}

#[track_caller]
fn assert_outcome(polled: Poll<Result<Frame, Error>>, wanted: Outcome) {
    match polled {
        Poll::Ready(Err(error)) => assert_eq!(error.outcome(), wanted),
        other => panic!("{other:?}, wanted {wanted:?}"),
    }
}

#[test]
fn reply_of_an_abandoned_command_reaches_nobody_else() {
    let (mut slots, now) = start();
    let [first, second, third] = [(); 3].map(|()| push(&mut slots));
    slots.all_sent(now);
    slots.abandon(first);
    slots.abandon(second);
    for number in 1..=3 {
        complete(&mut slots, Frame::Integer(number), now);
    }
    assert_integer(poll(&mut slots, third), 3);
    assert_eq!((slots.len(), slots.bytes(), slots.free.len()), (0, 0, 3));
}

#[test]
fn reply_to_a_command_that_was_not_sent_is_given_back() {
    let (mut slots, now) = start();
    push(&mut slots);
    assert_eq!(
        try_complete(&mut slots, Frame::Integer(1), now).unwrap_err(),
        Slip::Unasked(Frame::Integer(1))
    );
    assert_eq!(slots.len(), 1);
}

#[test]
fn replies_that_came_together_are_all_refused_for_what_is_wrong_with_one() {
    let (mut slots, now) = start();
    push(&mut slots);
    slots.all_sent(now);
    let [one, two] = [Frame::Integer(1), Frame::Integer(2)];
    assert!(!slots.must_vet(1) && slots.must_vet(2));
    assert_eq!(vet(&slots, &[&one, &two]), Err(Slip::Unasked(two.clone())));
    let words = sing(&mut slots);
    push(&mut slots);
    slots.all_sent(now);
    assert!(slots.must_vet(1));
    assert_eq!(vet(&slots, &[&one, &words, &two]), Ok(()));
    assert_eq!(vet(&slots, &[&one, &two, &words]), Err(Slip::Shifted));
    assert_eq!(vet(&slots, &[&words]), Err(Slip::Shifted));
}

#[test]
fn expired_command_keeps_its_slot_until_its_reply_has_come() {
    let (mut slots, now) = start();
    let [late, prompt] = [push(&mut slots), slots.push(10, Span::of(2 * PATIENCE), None)];
    slots.all_sent(now);
    assert!(!slots.expire(now.after(PATIENCE), None, None, &mut Outbox::default()).unsent);
    assert_outcome(poll(&mut slots, late), Outcome::Unknown);
    complete(&mut slots, Frame::Integer(1), now);
    complete(&mut slots, Frame::Integer(2), now);
    assert_integer(poll(&mut slots, prompt), 2);
    assert_eq!(slots.free.len(), 2);
}

#[test]
fn expired_command_that_was_not_sent_is_withdrawn_from_the_buffer() {
    let (mut slots, now) = start();
    let sent = push(&mut slots);
    slots.all_sent(now);
    let late = push(&mut slots);
    let patient = slots.push(7, Span::of(2 * PATIENCE), None);
    assert!(slots.stamp(now) > now);
    assert!(slots.expire(now.after(PATIENCE), None, None, &mut Outbox::default()).unsent);
    let mut seen = Vec::new();
    slots.withdraw(&mut Outbox::default(), |len, keep| seen.push((len, keep)));
    assert_eq!(seen, [(10, false), (7, true)]);
    assert_outcome(poll(&mut slots, late), Outcome::NotSent);
    assert_outcome(poll(&mut slots, sent), Outcome::Unknown);
    slots.all_sent(now);
    complete(&mut slots, Frame::Integer(1), now);
    complete(&mut slots, Frame::Integer(2), now);
    assert_integer(poll(&mut slots, patient), 2);
}

#[test]
fn deadline_counts_from_when_a_command_was_seen() {
    let ((mut slots, now), mut out) = (start(), Outbox::default());
    push(&mut slots);
    slots.push(10, Span::of(PATIENCE / 2), None);
    assert_eq!(slots.stamp(now), now.after(PATIENCE / 2), "the first of both");
    assert_eq!(slots.stamp(now.after(PATIENCE)), Time::NEVER, "nothing new has come");
    let unseen = push(&mut slots);
    let expired = slots.expire(now.after(PATIENCE), None, None, &mut out);
    assert_eq!(expired, Expired { count: 2, unsent: true, next: Time::NEVER });
    slots.withdraw(&mut Outbox::default(), |_, _| {});
    assert!(poll(&mut slots, unseen).is_pending(), "it has no deadline yet");
    let later = now.after(2 * PATIENCE);
    assert_eq!(slots.all_sent(later), later.after(PATIENCE));
    let took = try_complete(&mut slots, Frame::Null, later.after(PATIENCE / 4)).unwrap();
    assert_eq!(took.duration(), PATIENCE / 4);
    assert_eq!(slots.len(), 0);
}

#[test]
fn slots_of_a_burst_are_given_back_once_it_is_over() {
    let (mut slots, now) = start();
    let burst: Vec<_> = (0..1000).map(|_| push(&mut slots)).collect();
    slots.all_sent(now);
    for number in 0..1000 {
        complete(&mut slots, Frame::Integer(number), now);
    }
    slots.trim();
    assert!(slots.slots.capacity() >= 1000, "they were needed a moment ago");
    // All but one of its callers fetch their reply, and others go on calling.
    for (id, number) in burst[..999].iter().zip(0..) {
        assert_integer(poll(&mut slots, *id), number);
    }
    slots.trim();
    assert_integer(poll(&mut slots, burst[999]), 999);
    slots.trim();
    assert!(slots.slots.capacity() <= 2 * KEPT_SLOTS, "{}", slots.slots.capacity());
    assert!(slots.order.capacity() <= 2 * KEPT_SLOTS && slots.free.capacity() <= 2 * KEPT_SLOTS);
    let next = push(&mut slots);
    slots.all_sent(now);
    complete(&mut slots, Frame::Integer(7), now);
    assert_integer(poll(&mut slots, next), 7);
    assert_outcome(poll(&mut slots, burst[0]), Outcome::Unknown);
}

#[test]
fn answer_is_owed_once_sent_and_may_take_as_long_as_its_caller_said() {
    let (mut slots, now) = start();
    push(&mut slots);
    slots.push(10, Span::of(9 * PATIENCE), None);
    assert_eq!(slots.owed(Span::of(PATIENCE)), None);
    slots.all_sent(now);
    assert_eq!(slots.owed(Span::of(PATIENCE)), Some(Owed { since: now, allowed_until: now }));
    complete(&mut slots, Frame::Null, now);
    let allowed_until = now.after(9 * PATIENCE);
    assert_eq!(slots.owed(Span::of(PATIENCE)), Some(Owed { since: now, allowed_until }));
}

#[test]
fn lost_connection_keeps_only_what_never_reached_the_socket_whole() {
    let (mut slots, now) = start();
    let ids = [(); 4].map(|()| push(&mut slots));
    slots.all_sent(now);
    // 25 of 40 bytes did not get out: the third and fourth command whole, the second in part.
    assert_eq!(slots.disconnected(25, &lost(), &mut Outbox::default()), 20);
    assert_outcome(poll(&mut slots, ids[0]), Outcome::Unknown);
    assert_outcome(poll(&mut slots, ids[1]), Outcome::Unknown);
    assert_eq!((slots.len(), slots.sent), (2, 0));
    slots.all_sent(now);
    complete(&mut slots, Frame::Integer(3), now);
    complete(&mut slots, Frame::Integer(4), now);
    assert_integer(poll(&mut slots, ids[2]), 3);
    assert_integer(poll(&mut slots, ids[3]), 4);
}

#[test]
fn slot_is_not_answered_through_an_id_of_its_earlier_use() {
    let (mut slots, now) = start();
    let old = push(&mut slots);
    slots.all_sent(now);
    complete(&mut slots, Frame::Integer(1), now);
    assert_integer(poll(&mut slots, old), 1);
    let new = push(&mut slots);
    assert_eq!(old.index, new.index);
    slots.abandon(old);
    slots.all_sent(now);
    complete(&mut slots, Frame::Integer(2), now);
    assert_integer(poll(&mut slots, new), 2);
}

#[test]
fn callers_that_wait_are_woken_once_when_all_is_failed() {
    let mut slots = empty();
    let ids = [(); 3].map(|()| push(&mut slots));
    assert!(poll(&mut slots, ids[0]).is_pending());
    slots.abandon(ids[1]);
    let mut out = Outbox::default();
    slots.fail_all(&lost(), &mut out);
    assert_eq!(out.wakers.len(), 1);
    assert_outcome(poll(&mut slots, ids[0]), Outcome::NotSent);
    assert_outcome(poll(&mut slots, ids[2]), Outcome::NotSent);
    assert_eq!((slots.len(), slots.bytes(), slots.free.len()), (0, 0, 3));
}
