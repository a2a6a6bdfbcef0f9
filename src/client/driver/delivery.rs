//! Who gets what was read: replies go to the oldest commands, pushes to whoever listens.

use super::Open;
use crate::client::clock::{Span, Time};
use crate::client::intake::Intake;
use crate::client::listener::{Notice, is_reply, take_push};
use crate::client::queue::State;
use crate::client::slots::Slip;
use crate::client::waves::Tally;
use crate::error::{Error, ErrorKind, Outcome};
use resp::Frame;
use std::task::Context;

impl Open {
    /// Reads and decodes what is there, as [`Intake::read`]; looks first while it looks.
    pub(super) fn read(&mut self, cx: &mut Context<'_>) -> (bool, Option<Error>) {
        let seen = if self.spin.is_on() { self.intake.glance() } else { Ok(false) };
        match seen {
            Err(error) => (false, Some(error)),
            Ok(seen) => {
                let (heard, ended) = self.intake.read(cx);
                (heard || seen, ended)
            }
        }
    }

    /// Counts what was read in this turn.
    pub(super) fn account(&mut self, state: &mut State, heard: bool, now: Time) {
        state.stats.reads += std::mem::take(&mut self.intake.reads);
        state.stats.bytes_in += std::mem::take(&mut self.intake.bytes);
        if heard {
            state.last_byte = Some(now);
        }
    }

    /// Gives what was read to whom it belongs.
    pub(super) fn give_out(&mut self, state: &mut State, now: Time) -> Result<(), Error> {
        let Self { intake: Intake { frames, listens, .. }, protocol, out, .. } = self;
        if frames.len() == 0 {
            return Ok(());
        }
        if state.slots.must_vet(frames.len()) {
            let replies = frames.iter().filter(|frame| !*listens || is_reply(frame, *protocol));
            state.slots.vet(replies, frames.len()).map_err(|slip| slipped(&slip))?;
        }
        let mut tally = Tally::new(now, &mut state.stats);
        let mut slip = None;
        for frame in frames.take() {
            if let Some(items) = listens.then(|| take_push(frame, *protocol)).flatten() {
                out.notices.push(Notice::Push(items));
            } else if let Err(wrong) = state.slots.complete(frame, &mut tally, out) {
                slip = Some(wrong);
                break;
            }
        }
        let shortest = tally.finish();
        if shortest < Span::MAX {
            state.note_round_trip(shortest);
            self.spin.answered(shortest);
        }
        state.let_canary_sing();
        slip.map_or(Ok(()), |slip| Err(slipped(&slip)))
    }
}

fn slipped(slip: &Slip) -> Error {
    let what = match slip {
        Slip::Unasked(Frame::Error(text)) => {
            format!("an error that nobody asked for: {}", String::from_utf8_lossy(text))
        }
        Slip::Unasked(_) => "an answer that nobody asked for".to_owned(),
        Slip::Shifted => "an answer in the place of another: one was lost or came twice".to_owned(),
    };
    Error::new(ErrorKind::Protocol, Outcome::Unknown, format!("the server sent {what}"))
}
