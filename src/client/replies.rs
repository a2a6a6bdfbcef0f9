//! The replies to a batch, read as a tuple or a list with one value per command.

use crate::client::commands::Commands;
use crate::client::convert::{FromReply, answer};
use crate::error::{Error, Outcome};
use resp::Frame;
use std::fmt;

/// What became of each command of a batch, in their order.
pub struct Replies {
    commands: Commands,
    received: std::vec::IntoIter<Frame>,
    /// Whether nothing was executed, because a watched key had changed.
    broken: bool,
    /// Why the replies behind those that were received will not come.
    lost: Option<Error>,
    read: usize,
}

impl Replies {
    /// What was `received`, if anything was executed at all.
    pub(crate) fn new(
        commands: Commands,
        received: Option<Vec<Frame>>,
        lost: Option<Error>,
    ) -> Self {
        let broken = received.is_none();
        Self { commands, received: received.unwrap_or_default().into_iter(), broken, lost, read: 0 }
    }

    /// The reply to the only command, whose errors need no name.
    pub(crate) fn only<T: FromReply>(mut self) -> Result<T, Error> {
        match (self.received.next(), self.lost) {
            (Some(reply), _) => T::from_reply(reply),
            (None, Some(error)) => T::from_answer(Err(error)),
            (None, None) => Err(Error::unexpected("a reply", "none")),
        }
    }

    /// Reads the next one.
    ///
    /// # Errors
    ///
    /// Says which command it is that failed, or whose reply is no `T`.
    pub(crate) fn next<T: FromReply>(&mut self) -> Result<T, Error> {
        self.read += 1;
        let reply = match (self.received.next(), &self.lost) {
            (Some(reply), _) => answer(reply),
            (None, Some(error)) => return T::from_answer(Err(error.clone())),
            (None, None) if self.broken => Err(Error::unexpected(
                "a reply for each command",
                "null, because a watched key had changed",
            )),
            (None, None) => Err(Error::unexpected("a reply for each command", "one less")),
        };
        T::from_answer(reply)
            .map_err(|error| error.of_command(self.read, &self.commands.name(self.read)))
    }

    fn left(&self) -> usize {
        self.commands.count().saturating_sub(self.read)
    }
}

/// Shows how many, never what: a reply may be a secret.
impl fmt::Debug for Replies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replies").field("left", &self.left()).finish_non_exhaustive()
    }
}

/// What the replies to a batch can be read as: a tuple with one type per command, a vector, `()` if only errors matter, or an
/// option of these where a watched key may have changed.
///
/// A part that is a [`Result`] takes what became of its command, and the others are read all the same; any other part
/// that fails is the error of the whole.
pub trait FromReplies: Sized {
    /// How many commands it takes, if not any number.
    #[doc(hidden)]
    const COUNT: Option<usize>;

    /// Reads the values.
    ///
    /// # Errors
    ///
    /// The first command that failed, or whose reply has another type.
    fn from_replies(replies: Replies) -> Result<Self, Error>;
}

impl FromReplies for () {
    const COUNT: Option<usize> = None;

    fn from_replies(mut replies: Replies) -> Result<Self, Error> {
        while replies.left() > 0 {
            replies.next::<()>()?;
        }
        Ok(())
    }
}

impl<T: FromReply> FromReplies for Vec<T> {
    const COUNT: Option<usize> = None;

    fn from_replies(mut replies: Replies) -> Result<Self, Error> {
        let mut values = Self::with_capacity(replies.left());
        while replies.left() > 0 {
            values.push(replies.next()?);
        }
        Ok(values)
    }
}

/// None if nothing was executed, because a key of [`Client::watch`](crate::Client::watch) had changed.
impl<T: FromReplies> FromReplies for Option<T> {
    const COUNT: Option<usize> = T::COUNT;

    fn from_replies(replies: Replies) -> Result<Self, Error> {
        if replies.broken { Ok(None) } else { T::from_replies(replies).map(Some) }
    }
}

/// Keeps what became of one command of a batch apart from the others.
impl<T: FromReply> FromReply for Result<T, Error> {
    fn from_reply(reply: Frame) -> Result<Self, Error> {
        Ok(T::from_reply(reply))
    }

    fn from_answer(answer: Result<Frame, Error>) -> Result<Self, Error> {
        Ok(T::from_answer(answer))
    }
}

macro_rules! tuples {
    ($(($($name:ident),+) $len:literal;)*) => {$(
        impl<$($name: FromReply),+> FromReplies for ($($name,)+) {
            const COUNT: Option<usize> = Some($len);

            fn from_replies(mut replies: Replies) -> Result<Self, Error> {
                Ok(($(replies.next::<$name>()?,)+))
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
    (A, B, C, D, E, F, G) 7;
    (A, B, C, D, E, F, G, H) 8;
    (A, B, C, D, E, F, G, H, I) 9;
    (A, B, C, D, E, F, G, H, I, J) 10;
    (A, B, C, D, E, F, G, H, I, J, K) 11;
    (A, B, C, D, E, F, G, H, I, J, K, L) 12;
}

/// What the replies to `MULTI`, the commands and `EXEC` come to: the replies out of `EXEC`, or none if a watched key had changed.
///
/// # Errors
///
/// Nothing ran, because a command was refused while it was queued; or nobody knows what did.
pub(crate) fn transaction(
    replies: Vec<Frame>,
    lost: Option<Error>,
    commands: &Commands,
) -> Result<Option<Vec<Frame>>, Error> {
    if let Some(error) = lost {
        return Err(error);
    }
    let count = commands.count();
    let mut replies = replies.into_iter().map(answer);
    if let Some(Err(error)) = replies.next() {
        let error = error.prefixed("MULTI was refused");
        // Without it they ran one by one.
        return Err(if count > 0 { error.with_outcome(Outcome::Unknown) } else { error });
    }
    let queued: Vec<_> = replies.by_ref().take(count).collect();
    match replies.next() {
        Some(Ok(Frame::Array(items))) if items.len() == count => Ok(Some(items)),
        Some(Ok(Frame::Null)) => Ok(None),
        Some(Err(error)) if error.server().is_none_or(|said| said.code() != "EXECABORT") => {
            Err(error.prefixed("EXEC was refused").with_outcome(Outcome::Unknown))
        }
        Some(Err(error)) => {
            let refused = (1..).zip(queued).find_map(|(at, reply)| Some((at, reply.err()?)));
            let cause =
                refused.map_or(error, |(at, error)| error.of_command(at, &commands.name(at)));
            Err(cause.prefixed("nothing was executed"))
        }
        Some(Ok(_)) | None => Err(Error::unexpected(
            "one reply for each command of the transaction",
            "something else",
        )),
    }
}
