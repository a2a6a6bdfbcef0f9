//! Who listens to what, step by step: what is asked of the server, and what callers and listeners are told.

use super::*;
use crate::error::{Outcome, ServerError};

fn channel(name: &'static str) -> Key {
    (Kind::Channel, Bytes::from_static(name.as_bytes()))
}

/// Does something, and gives the effects as text.
fn told(act: impl FnOnce(&mut Vec<Effect>)) -> Vec<String> {
    let mut effects = Vec::new();
    act(&mut effects);
    let name = |key: &Key| String::from_utf8_lossy(&key.1).into_owned();
    let text = |effect: &Effect| match effect {
        Effect::Subscribe(tag, key) => format!("{tag}: {} {}", key.0.subscribe(), name(key)),
        Effect::Unsubscribe(key) => format!("{} {}", key.0.unsubscribe(), name(key)),
        Effect::Joined(ticket) => format!("joined {ticket}"),
        Effect::Denied(ticket, error) => format!("denied {ticket}: {error}"),
        Effect::Gap(seat) => format!("gap {seat}"),
        Effect::Failed(seat, error) => format!("failed {seat}: {error}"),
        Effect::AskLater => "later".to_owned(),
    };
    effects.iter().map(text).collect()
}

fn join(
    registry: &mut Registry,
    seat: Seat,
    ticket: Ticket,
    names: &[&'static str],
) -> Vec<String> {
    let keys = names.iter().map(|name| channel(name)).collect();
    told(|effects| drop(registry.join(seat, ticket, keys, effects)))
}

fn open() -> Registry {
    let mut registry = Registry::default();
    registry.opened(&mut Vec::new());
    registry
}

fn no_right() -> Error {
    Error::server_said(ServerError::new(b"ERR no"))
}

fn lost() -> Error {
    Error::new(ErrorKind::Disconnected, Outcome::Unknown, "lost")
}

#[test]
fn topic_is_asked_for_once_and_given_up_with_its_last_listener() {
    let mut registry = open();
    assert_eq!(join(&mut registry, 1, 10, &["a", "b"]), ["1: SUBSCRIBE a", "2: SUBSCRIBE b"]);
    assert_eq!(join(&mut registry, 2, 20, &["a"]), [""; 0]);
    assert_eq!(told(|out| registry.confirmed(1, out)), ["joined 20"]);
    assert_eq!(told(|out| registry.confirmed(2, out)), ["joined 10"]);
    assert_eq!(join(&mut registry, 3, 30, &["a"]), ["joined 30"]);
    assert_eq!(told(|out| registry.remove(1, out)), ["UNSUBSCRIBE b"]);
    assert_eq!(told(|out| registry.leave(2, &[channel("a"), channel("z")], out)), [""; 0]);
    assert_eq!(told(|out| registry.remove(3, out)), ["UNSUBSCRIBE a"]);
    assert_eq!(registry.audience(&channel("a")).map(|(_, seats)| seats.len()), None);
    assert!(!registry.is_empty(), "2 is left, without a topic");
    registry.remove(2, &mut Vec::new());
    assert!(registry.is_empty());
}

#[test]
fn confirmation_counts_only_if_it_answers_the_last_question() {
    let mut registry = open();
    assert_eq!(join(&mut registry, 1, 10, &["a"]), ["1: SUBSCRIBE a"]);
    assert_eq!(told(|out| registry.remove(1, out)), ["UNSUBSCRIBE a"]);
    assert_eq!(join(&mut registry, 2, 20, &["a"]), ["2: SUBSCRIBE a"]);
    assert_eq!(told(|out| registry.confirmed(1, out)), [""; 0]);
    assert_eq!(told(|out| registry.confirmed(2, out)), ["joined 20"]);
    assert_eq!(told(|out| registry.confirmed(2, out)), [""; 0]);
}

#[test]
fn topic_that_is_confirmed_for_nobody_is_given_up() {
    let mut registry = open();
    join(&mut registry, 1, 10, &["a"]);
    registry.lost();
    assert_eq!(told(|out| registry.remove(1, out)), [""; 0], "there is no connection to say it on");
    registry.opened(&mut Vec::new());
    assert_eq!(told(|out| registry.confirmed(1, out)), ["UNSUBSCRIBE a"]);
}

#[test]
fn gap_is_told_once_all_topics_are_back() {
    let mut registry = open();
    join(&mut registry, 1, 10, &["a", "b"]);
    join(&mut registry, 2, 20, &["a"]);
    registry.confirmed(1, &mut Vec::new());
    registry.confirmed(2, &mut Vec::new());
    assert_eq!(join(&mut registry, 3, 30, &["c"]), ["3: SUBSCRIBE c"]);
    assert_eq!(told(|out| registry.denied(3, &lost(), out)), [""; 0]);
    registry.lost();
    let all = ["4: SUBSCRIBE a", "5: SUBSCRIBE b", "6: SUBSCRIBE c"];
    assert_eq!(told(|out| registry.opened(out)), all);
    assert_eq!(told(|out| registry.confirmed(4, out)), ["gap 2"]);
    assert_eq!(told(|out| registry.confirmed(5, out)), ["gap 1"]);
    assert_eq!(told(|out| registry.confirmed(6, out)), ["joined 30"], "3 has missed nothing");
}

#[test]
fn gap_is_told_also_when_what_was_missing_is_given_up_or_refused() {
    let mut registry = open();
    join(&mut registry, 1, 10, &["a", "b"]);
    join(&mut registry, 2, 20, &["a", "b"]);
    registry.confirmed(1, &mut Vec::new());
    registry.confirmed(2, &mut Vec::new());
    registry.opened(&mut Vec::new());
    registry.confirmed(3, &mut Vec::new());
    assert_eq!(told(|out| registry.leave(1, &[channel("b")], out)), ["gap 1"]);
    assert_eq!(told(|out| registry.denied(4, &no_right(), out)), ["failed 2: ERR no", "gap 2"]);
}

#[test]
fn refusal_is_told_to_the_call_that_asked_and_to_who_listened_before() {
    let mut registry = open();
    let all = ["1: SUBSCRIBE a", "2: SUBSCRIBE b", "3: SUBSCRIBE z"];
    assert_eq!(join(&mut registry, 1, 10, &["a", "b", "z"]), all);
    registry.confirmed(1, &mut Vec::new());
    assert_eq!(told(|out| registry.denied(2, &no_right(), out)), ["denied 10: ERR no"]);
    assert_eq!(told(|out| registry.denied(3, &no_right(), out)), [""; 0], "told already");
    assert_eq!(join(&mut registry, 1, 11, &["c"]), ["4: SUBSCRIBE c"]);
    registry.confirmed(4, &mut Vec::new());
    registry.opened(&mut Vec::new());
    assert_eq!(told(|out| registry.denied(5, &no_right(), out)), ["failed 1: ERR no"]);
    assert_eq!(told(|out| registry.confirmed(6, out)), ["gap 1"], "c is back, a is gone");
    registry.opened(&mut Vec::new());
    assert_eq!(registry.last_tag, 7, "a is not asked for again");
}

#[test]
fn connection_that_is_refused_is_told_to_everybody_who_waits_or_listens() {
    let mut registry = open();
    join(&mut registry, 1, 10, &["a"]);
    registry.confirmed(1, &mut Vec::new());
    registry.lost();
    assert_eq!(join(&mut registry, 2, 20, &["b"]), [""; 0]);
    let told_all = told(|out| registry.refused(&no_right(), out));
    assert_eq!(told_all, ["denied 20: ERR no", "failed 1: ERR no"]);
    assert_eq!(told(|out| registry.refused(&no_right(), out)), [""; 0]);
    assert_eq!(told(|out| registry.opened(out)), ["2: SUBSCRIBE a", "3: SUBSCRIBE b"]);
    assert_eq!(told(|out| registry.confirmed(2, out)), ["gap 1"]);
}

#[test]
fn question_that_may_be_answered_later_is_asked_again() {
    let mut registry = open();
    join(&mut registry, 1, 10, &["a"]);
    let busy = Error::server_said(ServerError::new(b"BUSY running a script"));
    assert_eq!(told(|out| registry.denied(1, &busy, out)), ["later"]);
    assert_eq!(told(|out| registry.ask_again(out)), ["2: SUBSCRIBE a"]);
    assert_eq!(told(|out| registry.ask_again(out)), [""; 0]);
    assert_eq!(told(|out| registry.confirmed(2, out)), ["joined 10"]);
}

#[test]
fn call_whose_topics_are_given_up_meanwhile_does_not_wait_for_them() {
    let mut registry = open();
    join(&mut registry, 1, 10, &["a", "b"]);
    registry.confirmed(1, &mut Vec::new());
    let left = told(|out| registry.leave(1, &[channel("b")], out));
    assert_eq!(left, ["UNSUBSCRIBE b", "joined 10"]);
    assert_eq!(join(&mut registry, 2, 20, &[]), ["joined 20"]);
}

#[test]
fn call_that_is_given_up_leaves_nothing_that_waits() {
    let mut registry = open();
    join(&mut registry, 1, 10, &["a"]);
    for ticket in 11..20 {
        assert_eq!(join(&mut registry, 1, ticket, &["a"]), [""; 0], "asked for already");
        assert_eq!(told(|out| registry.give_up(1, ticket, &[], out)), [""; 0]);
    }
    assert_eq!(registry.topics[&channel("a")].tickets, [(10, 1)]);
    assert_eq!(registry.tickets.len(), 1);
    assert_eq!(told(|out| registry.confirmed(1, out)), ["joined 10"]);
    assert_eq!(join(&mut registry, 1, 30, &["b", "a"]), ["2: SUBSCRIBE b"]);
    let given_up = told(|out| registry.give_up(1, 30, &[channel("b")], out));
    assert_eq!(given_up, ["UNSUBSCRIBE b"]);
    assert!(registry.tickets.is_empty());
}

#[test]
fn questions_are_remembered_over_a_loss_and_forgotten_with_the_connection() {
    let mut registry = open();
    join(&mut registry, 1, 10, &["a"]);
    registry.remove(1, &mut Vec::new());
    registry.lost();
    assert_eq!(registry.tags.len(), 1, "it may be asked on the next one");
    registry.ended();
    assert!(registry.tags.is_empty(), "nobody would tell the answer");
    assert_eq!(told(|out| registry.confirmed(1, out)), [""; 0]);
}
