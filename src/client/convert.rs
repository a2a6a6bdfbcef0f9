//! The two traits between Rust values and the wire: [`ToArg`] for what is sent, [`FromReply`] for what comes back.

use crate::client::args::Args;
use crate::error::{Error, ErrorKind, Outcome, ServerError};
use bytes::Bytes;
use resp::Frame;

/// A value that can be sent as one or more arguments of a command.
///
/// Numbers are sent in decimal, `bool` as `1` or `0`, text and bytes as they are. `None` sends nothing; slices, vectors
/// and tuples send each of their elements, except slices and vectors of `u8`, which are one argument.
pub trait ToArg {
    /// Appends the value.
    fn write_args(&self, args: &mut Args);

    /// Appends a slice of such values.
    #[doc(hidden)]
    fn write_slice(items: &[Self], args: &mut Args)
    where
        Self: Sized,
    {
        items.iter().for_each(|item| item.write_args(args));
    }

    /// The value's bytes, if it is one argument and they are at hand.
    #[doc(hidden)]
    fn at_hand(&self) -> Option<&[u8]> {
        None
    }

    /// The same for a slice of such values.
    #[doc(hidden)]
    fn slice_at_hand(_items: &[Self]) -> Option<&[u8]>
    where
        Self: Sized,
    {
        None
    }
}

/// A value that a reply can be read as.
///
/// Numbers are also read from their decimal text, text from numbers. A null is an error unless an [`Option`] is asked
/// for; a number that does not fit, text that is not UTF-8 and an array of another length are errors too.
pub trait FromReply: Sized {
    /// Reads the value.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnexpectedReply`] if the reply has another type, [`ErrorKind::Server`] if it is an error.
    fn from_reply(reply: Frame) -> Result<Self, Error>;

    /// Reads what became of a command.
    #[doc(hidden)]
    fn from_answer(answer: Result<Frame, Error>) -> Result<Self, Error> {
        Self::from_reply(answer?)
    }

    /// Reads a list of such values.
    #[doc(hidden)]
    fn list_from_reply(reply: Frame) -> Result<Vec<Self>, Error> {
        elements(reply)?.into_iter().map(Self::from_reply).collect()
    }
}

/// Turns an error reply, or a damaged one, into an error, and sheds attributes.
#[inline]
pub(crate) fn answer(frame: Frame) -> Result<Frame, Error> {
    match frame {
        Frame::Error(_) | Frame::BulkError(_) | Frame::Invalid(_) | Frame::Attributed(_) => {
            unusual_answer(frame)
        }
        frame => Ok(frame),
    }
}

#[cold]
fn unusual_answer(frame: Frame) -> Result<Frame, Error> {
    match frame.without_attributes() {
        Frame::Error(text) | Frame::BulkError(text) => {
            Err(Error::server_said(ServerError::new(&text)))
        }
        Frame::Invalid(error) => {
            let message = format!("the reply is damaged: {error}");
            Err(Error::caused_by(ErrorKind::Protocol, Outcome::Unknown, message, error))
        }
        frame => Ok(frame),
    }
}

/// What kind of value a frame is, for messages: never what is in it.
pub(crate) fn kind(frame: &Frame) -> &'static str {
    match frame {
        Frame::Null => "null",
        Frame::Simple(_) => "a simple string",
        Frame::Error(_) | Frame::BulkError(_) => "an error",
        Frame::Integer(_) => "an integer",
        Frame::Bulk(_) => "a string",
        Frame::Array(_) => "an array",
        Frame::Boolean(_) => "a boolean",
        Frame::Double(_) => "a double",
        Frame::BigNumber(_) => "a big number",
        Frame::Verbatim(_) => "a verbatim string",
        Frame::Map(_) => "a map",
        Frame::Set(_) => "a set",
        Frame::Push(_) => "a push",
        _ => "something else",
    }
}

fn elements(reply: Frame) -> Result<Vec<Frame>, Error> {
    match answer(reply)? {
        Frame::Array(items) | Frame::Set(items) | Frame::Push(items) => Ok(items),
        Frame::Map(pairs) => {
            Ok(pairs.into_iter().map(|(key, value)| Frame::Array(vec![key, value])).collect())
        }
        other => Err(Error::unexpected("a list", kind(&other))),
    }
}

macro_rules! integers {
    ($($int:ty),*) => {$(
        impl ToArg for $int {
            fn write_args(&self, args: &mut Args) {
                match i64::try_from(*self) {
                    Ok(number) => args.push_i64(number),
                    Err(_) => args.push(self.to_string().as_bytes()),
                }
            }
        }

        impl FromReply for $int {
            fn from_reply(reply: Frame) -> Result<Self, Error> {
                let number = match answer(reply)? {
                    Frame::Integer(number) => Self::try_from(number).ok(),
                    Frame::Bulk(text) | Frame::Simple(text) | Frame::BigNumber(text) => {
                        std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok())
                    }
                    other => return Err(Error::unexpected("an integer", kind(&other))),
                };
                number.ok_or_else(|| {
                    let wanted = concat!("a number that fits ", stringify!($int));
                    Error::unexpected(wanted, "another one, or none")
                })
            }
        }
    )*};
}
// `u8` is missing on purpose: a list of them is a string of bytes.
integers!(i8, i16, i32, i64, isize, u16, u32, u64, usize);

macro_rules! floats {
    ($($float:ty),*) => {$(
        impl ToArg for $float {
            fn write_args(&self, args: &mut Args) {
                args.push(self.to_string().as_bytes());
            }
        }

        impl FromReply for $float {
            fn from_reply(reply: Frame) -> Result<Self, Error> {
                match answer(reply)? {
                    Frame::Double(number) => Ok(number as Self),
                    Frame::Integer(number) => Ok(number as Self),
                    Frame::Bulk(text) | Frame::Simple(text) => std::str::from_utf8(&text)
                        .ok()
                        .and_then(|text| text.parse().ok())
                        .ok_or_else(|| Error::unexpected("a number", "other text")),
                    other => Err(Error::unexpected("a number", kind(&other))),
                }
            }
        }
    )*};
}
floats!(f32, f64);

impl ToArg for bool {
    fn write_args(&self, args: &mut Args) {
        args.push(if *self { b"1" } else { b"0" });
    }
}

impl FromReply for bool {
    fn from_reply(reply: Frame) -> Result<Self, Error> {
        match answer(reply)? {
            Frame::Boolean(yes) => Ok(yes),
            Frame::Integer(0) => Ok(false),
            Frame::Integer(1) => Ok(true),
            Frame::Bulk(text) if text == "0" => Ok(false),
            Frame::Bulk(text) if text == "1" => Ok(true),
            other => Err(Error::unexpected("a boolean", kind(&other))),
        }
    }
}

impl ToArg for u8 {
    fn write_args(&self, args: &mut Args) {
        args.push_i64(i64::from(*self));
    }

    fn write_slice(items: &[Self], args: &mut Args) {
        args.push(items);
    }

    fn slice_at_hand(items: &[Self]) -> Option<&[u8]> {
        Some(items)
    }
}

impl FromReply for u8 {
    fn from_reply(reply: Frame) -> Result<Self, Error> {
        Self::try_from(u16::from_reply(reply)?)
            .map_err(|_| Error::unexpected("a number that fits u8", "another one"))
    }

    fn list_from_reply(reply: Frame) -> Result<Vec<Self>, Error> {
        Bytes::from_reply(reply).map(Into::into)
    }
}

macro_rules! bytes {
    ($($text:ty),*) => {$(
        impl ToArg for $text {
            fn write_args(&self, args: &mut Args) {
                args.push(self.as_ref());
            }

            fn at_hand(&self) -> Option<&[u8]> {
                Some(self.as_ref())
            }
        }
    )*};
}
bytes!(str, String, Bytes);

impl FromReply for String {
    fn from_reply(reply: Frame) -> Result<Self, Error> {
        let bytes = Vec::from(Bytes::from_reply(reply)?);
        Self::from_utf8(bytes).map_err(|_| Error::unexpected("UTF-8 text", "other bytes"))
    }
}

impl FromReply for Bytes {
    fn from_reply(reply: Frame) -> Result<Self, Error> {
        match answer(reply)? {
            Frame::Bulk(text) | Frame::Simple(text) | Frame::BigNumber(text) => Ok(text.into()),
            Frame::Verbatim(verbatim) => Ok(verbatim.text.into()),
            Frame::Integer(number) => Ok(number.to_string().into()),
            Frame::Double(number) => Ok(number.to_string().into()),
            other => Err(Error::unexpected("a string", kind(&other))),
        }
    }
}

impl<T: ToArg> ToArg for Option<T> {
    fn write_args(&self, args: &mut Args) {
        if let Some(value) = self {
            value.write_args(args);
        }
    }

    fn at_hand(&self) -> Option<&[u8]> {
        self.as_ref().and_then(T::at_hand)
    }
}

impl<T: FromReply> FromReply for Option<T> {
    fn from_reply(reply: Frame) -> Result<Self, Error> {
        match answer(reply)? {
            Frame::Null => Ok(None),
            reply => T::from_reply(reply).map(Some),
        }
    }
}

impl<T: ToArg> ToArg for [T] {
    fn write_args(&self, args: &mut Args) {
        T::write_slice(self, args);
    }

    fn at_hand(&self) -> Option<&[u8]> {
        T::slice_at_hand(self)
    }
}

impl<T: ToArg, const N: usize> ToArg for [T; N] {
    fn write_args(&self, args: &mut Args) {
        T::write_slice(self, args);
    }

    fn at_hand(&self) -> Option<&[u8]> {
        T::slice_at_hand(self)
    }
}

impl<T: ToArg> ToArg for Vec<T> {
    fn write_args(&self, args: &mut Args) {
        T::write_slice(self, args);
    }

    fn at_hand(&self) -> Option<&[u8]> {
        T::slice_at_hand(self)
    }
}

impl<T: FromReply> FromReply for Vec<T> {
    fn from_reply(reply: Frame) -> Result<Self, Error> {
        T::list_from_reply(reply)
    }
}

impl<T: ToArg + ?Sized> ToArg for &T {
    fn write_args(&self, args: &mut Args) {
        (**self).write_args(args);
    }

    #[inline]
    fn at_hand(&self) -> Option<&[u8]> {
        (**self).at_hand()
    }
}

/// Any reply that is not an error.
impl FromReply for () {
    fn from_reply(reply: Frame) -> Result<Self, Error> {
        answer(reply).map(drop)
    }
}

/// The reply as it came, errors excepted.
impl FromReply for Frame {
    fn from_reply(reply: Frame) -> Result<Self, Error> {
        answer(reply)
    }
}

macro_rules! tuples {
    ($(($($name:ident),+) $len:literal;)*) => {$(
        impl<$($name: ToArg),+> ToArg for ($($name,)+) {
            #[expect(non_snake_case, reason = "named like their types")]
            fn write_args(&self, args: &mut Args) {
                let ($($name,)+) = self;
                $($name.write_args(args);)+
            }
        }

        impl<$($name: FromReply),+> FromReply for ($($name,)+) {
            #[expect(non_snake_case, reason = "named like their types")]
            fn from_reply(reply: Frame) -> Result<Self, Error> {
                let items: [Frame; $len] = elements(reply)?.try_into().map_err(|_| {
                    Error::unexpected(concat!("a list of ", $len), "a list of another length")
                })?;
                let [$($name),+] = items;
                Ok(($($name::from_reply($name)?,)+))
            }
        }
    )*};
}
tuples! {
    (A) 1;
    (A, B) 2;
    (A, B, C) 3;
    (A, B, C, D) 4;
    (A, B, C, D, E) 5;
    (A, B, C, D, E, F) 6;
}

#[cfg(test)]
mod tests;
