//! Hears what the lock connection is told, on the driver's task, and passes it on to the gates.

use crate::client::{Flush, Frame, Heard, Listener, Notice, Phase, Session};
use crate::error::Error;
use crate::lock::answers;
use crate::lock::book::{Book, News};
use crate::lock::dialect::Dialect;
use crate::lock::engine::Engine;
use crate::lock::error::AcquireError;
use crate::lock::fairness::Turn;
use crate::lock::gate::Event;
use crate::lock::hold::Clocks;
use crate::lock::plan::{self, Key};
use crate::lock::speech::{self, Word};
use bytes::Bytes;
use std::hash::RandomState;
use std::sync::{Arc, Weak};
use tokio::time::Instant;

/// What the connection tells an engine that may have gone.
#[derive(Clone)]
pub(crate) struct Ear {
    pub(crate) engine: Weak<Engine>,
    /// What keys are hashed with.
    pub(crate) hasher: RandomState,
    /// The engine's number: it need not listen to itself.
    pub(crate) number: u64,
    /// Where it is told of grants.
    pub(crate) inbox: Bytes,
}

impl Listener for Ear {
    fn heard(&self, notices: &mut Vec<Notice>, now: Instant) -> Heard {
        let Some(engine) = self.engine.upgrade() else {
            notices.clear();
            return Heard::Nothing;
        };
        // What this leads to is posted, and written by the driver at the end of its turn.
        let hear = |book: &mut Book| {
            book.spoke = Heard::Nothing;
            notices.iter_mut().for_each(|notice| self.hear(&engine, book, notice));
            notices.clear();
            book.spoke
        };
        engine.act_and_look(Flush::Later, Some(now), hear, |_, spoke| spoke)
    }

    fn changed(&self, phase: &Phase) {
        let Some(engine) = self.engine.upgrade() else { return };
        engine.act(Flush::Later, |book| match phase {
            Phase::Connecting(_) => book.dialect = None,
            Phase::Ready(session) => opened(book, session),
            Phase::Refused(error) => refused(book, error),
            Phase::Closed(_) => {
                book.dialect = None;
                book.barred = Some(AcquireError::Closed);
                book.tell_all(Event::Closed);
            }
        });
    }
}

/// The same of the connection beside.
pub(crate) struct FarEar(pub(crate) Ear);

impl Listener for FarEar {
    fn heard(&self, notices: &mut Vec<Notice>, now: Instant) -> Heard {
        self.0.heard(notices, now)
    }

    fn changed(&self, phase: &Phase) {
        let Some(engine) = self.0.engine.upgrade() else { return };
        if let Phase::Connecting(_) | Phase::Refused(_) = phase {
            engine.act(Flush::Later, Book::deafen);
        }
    }
}

impl Ear {
    /// Takes out of a notice what it needs.
    #[inline]
    fn hear(&self, engine: &Engine, book: &mut Book, notice: &mut Notice) {
        match notice {
            Notice::Reply(tag, reply) if engine.answered_shortly(book, *tag, reply) => {}
            Notice::Reply(tag, reply) => {
                let reply = std::mem::replace(reply, Ok(Frame::Null));
                if let Some(News { gate, event, clocks }) = engine.answered(book, *tag, reply) {
                    engine.happen(book, gate, &event, clocks);
                }
            }
            Notice::Push(items) => self.pushed(engine, book, std::mem::take(items)),
        }
        engine.work_off(book);
    }

    fn pushed(&self, engine: &Engine, book: &mut Book, items: Vec<Frame>) {
        let mut items = items.into_iter();
        let (kind, first, message) = (items.next(), items.next(), items.next());
        let Some(Frame::Bulk(kind) | Frame::Simple(kind)) = kind else { return };
        match (&kind[..], first) {
            (b"invalidate", Some(Frame::Array(keys))) => {
                for key in keys {
                    if let Frame::Bulk(key) = key {
                        self.tell(book, key.into(), Event::Changed, None);
                    }
                }
            }
            // Everything was flushed.
            (b"invalidate", Some(Frame::Null)) => book.tell_all(Event::Flushed),
            (b"message", Some(Frame::Bulk(channel))) if channel == self.inbox => {
                if let Some(Frame::Bulk(message)) = message {
                    self.turn(book, &message.into(), engine.clocks());
                }
            }
            (b"message", Some(Frame::Bulk(channel))) => {
                let Some(Frame::Bulk(message)) = message else { return };
                let Some((client, process, word)) = speech::heard(&message) else { return };
                if client == self.number {
                    return;
                }
                let process = answers::number(process);
                let event = match word {
                    Word::Freed => Event::Announced { process, waits: false },
                    Word::FreedAndWaiting => Event::Announced { process, waits: true },
                    Word::Waiting => Event::Pleaded { process },
                };
                for key in plan::keys_of_channel(&channel.into()).into_iter().flatten() {
                    self.tell(book, key, event, None);
                }
            }
            _ => {}
        }
    }

    /// The server has given a fair lock to one of ours, as is heard now.
    fn turn(&self, book: &mut Book, message: &Bytes, clocks: Clocks) {
        let Some(Turn { key, value, given }) = Turn::read(message) else { return };
        if book.value(given.claim) == value {
            self.tell(book, key, Event::Given(given), Some(clocks));
        }
    }

    fn tell(&self, book: &mut Book, key: Bytes, event: Event, clocks: Option<Clocks>) {
        book.bells.ring(&key);
        if let Some(gate) = book.gates.find(&Key::new(key, &self.hasher)) {
            book.news.push_back(News { gate, event, clocks });
        }
    }
}

fn opened(book: &mut Book, session: &Arc<Session>) {
    let dialect = session.derived(|| Dialect::of(session));
    let run_id = dialect.run_id().map(str::to_owned);
    let link = &mut book.link;
    let fenced = !link.opened_before || dialect.has_killed() || defect!(35);
    let same = link.run_id.is_none() || run_id.is_none() || link.run_id == run_id;
    link.opened_before = true;
    link.run_id = run_id.or_else(|| link.run_id.take());
    if dialect.hears_here() {
        book.listen_no_more();
    }
    book.bar(dialect.lacks().map(|reason| AcquireError::Unsupported { reason }));
    book.dialect = Some(dialect);
    if book.barred.is_some() {
        book.tell_all(Event::Refused);
    }
    book.tell_all(Event::Opened { fenced, same });
}

fn refused(book: &mut Book, error: &Error) {
    book.dialect = None;
    book.bar(Some(AcquireError::Client(error.clone())));
    book.tell_all(Event::Refused);
}
