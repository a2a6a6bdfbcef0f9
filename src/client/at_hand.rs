//! Values that are bytes already go straight into the queue; any other one is encoded before, as it may run code of its user
//! while it is, and none runs under the lock. Pure.

use crate::client::args::Args;
use crate::client::convert::ToArg;
use crate::error::Error;

/// A key and a value, as one argument each; `room` is for those that have to be encoded first.
///
/// # Errors
///
/// If they are no argument, or several: nothing of the kind was meant.
#[inline]
pub(crate) fn pair<'a>(
    command: &str,
    (key, value): (&'a impl ToArg, &'a impl ToArg),
    room: &'a mut Option<Args>,
) -> Result<[&'a [u8]; 2], Error> {
    match (key.at_hand(), value.at_hand()) {
        (Some(key), Some(value)) => Ok([key, value]),
        _ => encoded(command, (key, value), room),
    }
}

#[cold]
fn encoded<'a>(
    command: &str,
    pair: (&impl ToArg, &impl ToArg),
    room: &'a mut Option<Args>,
) -> Result<[&'a [u8]; 2], Error> {
    let args = room.insert(Args::default());
    pair.write_args(args);
    check(command, args.len())?;
    let mut words = args.iter();
    Ok([(); 2].map(|()| words.next().unwrap_or_default()))
}

/// # Errors
///
/// If a key and a value came out as another number of arguments than two.
pub(crate) fn check(command: &str, given: usize) -> Result<(), Error> {
    if given == 2 {
        return Ok(());
    }
    let message = format!("{command} takes one key and one value, not {given} arguments in all");
    Err(Error::refused(message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn values_that_are_bytes_are_at_hand_and_come_out_as_all_others_do() {
        let (list, text, bytes) = (vec![1_u8, 2], String::from("text"), Bytes::from("bytes"));
        assert_eq!(list.at_hand(), Some(&[1, 2][..]));
        assert_eq!([7_u8, 8].at_hand(), Some(&[7, 8][..]));
        assert_eq!((&&text).at_hand(), Some(&b"text"[..]));
        assert_eq!(Some(&bytes).at_hand(), Some(&b"bytes"[..]));
        assert_eq!("".at_hand(), Some(&b""[..]));
        assert!(None::<&str>.at_hand().is_none() && ["one"].at_hand().is_none());
        assert!(
            7.at_hand().is_none() && true.at_hand().is_none() && ("a", "b").at_hand().is_none()
        );
        let mut room = None;
        assert_eq!(pair("SET", (&text, &-7), &mut room).unwrap(), [&b"text"[..], b"-7"]);
        assert_eq!(pair("SET", (&["one"], &bytes), &mut room).unwrap(), [&b"one"[..], b"bytes"]);
        assert!(pair("SET", (&None::<&str>, &"v"), &mut room).is_err());
        assert!(pair("SET", (&"k", &["v", "w"]), &mut room).is_err());
    }
}
