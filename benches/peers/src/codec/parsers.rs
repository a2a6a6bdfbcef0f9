//! Every parser, used the way that is best for it: buffers and decoders reused, zero copy where it offers that.

use crate::codec::workloads::Workload;
use crate::codec::{Contestant, Copied, Entry, Gives, LineEnds};
use bytes::{Buf as _, Bytes, BytesMut};
use redis_protocol::{resp2, resp3};
use resp::{Decoder, Frame, Limits, Protocol};
use rustis::resp::bench_support::{
    BenchTape, bench_decode_chunked, bench_decode_to, bench_parse_only,
};
use std::hint::black_box;
use tokio_util::codec::Decoder as _;

/// Those that can parse the workload.
pub(crate) fn of(workload: &Workload) -> Vec<Entry> {
    let mut entries = ours(workload);
    entries.extend(of_redis(workload));
    if !workload.resp3 {
        entries.extend(for_resp2(workload));
    }
    if !workload.resp2 {
        entries.extend(for_resp3(workload));
    }
    entries.extend(of_rustis(workload));
    entries.push(entry("limit: memchr", Gives::Limit, LineEnds(workload.wire.clone())));
    let copied = Copied { from: workload.wire.clone(), to: Vec::new(), times: 1 };
    entries.push(entry("limit: memcpy", Gives::Limit, copied));
    entries
}

fn entry(name: &'static str, gives: Gives, contestant: impl Contestant + 'static) -> Entry {
    Entry { name, gives, counted: true, contestant: Box::new(contestant) }
}

fn ours(workload: &Workload) -> Vec<Entry> {
    let mut reusing = Decoder::new(Protocol::Resp3, Limits::default());
    let mut plain = Decoder::new(Protocol::Resp3, Limits::default());
    let mut frame = Frame::Null;
    let reusing = of_buffer(workload, move |buffer| {
        let whole = reusing.decode_into(buffer, &mut frame).expect("a good reply");
        black_box(&frame);
        whole
    });
    let plain =
        of_buffer(workload, move |buffer| seen(plain.decode(buffer).expect("a good reply")));
    let batched = Batched {
        decoder: Decoder::new(Protocol::Resp3, Limits::default()),
        frame: Frame::Null,
        buffer: BytesMut::new(),
        wire: workload.wire.clone(),
        replies: workload.replies,
        piece: workload.piece,
    };
    vec![
        entry("tenure: frames", Gives::Ours, batched),
        entry("tenure: decode", Gives::OursToo, plain),
        entry("tenure: decode_into", Gives::OursToo, reusing),
    ]
}

fn of_redis(workload: &Workload) -> Vec<Entry> {
    let mut one = redis1::ValueCodec::default();
    let mut two = redis2::ValueCodec::default();
    let one = of_buffer(workload, move |buffer| seen(one.decode(buffer).expect("a good reply")));
    let two = of_buffer(workload, move |buffer| seen(two.decode(buffer).expect("a good reply")));
    vec![entry("redis 1.8", Gives::Values, one), entry("redis 2.0-rc", Gives::Values, two)]
}

fn for_resp2(workload: &Workload) -> Vec<Entry> {
    let mut codec = redis_async::resp::RespCodec;
    let of_async =
        of_buffer(workload, move |buffer| seen(codec.decode(buffer).expect("a good reply")));
    let split = of_buffer(workload, |buffer| {
        seen(resp2::decode::decode_bytes_mut(buffer).expect("a good reply"))
    });
    let mut entries = vec![
        entry("redis-async 0.18", Gives::Values, of_async),
        entry("redis-protocol 6, RESP2", Gives::Values, split),
        hiredis("hiredis 0.13, objects", Gives::Values, native::Reader::with_objects(), workload),
        hiredis(
            "hiredis 0.13, no objects",
            Gives::Offsets,
            native::Reader::without_objects(),
            workload,
        ),
    ];
    if workload.piece.is_none() {
        let shared = of_shared(workload, |wire| {
            let (frame, len) =
                resp2::decode::decode_bytes(wire).expect("a good reply").expect("a whole one");
            black_box(&frame);
            len
        });
        let ranges = of_shared(workload, |wire| {
            let (frame, len) =
                resp2::decode::decode_range(wire).expect("a good reply").expect("a whole one");
            black_box(&frame);
            len
        });
        entries.push(entry("redis-protocol 6, RESP2, frozen", Gives::Values, shared));
        entries.push(entry("redis-protocol 6, RESP2, ranges", Gives::Offsets, ranges));
    }
    entries
}

fn for_resp3(workload: &Workload) -> Vec<Entry> {
    let split = of_buffer(workload, |buffer| {
        seen(resp3::decode::complete::decode_bytes_mut(buffer).expect("a good reply"))
    });
    let mut entries = vec![entry("redis-protocol 6, RESP3", Gives::Values, split)];
    if workload.piece.is_none() {
        let shared = of_shared(workload, |wire| {
            let decoded = resp3::decode::complete::decode_bytes(wire).expect("a good reply");
            let (frame, len) = decoded.expect("a whole one");
            black_box(&frame);
            len
        });
        let ranges = of_shared(workload, |wire| {
            let decoded = resp3::decode::complete::decode_range(wire).expect("a good reply");
            let (frame, len) = decoded.expect("a whole one");
            black_box(&frame);
            len
        });
        entries.push(entry("redis-protocol 6, RESP3, frozen", Gives::Values, shared));
        entries.push(entry("redis-protocol 6, RESP3, ranges", Gives::Offsets, ranges));
    }
    entries
}

/// What rustis opens of its parser copies each reply, which its client does not do. Its own tape, which builds no values, is
/// measured without that copy.
fn of_rustis(workload: &Workload) -> Vec<Entry> {
    if let Some(piece) = workload.piece {
        let wire = workload.wire.clone();
        let values = Whole(move || {
            let pieces: Vec<&[u8]> = wire.chunks(piece).collect();
            let value = bench_decode_chunked::<rustis::resp::Value>(&pieces);
            black_box(&value.expect("a good reply"));
        });
        return vec![entry("rustis 0.27, Value", Gives::Values, values)];
    }
    let len = workload.wire.len() / workload.replies;
    let uniform = workload.wire.chunks(len).all(|reply| reply == &workload.wire[..len]);
    if !uniform {
        // What it opens does not say where a reply ends.
        return Vec::new();
    }
    let (one, other) = (workload.wire.clone(), workload.wire.clone());
    let mut tape = BenchTape::new();
    let tape = Whole(move || {
        for reply in one.chunks_exact(len) {
            bench_parse_only(black_box(reply), &mut tape);
        }
    });
    let values = Whole(move || {
        for reply in other.chunks_exact(len) {
            let value = bench_decode_to::<rustis::resp::Value>(black_box(reply));
            black_box(&value.expect("a good reply"));
        }
    });
    vec![
        entry("rustis 0.27, Value", Gives::Values, values),
        entry("rustis 0.27, tape", Gives::Offsets, tape),
    ]
}

fn seen<T>(parsed: Option<T>) -> bool {
    parsed
        .inspect(|reply| {
            black_box(reply);
        })
        .is_some()
}

/// A parser that takes replies off a buffer which a socket would fill. `next` parses one, looks at it, drops it and tells
/// whether there was one.
struct OfBuffer<F> {
    buffer: BytesMut,
    wire: Bytes,
    replies: usize,
    piece: Option<usize>,
    next: F,
}

fn of_buffer<F: FnMut(&mut BytesMut) -> bool>(workload: &Workload, next: F) -> OfBuffer<F> {
    let Workload { ref wire, replies, piece, .. } = *workload;
    OfBuffer { buffer: BytesMut::new(), wire: wire.clone(), replies, piece, next }
}

impl<F: FnMut(&mut BytesMut) -> bool> Contestant for OfBuffer<F> {
    fn prepare(&mut self) {
        self.buffer.clear();
        if self.piece.is_none() {
            self.buffer.reserve(self.wire.len());
            self.buffer.extend_from_slice(&self.wire);
        }
    }

    fn run(&mut self) {
        let Some(size) = self.piece else {
            // As a driver does: until the parser asks for more.
            let mut replies = 0;
            while (self.next)(&mut self.buffer) {
                replies += 1;
            }
            assert_eq!(replies, self.replies);
            return;
        };
        let mut whole = false;
        for piece in self.wire.chunks(size) {
            self.buffer.reserve(size);
            self.buffer.extend_from_slice(piece);
            whole = (self.next)(&mut self.buffer);
        }
        assert!(whole, "the reply is not whole");
    }
}

/// Our decoder over a buffer that a socket would fill: all replies of a read, each in the storage of the one before it.
struct Batched {
    decoder: Decoder,
    frame: Frame,
    buffer: BytesMut,
    wire: Bytes,
    replies: usize,
    piece: Option<usize>,
}

impl Batched {
    fn drain(&mut self) -> usize {
        let mut replies = 0;
        let mut frames = self.decoder.frames(&mut self.buffer);
        while frames.decode_into(&mut self.frame).expect("a good reply") {
            black_box(&self.frame);
            replies += 1;
        }
        replies
    }
}

impl Contestant for Batched {
    fn prepare(&mut self) {
        self.buffer.clear();
        if self.piece.is_none() {
            self.buffer.reserve(self.wire.len());
            self.buffer.extend_from_slice(&self.wire);
        }
    }

    fn run(&mut self) {
        let Some(size) = self.piece else {
            assert_eq!(self.drain(), self.replies);
            return;
        };
        let mut whole = 0;
        for piece in self.wire.clone().chunks(size) {
            self.buffer.reserve(size);
            self.buffer.extend_from_slice(piece);
            whole += self.drain();
        }
        assert_eq!(whole, 1, "the reply is not whole");
    }
}

/// A parser that slices bytes which are shared, and says how many it took.
struct OfShared<F> {
    wire: Bytes,
    left: Bytes,
    replies: usize,
    next: F,
}

fn of_shared<F: FnMut(&Bytes) -> usize>(workload: &Workload, next: F) -> OfShared<F> {
    let Workload { ref wire, replies, .. } = *workload;
    OfShared { wire: wire.clone(), left: Bytes::new(), replies, next }
}

impl<F: FnMut(&Bytes) -> usize> Contestant for OfShared<F> {
    fn prepare(&mut self) {
        self.left = self.wire.clone();
    }

    fn run(&mut self) {
        for _ in 0..self.replies {
            let taken = (self.next)(&self.left);
            self.left.advance(taken);
        }
    }
}

/// A sample that needs no preparation.
struct Whole<F>(F);

impl<F: FnMut()> Contestant for Whole<F> {
    fn run(&mut self) {
        (self.0)();
    }
}

struct Hiredis {
    reader: native::Reader,
    wire: Bytes,
    replies: usize,
    piece: Option<usize>,
}

fn hiredis(name: &'static str, gives: Gives, reader: native::Reader, workload: &Workload) -> Entry {
    let Workload { ref wire, replies, piece, .. } = *workload;
    let contestant = Hiredis { reader, wire: wire.clone(), replies, piece };
    Entry { name, gives, counted: false, contestant: Box::new(contestant) }
}

impl Contestant for Hiredis {
    fn prepare(&mut self) {
        if self.piece.is_none() {
            self.reader.feed(&self.wire);
        }
    }

    fn run(&mut self) {
        let Some(size) = self.piece else {
            let mut replies = 0;
            while seen(self.reader.reply()) {
                replies += 1;
            }
            assert_eq!(replies, self.replies);
            return;
        };
        let mut whole = false;
        for piece in self.wire.chunks(size) {
            self.reader.feed(piece);
            whole = seen(self.reader.reply());
        }
        assert!(whole, "the reply is not whole");
    }
}
