//! The book: all gates, claims and commands on their way of one client's locks, and when to look at which gate again.
//!
//! It keeps; `engine.rs` acts. Entries are reused, so that a lock that comes and goes allocates nothing here.

use crate::client::{Draft, Flush, Frame, Heard};
use crate::lock::answers::{Replies, Reply};
use crate::lock::bells::Bells;
use crate::lock::dialect::Dialect;
use crate::lock::error::AcquireError;
use crate::lock::fairness::Line;
use crate::lock::gate::{Claim, Errand, Event, Order, Why};
use crate::lock::gates::Gates;
use crate::lock::hold::Clocks;
use crate::lock::opening::Date;
use crate::lock::plan::Plan;
use crate::lock::record::{Mail, Record, Refusal, place};
use crate::lock::sight::Sight;
use crate::lock::speech::Speech;
use crate::lock::token;
use crate::lock::wakers::Wakers;
use crate::seam::Dice;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::task::Waker;
use tokio::time::Instant;

/// Everything that is kept under the lock.
#[derive(Default)]
pub(crate) struct Book {
    pub(crate) gates: Gates,
    pub(crate) claims: Vec<Record>,
    /// The one that has been free for the longest is used next: its last caller has let go of its hold by then.
    free_claims: VecDeque<usize>,
    pub(crate) flights: Vec<Flight>,
    free_flights: Vec<usize>,
    /// When to look at which gate, at the latest.
    timers: BTreeSet<(Instant, usize)>,
    /// What has happened and was not told to its gate yet.
    pub(crate) news: VecDeque<News>,
    pub(crate) orders: Vec<Order>,
    pub(crate) bells: Bells,
    /// Whom to wake once the lock is let go.
    pub(crate) wakers: Wakers,
    /// Something was posted and is to be written.
    pub(crate) posted: bool,
    /// Whether something was posted since this was taken back last.
    pub(crate) spoke: Heard,
    /// What is to be written has been taken out of the connection's queue already.
    pub(crate) draft: Option<Draft>,
    /// Who writes what is posted now.
    pub(crate) flush: Flush,
    /// What time it is, where whoever acts has asked already.
    pub(crate) now: Option<Instant>,
    /// When claims were last made.
    pub(crate) date: Option<Date>,
    /// What their tokens are made of.
    pub(crate) dice: Option<Box<Dice>>,
    /// The same on the connection beside.
    pub(crate) posted_aside: bool,
    /// What the server can do, while there is a connection.
    pub(crate) dialect: Option<Arc<Dialect>>,
    pub(crate) link: Link,
    /// Why nobody gets a lock, if so.
    pub(crate) barred: Option<AcquireError>,
    /// A state of the generator for jitter.
    pub(crate) luck: u64,
    /// The task that looks at gates when it is time.
    pub(crate) ticker: Option<Waker>,
    pub(crate) wakes_at: Option<Instant>,
    /// What an observer is to be told once the lock is let go.
    pub(crate) seen: Vec<Sight>,
    /// Nobody can come any more: the task ends when it has nothing left to do.
    pub(crate) stopping: bool,
}

/// What is remembered of the connections so far.
#[derive(Debug, Default)]
pub(crate) struct Link {
    /// Names the last server, and its life, where it told.
    pub(crate) run_id: Option<String>,
    pub(crate) opened_before: bool,
    /// Whether grants of fair locks are listened for.
    pub(crate) inbox: bool,
    /// At how many gates they are.
    pub(crate) heeding: usize,
}

/// One thing that happened at one gate; of an answer, when its question was sent, and of a grant, when it was heard of.
pub(crate) struct News {
    pub(crate) gate: usize,
    pub(crate) event: Event,
    pub(crate) clocks: Option<Clocks>,
}

/// An errand whose answer is on its way.
pub(crate) struct Flight {
    pub(crate) gate: usize,
    pub(crate) errand: Errand,
    pub(crate) sent: Clocks,
    /// Of how many commands it consists.
    pub(crate) whole: usize,
    answered: usize,
    /// Those that came, of an errand of several commands.
    replies: [Option<Reply>; 3],
}

impl Book {
    /// Nobody gets a lock any more, or everybody may again; a client that was closed stays so.
    pub(crate) fn bar(&mut self, why: Option<AcquireError>) {
        if !matches!(self.barred, Some(AcquireError::Closed)) {
            self.barred = why;
        }
    }

    /// Something happened to a gate's key that may change who holds it.
    pub(crate) fn ring_bell(&mut self, at: usize) {
        if self.bells.are_none() {
            return;
        }
        if let Some(key) = self.gates.get(at).and_then(|entry| entry.key.as_ref()) {
            self.bells.ring(&key.bytes);
        }
    }

    /// Something happened that concerns every gate.
    pub(crate) fn tell_all(&mut self, event: Event) {
        self.bells.ring_all();
        for gate in self.gates.in_use() {
            self.news.push_back(News { gate, event, clocks: None });
        }
    }

    /// Opens a claim at a gate.
    #[inline]
    pub(crate) fn claim(&mut self, gate: usize, plan: &Arc<Plan>) -> Claim {
        let at = self.free_claims.pop_front().unwrap_or_else(|| {
            self.claims.push(Record::default());
            self.claims.len() - 1
        });
        let Some(record) = self.claims.get_mut(at) else { return Claim(0) };
        record.begin(gate, plan);
        record.claim(at)
    }

    #[inline]
    pub(crate) fn record(&mut self, claim: Claim) -> Option<&mut Record> {
        self.claims.get_mut(place(claim)).filter(|record| record.is(claim))
    }

    /// What time it is; nobody looks twice while the lock is held.
    #[inline]
    pub(crate) fn now(&mut self) -> Instant {
        *self.now.get_or_insert_with(Instant::now)
    }

    pub(crate) fn value(&self, claim: Claim) -> &[u8] {
        self.value_and_speech(claim).0
    }

    /// The value of the hold that a claim is to take the key from.
    pub(crate) fn prey(&self, claim: Claim) -> Option<&[u8]> {
        self.claims.get(place(claim)).and_then(|record| record.prey.as_ref()).map(|prey| &prey[..])
    }

    /// A claim's value, and what its process says when it speaks.
    pub(crate) fn value_and_speech(&self, claim: Claim) -> (&[u8], Option<&Speech>) {
        let at = place(claim);
        let Some(record) = self.claims.get(at) else { return (&[], None) };
        (record.value(), record.plan.as_ref().map(|plan| &plan.signature.speech))
    }

    /// The stream of fences that a claim's fence is taken from; empty if it wants none.
    pub(crate) fn fences(&self, claim: Claim) -> &[u8] {
        let at = place(claim);
        let plan = self.claims.get(at).and_then(|record| record.plan.as_ref());
        plan.map(|plan| &plan.fences[..]).unwrap_or_default()
    }

    /// What the fair lock of a claim has beside its key.
    pub(crate) fn line(&self, claim: Claim) -> Option<&Line> {
        self.claims.get(place(claim))?.plan.as_ref()?.line.as_deref()
    }

    /// Frees a claim that neither its gate nor its caller names any more.
    #[inline]
    pub(crate) fn drop_if_done(&mut self, claim: Claim) {
        let at = place(claim);
        if self.claims.get(at).is_some_and(|record| record.is_done(claim)) {
            self.drop_claim(at);
        }
    }

    /// Frees the claim in a place, of which nobody wants anything more.
    #[inline]
    pub(crate) fn drop_claim(&mut self, at: usize) {
        if let Some(record) = self.claims.get_mut(at) {
            record.end();
            self.free_claims.push_back(at);
        }
    }

    /// Leaves word for whoever waits on a claim, if anybody still does.
    pub(crate) fn deliver(&mut self, claim: Claim, mail: Mail) {
        let at = place(claim);
        if let Some(record) = self.claims.get_mut(at).filter(|record| record.is(claim)) {
            record.tell(mail, &mut self.wakers);
        }
    }

    /// What is known about why a claim is refused.
    pub(crate) fn refusal(&self, gate: usize, why: Why) -> Box<Refusal> {
        let entry = self.gates.get(gate);
        let ours = entry.and_then(|entry| entry.gate.holder());
        let seen = match ours {
            Some((claim, over)) => Some((token::holder(self.value(claim)), Some(over))),
            None => entry
                .and_then(|entry| entry.seen.as_ref())
                .map(|(value, over)| (token::holder(value), *over)),
        };
        let error = entry.and_then(|entry| entry.last_error.clone());
        Box::new(Refusal { why, seen, error, barred: self.barred.clone() })
    }

    /// Keeps an errand of so many commands until it is answered, and names it.
    pub(crate) fn launch(
        &mut self,
        gate: usize,
        errand: Errand,
        sent: Clocks,
        whole: usize,
    ) -> usize {
        if let Some(at) = self.free_flights.pop() {
            if let Some(flight) = self.flights.get_mut(at) {
                (flight.gate, flight.errand, flight.sent) = (gate, errand, sent);
                (flight.whole, flight.answered) = (whole, 0);
                return at;
            }
        }
        let replies = [None, None, None];
        self.flights.push(Flight { gate, errand, sent, whole, answered: 0, replies });
        self.flights.len() - 1
    }

    /// Takes in one reply. Gives the flight's replies once they are all there.
    pub(crate) fn land(&mut self, at: usize, part: usize, reply: Reply) -> Option<Replies> {
        let flight = self.flights.get_mut(at)?;
        if flight.whole == 1 {
            self.free_flights.push(at);
            return Some(Replies::One(reply));
        }
        *flight.replies.get_mut(part)? = Some(reply);
        flight.answered += 1;
        if flight.answered < flight.whole {
            return None;
        }
        self.free_flights.push(at);
        Some(Replies::Several([0, 1, 2].map(|part| {
            let reply = flight.replies.get_mut(part).and_then(Option::take);
            reply.unwrap_or(Ok(Frame::Null))
        })))
    }

    /// Sees to it that a gate is looked at when it is due. A timer that is set for an earlier time stays, and finds nothing.
    #[inline]
    pub(crate) fn set_timer(&mut self, at: usize) {
        let Some(entry) = self.gates.get_mut(at) else { return };
        let Some(due) = entry.gate.due() else { return };
        if !entry.is_looked_at_by(due) {
            self.arm(at, due);
        }
    }

    #[inline(never)] // one in thousands of holds that follow each other
    fn arm(&mut self, at: usize, due: Instant) {
        let ahead = due.saturating_duration_since(self.now());
        let Some(entry) = self.gates.get_mut(at) else { return };
        entry.armed_nanos = u64::try_from(ahead.as_nanos()).unwrap_or(u64::MAX);
        if let Some(late) = entry.armed.replace(due) {
            self.timers.remove(&(late, at));
        }
        self.timers.insert((due, at));
        if self.wakes_at.is_none_or(|wakes_at| due < wakes_at) {
            if let Some(ticker) = self.ticker.take() {
                self.wakers.push(ticker);
            }
        }
    }

    /// All gates are vacant: the task that looks at them has nothing more to do, if nobody can come any more.
    #[inline]
    pub(crate) fn wake_ticker_at_last(&mut self) {
        let ticker = if self.stopping { self.ticker.take() } else { None };
        ticker.into_iter().for_each(|ticker| self.wakers.push(ticker));
    }

    /// The next gate whose timer is set for `until` or earlier.
    pub(crate) fn ring(&mut self, until: Instant) -> Option<usize> {
        let &(due, at) = self.timers.first().filter(|(due, _)| *due <= until)?;
        self.timers.remove(&(due, at));
        if let Some(entry) = self.gates.get_mut(at) {
            entry.armed = None;
        }
        Some(at)
    }

    pub(crate) fn next_timer(&self) -> Option<Instant> {
        self.timers.first().map(|(due, _)| *due)
    }
}
