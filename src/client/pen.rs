//! The writing half of a socket, with the bytes that are on their way to it.
//!
//! Whoever holds the [`Pen`] may write, and nobody else. What it took out of the queue and has not written yet is known to the
//! byte, so that a lost connection can tell commands that never left from those with an unknown outcome.

use crate::client::encode::Ink;
use crate::net::Writer;
use std::io;
use std::task::{Context, Poll, Waker};

/// The writing half with the bytes that are on their way to the socket.
pub(crate) struct Pen {
    writer: Writer,
    ink: Ink,
    written: usize,
    /// Whether the layers below keep nothing back. A TLS layer takes bytes that the socket did not take yet.
    flushed: bool,
    epoch: u64,
    broken: Option<io::Error>,
    /// Writes and their bytes since these were taken over.
    writes: u64,
    bytes: u64,
    commands: u64,
}

/// What a caller has taken out of the queue and is about to write; nobody else can write until it has.
#[must_use = "until it is sent, nothing is"]
pub(crate) struct Draft {
    pub(crate) pen: Box<Pen>,
    /// The driver, if it is to be woken besides.
    pub(crate) driver: Option<Waker>,
}

/// What writing came to.
#[derive(Debug)]
pub(crate) enum Wrote {
    /// Nothing is left.
    All,
    /// Nothing of what was taken is left, but more has been queued since.
    More,
    /// The socket takes no more for now; the waker that was given, if any, is registered.
    Blocked,
    /// There is no pen: somebody else is writing, or there is no connection.
    NoPen,
    Broken(io::Error),
}

impl Pen {
    pub(crate) fn new(writer: Writer, epoch: u64) -> Self {
        Self {
            writer,
            ink: Ink::new(),
            written: 0,
            flushed: true,
            epoch,
            broken: None,
            writes: 0,
            bytes: 0,
            commands: 0,
        }
    }

    /// Whether it writes on a connection that is still the current one.
    pub(crate) fn is_of(&self, epoch: u64) -> bool {
        self.epoch == epoch
    }

    /// Takes the queue over, with so many commands; it must be dry.
    pub(crate) fn dip(&mut self, out: &mut Ink, commands: usize) {
        std::mem::swap(out, &mut self.ink);
        self.commands += commands as u64;
    }

    /// Why an earlier write failed, if it did.
    pub(crate) fn take_broken(&mut self) -> Option<io::Error> {
        self.broken.take()
    }

    /// Nothing can be written any more: whoever tries next is told.
    pub(crate) fn break_off(&mut self) {
        self.broken = Some(io::ErrorKind::BrokenPipe.into());
    }

    /// Whether all it took has reached the socket.
    pub(crate) fn is_dry(&self) -> bool {
        self.written == self.ink.len() && self.flushed && self.broken.is_none()
    }

    /// Writes, their bytes, and the commands that were begun, since they were taken over.
    pub(crate) fn counts(&self) -> (u64, u64, u64) {
        (self.writes, self.bytes, self.commands)
    }

    /// Writes and their bytes since this was asked last.
    pub(crate) fn take_counts(&mut self) -> (u64, u64) {
        self.commands = 0;
        (std::mem::take(&mut self.writes), std::mem::take(&mut self.bytes))
    }

    /// Gives memory back that a burst has taken, if it is dry.
    pub(crate) fn trim(&mut self, capacity: usize) {
        if self.ink.is_empty() && self.ink.capacity() > capacity {
            self.ink = Ink::new();
        }
    }

    /// What is left of bytes that were taken out of the queue.
    pub(crate) fn unwritten(&self) -> &[u8] {
        self.ink.get(defect!(7, 0, self.written)..).unwrap_or_default()
    }

    /// Writes what it holds, as far as the socket takes it; whoever is to be woken when it takes more has a context.
    #[inline(always)]
    pub(crate) fn write(&mut self, mut cx: Option<&mut Context<'_>>) -> Wrote {
        while let Some(rest) = self.ink.get(self.written..).filter(|rest| !rest.is_empty()) {
            let written = match &mut cx {
                Some(cx) => self.writer.poll_write(cx, rest),
                None => self.writer.try_write(rest),
            };
            match written {
                Poll::Pending => return Wrote::Blocked,
                Poll::Ready(Ok(0)) => return Wrote::Broken(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    self.written += count;
                    self.writes += 1;
                    self.bytes += count as u64;
                    self.flushed = false;
                }
                Poll::Ready(Err(error)) => return Wrote::Broken(error),
            }
        }
        self.written = 0;
        self.ink.clear();
        let nobody = &mut Context::from_waker(Waker::noop());
        match self.writer.poll_flush(cx.unwrap_or(nobody)) {
            Poll::Pending => Wrote::Blocked,
            Poll::Ready(Err(error)) => Wrote::Broken(error),
            Poll::Ready(Ok(())) => {
                self.flushed = true;
                Wrote::All
            }
        }
    }
}
