//! The way between client and server, and what can go wrong on it, to the byte: cuts, silence, drips, tiny windows, bytes
//! that are lost, changed or made up.
//!
//! A [`Link`] stands between a client and any server, in memory or over TCP. The bytes of a connection pass through two
//! lanes, one [`Way`] each, in order; everything that is set on the link holds for all of its connections, at once and from then on.
//!
//! | file | what it does |
//! |---|---|
//! | `flaw.rs` | decides which byte goes wrong, and how; pure |
//! | `lane.rs` | carries the bytes of one connection |
//! | `stream.rs` | the client's end in memory |

mod flaw;
mod lane;
mod stream;

pub use flaw::{Ending, Flaw, Way};
pub use stream::LinkStream;

use flaw::{Flaws, Weather};
use lane::Carrier;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// Bytes that are on their way at once in each direction, unless set: about what sockets hold.
const WINDOW: usize = 64 * 1024;

type Dialling = Pin<Box<dyn Future<Output = io::Result<LinkStream>> + Send>>;

/// A way to a server that goes wrong on request: a cheap handle, to be cloned at will.
///
/// ```
/// use tenure_server::{Ending, Flaw, Link, Profile, Server, Way};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let (server, link) = (Server::new(Profile::Valkey9), Link::new());
/// let dial = link.over(server.dialer()); // a client takes it: Config::dialer(dial)
/// link.flaw(Flaw::cut(Way::ToClient, Ending::Reset).after(3));
/// let mut stream = dial().await?;
/// stream.write_all(b"*1\r\n$4\r\nPING\r\n").await?;
/// let mut reply = Vec::new();
/// let error = stream.read_to_end(&mut reply).await.unwrap_err();
/// assert_eq!((&reply[..], error.kind()), (&b"+PO"[..], std::io::ErrorKind::ConnectionReset));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Link {
    shared: Arc<Shared>,
}

/// What all connections of a link share.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    dials: watch::Sender<Dials>,
}

/// What becomes of somebody who dials.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Dials {
    #[default]
    Welcome,
    Refused,
    /// Nobody answers.
    Unheard,
}

struct State {
    flaws: Flaws,
    weather: [Weather; 2],
    window: usize,
    /// Rises when all connections that are open then are to end.
    cut: Option<(u64, Ending)>,
    reaped: u64,
    dialled: u64,
    open: BTreeMap<u64, Option<Waker>>,
    passed: [u64; 2],
}

impl Default for State {
    fn default() -> Self {
        Self {
            flaws: Flaws::default(),
            weather: [Weather::default(); 2],
            window: WINDOW,
            cut: None,
            reaped: 0,
            dialled: 0,
            open: BTreeMap::new(),
            passed: [0; 2],
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something, and lets every connection look again.
    fn change(&self, act: impl FnOnce(&mut State)) {
        let wakers: Vec<_> = {
            let mut state = self.lock();
            act(&mut state);
            state.open.values_mut().filter_map(Option::take).collect()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    fn opened(&self) -> u64 {
        let mut state = self.lock();
        let id = state.dialled;
        state.dialled += 1;
        state.open.insert(id, None);
        id
    }
}

impl Link {
    /// A link on which nothing goes wrong yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A closure that opens connections as `dial` does, through this link: what `tenure::Config::dialer` takes. Its streams
    /// are served by a task on the runtime that dials.
    pub fn over<D, R, S>(&self, dial: D) -> impl Fn() -> Dialling + Clone + Send + Sync + 'static
    where
        D: Fn() -> R + Clone + Send + Sync + 'static,
        R: Future<Output = io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let shared = Arc::clone(&self.shared);
        move || {
            let (shared, dial) = (Arc::clone(&shared), dial.clone());
            Box::pin(async move {
                shared.welcome().await?;
                let far = dial().await?;
                let window = shared.lock().window;
                let (near, end, mark) = stream::pair(window);
                let reset = move |_: &stream::CarrierEnd, _: &S| mark.set();
                tokio::spawn(Carrier::new(shared, end, far, reset));
                Ok(near)
            })
        }
    }

    /// Listens on a free TCP port of this machine, and passes what comes there on to `target` through this link.
    ///
    /// # Errors
    ///
    /// If the port cannot be opened.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a listener that was not handed out yet is closed.
    pub async fn listen(&self, target: SocketAddr) -> io::Result<Proxy> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::clone(&self.shared);
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    if shared.welcome().await.is_err() {
                        abort(&near, &near);
                        return;
                    }
                    let Ok(far) = TcpStream::connect(target).await else { return };
                    // Without it bytes would only come later, not wrong.
                    let _ = (near.set_nodelay(true), far.set_nodelay(true));
                    Carrier::new(shared, near, far, abort).await;
                });
            }
        });
        Ok(Proxy { address, task: task.abort_handle() })
    }
}

/// Makes the sockets end with RST, whatever they still hold.
fn abort(near: &TcpStream, far: &TcpStream) {
    // One that is gone already needs no reset.
    let _ = (near.set_zero_linger(), far.set_zero_linger());
}

impl Shared {
    /// Waits while nobody answers; fails while dials are refused.
    async fn welcome(&self) -> io::Result<()> {
        let mut dials = self.dials.subscribe();
        let settled = dials.wait_for(|dials| *dials != Dials::Unheard).await;
        match settled.map(|dials| *dials) {
            Ok(Dials::Refused) => Err(io::ErrorKind::ConnectionRefused.into()),
            _ => Ok(()),
        }
    }
}

/// What goes wrong.
impl Link {
    /// Adds a flaw, which befalls one byte or so, once.
    pub fn flaw(&self, flaw: Flaw) {
        self.shared.change(|state| state.flaws.add(flaw));
    }

    /// How many flaws have not befallen anything yet.
    pub fn flaws_left(&self) -> usize {
        self.shared.lock().flaws.left()
    }

    /// Lets nothing pass in this direction, until [`Link::release`]: a black hole. As with TCP, what was sent into it arrives late
    /// and in order, and a sender may send a window's worth without noticing.
    pub fn hold(&self, way: Way) {
        self.shared.change(|state| state.weather[way as usize].held = true);
    }

    /// Ends what [`Link::hold`] began: what has come meanwhile passes.
    pub fn release(&self, way: Way) {
        self.shared.change(|state| state.weather[way as usize].held = false);
    }

    /// Lets only so many bytes pass at once in this direction, and then none for a while: if that is no time at all, whoever
    /// reads in memory still sees no more at once.
    pub fn drip(&self, way: Way, bytes: usize, every: Duration) {
        self.shared.change(|state| state.weather[way as usize].drip = Some((bytes.max(1), every)));
    }

    /// Lets bytes arrive that much later than they were sent.
    pub fn delay(&self, way: Way, by: Duration) {
        self.shared.change(|state| state.weather[way as usize].delay = by);
    }

    /// How many bytes may be on their way at once in each direction: 64 KiB unless set. In memory, the client's end holds
    /// as many again; that part is fixed when a connection is opened.
    pub fn window(&self, bytes: usize) {
        self.shared.change(|state| state.window = bytes.max(1));
    }

    /// Ends every connection that is open now.
    pub fn cut(&self, ending: Ending) {
        self.shared.change(|state| state.cut = Some((state.dialled, ending)));
    }

    /// Turns away who dials, or lets them in again.
    pub fn refuse(&self, refuse: bool) {
        self.shared.dials.send_replace(if refuse { Dials::Refused } else { Dials::Welcome });
    }

    /// Leaves those who dial without any answer, or lets them in after all.
    pub fn ignore(&self, ignore: bool) {
        self.shared.dials.send_replace(if ignore { Dials::Unheard } else { Dials::Welcome });
    }

    /// Takes back everything that was set to go wrong, the window apart. What was cut stays cut.
    pub fn heal(&self) {
        self.refuse(false);
        self.shared.change(|state| {
            state.flaws = Flaws::default();
            state.weather = [Weather::default(); 2];
        });
    }

    /// Ends the connections that were silenced: at last somebody tells the server, too.
    pub fn reap(&self) {
        self.shared.change(|state| state.reaped = state.dialled);
    }
}

/// What happened.
impl Link {
    /// How many connections were opened.
    pub fn dialled(&self) -> u64 {
        self.shared.lock().dialled
    }

    /// How many connections are open, those included that were silenced.
    pub fn open(&self) -> usize {
        self.shared.lock().open.len()
    }

    /// Which of them are, oldest first, as [`Flaw::on_connection`] counts.
    pub fn connections(&self) -> Vec<u64> {
        self.shared.lock().open.keys().copied().collect()
    }

    /// How many bytes have passed in a direction, over all connections.
    pub fn passed(&self, way: Way) -> u64 {
        self.shared.lock().passed[way as usize]
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        f.debug_struct("Link")
            .field("dialled", &state.dialled)
            .field("open", &state.open.len())
            .field("passed", &state.passed)
            .finish_non_exhaustive()
    }
}

/// A port that leads to a server through a [`Link`]. Dropping it closes the port; connections stay.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    task: AbortHandle,
}

impl Proxy {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}
