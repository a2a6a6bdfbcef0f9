//! One claim, from its acquire call to its end, and what its caller is to be told.

use crate::error::Error;
use crate::lock::error::AcquireError;
use crate::lock::gate::{Claim, Released, Why};
use crate::lock::hold::{Clocks, Hold};
use crate::lock::plan::Plan;
use crate::lock::sight::Times;
use crate::lock::token::{Holder, Stamp};
use crate::lock::wakers::Wakers;
use bytes::Bytes;
use std::cell::{Cell, OnceCell};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::time::Instant;

/// One claim, from its acquire call to its end.
#[derive(Default)]
pub(crate) struct Record {
    pub(crate) generation: u32,
    pub(crate) gate: usize,
    pub(crate) plan: Option<Arc<Plan>>,
    pub(crate) stamp: Stamp,
    /// See [`Record::value`].
    value: OnceCell<Vec<u8>>,
    /// Memory for it.
    spare: Cell<Vec<u8>>,
    /// The value of the hold that it is to take the key from, if it is.
    pub(crate) prey: Option<Box<Bytes>>,
    /// Of this claim if it was granted, or asked the short way; else of an earlier one.
    pub(crate) hold: Option<Arc<Hold>>,
    /// That of the caller, if it waits.
    pub(crate) waker: Option<Waker>,
    pub(crate) mail: Mail,
    /// When the command was sent that took the key, if that went the short way.
    pub(crate) sent: Option<Instant>,
    /// The gate has done with it.
    pub(crate) forgotten: bool,
    /// A future or a guard still names it.
    pub(crate) wanted: bool,
    /// For an observer, if there is one.
    pub(crate) times: Option<Box<Times>>,
}

impl Record {
    /// The claim that is recorded here, in this place of the book.
    #[inline]
    pub(crate) fn claim(&self, at: usize) -> Claim {
        Claim(u64::from(self.generation) << 32 | at as u64)
    }

    /// Whether it is this one's.
    #[inline]
    pub(crate) fn is(&self, claim: Claim) -> bool {
        u64::from(self.generation) == claim.0 >> 32
    }

    /// Whether neither this claim's gate nor its caller names it any more.
    #[inline]
    pub(crate) fn is_done(&self, claim: Claim) -> bool {
        self.is(claim) && self.forgotten && !self.wanted
    }

    /// Begins another claim in the place of one that is over; its stamp is still to be made.
    #[inline]
    pub(crate) fn begin(&mut self, gate: usize, plan: &Arc<Plan>) {
        self.generation = self.generation.wrapping_add(1);
        self.gate = gate;
        self.plan = Some(Arc::clone(plan));
        (self.forgotten, self.wanted) = (false, true);
        if self.value.get().is_some() {
            self.forget_value();
        }
    }

    /// Keeps its memory.
    #[cold]
    fn forget_value(&mut self) {
        if let Some(mut value) = self.value.take() {
            value.clear();
            self.spare.set(value);
        }
    }

    /// The claim's value. Most holds begin and end without it: their commands are phrases with a stamp.
    pub(crate) fn value(&self) -> &[u8] {
        self.value.get_or_init(|| {
            let mut value = self.spare.take();
            if let Some(plan) = &self.plan {
                plan.signature.form.write(&self.stamp, &mut value);
            }
            value
        })
    }

    /// Nobody needs the record any more.
    #[inline]
    pub(crate) fn end(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        (self.plan, self.prey) = (None, None);
        self.listen_no_more();
    }

    /// Leaves word for whoever waits, if anybody still does.
    #[inline(always)] // of what answers
    pub(crate) fn tell(&mut self, mail: Mail, wakers: &mut Wakers) {
        // What was said first stands: a claim that was refused is also released, to be sure.
        if !self.wanted || !matches!(self.mail, Mail::Empty) {
            return;
        }
        self.mail = mail;
        self.wake(wakers);
    }

    /// Wakes whoever waits.
    #[inline]
    pub(crate) fn wake(&mut self, wakers: &mut Wakers) {
        if let Some(waker) = self.waker.take().filter(|_| !defect!(28)) {
            wakers.push(waker);
        }
    }

    /// Takes what the caller was told; it waits while that is nothing.
    #[inline(always)] // of what looks
    pub(crate) fn fetch(&mut self, cx: &Context<'_>) -> Poll<Mail> {
        match std::mem::take(&mut self.mail) {
            Mail::Empty => {
                if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                    self.waker = Some(cx.waker().clone());
                }
                Poll::Pending
            }
            mail => Poll::Ready(mail),
        }
    }

    /// Nobody waits any more, nor fetches what was said.
    #[inline]
    pub(crate) fn listen_no_more(&mut self) {
        // Mostly there is nothing, and to drop that would be two calls.
        if !matches!(self.mail, Mail::Empty) || self.waker.is_some() {
            (self.mail, self.waker) = (Mail::Empty, None);
        }
    }

    /// The claim will hold the lock until `deadline` if it is granted. These clocks were looked at before the command was sent that this
    /// rests on; for a grant that was told without having been asked for, when it was heard of.
    #[inline]
    pub(crate) fn ask(&mut self, begun: Clocks, deadline: Instant) -> &Arc<Hold> {
        // Nearly always nobody has kept the hold of the claim that was here before.
        match self.hold.as_mut().and_then(Arc::get_mut) {
            Some(hold) => hold.ask_anew(begun, deadline),
            None => self.hold = None,
        }
        self.hold.get_or_insert_with(|| Arc::new(Hold::asked(begun, deadline)))
    }
}

/// Where a claim's record is in the book.
#[inline]
pub(crate) fn place(claim: Claim) -> usize {
    usize::try_from(claim.0 & 0xffff_ffff).unwrap_or(usize::MAX)
}

/// What a claim's caller is to be told.
#[derive(Default)]
pub(crate) enum Mail {
    #[default]
    Empty,
    Granted,
    Refused(Box<Refusal>),
    Released(Released, Option<Error>),
}

/// Why a caller gets no lock, and what is known about that.
pub(crate) struct Refusal {
    pub(crate) why: Why,
    /// Who held the lock when last seen, and when that lease is over.
    pub(crate) seen: Option<(Holder, Option<Instant>)>,
    /// Why the server could not be asked last.
    pub(crate) error: Option<Error>,
    /// Why nobody gets a lock, if so.
    pub(crate) barred: Option<AcquireError>,
}
