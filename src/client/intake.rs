//! The reading half of a socket: bytes to frames, as many as there are.

use crate::error::{Error, ErrorKind, Outcome};
use crate::net::Reader;
use bytes::BytesMut;
use resp::{Decoder, Frame};
use std::pin::pin;
use std::task::{Context, Poll};
use tokio::io::AsyncReadExt as _;

/// The room for one read: a segment stays below the 64 KiB that a slice of a reply may pin.
const READ: usize = 32 << 10;
/// Reads per turn, so that a flood cannot keep the driver from writing.
const READS_PER_TURN: usize = 16;

/// What is read, and what of it waits to be given out.
pub(crate) struct Intake {
    reader: Reader,
    decoder: Decoder,
    received: BytesMut,
    /// Replies, and pushes if anybody listens, in order.
    pub(crate) frames: Vec<Frame>,
    pub(crate) listens: bool,
}

impl Intake {
    /// `received` has come already.
    pub(crate) fn new(reader: Reader, decoder: Decoder, received: BytesMut, listens: bool) -> Self {
        Self { reader, decoder, received, frames: Vec::new(), listens }
    }

    /// Reads and decodes what is there; tells whether anything was. Gives the reason once nothing more can come; what came
    /// before it still counts.
    pub(crate) fn read(&mut self, cx: &mut Context<'_>) -> (bool, Option<Error>) {
        let mut heard = false;
        for _ in 0..READS_PER_TURN {
            if let Err(error) = self.decode() {
                return (heard, Some(error));
            }
            if self.received.capacity() - self.received.len() < READ / 8 {
                self.received.reserve(READ);
            }
            match pin!(self.reader.read_buf(&mut self.received)).poll(cx) {
                Poll::Pending => return (heard, None),
                Poll::Ready(Ok(0)) => {
                    return (heard, Some(disconnected("the server closed the connection")));
                }
                Poll::Ready(Ok(_)) => heard = true,
                Poll::Ready(Err(error)) => {
                    return (heard, Some(disconnected(format!("reading failed: {error}"))));
                }
            }
        }
        cx.waker().wake_by_ref(); // there may be more; others first
        (heard, None)
    }

    fn decode(&mut self) -> Result<(), Error> {
        loop {
            match self.decoder.decode(&mut self.received) {
                Ok(Some(Frame::Push(_))) if !self.listens => {} // nobody subscribes or tracks
                Ok(Some(frame)) => self.frames.push(frame),
                Ok(None) => return Ok(()),
                Err(error) => {
                    let message = format!("the server broke the protocol: {error}");
                    let kind = ErrorKind::Protocol;
                    return Err(Error::caused_by(kind, Outcome::Unknown, message, error));
                }
            }
        }
    }
}

pub(crate) fn disconnected(why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Disconnected, Outcome::Unknown, format!("the connection was lost: {why}"))
}
