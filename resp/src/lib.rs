//! A strict, resumable, zero-copy codec for RESP2 and RESP3, in both directions.

mod decode;
pub mod encode;
mod error;
mod frame;
mod limits;
mod request;

pub use decode::{Decoder, Protocol};
pub use error::{DecodeError, DecodeErrorKind};
pub use frame::{Attributed, Frame, Verbatim};
pub use limits::Limits;
pub use request::RequestDecoder;
