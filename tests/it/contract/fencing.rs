//! Fences: they rise from hold to hold, however the lock changes hands and whatever the server loses, and what is written
//! with them refuses earlier ones.

use crate::support::{Access, Running, poll_once};
use std::time::Duration;
use tenure::{Client, FENCED_GET, FENCED_SET, FencedGuard, FencingToken, Script};

const ACCESS: Access = Access::OPEN;
const STREAM: &str = "{lk:l}:f";

on_every_server! {
    fences_rise_from_hold_to_hold_in_one_client_and_in_several
    fences_rise_through_hand_overs_and_beside_holds_without
    fences_rise_after_everything_was_flushed
    fences_rise_when_the_stream_is_ahead_of_the_clock
    stream_shares_the_slot_of_its_lock_keeps_one_entry_and_has_an_end
    fenced_lock_and_plain_one_exclude_each_other
    key_that_holds_data_is_no_lock_and_no_stream
    script_that_the_server_forgot_is_sent_again
    value_refuses_earlier_fences_to_the_last_digit
    reader_keeps_earlier_writers_out
    single_attempts_and_time_outs_are_those_of_the_lock
    lock_taken_over_from_an_elder_has_a_fence_too
}

async fn hold(client: &Client) -> FencedGuard {
    client.lock("l").fenced().acquire().await.unwrap()
}

/// Each greater than the one before.
fn rise(tokens: &[FencingToken]) {
    assert!(tokens.is_sorted_by(|one, other| one < other), "{tokens:?}");
}

async fn fences_rise_from_hold_to_hold_in_one_client_and_in_several(server: &Running) {
    let clients = [server.connect().await, server.connect().await];
    let mut tokens = Vec::new();
    for round in 0..40 {
        let guard = hold(&clients[round % 2]).await;
        assert!(guard.is_held());
        tokens.push(guard.token());
        if round % 3 == 0 {
            drop(guard);
        } else {
            guard.release().await.unwrap();
        }
    }
    rise(&tokens);
    assert!(tokens.iter().all(|token| token.as_i64() > 0));
}

async fn fences_rise_through_hand_overs_and_beside_holds_without(server: &Running) {
    let client = server.connect().await;
    let mut holder = Some(hold(&client).await);
    let mut tokens = vec![holder.as_ref().unwrap().token()];
    for round in 0..20 {
        let (plain, fenced) = (client.lock("l"), client.lock("l").fenced());
        let mut next = Box::pin(fenced.acquire());
        let mut before = Box::pin(plain.acquire());
        if round % 4 == 0 {
            assert!(poll_once(&mut before).await.is_pending());
        }
        assert!(poll_once(&mut next).await.is_pending());
        drop(holder.take());
        if round % 4 == 0 {
            before.await.unwrap().release().await.unwrap();
        }
        let guard = next.await.unwrap();
        tokens.push(guard.token());
        holder = Some(guard);
    }
    rise(&tokens);
}

async fn fences_rise_after_everything_was_flushed(server: &Running) {
    let client = server.connect().await;
    let mut tokens = Vec::new();
    for _ in 0..50 {
        let guard = hold(&client).await;
        tokens.push(guard.token());
        client.command("FLUSHALL").send::<()>().await.unwrap();
        drop(guard);
    }
    rise(&tokens);
}

async fn fences_rise_when_the_stream_is_ahead_of_the_clock(server: &Running) {
    let client = server.connect().await;
    let add = |id: &'static str| client.command("XADD").arg((STREAM, id, "f", ""));
    let mut tokens = vec![hold(&client).await.token()];
    // As if the server's clock had been set back: to the last fence of a millisecond, and over it.
    add("4000000000000-1048573").send::<String>().await.unwrap();
    for _ in 0..4 {
        tokens.push(hold(&client).await.token());
    }
    rise(&tokens);
    let first = (4_000_000_000_000_u64 << 20) | 1_048_574;
    let counted = tokens[1..].iter().map(|token| token.as_u64());
    assert!(counted.eq(first..first + 4));
    // The last digit of a token counts, too.
    assert!(client.fenced_set("v", tokens[2], "later").await.unwrap());
    assert!(!client.fenced_set("v", tokens[1], "earlier").await.unwrap());
}

async fn stream_shares_the_slot_of_its_lock_keeps_one_entry_and_has_an_end(server: &Running) {
    let client = server.connect().await;
    for _ in 0..3 {
        hold(&client).await.release().await.unwrap();
    }
    assert_eq!(client.exists("lk:l").await.unwrap(), 0);
    assert_eq!(client.command("XLEN").arg(STREAM).send::<i64>().await.unwrap(), 1);
    let ttl: i64 = client.command("PTTL").arg(STREAM).send().await.unwrap();
    let week = 7 * 24 * 60 * 60 * 1000;
    assert!((week - 10_000..=week).contains(&ttl), "{ttl}");
    let tagged = client.lock("a{l}b").fenced();
    tagged.acquire().await.unwrap().release().await.unwrap();
    assert_eq!(client.exists("lk:a{l}b:f").await.unwrap(), 1);
}

async fn fenced_lock_and_plain_one_exclude_each_other(server: &Running) {
    let (ours, theirs) = (server.connect().await, server.connect().await);
    let guard = hold(&ours).await;
    assert!(theirs.lock("l").try_acquire().await.unwrap().is_none());
    guard.release().await.unwrap();
    let plain = theirs.lock("l").acquire().await.unwrap();
    assert!(ours.lock("l").fenced().try_acquire().await.unwrap().is_none());
    plain.release().await.unwrap();
}

async fn key_that_holds_data_is_no_lock_and_no_stream(server: &Running) {
    let client = server.connect().await;
    for key in ["lk:l", STREAM] {
        client.command("LPUSH").arg((key, "data")).send::<()>().await.unwrap();
        let error = client.lock("l").fenced().acquire().await.unwrap_err();
        assert!(error.to_string().contains("holds data that is not a lock"), "{key}: {error}");
        assert_eq!(client.del(key).await.unwrap(), 1);
        assert_eq!(client.exists(["lk:l", STREAM]).await.unwrap(), 0);
    }
}

async fn script_that_the_server_forgot_is_sent_again(server: &Running) {
    let client = server.connect().await;
    // By then, what all holds of a lock have in common is kept.
    for _ in 0..4 {
        hold(&client).await.release().await.unwrap();
    }
    let forget = async || client.command("SCRIPT").arg("FLUSH").send::<()>().await.unwrap();
    let mut tokens = vec![hold(&client).await.token()];
    forget().await;
    let guard = hold(&client).await;
    tokens.push(guard.token());
    let next = client.lock("l").fenced();
    let mut waiting = Box::pin(next.acquire());
    assert!(poll_once(&mut waiting).await.is_pending());
    forget().await;
    drop(guard);
    let guard = waiting.await.unwrap();
    tokens.push(guard.token());
    rise(&tokens);
    forget().await;
    assert!(client.fenced_set("v", guard.token(), "x").await.unwrap());
}

async fn value_refuses_earlier_fences_to_the_last_digit(server: &Running) {
    let client = server.connect().await;
    let set = Script::new(FENCED_SET);
    let write = async |fence: &str, value: &str| -> i64 {
        set.run(&client, "v", (fence, value)).await.unwrap()
    };
    // As numbers with 53 bits the first three are one.
    assert_eq!(write("1876953759744123001", "first").await, 1);
    assert_eq!(write("1876953759744123000", "late").await, 0);
    assert_eq!(write("1876953759744123001", "again").await, 1);
    assert_eq!(write("999", "shorter").await, 0);
    let value: String = client.command("HGET").arg(("v", "value")).send().await.unwrap();
    assert_eq!(value, "again");
    let read: Option<Vec<Option<String>>> =
        Script::new(FENCED_GET).run(&client, "v", "1876953759744123000").await.unwrap();
    assert_eq!(read, None);
    client.command("SET").arg(("w", "text")).send::<()>().await.unwrap();
    let token = hold(&client).await.token();
    let error = client.fenced_set("w", token, "x").await.unwrap_err();
    assert!(error.to_string().contains("WRONGTYPE"), "{error}");
}

async fn reader_keeps_earlier_writers_out(server: &Running) {
    let client = server.connect().await;
    let earlier = hold(&client).await.token();
    let later = hold(&client).await.token();
    assert_eq!(client.fenced_get::<Option<i64>>("v", earlier).await.unwrap(), Some(None));
    assert!(client.fenced_set("v", earlier, 1).await.unwrap());
    assert_eq!(client.fenced_get::<Option<i64>>("v", later).await.unwrap(), Some(Some(1)));
    assert!(!client.fenced_set("v", earlier, 2).await.unwrap());
    assert_eq!(client.fenced_get::<Option<i64>>("v", earlier).await.unwrap(), None);
    assert!(client.fenced_set("v", later, 3).await.unwrap());
    assert!(
        client.fenced_set("v", later, 4).await.unwrap(),
        "one holder writes as often as it likes"
    );
    assert_eq!(client.fenced_get::<i64>("v", later).await.unwrap(), Some(4));
}

async fn single_attempts_and_time_outs_are_those_of_the_lock(server: &Running) {
    let (ours, theirs) = (server.connect().await, server.connect().await);
    let lock = ours.lock("l").fenced();
    assert_eq!(lock.name(), "l");
    let first = lock.try_acquire().await.unwrap().expect("free");
    let patience = Duration::from_millis(50);
    let waiting = theirs.lock("l").fenced();
    assert!(waiting.acquire_for(patience).await.unwrap_err().to_string().contains("held by"));
    let until = tokio::time::Instant::now() + patience;
    assert!(waiting.acquire_until(until).await.is_err());
    let before = first.token();
    first.release().await.unwrap();
    let after = waiting.with(async |guard| guard.token()).await.unwrap();
    assert!(before < after);
}

async fn lock_taken_over_from_an_elder_has_a_fence_too(server: &Running) {
    let client = server.connect().await;
    client.set("job", "1000000000000").await.unwrap();
    let lock = client.lock("job").options(tenure::Options::new().key_prefix("")).fenced();
    let first = lock.acquire_for(Duration::from_secs(5)).await.unwrap();
    let before = first.token();
    first.release().await.unwrap();
    assert!(before < lock.acquire().await.unwrap().token());
    assert!(client.command("PTTL").arg("{job}:f").send::<i64>().await.unwrap() > 0);
}

/// Servers that compare by commands mint by commands where scripts are forbidden.
mod without_scripts {
    use super::{STREAM, hold, rise};
    use crate::support::{Access, Running, User, poll_once};
    use tenure::AcquireError;

    const NO_SCRIPTS: User =
        User { name: "purist", password: "p", denied: &["eval", "evalsha", "script"] };

    const ACCESS: Access = Access::with_user(NO_SCRIPTS);

    on_every_server! {
        fences_rise_all_the_same
        fences_rise_after_everything_was_flushed
        stream_is_no_list
    }

    async fn connect(server: &Running) -> tenure::Client {
        let config = server.config().username(NO_SCRIPTS.name).password(NO_SCRIPTS.password);
        tenure::Client::with_config(config).await.unwrap()
    }

    fn compares(server: &Running) -> bool {
        server.facts().delifeq || server.facts().delex
    }

    async fn fences_rise_all_the_same(server: &Running) {
        let client = connect(server).await;
        if !compares(server) {
            let error = client.lock("l").fenced().acquire().await.unwrap_err();
            assert!(matches!(error, AcquireError::Unsupported { .. }), "{error:?}");
            return;
        }
        let (other, mut tokens) = (connect(server).await, Vec::new());
        for round in 0..20 {
            let (client, other) =
                if round % 2 == 0 { (&client, &other) } else { (&other, &client) };
            let guard = hold(client).await;
            tokens.push(guard.token());
            // One waiter here and one elsewhere: one gets it by a hand-over, the other asks again.
            let (here, there) = (client.lock("l").fenced(), other.lock("l").fenced());
            let (mut next, mut last) = (Box::pin(here.acquire()), Box::pin(there.acquire()));
            assert!(poll_once(&mut next).await.is_pending());
            assert!(poll_once(&mut last).await.is_pending());
            drop(guard);
            let guard = next.await.unwrap();
            tokens.push(guard.token());
            drop(guard);
            let guard = last.await.unwrap();
            tokens.push(guard.token());
            guard.release().await.unwrap();
        }
        rise(&tokens);
        assert_eq!(client.command("XLEN").arg(STREAM).send::<i64>().await.unwrap(), 1);
        assert!(client.command("PTTL").arg(STREAM).send::<i64>().await.unwrap() > 0);
        assert_eq!(client.exists("lk:l").await.unwrap(), 0);
    }

    async fn fences_rise_after_everything_was_flushed(server: &Running) {
        if !compares(server) {
            return;
        }
        let (client, mut tokens) = (connect(server).await, Vec::new());
        for _ in 0..20 {
            let guard = hold(&client).await;
            tokens.push(guard.token());
            drop(guard);
            client.command("FLUSHALL").send::<()>().await.unwrap();
            // What begins and is lost within two milliseconds may repeat itself.
            let begun = tokio::time::Instant::now();
            while begun.elapsed() < std::time::Duration::from_millis(3) {
                client.ping().await.unwrap();
            }
        }
        rise(&tokens);
    }

    async fn stream_is_no_list(server: &Running) {
        if !compares(server) {
            return;
        }
        let client = connect(server).await;
        client.command("LPUSH").arg((STREAM, "data")).send::<()>().await.unwrap();
        let error = client.lock("l").fenced().acquire().await.unwrap_err();
        assert!(error.to_string().contains("WRONGTYPE"), "{error}");
        // The release of what was taken goes before this on the lock connection.
        client.lock("m").acquire().await.unwrap().release().await.unwrap();
        assert_eq!(client.exists("lk:l").await.unwrap(), 0);
    }
}
