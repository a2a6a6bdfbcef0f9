//! Replies from random numbers: wire bytes of every type in every spelling, and frames to encode.
//!
//! All choices are drawn so that zeros end quickly: bytes that run out are read as zeros.

use crate::damage::INTERESTING;
use rand::{Rng, RngExt as _};
use resp::{Attributed, Frame, Protocol, Verbatim};

/// Draws values until its fuel, which children and long strings use up, is gone.
#[derive(Debug)]
pub struct Grammar<'a, R> {
    rng: &'a mut R,
    protocol: Protocol,
    fuel: usize,
    /// How often, in 256, a value is wrong inside.
    spoiled: u8,
    /// Whether, now and then, nobody can tell where it ends.
    lost: bool,
}

impl<'a, R: Rng> Grammar<'a, R> {
    /// Values of a protocol; none of them is wrong inside.
    pub fn new(rng: &'a mut R, protocol: Protocol, fuel: usize) -> Self {
        Self { rng, protocol, fuel, spoiled: 0, lost: false }
    }

    /// Makes a value wrong inside this often, in 256.
    #[must_use]
    pub fn spoiled(self, often: u8) -> Self {
        Self { spoiled: often, ..self }
    }

    /// Makes, now and then, a value whose end nobody can tell.
    #[must_use]
    pub fn lost(self) -> Self {
        Self { lost: true, ..self }
    }

    /// Appends one reply, possibly with attributes.
    pub fn reply(&mut self, out: &mut Vec<u8>) {
        self.value(0, out);
    }

    /// Appends one push, possibly with attributes in front.
    pub fn push(&mut self, out: &mut Vec<u8>) {
        if self.one_in(4) {
            out.extend_from_slice(b"|1\r\n+ttl\r\n:3\r\n");
        }
        if self.lost && self.one_in(16) {
            return line(b'>', b"0", out);
        }
        let children = self.children().max(1);
        line(b'>', children.to_string().as_bytes(), out);
        self.string(b'$', out);
        for _ in 1..children {
            self.value(1, out);
        }
    }

    fn resp3(&self) -> bool {
        self.protocol == Protocol::Resp3
    }

    fn below(&mut self, end: usize) -> usize {
        self.rng.random_range(0..end)
    }

    fn is_spoiled(&mut self) -> bool {
        u8::try_from(self.below(256)).is_ok_and(|drawn| drawn < self.spoiled)
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    fn value(&mut self, depth: usize, out: &mut Vec<u8>) {
        const RESP2: &[u8] = b":+$$-$*";
        const RESP3: &[u8] = b":+$$-_#,(!=*%~>|s";
        let kinds = if self.resp3() { RESP3 } else { RESP2 };
        let leaves = kinds.iter().position(|&kind| kind == b'*').unwrap_or(kinds.len());
        let kinds = if self.fuel == 0 || depth > 40 { &kinds[..leaves] } else { kinds };
        let choice = self.below(kinds.len());
        match kinds.get(choice).copied().unwrap_or(b':') {
            kind @ (b'+' | b'-') => {
                let text = self.text();
                line(kind, &text, out);
            }
            kind @ (b'$' | b'!' | b'=') => self.string(kind, out),
            b'*' if self.one_in(8) => line(b'*', b"-1", out),
            kind @ (b'*' | b'~' | b'%') if self.resp3() && self.one_in(6) => {
                line(kind, b"?", out);
                let more = if self.one_in(4) { self.below(8) } else { 0 };
                let count = (self.children() + more) * if kind == b'%' { 2 } else { 1 };
                self.values(count, depth, out);
                line(b'.', b"", out);
            }
            b'>' if depth == 0 => self.value(depth, out), // at the top it would be no reply
            b'>' => self.push(out),
            kind @ (b'*' | b'~' | b'%' | b'|') => {
                let children = self.children();
                self.header(kind, children, out);
                let count = children * if kind == b'%' || kind == b'|' { 2 } else { 1 };
                self.values(count, depth, out);
                if kind == b'|' {
                    self.value(depth, out);
                }
            }
            b's' => self.streamed_string(out),
            kind => self.scalar(kind, out),
        }
    }

    fn values(&mut self, count: usize, depth: usize, out: &mut Vec<u8>) {
        for _ in 0..count {
            self.value(depth + 1, out);
        }
    }

    fn children(&mut self) -> usize {
        let most = if self.one_in(16) { 40 } else { 5 };
        let children = self.below(most).min(self.fuel);
        self.fuel -= children;
        children
    }

    fn header(&mut self, kind: u8, count: usize, out: &mut Vec<u8>) {
        let zeros = match self.below(256) {
            255 if self.lost => 29 + self.below(6), // as long as a count may be, and longer
            240.. => self.below(4),
            _ => 0,
        };
        line(kind, format!("{}{count}", "0".repeat(zeros)).as_bytes(), out);
    }

    fn scalar(&mut self, kind: u8, out: &mut Vec<u8>) {
        const DOUBLES: [&str; 12] = [
            "0",
            "1.5",
            "-0",
            "inf",
            "-inf",
            "nan",
            "-nan",
            "+1.5e3",
            "5e-324",
            "1.0000000000000001e+300",
            "0.10000000000000001",
            "1E400",
        ];
        const WRONG: [&str; 12] = [
            "",
            "-",
            "x",
            "1.",
            ".5",
            "1e",
            "infinity",
            "T",
            "0x1",
            " 1",
            "1 ",
            "99999999999999999999",
        ];
        if self.is_spoiled() {
            let wrong = WRONG[self.below(WRONG.len())];
            return line(kind, wrong.as_bytes(), out);
        }
        let text = match kind {
            b'_' => String::new(),
            b'#' => if self.one_in(2) { "t" } else { "f" }.to_owned(),
            b',' if self.one_in(3) => f64::from_bits(self.rng.random()).to_string(),
            b',' => DOUBLES[self.below(DOUBLES.len())].to_owned(),
            b'(' => format!("{}{}", self.sign(), "9".repeat(1 + self.below(60))),
            _ => self.integer(),
        };
        // The standard library names these its own way.
        let text = match text.as_str() {
            "NaN" => "nan",
            text => text,
        };
        line(kind, text.as_bytes(), out);
    }

    fn sign(&mut self) -> &'static str {
        ["", "", "-", "+"][self.below(4)]
    }

    fn integer(&mut self) -> String {
        match self.below(6) {
            0 => self.below(10).to_string(),
            1 => format!("{}{}", self.sign(), self.below(1_000_000)),
            2 => self.rng.random::<i64>().to_string(),
            3 => format!("{}00{}", self.sign(), self.below(100)),
            4 => i64::MIN.to_string(),
            _ => i64::MAX.to_string(),
        }
    }

    fn text(&mut self) -> Vec<u8> {
        const TEXTS: [&[u8]; 8] = [
            b"OK",
            b"QUEUED",
            b"PONG",
            b"",
            b"ERR unknown command '\xff\xfe'",
            b"MOVED 3999 h:1",
            b"a  b",
            b"+1",
        ];
        if self.one_in(3) {
            let mut text = self.bytes();
            text.retain(|&byte| byte != b'\r' && byte != b'\n');
            text
        } else {
            TEXTS[self.below(TEXTS.len())].to_vec()
        }
    }

    fn bytes(&mut self) -> Vec<u8> {
        let most = match self.below(32) {
            31 => 2_000,
            16.. => 40,
            _ => 6,
        };
        let len = self.below(most);
        let mut bytes = vec![0; len];
        if self.one_in(2) {
            self.rng.fill(&mut bytes[..]);
        } else {
            let pattern: &[u8] = [&b"ab"[..], b"\r\n", b"+OK\r\n", b"$1\r\na\r\n"][self.below(4)];
            bytes.iter_mut().zip(pattern.iter().cycle()).for_each(|(byte, &next)| *byte = next);
        }
        bytes
    }

    fn string(&mut self, kind: u8, out: &mut Vec<u8>) {
        if kind == b'$' && self.one_in(8) {
            return line(kind, b"-1", out);
        }
        let mut bytes = self.bytes();
        if kind == b'=' && !self.is_spoiled() {
            bytes.splice(0..0, *[b"txt:", b"mkd:", b"a  :", b"\r\n::"][self.below(4)]);
        }
        self.header(kind, bytes.len(), out);
        out.extend_from_slice(&bytes);
        out.extend_from_slice(b"\r\n");
    }

    fn streamed_string(&mut self, out: &mut Vec<u8>) {
        line(b'$', b"?", out);
        for _ in 0..self.below(4) {
            let bytes = self.bytes();
            if !bytes.is_empty() {
                self.header(b';', bytes.len(), out);
                out.extend_from_slice(&bytes);
                out.extend_from_slice(b"\r\n");
            }
        }
        line(b';', b"0", out);
    }

    /// A frame that its encoding shows exactly.
    pub fn frame(&mut self) -> Frame {
        self.frame_at(0)
    }

    fn frame_at(&mut self, depth: usize) -> Frame {
        let kinds = if self.fuel == 0 || depth > 40 { 10 } else { 15 };
        let bytes = |bytes: Vec<u8>| resp::Str::from(bytes);
        match self.below(kinds) {
            0 => Frame::Null,
            1 => Frame::Integer(self.rng.random()),
            2 => Frame::Simple(bytes(self.text())),
            3 => Frame::Bulk(bytes(self.bytes())),
            4 => Frame::Error(bytes(self.text())),
            5 => Frame::Boolean(self.one_in(2)),
            6 => Frame::Double(f64::from_bits(self.rng.random())),
            7 => Frame::BigNumber(bytes(
                format!("{}7{}", self.sign(), "0".repeat(self.below(50))).into(),
            )),
            8 => Frame::BulkError(bytes(self.bytes())),
            9 => {
                let verbatim = Verbatim { format: self.rng.random(), text: bytes(self.bytes()) };
                Frame::Verbatim(Box::new(verbatim))
            }
            10 => Frame::Array(self.frames(depth, 0)),
            11 => Frame::Set(self.frames(depth, 0)),
            12 => Frame::Push(self.frames(depth, 1)),
            13 => Frame::Map(self.frame_pairs(depth)),
            _ => Frame::Attributed(Box::new(Attributed {
                attributes: self.frame_pairs(depth),
                frame: self.frame_at(depth + 1),
            })),
        }
    }

    fn frames(&mut self, depth: usize, least: usize) -> Vec<Frame> {
        let count = self.children().max(least);
        (0..count).map(|_| self.frame_at(depth + 1)).collect()
    }

    fn frame_pairs(&mut self, depth: usize) -> Vec<(Frame, Frame)> {
        let count = self.children();
        (0..count).map(|_| (self.frame_at(depth + 1), self.frame_at(depth + 1))).collect()
    }

    /// Appends one request, as an array of strings or as words that are typed by hand.
    pub fn request(&mut self, out: &mut Vec<u8>) {
        const WORDS: [&[u8]; 8] = [
            b"PING",
            b"\"a b\"",
            b"'it\\'s'",
            b"\"\\x41\\n\\\"\"",
            b"post",
            b"a\"b c\"",
            b"\0",
            b"\x0b",
        ];
        if self.one_in(3) {
            if self.one_in(1_000) {
                out.resize(out.len() + (64 << 10) - 8 + self.below(12), b'a'); // as long as a line may be
            }
            for _ in 0..self.below(5) {
                out.extend_from_slice(WORDS[self.below(WORDS.len())]);
                out.extend_from_slice([&b" "[..], b"  ", b"\t", b"\r"][self.below(4)]);
            }
            return out.extend_from_slice(if self.one_in(2) { b"\n" } else { b"\r\n" });
        }
        let count = self.below(5);
        line(b'*', count.to_string().as_bytes(), out);
        for _ in 0..count {
            let bytes = self.bytes();
            line(b'$', bytes.len().to_string().as_bytes(), out);
            out.extend_from_slice(&bytes);
            out.extend_from_slice(b"\r\n");
        }
    }

    /// A number around which something changes.
    pub(crate) fn interesting(rng: &mut R) -> &'static str {
        INTERESTING[rng.random_range(0..INTERESTING.len())]
    }
}

pub(crate) fn line(kind: u8, text: &[u8], out: &mut Vec<u8>) {
    out.push(kind);
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}
