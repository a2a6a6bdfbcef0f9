//! `Client`: the handle that users clone.

use crate::client::args::Args;
use crate::client::call::Call;
use crate::client::compare::Comparing;
use crate::client::connection::Connection;
use crate::client::encode::Ink;
use crate::client::home::Home;
use crate::client::lanes::Lanes;
use crate::client::lease::Pool;
use crate::client::pubsub::Hub;
use crate::client::shared::Phase;
use crate::client::stats::Stats;
use crate::client::watch;
use crate::config::Config;
use crate::error::Error;
use resp::Frame;
use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What Redis and Valkey accept as one argument, unless configured otherwise.
const MAX_ARGUMENT: usize = 512 << 20;

/// A connection to one server, shared by its clones.
///
/// ```no_run
/// # async fn run() -> Result<(), tenure::Error> {
/// let client = tenure::Client::connect("redis://127.0.0.1:6379").await?;
/// client.set("greeting", "hello").await?;
/// assert_eq!(client.get("greeting").await?.as_deref(), Some(&b"hello"[..]));
/// # Ok(())
/// # }
/// ```
///
/// It reconnects by itself, for ever; while there is no connection, calls wait until their deadline. Locks have a
/// connection of their own, opened by the first of them. When the last clone and the last guard are gone, the
/// connections end.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    home: Home,
    data: Lanes,
    /// Whatever a layer above keeps with a client, made on first use.
    companion: OnceLock<Arc<dyn Any + Send + Sync>>,
    hub: Arc<Hub>,
    /// Connections for commands that wait.
    leases: Arc<Pool>,
    /// Whether the server was seen to let this user run transactions.
    transactions: AtomicBool,
    comparing: Comparing,
}

impl Client {
    /// Connects to the server at `url`; see [`Config::from_url`] for what it may say.
    ///
    /// Makes one attempt, within the connect time-out (3 s unless set). Must be called on a tokio runtime with I/O and time
    /// enabled; that runtime drives the connection from then on.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for a URL that makes no sense, and as [`Client::with_config`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future closes what was opened.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        Self::with_config(Config::from_url(url)?).await
    }

    /// Connects as `config` says.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Connect`](crate::ErrorKind::Connect) if nobody answers in time,
    /// [`ErrorKind::Handshake`](crate::ErrorKind::Handshake) with the server's words if it refuses,
    /// [`ErrorKind::Protocol`](crate::ErrorKind::Protocol) if it is not Redis or Valkey.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future closes what was opened.
    pub async fn with_config(config: Config) -> Result<Self, Error> {
        let home = Home::of(&config)?;
        let leases = Pool::new(home.clone(), config.clone());
        let hub = Hub::new(home.clone(), config.clone());
        let data = Lanes::connect(&home, config).await?;
        Ok(Self(Arc::new(Inner {
            home,
            data,
            companion: OnceLock::new(),
            hub,
            leases,
            transactions: AtomicBool::new(false),
            comparing: Comparing::new(),
        })))
    }

    /// The settings of this client.
    pub fn config(&self) -> &Config {
        self.data().config()
    }

    /// Where this client's tasks run.
    pub(crate) fn home(&self) -> &Home {
        &self.0.home
    }

    /// What the data connections are doing, each of them.
    pub(crate) fn phases(&self) -> Vec<watch::Receiver<Phase>> {
        self.0.data.phases()
    }

    /// The data connection for what concerns no key.
    pub(crate) fn data(&self) -> &Connection {
        self.0.data.first()
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.0.hub
    }

    pub(crate) fn leases(&self) -> &Arc<Pool> {
        &self.0.leases
    }

    /// Ends everything but what layers above keep, and waits at most `patience` for what is on its way.
    pub(crate) async fn end(&self, patience: Duration) {
        self.0.hub.close();
        self.0.leases.close();
        self.0.data.close(patience).await;
    }

    /// Whether [`Client::note_transactions`] was called.
    pub(crate) fn has_transactions(&self) -> bool {
        self.0.transactions.load(Ordering::Relaxed)
    }

    /// Remembers that the server lets this user run transactions.
    pub(crate) fn note_transactions(&self) {
        self.0.transactions.store(true, Ordering::Relaxed);
    }

    /// What a layer above keeps with this client; all clones see the same one.
    pub(crate) fn companion<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let kept = self.0.companion.get_or_init(|| Arc::new(make()));
        Arc::clone(kept).downcast().expect("one layer keeps one type with its clients")
    }

    /// What [`Client::companion`] has made, if it was called.
    pub(crate) fn existing_companion<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        Arc::clone(self.0.companion.get()?).downcast().ok()
    }

    /// Sends what `args` say, and waits for the reply.
    #[inline]
    pub(crate) fn send(
        &self,
        args: Args,
        patience: Option<Duration>,
    ) -> impl Future<Output = Result<Frame, Error>> {
        send(self.connection(&args), args, patience)
    }

    /// Sends what `encode` writes, all of it at hand, about the first of these values; and waits for the reply.
    #[inline]
    pub(crate) fn say<E: FnMut(&mut Ink) + Unpin>(
        &self,
        values: &[&[u8]],
        encode: E,
    ) -> Call<'_, E> {
        let key = values.first().copied().unwrap_or_default();
        let mut call = self.0.data.of_key(key).call_usual(encode);
        if let Some(long) = values.iter().find(|value| value.len() > MAX_ARGUMENT) {
            call.refuse(refusal(long.len()));
        }
        call
    }

    /// What it knows about how its server compares.
    pub(crate) fn comparing(&self) -> &Comparing {
        &self.0.comparing
    }

    pub(crate) fn data_stats(&self) -> Stats {
        self.0.data.stats()
    }

    /// The data connection for what `args` say.
    #[inline]
    pub(crate) fn connection(&self, args: &Args) -> &Connection {
        self.0.data.of(args)
    }
}

/// Sends what `args` say on a connection, and waits for the reply.
#[inline]
pub(crate) fn send(
    connection: &Connection,
    mut args: Args,
    patience: Option<Duration>,
) -> impl Future<Output = Result<Frame, Error>> {
    let patience = patience.unwrap_or_else(|| connection.config().response_timeout);
    let too_long = args.longer_than(MAX_ARGUMENT);
    let mut call = connection.call(patience, move |out: &mut Ink| args.write(out));
    if let Some(len) = too_long {
        call.refuse(refusal(len));
    }
    call
}

/// Refuses what a server would close the connection for.
#[inline]
pub(crate) fn check_length(args: &Args) -> Result<(), Error> {
    args.longer_than(MAX_ARGUMENT).map_or(Ok(()), |len| Err(refusal(len)))
}

#[cold]
fn refusal(len: usize) -> Error {
    Error::refused(format!(
        "an argument of {len} bytes: servers accept {MAX_ARGUMENT}, and close the connection of whoever sends more"
    ))
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("data", &self.0.data).finish_non_exhaustive()
    }
}
