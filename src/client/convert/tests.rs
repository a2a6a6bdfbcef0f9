//! Values as they are sent, and replies as they are read or refused.

use super::*;
use crate::client::encode::Ink;

fn bulk(text: &'static str) -> Frame {
    Frame::Bulk(text.into())
}

fn encoded(value: impl ToArg) -> String {
    let mut args = Args::default();
    value.write_args(&mut args);
    let mut out = Ink::new();
    args.write(&mut out);
    String::from_utf8_lossy(&out).replace("\r\n", " ")
}

#[test]
fn values_become_arguments() {
    assert_eq!(encoded(-7_i32), "*1 $2 -7 ");
    assert_eq!(encoded(u64::MAX), "*1 $20 18446744073709551615 ");
    assert_eq!(encoded((1.5_f64, true)), "*2 $3 1.5 $1 1 ");
    assert_eq!(encoded(vec![1_u8, 2]), "*1 $2 \u{1}\u{2} ");
    assert_eq!(encoded([("a", 1), ("b", 2)]), "*4 $1 a $1 1 $1 b $1 2 ");
    assert_eq!(encoded((None::<i64>, Some("x"))), "*1 $1 x ");
}

#[test]
fn replies_become_values() {
    assert_eq!(i64::from_reply(Frame::Integer(5)).unwrap(), 5);
    assert_eq!(u16::from_reply(bulk("65535")).unwrap(), 65535);
    assert_eq!(f64::from_reply(bulk("1.25")).unwrap(), 1.25);
    assert_eq!(String::from_reply(Frame::Integer(5)).unwrap(), "5");
    assert_eq!(Option::<i64>::from_reply(Frame::Null).unwrap(), None);
    assert_eq!(Vec::<u8>::from_reply(bulk("ab")).unwrap(), b"ab");
    let list = Frame::Array(vec![bulk("a"), Frame::Integer(2)]);
    assert_eq!(<(String, i64)>::from_reply(list).unwrap(), ("a".to_owned(), 2));
    let map = Frame::Map(vec![(bulk("k"), bulk("1"))]);
    assert_eq!(Vec::<(String, u8)>::from_reply(map).unwrap(), [("k".to_owned(), 1)]);
}

#[test]
fn unfit_replies_say_what_was_expected() {
    let error = u8::from_reply(Frame::Integer(256)).unwrap_err();
    assert!(error.to_string().contains("fits u8"), "{error}");
    let error = i64::from_reply(Frame::Null).unwrap_err();
    assert_eq!(error.to_string(), "the reply is null, where an integer was expected");
    let error = <(i64, i64)>::from_reply(Frame::Array(vec![])).unwrap_err();
    assert!(error.to_string().contains("a list of 2"), "{error}");
    let error = String::from_reply(Frame::bulk(&b"\xff"[..])).unwrap_err();
    assert!(error.to_string().contains("UTF-8"), "{error}");
}

#[test]
fn error_inside_a_list_is_the_servers_error() {
    let list = Frame::Array(vec![Frame::Error("WRONGTYPE x".into())]);
    let error = Vec::<i64>::from_reply(list).unwrap_err();
    assert_eq!(error.server().unwrap().code(), "WRONGTYPE");
}
