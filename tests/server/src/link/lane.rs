//! Carries the bytes of one connection, each direction in a lane of its own.

use super::flaw::{Ending, Fate, Way};
use super::{Shared, State};
use bytes::{Buf as _, BytesMut};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Bytes taken in at once.
const READ: usize = 4096;

/// One connection, from the client's end to the server's.
pub(super) struct Carrier<N, F, R> {
    shared: Arc<Shared>,
    id: u64,
    near: N,
    far: F,
    /// What makes the two ends resets.
    reset: R,
    up: Lane,
    down: Lane,
    silent: bool,
}

impl<N, F, R> Carrier<N, F, R> {
    pub(super) fn new(shared: Arc<Shared>, near: N, far: F, reset: R) -> Self {
        let id = shared.opened();
        let (up, down) = (Lane::new(Way::ToServer), Lane::new(Way::ToClient));
        Self { shared, id, near, far, reset, up, down, silent: false }
    }

    /// Whether somebody cut all connections, this one included; leaves the waker for when somebody does.
    fn told_to_end(&mut self, waker: &Waker) -> Option<Ending> {
        let mut state = self.shared.lock();
        if self.silent && self.id < state.reaped {
            return Some(Ending::Close);
        }
        let cut = state.cut.filter(|(before, _)| !self.silent && self.id < *before);
        if let Some(registered) = state.open.get_mut(&self.id) {
            *registered = Some(waker.clone());
        }
        cut.map(|(_, ending)| ending)
    }
}

impl<N, F, R> Future for Carrier<N, F, R>
where
    N: AsyncRead + AsyncWrite + Unpin,
    F: AsyncRead + AsyncWrite + Unpin,
    R: Fn(&N, &F) + Unpin,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let mut ending = this.told_to_end(cx.waker());
        if this.silent && ending.is_none() {
            return Poll::Pending;
        }
        let way = Road { shared: &this.shared, id: this.id };
        if ending.is_none() {
            ending = this.up.poll(cx, &way, &mut this.near, &mut this.far);
        }
        if ending.is_none() {
            ending = this.down.poll(cx, &way, &mut this.far, &mut this.near);
        }
        match ending {
            None if this.up.done && this.down.done => Poll::Ready(()),
            None => Poll::Pending,
            Some(Ending::Close) => Poll::Ready(()),
            Some(Ending::Reset) => {
                (this.reset)(&this.near, &this.far);
                Poll::Ready(())
            }
            Some(Ending::Silence) => {
                this.silent = true;
                Poll::Pending
            }
        }
    }
}

impl<N, F, R> Drop for Carrier<N, F, R> {
    fn drop(&mut self) {
        self.shared.lock().open.remove(&self.id);
    }
}

/// Where a lane belongs.
struct Road<'a> {
    shared: &'a Shared,
    id: u64,
}

/// One direction.
struct Lane {
    way: Way,
    /// What was taken in, and when it may arrive.
    queue: VecDeque<(Instant, BytesMut)>,
    queued: usize,
    /// Made up: it goes first, and nothing befalls it.
    inserted: BytesMut,
    /// The sender has said its last word.
    ended: bool,
    /// The receiver has gone.
    deaf: bool,
    /// Nothing is left to do.
    done: bool,
    /// Goes on in another turn.
    gives_way: bool,
    /// Where bytes are read into.
    space: Box<[u8]>,
    timer: Option<Pin<Box<Sleep>>>,
    rests_until: Option<Instant>,
}

impl Lane {
    fn new(way: Way) -> Self {
        Self {
            way,
            queue: VecDeque::new(),
            queued: 0,
            inserted: BytesMut::new(),
            ended: false,
            deaf: false,
            done: false,
            gives_way: false,
            space: vec![0; READ].into(),
            timer: None,
            rests_until: None,
        }
    }

    /// Moves what can be moved now.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        road: &Road<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Option<Ending> {
        self.gives_way = false;
        while !self.done {
            let took = self.take_in(cx, road, from);
            match self.let_out(cx, road, to) {
                Poll::Ready(Some(ending)) => return Some(ending),
                Poll::Ready(None) => {}
                Poll::Pending if took && !self.gives_way => {}
                Poll::Pending => return None,
            }
        }
        None
    }

    fn take_in(
        &mut self,
        cx: &mut Context<'_>,
        road: &Road<'_>,
        from: &mut (impl AsyncRead + Unpin),
    ) -> bool {
        let (window, delay) = {
            let state = road.shared.lock();
            (state.window, state.weather[self.way as usize].delay)
        };
        let room = window.saturating_sub(self.queued).min(READ);
        if self.ended || room == 0 {
            return false;
        }
        let mut buf = ReadBuf::new(&mut self.space[..room]);
        let read = Pin::new(from).poll_read(cx, &mut buf);
        if read.is_pending() {
            return false;
        }
        let bytes = BytesMut::from(buf.filled());
        if bytes.is_empty() {
            self.ended = true; // also after an error: nothing more will come
            return true;
        }
        if self.deaf {
            return true;
        }
        self.queued += bytes.len();
        let at = Instant::now() + delay;
        let at = self.queue.back().map_or(at, |(before, _)| at.max(*before));
        self.queue.push_back((at, bytes));
        true
    }

    /// Lets the next bytes arrive. `Ready(None)` when some did, and there may be more.
    fn let_out(
        &mut self,
        cx: &mut Context<'_>,
        road: &Road<'_>,
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<Option<Ending>> {
        let now = Instant::now();
        // Until bytes have passed and are counted: whoever hears them may add a flaw, which counts those that come later.
        let mut state = road.shared.lock();
        let weather = state.weather[self.way as usize];
        if weather.held {
            return Poll::Pending; // whoever releases it wakes us
        }
        if !self.inserted.is_empty() {
            return self.write_inserted(cx, to);
        }
        let waits_until = self.rests_until.max(self.queue.front().map(|(at, _)| *at));
        let mut offered = self.queue.front().map_or(0, |(_, bytes)| bytes.len());
        if waits_until.is_some_and(|until| now < until) {
            offered = 0;
        }
        if let Some((most, _)) = weather.drip {
            offered = offered.min(most);
        }
        let passing = match state.flaws.decide(road.id, self.way, offered) {
            Fate::Cut(ending) => return Poll::Ready(Some(ending)),
            Fate::Insert(bytes) => {
                self.inserted = BytesMut::from(&bytes[..]);
                return Poll::Ready(None);
            }
            Fate::Flip(bits) => {
                if let Some(byte) = self.queue.front_mut().and_then(|(_, bytes)| bytes.first_mut())
                {
                    *byte ^= bits;
                }
                return Poll::Ready(None);
            }
            Fate::Lose(bytes) => {
                self.advance(bytes);
                return Poll::Ready(None);
            }
            Fate::Pass(bytes) => bytes,
        };
        if passing > 0 {
            return self.pass(cx, (road.id, &mut state), to, passing);
        }
        match waits_until.filter(|until| now < *until) {
            Some(until) => self.wait(cx, until),
            None if self.ended && self.queue.is_empty() => self.finish(cx, to),
            None => Poll::Pending,
        }
    }

    fn pass(
        &mut self,
        cx: &mut Context<'_>,
        (id, state): (u64, &mut State),
        to: &mut (impl AsyncWrite + Unpin),
        passing: usize,
    ) -> Poll<Option<Ending>> {
        let Some((_, bytes)) = self.queue.front() else { return Poll::Pending };
        match Pin::new(to).poll_write(cx, &bytes[..passing]) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(count)) if count > 0 => {
                self.advance(count);
                state.flaws.passed(id, self.way, count);
                state.passed[self.way as usize] += count as u64;
                let drip = state.weather[self.way as usize].drip;
                self.rests_until = drip.map(|(_, every)| Instant::now() + every);
                if drip.is_some_and(|(_, every)| every.is_zero()) {
                    // Whoever reads gets its turn before more comes.
                    self.gives_way = true;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(None)
            }
            Poll::Ready(_) => self.go_deaf(),
        }
    }

    /// The receiver has gone, and the sender learns of it from the other lane: what it still says is lost.
    fn go_deaf(&mut self) -> Poll<Option<Ending>> {
        self.deaf = true;
        self.queue.clear();
        self.queued = 0;
        self.inserted.clear();
        Poll::Ready(None)
    }

    fn write_inserted(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<Option<Ending>> {
        match Pin::new(to).poll_write(cx, &self.inserted) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(count)) if count > 0 => {
                self.inserted.advance(count);
                Poll::Ready(None)
            }
            Poll::Ready(_) => self.go_deaf(),
        }
    }

    fn advance(&mut self, count: usize) {
        self.queued -= count;
        if let Some((_, bytes)) = self.queue.front_mut() {
            bytes.advance(count);
            if bytes.is_empty() {
                self.queue.pop_front();
            }
        }
    }

    fn wait(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<Option<Ending>> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if timer.deadline() != until {
            timer.as_mut().reset(until);
        }
        timer.as_mut().poll(cx).map(|()| None)
    }

    /// Passes the sender's last word on.
    fn finish(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<Option<Ending>> {
        self.done = self.deaf || Pin::new(to).poll_shutdown(cx).is_ready();
        if self.done { Poll::Ready(None) } else { Poll::Pending }
    }
}
