//! URLs as they are written, with every mistake that is told by its part; and that no password is told with it.

use super::*;

fn tcp_at(host: &str, port: u16) -> Parts {
    Parts::at(Address::Tcp { host: host.to_owned(), port })
}

#[test]
fn plain_urls_name_host_port_and_database() {
    assert_eq!(parse("redis://h").unwrap(), tcp_at("h", 6379));
    assert_eq!(parse("VALKEY://h:1/").unwrap(), tcp_at("h", 1));
    assert_eq!(parse("redis://[::1]:7/3").unwrap(), Parts { db: Some(3), ..tcp_at("::1", 7) });
    assert_eq!(parse("redis://[fe80::1%25eth0]").unwrap(), tcp_at("fe80::1%eth0", 6379));
    assert_eq!(parse("redis://h/3?db=3").unwrap().db, Some(3));
}

#[test]
fn passwords_that_end_up_elsewhere_are_not_repeated() {
    for url in [
        "redis://billing:hunter2",
        "redis://billing:hun?ter2@10.0.0.7",
        "redis://billing:12?hunter2@10.0.0.7",
    ] {
        let error = parse(url).unwrap_err().to_string();
        assert!(!error.contains("hun") && !error.contains("ter2"), "{error}");
    }
}

#[test]
fn credentials_keep_raw_at_signs_and_colons() {
    let parts = parse("redis://user:p@ss:w@rd@h").unwrap();
    assert_eq!(parts.username.as_deref(), Some("user"));
    assert_eq!(parts.password.as_deref(), Some("p@ss:w@rd"));
    let parts = parse("redis://:a%2Fb%23%25@h").unwrap();
    assert_eq!((parts.username, parts.password.as_deref()), (None, Some("a/b#%")));
    let parts = parse("redis://user@h").unwrap();
    assert_eq!((parts.username.as_deref(), parts.password), (Some("user"), None));
}

#[test]
fn unix_sockets_take_credentials_and_database_from_the_query() {
    let parts = parse("redis+unix:///run/r.sock?db=2&user=u&pass=p%40").unwrap();
    assert_eq!(parts.address, Address::Unix { path: "/run/r.sock".into() });
    assert_eq!(parts.db, Some(2));
    assert_eq!(parts.username.as_deref(), Some("u"));
    assert_eq!(parts.password.as_deref(), Some("p@"));
}

#[test]
fn tls_schemes_take_files_and_a_name_from_the_query() {
    let bare = Parts { tls: Some(TlsParts::default()), ..tcp_at("h", 6379) };
    assert_eq!(parse("valkeys://h").unwrap(), bare);
    let url = "rediss://h?tls_ca=/ca.pem&tls_cert=/c.pem&tls_key=/k%20.pem&tls_server_name=n";
    let tls = parse(url).unwrap().tls.unwrap();
    assert_eq!((tls.ca, tls.cert), (Some("/ca.pem".into()), Some("/c.pem".into())));
    assert_eq!((tls.key, tls.server_name), (Some("/k .pem".into()), Some("n".into())));
}

#[test]
fn query_sets_times_name_and_protocol() {
    let url = "redis://h?connect_timeout=2s&response_timeout=250ms&keepalive=1m&client_name=me&protocol=2";
    let parts = parse(url).unwrap();
    assert_eq!(parts.connect_timeout, Some(Duration::from_secs(2)));
    assert_eq!(parts.response_timeout, Some(Duration::from_millis(250)));
    assert_eq!(parts.keepalive, Some(Duration::from_secs(60)));
    assert_eq!(parts.client_name.as_deref(), Some("me"));
    assert_eq!(parts.protocol, Some(ProtocolChoice::Resp2));
}

#[test]
fn bad_parts_are_named_with_the_nearest_valid_one() {
    let cases = [
        ("localhost:6379", "no scheme"),
        ("redsi://h", "did you mean 'redis'"),
        ("http://h", "unknown scheme 'http'"),
        ("rediss://h?tls_c=x", "did you mean 'tls_ca'"),
        ("rediss://h?tls_insecure=1", "unknown query key"),
        ("redis://h?tls_ca=/x", "rediss://"),
        ("unix:///x?tls_ca=/x", "rediss://"),
        ("redis://", "no host"),
        ("redis://h:0", "port '0'"),
        ("redis://h:65536", "port '65536'"),
        ("redis://h:+1", "the port is not a number"),
        ("redis://h:", "port ''"),
        ("redis://::1", "brackets"),
        ("redis://[::1", "closing ']'"),
        ("redis://[::1]x", "behind ']'"),
        ("redis://h/x", "database 'x'"),
        ("redis://h/1?db=2", "different databases"),
        ("redis://h?conect_timeout=2s", "did you mean 'connect_timeout'"),
        ("redis://h?connect_timeout=2", "not a duration"),
        ("redis://h?connect_timeout=0s", "not a duration"),
        ("redis://h?protocol=4", "unknown protocol '4'"),
        ("redis://h?user=u", "unix sockets"),
        ("redis://h#x", "%23"),
        ("redis://u:p/q@h", "%2F"),
        ("redis://u:%zz@h", "password has a '%'"),
        ("redis://bücher", "not ASCII"),
        ("unix://relative", "absolute path"),
    ];
    for (url, part) in cases {
        let error = parse(url).unwrap_err().to_string();
        assert!(error.contains(part), "{url}: {error}");
    }
}

#[test]
fn no_error_repeats_the_password() {
    for url in ["redis://u:sekrit@h:x", "redis://u:sekrit%@h", "redis://u:sekrit/@h"] {
        let error = parse(url).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("sekrit"), "{url}: {error}");
    }
}
