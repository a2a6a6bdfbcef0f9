//! One connection: a task that reads and executes, and one that writes.
//!
//! They are two so that a client which sends without reading never stops the server from reading.

use crate::core::{Shared, Turn};
use crate::dispatch::Next;
use crate::fault::Effect;
use crate::session::ClientId;
use crate::state::Output;
use bytes::{Bytes, BytesMut};
use resp::{Limits, RequestDecoder};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// Room that is made for each read.
const READ: usize = 16 * 1024;
/// Bytes that are read ahead while a command waits.
const AHEAD: usize = 1 << 20;
const FOR_EVER: Duration = Duration::from_secs(1 << 30);
const TOO_MANY: &[u8] = b"-ERR max number of clients reached\r\n";

/// Serves a stream on tasks of its own until either side ends it.
pub(crate) fn serve<S>(shared: &Arc<Shared>, stream: S, peer: Option<String>, local: String)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (reader, writer) = tokio::io::split(stream);
    let wake = Arc::new(Notify::new());
    let shared = Arc::clone(shared);
    // The tasks are made under the lock: they cannot run before they can be ended.
    shared.with(|core, now| {
        if core.turns_away() {
            return;
        }
        let too_many = core.is_full();
        let id = core.state.connect(peer, local, now);
        let mut tasks = Vec::new();
        if !too_many {
            tasks.push(tokio::spawn(read(Arc::clone(&shared), id, reader)).abort_handle());
        }
        let write = write(Arc::clone(&shared), id, Arc::clone(&wake), writer);
        tasks.push(tokio::spawn(write).abort_handle());
        core.link(id, wake, tasks);
        if too_many {
            core.state.emit(id, Output::Bytes(BytesMut::from(TOO_MANY)));
            core.state.close(id);
        }
    });
}

/// Reads requests and executes them in turn, until the client ends or nothing more is to be taken up.
async fn read<R: AsyncRead + Unpin>(shared: Arc<Shared>, id: ClientId, mut stream: R) {
    let mut decoder = RequestDecoder::new(Limits::default());
    let mut buffer = BytesMut::new();
    loop {
        loop {
            if shared.with(|core, _| core.state.is_stranger(id)) {
                decoder.restrict();
            } else {
                decoder.trust();
            }
            match decoder.decode(&mut buffer) {
                Ok(Some(args)) => {
                    let goes_on = match execute(&shared, id, &args).await {
                        Next::Stop => return,
                        Next::Block => wait(&shared, id, &mut stream, &mut buffer).await,
                        _ => true,
                    };
                    if !goes_on {
                        shared.with(|core, _| core.end(id));
                        return;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    shared.with(|core, _| core.state.protocol_error(id, &error));
                    return;
                }
            }
        }
        buffer.reserve(READ);
        if !matches!(stream.read_buf(&mut buffer).await, Ok(1..)) {
            shared.with(|core, _| core.end(id));
            return;
        }
    }
}

/// Takes one request up as soon as nothing holds it.
async fn execute(shared: &Shared, id: ClientId, args: &[Bytes]) -> Next {
    shared.pass(args).await;
    let mut effect = shared.with(|core, _| core.state.rules.pick(id, args));
    match effect {
        Some(Effect::Freeze) => {
            shared.with(|core, _| core.frozen = true);
            shared.pass(args).await;
            effect = None;
        }
        Some(Effect::DelayRequest(by)) => {
            sleep(by).await;
            shared.pass(args).await;
            effect = None;
        }
        _ => {}
    }
    let next = shared.with(|core, now| {
        let next = core.state.request(id, args, effect, now);
        if let Next::Stall(by) = next {
            core.stall(by);
        }
        next
    });
    match next {
        Next::Stall(by) => sleep(by).await,
        Next::Unpaused => shared.look_again(),
        Next::Go | Next::Block | Next::Stop => {}
    }
    next
}

/// Waits until a command that waits is answered; tells whether the client is still there. What it sends meanwhile is kept.
async fn wait<R: AsyncRead + Unpin>(
    shared: &Shared,
    id: ClientId,
    stream: &mut R,
    buffer: &mut BytesMut,
) -> bool {
    loop {
        let mut opened = pin!(shared.gate().notified());
        opened.as_mut().enable(); // before the look, so that no wake-up falls in between
        let Some(left) = shared.with(|core, now| core.state.blocked_for(id, now)) else {
            return true;
        };
        let mut timer = pin!(sleep(left.unwrap_or(FOR_EVER)));
        let full = buffer.len() > AHEAD;
        buffer.reserve(READ);
        let mut read = pin!(stream.read_buf(buffer));
        let gone = poll_fn(|cx| {
            if opened.as_mut().poll(cx).is_ready() || timer.as_mut().poll(cx).is_ready() {
                return Poll::Ready(false);
            }
            if full {
                return Poll::Pending;
            }
            read.as_mut().poll(cx).map(|read| !matches!(read, Ok(1..)))
        });
        if gone.await {
            return false;
        }
    }
}

/// Writes what is queued, until it is told to end or the client has gone.
async fn write<W: AsyncWrite + Unpin>(
    shared: Arc<Shared>,
    id: ClientId,
    wake: Arc<Notify>,
    mut stream: W,
) {
    loop {
        match shared.turn(id) {
            Turn::Do(Output::Bytes(bytes)) => {
                // A stream of the caller's may keep back what it was given.
                if stream.write_all(&bytes).await.is_err() || stream.flush().await.is_err() {
                    break;
                }
            }
            Turn::Do(Output::Pause(by)) => sleep(by).await,
            Turn::Do(Output::Close | Output::Kill) => break,
            Turn::Wait(None) => wake.notified().await,
            Turn::Wait(Some(due)) => {
                if timeout(due, wake.notified()).await.is_err() {
                    shared.with(|core, now| core.state.expire_all(now));
                }
            }
        }
    }
    // A client that has gone already cannot be told.
    let _ = stream.shutdown().await;
    shared.with(|core, _| core.gone(id));
}
