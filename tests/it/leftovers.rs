//! The last handle goes: no task, no connection and no socket is left of the client.

use crate::support::{eventually, poll_once};
use std::io;
use std::time::Duration;
use tenure::client::State;
use tenure::{Client, Config};
use tenure_server::{Link, Profile, Server};
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);

async fn connect(config: Config) -> Client {
    Client::with_config(config).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn last_handle_gone_leaves_no_task_and_no_connection() {
    for frozen in [false, true] {
        let server = Server::new(Profile::Valkey9);
        let link = Link::new();
        let before = Handle::current().metrics().num_alive_tasks();
        let client = connect(Config::dialer(link.over(server.dialer()))).await;
        let guard = client.lock("l").acquire().await.unwrap();
        guard.release().await.unwrap();
        let mut call = Box::pin(client.ping());
        if frozen {
            server.freeze();
        }
        assert!(poll_once(&mut call).await.is_pending());
        drop(call);
        let mut changes = client.state_changes();
        drop(client);
        let closed = timeout(SECOND / 2, changes.next()).await;
        assert!(matches!(closed, Ok(Some(State::Closed(_)))), "frozen: {frozen}: {closed:?}");
        server.thaw();
        sleep(SECOND).await;
        assert_eq!((link.open(), server.connections()), (0, 0), "frozen: {frozen}");
        assert_eq!(Handle::current().metrics().num_alive_tasks(), before, "frozen: {frozen}");
    }
}

/// The handles of sockets that this process has open.
#[cfg(target_os = "linux")]
fn sockets() -> usize {
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    let target = |entry: io::Result<std::fs::DirEntry>| std::fs::read_link(entry.ok()?.path()).ok();
    open.filter_map(target).filter(|to| to.to_string_lossy().starts_with("socket:")).count()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn last_handle_gone_leaves_no_socket_of_any_connection() {
    let server = Server::new(Profile::Valkey9);
    let address = server.listen_tcp().await.unwrap();
    let metrics = Handle::current().metrics();
    let (tasks, before) = (metrics.num_alive_tasks(), sockets());
    let config = Config::from_url(&format!("redis://{address}")).unwrap().connections(2);
    let client = connect(config).await;
    let guard = client.lock("l").acquire().await.unwrap();
    let listening = client.subscribe("c").await.unwrap();
    let _: Option<(String, String)> =
        client.blocking_command("BLPOP").arg(("q", 0.01)).send().await.unwrap();
    // Two for data, and one each for locks, for subscriptions and leased, with two handles each; and the server's ends of them.
    eventually("all are open", async || sockets() == before + 5 * 2 + 5).await;
    drop((guard, listening, client));
    let left = async || (sockets() - before, metrics.num_alive_tasks() - tasks) == (0, 0);
    eventually("nothing is left", left).await;
    assert_eq!(server.connections(), 0);
}
