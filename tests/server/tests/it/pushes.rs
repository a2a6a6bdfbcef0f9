//! What is sent without being asked for: invalidations and messages, and when.

use crate::support::Peer;
use std::time::Duration;
use tenure_server::{Profile, Server};

const LOST: &str = ">2 $10 invalidate *1 $1 k";
const FLUSHED: &str = ">2 $10 invalidate _";

async fn tracker(server: &Server) -> Peer {
    let mut peer = Peer::resp3(server).await;
    assert_eq!(peer.ask("CLIENT TRACKING ON NOLOOP").await, "+OK");
    peer
}

#[tokio::test(start_paused = true)]
async fn a_read_arms_one_push_and_a_refused_set_arms_none() {
    for profile in Profile::ALL {
        let server = Server::new(profile);
        let (mut peer, mut other) = (tracker(&server).await, Peer::new(&server));
        assert_eq!(peer.ask("PTTL k").await, ":-2");
        other.ask("SET k v").await;
        assert_eq!(peer.hear().await, LOST, "a missing key is armed too");
        other.ask("DEL k").await;
        assert_eq!(peer.hear().await, "", "armed once");
        other.ask("SET k v").await;
        peer.ask("SET k w NX GET").await;
        other.ask("DEL k").await;
        assert_eq!(peer.hear().await, "", "GET inside SET does not arm");
    }
}

#[tokio::test(start_paused = true)]
async fn only_what_changes_the_key_uses_the_arming_up() {
    for profile in Profile::ALL {
        let server = Server::new(profile);
        let (mut peer, mut other) = (tracker(&server).await, Peer::new(&server));
        other.ask("SET k v").await;
        for (change, pushes) in [
            ("SET k w NX", false),
            ("DELIFEQ k other", false),
            ("GET k", false),
            ("PEXPIRE k 5000", true),
            ("SET k x", true),
            ("UNLINK k", true),
        ] {
            peer.ask("PTTL k").await;
            other.ask(change).await;
            let heard = peer.hear().await;
            assert_eq!(heard, if pushes { LOST } else { "" }, "{profile:?}: {change}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_own_write_pushes_nothing_and_disarms() {
    for profile in Profile::ALL {
        let server = Server::new(profile);
        let (mut peer, mut other) = (tracker(&server).await, Peer::new(&server));
        peer.ask("PTTL k").await;
        assert_eq!(peer.ask("SET k mine").await, "+OK");
        other.ask("DEL k").await;
        assert_eq!(peer.hear().await, "");
        peer.ask("SET k mine").await;
        peer.ask("PTTL k").await;
        other.ask("DEL k").await;
        assert_eq!(peer.hear().await, LOST);
    }
}

#[tokio::test(start_paused = true)]
async fn up_to_6_2_an_own_write_in_a_script_pushes_before_the_reply() {
    let release = include_str!("../../../../src/lock/scripts/release.lua");
    for profile in Profile::ALL {
        let server = Server::new(profile);
        let mut peer = tracker(&server).await;
        peer.ask("SET k v").await;
        peer.ask("PTTL k").await;
        let answer = peer.ask_words(&["EVAL", release, "1", "k", "v"]).await;
        let pushed = profile == Profile::Redis6_2;
        assert_eq!(answer, if pushed { format!("{LOST} :1") } else { ":1".to_owned() });
    }
}

#[tokio::test(start_paused = true)]
async fn a_flush_is_told_to_everybody_who_tracks() {
    for profile in Profile::ALL {
        let server = Server::new(profile);
        let (mut peer, mut other) = (tracker(&server).await, Peer::new(&server));
        other.ask("FLUSHDB").await;
        assert_eq!(peer.hear().await, FLUSHED);
        server.flush();
        assert_eq!(peer.hear().await, FLUSHED);
        let own = peer.ask("FLUSHALL").await;
        let before = format!("{FLUSHED} +OK");
        let after = format!("+OK {FLUSHED}");
        assert_eq!(own, if profile == Profile::Redis6_2 { before } else { after });
        other.ask("SWAPDB 0 1").await;
        assert_eq!(peer.hear().await, "");
    }
}

#[tokio::test(start_paused = true)]
async fn resp2_accepts_tracking_and_delivers_nothing() {
    for profile in Profile::ALL {
        let server = Server::new(profile);
        let (mut peer, mut other) = (Peer::new(&server), Peer::new(&server));
        assert_eq!(peer.ask("CLIENT TRACKING ON NOLOOP").await, "+OK");
        peer.ask("PTTL k").await;
        other.ask("SET k v").await;
        assert_eq!(peer.hear().await, "");
    }
}

#[tokio::test(start_paused = true)]
async fn an_expiry_pushes_late_but_within_a_tick() {
    for profile in Profile::ALL {
        let server = Server::new(profile);
        let mut peer = tracker(&server).await;
        server.set_for("k", "v", Duration::from_millis(1050));
        assert_eq!(peer.ask("PTTL k").await, ":1050");
        tokio::time::sleep(Duration::from_millis(1060)).await;
        assert_eq!(peer.hear().await, "", "expired, and not noticed yet");
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(peer.hear().await, LOST);
    }
}

#[tokio::test(start_paused = true)]
async fn a_moved_clock_expires_keys_and_tells_who_tracks_them() {
    let server = Server::new(Profile::Valkey9);
    let mut peer = tracker(&server).await;
    server.set_for("k", "v", Duration::from_secs(60));
    peer.ask("PTTL k").await;
    server.advance(Duration::from_secs(61));
    assert_eq!(server.get("k"), None);
    assert_eq!(peer.hear().await, LOST);
}

#[tokio::test(start_paused = true)]
async fn an_own_message_comes_before_the_reply_up_to_7_0_and_after_it_since() {
    for profile in Profile::ALL {
        let server = Server::new(profile);
        let mut peer = Peer::resp3(&server).await;
        assert_eq!(peer.ask("SUBSCRIBE c").await, ">3 $9 subscribe $1 c :1");
        let message = ">3 $7 message $1 c $1 x";
        let before = matches!(profile, Profile::Redis6_2 | Profile::Redis7_0);
        let want = if before { format!("{message} :1") } else { format!(":1 {message}") };
        assert_eq!(peer.ask("PUBLISH c x").await, want, "{profile:?}");
        for line in ["MULTI", "PUBLISH c x", "PING"] {
            peer.ask(line).await;
        }
        let inside = format!("*2 {message} :1 +PONG");
        let behind = format!("*2 :1 +PONG {message}");
        assert_eq!(peer.ask("EXEC").await, if before { inside } else { behind }, "{profile:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn patterns_and_shards_hear_what_they_asked_for() {
    let server = Server::new(Profile::Redis7_0);
    let (mut peer, mut other) = (Peer::new(&server), Peer::new(&server));
    peer.ask("PSUBSCRIBE a*").await;
    peer.ask("SSUBSCRIBE s").await;
    assert_eq!(other.ask("PUBLISH abc x").await, ":1");
    assert_eq!(other.ask("SPUBLISH s y").await, ":1");
    assert_eq!(other.ask("PUBLISH s y").await, ":0");
    let heard = peer.hear().await;
    assert_eq!(heard, "*4 $8 pmessage $2 a* $3 abc $1 x *3 $8 smessage $1 s $1 y");
    let refused = peer.ask("GET k").await;
    assert!(refused.starts_with("-ERR Can't execute 'get': only (P|S)SUBSCRIBE"), "{refused}");
}
