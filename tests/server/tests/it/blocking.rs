//! Commands that wait, and the pops they are made of: answers measured on Redis 6.2, Redis 7.0 and Valkey 9.1.

use crate::support::Peer;
use std::time::Duration;
use tenure_server::{Fault, Profile, Server};
use tokio::time::sleep;

const MS: Duration = Duration::from_millis(1);
const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

/// Asks, does what another client asks meanwhile, and gives both protocols' answers.
async fn meanwhile(profile: Profile, request: &str, others: &[&str]) -> [String; 2] {
    let mut answers = [String::new(), String::new()];
    for (hello, answer) in ["HELLO 2", "HELLO 3"].into_iter().zip(&mut answers) {
        let server = Server::new(profile);
        let (mut peer, mut other) = (Peer::new(&server), Peer::new(&server));
        peer.ask(hello).await;
        other.ask("XADD s 1-1 f old").await;
        assert_eq!(peer.ask(request).await, "", "{request} waits");
        for line in others {
            other.ask(line).await;
        }
        *answer = peer.hear().await;
    }
    answers
}

fn since_7_0() -> impl Iterator<Item = Profile> {
    Profile::ALL.into_iter().filter(|profile| *profile != Profile::Redis6_2)
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_answered_by_what_others_add() {
    for (request, others, answer) in [
        ("BLPOP k k2 0", &["RPUSH k2 a b"][..], "*2 $2 k2 $1 a"),
        ("BRPOP k k2 0", &["RPUSH k2 a b"], "*2 $2 k2 $1 b"),
        ("BLMOVE k d LEFT RIGHT 0", &["RPUSH k a"], "$1 a"),
        ("BRPOPLPUSH k d 0", &["RPUSH k b"], "$1 b"),
        ("BLPOP k 0", &["SET k v", "DEL k", "RPUSH k a"], "*2 $1 k $1 a"),
        ("BLPOP k 0", &["MULTI", "RPUSH k a b", "LPOP k", "EXEC"], "*2 $1 k $1 b"),
    ] {
        for profile in Profile::ALL {
            let answers = meanwhile(profile, request, others).await;
            assert_eq!(answers, [answer, answer], "{profile:?}: {request}");
        }
    }
    for profile in Profile::ALL {
        let answers = meanwhile(profile, "BZPOPMIN z 0", &["ZADD z 1.5 m 2 n"]).await;
        assert_eq!(answers, ["*3 $1 z $1 m $3 1.5", "*3 $1 z $1 m ,1.5"]);
        let answers = meanwhile(profile, "BZPOPMAX z 0", &["ZADD z 1.5 m 2 n"]).await;
        assert_eq!(answers, ["*3 $1 z $1 n $1 2", "*3 $1 z $1 n ,2"]);
        let answers = meanwhile(profile, "XREAD BLOCK 0 STREAMS s $", &["XADD s 2-1 f v"]).await;
        let entries = "$1 s *1 *2 $3 2-1 *2 $1 f $1 v";
        assert_eq!(answers, [format!("*1 *2 {entries}"), format!("%1 {entries}")]);
    }
    for profile in since_7_0() {
        let many = meanwhile(profile, "BLMPOP 0 2 k m RIGHT COUNT 2", &["RPUSH m a b c"]).await;
        assert_eq!(many, ["*2 $1 m *2 $1 c $1 b"; 2]);
        let many = meanwhile(profile, "BZMPOP 0 1 z MAX COUNT 2", &["ZADD z 1 a 2 b 3 c"]).await;
        assert_eq!(
            many,
            ["*2 $1 z *2 *2 $1 c $1 3 *2 $1 b $1 2", "*2 $1 z *2 *2 $1 c ,3 *2 $1 b ,2"]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_in_vain_gets_a_null_array_when_its_time_is_over() {
    for profile in Profile::ALL {
        for request in [
            "BLPOP k 0.05",
            "BRPOP k 0.05",
            "BLMOVE k d LEFT RIGHT 0.05",
            "BRPOPLPUSH k d 0.05",
            "BZPOPMIN z 0.05",
            "XREAD BLOCK 50 STREAMS s $",
        ] {
            let server = Server::new(profile);
            let mut peer = Peer::new(&server);
            assert_eq!(peer.ask(request).await, "");
            sleep(49 * MS).await;
            assert_eq!(peer.hear().await, "", "{request} is not over yet");
            sleep(2 * MS).await;
            assert_eq!(peer.hear().await, "*-1", "{profile:?}: {request}");
            assert_eq!(peer.ask("PING").await, "+PONG");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_waits_inside_a_transaction() {
    for profile in Profile::ALL {
        let server = Server::new(profile);
        let mut peer = Peer::new(&server);
        for line in ["MULTI", "BLPOP k 0", "WAIT 1 0"] {
            peer.ask(line).await;
        }
        assert_eq!(peer.ask("EXEC").await, "*2 *-1 :0");
    }
}

#[tokio::test(start_paused = true)]
async fn first_who_waits_is_served_first_and_others_go_on_waiting() {
    let server = Server::new(Profile::Valkey9);
    let [mut first, mut second, mut third, mut other] = [(); 4].map(|()| Peer::new(&server));
    for peer in [&mut first, &mut second, &mut third] {
        assert_eq!(peer.ask("BLPOP k 0").await, "");
    }
    drop(second); // one that has gone is passed over
    assert_eq!(first.ask("PING").await, "", "what comes after a wait waits with it");
    assert_eq!(other.ask("RPUSH k a").await, ":1", "counted before it is taken");
    assert_eq!(first.hear().await, "*2 $1 k $1 a +PONG");
    assert_eq!(third.hear().await, "");
    server.set_list("k", "b");
    assert_eq!(third.hear().await, "*2 $1 k $1 b");
    assert_eq!(other.ask("EXISTS k").await, ":0");
}

#[tokio::test(start_paused = true)]
async fn wait_can_be_ended_from_outside() {
    for profile in Profile::ALL {
        let server = Server::new(profile);
        let (mut peer, mut other) = (Peer::new(&server), Peer::new(&server));
        let id = peer.ask("CLIENT ID").await.replace(':', "");
        for (request, answer) in [("BLPOP k 0", "*-1"), ("WAIT 1 0", ":0")] {
            assert_eq!(peer.ask(request).await, "");
            assert_eq!(other.ask(&format!("CLIENT UNBLOCK {id}")).await, ":1");
            assert_eq!(other.ask(&format!("CLIENT UNBLOCK {id} TIMEOUT")).await, ":0");
            assert_eq!(peer.hear().await, answer);
        }
        assert_eq!(peer.ask("BLPOP k 0").await, "");
        other.ask(&format!("CLIENT UNBLOCK {id} ERROR")).await;
        assert_eq!(peer.hear().await, "-UNBLOCKED client unblocked via CLIENT UNBLOCK");
        assert_eq!(
            other.ask("CLIENT UNBLOCK x").await,
            "-ERR value is not an integer or out of range"
        );
        assert_eq!(
            other.ask("CLIENT UNBLOCK 1 FOO").await,
            "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn fault_befalls_the_answer_of_what_has_waited() {
    let server = Server::new(Profile::Redis7_0);
    server.fault(Fault::cut_reply(4).on("BLPOP"));
    let (mut peer, mut other) = (Peer::new(&server), Peer::new(&server));
    assert_eq!(peer.ask("BLPOP k 0").await, "");
    other.ask("RPUSH k a").await;
    assert_eq!(peer.hear().await, "*2 <end>");
}

#[tokio::test(start_paused = true)]
async fn pops_and_refusals_are_those_of_the_profile() {
    for profile in Profile::ALL {
        let server = Server::new(profile);
        let mut peer = Peer::new(&server);
        for (request, answer) in [
            ("LMOVE k d LEFT LEFT", "$-1"),
            ("RPOPLPUSH k d", "$-1"),
            ("ZPOPMIN z", "*0"),
            ("XREAD STREAMS s $", "*-1"),
            ("BLPOP k x", "-ERR timeout is not a float or out of range"),
            ("BLPOP k nan", "-ERR timeout is not a float or out of range"),
            ("BLPOP k -1", "-ERR timeout is negative"),
            ("BLPOP k", "-ERR wrong number of arguments for 'blpop' command"),
            ("BLMOVE k d UP LEFT 0", "-ERR syntax error"),
            ("XREAD BLOCK x STREAMS s $", "-ERR timeout is not an integer or out of range"),
            ("XREAD BLOCK -1 STREAMS s $", "-ERR timeout is negative"),
            ("XREAD STREAMS s", "-ERR wrong number of arguments for 'xread' command"),
            ("XREAD STREAMS s x", "-ERR Invalid stream ID specified as stream command argument"),
            ("RPUSH k a b c", ":3"),
            ("RPOPLPUSH k k", "$1 c"),
            ("LMOVE k d LEFT RIGHT", "$1 c"),
            ("LRANGE k 0 -1", "*2 $1 a $1 b"),
            ("ZADD z 1 a 2 b", ":2"),
            ("ZPOPMIN z", "*2 $1 a $1 1"),
            ("ZPOPMAX z 1", "*2 $1 b $1 2"),
            ("SET text v", "+OK"),
            ("BLPOP none text 0", WRONG_TYPE),
            ("BLMOVE k text LEFT LEFT 0", WRONG_TYPE),
            ("BZPOPMIN k 0", WRONG_TYPE),
            ("XREAD BLOCK 0 STREAMS k $", WRONG_TYPE),
        ] {
            assert_eq!(peer.ask(request).await, answer, "{profile:?}: {request}");
        }
        let too_long = match profile {
            Profile::Valkey9 => "-ERR timeout is out of range",
            _ => "-ERR timeout is negative",
        };
        assert_eq!(peer.ask("BLPOP none 1e300").await, too_long);
        assert_eq!(peer.ask("HELLO 3").await.split(' ').next(), Some("%7"));
        assert_eq!(peer.ask("ZADD z 1 a 2 b").await, ":2");
        assert_eq!(peer.ask("ZPOPMIN z").await, "*2 $1 a ,1");
        assert_eq!(peer.ask("ZPOPMAX z 1").await, "*1 *2 $1 b ,2");
    }
    for profile in since_7_0() {
        let server = Server::new(profile);
        let mut peer = Peer::new(&server);
        for (request, answer) in [
            ("LMPOP 1 k LEFT", "*-1"),
            ("ZMPOP 1 z MIN", "*-1"),
            ("BLMPOP 0 0 k LEFT", "-ERR numkeys should be greater than 0"),
            ("BLMPOP 0 x k LEFT", "-ERR numkeys should be greater than 0"),
            ("BLMPOP 0 1 k UP", "-ERR syntax error"),
            ("BLMPOP 0 2 k LEFT", "-ERR syntax error"),
            ("BLMPOP 0 1 k LEFT COUNT 0", "-ERR count should be greater than 0"),
            ("BLMPOP 0 1 k LEFT COUNT", "-ERR syntax error"),
            ("BZMPOP 0 1 z UP", "-ERR syntax error"),
            ("RPUSH k a b c", ":3"),
            ("LMPOP 1 k RIGHT COUNT 2", "*2 $1 k *2 $1 c $1 b"),
            ("BLMPOP 0 1 k LEFT", "*2 $1 k *1 $1 a"),
        ] {
            assert_eq!(peer.ask(request).await, answer, "{profile:?}: {request}");
        }
    }
    let server = Server::new(Profile::Redis6_2);
    let mut old = Peer::new(&server);
    let answer = old.ask("BLMPOP 0 1 k LEFT").await;
    assert!(answer.starts_with("-ERR unknown command `BLMPOP`"), "{answer}");
}
