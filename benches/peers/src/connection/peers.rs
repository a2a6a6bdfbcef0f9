//! Every client, used the way that is best for it: Nagle's algorithm off, its time-outs off where they can be switched off,
//! one connection shared by all tasks, scripts by digest.

use crate::Failure;
use std::time::Duration;

pub(crate) const LEASE: Duration = Duration::from_secs(10);
const LEASE_MS: u64 = 10_000;

/// The server, and how a lock is deleted there by its owner.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) url: String,
    pub(crate) release: Release,
}

impl Target {
    /// For clients that find out for themselves how a lock is deleted.
    pub(crate) fn of(url: &str) -> Self {
        Self { url: url.to_owned(), release: Release::Native }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Release {
    /// `DELIFEQ key token`
    Native,
    /// `EVALSHA digest 1 key token`
    Script(String),
}

/// What one task works on.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    pub(crate) key: String,
    pub(crate) token: String,
}

impl Slot {
    pub(crate) fn new(task: usize) -> Self {
        Self { key: format!("lk:bench:{task:06}"), token: format!("{task:036x}") }
    }
}

/// A client under measurement. A failure is a panic: nothing is retried.
pub(crate) trait Peer: Clone + Send + Sync + Sized + 'static {
    const NAME: &'static str;
    /// Whether it is another project's.
    const OTHER: bool = true;
    /// Whether it has `get`: a library that only locks has not.
    const GETS: bool = true;
    type Slot: Send + Sync + 'static;

    fn connect(target: &Target) -> impl Future<Output = Result<Self, Failure>>;
    fn slot(&self, task: usize) -> Self::Slot;
    /// `SET key token NX PX 10000` and the delete that compares.
    fn pair(&self, slot: &Self::Slot) -> impl Future<Output = ()> + Send;
    /// `GET` of a key with a value of 36 bytes.
    fn get(&self) -> impl Future<Output = ()> + Send {
        self.get_key(READ_KEY)
    }
    /// A `GET` that the sink leaves unanswered.
    fn unanswered(&self) -> impl Future<Output = ()> + Send {
        self.get_key(UNANSWERED_KEY)
    }
    fn get_key(&self, key: &'static str) -> impl Future<Output = ()> + Send;
}

/// What is read by every `get`.
pub(crate) const READ_KEY: &str = "bench:value";
pub(crate) const UNANSWERED_KEY: &str = "bench:never";

/// tenure by its plain commands.
#[derive(Clone)]
pub(crate) struct Tenure {
    client: tenure::Client,
    release: Release,
    options: tenure::client::SetOptions,
}

impl Peer for Tenure {
    const NAME: &'static str = "tenure";
    const OTHER: bool = false;
    type Slot = Slot;

    async fn connect(target: &Target) -> Result<Self, Failure> {
        Self::spinning(target, Duration::ZERO).await
    }

    fn slot(&self, task: usize) -> Slot {
        Slot::new(task)
    }

    async fn pair(&self, slot: &Slot) {
        let Slot { key, token } = slot;
        let taken = self.client.set_with(key, token, &self.options).await.expect("SET is answered");
        assert!(taken, "{key} was free");
        let deleted: bool = match &self.release {
            Release::Native => self.client.del_if_equal(key, token).await,
            Release::Script(digest) => {
                self.client.command("EVALSHA").arg((digest, 1, key, token)).send().await
            }
        }
        .expect("the delete is answered");
        assert!(deleted, "{key} was ours");
    }

    async fn get_key(&self, key: &'static str) {
        let value = self.client.get(key).await.expect("GET is answered");
        assert!(std::hint::black_box(value).is_some());
    }
}

impl Tenure {
    async fn spinning(target: &Target, spin: Duration) -> Result<Self, Failure> {
        let config = tenure::Config::from_url(&target.url)?.spin(spin);
        let client = tenure::Client::with_config(config).await?;
        let options = tenure::client::SetOptions::new().if_absent().expire(LEASE);
        Ok(Self { client, release: target.release.clone(), options })
    }
}

/// tenure that looks at the socket for a while before it sleeps.
#[derive(Clone)]
pub(crate) struct TenureSpin(Tenure);

impl Peer for TenureSpin {
    const NAME: &'static str = "tenure, spinning";
    const OTHER: bool = false;
    type Slot = Slot;

    async fn connect(target: &Target) -> Result<Self, Failure> {
        Ok(Self(Tenure::spinning(target, Duration::from_micros(50)).await?))
    }

    fn slot(&self, task: usize) -> Slot {
        self.0.slot(task)
    }

    async fn pair(&self, slot: &Slot) {
        self.0.pair(slot).await;
    }

    async fn get_key(&self, key: &'static str) {
        self.0.get_key(key).await;
    }
}

/// tenure by its lock.
#[derive(Clone)]
pub(crate) struct TenureLock(tenure::Client);

impl Peer for TenureLock {
    const NAME: &'static str = "tenure lock";
    const OTHER: bool = false;
    const GETS: bool = false;
    type Slot = tenure::Lock;

    async fn connect(target: &Target) -> Result<Self, Failure> {
        Ok(Self(tenure::Client::connect(&target.url).await?))
    }

    fn slot(&self, task: usize) -> tenure::Lock {
        self.0.lock(format!("bench:{task:06}"))
    }

    async fn pair(&self, lock: &tenure::Lock) {
        let guard = lock.try_acquire().await.expect("the lock's SET is answered");
        guard.expect("it was free").release().await.expect("it was ours");
    }

    async fn get_key(&self, _: &'static str) {
        unreachable!("{} has no GET", Self::NAME);
    }
}

/// tenure by its lock whose guards have fencing tokens.
#[derive(Clone)]
pub(crate) struct TenureFenced(tenure::Client);

impl Peer for TenureFenced {
    const NAME: &'static str = "tenure fenced lock";
    const OTHER: bool = false;
    const GETS: bool = false;
    type Slot = tenure::FencedLock;

    async fn connect(target: &Target) -> Result<Self, Failure> {
        Ok(Self(tenure::Client::connect(&target.url).await?))
    }

    fn slot(&self, task: usize) -> tenure::FencedLock {
        self.0.lock(format!("bench:{task:06}")).fenced()
    }

    async fn pair(&self, lock: &tenure::FencedLock) {
        let guard = lock.try_acquire().await.expect("the lock's script is answered");
        let guard = guard.expect("it was free");
        std::hint::black_box(guard.token());
        guard.release().await.expect("it was ours");
    }

    async fn get_key(&self, _: &'static str) {
        unreachable!("{} has no GET", Self::NAME);
    }
}

/// Both versions of redis-rs have the same interface, by other types.
macro_rules! redis_rs {
    ($name:ident, $crate_:ident, $text:literal) => {
        #[derive(Clone)]
        pub(crate) struct $name {
            connection: $crate_::aio::MultiplexedConnection,
            release: Release,
        }

        impl Peer for $name {
            const NAME: &'static str = $text;
            type Slot = Slot;

            async fn connect(target: &Target) -> Result<Self, Failure> {
                use $crate_::IntoConnectionInfo as _;
                let tcp = $crate_::io::tcp::TcpSettings::default().set_nodelay(true);
                let info = target.url.as_str().into_connection_info()?.set_tcp_settings(tcp);
                let config = $crate_::AsyncConnectionConfig::new().set_response_timeout(None);
                let client = $crate_::Client::open(info)?;
                let connection =
                    client.get_multiplexed_async_connection_with_config(&config).await?;
                Ok(Self { connection, release: target.release.clone() })
            }

            fn slot(&self, task: usize) -> Slot {
                Slot::new(task)
            }

            async fn pair(&self, slot: &Slot) {
                let mut connection = self.connection.clone();
                let mut set = $crate_::cmd("SET");
                set.arg(&slot.key).arg(&slot.token).arg("NX").arg("PX").arg(LEASE_MS);
                let taken: $crate_::Value =
                    set.query_async(&mut connection).await.expect("SET is answered");
                assert_eq!(taken, $crate_::Value::Okay, "{} was free", slot.key);
                let delete = match &self.release {
                    Release::Native => {
                        let mut delete = $crate_::cmd("DELIFEQ");
                        delete.arg(&slot.key).arg(&slot.token);
                        delete
                    }
                    Release::Script(digest) => {
                        let mut delete = $crate_::cmd("EVALSHA");
                        delete.arg(digest).arg(1).arg(&slot.key).arg(&slot.token);
                        delete
                    }
                };
                let deleted: i64 =
                    delete.query_async(&mut connection).await.expect("the delete is answered");
                assert_eq!(deleted, 1, "{} was ours", slot.key);
            }

            async fn get_key(&self, key: &'static str) {
                let mut connection = self.connection.clone();
                let mut get = $crate_::cmd("GET");
                get.arg(key);
                let value: $crate_::Value =
                    get.query_async(&mut connection).await.expect("GET is answered");
                assert!(matches!(std::hint::black_box(value), $crate_::Value::BulkString(_)));
            }
        }
    };
}

redis_rs!(Redis1, redis1, "redis 1.8");
redis_rs!(Redis2, redis2, "redis 2.0-rc");

#[derive(Clone)]
pub(crate) struct Rustis {
    client: rustis::client::Client,
    release: Release,
}

impl Peer for Rustis {
    const NAME: &'static str = "rustis 0.27";
    type Slot = Slot;

    async fn connect(target: &Target) -> Result<Self, Failure> {
        let client = rustis::client::Client::connect(target.url.as_str()).await?;
        Ok(Self { client, release: target.release.clone() })
    }

    fn slot(&self, task: usize) -> Slot {
        Slot::new(task)
    }

    async fn pair(&self, slot: &Slot) {
        use rustis::resp::cmd;
        let Slot { key, token } = slot;
        let set = cmd("SET").key(key).arg(token).arg("NX").arg("PX").arg(LEASE_MS);
        let taken: bool = self.client.send(set, None).await.expect("SET is answered");
        assert!(taken, "{key} was free");
        let delete = match &self.release {
            Release::Native => cmd("DELIFEQ").key(key).arg(token),
            Release::Script(digest) => cmd("EVALSHA").arg(digest).arg(1).key(key).arg(token),
        };
        let deleted: i64 = self.client.send(delete, None).await.expect("the delete is answered");
        assert_eq!(deleted, 1, "{key} was ours");
    }

    async fn get_key(&self, key: &'static str) {
        let get = rustis::resp::cmd("GET").key(key);
        let value: rustis::resp::BulkString =
            self.client.send(get, None).await.expect("GET is answered");
        assert!(!std::hint::black_box(value).is_empty());
    }
}

#[derive(Clone)]
pub(crate) struct Fred {
    client: fred::clients::Client,
    release: Release,
}

impl Peer for Fred {
    const NAME: &'static str = "fred 10.1";
    type Slot = Slot;

    async fn connect(target: &Target) -> Result<Self, Failure> {
        use fred::prelude::*;
        // It knows this scheme by another name.
        let url = target.url.replace("unix://", "redis+unix://");
        let client = Builder::from_config(Config::from_url(&url)?)
            .with_connection_config(|config| {
                config.tcp = TcpConfig { nodelay: Some(true), ..Default::default() };
            })
            .build()?;
        client.init().await?;
        Ok(Self { client, release: target.release.clone() })
    }

    fn slot(&self, task: usize) -> Slot {
        Slot::new(task)
    }

    async fn pair(&self, slot: &Slot) {
        use fred::prelude::*;
        let Slot { key, token } = slot;
        let expiry = Some(Expiration::PX(LEASE_MS as i64));
        let set = self.client.set(key, token, expiry, Some(SetOptions::NX), false);
        let taken: Value = set.await.expect("SET is answered");
        assert!(!taken.is_null(), "{key} was free");
        let deleted: i64 = match &self.release {
            Release::Native => {
                let command = fred::cmd!("DELIFEQ");
                self.client.custom(command, vec![key.as_str(), token.as_str()]).await
            }
            Release::Script(digest) => {
                self.client.evalsha(digest, key.as_str(), token.as_str()).await
            }
        }
        .expect("the delete is answered");
        assert_eq!(deleted, 1, "{key} was ours");
    }

    async fn get_key(&self, key: &'static str) {
        use fred::prelude::*;
        let value: Value = self.client.get(key).await.expect("GET is answered");
        assert!(!std::hint::black_box(value).is_null());
    }
}

/// A lock library over redis 1.8; its release is a script on every server.
#[derive(Clone)]
pub(crate) struct Rslock(rslock::LockManager);

impl Peer for Rslock {
    const NAME: &'static str = "rslock 0.10";
    const GETS: bool = false;
    type Slot = Slot;

    async fn connect(target: &Target) -> Result<Self, Failure> {
        use redis1::IntoConnectionInfo as _;
        let tcp = redis1::io::tcp::TcpSettings::default().set_nodelay(true);
        let info = target.url.as_str().into_connection_info()?.set_tcp_settings(tcp);
        Ok(Self(rslock::LockManager::from_clients(vec![redis1::Client::open(info)?])))
    }

    fn slot(&self, task: usize) -> Slot {
        Slot::new(task)
    }

    async fn pair(&self, slot: &Slot) {
        let lock = self.0.lock(slot.key.as_str(), LEASE).await.expect("it was free");
        self.0.unlock(&lock).await;
    }

    async fn get_key(&self, _: &'static str) {
        unreachable!("{} has no GET", Self::NAME);
    }
}
