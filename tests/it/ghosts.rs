//! The command of a connection that is gone, which the server reads after everything that was to undo it: on real servers.

use crate::real::{Kind, Options, RealServer};
use crate::support::{eventually, poll_once};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tenure::{Backoff, Client, Config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const MS: Duration = Duration::from_millis(1);
/// So long that no lease ends while the test runs.
const LEASE: Duration = Duration::from_secs(600);
const ROUNDS: usize = 20;
const AT_ONCE: usize = 50;

/// A way to a server on which requests can be kept back beyond the end of their connection.
struct Trap {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    cut: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    keeps: bool,
    /// What the clients of open connections have sent that was kept back.
    lanes: Vec<Arc<Mutex<Vec<u8>>>>,
    /// Connections to the server whose clients are gone, and what these had sent.
    kept: Vec<(TcpStream, Vec<u8>)>,
}

/// How often a lock may be taken by these bytes.
fn sets(sent: &[u8]) -> usize {
    sent.windows(5).filter(|window| window == b"\nSET\r").count()
}

impl Trap {
    async fn before(server: &RealServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (state, (cut, cuts)) = (Arc::<Mutex<State>>::default(), watch::channel(0));
        let (kept, target) = (Arc::clone(&state), server.port());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(("127.0.0.1", target)).await else { return };
                tokio::spawn(relay(near, far, Arc::clone(&kept), cuts.clone()));
            }
        });
        Self { address, state, cut }
    }

    /// From now on what clients send is kept back.
    fn set(&self) {
        self.state.lock().unwrap().keeps = true;
    }

    /// Ends all connections for the clients, and for the server none.
    fn cut(&self) {
        self.state.lock().unwrap().keeps = false;
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    /// Lets the server have what was kept back. Gives how often it may have taken a lock by that.
    async fn spring(&self) -> usize {
        let kept = std::mem::take(&mut self.state.lock().unwrap().kept);
        let mut late = 0;
        for (mut server, sent) in kept {
            late += sets(&sent);
            // One that the server has closed meanwhile takes nothing any more.
            let _ = server.write_all(&sent).await;
            let _ = server.flush().await;
            tokio::spawn(async move { server.read_to_end(&mut Vec::new()).await });
        }
        late
    }

    /// How often a lock may be taken by what is kept back now.
    fn caught(&self) -> usize {
        self.state.lock().unwrap().lanes.iter().map(|lane| sets(&lane.lock().unwrap())).sum()
    }
}

async fn relay(
    mut near: TcpStream,
    mut far: TcpStream,
    state: Arc<Mutex<State>>,
    mut cuts: watch::Receiver<u64>,
) {
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (mut asked, mut answered) = ([0; 4096], [0; 4096]);
    let kept = Arc::<Mutex<Vec<u8>>>::default();
    state.lock().unwrap().lanes.push(Arc::clone(&kept));
    cuts.mark_unchanged();
    loop {
        tokio::select! {
            read = near.read(&mut asked) => match read {
                Ok(0) | Err(_) => return,
                Ok(read) if state.lock().unwrap().keeps => {
                    kept.lock().unwrap().extend_from_slice(&asked[..read]);
                }
                Ok(read) => if far.write_all(&asked[..read]).await.is_err() { return },
            },
            read = far.read(&mut answered) => match read {
                Ok(0) | Err(_) => return,
                Ok(read) => if near.write_all(&answered[..read]).await.is_err() { return },
            },
            _ = cuts.changed() => {
                drop(near);
                let mut state = state.lock().unwrap();
                state.lanes.retain(|lane| !Arc::ptr_eq(lane, &kept));
                let sent = std::mem::take(&mut *kept.lock().unwrap());
                state.kept.push((far, sent));
                return;
            }
        }
    }
}

async fn late_command_of_a_lost_connection_leaves_no_orphan(kind: Kind) {
    if !RealServer::available() {
        return;
    }
    let server = RealServer::start(kind, Options::default());
    let operator = Client::with_config(Config::from_url(&server.url()).unwrap()).await.unwrap();
    let trap = Trap::before(&server).await;
    let config = Config::from_url(&format!("redis://{}", trap.address)).unwrap();
    let config = config.reconnect(Backoff::new(MS, 1.0, MS));
    let client = Client::with_config(config).await.unwrap();
    let mut late = 0;
    for round in 0..ROUNDS {
        client.lock("warm").acquire().await.unwrap().release().await.unwrap();
        let options = tenure::Options::new().lease(LEASE);
        let locks: Vec<_> = (0..AT_ONCE)
            .map(|number| client.lock(format!("{round}:{number}")).options(options.clone()))
            .collect();
        trap.set();
        let mut asking: Vec<_> = locks.iter().map(|lock| Box::pin(lock.acquire())).collect();
        for asking in &mut asking {
            assert!(poll_once(asking).await.is_pending());
        }
        eventually("all have asked", async || trap.caught() >= AT_ONCE).await;
        trap.cut();
        // One half goes before the next connection, the other one when that has answered.
        asking.truncate(AT_ONCE / 2);
        client.lock("answered").acquire().await.unwrap().release().await.unwrap();
        drop(asking);
        client.lock("undone").acquire().await.unwrap().release().await.unwrap();
        late += trap.spring().await;
        let pong: String = operator.command("PING").send().await.unwrap();
        assert_eq!(pong, "PONG");
    }
    tokio::time::sleep(100 * MS).await; // for whatever the server has not read yet
    let left: Vec<String> = operator.command("KEYS").arg("lk:*").send().await.unwrap();
    assert!(left.is_empty(), "{} orphans of {late}: {left:?}", left.len());
    assert!(late >= ROUNDS * AT_ONCE, "only {late} commands came late");
}

#[tokio::test]
async fn late_command_of_a_lost_connection_leaves_no_orphan_on_redis_6_2() {
    late_command_of_a_lost_connection_leaves_no_orphan(Kind::Redis6_2).await;
}

#[tokio::test]
async fn late_command_of_a_lost_connection_leaves_no_orphan_on_redis_7_0() {
    late_command_of_a_lost_connection_leaves_no_orphan(Kind::Redis7_0).await;
}

#[tokio::test]
async fn late_command_of_a_lost_connection_leaves_no_orphan_on_valkey_9_1() {
    late_command_of_a_lost_connection_leaves_no_orphan(Kind::Valkey9_1).await;
}
