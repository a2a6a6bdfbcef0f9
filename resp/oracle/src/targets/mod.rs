//! The eight properties. Each is a function of the bytes of a case, and panics where `resp` does not have it.

mod bounds;
mod decoding;
mod encoding;

pub use decoding::compare;

use crate::{Grammar, damage};
use rand::rngs::StdRng;
use rand::{Rng, RngExt as _};
use resp::Protocol;

/// One property, and where its cases come from.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Target {
    /// The name of the fuzz target and of the folder of its corpus.
    pub name: &'static str,
    /// Checks one case.
    pub check: fn(&[u8]),
    cases: Cases,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cases {
    /// Choices and replies.
    Replies,
    /// Choices, and either entropy or replies.
    Frames,
    /// Choices, and either entropy or requests.
    Requests,
    /// Choices and entropy.
    Entropy,
}

/// Every property.
pub const TARGETS: [Target; 8] = [
    Target { name: "diff_ref", check: decoding::diff_ref, cases: Cases::Replies },
    Target { name: "chunked", check: decoding::chunked, cases: Cases::Replies },
    Target { name: "prefix", check: decoding::prefix, cases: Cases::Replies },
    Target { name: "round_trip", check: encoding::round_trip, cases: Cases::Frames },
    Target { name: "alloc", check: bounds::alloc, cases: Cases::Replies },
    Target { name: "work", check: bounds::work, cases: Cases::Replies },
    Target { name: "stream", check: encoding::stream, cases: Cases::Entropy },
    Target { name: "request", check: encoding::request, cases: Cases::Requests },
];

impl Target {
    /// The property of this name.
    pub fn named(name: &str) -> Option<Self> {
        TARGETS.into_iter().find(|target| target.name == name)
    }

    /// A case; three in ten are damaged.
    pub fn generate(&self, rng: &mut StdRng) -> Vec<u8> {
        // The limits that users get, mostly.
        let choice =
            if rng.random_ratio(1, 4) { rng.random() } else { b'0' + rng.random_range(0..4) };
        let mut case = vec![choice, rng.random()];
        match self.wire(choice) {
            None => case.extend((0..rng.random_range(0..200)).map(|_| rng.random::<u8>())),
            Some(protocol) => {
                let mut wire = Vec::new();
                for _ in 0..=rng.random_range(0..3) {
                    self.append(rng, protocol, &mut wire);
                }
                if rng.random_ratio(3, 10) {
                    for _ in 0..=rng.random_range(0..3) {
                        damage(rng, protocol, &mut wire);
                    }
                }
                case.append(&mut wire);
            }
        }
        case
    }

    /// Changes a case where it matters; tells whether it knows how.
    pub fn mutate(&self, rng: &mut StdRng, case: &mut Vec<u8>) -> bool {
        let Some(protocol) = case.first().and_then(|&choice| self.wire(choice)) else {
            return false;
        };
        let mut wire = case.split_off(case.len().min(2));
        match rng.random_range(0..8) {
            0 => self.append(rng, protocol, &mut wire),
            1 => {
                wire.clear();
                self.append(rng, protocol, &mut wire);
            }
            _ => damage(rng, protocol, &mut wire),
        }
        case.append(&mut wire);
        true
    }

    /// The protocol of a case that holds wire bytes.
    fn wire(&self, choice: u8) -> Option<Protocol> {
        let protocol = if choice & 1 == 1 { Protocol::Resp3 } else { Protocol::Resp2 };
        match self.cases {
            Cases::Replies => Some(protocol),
            Cases::Frames | Cases::Requests if choice & 2 == 0 => Some(protocol),
            _ => None,
        }
    }

    fn append<R: Rng>(&self, rng: &mut R, protocol: Protocol, wire: &mut Vec<u8>) {
        let spoiled = if rng.random_ratio(1, 3) { 24 } else { 0 };
        let fuel = rng.random_range(0..60);
        let mut grammar = Grammar::new(rng, protocol, fuel).spoiled(spoiled);
        if spoiled > 0 {
            grammar = grammar.lost();
        }
        match self.cases {
            Cases::Requests => grammar.request(wire),
            Cases::Replies if protocol == Protocol::Resp3 && fuel % 8 == 7 => grammar.push(wire),
            _ => grammar.reply(wire),
        }
    }
}
