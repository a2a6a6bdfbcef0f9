//! `EVAL` and `SCRIPT`: for the scripts that the server knows. Pure.

use super::{NO_KEYS, Spec, container, flag, lower, plain};
use crate::call::{Call, arg, integer};
use crate::profile::Profile;
use crate::refusal::Refusal;
use crate::reply::{flag as yes_or_no, ok, word};
use crate::script::{NO_LUA, Script};
use bytes::Bytes;
use resp::Frame;

const RUN: u16 = flag::NO_SCRIPT | flag::MAY_WRITE;

/// In order of their names.
pub(super) const TABLE: &[Spec] = &[
    plain("eval", -3, RUN, NO_KEYS, eval),
    plain("evalsha", -3, RUN, NO_KEYS, eval_sha),
    container("script", 0),
    plain("script|exists", -3, flag::NO_SCRIPT, NO_KEYS, exists),
    plain("script|flush", -2, flag::NO_SCRIPT | flag::MAY_WRITE, NO_KEYS, flush),
    plain("script|load", 3, flag::NO_SCRIPT | flag::MAY_WRITE, NO_KEYS, load),
];

/// Splits what follows the script into keys and arguments.
fn split(args: &[Bytes]) -> Result<(&[Bytes], &[Bytes]), Refusal> {
    let count = integer(args, 2)?;
    let count = usize::try_from(count)
        .map_err(|_| Refusal::fixed("ERR Number of keys can't be negative"))?;
    let rest = args.get(3..).unwrap_or_default();
    rest.split_at_checked(count)
        .ok_or(Refusal::fixed("ERR Number of keys can't be greater than number of args"))
}

fn eval(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let (keys, rest) = split(args)?;
    let script = Script::with_text(arg(args, 1)?).ok_or(NO_LUA)?;
    call.state.scripts.insert(script.digest().to_owned());
    script.run(call, keys, rest)
}

fn eval_sha(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let digest = lower(args.get(1));
    let (keys, rest) = split(args)?;
    let loaded = call.state.scripts.contains(&digest);
    let script = Script::with_digest(&digest).filter(|_| loaded);
    let missing = match call.profile {
        Profile::Valkey9 => Refusal::fixed("NOSCRIPT No matching script."),
        _ => Refusal::fixed("NOSCRIPT No matching script. Please use EVAL."),
    };
    script.ok_or(missing)?.run(call, keys, rest)
}

fn load(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let text = arg(args, 2)?;
    let digest = Script::with_text(text).ok_or(NO_LUA)?.digest();
    call.state.scripts.insert(digest.to_owned());
    Ok(word(digest))
}

fn exists(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    let digests = args.get(2..).unwrap_or_default().iter();
    let loaded = digests.map(|digest| call.state.scripts.contains(&lower(Some(digest))));
    Ok(Frame::Array(loaded.map(yes_or_no).collect()))
}

fn flush(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    match (lower(args.get(2)).as_str(), args.len()) {
        (_, 2) | ("sync" | "async", 3) => {
            call.state.scripts.clear();
            Ok(ok())
        }
        _ => Err(Refusal::fixed("ERR SCRIPT FLUSH only support SYNC|ASYNC option")),
    }
}
