//! Errands out, answers in.

use crate::client::{BOUND, Connection, Due, Heard, Ink, Tag, answer, encode};
use crate::error::Error;
use crate::lock::answers::{Reading, Replies, Reply};
use crate::lock::aside::Aside;
use crate::lock::book::{Book, Flight, News};
use crate::lock::dialect::Dialect;
use crate::lock::engine::Engine;
use crate::lock::gate::{Errand, Event, Failure, Left, Said};
use crate::lock::gates::Entry;
use crate::lock::lease::{Lease, ROUND_TRIPS};
use crate::lock::minting;
use crate::lock::phrases::Matter;
use crate::lock::plan;
use crate::lock::record::place;
use crate::lock::shortcut::is_short;
use crate::lock::speech::Word;
use crate::seam::after;
use std::time::Duration;
use tokio::time::Instant;

/// The tag of commands whose answer means nothing.
pub(crate) const NOBODY: Tag = !BOUND;
/// Beside a gate's place, the tag of what asks to be told of its key's releases.
const LISTENS: Tag = 1 << 63;
/// The tag of what asks to be told of grants.
const INBOX: Tag = NOBODY - 1;

impl Engine {
    /// Posts the commands of an errand.
    pub(crate) fn send(&self, book: &mut Book, at: usize, errand: Errand) {
        let (Some(connection), Some(dialect)) = (self.connection.get(), book.dialect.clone())
        else {
            let failure = Failure::Passing { may_have_run: false };
            return book.hear(at, errand, Said::Failed(failure));
        };
        if let Some(took) = too_short(&errand, connection) {
            return book.hear(at, errand, Said::TooShort { took });
        }
        match errand {
            Errand::Look { listen: true, .. } => self.listen(book, at, &dialect),
            Errand::Queue { .. } if !dialect.has_scripts() => {
                return book.hear(at, errand, Said::NoScripts);
            }
            Errand::Queue { listen: true, .. } => self.open_inbox(book, at),
            Errand::Plead { .. } => return book.plead(at, &errand, &dialect, connection),
            _ => {}
        }
        let whole = dialect.parts(&errand);
        book.spoke = Heard::Posted;
        let sent = self.clocks();
        let flight = book.launch(at, errand, sent, whole);
        let patience = patience(&errand, connection);
        for part in 0..whole {
            let tag = (flight as Tag) << 2 | part as Tag | bond(&errand);
            let say = |out: &mut Ink| {
                if whole == 1 && book.say_set(&dialect, &errand, out) {
                    return;
                }
                dialect.say(&errand, (part, whole), &book.matter(at, &errand), out);
            };
            if part + 1 == whole && dialect.keeps_fences(&errand) {
                // Without an answer, it ends by itself all the same: the next fence is kept again.
                let _ = connection.post(NOBODY, patience, |out| {
                    minting::keep(book.fences(errand.owner_after()), out);
                });
            }
            let posted = if part + 1 < whole {
                connection.post(tag, patience, say).map(|()| Due::Nothing)
            } else {
                connection.post_last(tag, patience, book.flush, say)
            };
            self.posted(book, tag, posted);
        }
    }

    /// One command was answered; once all of its errand are, the gate is to be told this.
    pub(crate) fn answered(&self, book: &mut Book, tag: Tag, reply: Reply) -> Option<News> {
        if tag == NOBODY {
            return None;
        }
        if tag == INBOX {
            if let Err(error) = reply.and_then(answer) {
                book.not_told(&error);
            }
            return None;
        }
        if tag & LISTENS != 0 {
            let at = usize::try_from(tag & !LISTENS).unwrap_or(usize::MAX);
            book.listened(at, reply.and_then(answer).map(drop));
            return None;
        }
        let (gate, errand, sent, whole, replies) = if is_short(tag) {
            let (gate, errand, sent) = book.short_errand(tag)?;
            (gate, errand, sent, 1, Replies::One(reply))
        } else {
            let flight = usize::try_from((tag & !BOUND) >> 2).unwrap_or(usize::MAX);
            let part = usize::try_from(tag & 3).unwrap_or_default();
            let replies = book.land(flight, part, reply)?;
            let &Flight { gate, errand, sent, whole, .. } = book.flights.get(flight)?;
            (gate, errand, Some(sent), whole, replies)
        };
        let value = book.value(errand.owner_after());
        let reading = match &book.dialect {
            Some(dialect) => dialect.read(&errand, whole, replies, value),
            // Nothing is answered while there is no connection.
            None => match replies.error() {
                Some(error) => error.into(),
                None => Said::Failed(Failure::Passing { may_have_run: true }).into(),
            },
        };
        let event = Event::Said { errand, said: reading.said };
        book.note(gate, reading);
        Some(News { gate, event, clocks: sent })
    }

    /// Nobody at a gate waits any more.
    #[inline]
    pub(crate) fn stop_listening(&self, book: &mut Book, at: usize) {
        self.stop_heeding(book, at);
        let Some(entry) = book.gates.get_mut(at) else { return };
        if !std::mem::take(&mut entry.listening) {
            return;
        }
        let channel = entry.channel.clone();
        let here = book.dialect.as_ref().is_none_or(|dialect| dialect.hears_here());
        self.tell_server(book, here, NOBODY, &[b"UNSUBSCRIBE", &channel]);
    }

    /// Asks to be told of releases, ahead of the question that is posted next.
    fn listen(&self, book: &mut Book, at: usize, dialect: &Dialect) {
        let Some(entry) = book.gates.get(at).filter(|entry| !entry.listening) else { return };
        let (channel, here) = (entry.channel.clone(), dialect.hears_here());
        let posted = self.tell_server(book, here, LISTENS | at as Tag, &[b"SUBSCRIBE", &channel]);
        match book.gates.get_mut(at) {
            Some(entry) if posted => entry.listening = true,
            _ => book.news.push_back(News { gate: at, event: Event::Deafened, clocks: None }),
        }
    }

    /// Asks to be told of grants of fair locks, ahead of standing in line for the first of them.
    fn open_inbox(&self, book: &mut Book, at: usize) {
        let Some(entry) = book.gates.get_mut(at) else { return };
        if !std::mem::replace(&mut entry.heeding, true) {
            book.link.heeding += 1;
        }
        if !book.link.inbox {
            let args = [&b"SUBSCRIBE"[..], &plan::inbox(self.number)];
            book.link.inbox = self.tell_server(book, true, INBOX, &args);
        }
    }

    /// Nobody at a gate waits for a grant any more; at none, if it was the last one.
    fn stop_heeding(&self, book: &mut Book, at: usize) {
        let Some(entry) = book.gates.get_mut(at) else { return };
        if !std::mem::take(&mut entry.heeding) {
            return;
        }
        book.link.heeding = book.link.heeding.saturating_sub(1);
        if book.link.heeding == 0 && std::mem::take(&mut book.link.inbox) {
            let args = [&b"UNSUBSCRIBE"[..], &plan::inbox(self.number)];
            self.tell_server(book, true, NOBODY, &args);
        }
    }

    /// Posts a command about subscriptions on the connection that hears. Tells whether that was done.
    fn tell_server(&self, book: &mut Book, here: bool, tag: Tag, args: &[&[u8]]) -> bool {
        let connection = match here {
            true => self.connection.get(),
            false => self.aside.get().map(Aside::connection),
        };
        let Some(connection) = connection else { return false };
        let patience = connection.config().response_timeout;
        let posted = connection.post(tag, patience, |out| encode::command(args, out)).is_ok();
        if here {
            book.spoke = Heard::Posted;
            book.posted |= posted;
        } else {
            book.posted_aside |= posted;
        }
        posted
    }
}

impl Book {
    /// Appends an errand that is one command of a plain hold; false if it is none, and was not.
    fn say_set(&self, dialect: &Dialect, errand: &Errand, out: &mut Ink) -> bool {
        let record = self.claims.get(place(errand.claim()));
        let known = record.and_then(|record| {
            let plan = record.plan.as_ref()?;
            let phrases = match errand {
                Errand::Ask { .. } => plan.set_phrases(dialect)?,
                _ => plan.known_phrases()?,
            };
            phrases.of(errand, dialect.release())?.write(&record.stamp, out);
            Some(())
        });
        known.is_some()
    }

    /// Says that a gate waits. Who may not publish is not heard, and waits for its luck.
    #[cold]
    fn plead(&mut self, at: usize, errand: &Errand, dialect: &Dialect, connection: &Connection) {
        let patience = connection.config().response_timeout;
        let posted = connection.post(NOBODY, patience, |out| {
            dialect.say(errand, (0, 1), &self.matter(at, errand), out);
        });
        self.posted |= posted.is_ok();
    }

    /// A gate's errand came to this without having been sent.
    fn hear(&mut self, gate: usize, errand: Errand, said: Said) {
        self.news.push_back(News { gate, event: Event::Said { errand, said }, clocks: None });
    }

    /// Whether releases at a gate are told from now on.
    fn listened(&mut self, at: usize, told: Result<(), Error>) {
        let beside = self.dialect.as_ref().is_some_and(|dialect| !dialect.hears_here());
        match told {
            // What was asked meanwhile, on the other connection, may have been answered before.
            Ok(()) if beside => self.hear_of(at, Event::Hearing),
            Ok(()) => {}
            Err(error) if error.server().is_some() => self.may_not_subscribe(),
            Err(_) => {
                if let Some(entry) = self.gates.get_mut(at) {
                    entry.listening = false;
                }
                self.hear_of(at, Event::Deafened);
            }
        }
    }

    /// Grants are not told.
    fn not_told(&mut self, error: &Error) {
        self.link.inbox = false;
        if error.server().is_some() {
            self.may_not_subscribe();
        }
    }

    fn may_not_subscribe(&mut self) {
        if let Some(dialect) = &self.dialect {
            dialect.unlearn_subscribing();
        }
        self.deafen();
    }

    fn hear_of(&mut self, gate: usize, event: Event) {
        self.news.push_back(News { gate, event, clocks: None });
    }

    /// Nothing that was subscribed to is heard any more.
    pub(crate) fn deafen(&mut self) {
        self.listen_no_more();
        self.tell_all(Event::Deafened);
    }

    /// Nothing is subscribed to any more.
    pub(crate) fn listen_no_more(&mut self) {
        for at in self.gates.in_use() {
            if let Some(entry) = self.gates.get_mut(at) {
                (entry.listening, entry.heeding) = (false, false);
            }
        }
        (self.link.inbox, self.link.heeding) = (false, 0);
    }

    /// What an errand is about.
    fn matter(&self, at: usize, errand: &Errand) -> Matter<'_> {
        let Some(Entry { key: Some(key), channel, seen, .. }) = self.gates.get(at) else {
            return Matter::default();
        };
        let next = match errand {
            Errand::HandOver { to, .. } => self.value(defect!(24, errand.claim(), *to)),
            _ => &[],
        };
        let (value, speech) = self.value_and_speech(errand.claim());
        let message = match errand {
            Errand::Release { waits: true, .. } => Word::FreedAndWaiting,
            Errand::Plead { .. } => Word::Waiting,
            _ => Word::Freed,
        };
        let message = speech.map(|speech| speech.says(message)).unwrap_or_default();
        let seen = match errand {
            Errand::Take { claim, .. } => {
                let seen = seen.as_ref().map(|(value, _)| &value[..]);
                self.prey(*claim).or(seen).unwrap_or_default()
            }
            _ => &[],
        };
        let fences = self.fences(errand.owner_after());
        let line = self.line(errand.claim());
        Matter { key: &key.bytes, value, next, seen, channel, message, fences, line }
    }

    /// Remembers for people what an answer told.
    fn note(&mut self, at: usize, reading: Reading) {
        let Some(entry) = self.gates.get_mut(at) else { return };
        if let Some(error) = reading.error {
            entry.last_error = Some(error);
            return;
        }
        let over = |left| match left {
            Left::For(left) | Left::Dated(left) => Some(after(Instant::now(), left)),
            Left::Unasked | Left::Nothing | Left::Undated(_) | Left::Endless => None,
        };
        match reading.said {
            Said::Held { left, .. } | Said::Placed { left, .. } => {
                entry.last_error = None;
                if let Some(found) = reading.found {
                    let known = entry.seen.as_ref().filter(|(value, _)| *value == found);
                    let before = known.and_then(|(_, over)| *over);
                    entry.seen = Some((found, over(left).or(before)));
                }
            }
            Said::Left(left) => {
                if let Some((_, lease_over)) = &mut entry.seen {
                    *lease_over = over(left);
                }
            }
            Said::Fresh | Said::Fenced(_) | Said::Taken { .. } | Said::Ours(_) => {
                (entry.seen, entry.last_error) = (None, None);
            }
            _ => {}
        }
    }
}

/// Whoever is to stand in line does so in its turn: on the next connection that may be behind others, who have to ask again.
fn bond(errand: &Errand) -> Tag {
    if matches!(errand, Errand::Queue { .. }) { BOUND } else { 0 }
}

/// The smallest round trip so far, if a lease has no room for those that a hold takes at least.
fn too_short(errand: &Errand, connection: &Connection) -> Option<Duration> {
    match errand {
        Errand::Ask { lease, .. }
        | Errand::Queue { lease, .. }
        | Errand::HandOver { lease, .. } => is_too_short(*lease, connection),
        _ => None,
    }
}

/// The same of a lease.
#[inline]
pub(crate) fn is_too_short(lease: Lease, connection: &Connection) -> Option<Duration> {
    let rtt = connection.smallest_rtt_nanos()?;
    lease.is_shorter_than(rtt.saturating_mul(ROUND_TRIPS)).then(|| Duration::from_nanos(rtt))
}

/// How long an answer may take before its gate is told that there is none.
fn patience(errand: &Errand, connection: &Connection) -> Duration {
    let usual = connection.config().response_timeout;
    match errand {
        Errand::Renew { lease, .. } | Errand::Confirm { lease, .. } => {
            usual.min(lease.length() / 5).max(Duration::from_millis(1))
        }
        _ => usual,
    }
}
