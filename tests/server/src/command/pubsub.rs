//! Messages: publishing, subscribing, asking who listens. Pure.

use super::{ALL_KEYS, NO_KEYS, ONE_KEY, Spec, container, control, flag, plain};
use crate::call::{Call, arg};
use crate::glob;
use crate::profile::Profile;
use crate::pubsub::{Kind, confirmation};
use crate::refusal::Refusal;
use crate::reply::{Answer, bulks, count};
use bytes::{Bytes, BytesMut};
use resp::{Frame, encode};

const SEND: u16 = flag::PUBSUB | flag::LOADING | flag::STALE | flag::FAST | flag::MAY_WRITE;
const LISTEN: u16 = flag::PUBSUB | flag::NO_SCRIPT | flag::LOADING | flag::STALE;
const ASK: u16 = flag::PUBSUB | flag::LOADING | flag::STALE;

/// In order of their names.
pub(super) const TABLE: &[Spec] = &[
    control("psubscribe", -2, LISTEN, |call, args| subscribe(call, args, Kind::Pattern)),
    plain("publish", 3, SEND, NO_KEYS, |call, args| publish(call, args, false)),
    container("pubsub", 0),
    plain("pubsub|channels", -2, ASK, NO_KEYS, |call, args| channels(call, args, false)),
    plain("pubsub|numpat", 2, ASK, NO_KEYS, |call, _| Ok(count(call.state.patterns()))),
    plain("pubsub|numsub", -2, ASK, NO_KEYS, |call, args| listeners(call, args, false)),
    plain("pubsub|shardchannels", -2, ASK, NO_KEYS, |call, args| channels(call, args, true))
        .only(Profile::since_7_0),
    plain("pubsub|shardnumsub", -2, ASK, NO_KEYS, |call, args| listeners(call, args, true))
        .only(Profile::since_7_0),
    control("punsubscribe", -1, LISTEN, |call, args| unsubscribe(call, args, Kind::Pattern)),
    plain("spublish", 3, SEND, ONE_KEY, |call, args| publish(call, args, true))
        .only(Profile::since_7_0),
    control("ssubscribe", -2, LISTEN, |call, args| subscribe(call, args, Kind::Shard))
        .keyed(ALL_KEYS)
        .only(Profile::since_7_0),
    control("subscribe", -2, LISTEN, |call, args| subscribe(call, args, Kind::Channel)),
    control("sunsubscribe", -1, LISTEN, |call, args| unsubscribe(call, args, Kind::Shard))
        .keyed(ALL_KEYS)
        .only(Profile::since_7_0),
    control("unsubscribe", -1, LISTEN, |call, args| unsubscribe(call, args, Kind::Channel)),
];

fn publish(call: &mut Call<'_>, args: &[Bytes], shard: bool) -> Result<Frame, Refusal> {
    Ok(count(call.state.publish(arg(args, 1)?, arg(args, 2)?, shard)))
}

fn subscribe(call: &mut Call<'_>, args: &[Bytes], kind: Kind) -> Result<Answer, Refusal> {
    let mut replies = BytesMut::new();
    let (word, _) = kind.words();
    for name in args.get(1..).unwrap_or_default() {
        let left = call.session(|session| {
            kind.names(session).insert(Bytes::copy_from_slice(name));
            kind.count(session)
        });
        let reply = confirmation(word, Some(name), left.unwrap_or(0));
        encode::frame(&reply, call.protocol, &mut replies);
    }
    Ok(Answer::Whole(replies))
}

fn unsubscribe(call: &mut Call<'_>, args: &[Bytes], kind: Kind) -> Result<Answer, Refusal> {
    let mut replies = BytesMut::new();
    let (_, word) = kind.words();
    let mut names = args.get(1..).unwrap_or_default().to_vec();
    if names.is_empty() {
        let all = call.session(|session| kind.names(session).iter().cloned().collect());
        names = all.unwrap_or_default();
    }
    if names.is_empty() {
        let left = call.session(|session| kind.count(session)).unwrap_or(0);
        encode::frame(&confirmation(word, None, left), call.protocol, &mut replies);
    }
    for name in &names {
        let left = call.session(|session| {
            kind.names(session).remove(name);
            kind.count(session)
        });
        let reply = confirmation(word, Some(name), left.unwrap_or(0));
        encode::frame(&reply, call.protocol, &mut replies);
    }
    Ok(Answer::Whole(replies))
}

fn channels(call: &mut Call<'_>, args: &[Bytes], shard: bool) -> Result<Frame, Refusal> {
    let mut names = call.state.active_channels(shard);
    if let Some(pattern) = args.get(2) {
        names.retain(|name| glob::matches(pattern, name));
    }
    Ok(bulks(names))
}

fn listeners(call: &mut Call<'_>, args: &[Bytes], shard: bool) -> Result<Frame, Refusal> {
    let names = args.get(2..).unwrap_or_default().iter();
    let counted = names
        .flat_map(|name| [Frame::bulk(name.clone()), count(call.state.listeners(name, shard))]);
    Ok(Frame::Array(counted.collect()))
}
