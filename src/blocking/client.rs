//! `Client`, without a runtime.

use crate::blocking::lock::Lock;
use crate::blocking::wait::wait;
use crate::client::Client as Inner;
use crate::config::Config;
use crate::error::Error;
use std::time::Duration;

/// As [`tenure::Client`](crate::Client), for threads without a runtime. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Inner,
}

impl Client {
    /// Connects to the server at `url`; see [`Config::from_url`] for what it may say.
    ///
    /// # Errors
    ///
    /// As [`tenure::Client::connect`](crate::Client::connect), and [`ErrorKind::Refused`](crate::ErrorKind::Refused) on a thread
    /// that belongs to an async runtime.
    pub fn connect(url: &str) -> Result<Self, Error> {
        Self::with_config(Config::from_url(url)?)
    }

    /// Connects as `config` says, but on a thread of its own ([`Config::own_thread`]) in any case.
    ///
    /// # Errors
    ///
    /// As [`tenure::Client::with_config`](crate::Client::with_config), and [`ErrorKind::Refused`](crate::ErrorKind::Refused) on a
    /// thread that belongs to an async runtime.
    pub fn with_config(config: Config) -> Result<Self, Error> {
        let inner = wait(None, Inner::with_config(config.own_thread()))??;
        Ok(Self { inner })
    }

    /// The lock of this name, with default [`Options`](crate::Options); as [`tenure::Client::lock`](crate::Client::lock).
    pub fn lock(&self, name: impl Into<String>) -> Lock {
        Lock::new(self.inner.lock(name))
    }

    /// Waits for anything that the asynchronous client can do: commands, pipelines, several locks, listings.
    ///
    /// ```no_run
    /// # fn run(client: tenure::blocking::Client) -> Result<(), tenure::Error> {
    /// let name = client.wait(async |client| client.get("name").await)??;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Refused`](crate::ErrorKind::Refused) on a thread that belongs to an async runtime; `call` was not made then.
    pub fn wait<T>(&self, call: impl AsyncFnOnce(&Inner) -> T) -> Result<T, Error> {
        wait(Some(self.inner.home().handle()), call(&self.inner))
    }

    /// The asynchronous client behind this one. Both are one: what this one holds or waits for concerns that one too.
    pub fn inner(&self) -> &Inner {
        &self.inner
    }

    /// Ends the client in order, within `timeout`; as [`tenure::Client::close`](crate::Client::close).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Refused`](crate::ErrorKind::Refused) on a thread that belongs to an async runtime; nothing was done then.
    pub fn close(&self, timeout: Duration) -> Result<(), Error> {
        self.wait(async |client| client.close(timeout).await)
    }
}
