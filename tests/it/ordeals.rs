//! What servers go through in their lives, with callers at work: the same on the in-process server, on a paused clock, and on
//! real ones, with a fault proxy in front.

mod arena;

use crate::load::{Data, Load};
use crate::real::Kind;
use crate::support::eventually;
use arena::{Arena, BUSY, CAP, Host, Machine, TIMEOUT};
use std::time::Duration;
use tenure::client::State;
use tenure::{Client, ErrorKind, Outcome, Script};
use tenure_server::{Ending, Flaw, Profile, Way};
use tokio::time::{Instant, interval, sleep};

const MS: Duration = Duration::from_millis(1);
const RELEASE: &str = include_str!("../../src/lock/scripts/release.lua");

/// Makes a test of each ordeal on the in-process server and on real ones.
macro_rules! on_every_machine {
    ($($ordeal:ident)*) => {
        mod embedded {
            use super::{Host, Profile};
            $(
                #[tokio::test(start_paused = true)]
                async fn $ordeal() {
                    super::$ordeal(Host::Embedded(Profile::Valkey9)).await;
                }
            )*
        }
        on_every_machine!(@real redis_7_0, Redis7_0, $($ordeal)*);
        on_every_machine!(@real valkey_9_1, Valkey9_1, $($ordeal)*);
    };
    (@real $machine:ident, $kind:ident, $($ordeal:ident)*) => {
        mod $machine {
            use super::{Host, Kind};
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $ordeal() {
                    super::$ordeal(Host::Real(Kind::$kind)).await;
                }
            )*
        }
    };
}

on_every_machine! {
    power_cut_and_restart
    frozen_process
    clients_killed_every_50_ms
    paused_clients
    room_for_one_client
    password_changed_live
    more_output_than_allowed
    scripts_forgotten
    black_holes
    cut_at_many_bytes
    drip_of_one_byte
    stray_and_lost_replies
    damaged_and_doubled_replies
}

async fn power_cut_and_restart(host: Host) {
    let Some(mut arena) = Arena::new(host, None).await else { return };
    let client = arena.connect().await;
    let load = arena.work(&client, Data::Lost);
    for _ in 0..2 {
        load.flows(100).await;
        arena.kill();
        eventually("noticed", async || !matches!(client.state(), State::Ready)).await;
        sleep(TIMEOUT).await;
        arena.start_again();
        arena.recovers_under(&load).await;
    }
    let tally = load.stop().await;
    assert!(tally.unknown + tally.not_sent > 0 && tally.refused == 0, "{tally:?}");
    arena.recovers(&client).await;
}

impl Arena {
    async fn recovers_under(&self, load: &Load) {
        let healed = Instant::now();
        load.flows(1).await;
        if let Machine::Embedded(_) = self.machine {
            assert!(healed.elapsed() <= CAP + Duration::from_secs(1), "{:?}", healed.elapsed());
        }
    }
}

async fn frozen_process(host: Host) {
    let Some(arena) = Arena::new(host, None).await else { return };
    let client = arena.connect().await;
    let load = arena.work(&client, Data::Kept);
    load.flows(100).await;
    arena.freeze();
    let frozen = Instant::now();
    eventually("noticed", async || !matches!(client.state(), State::Ready)).await;
    if let Machine::Embedded(_) = arena.machine {
        assert!(frozen.elapsed() <= TIMEOUT + 2 * MS, "{:?}", frozen.elapsed());
    }
    let dialled = arena.link.dialled();
    eventually("asked again and again", async || arena.link.dialled() > dialled + 1).await;
    arena.thaw();
    arena.recovers_under(&load).await;
    let tally = load.stop().await;
    assert!(tally.unknown > 0 && tally.refused == 0, "{tally:?}");
    arena.recovers(&client).await;
}

async fn clients_killed_every_50_ms(host: Host) {
    let Some(arena) = Arena::new(host, None).await else { return };
    let (client, operator) = (arena.connect().await, arena.operator().await);
    let load = arena.work(&client, Data::Kept);
    let mut ticks = interval(50 * MS);
    let mut killed = 0;
    for _ in 0..20 {
        ticks.tick().await;
        let kill = operator.command("CLIENT").arg(("KILL", "TYPE", "normal", "SKIPME", "yes"));
        killed += kill.send::<u64>().await.unwrap();
        load.flows(1).await;
    }
    assert!(killed >= 10, "{killed}: each time it was there");
    let tally = load.stop().await;
    assert_eq!(tally.refused, 0, "{tally:?}");
    arena.recovers(&client).await;
}

async fn paused_clients(host: Host) {
    let Some(arena) = Arena::new(host, None).await else { return };
    let (client, operator) = (arena.connect().await, arena.operator().await);
    let load = arena.work(&client, Data::Kept);
    // Shorter than a silence may be, and longer than a call may take.
    for pause in [TIMEOUT / 4, 3 * TIMEOUT] {
        load.flows(100).await;
        let paused = u64::try_from(pause.as_millis()).unwrap();
        operator.command("CLIENT").arg(("PAUSE", paused)).send::<()>().await.unwrap();
        sleep(pause).await;
        arena.recovers_under(&load).await;
    }
    let tally = load.stop().await;
    assert_eq!(tally.refused, 0, "{tally:?}");
    arena.recovers(&client).await;
}

async fn room_for_one_client(host: Host) {
    let Some(arena) = Arena::new(host, None).await else { return };
    let client = arena.connect().await;
    client.command("CONFIG").arg(("SET", "maxclients", 1)).send::<()>().await.unwrap();
    let load = arena.work(&client, Data::Kept);
    for _ in 0..3 {
        let error = Client::with_config(arena.config()).await.unwrap_err();
        assert!(error.to_string().contains("max number of clients reached"), "{error}");
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Handshake, Outcome::NotSent));
        load.flows(10).await;
    }
    let tally = load.stop().await;
    assert_eq!((tally.not_sent, tally.refused, tally.unknown), (0, 0, 0), "{tally:?}");
    // Whoever comes back first gets the place; the other one gets it later.
    arena.link.cut(Ending::Reset);
    arena.recovers(&client).await;
}

async fn password_changed_live(host: Host) {
    let Some(arena) = Arena::new(host, Some("old")).await else { return };
    let (client, operator) = (arena.connect().await, arena.operator().await);
    let load = arena.work(&client, Data::Kept);
    load.flows(100).await;
    let set = |word: &'static str| operator.command("CONFIG").arg(("SET", "requirepass", word));
    set("new").send::<()>().await.unwrap();
    load.flows(10).await; // a connection that was let in stays
    arena.link.cut(Ending::Reset);
    eventually("refused", async || matches!(client.state(), State::Refused(_))).await;
    let begun = Instant::now();
    let error = client.ping().await.unwrap_err();
    assert!(begun.elapsed() < TIMEOUT, "at once");
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Handshake, Outcome::NotSent));
    assert!(error.to_string().contains("WRONGPASS"), "{error}");
    set("old").send::<()>().await.unwrap();
    arena.recovers_under(&load).await;
    let tally = load.stop().await;
    assert!(tally.not_sent > 0 && tally.refused == 0, "{tally:?}");
    arena.recovers(&client).await;
}

async fn more_output_than_allowed(host: Host) {
    let Some(arena) = Arena::new(host, None).await else { return };
    let (client, operator) = (arena.connect().await, arena.operator().await);
    // A list, because a server may send a long string without a copy, which it then does not count.
    for _ in 0..50 {
        let many = vec!["x".repeat(100); 1_000];
        operator.command("RPUSH").arg("large").arg(&many[..]).send::<u64>().await.unwrap();
    }
    let large = ("large", 0, -1);
    let limit = ("SET", "client-output-buffer-limit", "normal 1mb 0 0");
    operator.command("CONFIG").arg(limit).send::<()>().await.unwrap();
    let load = arena.work(&client, Data::Kept);
    for _ in 0..3 {
        load.flows(50).await;
        let read = client.command("LRANGE").arg(large).timeout(BUSY);
        let error = read.send::<Vec<String>>().await.unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::Disconnected, Outcome::Unknown),
            "{error}"
        );
    }
    let tally = load.stop().await;
    assert_eq!(tally.refused, 0, "{tally:?}");
    arena.recovers(&client).await;
    // What is allowed again is read again.
    let unlimited = ("SET", "client-output-buffer-limit", "normal 0 0 0");
    operator.command("CONFIG").arg(unlimited).send::<()>().await.unwrap();
    let read = client.command("LRANGE").arg(large).timeout(BUSY).send::<Vec<String>>().await;
    assert_eq!(read.unwrap().len(), 50_000);
}

async fn scripts_forgotten(host: Host) {
    let Some(arena) = Arena::new(host, None).await else { return };
    let (client, operator) = (arena.connect().await, arena.operator().await);
    let script = Script::new(RELEASE);
    for round in 0..10 {
        operator.set("k", round).await.unwrap();
        assert_eq!(script.run::<i64>(&client, "k", round + 1).await.unwrap(), 0);
        let guard = client.lock("l").acquire().await.unwrap();
        operator.command("SCRIPT").arg("FLUSH").send::<()>().await.unwrap();
        guard.release().await.unwrap();
        operator.command("SCRIPT").arg("FLUSH").send::<()>().await.unwrap();
        assert_eq!(script.run::<i64>(&client, "k", round).await.unwrap(), 1);
    }
    assert_eq!(operator.exists(["k", "lk:l"]).await.unwrap(), 0);
    arena.recovers(&client).await;
}

async fn black_holes(host: Host) {
    let Some(arena) = Arena::new(host, None).await else { return };
    let client = arena.connect().await;
    let load = arena.work(&client, Data::Kept);
    for ways in [&[Way::ToServer][..], &[Way::ToClient], &[Way::ToServer, Way::ToClient]] {
        load.flows(100).await;
        let dialled = arena.link.dialled();
        ways.iter().for_each(|way| arena.link.hold(*way));
        eventually("given up, and tried in vain", async || arena.link.dialled() > dialled + 1)
            .await;
        ways.iter().for_each(|way| arena.link.release(*way));
        arena.recovers_under(&load).await;
    }
    let tally = load.stop().await;
    assert!(tally.unknown > 0 && tally.refused == 0, "{tally:?}");
    arena.recovers(&client).await;
}

async fn cut_at_many_bytes(host: Host) {
    let Some(arena) = Arena::new(host, None).await else { return };
    for ending in [Ending::Reset, Ending::Close, Ending::Silence] {
        let client = arena.connect().await;
        let load = arena.work(&client, Data::Kept);
        for way in [Way::ToServer, Way::ToClient] {
            for after in (0..400).step_by(if ending == Ending::Silence { 97 } else { 13 }) {
                arena.link.flaw(Flaw::cut(way, ending).after(after));
                eventually("cut", async || arena.link.flaws_left() == 0).await;
                load.flows(20).await;
            }
        }
        let tally = load.stop().await;
        assert_eq!(tally.refused, 0, "{ending:?}: {tally:?}");
        arena.link.reap();
        arena.recovers(&client).await;
    }
}

async fn drip_of_one_byte(host: Host) {
    let Some(arena) = Arena::new(host, None).await else { return };
    let client = arena.connect().await;
    let load = arena.work(&client, Data::Kept);
    for way in [Way::ToServer, Way::ToClient] {
        load.flows(50).await;
        arena.link.drip(way, 1, MS);
        sleep(TIMEOUT).await;
        arena.link.heal();
        arena.recovers_under(&load).await;
    }
    let tally = load.stop().await;
    assert_eq!(tally.refused, 0, "{tally:?}");
    arena.recovers(&client).await;
}

async fn stray_and_lost_replies(host: Host) {
    let Some(arena) = Arena::new(host, None).await else { return };
    let client = arena.connect().await;
    for number in 0..10 {
        let words = format!("own {number}");
        let dialled = arena.link.dialled();
        if number % 2 == 0 {
            arena.link.flaw(Flaw::insert(Way::ToClient, "$5\r\nstray\r\n"));
        } else {
            let reply = format!("${}\r\n{words}\r\n", words.len());
            arena.link.flaw(Flaw::lose(Way::ToClient, reply.len()));
            let lost = client.command("ECHO").arg(&words).send::<String>().await.unwrap_err();
            assert_eq!(lost.outcome(), Outcome::Unknown, "{lost}");
        }
        eventually("the connection was replaced", async || arena.link.dialled() > dialled).await;
        arena.recovers(&client).await;
        let echoed = client.command("ECHO").arg(&words).send::<String>().await;
        assert_eq!(echoed.unwrap(), words);
    }
}

async fn damaged_and_doubled_replies(host: Host) {
    let Some(arena) = Arena::new(host, None).await else { return };
    let client = arena.connect().await;
    let words = "words";
    let reply = format!("${}\r\n{words}\r\n", words.len());
    for (after, bit) in
        (0..reply.len() as u64).flat_map(|after| [(after, 0), (after, 3), (after, 7)])
    {
        arena.link.flaw(Flaw::flip(Way::ToClient, 1 << bit).after(after));
        match client.command("ECHO").arg(words).send::<Vec<u8>>().await {
            // Nobody can tell a value, or a type, that was changed on its way.
            Ok(echoed) => {
                let wrong = echoed.iter().zip(words.as_bytes()).filter(|(one, other)| one != other);
                let own = echoed.len() == words.len() && wrong.count() <= 1;
                assert!(own || after == 0, "byte {after}, bit {bit}: {echoed:?}");
            }
            Err(error) => {
                let said = error.kind() == ErrorKind::Server; // what the changed byte says
                assert!(
                    said || error.outcome() == Outcome::Unknown,
                    "byte {after}, bit {bit}: {error}"
                );
            }
        }
        arena.recovers(&client).await;
    }
    for _ in 0..5 {
        arena.link.flaw(Flaw::insert(Way::ToClient, reply.clone()).after(reply.len() as u64));
        let dialled = arena.link.dialled();
        if let Ok(echoed) = client.command("ECHO").arg(words).send::<String>().await {
            assert_eq!(echoed, words);
        }
        eventually("the connection was replaced", async || arena.link.dialled() > dialled).await;
        arena.recovers(&client).await;
    }
}
