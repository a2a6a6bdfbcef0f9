//! How long does it take to decode a reply?
//!
//! ```text
//! cargo bench --bench decode
//! ```
//!
//! Each is measured in a pipeline of as many as an ordinary read holds, all of a read together, in storage that is used again.
//! Times drift with the machine: what they say beside other codecs is in `benches/peers`, and what does not drift in
//! `codec_instructions`.

#![allow(missing_docs, reason = "a macro of criterion makes a public function")]

#[path = "workloads/replies.rs"]
mod replies;

use bytes::BytesMut;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use resp::{Decoder, Frame, Limits, Protocol};
use std::hint::black_box;

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for (name, reply) in replies::replies() {
        let wire = replies::pipeline(&reply);
        group.throughput(Throughput::Bytes(wire.len() as u64));
        let mut decoder = Decoder::new(Protocol::Resp3, Limits::default());
        let mut frame = Frame::Null;
        group.bench_function(name, |bencher| {
            let read = || BytesMut::from(&wire[..]);
            let drain = |mut input: BytesMut| {
                let mut frames = decoder.frames(&mut input);
                while frames.decode_into(&mut frame).expect("in order") {
                    black_box(&frame);
                }
                drop(frames);
                input
            };
            bencher.iter_batched(read, drain, BatchSize::LargeInput);
        });
    }
    group.finish();
}

/// An array of 50,000 strings that arrives in pieces of 16 KiB.
fn in_pieces(criterion: &mut Criterion) {
    let mut wire = b"*50000\r\n".to_vec();
    for number in 0..50_000 {
        wire.extend_from_slice(format!("$16\r\nvalue-{number:010}\r\n").as_bytes());
    }
    criterion.bench_function("decode/50,000 strings in pieces", |bencher| {
        bencher.iter(|| {
            let mut decoder = Decoder::new(Protocol::Resp3, Limits::default());
            let (mut input, mut frame) = (BytesMut::with_capacity(64 << 10), None);
            for piece in wire.chunks(16 << 10) {
                input.extend_from_slice(piece);
                frame = decoder.decode(&mut input).expect("in order");
            }
            frame
        });
    });
}

criterion_group!(benches, decode, in_pieces);
criterion_main!(benches);
