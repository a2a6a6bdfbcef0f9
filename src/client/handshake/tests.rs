//! Handshakes, answered as servers do and as none should: when a connection is ready, and what is said where it never is.

use super::*;
use crate::client::canary::words;
use bytes::Bytes;

fn bulk(text: &str) -> Frame {
    Frame::bulk(Bytes::copy_from_slice(text.as_bytes()))
}

fn error(text: &str) -> Frame {
    Frame::Error(Bytes::copy_from_slice(text.as_bytes()).into())
}

fn hello(version: &str, proto: i64) -> Frame {
    let pair = |key: &str, value| (bulk(key), value);
    Frame::Map(vec![
        pair("server", bulk("redis")),
        pair("version", bulk(version)),
        pair("proto", Frame::Integer(proto)),
    ])
}

fn start(config: &Config, setup: Vec<Vec<Vec<u8>>>) -> (Handshake<'_>, BytesMut) {
    Handshake::start(config, &config.credentials, setup, words(7, 0))
}

fn pong() -> Frame {
    Frame::bulk(Bytes::copy_from_slice(&words(7, 0)))
}

fn config(url: &str) -> Config {
    Config::from_url(url).unwrap().client_name("")
}

fn sent(step: &Step) -> String {
    match step {
        Step::Send(bytes) => String::from_utf8_lossy(bytes).replace("\r\n", " "),
        other => format!("{other:?}"),
    }
}

#[test]
fn hello_carries_credentials_and_name_in_one_command() {
    let config = Config::from_url("redis://u:p@h").unwrap().client_name("me");
    let (_, bytes) = start(&config, Vec::new());
    let text = String::from_utf8_lossy(&bytes).replace("\r\n", " ");
    assert_eq!(text, "*7 $5 HELLO $1 3 $4 AUTH $1 u $1 p $7 SETNAME $2 me ");
}

#[test]
fn plain_server_is_ready_once_it_shows_that_it_answers() {
    let config = config("redis://h");
    let (mut handshake, _) = start(&config, Vec::new());
    let step = handshake.on_reply(hello("7.0.15", 3)).unwrap();
    assert_eq!(sent(&step), "*2 $4 PING $39 canary:00000000000000070000000000000000 ");
    let Step::Ready(session) = handshake.on_reply(pong()).unwrap() else { panic!("not ready") };
    assert_eq!(session.version, (7, 0));
    assert_eq!(session.protocol, Protocol::Resp3);
}

#[test]
fn unknown_hello_falls_back_to_resp2_with_auth_and_select() {
    let config = config("redis://:p@h/2");
    let (mut handshake, _) = start(&config, Vec::new());
    let step = handshake.on_reply(error("ERR unknown command `HELLO`")).unwrap();
    assert_eq!(sent(&step), "*2 $4 AUTH $1 p ");
    let step = handshake.on_reply(Frame::Simple("OK".into())).unwrap();
    assert_eq!(
        sent(&step),
        "*2 $6 SELECT $1 2 *2 $4 PING $39 canary:00000000000000070000000000000000 "
    );
    assert!(matches!(handshake.on_reply(Frame::Simple("OK".into())), Ok(Step::Wait)));
    assert!(matches!(
        handshake.on_reply(pong()).unwrap(),
        Step::Ready(Session { protocol: Protocol::Resp2, .. })
    ));
}

#[test]
fn refused_credentials_never_fall_back_and_never_show_the_password() {
    let config = config("redis://u:canary@h");
    for said in [
        "WRONGPASS invalid username-password pair or user is disabled.",
        "NOAUTH HELLO must be called with the client already authenticated",
        "ERR something with 'canary' in it",
    ] {
        let (mut handshake, _) = start(&config, Vec::new());
        let refusal = handshake.on_reply(error(said)).unwrap_err();
        assert_eq!(refusal.kind(), ErrorKind::Handshake);
        assert!(!format!("{refusal} {refusal:?}").contains("canary"), "{refusal}");
    }
}

#[test]
fn setup_replies_are_kept_in_order_even_when_refused() {
    let config = config("redis://h/1");
    let setup = vec![vec![b"A".to_vec()], vec![b"B".to_vec()]];
    let (mut handshake, _) = start(&config, setup);
    assert_eq!(
        sent(&handshake.on_reply(hello("7.0.0", 3)).unwrap()),
        "*2 $6 SELECT $1 1 *1 $1 A *1 $1 B *2 $4 PING $39 canary:00000000000000070000000000000000 "
    );
    assert!(matches!(handshake.on_reply(Frame::Simple("OK".into())), Ok(Step::Wait)));
    assert!(matches!(handshake.on_reply(error("NOPERM no")), Ok(Step::Wait)));
    assert!(matches!(handshake.on_reply(Frame::Integer(1)), Ok(Step::Wait)));
    let Ok(Step::Ready(session)) = handshake.on_reply(pong()) else { panic!("not ready") };
    assert_eq!(session.setup, [error("NOPERM no"), Frame::Integer(1)]);
}

#[test]
fn wrong_database_is_refused_with_the_servers_words() {
    let config = config("redis://h/99");
    let (mut handshake, _) = start(&config, Vec::new());
    handshake.on_reply(hello("7.0.0", 3)).unwrap();
    let refusal = handshake.on_reply(error("ERR DB index is out of range")).unwrap_err();
    assert!(refusal.to_string().contains("DB index is out of range"), "{refusal}");
}

#[test]
fn answer_that_names_no_protocol_is_not_the_one_to_hello() {
    let config = config("redis://h");
    let other_map = Frame::Map(vec![(bulk("field"), bulk("value"))]);
    for answer in [Frame::Simple("OK".into()), Frame::Null, other_map] {
        let (mut handshake, _) = start(&config, Vec::new());
        let refusal = handshake.on_reply(answer).unwrap_err();
        assert_eq!(refusal.kind(), ErrorKind::Protocol);
    }
}

#[test]
fn answers_that_are_shifted_by_one_never_make_a_connection() {
    let config = config("redis://h/1");
    for answer in [Frame::Simple("OK".into()), bulk("others"), hello("7.0.0", 3)] {
        let (mut handshake, _) = start(&config, Vec::new());
        handshake.on_reply(hello("7.0.0", 3)).unwrap();
        handshake.on_reply(Frame::Simple("OK".into())).unwrap();
        assert_eq!(handshake.on_reply(answer).unwrap_err().kind(), ErrorKind::Protocol);
    }
}

#[test]
fn server_that_loads_its_data_is_not_ready_and_one_that_forbids_ping_is() {
    let config = config("redis://h");
    let ping = |answer| {
        let (mut handshake, _) = start(&config, Vec::new());
        handshake.on_reply(hello("7.0.15", 3)).unwrap();
        handshake.on_reply(answer)
    };
    let refusal = ping(error("LOADING Redis is loading the dataset in memory")).unwrap_err();
    assert!(refusal.is_transient(), "{refusal}");
    assert!(matches!(ping(error("NOPERM no permissions to run ping")), Ok(Step::Ready(_))));
}

#[test]
fn server_that_became_ready_within_a_handshake_is_asked_everything_again() {
    let config = config("redis://h");
    let asked = |answer| {
        let (mut handshake, _) = start(&config, vec![vec![b"SCRIPT".to_vec()]]);
        handshake.on_reply(hello("7.0.15", 3)).unwrap();
        handshake.on_reply(answer)
    };
    for state in ["LOADING data", "BUSY running a script", "MASTERDOWN no link"] {
        let refusal = asked(error(state)).unwrap_err();
        assert!(refusal.is_transient(), "{refusal}");
    }
    assert!(matches!(asked(error("NOPERM no scripts")), Ok(Step::Wait)));
}
