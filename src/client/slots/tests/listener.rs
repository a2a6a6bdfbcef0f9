//! What the listener is told of commands that are its own.

use super::*;

#[test]
fn patience_of_a_listener_keeps_no_silent_connection() {
    let (mut slots, now) = start();
    slots.push_tagged(7, 10, Span::of(60 * PATIENCE));
    slots.all_sent(now);
    assert_eq!(slots.owed(Span::of(PATIENCE)), Some(Owed { since: now, allowed_until: now }));
}

/// The tags that the listener was told of, with the integer or the outcome each came with.
fn told(out: &mut Outbox) -> Vec<(Tag, Result<i64, Outcome>)> {
    let notices = out.notices.drain(..);
    notices
        .map(|notice| match notice {
            Notice::Reply(tag, Ok(Frame::Integer(number))) => (tag, Ok(number)),
            Notice::Reply(tag, Err(error)) => (tag, Err(error.outcome())),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn listener_is_told_the_reply_and_needs_not_fetch_it() {
    let ((mut slots, now), mut out) = (start(), Outbox::default());
    slots.push_tagged(70, 10, Span::of(PATIENCE));
    let caller = push(&mut slots);
    slots.push_tagged(71, 10, Span::of(PATIENCE));
    slots.all_sent(now);
    for number in 1..=3 {
        complete_into(&mut slots, Frame::Integer(number), now, &mut out).unwrap();
    }
    assert_eq!((out.replies, out.wakers.len()), (2, 0), "the caller had not been polled");
    assert_eq!(told(&mut out), [(70, Ok(1)), (71, Ok(3))]);
    assert_integer(poll(&mut slots, caller), 2);
    assert_eq!((slots.len(), slots.bytes(), slots.free.len()), (0, 0, 3));
}

#[test]
fn listener_is_told_once_what_became_of_a_command_that_failed() {
    let ((mut slots, now), mut out) = (start(), Outbox::default());
    slots.push_tagged(1, 10, Span::of(PATIENCE));
    slots.push_tagged(2, 10, Span::of(3 * PATIENCE));
    slots.all_sent(now);
    slots.push_tagged(3, 10, Span::of(PATIENCE));
    slots.push_tagged(4, 10, Span::of(3 * PATIENCE));
    slots.stamp(now);
    let expired = slots.expire(now.after(PATIENCE), None, None, &mut out);
    assert_eq!(expired, Expired { count: 2, unsent: true, next: now.after(3 * PATIENCE) });
    slots.withdraw(&mut Outbox::default(), |_, _| {});
    assert_eq!(told(&mut out), [(1, Err(Outcome::Unknown)), (3, Err(Outcome::NotSent))]);
    slots.disconnected(0, &lost(), &mut out);
    assert_eq!(told(&mut out), [(2, Err(Outcome::Unknown))], "the late one was told before");
    slots.fail_all(&lost(), &mut out);
    assert_eq!(told(&mut out), [(4, Err(Outcome::NotSent))]);
    assert_eq!((slots.len(), slots.bytes(), slots.free.len()), (0, 0, 4));
}

#[test]
fn command_that_was_for_a_lost_connection_is_told_to_the_listener_and_withdrawn() {
    let ((mut slots, now), mut out) = (start(), Outbox::default());
    slots.push_tagged(1 | BOUND, 10, Span::of(PATIENCE));
    slots.all_sent(now);
    slots.push_tagged(2, 11, Span::of(PATIENCE));
    slots.push_tagged(3 | BOUND, 12, Span::of(PATIENCE));
    let caller = slots.push(13, Span::of(PATIENCE), None);
    assert_eq!(slots.disconnected(0, &lost(), &mut out), 0);
    assert_eq!(told(&mut out), [(1 | BOUND, Err(Outcome::Unknown))]);
    slots.release_bound(&lost(), &mut out);
    assert_eq!(told(&mut out), [(3 | BOUND, Err(Outcome::NotSent))]);
    let mut seen = Vec::new();
    slots.withdraw(&mut out, |len, keep| seen.push((len, keep)));
    assert_eq!(seen, [(11, true), (12, false), (13, true)]);
    assert!(poll(&mut slots, caller).is_pending());
    assert_eq!(slots.len(), 2);
}
