//! The ways to decode what has arrived, all of which come to the same.

use bytes::BytesMut;
use resp::{DecodeError, Decoder, Frame};

/// How what has arrived is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// One frame a call.
    OneByOne,
    /// One frame a call, into the storage of the last one.
    Reusing,
    /// All frames of a read.
    Together,
    /// All frames of a read, each into the storage of the last one.
    TogetherReusing,
    /// Some frames of a read, then some more.
    Interrupted,
}

impl Way {
    pub(crate) const ALL: [Self; 5] =
        [Self::OneByOne, Self::Reusing, Self::Together, Self::TogetherReusing, Self::Interrupted];

    /// The ways that keep nothing but what they give.
    pub(crate) const OWNING: [Self; 3] = [Self::OneByOne, Self::Together, Self::Interrupted];

    /// One of several, by a seed.
    pub(crate) fn among(ways: &[Self], seed: usize) -> Self {
        ways[seed % ways.len()]
    }

    /// Adds all frames that are whole. `storage` is what the ways that use it again are to be given each time.
    pub(crate) fn drain(
        self,
        decoder: &mut Decoder,
        input: &mut BytesMut,
        storage: &mut Frame,
        frames: &mut Vec<Frame>,
    ) -> Result<(), DecodeError> {
        match self {
            Self::OneByOne => {
                while let Some(frame) = decoder.decode(input)? {
                    frames.push(frame);
                }
            }
            Self::Reusing => {
                while decoder.decode_into(input, storage)? {
                    frames.push(storage.clone());
                }
            }
            Self::Together => {
                take(decoder, input, usize::MAX, frames)?;
            }
            Self::TogetherReusing => {
                let mut together = decoder.frames(input);
                while together.decode_into(storage)? {
                    frames.push(storage.clone());
                }
                assert_eq!(together.decode_into(storage), Ok(false), "the end is the end");
            }
            Self::Interrupted => {
                for many in 1.. {
                    if take(decoder, input, many, frames)? < many {
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Adds so many frames at most; tells how many.
fn take(
    decoder: &mut Decoder,
    input: &mut BytesMut,
    at_most: usize,
    frames: &mut Vec<Frame>,
) -> Result<usize, DecodeError> {
    let mut together = decoder.frames(input);
    for taken in 0..at_most {
        match together.next() {
            Some(Ok(frame)) => frames.push(frame),
            end => {
                assert_eq!(together.next(), None, "the end is the end, an error the last");
                return end.transpose().map(|_| taken);
            }
        }
    }
    Ok(at_most)
}
