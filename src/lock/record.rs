//! One claim, from its acquire call to its end, and what its caller is to be told.

use crate::error::Error;
use crate::lock::error::AcquireError;
use crate::lock::fence::FencingToken;
use crate::lock::gate::{Claim, Released, Why};
use crate::lock::hold::{Clocks, Hold};
use crate::lock::plan::Plan;
use crate::lock::sight::Times;
use crate::lock::token::Holder;
use crate::lock::wakers::Wakers;
use bytes::Bytes;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::time::Instant;

/// One claim, from its acquire call to its end.
#[derive(Default)]
pub(crate) struct Record {
    pub(crate) generation: u32,
    pub(crate) gate: usize,
    pub(crate) plan: Option<Arc<Plan>>,
    pub(crate) value: Vec<u8>,
    /// The value of the hold that it is to take the key from, if it is.
    pub(crate) prey: Option<Box<Bytes>>,
    /// Of a claim that was granted, or of an earlier one.
    pub(crate) hold: Option<Arc<Hold>>,
    pub(crate) mail: Mail,
    /// When the command was sent that took the key, if that went the short way.
    pub(crate) sent: Option<Clocks>,
    /// The gate has done with it.
    pub(crate) forgotten: bool,
    /// A future or a guard still names it.
    pub(crate) wanted: bool,
    /// For an observer, if there is one.
    pub(crate) times: Option<Box<Times>>,
}

impl Record {
    /// The claim that is recorded here, in this place of the book.
    pub(crate) fn claim(&self, at: usize) -> Claim {
        Claim(u64::from(self.generation) << 32 | at as u64)
    }

    /// Whether it is this one's.
    pub(crate) fn is(&self, claim: Claim) -> bool {
        u64::from(self.generation) == claim.0 >> 32
    }

    /// Leaves word for whoever waits, if anybody still does.
    #[inline]
    pub(crate) fn tell(&mut self, mail: Mail, wakers: &mut Wakers) {
        if !self.wanted {
            return;
        }
        match std::mem::replace(&mut self.mail, mail) {
            Mail::Empty => {}
            Mail::Waiting(_) if defect!(28) => {}
            Mail::Waiting(waker) => wakers.push(waker),
            // What was said first stands: a claim that was refused is also released, to be sure.
            earlier => self.mail = earlier,
        }
    }

    /// The claim holds the lock until `deadline`, by what was sent after these clocks were looked at.
    #[inline]
    pub(crate) fn hold(&mut self, begun: Clocks, deadline: Instant, fence: Option<FencingToken>) {
        // Nearly always nobody has kept the hold of the claim that was here before.
        match self.hold.as_mut().and_then(Arc::get_mut) {
            Some(hold) => hold.begin(begun, deadline, fence),
            None => self.hold = Some(Arc::new(Hold::new(begun, deadline, fence))),
        }
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
    /// The caller waits, and was polled with this waker last.
    Waiting(Waker),
    Granted,
    Refused(Box<Refusal>),
    Released(Released, Option<Error>),
}

impl Mail {
    /// Waits with this waker while nothing has come.
    pub(crate) fn wait(&mut self, cx: &Context<'_>) -> Poll<()> {
        match self {
            Self::Waiting(waker) if waker.will_wake(cx.waker()) => Poll::Pending,
            Self::Empty | Self::Waiting(_) => {
                *self = Self::Waiting(cx.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }
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
