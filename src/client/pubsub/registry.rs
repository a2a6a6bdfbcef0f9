//! Who listens to what, what the server has confirmed of it, and what to ask it next. Pure.
//!
//! A topic is asked for once, however many listen to it, with a command of its own, so that a refusal concerns nobody else.
//! Every command carries a tag: an answer counts only if it is the one to the last question. When a connection opens, all
//! topics are asked for anew; who had lost one is told of the gap once all of its topics are confirmed again, so that what
//! it reads after that misses nothing.

use crate::client::listener::Tag;
use crate::error::{Error, ErrorKind};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// What can be listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Channel,
    Pattern,
    Shard,
}

impl Kind {
    pub(crate) fn subscribe(self) -> &'static str {
        match self {
            Self::Channel => "SUBSCRIBE",
            Self::Pattern => "PSUBSCRIBE",
            Self::Shard => "SSUBSCRIBE",
        }
    }

    pub(crate) fn unsubscribe(self) -> &'static str {
        match self {
            Self::Channel => "UNSUBSCRIBE",
            Self::Pattern => "PUNSUBSCRIBE",
            Self::Shard => "SUNSUBSCRIBE",
        }
    }
}

/// A channel, pattern or shard channel.
pub(crate) type Key = (Kind, Bytes);
/// One subscription.
pub(crate) type Seat = u64;
/// One call that waits for its topics to be confirmed.
pub(crate) type Ticket = u64;

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Effect {
    Subscribe(Tag, Key),
    Unsubscribe(Key),
    /// All topics of the call are confirmed.
    Joined(Ticket),
    Denied(Ticket, Error),
    /// Messages may have been missed; from here on none is.
    Gap(Seat),
    /// The server refuses a topic that was listened to, or the connection.
    Failed(Seat, Error),
    /// Look at [`Registry::ask_again`] in a while.
    AskLater,
}

#[derive(Debug, Default)]
struct Topic {
    seats: Vec<Seat>,
    confirmed: bool,
    /// The last question that is not answered.
    asked: Option<Tag>,
    /// Calls that wait for it, and whose they are.
    tickets: Vec<(Ticket, Seat)>,
}

#[derive(Debug, Default)]
struct Place {
    topics: BTreeSet<Key>,
    unconfirmed: usize,
    /// Has listened, and is told of failures where it listens.
    settled: bool,
    /// Has lost a topic, and was not told of the gap yet.
    broken: bool,
}

/// Everybody who listens, over one connection.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    topics: BTreeMap<Key, Topic>,
    seats: BTreeMap<Seat, Place>,
    /// How many topics each call still waits for.
    tickets: BTreeMap<Ticket, (Seat, usize)>,
    tags: BTreeMap<Tag, Key>,
    last_tag: Tag,
    open: bool,
    /// Whether everybody was told that the connection is refused.
    turned_away: bool,
}

impl Registry {
    /// Whether nobody is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// How many seats, topics, calls and questions there are.
    #[cfg(test)]
    pub(crate) fn size(&self) -> (usize, usize, usize, usize) {
        (self.seats.len(), self.topics.len(), self.tickets.len(), self.tags.len())
    }

    /// Who listens to a topic, and the topic as it is kept here.
    pub(crate) fn audience(&self, key: &Key) -> Option<(&Key, &[Seat])> {
        self.topics.get_key_value(key).map(|(key, topic)| (key, &topic.seats[..]))
    }

    /// Lets a seat listen to more topics, and gives those that are new to it.
    pub(crate) fn join(
        &mut self,
        seat: Seat,
        ticket: Ticket,
        keys: Vec<Key>,
        effects: &mut Vec<Effect>,
    ) -> Vec<Key> {
        let place = self.seats.entry(seat).or_default();
        let mut added = Vec::new();
        let mut asked = Vec::new();
        let mut waits_for = 0;
        for key in keys {
            let topic = self.topics.entry(key.clone()).or_default();
            if place.topics.insert(key.clone()) {
                topic.seats.push(seat);
                place.unconfirmed += usize::from(!topic.confirmed);
                added.push(key.clone());
            }
            if !topic.confirmed && !topic.tickets.contains(&(ticket, seat)) {
                topic.tickets.push((ticket, seat));
                waits_for += 1;
                asked.extend(topic.asked.is_none().then_some(key));
            }
        }
        self.tickets.insert(ticket, (seat, waits_for));
        self.ask(asked, effects);
        self.count_down(ticket, 0, effects);
        added
    }

    /// A seat listens to some topics no longer.
    pub(crate) fn leave(&mut self, seat: Seat, keys: &[Key], effects: &mut Vec<Effect>) {
        for key in keys {
            let Some(place) = self.seats.get_mut(&seat) else { return };
            if !place.topics.remove(key) {
                continue;
            }
            let Some(topic) = self.topics.get_mut(key) else { continue };
            topic.seats.retain(|other| *other != seat);
            if !topic.confirmed {
                place.unconfirmed -= 1;
            }
            let own = |(_, owner): &(Ticket, Seat)| *owner == seat;
            let (gone, kept): (Vec<_>, _) = topic.tickets.drain(..).partition(own);
            topic.tickets = kept;
            if topic.seats.is_empty() {
                let known = topic.confirmed || topic.asked.is_some();
                self.topics.remove(key);
                if self.open && known {
                    effects.push(Effect::Unsubscribe(key.clone()));
                }
            }
            gone.into_iter().for_each(|(ticket, _)| self.count_down(ticket, 1, effects));
        }
        self.close_gap(seat, effects);
    }

    /// A call waits no longer for its topics, some of which it had added.
    pub(crate) fn give_up(
        &mut self,
        seat: Seat,
        ticket: Ticket,
        added: &[Key],
        effects: &mut Vec<Effect>,
    ) {
        if self.tickets.remove(&ticket).is_some() {
            let topics = self.seats.get(&seat).into_iter().flat_map(|place| &place.topics);
            for key in topics {
                if let Some(topic) = self.topics.get_mut(key) {
                    topic.tickets.retain(|(other, _)| *other != ticket);
                }
            }
        }
        self.leave(seat, added, effects);
    }

    /// A seat is gone.
    pub(crate) fn remove(&mut self, seat: Seat, effects: &mut Vec<Effect>) {
        self.tickets.retain(|_, (owner, _)| *owner != seat);
        let keys = self.seats.get(&seat).map(|place| place.topics.iter().cloned().collect());
        let keys: Vec<Key> = keys.unwrap_or_default();
        self.leave(seat, &keys, effects);
        self.seats.remove(&seat);
    }

    /// The server has confirmed a topic.
    pub(crate) fn confirmed(&mut self, tag: Tag, effects: &mut Vec<Effect>) {
        let Some(key) = self.tags.remove(&tag) else { return };
        let Some(topic) = self.topics.get_mut(&key) else {
            // Nobody wants it any more, and who left may not have been able to say so.
            effects.push(Effect::Unsubscribe(key));
            return;
        };
        if topic.asked != Some(tag) {
            return; // asked again meanwhile: that answer counts
        }
        topic.asked = None;
        topic.confirmed = true;
        let (tickets, seats) = (std::mem::take(&mut topic.tickets), topic.seats.clone());
        tickets.into_iter().for_each(|(ticket, _)| self.count_down(ticket, 1, effects));
        for seat in seats {
            if let Some(place) = self.seats.get_mut(&seat) {
                place.unconfirmed -= 1;
            }
            self.close_gap(seat, effects);
        }
    }

    /// A question was not answered, or with an error.
    pub(crate) fn denied(&mut self, tag: Tag, error: &Error, effects: &mut Vec<Effect>) {
        let Some(key) = self.tags.remove(&tag) else { return };
        let Some(topic) = self.topics.get_mut(&key).filter(|topic| topic.asked == Some(tag)) else {
            return;
        };
        topic.asked = None;
        if error.kind() == ErrorKind::Disconnected || error.kind() == ErrorKind::Closed {
            return; // what became of the connection is told next
        }
        if error.is_transient() {
            effects.push(Effect::AskLater);
            return;
        }
        let Some(topic) = self.topics.remove(&key) else { return };
        let mut told = BTreeSet::new();
        for (ticket, seat) in topic.tickets {
            told.insert(seat);
            if self.tickets.remove(&ticket).is_some() {
                effects.push(Effect::Denied(ticket, error.clone()));
            }
        }
        for seat in topic.seats {
            let Some(place) = self.seats.get_mut(&seat) else { continue };
            place.topics.remove(&key);
            place.unconfirmed -= 1;
            if !told.contains(&seat) {
                effects.push(Effect::Failed(seat, error.clone()));
            }
            self.close_gap(seat, effects);
        }
    }

    /// A connection has opened: it knows of nothing yet.
    pub(crate) fn opened(&mut self, effects: &mut Vec<Effect>) {
        self.lost();
        self.open = true;
        self.turned_away = false;
        let all: Vec<_> = self.topics.keys().cloned().collect();
        self.ask(all, effects);
    }

    /// The connection is lost. What it was asked may have waited unsent, and is asked on the next one: that answer counts.
    pub(crate) fn lost(&mut self) {
        self.open = false;
        for topic in self.topics.values_mut() {
            topic.asked = None;
            if !std::mem::take(&mut topic.confirmed) {
                continue;
            }
            for seat in &topic.seats {
                if let Some(place) = self.seats.get_mut(seat) {
                    place.unconfirmed += 1;
                    place.broken = true;
                }
            }
        }
    }

    /// The connection is given up for good. Its answers will not be told, so nobody waits for them.
    pub(crate) fn ended(&mut self) {
        self.lost();
        self.tags.clear();
    }

    /// The server turns the connection away, or there will be none any more: everybody is told, once, and stays.
    pub(crate) fn refused(&mut self, error: &Error, effects: &mut Vec<Effect>) {
        self.lost();
        self.topics.values_mut().for_each(|topic| topic.tickets.clear());
        for ticket in std::mem::take(&mut self.tickets).into_keys() {
            effects.push(Effect::Denied(ticket, error.clone()));
        }
        if std::mem::replace(&mut self.turned_away, true) {
            return;
        }
        let settled = self.seats.iter().filter(|(_, place)| place.settled);
        effects.extend(settled.map(|(seat, _)| Effect::Failed(*seat, error.clone())));
    }

    /// Asks for what is neither confirmed nor asked for.
    pub(crate) fn ask_again(&mut self, effects: &mut Vec<Effect>) {
        let open = |topic: &Topic| !topic.confirmed && topic.asked.is_none();
        let open = self.topics.iter().filter(|(_, topic)| open(topic));
        let open: Vec<_> = open.map(|(key, _)| key.clone()).collect();
        self.ask(open, effects);
    }

    fn ask(&mut self, keys: Vec<Key>, effects: &mut Vec<Effect>) {
        if !self.open {
            return;
        }
        for key in keys {
            let Some(topic) = self.topics.get_mut(&key) else { continue };
            self.last_tag += 1;
            topic.asked = Some(self.last_tag);
            self.tags.insert(self.last_tag, key.clone());
            effects.push(Effect::Subscribe(self.last_tag, key));
        }
    }

    /// A call waits for so many topics less.
    fn count_down(&mut self, ticket: Ticket, by: usize, effects: &mut Vec<Effect>) {
        let Some((seat, left)) = self.tickets.get_mut(&ticket) else { return };
        *left = left.saturating_sub(by);
        if *left > 0 {
            return;
        }
        if let Some(place) = self.seats.get_mut(seat) {
            place.settled = true;
        }
        self.tickets.remove(&ticket);
        effects.push(Effect::Joined(ticket));
    }

    /// Tells a seat of its gap once nothing is missing any more.
    fn close_gap(&mut self, seat: Seat, effects: &mut Vec<Effect>) {
        let Some(place) = self.seats.get_mut(&seat) else { return };
        if place.broken && place.unconfirmed == 0 {
            place.broken = false;
            effects.push(Effect::Gap(seat));
        }
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(
            told(|out| registry.remove(1, out)),
            [""; 0],
            "there is no connection to say it on"
        );
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
}
