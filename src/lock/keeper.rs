//! Where guards meet the task that looks after what is held ([`upkeep`](super::upkeep)): a book of what is due, and of the
//! releases to be seen through.
//!
//! Guards are entered and crossed out under a short lock, which the task takes once for all that is due.

use crate::client::{Flush, Home, Reply};
use crate::error::Error;
use crate::lock::error::LostCause;
use crate::lock::hold::{Hold, Status};
use crate::lock::options::Renewal;
use crate::lock::upkeep::Task;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

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
pub(crate) struct Errand {
    pub(crate) hold: Arc<Hold>,
    pub(crate) purpose: Purpose,
}

/// A release on its way to the task.
pub(crate) enum Arrival {
    Sent(Errand, Reply),
    /// It could not be sent for now.
    Failed(Errand),
}

pub(crate) enum Purpose {
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
    pub(crate) fn tell(self, released: Released) {
        if let Some(report) = self.report {
            let _ = report.send(released); // nobody may be listening any more
        }
    }

    /// The server says that the key is not ours (any more).
    pub(crate) fn conclude_not_ours(mut self) {
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

/// How long the task may sleep.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rest {
    Until(Instant),
    UntilWoken,
    /// Nobody can come any more.
    ForGood,
}

impl Keeper {
    /// Starts the task.
    pub(crate) fn start(home: &Home) -> Arc<Self> {
        let keeper = Arc::new(Self { book: Mutex::default(), idle: Notify::new() });
        home.spawn(Task::new(Arc::clone(&keeper)).run());
        keeper
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

    /// Takes over the releases that have come.
    pub(crate) fn take_arrivals(&self) -> Vec<Arrival> {
        std::mem::take(&mut self.book().arrivals)
    }

    /// Takes over the holds that are due.
    pub(crate) fn take_due(&self, now: Instant) -> Vec<Arc<Hold>> {
        let mut book = self.book();
        let mut due = Vec::new();
        while let Some(entry) = book.due.first_entry().filter(|entry| entry.key().due <= now) {
            due.push(entry.remove());
        }
        due
    }

    /// Enters a hold anew, unless everything is being released.
    pub(crate) fn keep(&self, hold: Arc<Hold>, due: Instant) {
        let mut book = self.book();
        if !book.closing {
            book.enter(hold, due);
        }
    }

    /// The task has `busy` errands under way, a timer `armed`, and nothing else to do: until when may it sleep?
    pub(crate) fn rest(&self, busy: usize, armed: Option<Instant>, waker: &Waker) -> Rest {
        let mut book = self.book();
        book.busy = busy;
        if book.is_quiet() {
            self.idle.notify_waiters();
            if book.stopping && book.due.is_empty() {
                return Rest::ForGood;
            }
        }
        if !book.arrivals.is_empty() {
            waker.wake_by_ref();
        }
        book.waker = Some(waker.clone());
        let next = book.due.first_key_value().map(|(ticket, _)| ticket.due);
        // A timer that is set already stays: holds that come and go should not wake the task.
        book.wakes_at = armed.into_iter().chain(next).min();
        book.wakes_at.map_or(Rest::UntilWoken, Rest::Until)
    }

    /// The task is gone: what is held ends with its lease, and nothing keeps its client alive.
    pub(crate) fn abandon(&self) {
        let (due, arrivals) = {
            let mut book = self.book();
            book.closing = true;
            book.busy = 0;
            (std::mem::take(&mut book.due), std::mem::take(&mut book.arrivals))
        };
        self.idle.notify_waiters();
        drop((due, arrivals)); // outside the lock: one may be the last of its client
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
