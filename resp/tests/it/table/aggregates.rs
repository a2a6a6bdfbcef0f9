//! The rows of what holds other values: arrays, maps, sets, pushes and attributes, with their length in front or streamed.

use super::{Row, breaks, invalid, is};
use resp::DecodeErrorKind as Kind;
use resp::Frame;
use resp::Frame::{Array, Boolean, Bulk, Error, Integer, Map, Null, Push, Set, Simple};

pub(crate) fn arrays() -> Vec<Row> {
    vec![
        is("*0\r\n", Array(vec![])),
        is("*-1\r\n", Null),
        is("*1\r\n$-1\r\n", Array(vec![Null])),
        is("*2\r\n$3\r\nfoo\r\n:1\r\n", Array(vec![Bulk("foo".into()), Integer(1)])),
        is("*3\r\n+OK\r\n-ERR no\r\n*-1\r\n", {
            Array(vec![Simple("OK".into()), Error("ERR no".into()), Null])
        }),
        is("*2\r\n*2\r\n:1\r\n*0\r\n*1\r\n$1\r\nx\r\n", {
            Array(vec![Array(vec![Integer(1), Array(vec![])]), Array(vec![Bulk("x".into())])])
        }),
        is("*02\r\n:1\r\n:2\r\n", Array(vec![Integer(1), Integer(2)])),
        invalid("*2\r\n:1x\r\n:2\r\n", Kind::BadInteger),
        invalid("*2\r\n:2\r\n*2\r\n:\r\n$1\r\nx\r\n", Kind::BadInteger),
        breaks("*-2", Kind::BadLength),
        breaks("*-10", Kind::BadLength),
        breaks("*+", Kind::BadLength),
        breaks("*\r", Kind::BadLength),
        breaks("*1\n", Kind::BareLineEnd),
        breaks("*1\rX", Kind::BareLineEnd),
        breaks("*134217729", Kind::TooMany), // 2^27 and one
        breaks("*429496729", Kind::TooMany),
        breaks("*922337203", Kind::TooMany),
        breaks("*1\r\n*1\r\n$1\r\nxx", Kind::MissingTerminator),
        breaks("*2\r\n:1\r\n@", Kind::UnknownType(b'@')),
    ]
}

pub(crate) fn maps_and_sets() -> Vec<Row> {
    let one = || Integer(1);
    vec![
        is("%0\r\n", Map(vec![])),
        is("%1\r\n+k\r\n:1\r\n", Map(vec![(Simple("k".into()), one())])),
        is("%2\r\n$1\r\na\r\n:1\r\n$1\r\na\r\n:2\r\n", {
            Map(vec![(Bulk("a".into()), one()), (Bulk("a".into()), Integer(2))])
        }),
        is("%3\r\n*1\r\n:1\r\n%1\r\n:1\r\n:1\r\n_\r\n-ERR\r\n~1\r\n:1\r\n_\r\n", {
            Map(vec![
                (Array(vec![one()]), Map(vec![(one(), one())])),
                (Null, Error("ERR".into())),
                (Set(vec![one()]), Null),
            ])
        }),
        is("%1\r\n$1\r\na\r\n*0\r\n", Map(vec![(Bulk("a".into()), Array(vec![]))])),
        is("~0\r\n", Set(vec![])),
        is("~3\r\n:1\r\n:1\r\n#t\r\n", Set(vec![one(), one(), Boolean(true)])),
        invalid("%1\r\n#x\r\n:1\r\n", Kind::BadBoolean),
        invalid("%2\r\n:1\r\n%1\r\n:1\r\n_x\r\n:1\r\n:1\r\n", Kind::BadNull),
        breaks("%-", Kind::BadLength),
        breaks("~-", Kind::BadLength),
        breaks("%+", Kind::BadLength),
        breaks("%134217729", Kind::TooMany),
        breaks("%461168601", Kind::TooMany), // on the way to 2^62, whose double is negative
        breaks("~134217729", Kind::TooMany),
        breaks("%1\r\n:1\r\n%1\r\n@", Kind::UnknownType(b'@')),
    ]
}

pub(crate) fn pushes() -> Vec<Row> {
    let message = || vec![Bulk("message".into()), Bulk("ch".into()), Bulk("x".into())];
    vec![
        is(">3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$1\r\nx\r\n", Push(message())),
        is(">2\r\n+invalidate\r\n_\r\n", Push(vec![Simple("invalidate".into()), Null])),
        is(">1\r\n+unheard-of\r\n", Push(vec![Simple("unheard-of".into())])),
        is("*2\r\n>3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$1\r\nx\r\n:1\r\n", {
            Array(vec![Push(message()), Integer(1)])
        }),
        breaks(">0\r", Kind::BadPush),
        breaks(">00\r", Kind::BadPush),
        breaks(">-", Kind::BadLength),
        breaks(">?", Kind::BadLength),
        breaks(">134217729", Kind::TooMany),
    ]
}

pub(crate) fn attributes() -> Vec<Row> {
    let noted = |attributes: Vec<(Frame, Frame)>, frame| {
        Frame::Attributed(Box::new(resp::Attributed { attributes, frame }))
    };
    let key = || (Simple("k".into()), Integer(9));
    let simple = |frame| noted(vec![key()], frame);
    vec![
        is("|1\r\n+k\r\n:9\r\n:1\r\n", simple(Integer(1))),
        is("|0\r\n:1\r\n", noted(vec![], Integer(1))),
        is("|1\r\n+k\r\n:9\r\n_\r\n", simple(Null)),
        is("|1\r\n+k\r\n:9\r\n-ERR\r\n", simple(Error("ERR".into()))),
        is("|1\r\n+k\r\n:9\r\n*2\r\n:1\r\n:2\r\n", simple(Array(vec![Integer(1), Integer(2)]))),
        is("|1\r\n+k\r\n:9\r\n>1\r\n+x\r\n", simple(Push(vec![Simple("x".into())]))),
        is("*2\r\n|1\r\n+k\r\n:9\r\n:1\r\n:2\r\n", Array(vec![simple(Integer(1)), Integer(2)])),
        is("*2\r\n:1\r\n|1\r\n+k\r\n:9\r\n*0\r\n", Array(vec![Integer(1), simple(Array(vec![]))])),
        is("%1\r\n|1\r\n+k\r\n:9\r\n:1\r\n|1\r\n+k\r\n:9\r\n:2\r\n", {
            Map(vec![(simple(Integer(1)), simple(Integer(2)))])
        }),
        is(">2\r\n+x\r\n|1\r\n+k\r\n:9\r\n:1\r\n", {
            Push(vec![Simple("x".into()), simple(Integer(1))])
        }),
        is("|1\r\n+k\r\n:9\r\n|2\r\n:1\r\n:2\r\n:3\r\n:4\r\n:5\r\n", {
            let pairs = vec![(Integer(1), Integer(2)), (Integer(3), Integer(4))];
            simple(noted(pairs, Integer(5)))
        }),
        is("|1\r\n|1\r\n+k\r\n:9\r\n:1\r\n:2\r\n:3\r\n", {
            noted(vec![(simple(Integer(1)), Integer(2))], Integer(3))
        }),
        is("|1\r\n:1\r\n|1\r\n+k\r\n:9\r\n:2\r\n:3\r\n", {
            noted(vec![(Integer(1), simple(Integer(2)))], Integer(3))
        }),
        is("|1\r\n*1\r\n:1\r\n%1\r\n:2\r\n:3\r\n:4\r\n", {
            noted(vec![(Array(vec![Integer(1)]), Map(vec![(Integer(2), Integer(3))]))], Integer(4))
        }),
        invalid("|1\r\n+k\r\n#x\r\n:1\r\n", Kind::BadBoolean),
        invalid("|1\r\n+k\r\n:9\r\n#x\r\n", Kind::BadBoolean),
        invalid("*2\r\n|1\r\n+k\r\n:9\r\n:x\r\n:2\r\n", Kind::BadInteger),
        breaks("|-", Kind::BadLength),
        breaks("|?", Kind::BadLength),
        breaks("|134217729", Kind::TooMany),
        breaks("*?\r\n|1\r\n+k\r\n:9\r\n.", Kind::StrayEnd),
    ]
}

pub(crate) fn streamed_aggregates() -> Vec<Row> {
    vec![
        is("*?\r\n.\r\n", Array(vec![])),
        is("*?\r\n:1\r\n+x\r\n.\r\n", Array(vec![Integer(1), Simple("x".into())])),
        is("~?\r\n:1\r\n.\r\n", Set(vec![Integer(1)])),
        is("%?\r\n.\r\n", Map(vec![])),
        is("%?\r\n:1\r\n:2\r\n:3\r\n:4\r\n.\r\n", {
            Map(vec![(Integer(1), Integer(2)), (Integer(3), Integer(4))])
        }),
        is("*2\r\n*?\r\n:1\r\n.\r\n*?\r\n*1\r\n:2\r\n%?\r\n.\r\n.\r\n", {
            Array(vec![Array(vec![Integer(1)]), Array(vec![Array(vec![Integer(2)]), Map(vec![])])])
        }),
        is("%?\r\n*?\r\n.\r\n~?\r\n.\r\n.\r\n", Map(vec![(Array(vec![]), Set(vec![]))])),
        is("*?\r\n$?\r\n;0\r\n.\r\n", Array(vec![Bulk("".into())])),
        invalid("*?\r\n#x\r\n.\r\n", Kind::BadBoolean),
        invalid("%?\r\n#x\r\n:1\r\n.\r\n", Kind::BadBoolean),
        breaks("%?\r\n:1\r\n.", Kind::OddMap),
        breaks("%?\r\n#x\r\n.", Kind::OddMap),
        breaks(".", Kind::StrayEnd),
        breaks("*1\r\n.", Kind::StrayEnd),
        breaks("%1\r\n:1\r\n.", Kind::StrayEnd),
        breaks("*?\r\n*1\r\n.", Kind::StrayEnd),
        breaks("*?\r\n.x", Kind::StrayEnd),
        breaks("*?\r\n.\n", Kind::BareLineEnd),
        breaks("*?\r\n.\rX", Kind::BareLineEnd),
        breaks("~?x", Kind::BadLength),
    ]
}
