//! What an observer is told, and what it cannot break. In process, on a paused clock.

use crate::support::{eventually, poll_once};
use std::any::Any;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tenure::client::Subscription;
use tenure::observe::{
    CommandEnd, ConnectionEvent, LockEvent, Note, ObservedCommand, Observer, Peer, Traffic,
};
use tenure::{Client, Config, LostCause, Options, Renewal};
use tenure_server::{Fault, Profile, Server};
use tokio::time::sleep;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Writes down what it is told, one line each.
#[derive(Debug, Default)]
struct Diary {
    commands: Mutex<Vec<String>>,
    connections: Mutex<Vec<String>>,
    locks: Mutex<Vec<String>>,
    traffic: Mutex<Vec<Traffic>>,
    /// Begun and not ended.
    open: Mutex<i64>,
}

impl Diary {
    fn commands(&self) -> Vec<String> {
        std::mem::take(&mut self.commands.lock().unwrap())
    }

    fn connections(&self) -> Vec<String> {
        std::mem::take(&mut self.connections.lock().unwrap())
    }

    fn locks(&self) -> Vec<String> {
        std::mem::take(&mut self.locks.lock().unwrap())
    }
}

impl Observer for Diary {
    fn command_started(&self, command: &ObservedCommand<'_>) -> Note {
        *self.open.lock().unwrap() += 1;
        Some(Box::new(command.name.to_owned()))
    }

    fn command_ended(&self, command: &ObservedCommand<'_>, end: &CommandEnd<'_>, note: Note) {
        *self.open.lock().unwrap() -= 1;
        let begun_as = note.and_then(|note: Box<dyn Any + Send>| note.downcast::<String>().ok());
        assert_eq!(begun_as.as_deref().map(String::as_str), Some(command.name));
        let ObservedCommand { peer, name, commands, bytes, .. } = command;
        let how = end.error_type().unwrap_or("ok");
        let ms = end.took.as_millis();
        let line = format!("{} {name} x{commands} {bytes} B: {how} after {ms} ms", peer.purpose);
        self.commands.lock().unwrap().push(line);
    }

    fn traffic(&self, _: &Peer, traffic: &Traffic) {
        self.traffic.lock().unwrap().push(*traffic);
    }

    fn connection_changed(&self, peer: &Peer, event: &ConnectionEvent<'_>) {
        let what = match event {
            ConnectionEvent::Opened { again: false, .. } => "opened",
            ConnectionEvent::Opened { again: true, .. } => "opened again",
            ConnectionEvent::Lost { .. } => "lost",
            ConnectionEvent::NotOpened { .. } => "not opened",
            ConnectionEvent::Refused { .. } => "refused",
            ConnectionEvent::Closed => "closed",
            other => panic!("{other:?} is new"),
        };
        self.connections.lock().unwrap().push(format!("{} {what}", peer.purpose));
    }

    fn lock_changed(&self, key: &str, event: &LockEvent) {
        let what = match event {
            LockEvent::Acquired { waited, .. } => {
                format!("acquired after {} ms", waited.as_millis())
            }
            LockEvent::NotAcquired { waited, why, .. } => {
                format!("not acquired after {} ms: {}", waited.as_millis(), why.as_str())
            }
            LockEvent::Renewed { margin, .. } => {
                format!("renewed with {} ms left", margin.as_millis())
            }
            LockEvent::Lost { held, cause, .. } => {
                format!("lost after {} ms: {cause:?}", held.as_millis())
            }
            LockEvent::Released { held, how, .. } => {
                format!("released after {} ms: {}", held.as_millis(), how.as_str())
            }
            other => panic!("{other:?} is new"),
        };
        self.locks.lock().unwrap().push(format!("{key} {what}"));
    }
}

async fn observed(server: &Server) -> (Client, Arc<Diary>) {
    let diary = Arc::new(Diary::default());
    let config = Config::dialer(server.dialer()).observer(diary.clone());
    (Client::with_config(config).await.unwrap(), diary)
}

#[tokio::test(start_paused = true)]
async fn commands_are_told_with_name_size_duration_and_outcome() {
    let server = Server::new(Profile::Valkey9);
    let (client, diary) = observed(&server).await;
    server.fault(Fault::delay_reply(30 * MS).on("SET").times(1));
    client.set("k", "secret").await.unwrap();
    client.incr("k").await.unwrap_err();
    server.fault(Fault::delay_reply(2 * SECOND).on("GET").times(1));
    client.get("k").await.unwrap_err();
    sleep(2 * SECOND).await;
    server.fault(Fault::close().on("DEL").times(1));
    client.del("k").await.unwrap_err();
    assert_eq!(
        diary.commands(),
        [
            "data SET x1 32 B: ok after 30 ms",
            "data INCR x1 21 B: ERR after 0 ms",
            "data GET x1 20 B: timeout after 1000 ms",
            "data DEL x1 20 B: disconnected after 0 ms",
        ]
    );
    client.ping().await.unwrap(); // on a new connection
    diary.commands();
    let (reply, _): (Result<i64, tenure::Error>, Option<String>) =
        client.pipeline().incr("k").get("k").send().await.unwrap();
    reply.unwrap_err();
    let _: (i64, i64) = client.transaction().incr("n").incr("n").send().await.unwrap();
    assert_eq!(
        diary.commands(),
        [
            "data PIPELINE x2 41 B: ERR after 0 ms",
            "data MULTI x2 29 B: ok after 0 ms",
            "data MULTI x4 71 B: ok after 0 ms",
        ]
    );
    assert_eq!(*diary.open.lock().unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn commands_whose_caller_went_away_end_with_their_answer_or_are_withdrawn() {
    let server = Server::new(Profile::Valkey9);
    let (client, diary) = observed(&server).await;
    server.fault(Fault::delay_reply(30 * MS).on("GET").times(1));
    let mut abandoned = Box::pin(client.get("k"));
    assert!(poll_once(&mut abandoned).await.is_pending());
    drop(abandoned);
    sleep(40 * MS).await;
    assert_eq!(diary.commands(), ["data GET x1 20 B: ok after 30 ms"]);

    server.refuse_connections(true);
    server.kill_connections();
    sleep(MS).await;
    let mut abandoned = Box::pin(client.get("k"));
    assert!(poll_once(&mut abandoned).await.is_pending());
    drop(abandoned);
    client.del("k").await.unwrap_err();
    assert_eq!(
        diary.commands(),
        ["data DEL x1 20 B: timeout after 1000 ms", "data GET x1 20 B: withdrawn after 1000 ms"]
    );
    assert_eq!(*diary.open.lock().unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn connections_are_told_from_their_first_opening_to_their_end() {
    let server = Server::new(Profile::Valkey9);
    let (client, diary) = observed(&server).await;
    client.ping().await.unwrap();
    server.refuse_connections(true);
    server.kill_connections();
    eventually("a failed attempt", async || diary.connections.lock().unwrap().len() > 2).await;
    server.refuse_connections(false);
    client.ping().await.unwrap();
    let told = diary.connections();
    assert_eq!(told[..3], ["data opened", "data lost", "data not opened"]);
    assert_eq!(told.last().unwrap(), "data opened again");

    drop(client.lock("k").acquire().await.unwrap());
    let mut messages = client.subscribe("c").await.unwrap();
    client.publish("c", "x").await.unwrap();
    messages.next().await.unwrap();
    let _: Option<(String, String)> =
        client.blocking_command("BLPOP").arg(("q", 1)).send().await.unwrap();
    drop(messages);
    client.close(SECOND).await;
    let mut told = diary.connections();
    told.sort();
    assert_eq!(
        told,
        [
            "data closed",
            "leased closed",
            "leased opened",
            "locks closed",
            "locks opened",
            "subscriptions closed",
            "subscriptions opened"
        ]
    );
    let purposes: Vec<_> = diary.commands();
    for command in ["locks SET", "locks DELIFEQ", "subscriptions SUBSCRIBE", "leased BLPOP"] {
        assert!(purposes.iter().any(|line| line.starts_with(command)), "{command}: {purposes:?}");
    }
    assert_eq!(*diary.open.lock().unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn traffic_tells_commands_per_write() {
    let server = Server::new(Profile::Valkey9);
    let (client, diary) = observed(&server).await;
    let crowd = (0..100).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { client.ping().await.unwrap() })
    });
    for caller in crowd.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    let (stats, mut sums) = (client.stats(), [0; 6]);
    for traffic in diary.traffic.lock().unwrap().iter() {
        let (at, counts) = match *traffic {
            Traffic::Wrote { writes, bytes, commands, .. } => (0, [writes, bytes, commands]),
            Traffic::Read { reads, bytes, frames, .. } => (3, [reads, bytes, frames]),
            other => panic!("{other:?} is new"),
        };
        for (sum, count) in sums[at..].iter_mut().zip(counts) {
            *sum += count;
        }
    }
    let [writes, bytes_out, commands, reads, bytes_in, frames] = sums;
    assert_eq!((writes, bytes_out, commands), (stats.writes, stats.bytes_out, stats.commands));
    assert_eq!((reads, bytes_in, frames), (stats.reads, stats.bytes_in, 100));
    assert!(commands >= 10 * writes, "{commands} commands in {writes} writes");
}

#[tokio::test(start_paused = true)]
async fn locks_are_told_from_the_call_to_what_came_of_the_release() {
    let server = Server::new(Profile::Valkey9);
    let (client, diary) = observed(&server).await;
    let lock = client.lock("k");
    let guard = lock.acquire().await.unwrap();
    assert!(client.lock("k").try_acquire().await.unwrap().is_none());
    lock.acquire_for(50 * MS).await.unwrap_err();
    let mut quitter = Box::pin(lock.acquire());
    assert!(poll_once(&mut quitter).await.is_pending());
    sleep(10 * MS).await;
    drop(quitter);
    let mut next = Box::pin(lock.acquire());
    assert!(poll_once(&mut next).await.is_pending());
    sleep(40 * MS).await;
    guard.release().await.unwrap();
    drop(next.await.unwrap());
    sleep(MS).await;
    assert_eq!(
        diary.locks(),
        [
            "lk:k acquired after 0 ms",
            "lk:k not acquired after 0 ms: held",
            "lk:k not acquired after 50 ms: timed_out",
            "lk:k not acquired after 10 ms: gave_up",
            "lk:k released after 100 ms: confirmed",
            "lk:k acquired after 40 ms",
            "lk:k released after 0 ms: confirmed",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn renewals_and_losses_are_told_with_their_margin_and_cause() {
    let server = Server::new(Profile::Valkey9);
    let (client, diary) = observed(&server).await;
    let guard = client.lock("k").acquire().await.unwrap();
    sleep(4 * SECOND).await;
    server.del("lk:k");
    assert_eq!(guard.lost().await, LostCause::Deleted);
    drop(guard);
    let once = Options::new().lease(SECOND).renewal(Renewal::Off);
    let guard = client.lock("short").options(once).acquire().await.unwrap();
    assert_eq!(guard.lost().await, LostCause::Expired);
    drop(guard);
    server.set_list("lk:list", "x");
    client.lock("list").acquire().await.unwrap_err();
    client.close(SECOND).await;
    client.lock("k").acquire().await.unwrap_err();
    assert_eq!(
        diary.locks(),
        [
            "lk:k acquired after 0 ms",
            "lk:k renewed with 6644 ms left",
            "lk:k lost after 4000 ms: Deleted",
            "lk:short acquired after 0 ms",
            "lk:short lost after 996 ms: Expired",
            "lk:list not acquired after 0 ms: failed",
            "lk:k not acquired after 0 ms: failed",
        ]
    );
}

/// Panics at whatever it is told.
struct Grump;

impl Observer for Grump {
    fn command_started(&self, _: &ObservedCommand<'_>) -> Note {
        panic!("a command began")
    }

    fn command_ended(&self, _: &ObservedCommand<'_>, _: &CommandEnd<'_>, _: Note) {
        panic!("a command ended")
    }

    fn traffic(&self, _: &Peer, _: &Traffic) {
        panic!("there is traffic")
    }

    fn connection_changed(&self, _: &Peer, _: &ConnectionEvent<'_>) {
        panic!("a connection did something")
    }

    fn lock_changed(&self, _: &str, _: &LockEvent) {
        panic!("a lock did something")
    }
}

#[tokio::test(start_paused = true)]
async fn observer_that_panics_breaks_nothing() {
    let server = Server::new(Profile::Valkey9);
    let config = Config::dialer(server.dialer()).observer(Arc::new(Grump));
    let client = Client::with_config(config).await.unwrap();
    client.set("k", "v").await.unwrap();
    assert_eq!(client.get("k").await.unwrap().as_deref(), Some(&b"v"[..]));
    let guard = client.lock("k").acquire().await.unwrap();
    server.kill_connections();
    eventually("a call that succeeds", async || client.ping().await.is_ok()).await;
    guard.release().await.unwrap();
    client.close(SECOND).await;
    sleep(SECOND).await;
    assert_eq!((server.connections(), server.keys().len()), (0, 1));
}

/// Asks the client whatever it can be asked, from wherever it is called.
#[derive(Default)]
struct Curious(Mutex<Option<(Client, Arc<Subscription>)>>);

impl Curious {
    fn ask(&self) {
        let known = self.0.lock().unwrap().clone();
        if let Some((client, listening)) = known {
            let _ = (client.stats(), client.state(), format!("{client:?}"));
            listening.unsubscribe("nothing");
        }
    }
}

impl Observer for Curious {
    fn command_started(&self, _: &ObservedCommand<'_>) -> Note {
        self.ask();
        None
    }

    fn command_ended(&self, _: &ObservedCommand<'_>, _: &CommandEnd<'_>, _: Note) {
        self.ask();
    }

    fn traffic(&self, _: &Peer, _: &Traffic) {
        self.ask();
    }

    fn connection_changed(&self, _: &Peer, _: &ConnectionEvent<'_>) {
        self.ask();
    }

    fn lock_changed(&self, _: &str, _: &LockEvent) {
        self.ask();
    }
}

#[tokio::test(start_paused = true)]
async fn observer_may_ask_the_client_anything() {
    let server = Server::new(Profile::Valkey9);
    let curious = Arc::new(Curious::default());
    let config = Config::dialer(server.dialer()).observer(curious.clone());
    let client = Client::with_config(config).await.unwrap();
    let listening = Arc::new(client.subscribe("c").await.unwrap());
    *curious.0.lock().unwrap() = Some((client.clone(), Arc::clone(&listening)));
    client.set("k", "v").await.unwrap();
    listening.subscribe("d").await.unwrap();
    listening.unsubscribe("d");
    let guard = client.lock("k").acquire().await.unwrap();
    server.kill_connections();
    eventually("a call that succeeds", async || client.ping().await.is_ok()).await;
    guard.release().await.unwrap();
    client.close(SECOND).await;
    *curious.0.lock().unwrap() = None;
}
