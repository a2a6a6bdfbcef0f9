//! What the server comes to under a client that does nothing but send and hear: while it takes in the answers to one half of the
//! commands, the other half is with the server.

use crate::Failure;
use crate::connection::contestant::{Block, Contestant, Kind, Load, What, block, nanos};
use crate::connection::floor::{OK, ONE, Raw, VALUE, command, pair};
use crate::connection::peers::{READ_KEY, Slot, Target};
use std::cell::RefCell;
use std::io;
use std::time::Instant;

/// Half of the tasks, whose commands leave in one write.
struct Half {
    tasks: usize,
    pair: [Vec<u8>; 2],
    gets: Vec<u8>,
}

impl Half {
    fn new(target: &Target, slots: std::ops::Range<usize>) -> Self {
        let tasks = slots.len();
        let pairs: Vec<_> =
            slots.map(|slot| pair(&Slot::new(500_000 + slot), &target.release)).collect();
        let all = |at: usize| pairs.iter().flat_map(|pair| pair[at].clone()).collect();
        Self { tasks, pair: [all(0), all(1)], gets: command(&["GET", READ_KEY]).repeat(tasks) }
    }

    fn ask(&self, what: What, step: usize, raw: &mut Raw) -> io::Result<()> {
        raw.send(match what {
            What::Pair => &self.pair[step % 2],
            What::Get => &self.gets,
        })
    }

    fn hear(&self, what: What, step: usize, raw: &mut Raw) -> io::Result<()> {
        let answer = match (what, step % 2) {
            (What::Pair, 0) => OK,
            (What::Pair, _) => ONE,
            (What::Get, _) => VALUE,
        };
        raw.hear(self.tasks * answer)
    }
}

/// A client whose commands are encoded beforehand and whose replies are not looked at.
pub(crate) struct Halves {
    raw: RefCell<Raw>,
    halves: [Half; 2],
}

impl Halves {
    pub(crate) fn connect(target: &Target, tasks: usize) -> Result<Self, Failure> {
        let raw = RefCell::new(Raw::connect(&target.url)?);
        let halves = [0..tasks / 2, tasks / 2..tasks].map(|slots| Half::new(target, slots));
        Ok(Self { raw, halves })
    }

    fn work(&self, Load { what, each, .. }: Load) -> io::Result<Vec<u32>> {
        let raw = &mut *self.raw.borrow_mut();
        let steps = match what {
            What::Pair => 2,
            What::Get => 1,
        };
        let mut times = Vec::new();
        let mut begun = [Instant::now(); 2];
        for half in &self.halves {
            half.ask(what, 0, raw)?;
        }
        for step in 0..each * steps {
            for (half, begun) in self.halves.iter().zip(&mut begun) {
                half.hear(what, step, raw)?;
                if step % steps == steps - 1 {
                    times.extend(std::iter::repeat_n(nanos(*begun), half.tasks));
                    *begun = Instant::now();
                }
                if step + 1 < each * steps {
                    half.ask(what, step + 1, raw)?;
                }
            }
        }
        Ok(times)
    }
}

impl Contestant for Halves {
    fn name(&self) -> &'static str {
        "two halves in turns"
    }

    fn kind(&self) -> Kind {
        Kind::Floor
    }

    fn block(&self, load: Load) -> Block {
        block(load, || self.work(load).expect("the server answers"))
    }
}
