//! The simulated network: in-memory links with latency, which can be held, cut after a byte, slowed down to single bytes, or
//! lose one end without a word.
//!
//! Links keep bytes in order and lose none, as TCP does; what a fault takes away is time, or the connection. Time is tokio's,
//! so a paused clock makes a run repeatable to the byte.

use crate::sync::lock;
use bytes::{Buf as _, Bytes};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    ToServer,
    ToClient,
}

/// How the links of one process behave, those that are open and those to come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    pub(crate) latency: Duration,
    /// The most bytes that one read or write moves.
    pub(crate) grain: usize,
    /// The most bytes that are under way.
    pub(crate) window: usize,
    held: [bool; 2],
}

impl Weather {
    /// Nothing goes wrong.
    pub(crate) fn fair(latency: Duration) -> Self {
        Self { latency, grain: usize::MAX, window: 64 << 10, held: [false; 2] }
    }
}

/// The network of one process: every link between it and the server.
#[derive(Debug, Clone)]
pub(crate) struct Net(Arc<Mutex<Links>>);

#[derive(Debug)]
struct Links {
    weather: Weather,
    open: Vec<Weak<Mutex<Link>>>,
    /// Dials that wait for the network.
    waiting: Vec<Waker>,
    /// The process is gone: nothing it still says leaves it.
    dead: bool,
}

#[derive(Debug)]
struct Link {
    pipes: [Pipe; 2],
    weather: Weather,
    /// Both ends see a reset.
    reset: bool,
}

/// One direction.
#[derive(Debug, Default)]
struct Pipe {
    queue: VecDeque<(Instant, Bytes)>,
    queued: usize,
    passed: u64,
    /// Reset the link once so many bytes have been read.
    cut_at: Option<u64>,
    /// The writer has said its last word.
    ended: bool,
    /// Nobody reads any more, and nobody says so.
    deaf: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// One end of a link.
#[derive(Debug)]
pub(crate) struct End {
    link: Arc<Mutex<Link>>,
    reads: Way,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Net {
    pub(crate) fn new(weather: Weather) -> Self {
        let links = Links { weather, open: Vec::new(), waiting: Vec::new(), dead: false };
        Self(Arc::new(Mutex::new(links)))
    }

    /// Opens a link after a round trip, once the network lets bytes pass both ways: the client's end, and the server's.
    pub(crate) async fn dial(&self) -> (End, End) {
        let latency = lock(&self.0).weather.latency;
        sleep(latency * 2).await;
        std::future::poll_fn(|cx| {
            let mut links = lock(&self.0);
            if links.weather.held == [false; 2] && !links.dead {
                return Poll::Ready(());
            }
            links.waiting.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
        let mut links = lock(&self.0);
        let link = Link { pipes: Default::default(), weather: links.weather, reset: false };
        let link = Arc::new(Mutex::new(link));
        links.open.retain(|link| link.strong_count() > 0);
        links.open.push(Arc::downgrade(&link));
        let near = End { link: Arc::clone(&link), reads: Way::ToClient, timer: None };
        (near, End { link, reads: Way::ToServer, timer: None })
    }

    /// Changes how links behave.
    pub(crate) fn change(&self, change: impl Fn(&mut Weather)) {
        let mut links = lock(&self.0);
        change(&mut links.weather);
        for waker in links.waiting.drain(..) {
            waker.wake();
        }
        links.each(|link| {
            change(&mut link.weather);
            link.wake();
        });
    }

    /// Holds bytes back that go this way, or lets them go on.
    pub(crate) fn hold(&self, way: Way, held: bool) {
        self.change(|weather| weather.held[way as usize] = held);
    }

    /// Resets every link now.
    pub(crate) fn reset(&self) {
        lock(&self.0).each(Link::reset);
    }

    /// Resets every open link once `bytes` more have come through this way.
    pub(crate) fn cut_after(&self, way: Way, bytes: u64) {
        lock(&self.0).each(|link| {
            let pipe = &mut link.pipes[way as usize];
            pipe.cut_at = Some(pipe.passed + bytes);
        });
    }

    /// The process dies together with its machine: nothing that is still under way arrives, nothing more is sent, and the server
    /// is not told. With `reset` only the process dies, and its machine tells the server.
    pub(crate) fn die(&self, reset: bool) {
        let mut links = lock(&self.0);
        links.dead = true;
        links.each(|link| {
            if reset {
                link.reset();
            } else {
                for pipe in &mut link.pipes {
                    pipe.queue.clear();
                    pipe.queued = 0;
                    pipe.deaf = true;
                }
            }
        });
    }

    /// Everything goes well again.
    pub(crate) fn heal(&self, latency: Duration) {
        self.change(|weather| *weather = Weather::fair(latency));
        lock(&self.0).each(|link| link.pipes.iter_mut().for_each(|pipe| pipe.cut_at = None));
    }
}

impl Links {
    fn each(&mut self, mut act: impl FnMut(&mut Link)) {
        for link in self.open.iter().filter_map(Weak::upgrade) {
            act(&mut lock(&link));
        }
    }
}

impl Link {
    fn wake(&mut self) {
        for pipe in &mut self.pipes {
            pipe.reader.take().into_iter().chain(pipe.writer.take()).for_each(Waker::wake);
        }
    }

    fn reset(&mut self) {
        self.reset = true;
        self.wake();
    }
}

impl End {
    fn writes(&self) -> usize {
        1 - self.reads as usize
    }
}

impl AsyncRead for End {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let shared = Arc::clone(&self.link);
        let mut link = lock(&shared);
        if link.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let (held, grain) = (link.weather.held[self.reads as usize], link.weather.grain);
        let pipe = &mut link.pipes[self.reads as usize];
        pipe.reader = Some(cx.waker().clone());
        if held || pipe.deaf {
            return Poll::Pending;
        }
        let Some((due, bytes)) = pipe.queue.front_mut() else {
            return if pipe.ended { Poll::Ready(Ok(())) } else { Poll::Pending };
        };
        let due = *due;
        if due > Instant::now() {
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
            if timer.deadline() != due {
                timer.as_mut().reset(due);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
        let left = pipe.cut_at.map_or(u64::MAX, |at| at - pipe.passed);
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        let count = bytes.len().min(into.remaining()).min(grain).min(left);
        into.put_slice(&bytes[..count]);
        bytes.advance(count);
        if bytes.is_empty() {
            pipe.queue.pop_front();
        }
        pipe.queued -= count;
        pipe.passed += count as u64;
        if let Some(waker) = pipe.writer.take() {
            waker.wake();
        }
        if count == left {
            link.reset();
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for End {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut link = lock(&self.link);
        if link.reset {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let Weather { latency, grain, window, .. } = link.weather;
        let pipe = &mut link.pipes[self.writes()];
        if pipe.deaf {
            return Poll::Ready(Ok(bytes.len())); // the kernel takes it, and nobody will ever read it
        }
        let count = bytes.len().min(grain).min(window.saturating_sub(pipe.queued));
        if count == 0 {
            pipe.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let due = Instant::now() + latency;
        let due = pipe.queue.back().map_or(due, |(last, _)| due.max(*last));
        pipe.queue.push_back((due, Bytes::copy_from_slice(&bytes[..count])));
        pipe.queued += count;
        if let Some(waker) = pipe.reader.take() {
            waker.wake();
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut link = lock(&self.link);
        let pipe = &mut link.pipes[self.writes()];
        pipe.ended = true;
        if let Some(waker) = pipe.reader.take() {
            waker.wake();
        }
        Poll::Ready(Ok(()))
    }
}

/// As when a socket is closed: what was written still arrives, and what comes from now on meets a reset.
impl Drop for End {
    fn drop(&mut self) {
        let mut link = lock(&self.link);
        let (reads, writes) = (self.reads as usize, self.writes());
        link.pipes[writes].ended = true;
        link.pipes[reads].deaf = true;
        link.wake();
    }
}
