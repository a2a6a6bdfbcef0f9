//! What a frame costs in memory: while it comes in, when it is kept, and in allocations.

use crate::decoder;
use allocation_counter::{AllocationInfo, measure};
use bytes::{Bytes, BytesMut};
use resp::{Decoder, Frame, Limits, Protocol, RequestDecoder, encode};

/// Feeds bytes and keeps every frame until the end.
fn keep_all(wire: &[u8], piece: usize) -> AllocationInfo {
    measure(|| {
        let (mut decoder, mut input, mut frames) =
            (decoder(Protocol::Resp3), BytesMut::new(), vec![]);
        for piece in wire.chunks(piece) {
            input.extend_from_slice(piece);
            while let Ok(Some(frame)) = decoder.decode(&mut input) {
                frames.push(frame);
            }
        }
    })
}

fn check_peak(what: &str, wire: &[u8]) {
    for piece in [1, 100, 1_448, 16 << 10, usize::MAX] {
        if wire.len() / piece > 30_000 {
            continue;
        }
        let info = keep_all(wire, piece);
        let bound = (64 << 10) + 64 * wire.len() as u64;
        assert!(info.bytes_max <= bound, "{what} by {piece}: {} > {bound}", info.bytes_max);
        assert_eq!(info.bytes_current, 0, "{what}: all is given back");
    }
}

fn many(text: &str, times: usize) -> Vec<u8> {
    text.repeat(times).into_bytes()
}

#[test]
fn headers_alone_cost_next_to_nothing() {
    check_peak("nothing but a count", b"*134217728\r\n");
    check_peak("nothing but counts", &many("*134217728\r\n", 100));
    check_peak("nothing but pairs", &many("%134217728\r\n:1\r\n", 60));
    check_peak("nothing but a length", b"$536870912\r\nabc");
    check_peak("nothing but attributes", &many("|134217728\r\n", 100));
    check_peak("nothing but streams", &many("*?\r\n", 100));
}

/// Values of few bytes, for which a frame is large, and aggregates that hold fewer children than there was room for.
const SMALL: [&str; 18] = [
    "_\r\n",
    ":1\r\n",
    "$0\r\n\r\n",
    "*0\r\n",
    "*1\r\n_\r\n",
    "%1\r\n_\r\n_\r\n",
    "|0\r\n_\r\n",
    "|1\r\n_\r\n_\r\n_\r\n",
    "*2\r\n*1\r\n_\r\n_\r\n",
    "$?\r\n;0\r\n",
    "$?\r\n;1\r\nx\r\n;0\r\n",
    "=4\r\ntxt:\r\n",
    "+\r\n",
    "+x\r\n",
    "(1\r\n",
    "*?\r\n.\r\n",
    "%?\r\n.\r\n",
    "*?\r\n_\r\n.\r\n",
];

#[test]
fn many_small_children_cost_a_small_multiple_of_their_bytes() {
    for inner in SMALL {
        for count in [1, 2, 5, 700, 5_000] {
            let wire = [format!("*{count}\r\n").into_bytes(), many(inner, count)].concat();
            check_peak(&format!("array of {count} of {inner:?}"), &wire);
            let wire = [format!("*{}\r\n", count + 1).into_bytes(), many(inner, count)].concat();
            check_peak(&format!("array without its last of {count} of {inner:?}"), &wire);
        }
    }
}

#[test]
fn streams_cost_a_small_multiple_of_their_bytes() {
    for inner in SMALL {
        for count in [1, 5, 5_000] {
            let wire = [b"*?\r\n", &many(inner, count)[..]].concat();
            check_peak(&format!("stream of {count} of {inner:?}"), &wire);
        }
        check_peak(&format!("replies of {inner:?}"), &many(inner, 1_000));
    }
}

#[test]
fn depth_costs_a_small_multiple_of_its_bytes() {
    for open in ["*1\r\n", "*9\r\n", "%1\r\n", "|1\r\n", "|0\r\n", "*?\r\n", "%1\r\n_\r\n"] {
        for levels in [100, 128, 129, 1_025, 2_049, 4_097, 16_385, 32_769, 65_537] {
            check_peak(&format!("{levels} of {open:?}"), &many(open, levels));
        }
    }
}

#[test]
fn depth_within_an_aggregate_that_has_its_places_costs_a_small_multiple_of_its_bytes() {
    let chains = [
        "*1\r\n",
        "~1\r\n",
        "%1\r\n_\r\n",
        "|1\r\n_\r\n_\r\n",
        "*2\r\n_\r\n",
        "%2\r\n_\r\n_\r\n_\r\n",
    ];
    for open in chains {
        for (levels, chains) in [(3, 900), (63, 400), (126, 200)] {
            let chain = [many(open, levels), b"_\r\n".to_vec()].concat().repeat(chains);
            for header in ["*", "%"] {
                // More children than chains: the places for the others wait until the end.
                let wire = [format!("{header}{}\r\n", chain.len() / 3).into_bytes(), chain.clone()];
                check_peak(&format!("{header} of chains of {levels} {open:?}"), &wire.concat());
            }
        }
    }
}

#[test]
fn long_strings_cost_a_small_multiple_of_their_bytes() {
    check_peak("a long line", &[b"+", &vec![b'x'; 1 << 20][..]].concat());
    check_peak("a long string", &[b"$1048576\r\n", &vec![b'x'; 1 << 20][..], b"\r\n"].concat());
    let chunk = [b";65536\r\n", &vec![b'x'; 1 << 16][..], b"\r\n"].concat();
    check_peak("long chunks", &[b"$?\r\n", &chunk.repeat(20)[..], b";0\r\n"].concat());
}

#[test]
fn depth_of_a_million_costs_less_than_a_mebibyte_per_65_536_levels() {
    let wire = "*1\r\n".repeat(1_000_000);
    let mut input = BytesMut::from(wire.as_bytes());
    let info = measure(|| assert!(decoder(Protocol::Resp3).decode(&mut input).is_err()));
    assert!(info.bytes_max < 6 << 20, "{}", info.bytes_max);
}

/// The bytes of memory that a frame keeps alive once input and decoder are gone.
fn kept(wire: &[u8], room: usize, pick: impl FnOnce(Frame) -> Frame) -> i64 {
    let mut kept = None;
    let info = measure(|| {
        let mut input = BytesMut::with_capacity(room.max(wire.len()));
        input.extend_from_slice(wire);
        kept = decoder(Protocol::Resp3).decode(&mut input).expect("in order").map(pick);
    });
    assert!(kept.is_some());
    info.bytes_current
}

#[test]
fn small_value_keeps_one_ordinary_read_alive_at_most() {
    let pick = |frame| match frame {
        Frame::Array(mut items) => items.swap_remove(0),
        other => other,
    };
    const ORDINARY: i64 = 66 << 10; // a read, and what manages it
    let wire = [
        b"*2\r\n$50\r\n01234567890123456789012345678901234567890123456789\r\n$1048576\r\n",
        &vec![b'x'; 1 << 20][..],
        b"\r\n",
    ]
    .concat();
    assert!(kept(&wire, 0, pick) <= ORDINARY);
    assert!(
        kept(b"$50\r\n01234567890123456789012345678901234567890123456789\r\n", 64 << 10, pick)
            <= ORDINARY
    );
    for wire in [
        "$50\r\n01234567890123456789012345678901234567890123456789\r\n",
        "+not shared\r\n",
        "(123\r\n",
        "!3\r\nabc\r\n",
        "=5\r\ntxt:x\r\n",
        "=42\r\ntxt:01234567890123456789012345678901234567\r\n",
        "-ERR\r\n",
    ] {
        assert!(kept(wire.as_bytes(), 512 << 20, pick) < 100, "{wire:?}");
    }
    // A large string may keep what is sixteen times as large, but no more.
    let large = [b"$100000\r\n", &vec![b'x'; 100_000][..], b"\r\n"].concat();
    assert!(kept(&large, 1_000_000, pick) <= 1_001_000);
    assert!(kept(&large, 100_000_000, pick) <= 101_000);
}

#[test]
fn what_is_left_of_a_large_read_is_still_large() {
    let mut input = BytesMut::with_capacity(1 << 20);
    let mut decoder = decoder(Protocol::Resp3);
    let filler = [b"$900000\r\n", &vec![b'x'; 900_000][..], b"\r\n"].concat();
    input.extend_from_slice(&filler);
    decoder.decode(&mut input).unwrap().unwrap();
    let left = [b"$100000\r\n", &vec![b'x'; 100_000][..], b"\r\n"].concat();
    input.extend_from_slice(&left);
    decoder.decode(&mut input).unwrap().unwrap();
    input.extend_from_slice(b"$50\r\n01234567890123456789012345678901234567890123456789\r\n");
    assert!(input.capacity() < 64 << 10, "it looks like an ordinary read now");
    let small = decoder.decode(&mut input).unwrap();
    let Some(Frame::Bulk(small)) = small else { panic!("{small:?}") };
    assert!(Bytes::from(small).is_unique(), "the input has a share in it");
}

#[test]
fn large_read_of_small_replies_is_still_large_at_its_end() {
    let long = b"$50\r\n01234567890123456789012345678901234567890123456789\r\n";
    type Way = fn(&mut Decoder, &mut BytesMut) -> Frame;
    let ways: [Way; 3] = [
        |decoder, input| decoder.decode(input).unwrap().unwrap(),
        |decoder, input| decoder.frames(input).next().unwrap().unwrap(),
        |decoder, input| {
            let mut frame = Frame::Null;
            assert!(decoder.decode_into(input, &mut frame).unwrap());
            frame
        },
    ];
    for way in ways {
        let (mut input, mut decoder) = (BytesMut::with_capacity(1 << 20), decoder(Protocol::Resp3));
        while input.len() + 4 + long.len() <= 1 << 20 {
            input.extend_from_slice(b":1\r\n");
        }
        input.extend_from_slice(long);
        let small = loop {
            match way(&mut decoder, &mut input) {
                Frame::Integer(1) => {}
                Frame::Bulk(small) => break small,
                other => panic!("{other:?}"),
            }
        };
        assert!(Bytes::from(small).is_unique(), "the input has a share in it");
    }
}

#[test]
fn large_string_is_not_copied() {
    let wire = [b"$1048576\r\n", &vec![b'x'; 1 << 20][..], b"\r\n"].concat();
    let mut input = BytesMut::from(&wire[..]);
    let at = input.as_ptr().addr();
    let frame = decoder(Protocol::Resp3).decode(&mut input).unwrap();
    let Some(Frame::Bulk(bytes)) = frame else { panic!("{frame:?}") };
    assert_eq!(bytes.as_ptr().addr(), at + 10);
}

/// Allocations per frame once everything is warm: the input is filled beforehand, as a read would.
fn allocations(wire: &[u8], mut step: impl FnMut(&mut Decoder, &mut BytesMut)) -> f64 {
    const FRAMES: usize = 200;
    let mut decoder = decoder(Protocol::Resp3);
    let per_read = ((60 << 10) / wire.len()).max(1);
    let fill = |input: &mut BytesMut| {
        input.reserve(64 << 10);
        (0..per_read).for_each(|_| input.extend_from_slice(wire));
    };
    let mut input = BytesMut::new();
    fill(&mut input);
    step(&mut decoder, &mut input);
    let mut count = 0;
    for _ in 0..FRAMES {
        if input.is_empty() {
            fill(&mut input);
            input.reserve(0);
        }
        count += measure(|| step(&mut decoder, &mut input)).count_total;
    }
    count as f64 / FRAMES as f64
}

fn array_of_strings() -> Vec<u8> {
    [b"*100\r\n", &b"$16\r\n0123456789abcdef\r\n".repeat(100)[..]].concat()
}

fn map_of_pairs() -> Vec<u8> {
    [b"%50\r\n", &b"$5\r\nfield\r\n$16\r\n0123456789abcdef\r\n".repeat(50)[..]].concat()
}

#[test]
fn scalars_and_small_strings_cost_no_allocation() {
    for wire in [
        "+OK\r\n",
        ":12345\r\n",
        "_\r\n",
        "$-1\r\n",
        "#t\r\n",
        ",1.5\r\n",
        "+QUEUED\r\n",
        "$36\r\n0123456789abcdef0123456789abcdef0123\r\n",
        "-ERR no\r\n",
        "$0\r\n\r\n",
        "*0\r\n",
    ] {
        let count = allocations(wire.as_bytes(), |decoder, input| {
            assert!(decoder.decode(input).unwrap().is_some());
        });
        // One for each read of many: what manages its memory once it is shared.
        assert!(count <= 0.02, "{wire:?}: {count}");
        let mut frame = Frame::Null;
        let count = allocations(wire.as_bytes(), |decoder, input| {
            assert!(decoder.frames(input).next().unwrap().is_ok());
            if !input.is_empty() {
                assert!(decoder.frames(input).decode_into(&mut frame).unwrap());
            }
        });
        assert!(count <= 0.02, "{wire:?}, together: {count}");
    }
}

#[test]
fn flat_aggregates_cost_one_allocation_and_none_in_used_storage() {
    for wire in [array_of_strings(), map_of_pairs()] {
        let fresh = allocations(&wire, |decoder, input| {
            assert!(decoder.decode(input).unwrap().is_some());
        });
        assert!(fresh <= 1.05, "{fresh}");
        let mut frame = Frame::Null;
        let reused = allocations(&wire, |decoder, input| {
            assert!(decoder.decode_into(input, &mut frame).unwrap());
        });
        assert!(reused <= 0.05, "{reused}");
    }
}

#[test]
fn short_strings_lie_in_the_frame() {
    for len in [0, 1, 38, 39] {
        let wire = [format!("${len}\r\n").as_bytes(), &vec![b'x'; len], b"\r\n"].concat();
        let mut input = BytesMut::from(&wire[..]);
        let mut frame = None;
        let info =
            measure(|| frame = decoder(Protocol::Resp2).decode(&mut input).expect("in order"));
        let shared = u64::from(len > 38); // what manages the memory that the slice and the input share
        assert_eq!(info.count_total, shared, "{len}");
        assert_eq!(frame, Some(Frame::bulk(vec![b'x'; len])));
    }
}

#[test]
fn commands_are_encoded_without_allocation() {
    let mut out = BytesMut::with_capacity(256);
    let count = measure(|| {
        for _ in 0..100 {
            out.clear();
            encode::command(&["SET", "key", "token", "NX", "PX", "10000"], &mut out);
            encode::bulk_i64(i64::MIN, &mut out);
        }
    });
    assert_eq!(count.count_total, 0);
}

#[test]
fn command_reserves_exactly_once() {
    let value = vec![b'x'; 10_000];
    let args: [&[u8]; 3] = [b"SET", b"key", &value];
    let mut out = BytesMut::new();
    let info = measure(|| encode::command(&args, &mut out));
    assert_eq!(info.count_total, 1);
    assert_eq!(out.capacity(), out.len());
}

#[test]
fn requests_are_bounded_by_what_has_arrived() {
    for wire in
        [&b"*2147483647\r\n"[..], b"*3\r\n$536870912\r\nabc", &b"*1\r\n$0\r\n\r\n".repeat(1_000)]
    {
        let info = measure(|| {
            let mut decoder = RequestDecoder::new(Limits::default());
            let (mut input, mut all): (_, Vec<Vec<Bytes>>) = (BytesMut::from(wire), vec![]);
            while let Ok(Some(request)) = decoder.decode(&mut input) {
                all.push(request);
            }
        });
        assert!(info.bytes_max <= (64 << 10) + 64 * wire.len() as u64, "{}", info.bytes_max);
    }
}
