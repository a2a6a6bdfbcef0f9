//! Decides what becomes of the bytes of a connection. Pure.

use bytes::Bytes;
use std::time::Duration;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a connection has two directions")]
pub enum Way {
    /// Requests.
    ToServer,
    /// Replies.
    ToClient,
}

/// How a connection ends that is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "TCP knows two ways to end, and the third is none")]
pub enum Ending {
    /// Both ends are told at once, as by RST. What was on its way is lost.
    Reset,
    /// Both ends are told after the last byte that passed, as by FIN.
    Close,
    /// Nobody is told: each end believes that there is another. See [`Link::reap`](super::Link::reap).
    Silence,
}

/// What goes wrong with a byte.
#[derive(Debug, Clone)]
enum Effect {
    Cut(Ending),
    Flip(u8),
    Insert(Bytes),
    Lose(usize),
}

/// Something that goes wrong on a link, once, at one byte: the next one that passes, unless told otherwise.
///
/// ```
/// use tenure_server::{Flaw, Link, Way};
/// let link = Link::new();
/// // The highest bit of the fourth byte from now on is flipped, on whichever connection that is.
/// link.flaw(Flaw::flip(Way::ToClient, 0x80).after(3));
/// ```
#[derive(Debug, Clone)]
#[must_use = "a flaw does nothing until it is given to `Link::flaw`"]
pub struct Flaw {
    way: Way,
    effect: Effect,
    /// Bytes that pass unharmed first.
    after: u64,
    connection: Option<u64>,
}

impl Flaw {
    fn new(way: Way, effect: Effect) -> Self {
        Self { way, effect, after: 0, connection: None }
    }

    /// The connection ends, both ways, as soon as the bytes before it have passed.
    pub fn cut(way: Way, ending: Ending) -> Self {
        Self::new(way, Effect::Cut(ending))
    }

    /// The byte arrives with these bits inverted.
    pub fn flip(way: Way, bits: u8) -> Self {
        Self::new(way, Effect::Flip(bits))
    }

    /// These bytes arrive in front of it, also when nothing follows.
    pub fn insert(way: Way, bytes: impl Into<Bytes>) -> Self {
        Self::new(way, Effect::Insert(bytes.into()))
    }

    /// It and what follows it, so many bytes in all, never arrive.
    pub fn lose(way: Way, bytes: usize) -> Self {
        Self::new(way, Effect::Lose(bytes))
    }

    /// Lets so many bytes pass unharmed first.
    pub fn after(mut self, bytes: u64) -> Self {
        self.after = bytes;
        self
    }

    /// Counts and befalls the bytes of this connection only: 0 is the first that the link has opened.
    pub fn on_connection(mut self, number: u64) -> Self {
        self.connection = Some(number);
        self
    }

    fn fits(&self, connection: u64, way: Way) -> bool {
        self.way == way && self.connection.is_none_or(|number| number == connection)
    }
}

/// What becomes of the next bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// So many pass unharmed.
    Pass(usize),
    /// So many are taken away.
    Lose(usize),
    /// The next one is changed.
    Flip(u8),
    /// These go first.
    Insert(Bytes),
    Cut(Ending),
}

/// The flaws that are still to come.
#[derive(Debug, Default)]
pub(super) struct Flaws {
    flaws: Vec<Flaw>,
}

impl Flaws {
    pub(super) fn add(&mut self, flaw: Flaw) {
        self.flaws.push(flaw);
    }

    pub(super) fn left(&self) -> usize {
        self.flaws.len()
    }

    /// Decides about the next bytes of a direction, of which `offered` are there. What it decides has happened, except that
    /// bytes pass only once [`Flaws::passed`] says so.
    pub(super) fn decide(&mut self, connection: u64, way: Way, offered: usize) -> Fate {
        let fits = |flaw: &Flaw| flaw.fits(connection, way);
        let due = self.flaws.iter().position(|flaw| {
            let needs_a_byte = matches!(flaw.effect, Effect::Flip(_) | Effect::Lose(_));
            fits(flaw) && flaw.after == 0 && (offered > 0 || !needs_a_byte)
        });
        let Some(due) = due else {
            let next = self.flaws.iter().filter(|flaw| fits(flaw)).map(|flaw| flaw.after).min();
            let next = next.map_or(usize::MAX, |next| usize::try_from(next).unwrap_or(usize::MAX));
            return Fate::Pass(offered.min(next));
        };
        if let Effect::Lose(left) = self.flaws[due].effect
            && left > offered
        {
            self.flaws[due].effect = Effect::Lose(left - offered);
            return Fate::Lose(offered);
        }
        match self.flaws.remove(due).effect {
            Effect::Cut(ending) => Fate::Cut(ending),
            Effect::Flip(bits) => Fate::Flip(bits),
            Effect::Insert(bytes) => Fate::Insert(bytes),
            Effect::Lose(bytes) => Fate::Lose(bytes),
        }
    }

    /// So many bytes have passed.
    pub(super) fn passed(&mut self, connection: u64, way: Way, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        for flaw in self.flaws.iter_mut().filter(|flaw| flaw.fits(connection, way)) {
            flaw.after = flaw.after.saturating_sub(bytes);
        }
    }
}

/// What holds for every byte of a direction.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Weather {
    pub(super) held: bool,
    /// So many bytes at once, and then none for a while.
    pub(super) drip: Option<(usize, Duration)>,
    pub(super) delay: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: Way = Way::ToServer;
    const DOWN: Way = Way::ToClient;

    #[test]
    fn bytes_pass_up_to_the_next_flaw_of_their_direction_and_connection() {
        let mut flaws = Flaws::default();
        flaws.add(Flaw::flip(DOWN, 1).after(5));
        flaws.add(Flaw::cut(DOWN, Ending::Close).after(3).on_connection(7));
        assert_eq!(flaws.decide(0, UP, 10), Fate::Pass(10));
        assert_eq!(flaws.decide(0, DOWN, 10), Fate::Pass(5));
        assert_eq!(flaws.decide(7, DOWN, 10), Fate::Pass(3));
        flaws.passed(7, DOWN, 3);
        assert_eq!(flaws.decide(7, DOWN, 0), Fate::Cut(Ending::Close));
        assert_eq!(flaws.decide(0, DOWN, 10), Fate::Pass(2));
        flaws.passed(0, DOWN, 2);
        assert_eq!(flaws.decide(0, DOWN, 0), Fate::Pass(0), "there is no byte to flip yet");
        assert_eq!(flaws.decide(0, DOWN, 8), Fate::Flip(1));
        assert_eq!((flaws.decide(0, DOWN, 8), flaws.left()), (Fate::Pass(8), 0));
    }

    #[test]
    fn loss_may_take_several_reads() {
        let mut flaws = Flaws::default();
        flaws.add(Flaw::lose(UP, 5));
        assert_eq!(flaws.decide(0, UP, 3), Fate::Lose(3));
        assert_eq!(flaws.decide(0, UP, 3), Fate::Lose(2));
        assert_eq!(flaws.decide(0, UP, 1), Fate::Pass(1));
    }

    #[test]
    fn flaws_at_the_same_byte_happen_in_the_order_in_which_they_were_added() {
        let mut flaws = Flaws::default();
        flaws.add(Flaw::insert(UP, "a"));
        flaws.add(Flaw::flip(UP, 2));
        flaws.add(Flaw::cut(UP, Ending::Reset));
        assert_eq!(flaws.decide(0, UP, 1), Fate::Insert("a".into()));
        assert_eq!(flaws.decide(0, UP, 1), Fate::Flip(2));
        assert_eq!(flaws.decide(0, UP, 0), Fate::Cut(Ending::Reset));
    }
}
