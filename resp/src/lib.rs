//! A strict, resumable, zero-copy codec for RESP2 and RESP3, in both directions.
//!
//! ```
//! use bytes::BytesMut;
//! use resp::{Decoder, Frame, Limits, Protocol, encode};
//!
//! let mut decoder = Decoder::new(Protocol::Resp3, Limits::default());
//! let mut received = BytesMut::from("*2\r\n$5\r\nhel");
//! assert_eq!(decoder.decode(&mut received)?, None); // asks for more
//! received.extend_from_slice(b"lo\r\n:7\r\n+OK\r\n");
//! let reply = decoder.decode(&mut received)?;
//! assert_eq!(reply, Some(Frame::Array(vec![Frame::Bulk("hello".into()), Frame::Integer(7)])));
//! assert_eq!(decoder.decode(&mut received)?, Some(Frame::Simple("OK".into())));
//!
//! let mut out = BytesMut::new();
//! encode::command(&["GET", "key"], &mut out);
//! assert_eq!(&out[..], b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n");
//! # Ok::<(), resp::DecodeError>(())
//! ```
//!
//! # Wire
//!
//! | first byte | value | | first byte | value |
//! |---|---|---|---|---|
//! | `+OK` | simple string | | `=7`, `txt:abc` | verbatim string |
//! | `-ERR text` | error | | `!3`, `abc` | bulk error |
//! | `:-7` | integer | | `%1` and a pair | map |
//! | `$3`, `abc` | bulk string | | `~2` and elements | set |
//! | `*2` and elements | array | | `>2` and elements | push |
//! | `_`, `$-1`, `*-1` | null | | `\|1`, a pair, a value | attribute |
//! | `#t` | boolean | | `$?`, `;3`, `abc`, `;0` | streamed string |
//! | `,1.5` | double | | `*?`, elements, `.` | streamed aggregate |
//! | `(123` | big number | | | |
//!
//! RESP2 has the left column down to the array, and the last two spellings of null.
//!
//! # Strings
//!
//! A string of up to 38 bytes lies in its [`Frame`], a longer one is a slice of the input ([`Str`]), or a copy where a slice would
//! keep a large read alive for a small value.
//!
//! That is why there is no borrowed view of the input beside [`Frame`]: what a lock is answered with, `+OK`, `:1` and tokens of
//! 36 bytes, touches no reference count as it is, and a view would have to be copied to outlive the read.
//!
//! # Damage
//!
//! A fault that may hide where the frame ends, such as a length that is none, is an [`Err`] and final: the connection has to go. A
//! fault in the text of a value, such as a boolean that is neither true nor false, and nesting beyond [`Limits::depth`] come out
//! as [`Frame::Invalid`] in place of the whole top-level reply, and the next reply is not affected. A push with such a fault stays
//! a push, as it is nobody's reply: its only child is [`Frame::Invalid`].
//!
//! Specifications: [RESP](https://redis.io/docs/latest/develop/reference/protocol-spec/),
//! [RESP3](https://github.com/redis/redis-specifications/blob/master/protocol/RESP3.md).

#[cfg(not(resp_defects))]
#[macro_use]
mod defects;
#[cfg(resp_defects)]
#[macro_use]
pub mod defects;

mod conversions;
mod decode;
pub mod encode;
mod error;
mod frame;
mod frames;
mod inline;
mod input;
mod level;
mod limits;
mod line;
mod number;
mod parse;
mod protocol;
mod request;
mod simple;
mod slots;
mod stack;
mod str;
mod value;
#[cfg(feature = "count-work")]
pub mod work;
#[cfg(not(feature = "count-work"))]
mod work;

pub use decode::Decoder;
pub use error::{DecodeError, DecodeErrorKind};
pub use frame::{Attributed, Frame, Verbatim};
pub use frames::Frames;
pub use limits::Limits;
pub use protocol::Protocol;
pub use request::RequestDecoder;
pub use str::Str;
