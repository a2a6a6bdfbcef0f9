//! The keeper's task: renews leases in time, and sees every release through.
//!
//! It sleeps until the earliest hold is due, renews all that are due in one write, and reads the replies in order. A release
//! whose answer did not come is sent again until the lease has surely ended, so none is lost, and the lease bounds how late
//! one can be.

use crate::client::{Flush, Reply};
use crate::error::Outcome;
use crate::lock::dialect::{Compared, compared};
use crate::lock::error::LostCause;
use crate::lock::hold::{Hold, Status};
use crate::lock::keeper::{Arrival, Errand, Followed, Keeper, Purpose, Released, Rest};
use crate::lock::options::Renewal;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// How long to wait before a release that failed is sent again.
const RELEASE_AGAIN: Duration = Duration::from_millis(50);

/// What the task has under way.
pub(crate) struct Task {
    keeper: Arc<Keeper>,
    /// In the order of sending, which is the order of the replies: only the first is polled.
    sent: VecDeque<(Errand, Reply)>,
    /// Releases that wait to be sent again.
    resting: Vec<(Errand, Pin<Box<Sleep>>)>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Task {
    pub(crate) fn new(keeper: Arc<Keeper>) -> Self {
        Self { keeper, sent: VecDeque::new(), resting: Vec::new(), timer: None }
    }

    /// Runs until nobody can come any more and everything is seen through.
    pub(crate) async fn run(mut self) {
        poll_fn(|cx| self.turn(cx)).await;
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut moved = self.take_arrivals();
            moved |= self.read_replies(cx);
            moved |= self.send_again(cx);
            for hold in self.keeper.take_due(Instant::now()) {
                moved = true;
                self.attend(hold);
            }
            if !moved {
                return self.sleep(cx);
            }
        }
    }

    fn take_arrivals(&mut self) -> bool {
        let arrivals = self.keeper.take_arrivals();
        let some = !arrivals.is_empty();
        for arrival in arrivals {
            match arrival {
                Arrival::Sent(errand, reply) => self.sent.push_back((errand, reply)),
                Arrival::Failed(errand) => self.rest(errand),
            }
        }
        some
    }

    fn rest(&mut self, errand: Errand) {
        self.resting.push((errand, Box::pin(sleep_until(Instant::now() + RELEASE_AGAIN))));
    }

    fn read_replies(&mut self, cx: &mut Context<'_>) -> bool {
        let mut some = false;
        while let Some((_, reply)) = self.sent.front_mut() {
            let Poll::Ready(reply) = Pin::new(reply).poll(cx) else { break };
            if let Some((errand, _)) = self.sent.pop_front() {
                self.conclude(errand, compared(reply));
            }
            some = true;
        }
        some
    }

    fn send_again(&mut self, cx: &mut Context<'_>) -> bool {
        let mut rested = Vec::new();
        let mut at = 0;
        while let Some((_, timer)) = self.resting.get_mut(at) {
            if timer.as_mut().poll(cx).is_ready() {
                rested.push(self.resting.swap_remove(at).0);
            } else {
                at += 1;
            }
        }
        let some = !rested.is_empty();
        for Errand { hold, purpose } in rested {
            if let Purpose::Release(followed) = purpose {
                let sent = hold.send_release(Flush::Later, false);
                self.keeper.see_through(hold, sent, followed);
            }
        }
        some
    }

    /// A hold is due: renew it, or find that it has ended.
    fn attend(&mut self, hold: Arc<Hold>) {
        let now = Instant::now();
        if hold.status(now) != Status::Held {
            return;
        }
        match hold.renewal {
            Renewal::Auto => self.renew(hold, false),
            Renewal::Off => self.keeper.keep(hold, now + Duration::from_millis(1)),
        }
    }

    fn renew(&mut self, hold: Arc<Hold>, in_full: bool) {
        let sent = Instant::now();
        match hold.send_renewal(sent, in_full) {
            Ok(reply) => {
                self.sent.push_back((Errand { hold, purpose: Purpose::Renew { sent } }, reply));
            }
            Err(_) => self.renew_later(hold),
        }
    }

    fn renew_later(&self, hold: Arc<Hold>) {
        let at = (Instant::now() + hold.lease.retry_after()).min(hold.deadline());
        self.keeper.keep(hold, at);
    }

    fn conclude(&mut self, errand: Errand, outcome: Compared) {
        let hold = errand.hold;
        match errand.purpose {
            Purpose::Renew { sent } => self.conclude_renewal(hold, sent, outcome),
            Purpose::Release(followed) => self.conclude_release(hold, followed, outcome),
        }
    }

    fn conclude_renewal(&mut self, hold: Arc<Hold>, sent: Instant, outcome: Compared) {
        match outcome {
            Compared::Ours => {
                hold.renewed(sent);
                let due = hold.lease.renew_at(sent);
                self.keeper.keep(hold, due);
            }
            Compared::NotOurs => {
                hold.end(Status::Lost(LostCause::NotOurs));
            }
            // The hold may have ended while the reply was on its way: what has ended is not renewed.
            Compared::InFull if hold.status(Instant::now()) == Status::Held => {
                self.renew(hold, true);
            }
            Compared::InFull => {}
            Compared::Unknown(_) => self.renew_later(hold),
        }
    }

    fn conclude_release(&mut self, hold: Arc<Hold>, mut followed: Followed, outcome: Compared) {
        match outcome {
            Compared::Ours => followed.tell(Released::Yes),
            Compared::NotOurs => followed.conclude_not_ours(),
            Compared::InFull => {
                let sent = hold.send_release(Flush::Later, true);
                self.keeper.see_through(hold, sent, followed);
            }
            Compared::Unknown(error)
                if error.is_closed() || Instant::now() >= hold.surely_over() =>
            {
                followed.tell(Released::Unconfirmed(error));
            }
            Compared::Unknown(error) => {
                if error.outcome() == Outcome::Unknown {
                    followed.doubt = Some(error);
                }
                self.rest(Errand { hold, purpose: Purpose::Release(followed) });
            }
        }
    }

    /// Sleeps until the next hold is due, or ends.
    fn sleep(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let busy = self.sent.len() + self.resting.len();
        let armed = self.timer.as_ref().map(|timer| timer.deadline());
        let at = match self.keeper.rest(busy, armed, cx.waker()) {
            Rest::Until(at) => at,
            Rest::UntilWoken => return Poll::Pending,
            Rest::ForGood => return Poll::Ready(()),
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if timer.deadline() != at {
            timer.as_mut().reset(at);
        }
        if timer.as_mut().poll(cx).is_ready() {
            self.timer = None;
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

/// Also when the runtime ends under it.
impl Drop for Task {
    fn drop(&mut self) {
        self.keeper.abandon();
    }
}
