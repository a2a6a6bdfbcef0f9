//! The short way of a hold that nothing interferes with, as nearly all are: one command takes the key, one frees it, and each is
//! answered with the one word that was hoped for.
//!
//! The gate decides here as everywhere (`gate/alone.rs`), but is asked directly, and what it decides is done without being said in
//! events and orders. A command's tag names its claim, so nothing else is kept for the answer; and what the answer was, the
//! claim's caller, once woken, sees in the hold, which is made when the key is asked for. Whatever is unlike that goes the long way,
//! from where it stands: `engine.rs` and `post.rs`.

use crate::client::{BOUND, Connection, Due, Flush, Frame, Tag};
use crate::error::Error;
use crate::lock::answers::Reply;
use crate::lock::book::Book;
use crate::lock::engine::Engine;
use crate::lock::gate::{Claim, Errand, Event, Patience};
use crate::lock::hold::{Clocks, Hold};
use crate::lock::minting;
use crate::lock::options::Wakeup;
use crate::lock::plan::Plan;
use crate::lock::post::is_too_short;
use crate::lock::record::{Record, place};
use crate::lock::token::{Form, Stamp};
use std::sync::Arc;
use std::task::Waker;
use tokio::time::Instant;

/// In the tag of such a command, beside its claim.
const SHORT: Tag = 1 << 62;
/// It frees the key; the other one takes it.
const FREES: Tag = 1 << 61;

/// Whether a tag is that of a command that went the short way.
#[inline]
pub(crate) fn is_short(tag: Tag) -> bool {
    tag >> 62 == 1
}

/// Generations come again after an eighth of a billion claims in one place.
fn tag(claim: Claim) -> Tag {
    SHORT | claim.0 & (BOUND - 1)
}

impl Engine {
    /// Asks for a claim that comes to a gate which nobody uses, and wakes whoever waits once it is answered: gives the hold that begins
    /// if the answer is the one that is hoped for. None if it has to go the long way.
    #[inline]
    pub(crate) fn ask_shortly(
        &self,
        book: &mut Book,
        (at, claim): (usize, Claim),
        (plan, patience): (&Plan, Patience),
        (now, waker): (Instant, &Waker),
    ) -> Option<Arc<Hold>> {
        let (connection, dialect) = self.can_be_short(book).zip(book.dialect.as_ref())?;
        let whole = match plan.terms.fenced {
            true => dialect.calls_by_digest(),
            false => dialect.has_set_get(),
        };
        let simple = plan.plain && whole;
        let phrases = plan.set_phrases(dialect).filter(|_| simple)?;
        if is_too_short(plan.terms.lease, connection).is_some() {
            return None;
        }
        let (record, date) = (book.claims.get_mut(place(claim))?, book.date.as_ref()?);
        let entry = book.gates.enter(at)?;
        let deadline = entry.gate.comes_alone(claim, (&plan.terms, patience), now).deadline;
        let in_time = patience.end().is_none_or(|end| entry.is_looked_at_by(end));
        let hold = Arc::clone(record.ask(date.clocks, deadline));
        record.sent = Some(now);
        record.waker = Some(waker.clone());
        let posted =
            post(connection, tag(claim), (&phrases.take, &record.stamp), (book.flush, now));
        self.posted(book, tag(claim), posted);
        if !in_time {
            book.set_timer(at);
        }
        Some(hold)
    }

    /// A guard lets its claim go. If that goes the short way, whoever waits is woken once it is answered, and has nothing to look for
    /// until then: true.
    #[inline]
    pub(crate) fn release(&self, book: &mut Book, claim: Claim, waker: Option<&Waker>) -> bool {
        let freed = self.free_shortly(book, claim, waker);
        if !freed {
            self.happen_to(book, claim, Event::Released { claim });
        }
        freed
    }

    /// Frees the key of a claim that has its gate to itself. False if it has to go the long way.
    #[inline]
    fn free_shortly(&self, book: &mut Book, claim: Claim, waker: Option<&Waker>) -> bool {
        let now = book.now();
        let Some((connection, dialect)) = self.can_be_short(book).zip(book.dialect.as_ref()) else {
            return false;
        };
        let Some(record) = book.claims.get_mut(place(claim)).filter(|record| record.is(claim))
        else {
            return false;
        };
        let plan = record.plan.as_ref().filter(|plan| plan.terms.wakeup != Wakeup::Announce);
        let phrases = plan.and_then(|plan| plan.known_phrases());
        let phrase = phrases.and_then(|phrases| phrases.free(dialect.release()));
        let (Some(phrase), Some(entry)) = (phrase, book.gates.get_mut(record.gate)) else {
            return false;
        };
        if entry.gate.released_alone(claim, now, true).is_none() {
            return false;
        }
        let tag = tag(claim) | FREES;
        let posted = post(connection, tag, (phrase, &record.stamp), (book.flush, now));
        if let Some(waker) = waker {
            record.waker = Some(waker.clone());
        }
        // The timer that is set for the holder is due before the release would have to be sent again.
        self.posted(book, tag, posted);
        true
    }

    /// A short command was answered. False if that has to go the long way.
    #[inline]
    pub(crate) fn answered_shortly(&self, book: &mut Book, tag: Tag, reply: &Reply) -> bool {
        is_short(tag)
            && match tag & FREES {
                0 => self.taken_shortly(book, tag, reply).is_some(),
                _ => self.freed_shortly(book, tag, reply).is_some(),
            }
    }

    /// The key is a claim's, if the reply is the one that was hoped for: its caller finds that the hold has begun.
    #[inline(always)] // of what answers
    fn taken_shortly(&self, book: &mut Book, tag: Tag, reply: &Reply) -> Option<()> {
        let fence = match reply {
            Ok(Frame::Null) => None,
            Ok(reply) => Some(minting::fence_in(reply)?),
            Err(_) => return None,
        };
        let now = book.now();
        let (claim, record) = known(&mut book.claims, tag)?;
        let (at, hold) = (record.gate, record.hold.as_ref()?);
        let (entry, plan) = (book.gates.get_mut(at)?, record.plan.as_ref()?);
        entry.gate.taken_alone(claim, fence, now)?;
        let in_time = entry.is_looked_at_within(plan.terms.lease.rest_nanos());
        hold.begin(fence);
        record.wake(&mut book.wakers);
        if !in_time {
            book.set_timer(at);
        }
        book.ring_bell(at);
        Some(())
    }

    /// The key is free, if the reply is the one that was hoped for, and the claim is over: its caller finds that in the hold.
    #[inline(always)] // of what answers
    fn freed_shortly(&self, book: &mut Book, tag: Tag, reply: &Reply) -> Option<()> {
        let Ok(Frame::Integer(1)) = reply else { return None };
        let (claim, record) = known(&mut book.claims, tag)?;
        let (at, hold) = (record.gate, record.hold.as_ref()?);
        book.gates.get_mut(at)?.gate.freed_alone(claim)?;
        hold.set_freed();
        record.wake(&mut book.wakers);
        book.drop_claim(place(claim));
        if book.gates.leave(at) {
            book.wake_ticker_at_last();
        }
        self.note_release(book);
        book.ring_bell(at);
        Some(())
    }

    /// Where to send short commands; nowhere without a connection, or if an observer is told of each step.
    #[inline]
    fn can_be_short(&self, book: &Book) -> Option<&Connection> {
        self.connection.get().filter(|_| self.witness.is_none() && book.dialect.is_some())
    }

    /// What is to be done about a command that was the last to be posted, or was not.
    #[inline(always)]
    pub(crate) fn posted(&self, book: &mut Book, tag: Tag, posted: Result<Due, Error>) {
        match posted {
            Ok(Due::Nothing) => {}
            Ok(Due::Write) => book.posted = true,
            Ok(Due::Send(draft)) => book.draft = Some(draft),
            Ok(Due::Wake(driver)) => book.wakers.push(driver),
            Err(error) => {
                // Those before it, and what is to be listened for, go all the same.
                book.posted = true;
                let news = self.answered(book, tag, Err(error));
                book.news.extend(news);
            }
        }
    }
}

impl Book {
    /// A short command as the errand that it was, and at which gate; and both clocks before it was sent, if they will matter.
    pub(crate) fn short_errand(&mut self, tag: Tag) -> Option<(usize, Errand, Option<Clocks>)> {
        let (claim, Record { gate, sent, plan, hold, .. }) = known(&mut self.claims, tag)?;
        if tag & FREES != 0 {
            return Some((*gate, freed(claim), None));
        }
        let (terms, sent, hold) = (&plan.as_ref()?.terms, (*sent)?, hold.as_ref()?);
        let (lease, fence) = (terms.lease, terms.first_fence());
        let errand = Errand::Ask { claim, sent, lease, watch: false, fence };
        Some((*gate, errand, Some(hold.clocks())))
    }
}

/// Posts the only command of all.
#[inline(never)] // where there is less around it, more of it is one function
fn post(
    connection: &Connection,
    tag: Tag,
    (phrase, stamp): (&Form, &Stamp),
    (flush, now): (Flush, Instant),
) -> Result<Due, Error> {
    connection.post_only(tag, (flush, now), |out| phrase.write(stamp, out))
}

/// The claim in the tag of a short command, if it is still remembered.
#[inline]
fn known(claims: &mut [Record], tag: Tag) -> Option<(Claim, &mut Record)> {
    let at = place(Claim(tag));
    let record = claims.get_mut(at)?;
    let claim = record.claim(at);
    ((claim.0 ^ tag) & (BOUND - 1) == 0).then_some((claim, record))
}

/// The errand of the command that frees a claim's key.
fn freed(claim: Claim) -> Errand {
    Errand::Release { claim, in_full: false, aloud: false, waits: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::gate::{Fence, Terms};
    use crate::lock::options::Options;
    use crate::lock::plan::{Hashed, Key, Kind};
    use crate::lock::token::Signature;
    use std::time::Duration;

    fn plan(fenced: bool) -> Arc<Plan> {
        let key = Key::new("k".into(), &Hashed::default());
        let kind = Kind { fair: false, fenced };
        let terms = Terms::new(&Options::new(), kind).unwrap();
        Plan::new(key, terms, Signature::new(["", "", ""], 1, 1).into(), 1).into()
    }

    #[test]
    fn tag_names_its_claim_and_no_other_in_the_same_place() {
        let (mut book, plan) = (Book::default(), plan(false));
        let [first, second] = [0, 0].map(|gate| book.claim(gate, &plan));
        let claim_of = |book: &mut Book, tag| known(&mut book.claims, tag).map(|(claim, _)| claim);
        for claim in [first, second] {
            assert!(is_short(tag(claim)) && is_short(tag(claim) | FREES));
            assert_eq!(claim_of(&mut book, tag(claim)), Some(claim));
            assert_eq!(claim_of(&mut book, tag(claim) | FREES), Some(claim));
        }
        let record = book.record(first).unwrap();
        (record.forgotten, record.wanted) = (true, false);
        book.drop_if_done(first);
        assert_eq!(claim_of(&mut book, tag(first)), None, "a late answer is nobody's");
        let next = book.claim(0, &plan);
        assert_eq!(place(next), place(first));
        let found = [first, next].map(|claim| claim_of(&mut book, tag(claim)));
        assert_eq!(found, [None, Some(next)]);
    }

    #[test]
    fn short_command_is_known_as_the_errand_that_it_was() {
        for (fenced, fence) in [(false, Fence::No), (true, Fence::Along)] {
            let (mut book, plan) = (Book::default(), plan(fenced));
            let claim = book.claim(3, &plan);
            assert!(book.short_errand(tag(claim)).is_none(), "it took the long way");
            let (clocks, lease) =
                (Clocks { now: Instant::now(), wall: Duration::ZERO }, plan.terms.lease);
            let asked = clocks.now + lease.length();
            let record = book.record(claim).unwrap();
            record.ask(clocks, asked);
            record.sent = Some(asked);
            let (gate, errand, before) = book.short_errand(tag(claim)).unwrap();
            let asks = Errand::Ask { claim, sent: asked, lease, watch: false, fence };
            assert_eq!(
                (gate, errand, before.map(|before| before.now)),
                (3, asks, Some(clocks.now))
            );
            let (_, errand, _) = book.short_errand(tag(claim) | FREES).unwrap();
            assert_eq!(errand, freed(claim));
        }
    }
}
