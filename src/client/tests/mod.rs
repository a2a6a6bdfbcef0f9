//! The hand-shakes between callers, driver and socket, in every order in which threads can meet, by loom.
//!
//! Callers, their futures, the queue, the slots, the pen and the watched value are the shipped ones, on loom's locks. The driver
//! is reduced to how it takes part: it takes answers, gives them out, writes what is queued, and sleeps until it is woken. A
//! wake-up that gets lost is a deadlock, and loom finds it. What wakers and channels of tokio do inside is tokio's to prove.
//!
//! Only in a build with `--cfg tenure_loom`; `tests/run` makes one.

use crate::client::call::Call;
use crate::client::clock::{Span, Time};
use crate::client::encode::{self, Ink};
use crate::client::listener::Outbox;
use crate::client::pen::{Pen, Wrote};
use crate::client::queue::{Flush, State};
use crate::client::shared::Shared;
use crate::client::watch;
use crate::client::waves::Tally;
use crate::config::{Config, Overflow};
use crate::net::Stream;
use crate::observe::Purpose;
use loom::future::block_on;
use loom::sync::{Arc, Mutex};
use loom::thread;
use resp::Frame;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const PATIENCE: Duration = Duration::from_secs(3600);

/// A server that answers each command with its own last byte, at the other end of a socket that takes so much at once.
#[derive(Clone)]
struct Socket(Arc<Mutex<Wire>>);

struct Wire {
    room: usize,
    written: Vec<u8>,
    answered: usize,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Socket {
    fn new(room: usize) -> Self {
        Self(Arc::new(Mutex::new(Wire {
            room,
            written: Vec::new(),
            answered: 0,
            reader: None,
            writer: None,
        })))
    }

    /// The answers that have come since this was asked last; whoever asks is woken by the next ones.
    fn answers(&self, cx: &Context<'_>) -> Vec<Frame> {
        let mut wire = self.0.lock().unwrap();
        wire.reader = Some(cx.waker().clone());
        let whole = wire.written.len() / LEN;
        let first = std::mem::replace(&mut wire.answered, whole);
        let answer = |at: usize| Frame::Integer(i64::from(wire.written[(at + 1) * LEN - 3]));
        (first..whole).map(answer).collect()
    }

    /// The other end begins to read, and there is room from now on.
    fn drain(&self) {
        let writer = {
            let mut wire = self.0.lock().unwrap();
            wire.room = usize::MAX;
            wire.writer.take()
        };
        writer.into_iter().for_each(Waker::wake);
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut wire = self.0.lock().unwrap();
        let count = bytes.len().min(wire.room);
        if count == 0 {
            wire.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        wire.room -= count;
        wire.written.extend_from_slice(&bytes[..count]);
        let reader = wire.reader.take();
        drop(wire);
        reader.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending // answers are taken by `answers`
    }
}

/// `*1\r\n$1\r\n7\r\n`
const LEN: usize = 11;

fn say(word: u8) -> impl FnMut(&mut Ink) + Unpin {
    move |out: &mut Ink| encode::command(&[[word]], out)
}

/// A connection that is open, over this socket.
fn connection(socket: &Socket, config: Config) -> Arc<Shared> {
    let shared = Shared::new(config, Purpose::Data, |_| Vec::new(), None);
    let (_, writer) = Stream::Other(Box::new(socket.clone())).split();
    shared.lock().pen = Some(Box::new(Pen::new(writer, 0)));
    Arc::new(shared)
}

fn config() -> Config {
    Config::dialer(|| async { io::Result::<Socket>::Err(io::ErrorKind::NotConnected.into()) })
}

/// Takes part until so many commands are answered.
fn drive(shared: &Shared, socket: &Socket, mut commands: usize) {
    let mut out = Outbox::default();
    block_on(poll_fn(|cx| {
        let answers = socket.answers(cx);
        commands -= answers.len();
        let now = shared.clock.now();
        let crowded;
        let taken = {
            let mut state = shared.lock();
            state.begin_turn(cx.waker(), now);
            let State { slots, stats, .. } = &mut *state;
            let mut tally = Tally::new(now, stats);
            for mut answer in answers {
                slots.complete(&mut answer, &mut tally, &mut out).unwrap();
            }
            tally.finish();
            state.call_in(&mut out.wakers);
            // A crowd is never late here: what the models do must not depend on the time.
            crowded = state.lets_ask(out.wakers.len(), Time::default());
            (!crowded).then(|| state.take_pen(now))
        };
        out.wake();
        if commands == 0 {
            return Poll::Ready(());
        }
        match taken {
            Some(Ok(pen)) => match shared.write(pen, Some(cx)) {
                Wrote::More => drop(shared.flush(cx)),
                wrote => drop(wrote),
            },
            Some(Err(_)) => {}
            None if crowded => cx.waker().wake_by_ref(),
            None => drop(shared.flush(cx)),
        }
        Poll::Pending
    }));
}

fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

fn assert_nothing_left(shared: &Shared) {
    let state = shared.lock();
    assert_eq!((state.slots.len(), state.slots.bytes()), (0, 0));
}

fn assert_answered(answer: Result<Frame, crate::Error>, word: u8) {
    assert!(matches!(answer, Ok(Frame::Integer(said)) if said == i64::from(word)), "{answer:?}");
}

/// Two threads that each send a word, while this one is the driver.
fn two_callers(shared: &Arc<Shared>, socket: &Socket, call: fn(&Arc<Shared>, u8)) {
    let callers = [b'1', b'2'].map(|word| {
        let shared = Arc::clone(shared);
        thread::spawn(move || call(&shared, word))
    });
    drive(shared, socket, 2);
    callers.into_iter().for_each(|caller| caller.join().unwrap());
}

#[test]
fn each_caller_is_woken_with_its_own_answer_whoever_writes() {
    explore(2, || {
        let socket = Socket::new(usize::MAX);
        let shared = connection(&socket, config());
        two_callers(&shared, &socket, |shared, word| {
            assert_answered(block_on(Call::new(shared, Span::of(PATIENCE), say(word))), word);
        });
        assert_nothing_left(&shared);
    });
}

#[test]
fn what_callers_leave_to_the_driver_is_written() {
    explore(2, || {
        let socket = Socket::new(usize::MAX);
        let shared = connection(&socket, config());
        two_callers(&shared, &socket, |shared, word| {
            let id = shared.submit(Span::of(PATIENCE), Flush::Later, None, say(word)).unwrap();
            drop(shared.lock().slots.abandon(id));
        });
        assert_nothing_left(&shared);
    });
}

#[test]
fn what_a_full_socket_did_not_take_is_written_when_it_has_room() {
    explore(2, || {
        let socket = Socket::new(LEN - 4);
        let shared = connection(&socket, config());
        let caller = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                assert_answered(block_on(Call::new(&shared, Span::of(PATIENCE), say(b'1'))), b'1');
            })
        };
        let reader = {
            let socket = socket.clone();
            thread::spawn(move || socket.drain())
        };
        drive(&shared, &socket, 1);
        reader.join().unwrap();
        caller.join().unwrap();
    });
}

#[test]
fn caller_who_goes_at_any_moment_takes_nobody_elses_answer_with_it() {
    explore(2, || {
        let socket = Socket::new(usize::MAX);
        let shared = connection(&socket, config());
        let goer = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let mut call = Box::pin(Call::new(&shared, Span::of(PATIENCE), say(b'1')));
                let _ = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            })
        };
        let stayer = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                assert_answered(block_on(Call::new(&shared, Span::of(PATIENCE), say(b'2'))), b'2');
            })
        };
        drive(&shared, &socket, 2);
        goer.join().unwrap();
        stayer.join().unwrap();
        assert_nothing_left(&shared);
    });
}

#[test]
fn caller_in_line_is_called_when_there_is_room_also_if_the_one_before_it_goes() {
    explore(1, || {
        let socket = Socket::new(usize::MAX);
        let shared = connection(&socket, config().max_queued_bytes(0).overflow(Overflow::Wait));
        two_callers(&shared, &socket, |shared, word| {
            assert_answered(block_on(Call::new(shared, Span::of(PATIENCE), say(word))), word);
        });
    });
}

#[test]
fn closing_wakes_a_driver_that_sleeps() {
    explore(3, || {
        let shared = connection(&Socket::new(usize::MAX), config());
        let closer = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.close())
        };
        block_on(poll_fn(|cx| {
            let mut state = shared.lock();
            state.begin_turn(cx.waker(), shared.clock.now());
            if state.closing { Poll::Ready(()) } else { Poll::Pending }
        }));
        closer.join().unwrap();
    });
}

#[test]
fn watched_value_is_never_missed_nor_its_end() {
    explore(3, || {
        let sender = watch::Sender::new(0);
        let mut receivers = [(); 2].map(|()| sender.subscribe());
        let changer = thread::spawn(move || {
            sender.send(1);
            sender.send(2);
        });
        let [first, second] = &mut receivers;
        let waits = |receiver: &mut watch::Receiver<i32>| {
            let mut last = 0;
            while block_on(pin!(receiver.changed())).is_ok() {
                let now = receiver.look(|value| *value);
                assert!(now >= last);
                last = now;
            }
            assert_eq!(last, 2, "the last value is seen");
        };
        waits(first);
        waits(second);
        changer.join().unwrap();
    });
}
