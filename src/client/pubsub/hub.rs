//! The hub: it does what the registry says, and puts messages into mailboxes.

use super::Message;
use super::mailbox::Mailbox;
use super::registry::{Effect, Key, Kind, Registry, Seat, Ticket};
use crate::client::connection::Connection;
use crate::client::convert::answer;
use crate::client::encode;
use crate::client::encode::Ink;
use crate::client::home::Home;
use crate::client::listener::{Heard, Listener, Notice, Tag};
use crate::client::queue::Flush;
use crate::client::shared::Phase;
use crate::config::Config;
use crate::error::{Error, Outcome};
use crate::observe::Purpose;
use bytes::Bytes;
use resp::Frame;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

/// Before a question is asked again that the server could not answer.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// A payload of this size may go on sharing its segment of at most 64 KiB with others; smaller ones are copied, so that a
/// buffer holds no more memory than it counts.
const SHARES: usize = 16 << 10;
/// Nobody waits for the answer to a question that carries this.
const NO_TAG: Tag = 0;

/// The subscriptions of one client.
pub(crate) struct Hub {
    home: Home,
    config: Config,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    registry: Registry,
    mailboxes: BTreeMap<Seat, Arc<Mailbox>>,
    calls: BTreeMap<Ticket, Call>,
    /// Open as long as anybody listens.
    connection: Option<Connection>,
    /// Rises with every connection, so that an earlier one cannot speak for it.
    generation: u64,
    last_number: u64,
    asks_later: bool,
    /// Something was posted and is to be written.
    posted: bool,
    last_failure: Option<Error>,
    ended: Option<Error>,
}

/// A call that waits for its topics to be confirmed.
type Call = oneshot::Sender<Result<(), Error>>;

/// Whom to tell once no lock is held.
#[derive(Default)]
struct Mail {
    wakers: Vec<Waker>,
    calls: Vec<(Call, Result<(), Error>)>,
}

impl Mail {
    /// Puts something into a mailbox.
    fn post(
        &mut self,
        mailbox: Option<&Arc<Mailbox>>,
        put: impl FnOnce(&Mailbox) -> Option<Waker>,
    ) {
        self.wakers.extend(mailbox.and_then(|mailbox| put(mailbox)));
    }

    fn answer(&mut self, call: Option<Call>, result: Result<(), Error>) {
        self.calls.extend(call.map(|call| (call, result)));
    }

    fn deliver(self) {
        self.wakers.into_iter().for_each(Waker::wake);
        for (call, result) in self.calls {
            // A caller who has gone has given up what it asked for.
            let _ = call.send(result);
        }
    }
}

/// What a connection tells a hub that may have gone.
struct Ear {
    hub: Weak<Hub>,
    generation: u64,
}

/// Gives up what a call had added, unless it came to a good end.
struct Joining<'a> {
    hub: &'a Arc<Hub>,
    seat: Seat,
    ticket: Ticket,
    added: Vec<Key>,
}

impl Drop for Joining<'_> {
    fn drop(&mut self) {
        self.hub.act(|book, effects, _| {
            book.calls.remove(&self.ticket);
            book.registry.give_up(self.seat, self.ticket, &self.added, effects);
        });
    }
}

impl Hub {
    /// Without a connection yet.
    pub(crate) fn new(home: Home, config: Config) -> Arc<Self> {
        Arc::new(Self { home, config, book: Mutex::default() })
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Nothing under this lock panics half-way, so what a panicking thread left is whole.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the registry, and does what comes of it.
    fn act<R>(
        self: &Arc<Self>,
        act: impl FnOnce(&mut Book, &mut Vec<Effect>, &mut Mail) -> R,
    ) -> R {
        let (mut effects, mut mail) = (Vec::new(), Mail::default());
        let (result, posted, surplus) = {
            let mut book = self.book();
            let result = act(&mut book, &mut effects, &mut mail);
            self.perform(&mut book, effects, &mut mail);
            let posted = std::mem::take(&mut book.posted).then(|| book.connection.clone());
            let surplus = if book.registry.is_empty() { book.disconnect() } else { None };
            (result, posted.flatten(), surplus)
        };
        if let Some(connection) = posted {
            connection.settle(Flush::Auto);
        }
        drop(surplus);
        mail.deliver();
        result
    }

    fn perform(self: &Arc<Self>, book: &mut Book, effects: Vec<Effect>, mail: &mut Mail) {
        for effect in effects {
            match effect {
                Effect::Subscribe(tag, key) => {
                    self.ask(book, tag, key.0.subscribe(), &key);
                }
                Effect::Unsubscribe(key) => {
                    self.ask(book, NO_TAG, key.0.unsubscribe(), &key);
                }
                Effect::Joined(ticket) => mail.answer(book.calls.remove(&ticket), Ok(())),
                Effect::Denied(ticket, error) => {
                    mail.answer(book.calls.remove(&ticket), Err(error));
                }
                Effect::Gap(seat) => mail.post(book.mailboxes.get(&seat), Mailbox::put_gap),
                Effect::Failed(seat, error) => {
                    mail.post(book.mailboxes.get(&seat), |mailbox| mailbox.put_failure(error));
                }
                Effect::AskLater => self.ask_later(book),
            }
        }
    }

    fn ask(self: &Arc<Self>, book: &mut Book, tag: Tag, command: &str, (_, name): &Key) {
        let Some(connection) = &book.connection else { return };
        let patience = self.config.response_timeout;
        let encode = |out: &mut Ink| encode::command(&[command.as_bytes(), name], out);
        match connection.post(tag, patience, encode) {
            Ok(()) => book.posted = true,
            Err(error) => {
                let mut effects = Vec::new();
                book.registry.denied(tag, &error, &mut effects);
                if !effects.is_empty() {
                    self.ask_later(book);
                }
            }
        }
    }

    fn ask_later(self: &Arc<Self>, book: &mut Book) {
        if std::mem::replace(&mut book.asks_later, true) {
            return;
        }
        let hub = Arc::downgrade(self);
        self.home.spawn(async move {
            sleep(ASK_AGAIN).await;
            let Some(hub) = hub.upgrade() else { return };
            hub.act(|book, effects, _| {
                book.asks_later = false;
                book.registry.ask_again(effects);
            });
        });
    }

    /// Takes in one more subscription, which listens to nothing yet.
    ///
    /// # Errors
    ///
    /// If the client was closed.
    pub(crate) fn sit(&self, mailbox: &Arc<Mailbox>) -> Result<Seat, Error> {
        let mut book = self.book();
        if let Some(error) = &book.ended {
            return Err(error.with_outcome(Outcome::NotSent));
        }
        let seat = book.number();
        book.mailboxes.insert(seat, Arc::clone(mailbox));
        Ok(seat)
    }

    /// A subscription has ended.
    pub(crate) fn stand_up(self: &Arc<Self>, seat: Seat) {
        self.act(|book, effects, _| {
            book.mailboxes.remove(&seat);
            book.registry.remove(seat, effects);
        });
    }

    pub(crate) fn leave(self: &Arc<Self>, seat: Seat, keys: &[Key]) {
        self.act(|book, effects, _| book.registry.leave(seat, keys, effects));
    }

    /// Lets a subscription listen to more, and waits until the server has confirmed that.
    pub(crate) async fn join(self: &Arc<Self>, seat: Seat, keys: Vec<Key>) -> Result<(), Error> {
        let (tell, told) = oneshot::channel();
        let (ticket, added, open) = self.act(|book, effects, _| {
            if let Some(error) = &book.ended {
                return Err(error.with_outcome(Outcome::NotSent));
            }
            let open = book.connection.as_ref().is_some_and(|open| open.session().is_some());
            let ticket = book.number();
            book.calls.insert(ticket, tell);
            Ok((ticket, book.registry.join(seat, ticket, keys, effects), open))
        })?;
        let mut joining = Joining { hub: self, seat, ticket, added };
        let mut patience = self.config.response_timeout;
        if !open {
            patience = patience.saturating_add(self.config.connect_timeout);
            self.connect();
        }
        let waits = async move { timeout(patience, told).await };
        match self.home.run(waits).await? {
            Ok(Ok(result)) => result?,
            Ok(Err(_)) => return Err(Error::closed(Outcome::Unknown)),
            Err(_) => {
                let (cause, known) = {
                    let book = self.book();
                    let known = book.connection.as_ref().map(Connection::circumstances);
                    (book.last_failure.clone(), known)
                };
                let (cause, known) = (cause.as_ref(), known.as_ref());
                return Err(Error::timed_out(patience, Outcome::Unknown, cause, known));
            }
        }
        joining.added.clear();
        Ok(())
    }

    /// Sees to it that there is a connection. It may tell at once what became of it, so it is made without the lock.
    fn connect(self: &Arc<Self>) {
        let generation = {
            let mut book = self.book();
            if book.connection.is_some() || book.ended.is_some() {
                return;
            }
            book.generation += 1;
            book.generation
        };
        let listener: Arc<dyn Listener> = Arc::new(Ear { hub: Arc::downgrade(self), generation });
        let (config, setup) = (self.config.clone(), |_: Option<&_>| Vec::new());
        let listener = Some(listener);
        let connection =
            Connection::lazy(&self.home, config, Purpose::Subscriptions, setup, listener);
        let surplus = {
            let mut book = self.book();
            if book.generation == generation && book.ended.is_none() {
                book.connection.replace(connection)
            } else {
                Some(connection) // somebody else was faster, or nobody needs it any more
            }
        };
        drop(surplus);
    }

    /// Ends all subscriptions.
    pub(crate) fn close(self: &Arc<Self>) {
        let error = Error::closed(Outcome::NotSent);
        let connection = self.act(|book, effects, mail| {
            book.end(&error, effects, mail);
            book.disconnect()
        });
        drop(connection);
    }
}

impl Book {
    fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Takes the connection out; what it has to say from then on concerns nobody.
    fn disconnect(&mut self) -> Option<Connection> {
        self.generation += 1;
        self.registry.ended();
        self.connection.take()
    }

    fn end(&mut self, error: &Error, effects: &mut Vec<Effect>, mail: &mut Mail) {
        self.ended = Some(error.clone());
        self.registry.refused(error, effects);
        let ended = self.mailboxes.values().filter_map(|mailbox| mailbox.end(error.clone()));
        mail.wakers.extend(ended);
    }

    /// Puts a message into the mailboxes of those who listen.
    fn publish(&mut self, items: Vec<Frame>, mail: &mut Mail) {
        let mut parts = items.into_iter().map_while(|item| match item {
            Frame::Bulk(text) | Frame::Simple(text) => Some(text.into_bytes()),
            _ => None,
        });
        let (Some(word), Some(name)) = (parts.next(), parts.next()) else { return };
        let kind = match &word[..] {
            b"message" => Kind::Channel,
            b"pmessage" => Kind::Pattern,
            b"smessage" => Kind::Shard,
            _ => return,
        };
        let key = (kind, name);
        let Some(((_, name), seats)) = self.registry.audience(&key) else { return };
        let (channel, pattern) = match kind {
            Kind::Pattern => (parts.next(), Some(name.clone())),
            Kind::Channel | Kind::Shard => (Some(name.clone()), None),
        };
        let (Some(channel), Some(payload)) = (channel, parts.next()) else { return };
        let channel = if pattern.is_some() { Bytes::copy_from_slice(&channel) } else { channel };
        let payload =
            if payload.len() < SHARES { Bytes::copy_from_slice(&payload) } else { payload };
        let message = Message { channel, pattern, payload };
        for seat in seats {
            mail.post(self.mailboxes.get(seat), |mailbox| mailbox.put(message.clone()));
        }
    }
}

impl Listener for Ear {
    fn heard(&self, notices: &mut Vec<Notice>, _: Instant) -> Heard {
        let Some(hub) = self.hub.upgrade() else {
            notices.clear();
            return Heard::Nothing;
        };
        hub.act(|book, effects, mail| {
            let stale = book.generation != self.generation;
            for notice in notices.drain(..).filter(|_| !stale) {
                match notice {
                    Notice::Push(items) => book.publish(items, mail),
                    Notice::Reply(tag, reply) => match reply.and_then(answer) {
                        Ok(_) => book.registry.confirmed(tag, effects),
                        Err(error) => book.registry.denied(tag, &error, effects),
                    },
                }
                // At once: a gap belongs in front of the messages that come behind it.
                hub.perform(book, std::mem::take(effects), mail);
            }
        });
        Heard::Posted // it may have
    }

    fn changed(&self, phase: &Phase) {
        let Some(hub) = self.hub.upgrade() else { return };
        hub.act(|book, effects, mail| {
            if book.generation != self.generation {
                return;
            }
            match phase {
                Phase::Ready(_) => {
                    book.last_failure = None;
                    book.registry.opened(effects);
                }
                Phase::Connecting(why) => {
                    book.last_failure = why.clone();
                    book.registry.lost();
                }
                Phase::Refused(error) => book.registry.refused(error, effects),
                Phase::Closed(error) => book.end(error, effects, mail),
            }
        });
    }
}

#[cfg(test)]
mod tests;
