//! What the bytes of one case mean: which decoder to make, how to cut what it is fed, and what that is.

use resp::{Limits, Protocol};

/// One case: two bytes of choices, and wire bytes.
///
/// Bit 0 of the first byte tells the protocol, bit 1 is for the property to use, bits 2 and 3 tell the limits: the digits `0` to
/// `3` are a decoder of RESP2 or RESP3 with the limits that users get. The second byte tells where the wire bytes are cut.
#[derive(Debug)]
#[non_exhaustive]
pub struct Case<'a> {
    /// What the decoder speaks.
    pub protocol: Protocol,
    /// What the decoder allows.
    pub limits: Limits,
    /// Where to cut.
    pub seed: u8,
    /// What the decoder is fed.
    pub wire: &'a [u8],
}

impl<'a> Case<'a> {
    /// Reads a case; without the first two bytes there is none.
    pub fn read(data: &'a [u8]) -> Option<Self> {
        let [choice, seed, wire @ ..] = data else { return None };
        let protocol = if choice & 1 == 1 { Protocol::Resp3 } else { Protocol::Resp2 };
        let mut limits = Limits::default();
        let lifted = u64::MAX;
        (limits.depth, limits.payload, limits.children, limits.frame) = match choice >> 2 & 3 {
            0 => (limits.depth, limits.payload, limits.children, limits.frame),
            1 => (4, 16, 4, 100),
            2 => (2, 2, 2, 4),
            _ => (1, lifted, lifted, lifted),
        };
        Some(Self { protocol, limits, seed: *seed, wire })
    }

    /// The wire bytes in pieces; some are empty, most are short.
    pub fn pieces(&self) -> Pieces<'a> {
        Pieces {
            rest: self.wire,
            state: u32::from(self.seed).wrapping_mul(0x9e37_79b9),
            ended: false,
        }
    }
}

/// Wire bytes in pieces, by a seed. See [`Case::pieces`].
#[derive(Debug)]
pub struct Pieces<'a> {
    rest: &'a [u8],
    state: u32,
    ended: bool,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return (!std::mem::replace(&mut self.ended, true)).then_some(self.rest);
        }
        self.state = self.state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let drawn = (self.state >> 16) as usize;
        let len = match drawn % 8 {
            0 => 0,
            1..=3 => 1,
            4 | 5 => 2 + drawn / 8 % 8,
            _ => 1 + drawn / 8 % 512,
        };
        let (piece, rest) = self.rest.split_at(len.min(self.rest.len()));
        self.rest = rest;
        Some(piece)
    }
}
