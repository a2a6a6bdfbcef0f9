//! A decoder as naive as the grammar allows: one slice, one pass from left to right, everything copied.
//!
//! It is written from the grammar and shares no code with `resp`. Because it looks at one byte after the other and never at one
//! behind the fault, it finds a fault at the byte that proves it, and for every prefix of its input it gives the answer that a
//! decoder fed with no more than that has to give.

use crate::Tree;
use crate::texts::{all_digits, double, integer, unsigned};
use resp::{DecodeErrorKind as Kind, Limits, Protocol};

/// A reply that is nested deeper than this cannot even be skipped.
const HARD_DEPTH: usize = 65_536;
/// No limit allows more levels than this.
const DEEPEST: usize = 1_024;
/// Bytes of a line that holds a count, an integer, a boolean or a null.
const SHORT: u64 = 32;
/// The fewest bytes of a value: its type, CR and LF.
const SMALLEST: u64 = 3;
/// The largest count there is, by whatever limits.
const LARGEST: u64 = (1 << 63) - 3;

/// What the front of some bytes is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no fifth answer")]
pub enum Verdict {
    /// A value, and how many bytes it took.
    Value(Tree, usize),
    /// Damaged inside.
    Invalid {
        /// What was damaged first.
        kind: Kind,
        /// How many bytes it took.
        len: usize,
        /// It is a push, so nobody waits for it.
        push: bool,
    },
    /// The beginning of a value.
    Incomplete,
    /// Nobody can tell where the value ends, why, and how many bytes prove it.
    Lost(Kind, usize),
}

/// Decodes one value off the front of `input`.
pub fn decode(input: &[u8], protocol: Protocol, limits: &Limits) -> Verdict {
    let depth = limits.depth.min(DEEPEST);
    let mut reader = Reader {
        input,
        at: 0,
        protocol,
        limits,
        depth,
        room: 0,
        push: false,
        value_at: 0,
        open: Vec::new(),
        damage: None,
    };
    match reader.frame() {
        Ok(value) => match reader.damage {
            Some(kind) => Verdict::Invalid { kind, len: reader.at, push: reader.push },
            None => Verdict::Value(value, reader.at),
        },
        Err(Stop::More) => Verdict::Incomplete,
        Err(Stop::Lost(kind)) => Verdict::Lost(kind, reader.at),
    }
}

/// Why no value comes of it.
enum Stop {
    More,
    Lost(Kind),
}

fn lost<T>(kind: Kind) -> Result<T, Stop> {
    Err(Stop::Lost(kind))
}

struct Reader<'a> {
    input: &'a [u8],
    at: usize,
    protocol: Protocol,
    limits: &'a Limits,
    depth: usize,
    /// Bytes that the frame may have from the type byte of the value on.
    room: u64,
    /// The top-level value, with attributes before it or not, is a push.
    push: bool,
    value_at: usize,
    open: Vec<Open>,
    damage: Option<Kind>,
}

/// Something that was begun: an aggregate, the chunks of a string, or attributes that wait for their value.
struct Open {
    kind: u8,
    /// Values to come; `None` until an end comes.
    left: Option<u64>,
    /// Values that came.
    values: Vec<Tree>,
    seen: u64,
    /// The most of them in a stream.
    most: u64,
    chunks: Vec<u8>,
}

/// What a count says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Count {
    Of(u64),
    Null,
    Stream,
}

/// Marks attributes that are whole and wait for the value they annotate.
const ANNOTATED: u8 = b'a';

impl<'a> Reader<'a> {
    fn frame(&mut self) -> Result<Tree, Stop> {
        loop {
            let Some(value) = self.value()? else { continue };
            if let Some(whole) = self.put(value) {
                return Ok(whole);
            }
        }
    }

    /// Reads a value without children; `None` if something was opened instead.
    fn value(&mut self) -> Result<Option<Tree>, Stop> {
        let kind = self.next()?;
        let chunks = self.open.last().is_some_and(|open| open.kind == b';');
        match kind {
            b'+' | b'-' | b':' | b'$' | b'*' => {}
            b'_' | b'#' | b',' | b'(' | b'!' | b'=' | b'%' | b'~' | b'>' | b'|' | b';' | b'.'
                if self.protocol == Protocol::Resp3 => {}
            _ => return lost(Kind::UnknownType(kind)),
        }
        if chunks != (kind == b';') {
            return lost(Kind::BadChunk);
        }
        if kind == b'.' {
            self.may_end()?;
        }
        if let Some(open) = self.open.last()
            && open.left.is_none()
            && kind != b'.'
            && kind != b';'
            && open.seen == open.most
        {
            return lost(Kind::TooMany);
        }
        self.value_at = self.at - 1;
        self.room = self.limits.frame.saturating_sub(self.value_at as u64);
        if self.room < SMALLEST {
            return lost(Kind::FrameTooLarge);
        }
        match kind {
            b'+' => Ok(Some(Tree::Simple(self.line(self.limits.payload)?.to_vec()))),
            b'-' => Ok(Some(Tree::Error(self.line(self.limits.payload)?.to_vec()))),
            b'(' | b',' | b':' | b'#' | b'_' => self.scalar(kind).map(Some),
            b'$' | b'!' | b'=' | b';' => self.string(kind),
            b'.' => self.end().map(Some),
            _ => self.aggregate(kind),
        }
    }

    fn scalar(&mut self, kind: u8) -> Result<Tree, Stop> {
        let text =
            self.line(if kind == b'(' || kind == b',' { self.limits.payload } else { SHORT })?;
        let (value, fault) = match kind {
            b'_' => (text.is_empty().then_some(Tree::Null), Kind::BadNull),
            b'#' => match text {
                b"t" => (Some(Tree::Boolean(true)), Kind::BadBoolean),
                b"f" => (Some(Tree::Boolean(false)), Kind::BadBoolean),
                _ => (None, Kind::BadBoolean),
            },
            b':' => (integer(text).map(Tree::Integer), Kind::BadInteger),
            b',' => (double(text).map(Tree::double), Kind::BadDouble),
            _ => {
                let digits = unsigned(text);
                (all_digits(digits).then(|| Tree::BigNumber(text.to_vec())), Kind::BadBigNumber)
            }
        };
        Ok(value.unwrap_or_else(|| self.damaged(fault)))
    }

    fn string(&mut self, kind: u8) -> Result<Option<Tree>, Stop> {
        let before = match self.open.last() {
            Some(open) if kind == b';' => open.seen,
            _ => 0,
        };
        let most = (self.limits.payload - before, Kind::TooLong);
        let len = match self.count(most, kind == b'$', kind == b'$')? {
            Count::Null => return Ok(Some(Tree::Null)),
            Count::Stream => {
                self.begin(b';', None)?;
                return Ok(None);
            }
            Count::Of(0) if kind == b';' => return Ok(self.close()),
            Count::Of(len) => len,
        };
        self.fits(len.saturating_add(2))?;
        let start = self.at;
        for _ in 0..len {
            self.next()?;
        }
        let bytes = &self.input[start..self.at];
        if self.next()? != b'\r' || self.next()? != b'\n' {
            return lost(Kind::MissingTerminator);
        }
        Ok(match (kind, bytes) {
            (b'$', _) => Some(Tree::Bulk(bytes.to_vec())),
            (b'!', _) => Some(Tree::BulkError(bytes.to_vec())),
            (b'=', [a, b, c, b':', text @ ..]) => Some(Tree::Verbatim([*a, *b, *c], text.to_vec())),
            (b'=', _) => Some(self.damaged(Kind::BadVerbatim)),
            _ => {
                if let Some(open) = self.open.last_mut() {
                    open.chunks.extend_from_slice(bytes);
                    open.seen += len;
                }
                None
            }
        })
    }

    fn aggregate(&mut self, kind: u8) -> Result<Option<Tree>, Stop> {
        let most = (self.limits.children, Kind::TooMany);
        let left = match self.count(most, kind == b'*', matches!(kind, b'*' | b'~' | b'%'))? {
            Count::Null => return Ok(Some(Tree::Null)),
            Count::Stream => None,
            Count::Of(count) => Some(if paired(kind) { count * 2 } else { count }),
        };
        if left == Some(0) && kind != b'|' {
            return Ok(Some(Tree::aggregate(kind, Vec::new())));
        }
        self.begin(kind, left)?;
        if let (Some(0), Some(open)) = (left, self.open.last_mut()) {
            (open.kind, open.left) = (ANNOTATED, Some(1)); // attributes without any
        }
        Ok(None)
    }

    fn begin(&mut self, kind: u8, left: Option<u64>) -> Result<(), Stop> {
        if self.open.iter().all(|open| open.kind == ANNOTATED) {
            self.push = kind == b'>';
        }
        if self.open.len() >= HARD_DEPTH {
            return lost(Kind::TooDeep);
        }
        if self.open.len() >= self.depth {
            self.damaged(Kind::TooDeep);
        }
        let most = self.limits.children.saturating_mul(if paired(kind) { 2 } else { 1 });
        self.open.push(Open { kind, left, values: Vec::new(), seen: 0, most, chunks: Vec::new() });
        Ok(())
    }

    fn may_end(&self) -> Result<(), Stop> {
        match self.open.last() {
            Some(Open { left: None, kind, seen, .. }) if paired(*kind) && seen % 2 == 1 => {
                lost(Kind::OddMap)
            }
            Some(Open { left: None, .. }) => Ok(()),
            _ => lost(Kind::StrayEnd),
        }
    }

    /// The end of a stream, behind its dot.
    fn end(&mut self) -> Result<Tree, Stop> {
        match self.next()? {
            b'\r' => self.line_feed()?,
            b'\n' => return lost(Kind::BareLineEnd),
            _ => return lost(Kind::StrayEnd),
        }
        Ok(self.close().unwrap_or(Tree::Null))
    }

    /// Puts a value where it belongs; gives what is then whole at the top.
    fn put(&mut self, mut value: Tree) -> Option<Tree> {
        loop {
            let Some(open) = self.open.last_mut() else { return Some(value) };
            open.seen += 1;
            if self.damage.is_none() {
                open.values.push(value);
            }
            let left = open.left.as_mut()?;
            *left -= 1;
            if *left > 0 {
                return None;
            }
            if open.kind == b'|' {
                (open.kind, open.left) = (ANNOTATED, Some(1));
                return None;
            }
            value = self.close()?;
        }
    }

    fn close(&mut self) -> Option<Tree> {
        let open = self.open.pop()?;
        Some(if open.kind == b';' {
            Tree::Bulk(open.chunks)
        } else {
            Tree::aggregate(open.kind, open.values)
        })
    }

    /// From here on the reply is only skipped.
    fn damaged(&mut self, kind: Kind) -> Tree {
        if self.damage.is_none() {
            self.damage = Some(kind);
            self.open.iter_mut().for_each(|open| open.values.clear());
        }
        Tree::Null
    }

    fn next(&mut self) -> Result<u8, Stop> {
        let byte = *self.input.get(self.at).ok_or(Stop::More)?;
        self.at += 1;
        Ok(byte)
    }

    fn line_feed(&mut self) -> Result<(), Stop> {
        if self.next()? == b'\n' { Ok(()) } else { lost(Kind::BareLineEnd) }
    }

    /// The value so far and so many more bytes fit into the frame.
    fn fits(&self, coming: u64) -> Result<(), Stop> {
        let size = ((self.at - self.value_at) as u64).saturating_add(coming);
        if size > self.room { lost(Kind::FrameTooLarge) } else { Ok(()) }
    }

    /// A line of at most so many bytes, CR LF not counted.
    fn line(&mut self, max: u64) -> Result<&'a [u8], Stop> {
        let start = self.at;
        let room = self.room - SMALLEST;
        let (max, beyond) =
            if room < max { (room, Kind::FrameTooLarge) } else { (max, Kind::TooLong) };
        loop {
            match self.next()? {
                b'\r' => break,
                b'\n' => return lost(Kind::BareLineEnd),
                _ if (self.at - start) as u64 > max => return lost(beyond),
                _ => {}
            }
        }
        self.line_feed()?;
        Ok(&self.input[start..self.at - 2])
    }

    /// A count: what it is at most, what it is called beyond that, and whether it may be null and a stream.
    fn count(
        &mut self,
        (max, beyond): (u64, Kind),
        null: bool,
        stream: bool,
    ) -> Result<Count, Stop> {
        let start = self.at;
        let mut count = None;
        loop {
            let byte = self.next()?;
            count = match (byte, count) {
                (b'\n', _) => return lost(Kind::BareLineEnd),
                (b'\r', Some(Count::Of(0))) if self.input[self.value_at] == b'>' => {
                    return lost(Kind::BadPush); // it does not even say its kind
                }
                (b'\r', Some(count)) => {
                    self.line_feed()?;
                    self.fits(0)?;
                    return Ok(count);
                }
                (b'0'..=b'9', None | Some(Count::Of(_))) => {
                    if (self.at - start) as u64 > SHORT {
                        return lost(Kind::TooLong);
                    }
                    let so_far = if let Some(Count::Of(so_far)) = count { so_far } else { 0 };
                    let more =
                        so_far.checked_mul(10).and_then(|n| n.checked_add(u64::from(byte - b'0')));
                    match more {
                        Some(count) if count <= max.min(LARGEST) => Some(Count::Of(count)),
                        _ => return lost(beyond),
                    }
                }
                (b'-', None) if null => match self.next()? {
                    b'1' => Some(Count::Null),
                    b'\n' => return lost(Kind::BareLineEnd),
                    _ => return lost(Kind::BadLength),
                },
                (b'?', None) if stream && self.protocol == Protocol::Resp3 => Some(Count::Stream),
                _ => return lost(Kind::BadLength),
            };
        }
    }
}

fn paired(kind: u8) -> bool {
    kind == b'%' || kind == b'|'
}
