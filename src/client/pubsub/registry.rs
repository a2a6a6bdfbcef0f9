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
mod tests;
