//! The replies that are parsed.

use bytes::Bytes;

/// What a read from a socket brings at once, and what fits the first cache.
const READ: usize = 16 << 10;

/// A buffer full of replies.
#[derive(Debug, Clone)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) wire: Bytes,
    /// How many there are, or what else the time is divided by.
    pub(crate) replies: usize,
    pub(crate) unit: &'static str,
    /// Whether it has a type that RESP2 lacks.
    pub(crate) resp3: bool,
    /// Whether RESP3 has it no more: not every parser of RESP3 takes the old null.
    pub(crate) resp2: bool,
    /// Bytes that arrive at once, where it does not arrive whole.
    pub(crate) piece: Option<usize>,
}

pub(crate) const OK: &str = "+OK";
pub(crate) const INTEGER: &str = ":12345";
pub(crate) const BULK: &str = "36-byte bulk";
pub(crate) const ARRAY: &str = "array of 100 x 16-byte bulks";
pub(crate) const MEBIBYTE: &str = "1 MiB bulk";
pub(crate) const MAP: &str = "map of 50 pairs";
pub(crate) const PIECES: &str = "50,000 bulks in 16 KiB pieces";
pub(crate) const UUID: &str = "0e8f5c9a-6f5e-4d0c-9a57-3b1de0a4c7f2";

pub(crate) fn all() -> Vec<Workload> {
    let bulk = |text: &str| format!("${}\r\n{text}\r\n", text.len());
    let bulks =
        |count: usize| -> String { (0..count).map(|n| bulk(&format!("value-{n:010}"))).collect() };
    let pairs: String =
        (0..50).map(|n| bulk(&format!("field-{n:02}")) + &bulk(&format!("value-{n:06}"))).collect();
    let small = ["+OK\r\n".to_owned(), ":1\r\n".to_owned(), bulk(UUID), ":12345\r\n".to_owned()];
    let pipeline = Workload {
        replies: 1_000,
        ..full("pipeline of 1,000 small replies", &small.concat(), 250)
    };
    let nil = Workload { resp2: true, ..filling("null of RESP2, $-1", "$-1\r\n") };
    vec![
        filling(OK, "+OK\r\n"),
        filling(INTEGER, ":12345\r\n"),
        filling(BULK, &bulk(UUID)),
        nil,
        Workload { resp3: true, ..filling("null of RESP3, _", "_\r\n") },
        filling(ARRAY, &format!("*100\r\n{}", bulks(100))),
        Workload { resp3: true, ..filling(MAP, &format!("%50\r\n{pairs}")) },
        pipeline,
        full(MEBIBYTE, &bulk(&"x".repeat(1 << 20)), 8),
        Workload {
            replies: 50_000,
            unit: "element",
            piece: Some(READ),
            ..full(PIECES, &format!("*50000\r\n{}", bulks(50_000)), 1)
        },
    ]
}

/// As many replies as fill one read.
fn filling(name: &'static str, reply: &str) -> Workload {
    full(name, reply, (READ / reply.len()).max(1))
}

fn full(name: &'static str, reply: &str, replies: usize) -> Workload {
    let wire = Bytes::from(reply.repeat(replies));
    Workload { name, wire, replies, unit: "reply", resp3: false, resp2: false, piece: None }
}
