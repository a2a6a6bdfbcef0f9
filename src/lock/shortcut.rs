//! The short way of a hold that nothing interferes with, as nearly all are: one command takes the key, one frees it, and each is
//! answered with the one word that was hoped for.
//!
//! The gate decides here as everywhere (`gate/alone.rs`), but is asked directly, and what it decides is done without being said in
//! events and orders. A command's tag names its claim, so nothing else is kept for the answer. Whatever is unlike that goes the
//! long way, from where it stands: `engine.rs` and `post.rs`.

use crate::client::{BOUND, Connection, Due, Frame, Ink, Tag};
use crate::error::Error;
use crate::lock::answers::Reply;
use crate::lock::book::Book;
use crate::lock::engine::Engine;
use crate::lock::gate::{Claim, Errand, Event, Patience};
use crate::lock::hold::Clocks;
use crate::lock::minting;
use crate::lock::options::Wakeup;
use crate::lock::plan::Plan;
use crate::lock::post::is_too_short;
use crate::lock::record::{Mail, Record, place};
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

/// Generations come again after a quarter of a billion claims in one place.
fn tag(claim: Claim) -> Tag {
    SHORT | claim.0 & (BOUND - 1)
}

impl Engine {
    /// Asks for a claim that comes to a gate which nobody uses. False if it has to go the long way.
    #[inline]
    pub(crate) fn ask_shortly(
        &self,
        book: &mut Book,
        (at, claim): (usize, Claim),
        (plan, patience): (&Plan, Patience),
        now: Instant,
    ) -> bool {
        let Some((connection, dialect)) = self.can_be_short(book).zip(book.dialect.as_ref()) else {
            return false;
        };
        let whole = match plan.terms.fenced {
            true => dialect.calls_by_digest(),
            false => dialect.has_set_get(),
        };
        let simple = plan.plain && whole;
        let Some(phrases) = plan.set_phrases(dialect).filter(|_| simple) else { return false };
        if is_too_short(plan.terms.lease, connection).is_some() {
            return false;
        }
        let Some(record) = book.claims.get_mut(place(claim)) else { return false };
        let Some(date) = &book.date else { return false };
        let Some(entry) = book.gates.enter(at) else { return false };
        entry.gate.comes_alone(claim, (&plan.terms, patience), now);
        record.sent = Some((now, date.clocks));
        let say = |out: &mut Ink| phrases.take.write(&record.stamp, out);
        let posted = connection.post_only(tag(claim), (book.flush, now), say);
        self.posted(book, tag(claim), posted);
        if !matches!(patience, Patience::Endless) {
            book.set_timer(at);
        }
        true
    }

    /// A guard lets its claim go.
    #[inline]
    pub(crate) fn release(&self, book: &mut Book, claim: Claim) {
        if !self.free_shortly(book, claim) {
            self.happen_to(book, claim, Event::Released { claim });
        }
    }

    /// Frees the key of a claim that has its gate to itself. False if it has to go the long way.
    #[inline]
    fn free_shortly(&self, book: &mut Book, claim: Claim) -> bool {
        let now = book.now();
        let Some((connection, dialect)) = self.can_be_short(book).zip(book.dialect.as_ref()) else {
            return false;
        };
        let Some(record) = book.claims.get(place(claim)).filter(|record| record.is(claim)) else {
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
        let say = |out: &mut Ink| phrase.write(&record.stamp, out);
        let posted = connection.post_only(tag, (book.flush, now), say);
        // The timer that is set for the holder is due before the release would have to be sent again.
        self.posted(book, tag, posted);
        true
    }

    /// A short command was answered. False if that has to go the long way.
    #[inline]
    pub(crate) fn answered_shortly(&self, book: &mut Book, tag: Tag, reply: &Reply) -> bool {
        if !is_short(tag) {
            return false;
        }
        let frees = tag & FREES != 0;
        let fence = match (frees, reply) {
            (false, Ok(Frame::Null)) | (true, Ok(Frame::Integer(1))) => None,
            (false, Ok(reply)) => match minting::fence_in(reply) {
                Some(fence) => Some(fence),
                None => return false,
            },
            _ => return false,
        };
        let Some(claim) = book.claim_of(tag) else { return false };
        let Some(record) = book.claims.get_mut(place(claim)) else { return false };
        let (at, sent) = (record.gate, record.sent);
        let Some(entry) = book.gates.get_mut(at) else { return false };
        if frees {
            let Some(released) = entry.gate.freed_alone(claim) else { return false };
            record.forgotten = true;
            record.tell(Mail::Released(released, None), &mut book.wakers);
            if !record.wanted {
                book.drop_if_done(claim);
            }
            if book.gates.leave(at) {
                book.wake_ticker_at_last();
            }
            self.note_release(book);
        } else {
            let now = *book.now.get_or_insert_with(Instant::now);
            let Some((sent, clocks)) = sent else { return false };
            let taken = entry.gate.taken_alone(claim, (sent, fence), now);
            let Some(deadline) = taken else { return false };
            record.hold(clocks, deadline, fence);
            record.tell(Mail::Granted, &mut book.wakers);
            book.set_timer(at);
        }
        book.ring_bell(at);
        true
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
    /// The claim in the tag of a short command, if it is still remembered.
    fn claim_of(&self, tag: Tag) -> Option<Claim> {
        let at = place(Claim(tag));
        let claim = self.claims.get(at)?.claim(at);
        ((claim.0 ^ tag) & (BOUND - 1) == 0).then_some(claim)
    }

    /// A short command as the errand that it was, and at which gate; and both clocks before it was sent, if they will matter.
    pub(crate) fn short_errand(&self, tag: Tag) -> Option<(usize, Errand, Option<Clocks>)> {
        let claim = self.claim_of(tag)?;
        let Record { gate, sent, plan, .. } = self.claims.get(place(claim))?;
        if tag & FREES != 0 {
            return Some((*gate, freed(claim), None));
        }
        let (terms, (asked, clocks)) = (&plan.as_ref()?.terms, (*sent)?);
        let (lease, fence) = (terms.lease, terms.first_fence());
        let errand = Errand::Ask { claim, sent: asked, lease, watch: false, fence };
        Some((*gate, errand, Some(clocks)))
    }
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
    use std::sync::Arc;
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
        for claim in [first, second] {
            assert!(is_short(tag(claim)) && is_short(tag(claim) | FREES));
            assert_eq!(book.claim_of(tag(claim)), Some(claim));
            assert_eq!(book.claim_of(tag(claim) | FREES), Some(claim));
        }
        let record = book.record(first).unwrap();
        (record.forgotten, record.wanted) = (true, false);
        book.drop_if_done(first);
        assert_eq!(book.claim_of(tag(first)), None, "a late answer is nobody's");
        let next = book.claim(0, &plan);
        assert_eq!(place(next), place(first));
        assert_eq!((book.claim_of(tag(first)), book.claim_of(tag(next))), (None, Some(next)));
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
            book.record(claim).unwrap().sent = Some((asked, clocks));
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
