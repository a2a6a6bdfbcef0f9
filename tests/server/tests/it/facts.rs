//! What each profile answers, word for word: the table of measured facts.

use crate::support::Peer;
use tenure_server::{AclRules, Profile, Server};

const SYNTAX: &str = "-ERR syntax error";
const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
const OOM: &str = "-OOM command not allowed when used memory > 'maxmemory'.";

/// One request after some others, and the answers of Redis 6.2, 7.0, 8.4 and Valkey 9.
struct Row {
    before: &'static [&'static str],
    request: &'static str,
    answers: [&'static str; 4],
}

fn same(before: &'static [&'static str], request: &'static str, answer: &'static str) -> Row {
    Row { before, request, answers: [answer; 4] }
}

fn row(
    before: &'static [&'static str],
    request: &'static str,
    old: &'static str,
    others: [&'static str; 3],
) -> Row {
    let [r70, r84, valkey] = others;
    Row { before, request, answers: [old, r70, r84, valkey] }
}

async fn check(rows: Vec<Row>) {
    for row in rows {
        for (profile, answer) in Profile::ALL.into_iter().zip(row.answers) {
            let server = Server::new(profile);
            let mut peer = Peer::new(&server);
            for line in row.before {
                peer.ask(line).await;
            }
            let got = peer.ask(row.request).await;
            assert_eq!(got, answer, "{profile:?}: {} after {:?}", row.request, row.before);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn set_options_are_those_of_the_profile() {
    const HELD: &[&str] = &["SET k v PX 5000"];
    const LIST: &[&str] = &["LPUSH k a"];
    check(vec![
        row(&[], "SET k v NX PX 100 GET", SYNTAX, ["$-1"; 3]),
        row(HELD, "SET k w NX PX 100 GET", SYNTAX, ["$1 v"; 3]),
        row(LIST, "SET k w NX PX 100 GET", SYNTAX, [WRONG_TYPE; 3]),
        same(LIST, "SET k w NX", "$-1"),
        same(HELD, "SET k w XX", "+OK"),
        same(&[], "SET k w XX", "$-1"),
        row(HELD, "SET k w IFEQ v PX 100", SYNTAX, [SYNTAX, "+OK", "+OK"]),
        row(HELD, "SET k w IFEQ x PX 100", SYNTAX, [SYNTAX, "$-1", "$-1"]),
        row(&[], "SET k w IFEQ v", SYNTAX, [SYNTAX, "$-1", "$-1"]),
        row(LIST, "SET k w IFEQ v", SYNTAX, [SYNTAX, WRONG_TYPE, WRONG_TYPE]),
        row(HELD, "SET k w IFEQ v GET", SYNTAX, [SYNTAX, "$1 v", "$1 v"]),
        row(HELD, "SET k w IFEQ x GET", SYNTAX, [SYNTAX, "$1 v", "$1 v"]),
        same(HELD, "SET k w IFEQ v NX", SYNTAX),
        same(HELD, "SET k w EX 1 KEEPTTL", SYNTAX),
        row(
            &[],
            "SET k v PX 0",
            "-ERR invalid expire time in set",
            ["-ERR invalid expire time in 'set' command"; 3],
        ),
        same(&[], "SET k v PX x", "-ERR value is not an integer or out of range"),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_set_leaves_value_and_ttl_alone() {
    for profile in [Profile::Redis7_0, Profile::Redis8_4, Profile::Valkey9] {
        let server = Server::new(profile);
        let mut peer = Peer::new(&server);
        peer.ask("SET k v PX 5000").await;
        peer.ask("SET k w NX PX 9000 GET").await;
        assert_eq!(peer.ask("PTTL k").await, ":5000");
        assert_eq!(peer.ask("GET k").await, "$1 v");
    }
}

#[tokio::test(start_paused = true)]
async fn native_compare_and_delete_is_there_where_the_server_has_it() {
    const HELD: &[&str] = &["SET k v"];
    const NO_DELIFEQ: [&str; 2] = [
        "-ERR unknown command `DELIFEQ`, with args beginning with: `k`, `v`,",
        "-ERR unknown command 'DELIFEQ', with args beginning with: 'k' 'v'",
    ];
    const NO_DELEX: [&str; 2] = [
        "-ERR unknown command `DELEX`, with args beginning with: `k`, `IFEQ`, `v`,",
        "-ERR unknown command 'DELEX', with args beginning with: 'k' 'IFEQ' 'v'",
    ];
    let [old, new] = NO_DELIFEQ;
    let [old_ex, new_ex] = NO_DELEX;
    check(vec![
        row(HELD, "DELIFEQ k v", old, [new, new, ":1"]),
        row(&["SET k w"], "DELIFEQ k v", old, [new, new, ":0"]),
        row(&[], "DELIFEQ k v", old, [new, new, ":0"]),
        row(&["LPUSH k a"], "DELIFEQ k v", old, [new, new, WRONG_TYPE]),
        row(HELD, "DELEX k IFEQ v", old_ex, [new_ex, ":1", new_ex]),
        row(&["SET k w"], "DELEX k IFEQ v", old_ex, [new_ex, ":0", new_ex]),
        row(&["LPUSH k a"], "DELEX k IFEQ v", old_ex, [new_ex, WRONG_TYPE, new_ex]),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_unknown_or_miscounted_is_refused_in_the_servers_words() {
    check(vec![
        row(
            &[],
            "FOO",
            "-ERR unknown command `FOO`, with args beginning with:",
            ["-ERR unknown command 'FOO', with args beginning with:"; 3],
        ),
        same(&[], "GET", "-ERR wrong number of arguments for 'get' command"),
        row(
            &[],
            "CLIENT FOO",
            "-ERR Unknown subcommand or wrong number of arguments for 'FOO'. Try CLIENT HELP.",
            ["-ERR unknown subcommand 'FOO'. Try CLIENT HELP."; 3],
        ),
        row(
            &[],
            "CLIENT KILL",
            SYNTAX,
            ["-ERR wrong number of arguments for 'client|kill' command"; 3],
        ),
        row(
            &[],
            "EVALSHA abc 0",
            "-NOSCRIPT No matching script. Please use EVAL.",
            [
                "-NOSCRIPT No matching script. Please use EVAL.",
                "-NOSCRIPT No matching script. Please use EVAL.",
                "-NOSCRIPT No matching script.",
            ],
        ),
        same(&[], "EXEC", "-ERR EXEC without MULTI"),
        same(&["SET k a"], "INCR k", "-ERR value is not an integer or out of range"),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn waiting_for_replicas_that_do_not_exist_ends_with_none() {
    let missing = [
        "-ERR unknown command `WAITAOF`, with args beginning with: `0`, `0`, `0`,",
        "-ERR unknown command 'WAITAOF', with args beginning with: '0' '0' '0'",
    ];
    check(vec![
        same(&[], "WAIT 0 100", ":0"),
        row(&[], "WAITAOF 0 0 0", missing[0], [missing[1], "*2 :0 :0", "*2 :0 :0"]),
    ])
    .await;
    let no_aof = "-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.";
    let server = Server::new(Profile::Valkey9);
    let mut peer = Peer::new(&server);
    assert_eq!(peer.ask("WAITAOF 1 0 0").await, no_aof);
    // Without a replica the time-out passes, and so long the connection's other requests wait.
    peer.send("WAIT 1 100").await;
    assert_eq!(peer.ask("PING").await, "");
    tokio::time::advance(std::time::Duration::from_millis(101)).await;
    assert_eq!(peer.hear().await, ":0 +PONG");
}

#[tokio::test(start_paused = true)]
async fn command_info_has_seven_elements_up_to_6_2_and_ten_from_7_0() {
    for (profile, elements) in Profile::ALL.into_iter().zip([7, 10, 10, 10]) {
        let server = Server::new(profile);
        let mut peer = Peer::resp3(&server).await;
        let entry = peer.ask("COMMAND INFO GET").await;
        assert!(
            entry.starts_with(&format!("*1 *{elements} $3 get :2 ~2 +readonly +fast")),
            "{entry}"
        );
        let entries = peer.ask("COMMAND INFO DELIFEQ DELEX SPUBLISH").await;
        let known = |name: &str| entries.contains(name);
        assert_eq!(known("delifeq"), profile == Profile::Valkey9, "{profile:?}");
        assert_eq!(known("delex"), profile == Profile::Redis8_4, "{profile:?}");
        assert_eq!(known("spublish"), profile != Profile::Redis6_2, "{profile:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn hello_says_who_it_is_and_refuses_what_it_does_not_speak() {
    for (profile, name) in Profile::ALL.into_iter().zip(["redis", "redis", "redis", "valkey"]) {
        let server = Server::new(profile);
        let mut peer = Peer::new(&server);
        let text = "-NOPROTO unsupported protocol version";
        assert_eq!(peer.ask("HELLO 4").await, text);
        let text = "-ERR Protocol version is not an integer or out of range";
        assert_eq!(peer.ask("HELLO x").await, text);
        let hello = peer.ask("HELLO 3").await;
        let start = format!("%7 $6 server ${} {name} $7 version", name.len());
        assert!(hello.starts_with(&start), "{hello}");
        let info = peer.ask("CLIENT INFO").await;
        assert!(info.starts_with('=') && info.contains("txt:id=1 addr="), "{info}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_password_is_asked_for_and_checked() {
    for profile in Profile::ALL {
        let server = Server::builder(profile).password("secret").build();
        let mut peer = Peer::new(&server);
        assert_eq!(peer.ask("GET k").await, "-NOAUTH Authentication required.");
        let hello = peer.ask("HELLO 3").await;
        assert!(hello.starts_with("-NOAUTH HELLO must be called with the client"), "{hello}");
        let wrong = "-WRONGPASS invalid username-password pair or user is disabled.";
        assert_eq!(peer.ask("HELLO 3 AUTH default wrong").await, wrong);
        assert_eq!(peer.ask("AUTH wrong").await, wrong);
        let hello = peer.ask("HELLO 3 AUTH default secret SETNAME me").await;
        assert!(hello.starts_with("%7"), "{hello}");
        assert_eq!(peer.ask("CLIENT GETNAME").await, "$2 me");
    }
}

#[tokio::test(start_paused = true)]
async fn a_user_may_run_what_the_rules_say() {
    let texts = [
        "-NOPERM this user has no permissions to run the 'client' command or its subcommand",
        "-NOPERM this user has no permissions to run the 'client|kill' command",
        "-NOPERM User u has no permissions to run the 'client|kill' command",
        "-NOPERM User u has no permissions to run the 'client|kill' command",
    ];
    for (profile, text) in Profile::ALL.into_iter().zip(texts) {
        let rules = AclRules::all().deny("client|kill");
        let server = Server::builder(profile).user("u", "p", rules).build();
        let mut peer = Peer::new(&server);
        assert_eq!(peer.ask("AUTH u p").await, "+OK");
        assert_eq!(peer.ask("CLIENT KILL ID 9").await, text, "{profile:?}");
        assert_eq!(peer.ask("CLIENT ID").await, ":1");
    }
}

#[tokio::test(start_paused = true)]
async fn without_memory_only_what_frees_it_works() {
    const FULL: &[&str] = &["SET k v", "CONFIG SET maxmemory 1"];
    const QUEUED: &[&str] = &["SET k v", "CONFIG SET maxmemory 1", "MULTI"];
    const ENDED: &[&str] = &["SET k v", "CONFIG SET maxmemory 1", "MULTI", "PEXPIRE k 100"];
    let aborted = "-EXECABORT Transaction discarded because of previous errors.";
    check(vec![
        same(FULL, "SET a b", OOM),
        same(FULL, "SET k v IFEQ v", OOM),
        same(FULL, "XADD s * a b", OOM),
        same(FULL, "INCR n", OOM),
        same(FULL, "PEXPIRE k 100", ":1"),
        same(FULL, "DEL k", ":1"),
        same(FULL, "PUBLISH c x", ":0"),
        row(QUEUED, "PEXPIRE k 100", OOM, [OOM, OOM, "+QUEUED"]),
        row(ENDED, "EXEC", aborted, [aborted, aborted, "*1 :1"]),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_transaction_tells_each_outcome_in_its_place() {
    let server = Server::new(Profile::Redis6_2);
    let mut peer = Peer::new(&server);
    for line in ["MULTI", "SET k v NX PX 1000 GET", "XADD f 5-1 t V", "EXEC"] {
        let answer = peer.ask(line).await;
        if line == "EXEC" {
            assert_eq!(answer, "*2 -ERR syntax error $3 5-1");
        }
    }
    for profile in [Profile::Redis7_0, Profile::Redis8_4, Profile::Valkey9] {
        let server = Server::new(profile);
        let mut peer = Peer::new(&server);
        for (held, id, outcome) in [(false, "5-1", "$-1"), (true, "6-1", "$1 v")] {
            assert_eq!(peer.ask("MULTI").await, "+OK");
            assert_eq!(peer.ask("SET k v NX PX 1000 GET").await, "+QUEUED");
            assert_eq!(peer.ask(&format!("XADD f {id} t V")).await, "+QUEUED");
            assert_eq!(peer.ask("EXEC").await, format!("*2 {outcome} $3 {id}"), "held: {held}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_watched_key_that_changes_breaks_the_transaction() {
    for profile in Profile::ALL {
        let server = Server::new(profile);
        let (mut peer, mut other) = (Peer::new(&server), Peer::new(&server));
        peer.ask("WATCH k").await;
        other.ask("SET k v").await;
        peer.ask("MULTI").await;
        peer.ask("GET k").await;
        assert_eq!(peer.ask("EXEC").await, "*-1");
        peer.ask("MULTI").await;
        peer.ask("GET k").await;
        assert_eq!(peer.ask("EXEC").await, "*1 $1 v");
    }
}

#[tokio::test(start_paused = true)]
async fn the_locks_scripts_run_and_no_others() {
    let release = include_str!("../../../../src/lock/scripts/release.lua");
    for profile in Profile::ALL {
        let server = Server::new(profile);
        let mut peer = Peer::new(&server);
        let refused = peer.ask_words(&["EVAL", "return 1", "0"]).await;
        assert!(refused.starts_with("-ERR this server runs no Lua"), "{refused}");
        server.set("k", "v");
        assert_eq!(peer.ask_words(&["EVAL", release, "1", "k", "other"]).await, ":0");
        let loaded = peer.ask_words(&["SCRIPT", "LOAD", release]).await;
        let digest = loaded.strip_prefix("$40 ").unwrap().to_owned();
        assert_eq!(peer.ask(&format!("EVALSHA {digest} 1 k v")).await, ":1");
        assert_eq!(server.get("k"), None);
        server.script_flush();
        let gone = peer.ask(&format!("EVALSHA {digest} 1 k v")).await;
        assert!(gone.starts_with("-NOSCRIPT"), "{gone}");
        server.set_list("k", "a");
        let answer = peer.ask_words(&["EVAL", release, "1", "k", "v"]).await;
        assert!(answer.contains("WRONGTYPE"), "{answer}");
        assert_eq!(answer.starts_with("-WRONGTYPE"), profile != Profile::Redis6_2, "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn killing_by_id_and_address_spares_everybody_else() {
    for profile in Profile::ALL {
        let server = Server::new(profile);
        let (mut killer, mut victim) = (Peer::new(&server), Peer::new(&server));
        let info = victim.ask("CLIENT INFO").await;
        let part = |name: &str| {
            let found = info.split(' ').find_map(|part| part.strip_prefix(name));
            found.unwrap().to_owned()
        };
        let (id, addr) = (part("id="), part("addr="));
        assert_eq!(killer.ask(&format!("CLIENT KILL ID {id} ADDR 1.2.3.4:5")).await, ":0");
        assert_eq!(killer.ask(&format!("CLIENT KILL ID 99 ADDR {addr}")).await, ":0");
        assert_eq!(killer.ask("CLIENT KILL ID 1").await, ":0", "oneself is spared");
        assert_eq!(killer.ask(&format!("CLIENT KILL ID {id} ADDR {addr}")).await, ":1");
        assert_eq!(killer.ask(&format!("CLIENT KILL ID {id} ADDR {addr}")).await, ":0");
        assert_eq!(victim.hear().await, "<end>");
        assert_eq!(killer.ask("CLIENT KILL ID 1 SKIPME no").await, ":1 <end>");
    }
}
