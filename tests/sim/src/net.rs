//! The simulated network: one [`Link`] in front of each process, with latency, whose connections can be held, cut after a byte,
//! slowed down, or lose one end without a word.
//!
//! Links keep bytes in order and lose none, as TCP does; what a fault takes away is time, or the connection. Time is tokio's,
//! so a paused clock makes a run repeatable to the byte.

use crate::sync::lock;
use std::io;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;
use tenure_server::{Ending, Flaw, Link, LinkStream, Server, Way};
use tokio::time::sleep;

const WAYS: [Way; 2] = [Way::ToServer, Way::ToClient];

/// Bytes that are on their way at once in each direction, unless set.
const WINDOW: usize = 64 << 10;

/// The network of one process: every connection between it and the server.
#[derive(Debug, Clone)]
pub(crate) struct Net {
    link: Link,
    weather: Arc<Mutex<Weather>>,
}

#[derive(Debug)]
struct Weather {
    latency: Duration,
    held: [bool; 2],
    /// Dials that wait for the network.
    waiting: Vec<Waker>,
    /// The process is gone: nothing it still says leaves it.
    dead: bool,
}

impl Net {
    pub(crate) fn new(latency: Duration) -> Self {
        let weather = Weather { latency, held: [false; 2], waiting: Vec::new(), dead: false };
        let net = Self { link: Link::new(), weather: Arc::new(Mutex::new(weather)) };
        net.set_latency(latency);
        net
    }

    /// Opens a connection after a round trip, once the network lets bytes pass both ways.
    pub(crate) async fn dial(&self, server: &Server) -> io::Result<LinkStream> {
        let latency = lock(&self.weather).latency;
        sleep(latency * 2).await;
        // Not by `Link::ignore`: those whom it leaves waiting are let in in random order.
        std::future::poll_fn(|cx| {
            let mut weather = lock(&self.weather);
            if weather.held == [false; 2] && !weather.dead {
                return Poll::Ready(());
            }
            weather.waiting.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
        self.link.over(server.dialer())().await
    }

    pub(crate) fn set_latency(&self, latency: Duration) {
        lock(&self.weather).latency = latency;
        WAYS.iter().for_each(|way| self.link.delay(*way, latency));
    }

    /// Moves at most so many bytes at once.
    pub(crate) fn set_grain(&self, bytes: usize) {
        WAYS.iter().for_each(|way| self.link.drip(*way, bytes, Duration::ZERO));
    }

    /// Has at most so many bytes under way.
    pub(crate) fn set_window(&self, bytes: usize) {
        self.link.window(bytes);
    }

    /// Holds bytes back that go this way, and whoever dials, or lets them go on.
    pub(crate) fn hold(&self, way: Way, held: bool) {
        match held {
            true => self.link.hold(way),
            false => self.link.release(way),
        }
        let mut weather = lock(&self.weather);
        weather.held[way as usize] = held;
        weather.waiting.drain(..).for_each(Waker::wake);
    }

    /// Resets every connection now.
    pub(crate) fn reset(&self) {
        self.link.cut(Ending::Reset);
    }

    /// Resets every open connection, each once so many more bytes of its own have come through this way.
    pub(crate) fn cut_after(&self, way: Way, bytes: u64) {
        for connection in self.link.connections() {
            let cut = Flaw::cut(way, Ending::Reset).after(bytes);
            self.link.flaw(cut.on_connection(connection));
        }
    }

    /// The process dies together with its machine: nothing that is still under way arrives, nothing more is sent, and the server
    /// is not told. With `reset` only the process dies, and its machine tells the server.
    pub(crate) fn die(&self, reset: bool) {
        lock(&self.weather).dead = true;
        self.link.cut(if reset { Ending::Reset } else { Ending::Silence });
    }

    /// At last somebody tells the server of machines that are gone.
    pub(crate) fn bury(&self) {
        self.link.reap();
    }

    /// Everything goes well again.
    pub(crate) fn heal(&self, latency: Duration) {
        self.link.heal();
        self.link.window(WINDOW);
        self.set_latency(latency);
        WAYS.iter().for_each(|way| self.hold(*way, false));
    }
}
