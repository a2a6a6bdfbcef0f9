//! Where ordeals take place: a server, in process or real, the way to it, and what can be done to both.

use crate::load::{Data, Load};
use crate::real::{Kind, Options, RealServer, Signal};
use crate::support::{eventually, is_quiet};
use std::net::SocketAddr;
use std::time::Duration;
use tenure::{Backoff, Client, Config};
use tenure_server::{Link, Profile, Proxy, Server};
use tokio::time::{Instant, sleep};

const MS: Duration = Duration::from_millis(1);
pub(super) const TIMEOUT: Duration = Duration::from_millis(400);
/// The longest wait between two attempts to connect.
pub(super) const CAP: Duration = Duration::from_millis(20);
/// A real server, and the runtime beside it, share a machine that may be busy with other tests.
pub(super) const BUSY: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy)]
pub(super) enum Host {
    Embedded(Profile),
    Real(Kind),
}

pub(super) enum Machine {
    Embedded(Server),
    Real(Box<RealServer>, Proxy),
}

/// A server, and the way to it.
pub(super) struct Arena {
    pub(super) machine: Machine,
    pub(super) link: Link,
    pub(super) password: Option<&'static str>,
}

impl Arena {
    /// `None` where real servers were left out on purpose, which has been said aloud.
    pub(super) async fn new(host: Host, password: Option<&'static str>) -> Option<Self> {
        let link = Link::new();
        let machine = match host {
            Host::Embedded(profile) => {
                let builder = Server::builder(profile);
                let builder =
                    password.into_iter().fold(builder, |builder, word| builder.password(word));
                Machine::Embedded(builder.build())
            }
            Host::Real(_) if !RealServer::available() => return None,
            Host::Real(kind) => {
                let options =
                    Options { password: password.map(str::to_owned), ..Options::default() };
                let server = tokio::task::block_in_place(|| RealServer::start(kind, options));
                let proxy = link.listen(SocketAddr::from(([127, 0, 0, 1], server.port()))).await;
                Machine::Real(Box::new(server), proxy.unwrap())
            }
        };
        Some(Self { machine, link, password })
    }

    /// Settings for a client whose way to the server is the link.
    pub(super) fn config(&self) -> Config {
        let config = match &self.machine {
            Machine::Embedded(server) => Config::dialer(self.link.over(server.dialer())),
            Machine::Real(_, proxy) => {
                Config::from_url(&format!("redis://{}", proxy.address())).unwrap()
            }
        };
        self.password
            .into_iter()
            .fold(config, Config::password)
            .response_timeout(TIMEOUT)
            .connect_timeout(TIMEOUT)
            .keepalive(TIMEOUT / 2)
            .stall_timeout(TIMEOUT / 2)
            .reconnect(Backoff::new(5 * MS, 2.0, CAP))
    }

    pub(super) async fn connect(&self) -> Client {
        let begun = Instant::now();
        loop {
            match Client::with_config(self.config()).await {
                Ok(client) => return client,
                Err(error) => assert!(begun.elapsed() < BUSY, "{error}"),
            }
        }
    }

    /// A client with a way of its own, which knows the password.
    pub(super) async fn operator(&self) -> Client {
        let config = match &self.machine {
            Machine::Embedded(server) => Config::dialer(server.dialer()),
            Machine::Real(server, _) => Config::from_url(&server.url()).unwrap(),
        };
        let config = self.password.into_iter().fold(config, Config::password);
        Client::with_config(config.response_timeout(BUSY)).await.unwrap()
    }

    /// How long a call may take.
    pub(super) fn limit(&self) -> Duration {
        match self.machine {
            Machine::Embedded(_) => TIMEOUT + MS,
            Machine::Real(..) => TIMEOUT + BUSY,
        }
    }

    pub(super) fn work(&self, client: &Client, data: Data) -> Load {
        let pace = match self.machine {
            Machine::Embedded(_) => MS,
            Machine::Real(..) => Duration::ZERO,
        };
        Load::start(client, self.limit(), pace, data)
    }

    pub(super) fn freeze(&self) {
        match &self.machine {
            Machine::Embedded(server) => server.freeze(),
            Machine::Real(server, _) => server.signal(Signal::Stop),
        }
    }

    pub(super) fn thaw(&self) {
        match &self.machine {
            Machine::Embedded(server) => server.thaw(),
            Machine::Real(server, _) => server.signal(Signal::Cont),
        }
    }

    pub(super) fn kill(&mut self) {
        match &mut self.machine {
            Machine::Embedded(server) => {
                server.refuse_connections(true);
                server.restart(None);
            }
            Machine::Real(server, _) => tokio::task::block_in_place(|| server.kill()),
        }
    }

    pub(super) fn start_again(&mut self) {
        match &mut self.machine {
            Machine::Embedded(server) => server.refuse_connections(false),
            Machine::Real(server, _) => tokio::task::block_in_place(|| server.restart()),
        }
    }

    /// The fault has ended: calls work again soon, and nothing is left of those before.
    pub(super) async fn recovers(&self, client: &Client) {
        let healed = Instant::now();
        let limit = match self.machine {
            Machine::Embedded(_) => CAP + Duration::from_secs(1),
            Machine::Real(..) => CAP + BUSY,
        };
        while let Err(error) = client.ping().await {
            assert!(healed.elapsed() <= limit, "{error}");
            sleep(MS).await;
        }
        eventually("counters are zero", async || is_quiet(client)).await;
    }
}
