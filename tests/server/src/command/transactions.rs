//! `MULTI`, `EXEC` and `WATCH`. Pure.

use super::{NO_KEYS, Spec, control, flag, plain};
use crate::call::Call;
use crate::refusal::Refusal;
use crate::reply::{Answer, ok};
use crate::session::Multi;
use bytes::{Bytes, BytesMut};
use resp::{Frame, encode};

const ANY_TIME: u16 = flag::NO_SCRIPT | flag::LOADING | flag::STALE;
const FAST: u16 = ANY_TIME | flag::FAST;

/// In order of their names.
pub(super) const TABLE: &[Spec] = &[
    plain("discard", 1, FAST, NO_KEYS, discard),
    control("exec", 1, ANY_TIME, exec),
    plain("multi", 1, FAST, NO_KEYS, multi),
    plain("unwatch", 1, FAST, NO_KEYS, unwatch),
    plain("watch", -2, FAST, super::ALL_KEYS, watch),
];

fn multi(call: &mut Call<'_>, _: &[Bytes]) -> Result<Frame, Refusal> {
    call.session(|session| match session.multi {
        Some(_) => Err(Refusal::fixed("ERR MULTI calls can not be nested")),
        None => {
            session.multi = Some(Multi::default());
            Ok(ok())
        }
    })
    .unwrap_or_else(|| Ok(ok()))
}

fn discard(call: &mut Call<'_>, _: &[Bytes]) -> Result<Frame, Refusal> {
    match call.session(|session| session.multi.is_some()) {
        Some(true) => {
            call.session(|session| session.leave_multi());
            Ok(ok())
        }
        _ => Err(Refusal::fixed("ERR DISCARD without MULTI")),
    }
}

fn watch(call: &mut Call<'_>, args: &[Bytes]) -> Result<Frame, Refusal> {
    if call.session(|session| session.multi.is_some()) == Some(true) {
        return Err(Refusal::fixed("ERR WATCH inside MULTI is not allowed"));
    }
    let db = call.db;
    for key in args.get(1..).unwrap_or_default() {
        call.entry(key); // a key that is over already is watched as missing
        call.session(|session| session.watched.insert((db, Bytes::copy_from_slice(key))));
    }
    Ok(ok())
}

fn unwatch(call: &mut Call<'_>, _: &[Bytes]) -> Result<Frame, Refusal> {
    call.session(|session| {
        session.watched.clear();
        session.watch_broken = false;
    });
    Ok(ok())
}

fn exec(call: &mut Call<'_>, _: &[Bytes]) -> Result<Answer, Refusal> {
    let Some(watched) = call.session(|session| session.watched.clone()) else {
        return Ok(Answer::Sent);
    };
    if call.session(|session| session.multi.is_some()) != Some(true) {
        return Err(Refusal::fixed("ERR EXEC without MULTI"));
    }
    let expired = watched.iter().any(|(db, key)| {
        call.state.db(*db).get(key).is_some_and(|entry| entry.expired(call.now.ms()))
    });
    let broken = call.session(|session| session.watch_broken) == Some(true) || expired;
    let multi = call.session(|session| session.leave_multi()).flatten().unwrap_or_default();
    if multi.refused {
        return Err(Refusal::fixed("EXECABORT Transaction discarded because of previous errors."));
    }
    if broken {
        return Ok(Answer::NullArray);
    }
    // The elements are written one by one, because own pushes may stand between them.
    call.state.begin_whole();
    let mut header = BytesMut::new();
    encode::array_header(multi.queued.len(), &mut header);
    call.state.add_to_whole(&header);
    for args in &multi.queued {
        let answer = run_queued(call, args);
        let mut element = BytesMut::new();
        answer.encode(call.protocol, &mut element);
        call.state.add_to_whole(&element);
    }
    Ok(Answer::Whole(call.state.end_whole()))
}

fn run_queued(call: &mut Call<'_>, args: &[Bytes]) -> Answer {
    let refused = |refusal: Refusal| Answer::Frame(refusal.into());
    let spec = match call.state.table.find(args) {
        Ok(spec) => spec,
        Err(refusal) => return refused(refusal),
    };
    let answer = call.run(spec, args).unwrap_or_else(refused);
    match answer {
        // What blocks or ends a connection has no place in a transaction: its reply comes at once.
        Answer::Block(block) => block.otherwise,
        Answer::Close(frame) => Answer::Frame(frame),
        answer => answer,
    }
}
