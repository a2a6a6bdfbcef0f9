//! Each type and each malformed shape of it, fed whole: what comes out, and which byte proves a fault.

use crate::table::{self, Row, Verdict};
use crate::{decoder, feed, is_same, one};
use resp::{DecodeErrorKind as Kind, Frame, Protocol};

/// What every row must do, by itself and in front of another reply.
fn check(rows: &[Row]) {
    assert!(!rows.is_empty());
    for row in rows {
        let (wire, shown) = (&row.wire[..], row.wire.escape_ascii());
        match &row.verdict {
            Verdict::Is(_) | Verdict::Invalid(_) => {
                let outcome = feed(&mut decoder(row.protocol), [wire, b":77\r\n"]);
                let [frame, next] = &outcome.frames[..] else { panic!("{shown}: {outcome:?}") };
                assert_eq!(*next, Frame::Integer(77), "what follows {shown}");
                match (&row.verdict, frame) {
                    (Verdict::Invalid(kind), Frame::Invalid(error)) => {
                        assert_eq!(error.kind(), *kind, "{shown}");
                    }
                    (Verdict::Is(wanted), _) => {
                        assert!(is_same(frame, wanted), "{shown}: {frame:?} for {wanted:?}");
                    }
                    _ => panic!("{shown}: {frame:?}"),
                }
            }
            Verdict::Breaks(kind) => {
                let proof = wire.len() - 1;
                let before = feed(&mut decoder(row.protocol), [&wire[..proof]]);
                assert!(before.is_open(), "before the byte that proves it: {shown}: {before:?}");
                let after = feed(&mut decoder(row.protocol), [wire]);
                assert_eq!(after.error.map(|error| error.kind()), Some(*kind), "{shown}");
            }
        }
    }
}

#[test]
fn simple_strings_and_errors_hold_any_bytes_but_line_ends() {
    check(&table::text());
}

#[test]
fn integers_are_a_sign_and_digits_that_fit_64_bits() {
    check(&table::integers());
}

#[test]
fn bulk_strings_have_plain_lengths_and_a_terminator() {
    check(&table::bulk_strings());
}

#[test]
fn arrays_nest_and_hold_errors_and_nulls() {
    check(&table::arrays());
}

#[test]
fn nulls_are_empty_and_booleans_one_letter() {
    check(&table::nulls_and_booleans());
}

#[test]
fn doubles_follow_their_grammar() {
    check(&table::doubles());
}

#[test]
fn big_numbers_keep_their_digits() {
    check(&table::big_numbers());
}

#[test]
fn bulk_errors_and_verbatim_strings_are_payloads() {
    check(&table::bulk_errors_and_verbatim_strings());
}

#[test]
fn maps_and_sets_keep_order_and_duplicates() {
    check(&table::maps_and_sets());
}

#[test]
fn pushes_have_a_kind_and_may_be_elements() {
    check(&table::pushes());
}

#[test]
fn attributes_annotate_and_never_count() {
    check(&table::attributes());
}

#[test]
fn streamed_strings_are_chunks_and_nothing_else() {
    check(&table::streamed_strings());
}

#[test]
fn streamed_aggregates_end_where_they_may() {
    check(&table::streamed_aggregates());
}

#[test]
fn first_byte_tells_what_is_no_resp() {
    check(&table::strangers());
}

#[test]
fn resp2_knows_nothing_of_resp3() {
    check(&table::resp3_in_resp2());
}

#[test]
fn doubles_are_bit_exact() {
    for (text, wanted) in [("5e-324", 5e-324), ("-0", -0.0_f64), ("0.10000000000000001", 0.1)] {
        let frame = one(Protocol::Resp3, format!(",{text}\r\n").as_bytes());
        let Frame::Double(number) = frame else { panic!("{frame:?}") };
        assert_eq!(number.to_bits(), wanted.to_bits(), "{text}");
    }
}

#[test]
fn status_reply_of_a_script_may_be_very_long() {
    let mut wire = vec![b'+'];
    wire.resize(600_001, b'x');
    wire.extend_from_slice(b"\r\n");
    assert_eq!(one(Protocol::Resp2, &wire), Frame::Simple(wire[1..600_001].to_vec().into()));
    let digits = [b"(", &vec![b'7'; 70_000][..], b"\r\n"].concat();
    assert_eq!(one(Protocol::Resp3, &digits), Frame::BigNumber(vec![b'7'; 70_000].into()));
}

#[test]
fn damaged_push_is_still_nobodys_reply() {
    for wire in [
        ">2\r\n+message\r\n#x\r\n",
        "|1\r\n+k\r\n:9\r\n>2\r\n+message\r\n#x\r\n",
        "|1\r\n+k\r\n#x\r\n>2\r\n+message\r\n:1\r\n",
        "|0\r\n|1\r\n+k\r\n#x\r\n>2\r\n+message\r\n:1\r\n",
    ] {
        let frame = one(Protocol::Resp3, wire.as_bytes());
        let Frame::Push(items) = &frame else { panic!("{wire:?}: {frame:?}") };
        let [Frame::Invalid(error)] = &items[..] else { panic!("{wire:?}: {frame:?}") };
        assert_eq!(error.kind(), Kind::BadBoolean);
    }
    for wire in
        ["*1\r\n>1\r\n#x\r\n", "|1\r\n+k\r\n>1\r\n#x\r\n:1\r\n", "|1\r\n>1\r\n#x\r\n:9\r\n:1\r\n"]
    {
        let frame = one(Protocol::Resp3, wire.as_bytes());
        assert!(matches!(frame, Frame::Invalid(_)), "{wire:?}: {frame:?}");
    }
    // What the frame before was does not matter to the next.
    let mut decoder = decoder(Protocol::Resp3);
    let outcome = feed(&mut decoder, [&b">1\r\n#x\r\n#x\r\n>1\r\n+x\r\n#x\r\n"[..]]);
    let pushes: Vec<_> =
        outcome.frames.iter().map(|frame| matches!(frame, Frame::Push(_))).collect();
    assert_eq!(pushes, [true, false, true, false]);
}

#[test]
fn damage_names_the_value_that_has_it() {
    for (wire, at) in [("#x\r\n", 0), ("*2\r\n:1\r\n#x\r\n", 8), ("*1\r\n=3\r\nabc\r\n", 4)] {
        let frame = one(Protocol::Resp3, wire.as_bytes());
        let Frame::Invalid(error) = frame else { panic!("{wire:?}: {frame:?}") };
        assert_eq!(error.offset(), at, "{wire:?}");
    }
}

#[test]
fn first_of_several_damages_is_told() {
    let frame = one(Protocol::Resp3, b"*3\r\n#x\r\n_x\r\n:x\r\n");
    let Frame::Invalid(error) = frame else { panic!("{frame:?}") };
    assert_eq!((error.kind(), error.offset()), (Kind::BadBoolean, 4));
}

#[test]
fn protocol_changes_between_frames() {
    let mut decoder = decoder(Protocol::Resp2);
    assert_eq!(feed(&mut decoder, [&b"+OK\r\n"[..]]).frames.len(), 1);
    decoder.set_protocol(Protocol::Resp3);
    assert_eq!(feed(&mut decoder, [&b"_\r\n"[..]]).frames, [Frame::Null]);
    decoder.set_protocol(Protocol::Resp2);
    assert!(feed(&mut decoder, [&b"_\r\n"[..]]).error.is_some());
}

#[test]
fn message_of_an_error_says_what_and_where() {
    let outcome = feed(&mut decoder(Protocol::Resp3), [&b"HTTP/1.1 400\r\n"[..]]);
    let text = outcome.error.unwrap().to_string();
    assert!(text.contains("HTTP") && text.contains("byte 0"), "{text}");
    let outcome = feed(&mut decoder(Protocol::Resp3), [&b"\x15\x03\x01"[..]]);
    assert!(outcome.error.unwrap().to_string().contains("TLS"));
}
