//! TLS: what is accepted, and what is refused with words that say what to change. In process over a dialer, and against a real
//! server; the certificates are made for each test.

mod authority;

use authority::{Authority, Identity, acceptor, server_params};

use crate::real::{Kind, RealServer};
use crate::support::eventually;
use rcgen::{ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};
use std::future::{pending, ready};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tenure::client::State;
use tenure::rustls::crypto::{CryptoProvider, aws_lc_rs, ring};
use tenure::{Backoff, Client, Config, Error, ErrorKind, Outcome, ProtocolChoice, Tls};
use tenure_server::{Profile, Server};
use tokio_rustls::TlsAcceptor;

/// The name that the servers of these tests have.
const NAME: &str = "tenure.test";
/// As long as a test waits for a server that says nothing.
const BUDGET: Duration = Duration::from_millis(300);

/// The in-process server behind the TLS that `acceptor` gives for each connection.
fn behind(server: &Server, acceptor: impl Fn() -> TlsAcceptor + Send + Sync + 'static) -> Config {
    let server = server.clone();
    Config::dialer(move || {
        let (near, far) = tokio::io::duplex(4 << 10);
        let (acceptor, server) = (acceptor(), server.clone());
        tokio::spawn(async move {
            if let Ok(stream) = acceptor.accept(far).await {
                server.accept(stream);
            }
        });
        ready(Ok(near))
    })
}

/// The in-process server behind TLS: it shows `identity`, and wants its clients to be known to `clients`, if given.
fn served(server: &Server, identity: &Identity, clients: Option<&Authority>) -> Config {
    let acceptor = acceptor(identity, clients);
    behind(server, move || acceptor.clone())
}

/// Fails unless the connection is refused in this way within a second.
async fn refused(config: Config, kind: ErrorKind, words: &[&str]) -> Error {
    let begun = Instant::now();
    let error = Client::with_config(config).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}: {error}", begun.elapsed());
    assert_eq!((error.kind(), error.outcome()), (kind, Outcome::NotSent), "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "'{word}' is not in: {error}");
    }
    error
}

#[tokio::test]
async fn commands_and_locks_travel_through_tls_with_either_cryptography() {
    let server = Server::new(Profile::Valkey9);
    let authority = Authority::new();
    let config = served(&server, &authority.server(&[NAME]), None);
    let providers: [CryptoProvider; 2] = [ring::default_provider(), aws_lc_rs::default_provider()];
    for provider in providers {
        let tls = authority.tls().provider(Arc::new(provider));
        let client = Client::with_config(config.clone().tls(tls)).await.unwrap();
        // Larger than what the link and the TLS layer hold at a time.
        let large = vec![b'x'; 1 << 20];
        client.set("k", &large).await.unwrap();
        assert_eq!(client.get("k").await.unwrap().unwrap(), large);
        client.lock("l").acquire().await.unwrap().release().await.unwrap();
    }
}

#[tokio::test]
async fn calls_of_many_tasks_all_come_back_through_tls() {
    let server = Server::new(Profile::Valkey9);
    let authority = Authority::new();
    let config = served(&server, &authority.server(&[NAME]), None).tls(authority.tls());
    let client = Client::with_config(config).await.unwrap();
    let calls = (0..200).map(|number| {
        let client = client.clone();
        tokio::spawn(async move {
            let (key, value) = (format!("k{number}"), "v".repeat(number * 10));
            client.set(&key, &value).await.unwrap();
            assert_eq!(client.get(&key).await.unwrap().unwrap(), value);
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
}

#[tokio::test]
async fn client_certificate_lets_the_client_in() {
    let server = Server::new(Profile::Valkey9);
    let authority = Authority::new();
    let Identity { certificate, key } = authority.client();
    let tls = authority.tls().client_certificate_pem(certificate, key.clone());
    let config = served(&server, &authority.server(&[NAME]), Some(&authority)).tls(tls);
    assert!(!format!("{config:?}").contains(&key), "no key is shown");
    Client::with_config(config).await.unwrap().ping().await.unwrap();
}

#[tokio::test]
async fn certificate_of_an_unknown_authority_is_refused() {
    let server = Server::new(Profile::Valkey9);
    let config = served(&server, &Authority::new().server(&[NAME]), None);
    let config = config.tls(Authority::new().tls());
    refused(config, ErrorKind::Handshake, &["UnknownIssuer", "Tls::ca_file", "tls_ca="]).await;
}

#[tokio::test]
async fn certificate_that_nobody_signed_is_refused() {
    let server = Server::new(Profile::Valkey9);
    let key = KeyPair::generate().unwrap();
    let certificate = server_params(&[NAME]).self_signed(&key).unwrap().pem();
    let identity = Identity { certificate, key: key.serialize_pem() };
    let config = served(&server, &identity, None).tls(Authority::new().tls());
    refused(config, ErrorKind::Handshake, &["Tls::ca_file"]).await;
}

#[tokio::test]
async fn certificate_that_has_expired_is_refused() {
    let server = Server::new(Profile::Valkey9);
    let authority = Authority::new();
    let mut params = server_params(&[NAME]);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2021, 1, 1);
    let config = served(&server, &authority.sign(&params), None).tls(authority.tls());
    refused(config, ErrorKind::Handshake, &["expired", "renew the certificate"]).await;
}

#[tokio::test]
async fn certificate_that_is_not_valid_yet_is_refused() {
    let server = Server::new(Profile::Valkey9);
    let authority = Authority::new();
    let mut params = server_params(&[NAME]);
    params.not_before = date_time_ymd(4000, 1, 1);
    let config = served(&server, &authority.sign(&params), None).tls(authority.tls());
    refused(config, ErrorKind::Handshake, &["not valid yet", "clock"]).await;
}

#[tokio::test]
async fn certificate_for_another_name_is_refused() {
    let server = Server::new(Profile::Valkey9);
    let authority = Authority::new();
    let config = served(&server, &authority.server(&["other.test"]), None).tls(authority.tls());
    let words = [NAME, "other.test", "Tls::server_name", "tls_server_name="];
    refused(config, ErrorKind::Handshake, &words).await;
}

#[tokio::test]
async fn certificate_that_is_not_for_servers_is_refused() {
    let server = Server::new(Profile::Valkey9);
    let authority = Authority::new();
    let mut params = server_params(&[NAME]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let config = served(&server, &authority.sign(&params), None).tls(authority.tls());
    refused(config, ErrorKind::Handshake, &["another certificate"]).await;
}

#[tokio::test]
async fn missing_client_certificate_is_asked_for() {
    let server = Server::new(Profile::Valkey9);
    let authority = Authority::new();
    let config = served(&server, &authority.server(&[NAME]), Some(&authority));
    let words = ["client certificate", "Tls::client_certificate_files", "tls_cert="];
    refused(config.tls(authority.tls()), ErrorKind::Handshake, &words).await;
}

#[tokio::test]
async fn client_certificate_of_an_unknown_authority_is_refused() {
    let server = Server::new(Profile::Valkey9);
    let authority = Authority::new();
    let config = served(&server, &authority.server(&[NAME]), Some(&authority));
    let Identity { certificate, key } = Authority::new().client();
    let tls = authority.tls().client_certificate_pem(certificate, key);
    let words = ["does not accept the client certificate"];
    refused(config.tls(tls), ErrorKind::Handshake, &words).await;
}

#[tokio::test]
async fn server_that_does_not_speak_tls_is_recognised() {
    let config = Config::dialer(|| {
        let (near, mut far) = tokio::io::duplex(4 << 10);
        tokio::spawn(async move {
            let _ =
                tokio::io::AsyncWriteExt::write_all(&mut far, b"-ERR unknown command\r\n").await;
            pending::<()>().await;
        });
        ready(Ok(near))
    });
    let words = ["does not speak TLS", "redis://"];
    refused(config.tls(Authority::new().tls()), ErrorKind::Protocol, &words).await;
}

#[tokio::test]
async fn server_that_hangs_up_on_a_tls_handshake_is_named_with_the_likely_cause() {
    let config = Config::dialer(|| ready(Ok(tokio::io::duplex(4 << 10).0)));
    let words = ["ended the TLS handshake", "redis://"];
    refused(config.tls(Authority::new().tls()), ErrorKind::Connect, &words).await;
}

#[tokio::test]
async fn server_that_says_nothing_to_a_tls_handshake_costs_the_budget_only() {
    let server = Server::new(Profile::Valkey9);
    server.freeze();
    let config = Config::dialer(server.dialer()).connect_timeout(BUDGET);
    let words = ["did not answer the TLS handshake", "300ms", "redis://"];
    refused(config.tls(Authority::new().tls()), ErrorKind::Connect, &words).await;
}

#[tokio::test]
async fn settings_that_make_no_sense_are_named() {
    let authority = Authority::new();
    let Identity { certificate, key } = authority.client();
    let other_key = authority.client().key;
    let cases = [
        (
            Tls::new().ca_pem("no PEM").server_name(NAME),
            "the CA, given as text, holds no certificate",
        ),
        (
            Tls::new().ca_file("/no/such/file").server_name(NAME),
            "the CA, /no/such/file, cannot be read",
        ),
        (
            authority.tls().client_certificate_pem(certificate.clone(), "no PEM"),
            "key of the client",
        ),
        (authority.tls().client_certificate_pem(key, certificate.clone()), "client certificate"),
        (authority.tls().client_certificate_pem(certificate, other_key), "do not fit together"),
        (Tls::new().ca_pem(authority.certificate.clone()), "Tls::server_name"),
        (authority.tls().server_name("a name with spaces"), "a name with spaces"),
    ];
    for (tls, words) in cases {
        let server = Server::new(Profile::Valkey9);
        let config = Config::dialer(server.dialer()).tls(tls);
        refused(config, ErrorKind::Config, &[words]).await;
    }
    for (url, words) in [("tls_cert=/c.pem", "tls_key="), ("tls_key=/k.pem", "tls_cert=")] {
        let error = Config::from_url(&format!("rediss://h?{url}")).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn certificate_that_turns_bad_fails_calls_at_once_and_heals() {
    let server = Server::new(Profile::Valkey9);
    let authority = Authority::new();
    let [good, bad] = [NAME, "other.test"].map(|name| acceptor(&authority.server(&[name]), None));
    let current = Arc::new(Mutex::new(good.clone()));
    let config = behind(&server, {
        let current = Arc::clone(&current);
        move || current.lock().unwrap().clone()
    });
    let tick = Duration::from_millis(5);
    let config = config.tls(authority.tls()).reconnect(Backoff::new(tick, 1.0, tick));
    let client = Client::with_config(config).await.unwrap();
    client.ping().await.unwrap();
    *current.lock().unwrap() = bad;
    server.kill_connections();
    eventually("it is refused", async || matches!(client.state(), State::Refused(_))).await;
    let error = client.ping().await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Handshake, Outcome::NotSent));
    *current.lock().unwrap() = good;
    eventually("it healed", async || client.ping().await.is_ok()).await;
}

/// A real server with TLS that takes the name `localhost` and the address 127.0.0.1.
fn real(clients_show_one: bool, lines: &[&str]) -> Option<(RealServer, Authority)> {
    if !RealServer::available() {
        return None;
    }
    let authority = Authority::new();
    let mut options = authority.serves(clients_show_one);
    options.config = lines.iter().map(ToString::to_string).collect();
    Some((RealServer::start(Kind::Redis7_0, options), authority))
}

/// The address of the server, and the query key for the authority that signed its certificate.
fn trusting(server: &RealServer, host: &str) -> String {
    format!("{}?tls_ca={}", server.tls_url(host), server.dir().join("ca-cert").display())
}

#[tokio::test]
async fn url_alone_reaches_a_real_server_through_tls() {
    for lines in [&[][..], &["tls-protocols TLSv1.2"]] {
        let Some((server, _)) = real(false, lines) else { return };
        for host in ["localhost", "127.0.0.1"] {
            for protocol in [ProtocolChoice::Resp2, ProtocolChoice::Resp3] {
                let config = Config::from_url(&trusting(&server, host)).unwrap();
                let client = Client::with_config(config.protocol(protocol)).await.unwrap();
                let large = vec![b'x'; 4 << 20];
                client.set("k", &large).await.unwrap();
                assert_eq!(client.get("k").await.unwrap().unwrap(), large);
                client.lock("l").acquire().await.unwrap().release().await.unwrap();
                let kill = client.command("CLIENT").arg(("KILL", "TYPE", "normal", "SKIPME", "no"));
                let _ = kill.send::<i64>().await;
                eventually("it came back", async || client.ping().await.is_ok()).await;
            }
        }
    }
}

#[tokio::test]
async fn real_server_that_wants_a_client_certificate_gets_it_or_the_error_says_so() {
    for lines in [&[][..], &["tls-protocols TLSv1.2"]] {
        let Some((server, authority)) = real(true, lines) else { return };
        let url = trusting(&server, "localhost");
        // With TLS 1.3 its refusal races with the end of the connection.
        for _ in 0..10 {
            let begun = Instant::now();
            let error = Client::connect(&url).await.unwrap_err();
            assert!(begun.elapsed() < Duration::from_secs(1));
            assert!(matches!(error.kind(), ErrorKind::Handshake | ErrorKind::Connect), "{error}");
            assert!(error.to_string().contains("wants a client certificate"), "{error}");
        }
        let Identity { certificate, key } = authority.client();
        let files = [("client-cert", certificate), ("client-key", key)].map(|(name, pem)| {
            let path = server.dir().join(name);
            std::fs::write(&path, pem).unwrap();
            path.display().to_string()
        });
        let client =
            Client::connect(&format!("{url}&tls_cert={}&tls_key={}", files[0], files[1])).await;
        client.unwrap().ping().await.unwrap();
    }
}

#[tokio::test]
async fn mixing_up_the_ports_of_a_real_server_is_told_within_the_budget() {
    let Some((server, authority)) = real(false, &[]) else { return };
    let (plain, secured) = (server.url(), server.tls_url("localhost"));
    let [to_tls, to_plain] =
        [secured.replace("rediss://", "redis://"), plain.replace("redis://", "rediss://")];
    let config = Config::from_url(&to_tls).unwrap().connect_timeout(BUDGET);
    let begun = Instant::now();
    let error = Client::with_config(config).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert!(error.to_string().contains("TLS"), "{error}");
    // What a client says first is random in part, and a server without TLS answers it or not.
    for _ in 0..8 {
        let config = Config::from_url(&to_plain).unwrap().connect_timeout(BUDGET);
        let begun = Instant::now();
        let error = Client::with_config(config.tls(authority.tls())).await.unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(1));
        assert!(error.to_string().contains("write redis://"), "{error}");
    }
}

#[tokio::test]
async fn name_is_checked_also_where_the_url_says_another() {
    let Some((server, _)) = real(false, &[]) else { return };
    let url = format!("{}&tls_server_name=other.test", trusting(&server, "localhost"));
    let config = Config::from_url(&url).unwrap();
    refused(config, ErrorKind::Handshake, &["other.test", "localhost"]).await;
}

const TRUSTED_URL: &str = "TENURE_TEST_TLS_URL";

/// The body of the child process; on its own it has nothing to do.
#[tokio::test]
async fn child_process_trusts_whom_its_system_trusts() {
    let Ok(url) = std::env::var(TRUSTED_URL) else { return };
    Client::connect(&url).await.unwrap().ping().await.unwrap();
}

#[tokio::test]
async fn system_decides_whom_to_trust_unless_a_ca_is_named() {
    let Some((server, _)) = real(false, &[]) else { return };
    let run = async |ca: &str| {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tls::child_process_trusts_whom_its_system_trusts"])
            .env(TRUSTED_URL, server.tls_url("localhost"))
            .env("SSL_CERT_FILE", server.dir().join(ca))
            .env_remove("SSL_CERT_DIR")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        tokio::task::spawn_blocking(move || child.wait()).await.unwrap().unwrap().success()
    };
    assert!(run("ca-cert").await);
    std::fs::write(server.dir().join("stranger"), Authority::new().certificate).unwrap();
    assert!(!run("stranger").await);
}
