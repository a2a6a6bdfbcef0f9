//! `SET k token NX PX n`, encoded by everyone.

use crate::codec::workloads::UUID;
use crate::codec::{Contestant, Copied, Entry, Gives};
use bytes::{Bytes, BytesMut};
use redis_protocol::resp2;
use resp::encode;
use std::hint::black_box;
use tokio_util::codec::Encoder as _;

pub(crate) const NAME: &str = "encode SET k token NX PX n";
/// Commands in a sample.
pub(crate) const COUNT: usize = 500;

const KEY: &str = "lk:orders:000000042";
const LEASE_MS: i64 = 10_000;

pub(crate) fn title() -> String {
    format!("SET {KEY} {UUID} NX PX {LEASE_MS} ({} bytes)", wire().len())
}

fn wire() -> Bytes {
    let mut out = BytesMut::new();
    encode::command(&["SET", KEY, UUID, "NX", "PX", "10000"], &mut out);
    out.freeze()
}

pub(crate) fn all() -> Vec<Entry> {
    let copied = Copied { from: wire(), to: Vec::new(), times: COUNT };
    vec![
        ours(),
        ours_prepared(),
        entry(
            "redis 1.8, reused Vec",
            Gives::Values,
            Each(Vec::new(), |out: &mut Vec<u8>| {
                out.clear();
                let mut cmd = redis1::cmd("SET");
                cmd.arg(black_box(KEY))
                    .arg(black_box(UUID))
                    .arg("NX")
                    .arg("PX")
                    .arg(black_box(LEASE_MS));
                cmd.write_packed_command(out);
            }),
        ),
        entry(
            "redis 2.0-rc, reused Vec",
            Gives::Values,
            Each(Vec::new(), |out: &mut Vec<u8>| {
                out.clear();
                let mut cmd = redis2::cmd("SET");
                cmd.arg(black_box(KEY))
                    .arg(black_box(UUID))
                    .arg("NX")
                    .arg("PX")
                    .arg(black_box(LEASE_MS));
                cmd.write_packed_command(out);
            }),
        ),
        entry(
            "rustis 0.27, command",
            Gives::Values,
            Each((), |(): &mut ()| {
                let builder = rustis::resp::cmd("SET").key(black_box(KEY)).arg(black_box(UUID));
                let command: rustis::resp::Command =
                    builder.arg("NX").arg("PX").arg(black_box(LEASE_MS)).into();
                black_box(command.bytes());
            }),
        ),
        redis_protocol(),
        redis_protocol_borrowed(),
        entry(
            "redis-async 0.18",
            Gives::Values,
            Each(BytesMut::new(), |out: &mut BytesMut| {
                out.clear();
                let value = redis_async::resp_array![
                    "SET",
                    black_box(KEY),
                    black_box(UUID),
                    "NX",
                    "PX",
                    black_box("10000")
                ];
                redis_async::resp::RespCodec.encode(value, out).expect("it encodes everything");
            }),
        ),
        Entry {
            counted: false,
            ..entry(
                "hiredis 0.13",
                Gives::Values,
                Each((), |(): &mut ()| {
                    let args =
                        ["SET", black_box(KEY), black_box(UUID), "NX", "PX", black_box("10000")];
                    native::format_command(&args.map(str::as_bytes), |bytes| {
                        black_box(bytes);
                    });
                }),
            )
        },
        entry("limit: memcpy", Gives::Limit, copied),
    ]
}

fn ours() -> Entry {
    entry(
        "tenure: any command",
        Gives::Ours,
        Each(BytesMut::new(), |out: &mut BytesMut| {
            out.clear();
            encode::array_header(6, out);
            encode::bulk(b"SET", out);
            encode::bulk(black_box(KEY).as_bytes(), out);
            encode::bulk(black_box(UUID).as_bytes(), out);
            encode::bulk(b"NX", out);
            encode::bulk(b"PX", out);
            encode::bulk_i64(black_box(LEASE_MS), out);
        }),
    )
}

fn ours_prepared() -> Entry {
    let prepared = wire();
    entry(
        "tenure: prepared once",
        Gives::OursToo,
        Each(BytesMut::new(), move |out: &mut BytesMut| {
            out.clear();
            out.extend_from_slice(black_box(&prepared));
        }),
    )
}

/// Arguments are references to shared bytes, so that nothing is copied before it is encoded.
fn redis_protocol() -> Entry {
    let part = |text: &'static str| {
        resp2::types::BytesFrame::BulkString(Bytes::from_static(text.as_bytes()))
    };
    entry(
        "redis-protocol 6, RESP2, shared",
        Gives::Values,
        Each(BytesMut::new(), move |out: &mut BytesMut| {
            out.clear();
            let parts = ["SET", black_box(KEY), black_box(UUID), "NX", "PX", black_box("10000")];
            let frame = resp2::types::BytesFrame::Array(parts.map(part).to_vec());
            resp2::encode::extend_encode(out, &frame, false).expect("it encodes everything");
        }),
    )
}

fn redis_protocol_borrowed() -> Entry {
    use resp2::types::BorrowedFrame as Part;
    entry(
        "redis-protocol 6, RESP2, borrowed",
        Gives::Values,
        Each(BytesMut::new(), |out: &mut BytesMut| {
            out.clear();
            let parts = ["SET", black_box(KEY), black_box(UUID), "NX", "PX", black_box("10000")];
            let parts = parts.map(|part| Part::BulkString(part.as_bytes()));
            let frame = Part::Array(&parts);
            resp2::encode::extend_encode_borrowed(out, &frame, false)
                .expect("it encodes everything");
        }),
    )
}

fn entry(name: &'static str, gives: Gives, contestant: impl Contestant + 'static) -> Entry {
    Entry { name, gives, counted: true, contestant: Box::new(contestant) }
}

/// Encodes a command many times into storage that is kept.
struct Each<S, F>(S, F);

impl<S, F: FnMut(&mut S)> Contestant for Each<S, F> {
    fn run(&mut self) {
        let Self(storage, encode) = self;
        for _ in 0..COUNT {
            encode(storage);
            black_box(&*storage);
        }
    }
}
