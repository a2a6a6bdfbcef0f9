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
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// Room that is made for each read.
const READ: usize = 16 * 1024;
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
        let too_many = core.connections() >= core.max_clients;
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
            match decoder.decode(&mut buffer) {
                Ok(Some(args)) => {
                    if execute(&shared, id, &args).await == Next::Stop {
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
        Next::Sleep(by) | Next::Stall(by) => sleep(by).await,
        Next::Unpaused => shared.look_again(),
        Next::Go | Next::Stop => {}
    }
    next
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
                if stream.write_all(&bytes).await.is_err() {
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
