//! Where the server has a command that compares and deletes, and does not let the user run it: rights that were given when only
//! scripts could do that. They are what is used then, and that is found out once.

use crate::support::{Access, Running, User};
use tenure::{Client, Config, Options, Wakeup};
use tenure_server::{Fault, Profile, Server};

const OLD_HAND: User = User { name: "old", password: "p", denied: &["delifeq", "delex"] };

const ACCESS: Access = Access::with_user(OLD_HAND);

on_every_server! {
    del_if_equal_falls_back_on_a_script_once
    lock_is_released_by_a_script_and_so_is_the_next
    hold_is_ended_by_force_with_a_script
}

async fn connect(server: &Running) -> Client {
    let config = server.config().username(OLD_HAND.name).password(OLD_HAND.password);
    Client::with_config(config).await.unwrap()
}

async fn del_if_equal_falls_back_on_a_script_once(server: &Running) {
    let client = connect(server).await;
    let deleted = async || {
        let before = client.stats().commands;
        client.set("k", "v").await.unwrap();
        assert!(!client.del_if_equal("k", "other").await.unwrap());
        assert!(client.del_if_equal("k", "v").await.unwrap());
        client.stats().commands - before
    };
    assert_eq!(deleted().await, 6, "both commands and the script's digest besides");
    assert_eq!(deleted().await, 3);
}

async fn lock_is_released_by_a_script_and_so_is_the_next(server: &Running) {
    let client = connect(server).await;
    for wakeup in [Wakeup::Track, Wakeup::Announce] {
        let lock = client.lock("l").options(Options::new().wakeup(wakeup));
        for _ in 0..3 {
            lock.acquire().await.unwrap().release().await.unwrap();
            assert_eq!(client.exists("lk:l").await.unwrap(), 0);
        }
    }
    let Running::Embedded { server, .. } = server else { return };
    server.clear_log();
    client.lock("l").acquire().await.unwrap().release().await.unwrap();
    let asked = asked(server);
    assert_eq!(asked.last().map(String::as_str), Some("EVALSHA"));
    assert!(asked.iter().all(|name| !OLD_HAND.denied.contains(&&*name.to_lowercase())));
}

async fn hold_is_ended_by_force_with_a_script(server: &Running) {
    let (client, holder) = (connect(server).await, server.connect().await);
    let guard = holder.lock("l").acquire().await.unwrap();
    let seen = client.lock("l").inspect().await.unwrap().unwrap();
    assert!(client.lock("l").force_release(&seen).await.unwrap());
    assert!(!client.lock("l").force_release(&seen).await.unwrap());
    assert_eq!(client.exists("lk:l").await.unwrap(), 0);
    drop(guard);
}

fn asked(server: &Server) -> Vec<String> {
    server.log().iter().map(tenure_server::Logged::name).collect()
}

#[tokio::test]
async fn right_that_is_missing_for_one_key_says_nothing_of_the_command() {
    let server = Server::new(Profile::Valkey9);
    let client = Client::with_config(Config::dialer(server.dialer())).await.unwrap();
    server.fault(Fault::error("NOPERM No permissions to access a key").on("DELIFEQ").times(1));
    let error = client.del_if_equal("theirs", "v").await.unwrap_err();
    assert_eq!(error.server().unwrap().code(), "NOPERM");
    server.clear_log();
    assert!(!client.del_if_equal("ours", "v").await.unwrap());
    assert_eq!(asked(&server), ["DELIFEQ"]);
}

#[tokio::test]
async fn user_who_may_run_nothing_is_told_so_until_something_is_allowed() {
    let server = Server::new(Profile::Valkey9);
    let client = Client::with_config(Config::dialer(server.dialer())).await.unwrap();
    let refused = |command: &str| {
        let words = format!("NOPERM User u has no permissions to run the '{command}' command");
        server.fault(Fault::error(&words).on(command))
    };
    let (command, _scripts) = (refused("DELIFEQ"), ["EVALSHA", "EVAL"].map(refused));
    for _ in 0..2 {
        let error = client.del_if_equal("k", "v").await.unwrap_err();
        assert_eq!(error.server().unwrap().code(), "NOPERM");
    }
    command.remove();
    server.clear_log();
    assert!(!client.del_if_equal("k", "v").await.unwrap());
    assert_eq!(asked(&server), ["DELIFEQ"]);
}

#[tokio::test]
async fn script_that_may_not_do_its_work_is_not_all_there_ever_is() {
    let server = Server::new(Profile::Valkey9);
    let client = Client::with_config(Config::dialer(server.dialer())).await.unwrap();
    let refused = |command: &str, words: &str| server.fault(Fault::error(words).on(command));
    for words in [
        "ERR ACL failure in script: User u has no permissions to run the 'get' command",
        "ERR The user executing the script can't run this command or subcommand script: @user_script:1",
    ] {
        let no_right = "NOPERM User u has no permissions to run the 'delifeq' command";
        let command = refused("DELIFEQ", no_right);
        let scripts = ["EVALSHA", "EVAL"].map(|name| refused(name, words));
        let error = client.del_if_equal("k", "v").await.unwrap_err();
        assert_eq!(error.server().unwrap().code(), "ERR");
        let guard = client.lock("l").acquire().await.unwrap();
        guard.release().await.unwrap_err();
        command.remove();
        scripts.iter().for_each(tenure_server::FaultRule::remove);
        server.clear_log();
        assert!(!client.del_if_equal("k", "v").await.unwrap());
        server.del("lk:l");
        client.lock("l").acquire().await.unwrap().release().await.unwrap();
        let asked = asked(&server);
        assert!(!asked.iter().any(|name| name.starts_with("EVAL")), "{words}: {asked:?}");
    }
}
