//! The reading half of a socket: bytes to frames, as many as there are.

use crate::client::arrivals::Arrivals;
use crate::error::{Error, ErrorKind, Outcome};
use crate::net::{Glance, Reader};
use bytes::BytesMut;
use resp::Decoder;
use std::io;
use std::task::{Context, Poll};

/// The room for one read, from an idle connection to a busy one: a segment stays below the 64 KiB that a slice of a reply may
/// pin.
const LEAST: usize = 4 << 10;
const MOST: usize = 32 << 10;
/// Reads per turn, so that a flood cannot keep the driver from writing.
const READS_PER_TURN: usize = 16;

/// What is read, and what of it waits to be given out.
pub(crate) struct Intake {
    reader: Reader,
    /// For whoever looks before the reactor is asked.
    glance: Option<Glance>,
    decoder: Decoder,
    received: BytesMut,
    /// Replies, and pushes if anybody listens, in order.
    pub(crate) frames: Arrivals,
    pub(crate) listens: bool,
    /// The room for the next read, and the largest read since memory was given back last.
    room: usize,
    peak: usize,
    /// Reads and their bytes since these were taken over.
    pub(crate) reads: u64,
    pub(crate) bytes: u64,
}

impl Intake {
    /// `received` has come already.
    pub(crate) fn new(reader: Reader, decoder: Decoder, received: BytesMut, listens: bool) -> Self {
        let frames = Arrivals::default();
        Self {
            reader,
            glance: None,
            decoder,
            received,
            frames,
            listens,
            room: LEAST,
            peak: 0,
            reads: 0,
            bytes: 0,
        }
    }

    /// From now on it can be looked at, if it is a socket.
    pub(crate) fn allow_glances(&mut self) {
        self.glance = self.reader.glance();
    }

    /// Takes what is there without asking the reactor; tells whether anything was. What it was comes out of the next
    /// [`Intake::read`], which is to follow at once.
    ///
    /// # Errors
    ///
    /// If nothing more can come.
    pub(crate) fn glance(&mut self) -> Result<bool, Error> {
        let Some(glance) = &mut self.glance else { return Ok(false) };
        let count = glance.read(&mut self.received).map_err(failed)?;
        self.reads += u64::from(count > 0);
        self.bytes += count as u64;
        Ok(count > 0)
    }

    /// Reads, their bytes, and the frames that wait to be given out.
    pub(crate) fn seen(&self) -> (u64, u64, u64) {
        (self.reads, self.bytes, self.frames.len() as u64)
    }

    /// Gives memory back that a burst has taken.
    pub(crate) fn trim(&mut self) {
        let peak = std::mem::take(&mut self.peak);
        self.room = (2 * peak).clamp(LEAST, self.room);
        if self.received.is_empty() && self.received.capacity() > 2 * self.room {
            self.received = BytesMut::new();
        }
        // No reply is shorter than three bytes.
        self.frames.trim(peak / 3);
    }

    /// Reads and decodes what is there; tells whether anything was. Gives the reason once nothing more can come; what came
    /// before it still counts.
    #[inline(always)] // one function with the driver's turn
    pub(crate) fn read(&mut self, cx: &mut Context<'_>) -> (bool, Option<Error>) {
        let mut heard = false;
        if !self.received.is_empty() {
            if let Err(error) = self.decode() {
                return (heard, Some(error));
            }
        }
        for _ in 0..READS_PER_TURN {
            if self.received.capacity() - self.received.len() < self.room / 4 {
                self.received.reserve(self.room);
            }
            match self.reader.poll_read(cx, &mut self.received) {
                Poll::Pending => return (heard, None),
                Poll::Ready(Ok(0)) => {
                    return (heard, Some(disconnected("the server closed the connection")));
                }
                Poll::Ready(Ok(count)) => {
                    heard = true;
                    self.reads += 1;
                    self.bytes += count as u64;
                    self.peak = self.peak.max(count);
                    if count >= self.room / 2 {
                        self.room = (2 * self.room).min(MOST);
                    }
                }
                Poll::Ready(Err(error)) => {
                    return (heard, Some(failed(error)));
                }
            }
            if let Err(error) = self.decode() {
                return (heard, Some(error));
            }
            if self.reader.poll_ready(cx).is_pending() {
                return (heard, None);
            }
        }
        cx.waker().wake_by_ref(); // there may be more; others first
        (heard, None)
    }

    #[inline(always)]
    fn decode(&mut self) -> Result<(), Error> {
        let Self { decoder, received, frames, listens, .. } = self;
        let listens = *listens; // otherwise nobody subscribes or tracks
        let added = frames.add(decoder.frames(received), |frame| listens || !frame.is_push());
        added.map_err(|error| {
            let message = format!("the server broke the protocol: {error}");
            Error::caused_by(ErrorKind::Protocol, Outcome::Unknown, message, error)
        })
    }
}

fn failed(error: io::Error) -> Error {
    disconnected(format!("reading failed: {error}"))
}

pub(crate) fn disconnected(why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Disconnected, Outcome::Unknown, format!("the connection was lost: {why}"))
}
