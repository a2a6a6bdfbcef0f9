//! Carries out what gates order, and tells whoever waits.
//!
//! It runs wherever something happens: on the thread of a caller, of a guard that is dropped, of the connection's driver. So an
//! uncontended lock crosses no task but its caller's, and what an answer or a push leads to leaves in the driver's next write.

use crate::client::{Connection, Draft, Flush};
use crate::lock::aside::Aside;
use crate::lock::book::{Book, News};
use crate::lock::fence::FencingToken;
use crate::lock::gate::{Claim, Event, Order, Scene, Term};
use crate::lock::hold::{Clocks, Status};
use crate::lock::record::Mail;
use crate::observe::Witness;
use crate::seam::Seam;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, UNIX_EPOCH};
use tokio::sync::Notify;
use tokio::time::Instant;

/// What acts on the book.
pub(crate) struct Engine {
    /// Set before anybody can have a lock.
    pub(crate) connection: OnceLock<Connection>,
    /// Set before anybody can have a lock.
    pub(crate) aside: OnceLock<Aside>,
    book: Mutex<Book>,
    pub(crate) seam: Seam,
    /// A number of its own, at random.
    pub(crate) number: u64,
    /// Notified when a release was answered.
    pub(crate) quiet: Notify,
    pub(crate) witness: Option<Arc<Witness>>,
}

impl Engine {
    pub(crate) fn new(seam: Seam, witness: Option<Arc<Witness>>) -> Self {
        let mut book = Book::default();
        book.luck = seam.entropy();
        Self {
            connection: OnceLock::new(),
            aside: OnceLock::new(),
            book: Mutex::new(book),
            number: seam.entropy(),
            seam,
            quiet: Notify::new(),
            witness,
        }
    }

    #[inline]
    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        // Nothing under this lock panics half-way, so what a panicking thread left is whole.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn clocks(&self) -> Clocks {
        Clocks { now: Instant::now(), wall: self.wall() }
    }

    fn wall(&self) -> Duration {
        self.seam.wall().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    /// Does something with the book, and everything that follows from it; `flush` says who writes.
    pub(crate) fn act<R>(&self, flush: Flush, act: impl FnOnce(&mut Book) -> R) -> R {
        self.act_and_look(flush, None, act, |_, result| result)
    }

    /// The same for whoever knows what time it is, and has a `look` at what came of it while nobody else can.
    #[inline(always)] // each way to act has a copy of its own anyway
    pub(crate) fn act_and_look<R, T>(
        &self,
        flush: Flush,
        now: Option<Instant>,
        act: impl FnOnce(&mut Book) -> R,
        look: impl FnOnce(&mut Book, R) -> T,
    ) -> T {
        let mut book = self.book();
        (book.flush, book.now) = (flush, now);
        let result = act(&mut book);
        self.work_off(&mut book);
        let result = look(&mut book, result);
        self.follow_up(book, flush);
        result
    }

    /// Does what has to wait until the lock is let go: mostly there is something to write, or somebody to wake.
    #[inline(always)]
    fn follow_up(&self, mut book: MutexGuard<'_, Book>, flush: Flush) {
        if self.witness.is_some() || book.posted_aside || book.wakers.are_many() {
            return self.follow_up_all(book, flush);
        }
        if !book.posted && book.draft.is_none() && book.wakers.are_none() {
            return; // in a crowd, where somebody has woken the driver before
        }
        let (posted, waker) = (std::mem::take(&mut book.posted), book.wakers.take_one());
        let draft = book.draft.take();
        drop(book);
        if let Some(draft) = draft {
            self.write(draft);
        }
        if posted {
            self.settle(flush);
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The same, of anything that there can be.
    #[cold]
    fn follow_up_all(&self, mut book: MutexGuard<'_, Book>, flush: Flush) {
        let (posted, draft) = (std::mem::take(&mut book.posted), book.draft.take());
        let aside = std::mem::take(&mut book.posted_aside);
        let seen = self.witness.as_ref().map(|witness| (witness, book.take_seen()));
        let wakers = std::mem::take(&mut book.wakers);
        drop(book);
        if let Some((witness, seen)) = seen {
            seen.iter().for_each(|sight| sight.tell(witness));
        }
        if let Some(draft) = draft {
            self.write(draft);
        }
        if posted {
            self.settle(flush);
        }
        if aside {
            let connection = self.aside.get().and_then(Aside::existing);
            connection.into_iter().for_each(|connection| connection.settle(Flush::Later));
        }
        if let Some(empty) = wakers.wake() {
            self.book().wakers.keep(empty);
        }
    }

    /// Sees to it that what was posted is written.
    fn settle(&self, flush: Flush) {
        if let Some(connection) = self.connection.get() {
            connection.settle(flush);
        }
    }

    /// Writes what was taken for it.
    fn write(&self, draft: Draft) {
        if let Some(connection) = self.connection.get() {
            connection.send(draft);
        }
    }

    /// Tells a claim's gate what happened.
    pub(crate) fn tell(&self, flush: Flush, claim: Claim, event: Event) {
        self.act(flush, |book| self.happen_to(book, claim, event));
    }

    /// Something happened to a claim.
    pub(crate) fn happen_to(&self, book: &mut Book, claim: Claim, event: Event) {
        if let Some(gate) = book.record(claim).map(|record| record.gate) {
            self.happen(book, gate, &event, None);
        }
    }

    /// A claim's caller wants nothing more from it.
    pub(crate) fn let_go(&self, claim: Claim) {
        let mut book = self.book();
        if let Some(record) = book.record(claim) {
            record.wanted = false;
            record.listen_no_more();
        }
        book.drop_if_done(claim);
    }

    /// Nobody can come any more.
    pub(crate) fn stop(&self) {
        self.act(Flush::Auto, |book| {
            book.stopping = true;
            // Nobody holds or waits; rivals need not be remembered.
            book.tell_all(Event::Closed);
            if let Some(ticker) = book.ticker.take() {
                book.wakers.push(ticker);
            }
        });
    }

    /// Tells gates their news until there are none.
    #[inline]
    pub(crate) fn work_off(&self, book: &mut Book) {
        if !book.news.is_empty() {
            self.tell_news(book);
        }
    }

    fn tell_news(&self, book: &mut Book) {
        while let Some(News { gate, event, clocks }) = book.news.pop_front() {
            self.happen(book, gate, &event, clocks);
        }
    }

    /// Tells one gate what has happened, and does what it orders. What that leads to at once is in the news then.
    ///
    /// `clocks` is when the question was sent whose answer this is, or when a grant was heard of.
    pub(crate) fn happen(&self, book: &mut Book, at: usize, event: &Event, clocks: Option<Clocks>) {
        let scene = book.scene(clocks);
        if self.witness.is_some() {
            book.watch_news(event, scene.now);
        }
        let mut orders = std::mem::take(&mut book.orders);
        if let Some(entry) = book.gates.get_mut(at).filter(|entry| entry.key.is_some()) {
            entry.gate.on(event, &scene, &mut orders);
        }
        let mut reported = false;
        for &order in &orders {
            reported |= matches!(order, Order::Report { .. } | Order::Forget(_));
            if self.witness.is_some() {
                book.watch_order(&order, scene.now);
            }
            self.perform(book, at, order, clocks);
        }
        orders.clear();
        book.orders = orders;
        self.look_after(book, at);
        if reported {
            self.note_release(book);
        }
    }

    /// Something has happened at a gate: when it is to be looked at again, or what to forget of it.
    #[inline]
    pub(crate) fn look_after(&self, book: &mut Book, at: usize) {
        if book.gates.note_use(at) {
            book.set_timer(at);
        } else {
            self.stop_listening(book, at);
            book.gates.vacate(at);
        }
        if book.gates.are_vacant() {
            book.wake_ticker_at_last();
        }
    }

    /// A release was answered, or a claim forgotten: for whoever waits until all are.
    pub(crate) fn note_release(&self, book: &Book) {
        if book.barred.is_some() {
            self.quiet.notify_waiters();
        }
    }

    /// `clocks` is when the question was sent whose answer led to the order, or the grant was heard of.
    fn perform(&self, book: &mut Book, at: usize, order: Order, clocks: Option<Clocks>) {
        match order {
            Order::Send(errand) => self.send(book, at, errand),
            Order::Grant { claim, term, fence } => {
                self.grant(book, (claim, fence), term, clocks);
                book.ring_bell(at);
            }
            Order::Refuse { claim, why } => {
                let refusal = book.refusal(at, why);
                book.deliver(claim, Mail::Refused(refusal));
            }
            Order::Extend { claim, term } => {
                if let Some(hold) = book.record(claim).and_then(|record| record.hold.as_ref()) {
                    hold.confirm(term, clocks.unwrap_or_else(|| self.clocks()));
                }
            }
            Order::Lose { claim, cause } => {
                if let Some(hold) = book.record(claim).and_then(|record| record.hold.as_ref()) {
                    hold.end(Status::Lost(cause));
                }
            }
            Order::Report { claim, released } => {
                book.ring_bell(at);
                let error = book.gates.get(at).and_then(|entry| entry.last_error.clone());
                book.deliver(claim, Mail::Released(released, error));
            }
            Order::Forget(claim) => {
                if let Some(record) = book.record(claim) {
                    record.forgotten = true;
                }
                book.drop_if_done(claim);
            }
        }
    }

    fn grant(
        &self,
        book: &mut Book,
        (claim, fence): (Claim, Option<FencingToken>),
        term: Term,
        clocks: Option<Clocks>,
    ) {
        if let Some(record) = book.record(claim) {
            let begun = clocks.unwrap_or_else(|| self.clocks());
            record.ask(begun, term.deadline).begin(fence);
        }
        book.deliver(claim, Mail::Granted);
    }
}

impl Book {
    /// What is the case now.
    fn scene(&mut self, clocks: Option<Clocks>) -> Scene {
        let now = self.now();
        // The additive sequence of SplitMix64, and its mixing.
        self.luck = self.luck.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.luck ^ self.luck >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        Scene {
            now,
            clocks,
            entropy: mixed ^ mixed >> 31,
            online: self.dialect.is_some(),
            ears: self.dialect.as_ref().map(|dialect| dialect.ears()).unwrap_or_default(),
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("connection", &self.connection.get()).finish_non_exhaustive()
    }
}
