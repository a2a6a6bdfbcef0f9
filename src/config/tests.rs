//! Settings out of the environment, and what of them is shown.

use super::*;

#[test]
fn environment_names_the_server_or_says_what_is_missing() {
    let config = Config::from_lookup(|_| Some("redis://h:7".into())).unwrap();
    assert_eq!(config.address, Address::Tcp { host: "h".into(), port: 7 });
    let error = Config::from_lookup(|_| None).unwrap_err();
    assert_eq!(error.to_string(), "REDIS_URL is not set: REDIS_URL=redis://HOST:PORT");
}

#[test]
fn debug_shows_that_there_is_a_password_but_not_which() {
    let config = Config::from_url("redis://u:canary@h").unwrap().username("other");
    let shown = format!("{config:?}");
    assert!(shown.contains("credentials: set") && !shown.contains("canary"), "{shown}");
}
