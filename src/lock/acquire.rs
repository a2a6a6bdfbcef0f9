//! Taking a lock: try, and if it is held, wait and try again.
//!
//! One acquire call has one value, which every attempt repeats: an attempt whose reply was lost is found again by the next one
//! instead of locking its own caller out. Whatever may have reached the server and is not wanted is undone: by a release behind
//! it on the same connection, which the keeper follows up ([`Trace`]).

use crate::client::{Flush, Frame, Reply};
use crate::error::{Error, ErrorKind};
use crate::lock::dialect::{Compared, Dialect, Key, Left, Refusal, Taken, compared, left};
use crate::lock::error::AcquireError;
use crate::lock::guard::Guard;
use crate::lock::handle::Lock;
use crate::lock::hold::{Hold, Status, Terms};
use crate::lock::keeper::Followed;
use crate::lock::lease::{Lease, ROUND_TRIPS};
use crate::lock::locker::Locker;
use crate::lock::options::Options;
use crate::lock::token::{self, Holder};
use crate::lock::waiting::Waiting;
use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};

/// How far an attempt may reach beyond the caller's deadline: the last one begins at it.
const GRACE: Duration = Duration::from_millis(100);

/// One acquire call.
pub(crate) struct Acquiring<'a> {
    options: &'a Options,
    locker: Arc<Locker>,
    key: Bytes,
    value: Bytes,
    lease: Lease,
    trace: Option<Trace>,
    seen: Option<Seen>,
    last_error: Option<Error>,
}

/// What an attempt came to.
enum Attempt {
    Granted(Guard),
    Held(Bytes, Left),
    /// The server could not be asked, or did not answer in time.
    Failed(Error),
}

/// Who held the lock when last seen.
struct Seen {
    holder: Holder,
    lease_over: Option<Instant>,
}

/// Our value may be on the server. Dropped while that is so, it sends the release behind it.
struct Trace {
    terms: Option<Terms>,
    last_sent: Instant,
}

impl<'a> Acquiring<'a> {
    /// # Errors
    ///
    /// If name or options make no sense, or the client has no runtime.
    pub(crate) fn new(lock: &'a Lock) -> Result<Self, AcquireError> {
        lock.check()?;
        let lease = Lease::new(lock.options.lease)?;
        let locker = Locker::of(&lock.client);
        let value = locker.value(&lock.options);
        Ok(Self {
            options: &lock.options,
            locker,
            key: lock.key().into(),
            value,
            lease,
            trace: None,
            seen: None,
            last_error: None,
        })
    }

    /// One attempt.
    pub(crate) async fn once(mut self) -> Result<Option<Guard>, AcquireError> {
        let patience = self.locker.connection.config().response_timeout;
        match self.attempt(patience).await? {
            Attempt::Granted(guard) => Ok(Some(guard)),
            Attempt::Held(..) => Ok(None),
            Attempt::Failed(error) => Err(error.into()),
        }
    }

    /// Attempts until one is granted or `patience` is over.
    pub(crate) async fn wait(mut self, patience: Option<Duration>) -> Result<Guard, AcquireError> {
        let options = self.options;
        let begun = Instant::now();
        let deadline = patience.and_then(|patience| begun.checked_add(patience));
        let mut waiting = Waiting::new(&options.backoff, deadline);
        loop {
            let now = Instant::now();
            let patience = self.locker.connection.config().response_timeout;
            let patience = waiting.left(now).map_or(patience, |left| patience.min(left + GRACE));
            let again = match self.attempt(patience).await? {
                Attempt::Granted(guard) => return Ok(guard),
                Attempt::Held(value, left) => {
                    let left = self.left_of_lease(left, waiting.left(Instant::now())).await;
                    self.note_holder(&value, left, &mut waiting)
                }
                Attempt::Failed(error) => {
                    self.last_error = Some(error);
                    waiting.again(Instant::now(), self.locker.entropy())
                }
            };
            match again {
                Some(at) => sleep_until(at).await,
                None => {
                    let timeout = patience_of(deadline, begun);
                    return Err(self.timed_out(timeout, begun.elapsed()));
                }
            }
        }
    }

    /// Asks what is left of the holder's lease, where the attempt did not tell.
    async fn left_of_lease(&self, told: Left, patience: Option<Duration>) -> Left {
        if told != Left::Unasked {
            return told;
        }
        let connection = &self.locker.connection;
        let limit = connection.config().response_timeout;
        let limit = patience.map_or(limit, |patience| limit.min(patience + GRACE));
        let pttl = connection.call(limit, |out| {
            crate::client::encode::command(&[&b"PTTL"[..], &self.key], out);
        });
        pttl.await.and_then(left).unwrap_or(Left::Unasked)
    }

    /// Remembers the holder, and tells when to try again.
    fn note_holder(
        &mut self,
        value: &[u8],
        left: Left,
        waiting: &mut Waiting<'_>,
    ) -> Option<Instant> {
        let now = Instant::now();
        let left = match left {
            Left::For(left) => Some(left),
            Left::Nothing => {
                // Released since: at once, unless the patience is over.
                return if waiting.is_over(now) { None } else { Some(now) };
            }
            Left::Unasked | Left::Endless => None,
        };
        self.last_error = None;
        let lease_over = left.and_then(|left| now.checked_add(left));
        self.seen = Some(Seen { holder: token::holder(value), lease_over });
        waiting.held(value, left, now, self.locker.entropy())
    }

    fn timed_out(&mut self, timeout: Duration, waited: Duration) -> AcquireError {
        let now = Instant::now();
        let seen = self.seen.take();
        let lease_left = seen.as_ref().and_then(|seen| seen.lease_over);
        AcquireError::TimedOut {
            timeout,
            waited,
            lease_left: lease_left.map(|over| to_millis(over.saturating_duration_since(now))),
            holder: seen.map(|seen| seen.holder),
            last_error: self.last_error.take(),
        }
    }

    /// One attempt, within `patience` for the connection and the answer each.
    async fn attempt(&mut self, patience: Duration) -> Result<Attempt, AcquireError> {
        let session = match timeout(patience, self.locker.connection.ready()).await {
            Ok(Ok(session)) => session,
            Ok(Err(error)) => return failed(error),
            Err(_) => {
                let cause = self.locker.connection.last_failure();
                let outcome = crate::error::Outcome::NotSent;
                return Ok(Attempt::Failed(Error::timeout(patience, outcome, cause.as_ref())));
            }
        };
        let dialect = Locker::dialect(&session);
        if let Some(reason) = dialect.lacks() {
            return Err(AcquireError::Unsupported { reason });
        }
        self.check_lease()?;
        loop {
            let sent = Instant::now();
            let replies = match self.send(&dialect, sent, patience).await {
                Ok(replies) => replies,
                Err(error) => return failed(error),
            };
            return match dialect.taken(replies, &self.value) {
                Ok(Taken::Fresh) => self.granted(&dialect, sent),
                Ok(Taken::Earlier) => self.granted_earlier(&dialect, patience).await,
                Ok(Taken::Held(value, left)) => {
                    self.deny();
                    Ok(Attempt::Held(value, left))
                }
                Err(Refusal::Rephrase) => continue,
                Err(Refusal::KeyInUse) => {
                    self.deny();
                    let key = String::from_utf8_lossy(&self.key).into_owned();
                    Err(AcquireError::KeyInUse { key })
                }
                Err(Refusal::Other(error)) => failed(error),
            };
        }
    }

    /// # Errors
    ///
    /// If the lease has no room for the round trips that a hold takes at least.
    fn check_lease(&self) -> Result<(), AcquireError> {
        match self.locker.connection.smallest_rtt() {
            Some(rtt) if self.lease.length() < rtt * ROUND_TRIPS => {
                Err(AcquireError::LeaseTooShort { rtt })
            }
            _ => Ok(()),
        }
    }

    /// Sends the commands of one attempt in one write, and waits for their replies.
    async fn send(
        &mut self,
        dialect: &Arc<Dialect>,
        sent: Instant,
        patience: Duration,
    ) -> Result<Vec<Frame>, Error> {
        let whole = dialect.attempt_len();
        let mut replies: Vec<Reply> = Vec::with_capacity(whole);
        for part in 0..whole {
            let last = part + 1 == whole;
            let flush = match (whole, last) {
                (1, _) => Flush::Auto,
                (_, true) => Flush::Now,
                (_, false) => Flush::Later,
            };
            let wire = Key { key: &self.key, value: &self.value, lease: self.lease };
            let reply = self.locker.connection.submit(patience, flush, |out: &mut BytesMut| {
                dialect.attempt(part, whole, wire, out);
            })?;
            if part == 0 {
                self.suspect(dialect, sent);
            }
            replies.push(reply);
        }
        let mut frames = Vec::with_capacity(whole);
        for reply in replies {
            frames.push(reply.await?);
        }
        Ok(frames)
    }

    /// From now on our value may be on the server.
    fn suspect(&mut self, dialect: &Arc<Dialect>, sent: Instant) {
        match &mut self.trace {
            Some(trace) => trace.last_sent = sent,
            None => {
                let terms = Some(self.terms(dialect));
                self.trace = Some(Trace { terms, last_sent: sent });
            }
        }
    }

    /// The server denied that our value is there.
    fn deny(&mut self) {
        if let Some(trace) = self.trace.take() {
            trace.forget();
        }
    }

    fn terms(&self, dialect: &Arc<Dialect>) -> Terms {
        Terms {
            locker: Arc::clone(&self.locker),
            dialect: Arc::clone(dialect),
            key: self.key.clone(),
            value: self.value.clone(),
            lease: self.lease,
            renewal: self.options.renewal,
        }
    }

    /// The lock is ours since `sent`, if there is anything left of the lease.
    fn granted(&mut self, dialect: &Arc<Dialect>, sent: Instant) -> Result<Attempt, AcquireError> {
        let now = Instant::now();
        if now >= self.lease.deadline(sent) {
            // The trace releases it.
            return Err(AcquireError::LeaseTooShort { rtt: now.saturating_duration_since(sent) });
        }
        let hold = Arc::new(Hold::new(self.terms(dialect), sent, Status::Held));
        let Some(ticket) = self.locker.keeper.enter(&hold, sent) else {
            return Err(AcquireError::Closed);
        };
        self.deny(); // the guard answers for it now
        Ok(Attempt::Granted(Guard::new(hold, Some(ticket))))
    }

    /// An earlier attempt had got through, nobody knows when: a renewal begins a lease that can be counted.
    async fn granted_earlier(
        &mut self,
        dialect: &Arc<Dialect>,
        patience: Duration,
    ) -> Result<Attempt, AcquireError> {
        let mut in_full = false;
        loop {
            let sent = Instant::now();
            if let Some(trace) = &mut self.trace {
                trace.last_sent = sent;
            }
            let wire = Key { key: &self.key, value: &self.value, lease: self.lease };
            let renewal =
                self.locker.connection.submit(patience, Flush::Auto, |out: &mut BytesMut| {
                    if in_full {
                        Dialect::renew_in_full(wire, out);
                    } else {
                        dialect.renew(wire, out);
                    }
                });
            let reply = match renewal {
                Ok(reply) => reply.await,
                Err(error) => Err(error),
            };
            return match compared(reply) {
                Compared::Ours => self.granted(dialect, sent),
                Compared::NotOurs => Ok(Attempt::Held(Bytes::new(), Left::Nothing)),
                Compared::InFull if !in_full => {
                    in_full = true;
                    continue;
                }
                Compared::InFull => {
                    failed(Error::refused("the server forgets every script it is sent"))
                }
                Compared::Unknown(error) => failed(error),
            };
        }
    }
}

/// What is to be waited out, and what ends the call.
fn failed(error: Error) -> Result<Attempt, AcquireError> {
    match error.kind() {
        ErrorKind::Closed => Err(AcquireError::Closed),
        _ if error.is_transient() => Ok(Attempt::Failed(error)),
        _ => Err(AcquireError::Client(error)),
    }
}

fn patience_of(deadline: Option<Instant>, begun: Instant) -> Duration {
    deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(begun))
}

/// People read it.
fn to_millis(exact: Duration) -> Duration {
    Duration::from_millis(u64::try_from(exact.as_millis()).unwrap_or(u64::MAX))
}

impl Trace {
    /// The value is known not to be there, or somebody else answers for it.
    fn forget(mut self) {
        self.terms = None;
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let Some(terms) = self.terms.take() else { return };
        let hold = Arc::new(Hold::new(terms, self.last_sent, Status::Released));
        let sent = hold.send_release(Flush::Now, false);
        let keeper = Arc::clone(&hold.locker.keeper);
        keeper.see_through(hold, sent, Followed::default());
    }
}
