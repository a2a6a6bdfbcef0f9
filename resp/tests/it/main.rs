//! What comes in from the wire, held against the table of what must be accepted and refused.

mod chunking;
mod limits;
mod memory;
mod requests;
mod table;
mod vectors;
#[cfg(feature = "count-work")]
mod work;

use bytes::BytesMut;
use resp::{DecodeError, Decoder, Frame, Limits, Protocol};

/// Everything that comes out when bytes go in piece by piece.
#[derive(Debug, Clone)]
struct Outcome {
    frames: Vec<Frame>,
    error: Option<DecodeError>,
    /// Whether all bytes were taken off.
    drained: bool,
}

impl Outcome {
    /// Nothing came out, and nothing is wrong so far.
    fn is_open(&self) -> bool {
        self.frames.is_empty() && self.error.is_none()
    }
}

impl PartialEq for Outcome {
    fn eq(&self, other: &Self) -> bool {
        let same = self.frames.len() == other.frames.len()
            && self.frames.iter().zip(&other.frames).all(|(one, other)| is_same(one, other));
        same && (self.error, self.drained) == (other.error, other.drained)
    }
}

/// Equal, or equally not a number somewhere inside.
fn is_same(one: &Frame, other: &Frame) -> bool {
    one == other || format!("{one:?}") == format!("{other:?}")
}

/// Feeds a decoder with pieces, some of which may be empty.
fn feed<'a>(decoder: &mut Decoder, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut input = BytesMut::new();
    let mut frames = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => {
                    let left = input.len();
                    input.extend_from_slice(b"+OK\r\n");
                    assert_eq!(decoder.decode(&mut input), Err(error), "poisoned for ever");
                    assert_eq!(input.len(), left + 5, "nothing is taken off after an error");
                    return Outcome { frames, error: Some(error), drained: false };
                }
            }
        }
    }
    Outcome { frames, error: None, drained: input.is_empty() }
}

fn decoder(protocol: Protocol) -> Decoder {
    Decoder::new(protocol, Limits::default())
}

/// One frame from bytes that hold exactly that.
fn one(protocol: Protocol, wire: &[u8]) -> Frame {
    let mut input = BytesMut::from(wire);
    let frame = decoder(protocol).decode(&mut input).expect("in order").expect("whole");
    assert!(input.is_empty(), "bytes are left of {}", wire.escape_ascii());
    frame
}
