//! How long does it take to encode a command?
//!
//! ```text
//! cargo bench --bench encode
//! ```

#![allow(missing_docs, reason = "a macro of criterion makes a public function")]

#[path = "workloads/command.rs"]
mod command;

use bytes::BytesMut;
use command::SET;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use resp::encode;
use std::hint::black_box;

fn encode(criterion: &mut Criterion) {
    let mut prepared = BytesMut::new();
    encode::command(&SET, &mut prepared);
    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::Bytes(prepared.len() as u64));
    let mut out = BytesMut::with_capacity(1 << 10);
    group.bench_function("any command", |bencher| {
        bencher.iter(|| {
            out.clear();
            encode::command(black_box(&SET), &mut out);
        });
    });
    group.bench_function("prepared once", |bencher| {
        bencher.iter(|| {
            out.clear();
            out.extend_from_slice(black_box(&prepared));
        });
    });
    group.finish();
}

criterion_group!(benches, encode);
criterion_main!(benches);
