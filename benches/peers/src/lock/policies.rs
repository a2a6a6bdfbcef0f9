//! How somebody waits for a lock that somebody else holds.
//!
//! The polling policies of other languages' libraries are made again here, each over redis-rs on a connection of its own:
//! what waits and how long it sleeps is theirs, the connection is not. Takeover of abandoned locks is left out, as no lock is
//! abandoned here.

use crate::Failure;
use crate::connection::Target;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Longer than any measurement: not everybody renews.
const LEASE: Duration = Duration::from_secs(600);

/// Waits for locks and releases them. A failure is a panic.
pub(crate) trait Policy: Clone + Send + Sync + Sized + 'static {
    const NAME: &'static str;
    const OURS: bool = false;
    /// Whether it sends `GET` and `DEL` only within scripts.
    const SCRIPTED: bool = true;
    type Held: Send;

    /// A client, as a process has one.
    fn connect(target: &Target) -> impl Future<Output = Result<Self, Failure>>;
    fn acquire(&self, name: &str) -> impl Future<Output = Self::Held> + Send;
    fn release(&self, held: Self::Held) -> impl Future<Output = ()> + Send;
}

#[derive(Clone)]
pub(crate) struct Tenure(tenure::Client);

impl Policy for Tenure {
    const NAME: &'static str = "tenure";
    const OURS: bool = true;
    type Held = tenure::Guard;

    async fn connect(target: &Target) -> Result<Self, Failure> {
        Ok(Self(tenure::Client::connect(&target.url).await?))
    }

    async fn acquire(&self, name: &str) -> tenure::Guard {
        self.0.lock(name).acquire().await.expect("nothing goes wrong here")
    }

    async fn release(&self, guard: tenure::Guard) {
        guard.release().await.expect("it is still ours");
    }
}

/// The same with one way of being woken.
macro_rules! woken {
    ($name:ident, $wakeup:ident, $text:literal) => {
        #[derive(Clone)]
        pub(crate) struct $name(tenure::Client);

        impl Policy for $name {
            const NAME: &'static str = $text;
            const OURS: bool = true;
            type Held = tenure::Guard;

            async fn connect(target: &Target) -> Result<Self, Failure> {
                Ok(Self(tenure::Client::connect(&target.url).await?))
            }

            async fn acquire(&self, name: &str) -> tenure::Guard {
                let options = tenure::Options::new().wakeup(tenure::Wakeup::$wakeup);
                let lock = self.0.lock(name).options(options);
                lock.acquire().await.expect("nothing goes wrong here")
            }

            async fn release(&self, guard: tenure::Guard) {
                guard.release().await.expect("it is still ours");
            }
        }
    };
}

woken!(Tracking, Track, "tenure, track");
woken!(Announcing, Announce, "tenure, announce");

/// The same, waiting in one line on the server.
#[derive(Clone)]
pub(crate) struct Fair(tenure::Client);

impl Policy for Fair {
    const NAME: &'static str = "tenure, fair";
    const OURS: bool = true;
    type Held = tenure::Guard;

    async fn connect(target: &Target) -> Result<Self, Failure> {
        Ok(Self(tenure::Client::connect(&target.url).await?))
    }

    async fn acquire(&self, name: &str) -> tenure::Guard {
        self.0.lock(name).fair().acquire().await.expect("nothing goes wrong here")
    }

    async fn release(&self, guard: tenure::Guard) {
        guard.release().await.expect("it is still ours");
    }
}

#[derive(Clone)]
pub(crate) struct Rslock(rslock::LockManager);

impl Policy for Rslock {
    const NAME: &'static str = "rslock 0.10";
    type Held = rslock::LockGuard;

    async fn connect(target: &Target) -> Result<Self, Failure> {
        use redis1::IntoConnectionInfo as _;
        let tcp = redis1::io::tcp::TcpSettings::default().set_nodelay(true);
        let info = target.url.as_str().into_connection_info()?.set_tcp_settings(tcp);
        Ok(Self(rslock::LockManager::from_clients(vec![redis1::Client::open(info)?])))
    }

    async fn acquire(&self, name: &str) -> rslock::LockGuard {
        self.0.acquire(name, LEASE).await.expect("it waits for ever")
    }

    async fn release(&self, guard: rslock::LockGuard) {
        guard.release().await;
    }
}

/// Somebody who holds a lock by redis-rs.
pub(crate) struct Polled {
    connection: redis2::aio::MultiplexedConnection,
    name: String,
    value: String,
}

/// Connections of redis-rs that one waiter has for itself, kept for the next.
#[derive(Clone)]
struct Pool {
    client: redis2::Client,
    idle: Arc<Mutex<Vec<redis2::aio::MultiplexedConnection>>>,
}

impl Pool {
    fn of(target: &Target) -> Result<Self, Failure> {
        let client = redis2::Client::open(target.url.as_str())?;
        Ok(Self { client, idle: Arc::default() })
    }

    async fn take(&self) -> redis2::aio::MultiplexedConnection {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(connection) = idle {
            return connection;
        }
        let config = redis2::AsyncConnectionConfig::new().set_response_timeout(None);
        let connected = self.client.get_multiplexed_async_connection_with_config(&config).await;
        connected.expect("the server takes everybody")
    }

    fn give_back(&self, connection: redis2::aio::MultiplexedConnection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}

/// Whether `SET … NX` took the lock.
async fn set_nx(
    connection: &mut redis2::aio::MultiplexedConnection,
    name: &str,
    value: &str,
    lease: Option<Duration>,
) -> bool {
    let mut set = redis2::cmd("SET");
    set.arg(name).arg(value).arg("NX");
    if let Some(lease) = lease {
        set.arg("PX").arg(lease.as_millis() as u64);
    }
    let taken: redis2::Value = set.query_async(connection).await.expect("SET is answered");
    taken == redis2::Value::Okay
}

/// redsync: the same sleep again and again, from 50 to 250 ms, even odds.
#[derive(Clone)]
pub(crate) struct Redsync {
    shared: redis2::aio::MultiplexedConnection,
    release: redis2::Script,
}

impl Policy for Redsync {
    const NAME: &'static str = "redsync's polling";
    type Held = Polled;

    async fn connect(target: &Target) -> Result<Self, Failure> {
        let shared = Pool::of(target)?.take().await;
        Ok(Self { shared, release: redis2::Script::new(crate::connection::RELEASE) })
    }

    async fn acquire(&self, name: &str) -> Polled {
        let mut connection = self.shared.clone();
        let value = format!("{:032x}", rand::random::<u128>());
        while !set_nx(&mut connection, name, &value, Some(LEASE)).await {
            let sleep = Duration::from_millis(rand::random_range(50..250));
            tokio::time::sleep(sleep).await;
        }
        Polled { connection, name: name.to_owned(), value }
    }

    async fn release(&self, held: Polled) {
        let Polled { mut connection, name, value } = held;
        let deleted: i64 = self
            .release
            .key(name)
            .arg(value)
            .invoke_async(&mut connection)
            .await
            .expect("the script is answered");
        assert_eq!(deleted, 1, "it is still ours");
    }
}

/// The original: `SET NX` without expiry, then `WATCH`, `GET`, `UNWATCH` to see whether the holder's time is over, and a sleep
/// of up to 100 ms × 2ⁿ, 20 s at most; a release that compares nothing.
#[derive(Clone)]
pub(crate) struct Original(Pool);

impl Policy for Original {
    const NAME: &'static str = "the original's polling";
    const SCRIPTED: bool = false;
    type Held = Polled;

    async fn connect(target: &Target) -> Result<Self, Failure> {
        Ok(Self(Pool::of(target)?))
    }

    async fn acquire(&self, name: &str) -> Polled {
        const YEAR: Duration = Duration::from_secs(365 * 24 * 3_600);
        // WATCH needs a connection that nobody shares; the original has one for each of its clients as well.
        let mut connection = self.0.take().await;
        for attempt in 1_u32.. {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let value = ((now + YEAR).as_millis() + 1).to_string();
            if set_nx(&mut connection, name, &value, None).await {
                return Polled { connection, name: name.to_owned(), value };
            }
            let mut watch = redis2::cmd("WATCH");
            let _: redis2::Value =
                watch.arg(name).query_async(&mut connection).await.expect("WATCH is answered");
            let mut get = redis2::cmd("GET");
            let _: redis2::Value =
                get.arg(name).query_async(&mut connection).await.expect("GET is answered");
            let unwatch = redis2::cmd("UNWATCH");
            let _: redis2::Value =
                unwatch.query_async(&mut connection).await.expect("UNWATCH is answered");
            let ceiling = (100 << attempt.min(30)).min(20_000);
            let sleep = Duration::from_millis(rand::random_range(0..ceiling));
            tokio::time::sleep(sleep).await;
        }
        unreachable!("it waits for ever");
    }

    async fn release(&self, held: Polled) {
        let Polled { mut connection, name, .. } = held;
        let mut del = redis2::cmd("DEL");
        let _: i64 = del.arg(name).query_async(&mut connection).await.expect("DEL is answered");
        self.0.give_back(connection);
    }
}

/// Does something with the type of a policy, chosen by its name.
pub(crate) trait WithPolicy {
    type Out;
    fn with<P: Policy>(self) -> Self::Out;
}

/// All policies, in the order of the tables.
pub(crate) const NAMES: [&str; 7] = [
    Tenure::NAME,
    Tracking::NAME,
    Announcing::NAME,
    Fair::NAME,
    Rslock::NAME,
    Redsync::NAME,
    Original::NAME,
];

pub(crate) fn with_policy<W: WithPolicy>(name: &str, with: W) -> Option<W::Out> {
    Some(match name {
        Tenure::NAME => with.with::<Tenure>(),
        Tracking::NAME => with.with::<Tracking>(),
        Announcing::NAME => with.with::<Announcing>(),
        Fair::NAME => with.with::<Fair>(),
        Rslock::NAME => with.with::<Rslock>(),
        Redsync::NAME => with.with::<Redsync>(),
        Original::NAME => with.with::<Original>(),
        _ => return None,
    })
}

/// Whether a policy is ours.
pub(crate) fn is_ours(name: &str) -> bool {
    with_policy(name, Ours).unwrap_or(false)
}

/// Whether a policy sends `GET` and `DEL` only within scripts.
pub(crate) fn is_scripted(name: &str) -> bool {
    with_policy(name, Scripted).unwrap_or(false)
}

struct Ours;
impl WithPolicy for Ours {
    type Out = bool;
    fn with<P: Policy>(self) -> bool {
        P::OURS
    }
}

struct Scripted;
impl WithPolicy for Scripted {
    type Out = bool;
    fn with<P: Policy>(self) -> bool {
        P::SCRIPTED
    }
}
