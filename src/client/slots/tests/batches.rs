//! A batch has one slot, and is answered, given up and lost as one.

use super::*;

#[test]
fn batch_may_be_answered_as_often_as_it_has_commands() {
    let (mut slots, now) = start();
    push_batch(&mut slots, 3);
    slots.all_sent(now);
    complete(&mut slots, Frame::Integer(1), now);
    let [two, three, four] = [2, 3, 4].map(Frame::Integer);
    assert_eq!(vet(&slots, &[&two, &three]), Ok(()));
    let stray = Err(Slip::Unasked(four.clone()));
    assert_eq!(vet(&slots, &[&two, &three, &four]), stray);
}

fn push_batch(slots: &mut Slots, replies: usize) -> SlotId {
    slots.push_batch(replies, 10 * replies, Span::of(PATIENCE))
}

fn poll_batch(slots: &mut Slots, id: SlotId) -> Poll<(Vec<Frame>, Option<Error>)> {
    slots.poll_batch(id, &Context::from_waker(Waker::noop()))
}

#[test]
fn batch_is_answered_once_all_its_replies_have_come() {
    let (mut slots, now) = start();
    let batch = push_batch(&mut slots, 2);
    let next = push(&mut slots);
    slots.all_sent(now);
    complete(&mut slots, Frame::Integer(1), now);
    assert!(poll_batch(&mut slots, batch).is_pending());
    complete(&mut slots, Frame::Integer(2), now);
    complete(&mut slots, Frame::Integer(3), now);
    assert_integer(poll(&mut slots, next), 3);
    let Poll::Ready((replies, None)) = poll_batch(&mut slots, batch) else {
        panic!("not answered")
    };
    assert_eq!(replies, [Frame::Integer(1), Frame::Integer(2)]);
    assert_eq!((slots.len(), slots.bytes(), slots.free.len()), (0, 0, 2));
}

#[test]
fn abandoned_or_expired_batch_takes_all_its_replies_with_it() {
    let (mut slots, now) = start();
    let abandoned = push_batch(&mut slots, 2);
    let expired = push_batch(&mut slots, 3);
    let next = slots.push(10, Span::of(2 * PATIENCE), None);
    slots.all_sent(now);
    complete(&mut slots, Frame::Integer(1), now);
    slots.abandon(abandoned);
    complete(&mut slots, Frame::Integer(2), now);
    complete(&mut slots, Frame::Integer(3), now);
    slots.expire(now.after(PATIENCE), None, None, &mut Outbox::default());
    let Poll::Ready((replies, Some(error))) = poll_batch(&mut slots, expired) else {
        panic!("not expired")
    };
    assert_eq!((replies, error.outcome()), (vec![Frame::Integer(3)], Outcome::Unknown));
    for number in 4..=6 {
        complete(&mut slots, Frame::Integer(number), now);
    }
    assert_integer(poll(&mut slots, next), 6);
    assert_eq!((slots.len(), slots.bytes(), slots.free.len()), (0, 0, 3));
}

#[test]
fn batch_that_was_written_in_part_is_not_sent_again() {
    let (mut slots, now) = start();
    let torn = push_batch(&mut slots, 2);
    let whole = push_batch(&mut slots, 2);
    slots.all_sent(now);
    assert_eq!(slots.disconnected(30, &lost(), &mut Outbox::default()), 20);
    let Poll::Ready((_, Some(error))) = poll_batch(&mut slots, torn) else { panic!("not failed") };
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert!(poll_batch(&mut slots, whole).is_pending());
}
