//! Credentials that change, and callbacks that give them.

use crate::real::{Kind, Options, RealServer};
use crate::support::eventually;
use std::error::Error as _;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tenure::client::State;
use tenure::{Backoff, Client, Config, Credentials, ErrorKind, Outcome};
use tenure_server::{Profile, Server};
use tokio::time::{Instant, sleep};

/// A password that can be changed while a client asks for it.
#[derive(Clone)]
struct Vault(Arc<Mutex<&'static str>>);

impl Vault {
    fn new(password: &'static str) -> Self {
        Self(Arc::new(Mutex::new(password)))
    }

    fn put(&self, password: &'static str) {
        *self.0.lock().unwrap() = password;
    }

    /// The settings, with the password asked of this vault each time, and quick to dial again.
    fn guards(&self, config: Config) -> Config {
        let (vault, tick) = (self.0.clone(), Duration::from_millis(10));
        let provide = move || {
            let password = *vault.lock().unwrap();
            async move { Ok::<_, io::Error>(Credentials::password(password)) }
        };
        config.credentials_provider(provide).reconnect(Backoff::new(tick, 1.0, tick))
    }
}

#[tokio::test(start_paused = true)]
async fn provider_is_asked_at_every_handshake_of_every_connection() {
    let server = Server::builder(Profile::Valkey9).password("first").build();
    let vault = Vault::new("first");
    let config = vault.guards(Config::dialer(server.dialer()).password("never used"));
    let client = Client::with_config(config).await.unwrap();
    client.lock("l").acquire().await.unwrap().release().await.unwrap();
    server.set_password(Some("second"));
    vault.put("second");
    server.kill_connections();
    eventually("it came back", async || client.ping().await.is_ok()).await;
    client.lock("l").acquire().await.unwrap().release().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn password_that_was_changed_live_fails_calls_at_once_until_the_provider_knows_it() {
    let server = Server::builder(Profile::Valkey9).password("old").build();
    let vault = Vault::new("old");
    let client = Client::with_config(vault.guards(Config::dialer(server.dialer()))).await.unwrap();
    server.set_password(Some("new"));
    client.ping().await.unwrap(); // who is in stays in
    server.kill_connections();
    eventually("it is refused", async || matches!(client.state(), State::Refused(_))).await;
    let begun = Instant::now();
    let error = client.ping().await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Handshake, Outcome::NotSent));
    assert!(error.to_string().contains("WRONGPASS"), "{error}");
    assert!(!format!("{error:?}").contains("old"), "{error:?}");
    assert_eq!(begun.elapsed(), Duration::ZERO);
    vault.put("new");
    eventually("it healed", async || client.ping().await.is_ok()).await;
}

#[tokio::test(start_paused = true)]
async fn provider_that_fails_is_named_and_asked_again() {
    let server = Server::builder(Profile::Valkey9).password("secret").build();
    let asked = Arc::new(AtomicUsize::new(0));
    let config = Config::dialer(server.dialer()).credentials_provider({
        let asked = Arc::clone(&asked);
        move || {
            let time = asked.fetch_add(1, Ordering::SeqCst);
            async move {
                if time == 1 {
                    return Ok(Credentials::user("default", "secret"));
                }
                Err(format!("the vault is sealed ({time})"))
            }
        }
    });
    let error = Client::with_config(config.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert_eq!(error.to_string(), "the credentials provider failed");
    assert_eq!(error.source().unwrap().to_string(), "the vault is sealed (0)");
    let client = Client::with_config(config).await.unwrap();
    server.kill_connections();
    sleep(Duration::from_secs(10)).await;
    assert!(asked.load(Ordering::SeqCst) > 3, "dialling goes on");
    assert!(client.ping().await.unwrap_err().is_timeout());
}

#[tokio::test(start_paused = true)]
async fn provider_that_never_answers_ends_with_the_connect_budget() {
    let server = Server::new(Profile::Valkey9);
    let provide = || std::future::pending::<Result<Credentials, io::Error>>();
    let config = Config::dialer(server.dialer()).credentials_provider(provide);
    let begun = Instant::now();
    let error = Client::with_config(config).await.unwrap_err();
    assert_eq!((error.kind(), begun.elapsed()), (ErrorKind::Connect, Duration::from_secs(3)));
    assert!(error.to_string().contains("credentials provider"), "{error}");
    assert_eq!(server.connections(), 0);
}

#[tokio::test(start_paused = true)]
async fn user_without_a_password_is_not_taken_for_the_default_user() {
    let server = Server::builder(Profile::Valkey9).build();
    let config = Config::dialer(server.dialer()).username("nobody");
    let error = Client::with_config(config).await.unwrap_err();
    assert!(error.to_string().contains("WRONGPASS"), "{error}");
}

#[tokio::test]
async fn acl_user_whose_password_is_rotated_live_comes_back_on_real_servers() {
    if !RealServer::available() {
        return;
    }
    for kind in Kind::ALL {
        let server = RealServer::start(kind, Options::default());
        let url = server.url();
        let admin = Client::connect(&url).await.unwrap();
        let rotate = async |password: &str| {
            let word = format!(">{password}");
            let rule = ["SETUSER", "clerk", "on", "resetpass", &word, "~*", "+@all"];
            admin.command("ACL").arg(rule).send::<()>().await.unwrap();
            let _: i64 =
                admin.command("CLIENT").arg(("KILL", "USER", "clerk")).send().await.unwrap();
        };
        rotate("first").await;
        let (vault, tick) = (Vault::new("first"), Duration::from_millis(10));
        let current = Arc::clone(&vault.0);
        let config = Config::from_url(&url).unwrap().credentials_provider(move || {
            let password = *current.lock().unwrap();
            async move { Ok::<_, io::Error>(Credentials::user("clerk", password)) }
        });
        let config = config.reconnect(Backoff::new(tick, 1.0, tick));
        let client = Client::with_config(config).await.unwrap();
        client.set("k", 1).await.unwrap();
        rotate("second").await;
        eventually("it is refused", async || matches!(client.state(), State::Refused(_))).await;
        let error = client.ping().await.unwrap_err();
        assert!(error.to_string().contains("WRONGPASS"), "{kind:?}: {error}");
        vault.put("second");
        eventually("it healed", async || client.ping().await.is_ok()).await;
        assert_eq!(client.incr("k").await.unwrap(), 2);
    }
}
