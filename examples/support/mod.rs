//! What the examples share: a server to talk to, and a prefix of their own for every key.

use tenure::{Client, Config, Error, Options};
use tenure_server::{Profile, Server};

/// The server named by `REDIS_URL`, or one inside this process.
pub(crate) struct Backend {
    embedded: Option<Server>,
    prefix: String,
}

impl Backend {
    pub(crate) fn from_env() -> Self {
        let embedded = match std::env::var_os("REDIS_URL") {
            Some(_) => None,
            None => Some(Server::new(Profile::Valkey9)),
        };
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let prefix = format!("example:{}:{}:", std::process::id(), now.as_nanos());
        Self { embedded, prefix }
    }

    /// A client of its own, with its own connections.
    #[allow(dead_code, reason = "one example does without a runtime")]
    pub(crate) async fn connect(&self) -> Result<Client, Error> {
        Client::with_config(self.config()?).await
    }

    /// What reaches the server.
    pub(crate) fn config(&self) -> Result<Config, Error> {
        match &self.embedded {
            Some(server) => Ok(Config::dialer(server.dialer())),
            None => Config::from_env(),
        }
    }

    /// A key that no other run uses.
    #[allow(dead_code, reason = "not every example has data beside its locks")]
    pub(crate) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Options whose locks no other run meets.
    pub(crate) fn options(&self) -> Options {
        Options::new().key_prefix(format!("{}lk:", self.prefix))
    }
}
