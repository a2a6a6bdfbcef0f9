//! The shapes: nothing but what they share and who does what.

use bytes::BytesMut;
use resp::{Decoder, Frame, Limits, Protocol, encode};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// One way to share a connection.
pub(crate) trait Shape: Clone + Send + Sync + 'static {
    fn connect(address: &str) -> impl Future<Output = io::Result<Self>> + Send;

    /// Takes a lock and gives it back, by plain commands.
    fn pair(&self, key: &str, token: &str) -> impl Future<Output = ()> + Send;
}

/// What all callers of a connection share.
struct Shared {
    writer: OwnedWriteHalf,
    state: Mutex<State>,
    /// Only whoever reads takes it.
    intake: Mutex<Intake>,
}

#[derive(Default)]
struct State {
    out: BytesMut,
    slots: Vec<Slot>,
    free: Vec<usize>,
    /// Those that owe a reply, oldest first.
    order: VecDeque<usize>,
    /// Somebody is writing.
    writing: bool,
    /// The last replies woke several, who are about to ask again.
    crowded: bool,
    /// Who is to write what callers leave, and whether it knows.
    writer: Option<Waker>,
    notified: bool,
    /// The slot of whoever drives.
    leader: Option<usize>,
}

#[derive(Default)]
struct Slot {
    waker: Option<Waker>,
    reply: Option<Frame>,
}

struct Intake {
    reader: OwnedReadHalf,
    decoder: Decoder,
    received: BytesMut,
}

impl Shared {
    async fn connect(address: &str) -> io::Result<Arc<Self>> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let decoder = Decoder::new(Protocol::Resp2, Limits::default());
        let (reader, writer) = socket.into_split();
        let intake = Intake { reader, decoder, received: BytesMut::with_capacity(32 << 10) };
        Ok(Arc::new(Self { writer, state: Mutex::default(), intake: Mutex::new(intake) }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues one command; gives its slot, and whether nothing else is on its way.
    fn queue(&self, args: &[&[u8]], waker: &Waker) -> (usize, bool, Option<Waker>) {
        let mut state = self.state();
        encode::command(args, &mut state.out);
        let slot = state.free.pop().unwrap_or_else(|| {
            state.slots.push(Slot::default());
            state.slots.len() - 1
        });
        state.slots[slot].waker = Some(waker.clone());
        state.order.push_back(slot);
        let alone = state.order.len() == 1 && !state.crowded;
        let told = std::mem::replace(&mut state.notified, true);
        let writer = if alone || told { None } else { state.writer.clone() };
        if alone && !told {
            state.notified = false;
        }
        (slot, alone, writer)
    }

    /// Writes all that is queued. The socket of a server that reads takes it; a partial write is written on at once.
    fn flush(&self) {
        loop {
            let mut bytes = {
                let mut state = self.state();
                if state.writing || state.out.is_empty() {
                    return;
                }
                state.writing = true;
                std::mem::take(&mut state.out)
            };
            let mut written = 0;
            while written < bytes.len() {
                match self.writer.try_write(&bytes[written..]) {
                    Ok(count) => written += count,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        std::thread::yield_now();
                    }
                    Err(error) => panic!("the server went away: {error}"),
                }
            }
            bytes.clear();
            let mut state = self.state();
            state.writing = false;
            if state.out.is_empty() {
                state.out = bytes; // its memory is used again
                return;
            }
        }
    }

    /// Reads what is there and gives it to whom it belongs; tells how many others were woken. `None` once the socket sleeps.
    fn read(&self, cx: &mut Context<'_>, own: Option<usize>) -> Option<usize> {
        let mut intake = self.intake.lock().unwrap_or_else(PoisonError::into_inner);
        let intake = &mut *intake;
        intake.received.reserve(4 << 10);
        match pin!(intake.reader.read_buf(&mut intake.received)).poll(cx) {
            Poll::Pending => return None,
            Poll::Ready(Ok(count)) if count > 0 => {}
            Poll::Ready(end) => panic!("the server went away: {end:?}"),
        }
        let mut wakers = Vec::new();
        {
            let mut state = self.state();
            while let Some(frame) = intake.decoder.decode(&mut intake.received).expect("in order") {
                let slot = state.order.pop_front().expect("it was asked for");
                let waker = state.slots[slot].waker.take();
                state.slots[slot].reply = Some(frame);
                wakers.extend(waker.filter(|_| own != Some(slot)));
            }
            state.crowded = wakers.len() > 1;
        }
        let woken = wakers.len();
        wakers.into_iter().for_each(Waker::wake);
        Some(woken)
    }

    fn take(&self, slot: usize) -> Option<Frame> {
        let mut state = self.state();
        let reply = state.slots[slot].reply.take()?;
        state.free.push(slot);
        Some(reply)
    }
}

/// A command, queued when it is polled first, whose reply somebody else reads.
struct Ask<'a> {
    shared: &'a Shared,
    args: &'a [&'a [u8]],
    /// Whether a caller that is alone writes by itself.
    direct: bool,
    slot: Option<usize>,
}

impl Future for Ask<'_> {
    type Output = Frame;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Frame> {
        let Some(slot) = self.slot else {
            let (slot, alone, writer) = self.shared.queue(self.args, cx.waker());
            self.slot = Some(slot);
            match writer {
                Some(writer) => writer.wake(),
                None if alone && self.direct => self.shared.flush(),
                None if alone => self.shared.wake_writer(),
                None => {}
            }
            return Poll::Pending;
        };
        self.shared.take(slot).map_or(Poll::Pending, Poll::Ready)
    }
}

impl Shared {
    fn wake_writer(&self) {
        let writer = {
            let mut state = self.state();
            state.notified = true;
            state.writer.clone()
        };
        writer.into_iter().for_each(Waker::wake);
    }

    /// Whoever writes for the callers looks at the queue from now on.
    fn begin_turn(&self, cx: &Context<'_>) {
        let mut state = self.state();
        state.notified = false;
        if !state.writer.as_ref().is_some_and(|writer| writer.will_wake(cx.waker())) {
            state.writer = Some(cx.waker().clone());
        }
    }
}

/// SET and DELIFEQ, asked by `ask`.
macro_rules! pair {
    ($key:expr, $token:expr, $ask:expr) => {{
        let (key, token) = ($key.as_bytes(), $token.as_bytes());
        let set: [&[u8]; 6] = [b"SET", key, token, b"NX", b"PX", b"10000"];
        let reply = $ask(&set).await;
        assert!(matches!(reply, Frame::Simple(ref ok) if ok == "OK"), "{reply:?}");
        let delete: [&[u8]; 3] = [b"DELIFEQ", key, token];
        assert_eq!($ask(&delete).await, Frame::Integer(1));
    }};
}

/// One task reads for all, and writes what callers leave.
#[derive(Clone)]
pub(crate) struct Driver(Arc<Shared>);

impl Shape for Driver {
    async fn connect(address: &str) -> io::Result<Self> {
        let shared = Shared::connect(address).await?;
        let driven = Arc::clone(&shared);
        tokio::spawn(poll_fn(move |cx| -> Poll<()> {
            driven.begin_turn(cx);
            let mut woken = 0;
            while let Some(more) = driven.read(cx, None) {
                woken += more;
            }
            if woken > 1 {
                cx.waker().wake_by_ref(); // their turn first, then one write for all they ask
            } else {
                driven.flush();
            }
            Poll::Pending
        }));
        Ok(Self(shared))
    }

    async fn pair(&self, key: &str, token: &str) {
        let shared = &*self.0;
        pair!(key, token, |args| Ask { shared, args, direct: true, slot: None });
    }
}

/// One task writes, another reads.
#[derive(Clone)]
pub(crate) struct Split(Arc<Shared>);

impl Shape for Split {
    async fn connect(address: &str) -> io::Result<Self> {
        let shared = Shared::connect(address).await?;
        let (writes, reads) = (Arc::clone(&shared), Arc::clone(&shared));
        tokio::spawn(poll_fn(move |cx| -> Poll<()> {
            writes.begin_turn(cx);
            writes.flush();
            Poll::Pending
        }));
        tokio::spawn(poll_fn(move |cx| -> Poll<()> {
            while reads.read(cx, None).is_some() {}
            Poll::Pending
        }));
        Ok(Self(shared))
    }

    async fn pair(&self, key: &str, token: &str) {
        let shared = &*self.0;
        pair!(key, token, |args| Ask { shared, args, direct: false, slot: None });
    }
}

/// One of the callers that wait reads for all.
#[derive(Clone)]
pub(crate) struct Leader(Arc<Shared>);

impl Shape for Leader {
    async fn connect(address: &str) -> io::Result<Self> {
        Ok(Self(Shared::connect(address).await?))
    }

    async fn pair(&self, key: &str, token: &str) {
        let shared = &*self.0;
        pair!(key, token, |args| Lead { shared, args, slot: None, yielded: false });
    }
}

/// A command whose caller reads, for itself and for others, while nobody else does.
struct Lead<'a> {
    shared: &'a Shared,
    args: &'a [&'a [u8]],
    slot: Option<usize>,
    yielded: bool,
}

impl Future for Lead<'_> {
    type Output = Frame;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Frame> {
        let shared = self.shared;
        let slot = match self.slot {
            Some(slot) => slot,
            None => {
                let (slot, alone, writer) = shared.queue(self.args, cx.waker());
                self.slot = Some(slot);
                if alone {
                    shared.flush();
                }
                writer.into_iter().for_each(Waker::wake);
                slot
            }
        };
        let leads = {
            let mut state = shared.state();
            if state.slots[slot].reply.is_none() && state.leader.is_none() {
                state.leader = Some(slot);
            }
            state.leader == Some(slot)
        };
        if !leads {
            return shared.take(slot).map_or(Poll::Pending, Poll::Ready);
        }
        shared.begin_turn(cx);
        let crowded = shared.state().crowded;
        if crowded && !std::mem::replace(&mut self.yielded, true) {
            let _ = pin!(tokio::task::yield_now()).poll(cx); // others ask first
            return Poll::Pending;
        }
        self.yielded = false;
        shared.state().crowded = false;
        shared.flush();
        loop {
            let read = shared.read(cx, Some(slot));
            if let Some(reply) = shared.take(slot) {
                shared.hand_on();
                return Poll::Ready(reply);
            }
            match read {
                None => return Poll::Pending,
                Some(woken) if woken > 1 => {
                    let _ = pin!(tokio::task::yield_now()).poll(cx);
                }
                Some(_) => {}
            }
        }
    }
}

impl Shared {
    /// The leader has its reply: the oldest of the others leads from now on.
    fn hand_on(&self) {
        let next = {
            let mut state = self.state();
            state.leader = None;
            state.writer = None;
            let next = state.order.front().copied();
            next.and_then(|slot| state.slots[slot].waker.clone())
        };
        next.into_iter().for_each(Waker::wake);
    }
}
