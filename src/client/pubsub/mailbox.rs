//! The buffer of one subscription: bounded in bytes, and when it is full the oldest messages make room and are counted.

use super::{Event, Gap, Message};
use crate::error::Error;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// What a message takes beside its text.
const OVERHEAD: usize = 64;

/// The buffer of one subscription.
#[derive(Debug)]
pub(crate) struct Mailbox {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Item>,
    bytes: usize,
    /// What was in front of the queue and had to make room.
    missed: u64,
    reconnected: bool,
    failure: Option<Error>,
    /// Nothing will come any more, for this reason.
    ended: Option<Error>,
    waker: Option<Waker>,
}

#[derive(Debug)]
enum Item {
    Message(Message),
    Reconnected,
    Failed(Error),
}

impl Mailbox {
    /// An empty one for so many bytes; a single message may be larger.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock panics half-way, so what a panicking thread left is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a message in; gives whom to wake.
    pub(crate) fn put(&self, message: Message) -> Option<Waker> {
        let mut state = self.state();
        state.bytes += cost(&message);
        state.queue.push_back(Item::Message(message));
        while state.bytes > self.limit && state.queue.len() > 1 {
            state.drop_oldest();
        }
        state.waker.take()
    }

    /// Says that messages may be missing in front of those that follow.
    pub(crate) fn put_gap(&self) -> Option<Waker> {
        let mut state = self.state();
        if !state.behind_the_last_message().any(|item| matches!(item, Item::Reconnected)) {
            state.queue.push_back(Item::Reconnected);
        }
        state.waker.take()
    }

    pub(crate) fn put_failure(&self, error: Error) -> Option<Waker> {
        let mut state = self.state();
        if !state.behind_the_last_message().any(|item| matches!(item, Item::Failed(_))) {
            state.queue.push_back(Item::Failed(error));
        }
        state.waker.take()
    }

    /// Nothing comes behind what is in it now.
    pub(crate) fn end(&self, error: Error) -> Option<Waker> {
        let mut state = self.state();
        state.ended.get_or_insert(error);
        state.waker.take()
    }

    /// Takes the oldest event out.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<Result<Event, Error>> {
        let mut state = self.state();
        if let Some(event) = state.take() {
            return Poll::Ready(event);
        }
        match &state.ended {
            Some(error) => Poll::Ready(Err(error.clone())),
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl State {
    fn take(&mut self) -> Option<Result<Event, Error>> {
        if self.missed > 0 {
            let missed = std::mem::take(&mut self.missed);
            return Some(Ok(Event::Gap(Gap::Lagged { missed })));
        }
        if std::mem::take(&mut self.reconnected) {
            return Some(Ok(Event::Gap(Gap::Reconnected)));
        }
        if let Some(error) = self.failure.take() {
            return Some(Err(error));
        }
        Some(match self.queue.pop_front()? {
            Item::Message(message) => {
                self.bytes -= cost(&message);
                Ok(Event::Message(message))
            }
            Item::Reconnected => Ok(Event::Gap(Gap::Reconnected)),
            Item::Failed(error) => Err(error),
        })
    }

    /// What is not told twice however often it happens, so that a reader who sleeps costs no memory.
    fn behind_the_last_message(&self) -> impl Iterator<Item = &Item> {
        self.queue.iter().rev().take_while(|item| !matches!(item, Item::Message(_)))
    }

    fn drop_oldest(&mut self) {
        match self.queue.pop_front() {
            Some(Item::Message(message)) => {
                self.bytes -= cost(&message);
                self.missed += 1;
            }
            Some(Item::Reconnected) => self.reconnected = true,
            Some(Item::Failed(error)) => self.failure = Some(error),
            None => {}
        }
    }
}

fn cost(message: &Message) -> usize {
    OVERHEAD + message.channel.len() + message.payload.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{ErrorKind, Outcome};
    use bytes::Bytes;

    fn message(text: &'static str) -> Message {
        let (channel, payload) = (Bytes::from_static(b"c"), Bytes::from_static(text.as_bytes()));
        Message { channel, pattern: None, payload }
    }

    fn take(mailbox: &Mailbox) -> String {
        match mailbox.poll(&Context::from_waker(Waker::noop())) {
            Poll::Pending => "nothing".to_owned(),
            Poll::Ready(Ok(Event::Message(message))) => {
                String::from_utf8_lossy(&message.payload).into_owned()
            }
            Poll::Ready(Ok(Event::Gap(gap))) => format!("{gap:?}"),
            Poll::Ready(Err(error)) => error.to_string(),
        }
    }

    #[test]
    fn oldest_messages_make_room_and_are_counted_in_their_place() {
        let mailbox = Mailbox::new(3 * (OVERHEAD + 2));
        for text in ["1", "2", "3", "4", "5"] {
            mailbox.put(message(text));
        }
        assert_eq!(take(&mailbox), "Lagged { missed: 2 }");
        assert_eq!(take(&mailbox), "3");
        mailbox.put(message("6"));
        mailbox.put(message("7"));
        assert_eq!(
            [(); 5].map(|()| take(&mailbox)),
            ["Lagged { missed: 1 }", "5", "6", "7", "nothing"]
        );
        assert_eq!(mailbox.state().bytes, 0);
    }

    #[test]
    fn gaps_and_failures_never_make_room_for_messages() {
        let mailbox = Mailbox::new(OVERHEAD + 2);
        mailbox.put(message("1"));
        mailbox.put_gap();
        mailbox.put_failure(Error::new(ErrorKind::Server, Outcome::Refused, "NOPERM"));
        mailbox.put(message("2"));
        assert_eq!(
            [(); 5].map(|()| take(&mailbox)),
            ["Lagged { missed: 1 }", "Reconnected", "NOPERM", "2", "nothing"]
        );
    }

    #[test]
    fn what_goes_on_and_on_while_nobody_reads_is_told_once() {
        let mailbox = Mailbox::new(1_000);
        mailbox.put(message("1"));
        for _ in 0..1_000 {
            mailbox.put_gap();
            mailbox.put_failure(Error::new(ErrorKind::Server, Outcome::Refused, "NOPERM"));
        }
        mailbox.put(message("2"));
        assert_eq!(
            [(); 5].map(|()| take(&mailbox)),
            ["1", "Reconnected", "NOPERM", "2", "nothing"]
        );
    }

    #[test]
    fn message_larger_than_the_buffer_is_delivered_alone() {
        let mailbox = Mailbox::new(1);
        mailbox.put(message("a large one"));
        assert_eq!(take(&mailbox), "a large one");
        mailbox.put(message("a large one"));
        mailbox.put(message("another"));
        assert_eq!([(); 2].map(|()| take(&mailbox)), ["Lagged { missed: 1 }", "another"]);
    }

    #[test]
    fn end_comes_behind_what_was_there() {
        let mailbox = Mailbox::new(1_000);
        mailbox.put(message("last"));
        mailbox.end(Error::closed(Outcome::NotSent));
        assert_eq!([(); 3].map(|()| take(&mailbox))[0], "last");
        assert_eq!(take(&mailbox), "the client is closed");
    }
}
