//! Commands and replies into a caller's `BytesMut`.
use crate::{Frame, Protocol};
use bytes::BytesMut;

/// Appends one command: an array of bulk strings.
pub fn command<A: AsRef<[u8]>>(_args: &[A], _out: &mut BytesMut) {
    todo!()
}
/// Appends `*len\r\n`; `len` calls of [`bulk`] or [`bulk_u64`] follow.
pub fn array_header(_len: usize, _out: &mut BytesMut) {
    todo!()
}
/// Appends one bulk string.
pub fn bulk(_bytes: &[u8], _out: &mut BytesMut) {
    todo!()
}
/// Appends one bulk string that holds `number` in decimal.
pub fn bulk_i64(_number: i64, _out: &mut BytesMut) {
    todo!()
}
/// Appends a reply; what RESP2 has no type for is sent the way servers do.
pub fn frame(_frame: &Frame, _protocol: Protocol, _out: &mut BytesMut) {
    todo!()
}
