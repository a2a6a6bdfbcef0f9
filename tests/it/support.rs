//! Servers, clients and small tools that the tests share.

use crate::real::{self, Kind, RealServer};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tenure::{Client, Config};
use tenure_server::{AclRules, Profile, Server};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A server that a contract test runs on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    Embedded(Profile),
    EmbeddedTcp(Profile),
    Real(Kind),
    RealUnix(Kind),
}

/// Who may do what on a server under test.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Access {
    /// `requirepass`.
    pub(crate) password: Option<&'static str>,
    /// A user with every right but these commands.
    pub(crate) user: Option<User>,
}

impl Access {
    /// Everybody may do everything.
    pub(crate) const OPEN: Self = Self { password: None, user: None };

    pub(crate) const fn with_password(password: &'static str) -> Self {
        Self { password: Some(password), user: None }
    }

    pub(crate) const fn with_user(user: User) -> Self {
        Self { password: None, user: Some(user) }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct User {
    pub(crate) name: &'static str,
    pub(crate) password: &'static str,
    pub(crate) denied: &'static [&'static str],
}

/// What a server under test can do, beyond what all can.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    pub(crate) version: &'static str,
    /// `SET … NX … GET`
    pub(crate) set_nx_get: bool,
    /// `SET … IFEQ`
    pub(crate) set_ifeq: bool,
    pub(crate) delifeq: bool,
    pub(crate) delex: bool,
}

/// A server under test that runs.
pub(crate) enum Running {
    Embedded { server: Server, profile: Profile, tcp: Option<String> },
    Real { server: Box<RealServer>, kind: Kind },
}

impl Target {
    /// Starts the server; `None` where real servers were left out on purpose, which has been said aloud.
    pub(crate) async fn start(self, access: Access) -> Option<Running> {
        match self {
            Self::Embedded(profile) => {
                Some(Running::Embedded { server: embedded(profile, &access), profile, tcp: None })
            }
            Self::EmbeddedTcp(profile) => {
                let server = embedded(profile, &access);
                let address = server.listen_tcp().await.unwrap();
                let tcp = Some(format!("redis://{address}"));
                Some(Running::Embedded { server, profile, tcp })
            }
            Self::Real(kind) => start_real(kind, false, &access),
            Self::RealUnix(kind) => start_real(kind, true, &access),
        }
    }
}

fn embedded(profile: Profile, access: &Access) -> Server {
    let mut builder = Server::builder(profile);
    if let Some(password) = access.password {
        builder = builder.password(password);
    }
    if let Some(User { name, password, denied }) = access.user {
        let rules = denied.iter().fold(AclRules::all(), |rules, command| rules.deny(command));
        builder = builder.user(name, password, rules);
    }
    builder.build()
}

fn start_real(kind: Kind, unix: bool, access: &Access) -> Option<Running> {
    if !RealServer::available() {
        return None;
    }
    let mut options = real::Options { unix_socket: unix, ..real::Options::default() };
    options.password = access.password.map(str::to_owned);
    if let Some(User { name, password, denied }) = access.user {
        let denied = denied.iter().filter(|command| kind.has(command));
        let denied: Vec<_> = denied.map(|command| format!("-{command}")).collect();
        let rules = format!("user {name} on >{password} ~* &* +@all {}", denied.join(" "));
        options.config.push(rules);
    }
    Some(Running::Real { server: Box::new(RealServer::start(kind, options)), kind })
}

impl Running {
    /// Settings that reach the server, without credentials.
    pub(crate) fn config(&self) -> Config {
        match self {
            Self::Embedded { server, tcp: None, .. } => Config::dialer(server.dialer()),
            Self::Embedded { tcp: Some(url), .. } => Config::from_url(url).unwrap(),
            Self::Real { server, .. } => Config::from_url(&server.url()).unwrap(),
        }
    }

    /// A client of its own.
    pub(crate) async fn connect(&self) -> Client {
        Client::with_config(self.config()).await.unwrap()
    }

    pub(crate) fn facts(&self) -> Facts {
        let modern = |version, ifeq: bool, delifeq, delex| Facts {
            version,
            set_nx_get: true,
            set_ifeq: ifeq,
            delifeq,
            delex,
        };
        let old = Facts { set_nx_get: false, ..modern("6.2", false, false, false) };
        match self {
            Self::Embedded { profile: Profile::Redis6_2, .. }
            | Self::Real { kind: Kind::Redis6_2, .. } => old,
            Self::Embedded { profile: Profile::Redis7_0, .. }
            | Self::Real { kind: Kind::Redis7_0, .. } => modern("7.0", false, false, false),
            Self::Embedded { profile: Profile::Redis8_4, .. } => modern("8.4", true, false, true),
            Self::Embedded { .. } | Self::Real { .. } => modern("9.", true, true, false),
        }
    }
}

/// Polls a future once.
pub(crate) async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx))).await
}

/// Whether nothing is left of the client's calls: no reply is owed, no byte is queued or counted.
pub(crate) fn is_quiet(client: &Client) -> bool {
    format!("{client:?}").contains("unanswered: 0, queued_bytes: 0")
}

/// Waits until `condition` holds; fails after ten seconds.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let until = tokio::time::Instant::now() + Duration::from_secs(10);
    while !condition().await {
        assert!(tokio::time::Instant::now() < until, "not within 10 s: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Counts the writes of the connections that are dialled through it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counting {
    writes: Arc<AtomicUsize>,
}

impl Counting {
    /// Settings for a client of `server` whose writes are counted.
    pub(crate) fn config(&self, server: &Server) -> Config {
        let (dial, writes) = (server.dialer(), Arc::clone(&self.writes));
        Config::dialer(move || {
            let (dialled, writes) = (dial(), Arc::clone(&writes));
            async move { Ok(Counted { stream: dialled.await?, writes }) }
        })
    }

    pub(crate) fn writes(&self) -> usize {
        self.writes.load(Ordering::SeqCst)
    }
}

struct Counted<S> {
    stream: S,
    writes: Arc<AtomicUsize>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
