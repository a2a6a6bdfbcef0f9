//! The task that looks after what is held: renews leases in time, and sees every release through.
//!
//! Guards are entered and crossed out under a short lock; the task sleeps until the earliest is due, renews all that are due in
//! one write, and reads the replies in order. A release whose answer did not come is sent again until the lease has surely
//! ended, so none is lost, and the lease bounds how late one can be.

use crate::client::{Flush, Reply, runtime};
use crate::config::Config;
use crate::error::{Error, Outcome};
use crate::lock::dialect::{Compared, compared};
use crate::lock::error::LostCause;
use crate::lock::hold::{Hold, Status};
use crate::lock::options::Renewal;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, Sleep, sleep_until};

/// How long to wait before a release that failed is sent again.
const RELEASE_AGAIN: Duration = Duration::from_millis(50);

/// Where guards meet the task.
pub(crate) struct Keeper {
    book: Mutex<Book>,
    idle: Notify,
}

#[derive(Default)]
struct Book {
    due: BTreeMap<Ticket, Arc<Hold>>,
    arrivals: Vec<Arrival>,
    /// Errands that the task has taken over and not finished.
    busy: usize,
    tickets: u64,
    /// When the task will look by itself.
    wakes_at: Option<Instant>,
    waker: Option<Waker>,
    /// No more guards: those that are left have been released.
    closing: bool,
    /// Nobody can come any more: the task ends when it has nothing left to do.
    stopping: bool,
}

/// Names one entry: when it is due, and a number that makes it unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket {
    due: Instant,
    number: u64,
}

/// A command of the keeper's that waits for its reply, or for its turn to be sent.
struct Errand {
    hold: Arc<Hold>,
    purpose: Purpose,
}

/// A release on its way to the task.
enum Arrival {
    Sent(Errand, Reply),
    /// It could not be sent for now.
    Failed(Errand),
}

enum Purpose {
    Renew { sent: Instant },
    Release(Followed),
}

/// How a release is followed up.
#[derive(Default)]
pub(crate) struct Followed {
    /// Why an earlier sending of it went without an answer: then "not ours" may be its own doing.
    pub(crate) doubt: Option<Error>,
    /// Who wants to know.
    pub(crate) report: Option<oneshot::Sender<Released>>,
}

impl Followed {
    fn tell(self, released: Released) {
        if let Some(report) = self.report {
            let _ = report.send(released); // nobody may be listening any more
        }
    }

    fn conclude_not_ours(mut self) {
        match self.doubt.take() {
            Some(doubt) => self.tell(Released::Unconfirmed(doubt)),
            None => self.tell(Released::NotOurs),
        }
    }
}

/// What became of a release.
#[derive(Debug)]
pub(crate) enum Released {
    Yes,
    NotOurs,
    /// The lease has surely ended, and nobody knows which came first.
    Unconfirmed(Error),
}

impl Keeper {
    /// Starts the task.
    ///
    /// # Errors
    ///
    /// If there is no runtime.
    pub(crate) fn start(config: &Config) -> Result<Arc<Self>, Error> {
        let keeper = Arc::new(Self { book: Mutex::default(), idle: Notify::new() });
        let task = Task {
            keeper: Arc::clone(&keeper),
            sent: VecDeque::new(),
            resting: Vec::new(),
            timer: None,
        };
        runtime(config)?.spawn(task.run());
        Ok(keeper)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a hold, to be renewed or marked lost in time. `None` once closing: the caller is to release it.
    pub(crate) fn enter(&self, hold: &Arc<Hold>, sent: Instant) -> Option<Ticket> {
        let (ticket, waker) = {
            let mut book = self.book();
            if book.closing {
                return None;
            }
            let ticket = book.enter(Arc::clone(hold), first_due(hold, sent));
            (ticket, book.wake_by(ticket.due))
        };
        wake(waker);
        Some(ticket)
    }

    /// Crosses a hold out. It may have been entered anew under another ticket; then it goes at that one's time.
    pub(crate) fn cross_out(&self, ticket: Ticket) {
        let hold = self.book().due.remove(&ticket);
        drop(hold); // outside the lock: it may be the last of its client
    }

    /// Sees a release through that was sent, or could not be.
    pub(crate) fn see_through(
        &self,
        hold: Arc<Hold>,
        sent: Result<Reply, Error>,
        followed: Followed,
    ) {
        let errand = |followed| Errand { hold, purpose: Purpose::Release(followed) };
        let arrival = match sent {
            Ok(reply) => Arrival::Sent(errand(followed), reply),
            Err(error) if error.is_closed() => return followed.tell(Released::Unconfirmed(error)),
            Err(_) => Arrival::Failed(errand(followed)),
        };
        let waker = {
            let mut book = self.book();
            book.arrivals.push(arrival);
            book.waker.take()
        };
        wake(waker);
    }

    /// Releases every hold, and waits until all releases are answered, at most until `until`.
    pub(crate) async fn close(&self, until: Instant) {
        let held = {
            let mut book = self.book();
            book.closing = true;
            std::mem::take(&mut book.due)
        };
        for hold in held.into_values() {
            if hold.end(Status::Lost(LostCause::Closed)) {
                let sent = hold.send_release(Flush::Later, false);
                self.see_through(hold, sent, Followed::default());
            }
        }
        let quiet = async {
            loop {
                let mut idle = std::pin::pin!(self.idle.notified());
                idle.as_mut().enable();
                if self.book().is_quiet() {
                    return;
                }
                idle.await;
            }
        };
        // Out of patience is no error: the leases end by themselves.
        let _ = tokio::time::timeout_at(until, quiet).await;
    }

    /// Lets the task end when it has nothing left to do.
    pub(crate) fn stop(&self) {
        let waker = {
            let mut book = self.book();
            book.stopping = true;
            book.waker.take()
        };
        wake(waker);
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("held", &self.book().due.len()).finish_non_exhaustive()
    }
}

impl Book {
    fn enter(&mut self, hold: Arc<Hold>, due: Instant) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket { due, number: self.tickets };
        self.due.insert(ticket, hold);
        ticket
    }

    /// The waker, if the task would otherwise sleep past `due`.
    fn wake_by(&mut self, due: Instant) -> Option<Waker> {
        match self.wakes_at {
            Some(at) if at <= due => None,
            _ => self.waker.take(),
        }
    }

    fn is_quiet(&self) -> bool {
        self.arrivals.is_empty() && self.busy == 0
    }
}

fn first_due(hold: &Hold, sent: Instant) -> Instant {
    match hold.renewal {
        Renewal::Auto => hold.lease.renew_at(sent),
        Renewal::Off => hold.lease.deadline(sent),
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

struct Task {
    keeper: Arc<Keeper>,
    /// In the order of sending, which is the order of the replies: only the first is polled.
    sent: VecDeque<(Errand, Reply)>,
    /// Releases that wait to be sent again.
    resting: Vec<(Errand, Pin<Box<Sleep>>)>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Task {
    async fn run(mut self) {
        poll_fn(|cx| self.turn(cx)).await;
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut moved = self.take_arrivals();
            moved |= self.read_replies(cx);
            moved |= self.send_again(cx);
            for hold in self.take_due(Instant::now()) {
                moved = true;
                self.attend(hold);
            }
            if !moved {
                return self.sleep(cx);
            }
        }
    }

    fn take_arrivals(&mut self) -> bool {
        let arrivals = std::mem::take(&mut self.keeper.book().arrivals);
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

    fn take_due(&self, now: Instant) -> Vec<Arc<Hold>> {
        let mut book = self.keeper.book();
        let mut due = Vec::new();
        while let Some(entry) = book.due.first_entry().filter(|entry| entry.key().due <= now) {
            due.push(entry.remove());
        }
        due
    }

    /// A hold is due: renew it, or find that it has ended.
    fn attend(&mut self, hold: Arc<Hold>) {
        let now = Instant::now();
        if hold.status(now) != Status::Held {
            return;
        }
        match hold.renewal {
            Renewal::Auto => self.renew(hold, false),
            Renewal::Off => self.keep(hold, now + Duration::from_millis(1)),
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
        self.keep(hold, at);
    }

    fn keep(&self, hold: Arc<Hold>, due: Instant) {
        let mut book = self.keeper.book();
        if !book.closing {
            book.enter(hold, due);
        }
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
                self.keep(hold, due);
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
        let at = {
            let mut book = self.keeper.book();
            book.busy = self.sent.len() + self.resting.len();
            if book.is_quiet() {
                self.keeper.idle.notify_waiters();
                if book.stopping && book.due.is_empty() {
                    return Poll::Ready(());
                }
            }
            if !book.arrivals.is_empty() {
                cx.waker().wake_by_ref();
            }
            book.waker = Some(cx.waker().clone());
            let next = book.due.first_key_value().map(|(ticket, _)| ticket.due);
            // A timer that is set already stays: holds that come and go should not wake the task.
            let armed = self.timer.as_ref().map(|timer| timer.deadline());
            book.wakes_at = armed.into_iter().chain(next).min();
            book.wakes_at
        };
        let Some(at) = at else { return Poll::Pending };
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

/// Also when the runtime ends under it: what is held then ends with its lease, and nothing keeps its client alive.
impl Drop for Task {
    fn drop(&mut self) {
        let (due, arrivals) = {
            let mut book = self.keeper.book();
            book.closing = true;
            book.busy = 0;
            (std::mem::take(&mut book.due), std::mem::take(&mut book.arrivals))
        };
        self.keeper.idle.notify_waiters();
        drop((due, arrivals));
    }
}
