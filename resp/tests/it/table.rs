//! The table: what each type must accept, what fails one value, and what loses the frame boundary.

mod aggregates;

pub(crate) use aggregates::{arrays, attributes, maps_and_sets, pushes, streamed_aggregates};

use resp::DecodeErrorKind as Kind;
use resp::Frame::{
    Array, BigNumber, Boolean, Bulk, BulkError, Double, Error, Integer, Map, Null, Simple,
};
use resp::{Frame, Protocol, Verbatim};

/// Bytes, and what they come to.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) protocol: Protocol,
    pub(crate) wire: Vec<u8>,
    pub(crate) verdict: Verdict,
}

#[derive(Debug, Clone)]
pub(crate) enum Verdict {
    Is(Frame),
    /// Framed well but wrong inside.
    Invalid(Kind),
    /// The last byte proves that the frame boundary is lost.
    Breaks(Kind),
}

fn is(wire: impl AsRef<[u8]>, frame: Frame) -> Row {
    Row { protocol: Protocol::Resp3, wire: wire.as_ref().to_vec(), verdict: Verdict::Is(frame) }
}

fn invalid(wire: &str, kind: Kind) -> Row {
    Row {
        protocol: Protocol::Resp3,
        wire: wire.as_bytes().to_vec(),
        verdict: Verdict::Invalid(kind),
    }
}

fn breaks(wire: &str, kind: Kind) -> Row {
    Row {
        protocol: Protocol::Resp3,
        wire: wire.as_bytes().to_vec(),
        verdict: Verdict::Breaks(kind),
    }
}

/// Every row, those that RESP2 has for both protocols.
pub(crate) fn rows() -> Vec<Row> {
    let mut rows = resp2_rows();
    for mut row in resp2_rows() {
        row.protocol = Protocol::Resp2;
        rows.push(row);
    }
    rows.extend(only_resp3());
    rows.extend(resp3_in_resp2());
    rows
}

/// What is the same in both protocols.
fn resp2_rows() -> Vec<Row> {
    [text(), integers(), bulk_strings(), arrays()].concat()
}

fn only_resp3() -> Vec<Row> {
    [
        nulls_and_booleans(),
        doubles(),
        big_numbers(),
        bulk_errors_and_verbatim_strings(),
        maps_and_sets(),
        pushes(),
        attributes(),
        streamed_strings(),
        streamed_aggregates(),
        strangers(),
    ]
    .concat()
}

pub(crate) fn text() -> Vec<Row> {
    let every_byte: Vec<u8> = (0..=255).filter(|byte| !b"\r\n".contains(byte)).collect();
    let long = vec![b'x'; 300];
    vec![
        is("+OK\r\n", Simple("OK".into())),
        is("+QUEUED\r\n", Simple("QUEUED".into())),
        is("+PONG\r\n", Simple("PONG".into())),
        is("+OKAY\r\n", Simple("OKAY".into())),
        is("+O\r\n", Simple("O".into())),
        is("+\r\n", Simple("".into())),
        is("+a  b\r\n", Simple("a  b".into())),
        is([b"+", &every_byte[..], b"\r\n"].concat(), Simple(every_byte.clone().into())),
        is([b"+", &long[..], b"\r\n"].concat(), Simple(long.into())),
        is("-ERR unknown command\r\n", Error("ERR unknown command".into())),
        is("-MOVED 3999 127.0.0.1:6381\r\n", Error("MOVED 3999 127.0.0.1:6381".into())),
        is("-\r\n", Error("".into())),
        is("-OK\r\n", Error("OK".into())),
        is([b"-ERR '", &every_byte[..], b"'\r\n"].concat(), {
            Error([b"ERR '", &every_byte[..], b"'"].concat().into())
        }),
        breaks("+O\rK", Kind::BareLineEnd),
        breaks("+OK\r\r", Kind::BareLineEnd),
        breaks("+OK\n", Kind::BareLineEnd),
        breaks("+\n", Kind::BareLineEnd),
        breaks("-E\rX", Kind::BareLineEnd),
        breaks("-ERR\n", Kind::BareLineEnd),
    ]
}

pub(crate) fn integers() -> Vec<Row> {
    let mut rows = vec![
        is(":0\r\n", Integer(0)),
        is(":-1\r\n", Integer(-1)),
        is(":-2\r\n", Integer(-2)),
        is(":+5\r\n", Integer(5)),
        is(":12345\r\n", Integer(12_345)),
        is(":-0\r\n", Integer(0)),
        is(":007\r\n", Integer(7)),
        is(":999999999999999999\r\n", Integer(999_999_999_999_999_999)),
        is(":1000000000000000000\r\n", Integer(1_000_000_000_000_000_000)),
        is(":9223372036854775807\r\n", Integer(i64::MAX)),
        is(":-9223372036854775808\r\n", Integer(i64::MIN)),
        is(":+00000000000000000000000000000007\r\n".replace("+0", "+"), Integer(7)),
        breaks(":000000000000000000000000000000000", Kind::TooLong),
        breaks(":1\n", Kind::BareLineEnd),
        breaks(":1\rX", Kind::BareLineEnd),
    ];
    for text in [
        "",
        "-",
        "+",
        " 5",
        "5 ",
        "1.5",
        "1e3",
        "0x1f",
        "1_000",
        "--1",
        "+-1",
        "1-",
        "5:",
        "\u{663}",
        "9223372036854775808",
        "-9223372036854775809",
        "99999999999999999999",
    ] {
        rows.push(invalid(&format!(":{text}\r\n"), Kind::BadInteger));
    }
    rows
}

pub(crate) fn bulk_strings() -> Vec<Row> {
    let every_byte: Vec<u8> = (0..=255).collect();
    vec![
        is("$0\r\n\r\n", Bulk("".into())),
        is("$3\r\nabc\r\n", Bulk("abc".into())),
        is("$03\r\nabc\r\n", Bulk("abc".into())),
        is("$8\r\n\r\na\nb\r\r\n\r\n", Bulk("\r\na\nb\r\r\n".into())),
        is("$36\r\n0123456789abcdef0123456789abcdef0123\r\n", {
            Bulk("0123456789abcdef0123456789abcdef0123".into())
        }),
        is([b"$256\r\n", &every_byte[..], b"\r\n"].concat(), Bulk(every_byte.into())),
        is("$-1\r\n", Null),
        is("$00000000000000000000000000000001\r\nx\r\n", Bulk("x".into())),
        breaks("$-2", Kind::BadLength),
        breaks("$-0", Kind::BadLength),
        breaks("$-\r", Kind::BadLength),
        breaks("$-10", Kind::BadLength),
        breaks("$+", Kind::BadLength),
        breaks("$ ", Kind::BadLength),
        breaks("$5 ", Kind::BadLength),
        breaks("$1.", Kind::BadLength),
        breaks("$\r", Kind::BadLength),
        breaks("$\n", Kind::BareLineEnd),
        breaks("$3\n", Kind::BareLineEnd),
        breaks("$3\rX", Kind::BareLineEnd),
        breaks("$-1\rX", Kind::BareLineEnd),
        breaks("$000000000000000000000000000000000", Kind::TooLong),
        // 512 MiB and a byte, 2^31, 2^32, 2^63 and 2^64, each at the digit that is too much.
        breaks("$536870913", Kind::TooLong),
        breaks("$2147483648", Kind::TooLong),
        breaks("$4294967296", Kind::TooLong),
        breaks("$922337203", Kind::TooLong),
        breaks("$0001844674407", Kind::TooLong),
        breaks("$3\r\nfooX", Kind::MissingTerminator),
        breaks("$3\r\nfoo\n", Kind::MissingTerminator),
        breaks("$3\r\nfoo\rX", Kind::MissingTerminator),
        breaks("$3\r\nfoo\r\r", Kind::MissingTerminator),
        breaks("$0\r\n\n", Kind::MissingTerminator),
    ]
}

pub(crate) fn nulls_and_booleans() -> Vec<Row> {
    vec![
        is("_\r\n", Null),
        is("#t\r\n", Boolean(true)),
        is("#f\r\n", Boolean(false)),
        invalid("_x\r\n", Kind::BadNull),
        invalid("_ \r\n", Kind::BadNull),
        invalid("#T\r\n", Kind::BadBoolean),
        invalid("#F\r\n", Kind::BadBoolean),
        invalid("#true\r\n", Kind::BadBoolean),
        invalid("#1\r\n", Kind::BadBoolean),
        invalid("#\r\n", Kind::BadBoolean),
        invalid("#tt\r\n", Kind::BadBoolean),
        breaks("_\n", Kind::BareLineEnd),
        breaks("_\rX", Kind::BareLineEnd),
        breaks("#t\n", Kind::BareLineEnd),
        breaks("#012345678901234567890123456789012", Kind::TooLong),
    ]
}

pub(crate) fn doubles() -> Vec<Row> {
    let mut rows = vec![];
    for (text, number) in [
        ("0", 0.0),
        ("-0", -0.0),
        ("1", 1.0),
        ("+1.5", 1.5),
        ("-1.5", -1.5),
        ("10.25", 10.25),
        ("007", 7.0),
        ("1e3", 1e3),
        ("1E3", 1e3),
        ("1e+3", 1e3),
        ("1.5e-3", 1.5e-3),
        ("0.10000000000000001", 0.1),
        ("1.0000000000000001e+300", 1e300),
        ("13.361389338970184326", 13.361389338970184),
        ("5e-324", 5e-324),
        ("2.2250738585072011e-308", 2.225_073_858_507_201e-308),
        ("1.7976931348623157e308", f64::MAX),
        ("1e400", f64::INFINITY),
        ("-1e400", f64::NEG_INFINITY),
        ("inf", f64::INFINITY),
        ("+inf", f64::INFINITY),
        ("-inf", f64::NEG_INFINITY),
        ("nan", f64::NAN),
        ("-nan", f64::NAN),
        ("NAN", f64::NAN),
        ("nan(0x8000000000000)", f64::NAN),
    ] {
        rows.push(is(format!(",{text}\r\n"), Double(number)));
    }
    for text in [
        "", "-", "+", ".", ".5", "5.", "1e", "1e+", "e5", "infinity", "Inf", "INF", "iNf", "0x1p3",
        "1_0", " 1", "1 ", "1\0", "1.5.5", "--1", "1e5.5", "1,5", "nan(", "nanx", "1f",
    ] {
        rows.push(invalid(&format!(",{text}\r\n"), Kind::BadDouble));
    }
    rows.push(breaks(",1\n", Kind::BareLineEnd));
    rows.push(breaks(",1\rX", Kind::BareLineEnd));
    rows
}

pub(crate) fn big_numbers() -> Vec<Row> {
    let thousand = "7".repeat(1_000);
    let mut rows = vec![is(format!("({thousand}\r\n"), BigNumber(thousand.into()))];
    for text in [
        "0",
        "+12",
        "-12",
        "9223372036854775808",
        "3492890328409238509324850943850943825",
        "1234567999999999999999999999999999999",
        "00",
    ] {
        rows.push(is(format!("({text}\r\n"), BigNumber(text.into())));
    }
    for text in ["", "-", "+", "12a", "1.5", "1e5", "not a number", " 1", "0x1", "+-1"] {
        rows.push(invalid(&format!("({text}\r\n"), Kind::BadBigNumber));
    }
    rows.push(breaks("(1\n", Kind::BareLineEnd));
    rows
}

pub(crate) fn bulk_errors_and_verbatim_strings() -> Vec<Row> {
    let verbatim = |format: &[u8; 3], text: &'static str| {
        Frame::Verbatim(Box::new(Verbatim { format: *format, text: text.into() }))
    };
    vec![
        is("!21\r\nSYNTAX invalid syntax\r\n", BulkError("SYNTAX invalid syntax".into())),
        is("!0\r\n\r\n", BulkError("".into())),
        is("!4\r\na\r\nb\r\n", BulkError("a\r\nb".into())),
        is("=15\r\ntxt:Some string\r\n", verbatim(b"txt", "Some string")),
        is("=4\r\nmkd:\r\n", verbatim(b"mkd", "")),
        is("=8\r\na  :hi\r\n\r\n", verbatim(b"a  ", "hi\r\n")),
        is("=6\r\nabc:hi\r\n", verbatim(b"abc", "hi")),
        is("=5\r\n::::x\r\n", verbatim(b":::", "x")),
        invalid("=0\r\n\r\n", Kind::BadVerbatim),
        invalid("=3\r\ntxt\r\n", Kind::BadVerbatim),
        invalid("=6\r\nabcdef\r\n", Kind::BadVerbatim),
        invalid("=7\r\nabcd:ef\r\n", Kind::BadVerbatim),
        breaks("!-", Kind::BadLength),
        breaks("!?", Kind::BadLength),
        breaks("=-", Kind::BadLength),
        breaks("=?", Kind::BadLength),
        breaks("!+", Kind::BadLength),
        breaks("=536870913", Kind::TooLong),
        breaks("!536870913", Kind::TooLong),
        breaks("!3\r\nabcX", Kind::MissingTerminator),
        breaks("=5\r\ntxt:xX", Kind::MissingTerminator),
        breaks("=5\r\ntxt:x\rX", Kind::MissingTerminator),
    ]
}

pub(crate) fn streamed_strings() -> Vec<Row> {
    vec![
        is("$?\r\n;4\r\nHell\r\n;5\r\no wor\r\n;1\r\nd\r\n;0\r\n", Bulk("Hello word".into())),
        is("$?\r\n;0\r\n", Bulk("".into())),
        is("$?\r\n;2\r\n\r\n\r\n;0\r\n", Bulk("\r\n".into())),
        is("*2\r\n$?\r\n;1\r\nx\r\n;0\r\n:1\r\n", Array(vec![Bulk("x".into()), Integer(1)])),
        is("%1\r\n$?\r\n;1\r\nx\r\n;0\r\n$?\r\n;0\r\n", {
            Map(vec![(Bulk("x".into()), Bulk("".into()))])
        }),
        invalid("*2\r\n#x\r\n$?\r\n;1\r\nx\r\n;0\r\n", Kind::BadBoolean),
        breaks("$?x", Kind::BadLength),
        breaks("$?\rX", Kind::BareLineEnd),
        breaks(";", Kind::BadChunk),
        breaks("*1\r\n;", Kind::BadChunk),
        breaks("$?\r\n+", Kind::BadChunk),
        breaks("$?\r\n$", Kind::BadChunk),
        breaks("$?\r\n|", Kind::BadChunk),
        breaks("$?\r\n.", Kind::BadChunk),
        breaks("$?\r\n;-", Kind::BadLength),
        breaks("$?\r\n;?", Kind::BadLength),
        breaks("$?\r\n;+", Kind::BadLength),
        breaks("$?\r\n;1\r\nxX", Kind::MissingTerminator),
        breaks("$?\r\n;536870913", Kind::TooLong),
        breaks("$?\r\n;1\r\nx\r\n;536870912", Kind::TooLong),
    ]
}

/// Whatever is no RESP at all.
pub(crate) fn strangers() -> Vec<Row> {
    let mut rows = Vec::new();
    for (text, first) in [
        ("H", b'H'),    // HTTP/1.1 400 Bad Request
        ("\x15", 0x15), // a TLS alert
        ("\r", b'\r'),
        ("\n", b'\n'),
        ("P", b'P'),
        (" ", b' '),
        ("\0", 0),
        ("@", b'@'),
        ("0", b'0'),
    ] {
        rows.push(breaks(text, Kind::UnknownType(first)));
        rows.push(breaks(&format!("*2\r\n:1\r\n{text}"), Kind::UnknownType(first)));
    }
    rows
}

/// RESP2 has neither the types nor the streams of RESP3.
pub(crate) fn resp3_in_resp2() -> Vec<Row> {
    let mut rows: Vec<_> = b"_#,(!=%~>|.;"
        .iter()
        .map(|&kind| breaks(&char::from(kind).to_string(), Kind::UnknownType(kind)))
        .collect();
    rows.push(breaks("$?", Kind::BadLength));
    rows.push(breaks("*?", Kind::BadLength));
    for row in &mut rows {
        row.protocol = Protocol::Resp2;
    }
    rows
}
