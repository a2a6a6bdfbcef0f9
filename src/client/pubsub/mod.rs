//! Messages: subscriptions on a connection that they share, apart from data commands.
//!
//! ```text
//!   server ──► driver ──► hub ──► mailbox ──► Subscription::next
//!                          │        └ bounded: the oldest messages make room, and are counted
//!                          └ registry: who listens to what, what is confirmed, what to ask next
//! ```
//!
//! All subscriptions of a client share one connection, opened by the first and closed with the last; a channel that several
//! listen to is subscribed once. Reading never waits for a slow subscriber. When the connection is lost, everything is
//! subscribed again on the next one, and each subscription is told of the [`Gap`] once that is confirmed.

mod hub;
mod mailbox;
mod registry;

pub(crate) use hub::Hub;

use crate::client::args::Args;
use crate::client::convert::{FromReply, ToArg};
use crate::client::handle::Client;
use crate::error::Error;
use bytes::Bytes;
use mailbox::Mailbox;
use registry::{Key, Kind, Seat};
use resp::Frame;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;

/// Messages of some channels, in the order in which the server sent them, made by [`Client::subscribe`] and its like.
///
/// It lives on when the [`Client`] is dropped, and ends with [`Client::close`]. Dropping it ends it.
pub struct Subscription {
    hub: Arc<Hub>,
    seat: Seat,
    mailbox: Arc<Mailbox>,
}

/// What a [`Subscription`] hears.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A message that was published.
    Message(Message),
    /// Messages may be missing here. What they would have told has to be looked up.
    Gap(Gap),
}

/// Why messages are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Gap {
    /// The connection was lost; everything is subscribed again by now, so what is looked up after this misses nothing.
    Reconnected,
    /// The subscription was read too slowly for its buffer
    /// ([`Config::subscription_buffer`](crate::Config::subscription_buffer)): so many messages were dropped, the oldest.
    Lagged {
        /// How many.
        missed: u64,
    },
}

/// A published message.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    channel: Bytes,
    pattern: Option<Bytes>,
    payload: Bytes,
}

impl Message {
    /// The channel it was published on.
    pub fn channel(&self) -> &Bytes {
        &self.channel
    }

    /// The pattern that matched, for a message that came by [`Client::psubscribe`].
    pub fn pattern(&self) -> Option<&Bytes> {
        self.pattern.as_ref()
    }

    /// What was published.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// What was published, read as a `T`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnexpectedReply`](crate::ErrorKind::UnexpectedReply) if it is none.
    pub fn read<T: FromReply>(&self) -> Result<T, Error> {
        T::from_reply(Frame::Bulk(self.payload.clone().into()))
    }
}

/// Shows where it came from and how long it is, never what is in it.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("channel", &self.channel)
            .field("pattern", &self.pattern)
            .field("len", &self.payload.len())
            .finish()
    }
}

impl Client {
    /// Listens to channels (`SUBSCRIBE`).
    ///
    /// ```no_run
    /// use tenure::client::{Event, Gap};
    ///
    /// # async fn run(client: tenure::Client) -> Result<(), tenure::Error> {
    /// let mut prices = client.subscribe(["eur", "usd"]).await?;
    /// loop {
    ///     match prices.next().await? {
    ///         Event::Message(message) => println!("{:?}: {:?}", message.channel(), message.payload()),
    ///         Event::Gap(Gap::Reconnected) => println!("look up what may have been missed"),
    ///         other => println!("{other:?}"),
    ///     }
    /// }
    /// # }
    /// ```
    ///
    /// When this returns, the server has confirmed it: what is published from then on is heard. All subscriptions of a
    /// client share one connection, apart from its data connection.
    ///
    /// # Errors
    ///
    /// The server's, for a user who may not listen there. [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) if it does not
    /// confirm within the response time-out, and the connect time-out where the connection is to be opened.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was subscribed is given up.
    pub async fn subscribe(&self, channels: impl ToArg) -> Result<Subscription, Error> {
        Subscription::begin(self, Kind::Channel, channels).await
    }

    /// Listens to all channels that match a pattern, such as `news.*` (`PSUBSCRIBE`). A message that matches several patterns
    /// comes once for each.
    ///
    /// # Errors
    ///
    /// As [`Client::subscribe`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was subscribed is given up.
    pub async fn psubscribe(&self, patterns: impl ToArg) -> Result<Subscription, Error> {
        Subscription::begin(self, Kind::Pattern, patterns).await
    }

    /// Listens to shard channels (`SSUBSCRIBE`; Redis 7.0, Valkey), whose messages are published with `SPUBLISH`.
    ///
    /// # Errors
    ///
    /// As [`Client::subscribe`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was subscribed is given up.
    pub async fn ssubscribe(&self, channels: impl ToArg) -> Result<Subscription, Error> {
        Subscription::begin(self, Kind::Shard, channels).await
    }
}

impl Subscription {
    async fn begin(client: &Client, kind: Kind, names: impl ToArg) -> Result<Self, Error> {
        let hub = Arc::clone(client.hub());
        let mailbox = Arc::new(Mailbox::new(client.config().subscription_buffer));
        let seat = hub.sit(&mailbox)?;
        let subscription = Self { hub, seat, mailbox };
        subscription.join(kind, names).await?;
        Ok(subscription)
    }

    /// The next message, or what happened instead.
    ///
    /// # Errors
    ///
    /// The server's, once, if after a reconnect it refuses a channel, which is then listened to no longer, or refuses the
    /// connection, which is dialled on: going on to call this is right where that may heal.
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) for good once the client was closed or its runtime has ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is taken out by a call that was dropped.
    pub async fn next(&mut self) -> Result<Event, Error> {
        poll_fn(|cx| self.mailbox.poll(cx)).await
    }

    /// Listens to more channels.
    ///
    /// # Errors
    ///
    /// As [`Client::subscribe`]; what was listened to before stays.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: those that are new are given up, the others stay.
    pub async fn subscribe(&self, channels: impl ToArg) -> Result<(), Error> {
        self.join(Kind::Channel, channels).await
    }

    /// Listens to more patterns.
    ///
    /// # Errors
    ///
    /// As [`Client::subscribe`]; what was listened to before stays.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: those that are new are given up, the others stay.
    pub async fn psubscribe(&self, patterns: impl ToArg) -> Result<(), Error> {
        self.join(Kind::Pattern, patterns).await
    }

    /// Listens to more shard channels.
    ///
    /// # Errors
    ///
    /// As [`Client::subscribe`]; what was listened to before stays.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: those that are new are given up, the others stay.
    pub async fn ssubscribe(&self, channels: impl ToArg) -> Result<(), Error> {
        self.join(Kind::Shard, channels).await
    }

    /// Listens to channels no longer. What has come before is still given.
    pub fn unsubscribe(&self, channels: impl ToArg) {
        self.hub.leave(self.seat, &keys(Kind::Channel, channels));
    }

    /// Listens to patterns no longer. What has come before is still given.
    pub fn punsubscribe(&self, patterns: impl ToArg) {
        self.hub.leave(self.seat, &keys(Kind::Pattern, patterns));
    }

    /// Listens to shard channels no longer. What has come before is still given.
    pub fn sunsubscribe(&self, channels: impl ToArg) {
        self.hub.leave(self.seat, &keys(Kind::Shard, channels));
    }

    async fn join(&self, kind: Kind, names: impl ToArg) -> Result<(), Error> {
        self.hub.join(self.seat, keys(kind, names)).await
    }
}

fn keys(kind: Kind, names: impl ToArg) -> Vec<Key> {
    let mut args = Args::default();
    names.write_args(&mut args);
    args.iter().map(|name| (kind, Bytes::copy_from_slice(name))).collect()
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.stand_up(self.seat);
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}
