//! Frames that have arrived and wait to be given out: each is decoded where it stays, and the places are used again. Pure.

use resp::{DecodeError, Frame, Frames};

/// So many places are kept, whether they were needed or not.
const KEPT: usize = 16;

/// Frames in order, and behind them places that hold nothing.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    places: Vec<Frame>,
    count: usize,
}

impl Arrivals {
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Decodes all there are but those that are not to be kept.
    #[inline(never)] // with registers of its own it is a third faster
    pub(crate) fn add(
        &mut self,
        mut frames: Frames<'_>,
        is_kept: impl Fn(&Frame) -> bool,
    ) -> Result<(), DecodeError> {
        loop {
            let Some(place) = self.places.get_mut(self.count) else {
                self.places.push(Frame::Null);
                continue;
            };
            if !frames.decode_into(place)? {
                return Ok(());
            }
            self.count += usize::from(is_kept(place));
            if frames.is_drained() {
                return Ok(());
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Frame> {
        self.places.get(..self.count).unwrap_or_default().iter()
    }

    /// All frames; what is left in its place is dropped when another comes there.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = &mut Frame> {
        let count = std::mem::take(&mut self.count);
        self.places.get_mut(..count).unwrap_or_default().iter_mut()
    }

    /// Gives memory back that a burst has taken: room for so many is enough.
    pub(crate) fn trim(&mut self, needed: usize) {
        let needed = needed.max(self.count).max(KEPT);
        self.places.truncate(needed);
        self.places.shrink_to(needed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use resp::{Decoder, Limits, Protocol};

    fn taken(arrivals: &mut Arrivals) -> Vec<Frame> {
        arrivals.take().map(std::mem::take).collect()
    }

    #[test]
    fn frames_are_kept_in_order_over_several_reads_and_places_are_used_again() {
        let mut decoder = Decoder::new(Protocol::Resp3, Limits::default());
        let (mut arrivals, mut input) = (Arrivals::default(), BytesMut::new());
        for round in 0..3 {
            for (wire, len) in [(":1\r\n>1\r\n+x\r\n:2\r\n:", 2), ("3\r\n", 3), ("", 3)] {
                input.extend_from_slice(wire.as_bytes());
                let is_kept = |frame: &Frame| !frame.is_push();
                assert_eq!(arrivals.add(decoder.frames(&mut input), is_kept), Ok(()));
                assert_eq!((arrivals.len(), arrivals.iter().count()), (len, len), "{round}");
            }
            assert_eq!(taken(&mut arrivals), [1, 2, 3].map(Frame::Integer));
            assert_eq!((arrivals.len(), arrivals.iter().count()), (0, 0));
        }
        assert!(arrivals.places.len() <= 4);
    }

    #[test]
    fn what_came_before_an_error_is_kept() {
        let mut decoder = Decoder::new(Protocol::Resp3, Limits::default());
        let (mut arrivals, mut input) = (Arrivals::default(), BytesMut::from("+OK\r\nx"));
        assert!(arrivals.add(decoder.frames(&mut input), |_| true).is_err());
        assert_eq!(taken(&mut arrivals), [Frame::Simple("OK".into())]);
    }

    #[test]
    fn memory_of_a_burst_is_given_back_but_no_frame_is() {
        let mut decoder = Decoder::new(Protocol::Resp3, Limits::default());
        let (mut arrivals, mut input) =
            (Arrivals::default(), BytesMut::from(&b"_\r\n".repeat(900)[..]));
        arrivals.add(decoder.frames(&mut input), |_| true).unwrap();
        arrivals.trim(100);
        assert_eq!(arrivals.len(), 900);
        assert_eq!(taken(&mut arrivals).len(), 900);
        arrivals.trim(100);
        assert!(arrivals.places.capacity() < 200, "{}", arrivals.places.capacity());
    }
}
