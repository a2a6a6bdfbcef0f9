//! A way to the server that fails at every single byte: what becomes of the calls on their way, and of the next ones. In process,
//! on a paused clock.

use crate::support::is_quiet;
use std::time::Duration;
use tenure::{Backoff, Client, Config, Error, ErrorKind, Outcome};
use tenure_server::{Ending, Flaw, Link, Profile, Server, Way};
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
/// How long anything may go unnoticed.
const NOTICED: Duration = Duration::from_secs(5);
const ENDINGS: [Ending; 3] = [Ending::Reset, Ending::Close, Ending::Silence];
const WAYS: [Way; 2] = [Way::ToServer, Way::ToClient];

/// A client and its server, with a link in between.
struct Scene {
    server: Server,
    link: Link,
    client: Client,
}

/// Three calls that are on their way together, and what became of each.
#[derive(Debug)]
struct Script {
    set: Result<(), Error>,
    incr: Result<i64, Error>,
    get: Result<Option<String>, Error>,
}

/// Where requests and replies of the script end, counted in bytes.
const NAMES: [&str; 3] = ["SET", "INCR", "GET"];
const REPLIES: [&str; 3] = ["+OK\r\n", ":8\r\n", "$5\r\nthree\r\n"];

fn config(server: &Server, link: &Link) -> Config {
    Config::dialer(link.over(server.dialer())).reconnect(Backoff::new(10 * MS, 1.0, 10 * MS))
}

impl Scene {
    async fn new() -> Self {
        let (server, link) = (Server::new(Profile::Valkey9), Link::new());
        server.set("two", "7");
        server.set("three", "three");
        let client = Client::with_config(config(&server, &link)).await.unwrap();
        server.clear_log();
        Self { server, link, client }
    }

    /// Makes the three calls, each of which has its deadline.
    async fn play(&self) -> Script {
        let begun = Instant::now();
        let get = self.client.command("GET").arg("three").send();
        let (set, incr, get) =
            tokio::join!(self.client.set("one", "one"), self.client.incr("two"), get);
        assert!(begun.elapsed() <= SECOND + MS, "{:?}", begun.elapsed());
        Script { set, incr, get }
    }

    /// Which of the three were executed.
    fn executed(&self) -> [bool; 3] {
        let log = self.server.log();
        NAMES.map(|name| log.iter().any(|entry| entry.name() == name))
    }

    /// The fault is over: the next calls work at once, and nothing is left of the ones before.
    async fn works_again(&self, place: &str) {
        for round in 0..3 {
            let words = format!("{place} {round}");
            let echoed: String =
                self.client.command("ECHO").arg(&words).send().await.expect(&words);
            assert_eq!(echoed, words);
        }
        assert!(is_quiet(&self.client), "{place}: {:?}", self.client);
        self.link.reap();
        sleep(MS).await;
        assert_eq!((self.link.open(), self.server.connections()), (1, 1), "{place}");
    }
}

impl Script {
    /// Whether each call got its own reply.
    ///
    /// # Panics
    ///
    /// If one got another reply, or an error that claims too much.
    fn succeeded(&self, place: &str) -> [bool; 3] {
        if let Ok(value) = &self.incr {
            assert_eq!(*value, 8, "{place}");
        }
        if let Ok(value) = &self.get {
            assert_eq!(value.as_deref(), Some("three"), "{place}");
        }
        let errors = [self.set.as_ref().err(), self.incr.as_ref().err(), self.get.as_ref().err()];
        for error in errors.into_iter().flatten() {
            // All three left in the first poll.
            assert_eq!(error.outcome(), Outcome::Unknown, "{place}: {error}");
        }
        errors.map(|error| error.is_none())
    }
}

fn ends<T: AsRef<[u8]>>(parts: impl IntoIterator<Item = T>) -> Vec<u64> {
    let mut at = 0;
    let sum = |part: T| {
        at += part.as_ref().len() as u64;
        at
    };
    parts.into_iter().map(sum).collect()
}

#[tokio::test(start_paused = true)]
async fn script_is_what_the_tables_here_say() {
    let scene = Scene::new().await;
    let before = WAYS.map(|way| scene.link.passed(way));
    assert_eq!(scene.play().await.succeeded("no fault"), [true; 3]);
    assert_eq!(scene.link.passed(Way::ToServer) - before[0], requests()[2]);
    assert_eq!(scene.link.passed(Way::ToClient) - before[1], ends(REPLIES)[2]);
    scene.works_again("no fault").await;
}

fn requests() -> Vec<u64> {
    ends([
        "*3\r\n$3\r\nSET\r\n$3\r\none\r\n$3\r\none\r\n",
        "*2\r\n$4\r\nINCR\r\n$3\r\ntwo\r\n",
        "*2\r\n$3\r\nGET\r\n$5\r\nthree\r\n",
    ])
}

#[tokio::test(start_paused = true)]
async fn connection_that_ends_within_the_replies_gives_each_caller_what_had_come() {
    let ends = ends(REPLIES);
    for ending in ENDINGS {
        for after in 0..=ends[2] {
            let place = format!("{ending:?} after {after} bytes of the replies");
            let scene = Scene::new().await;
            scene.link.flaw(Flaw::cut(Way::ToClient, ending).after(after));
            sleep(MS).await;
            let script = scene.play().await;
            if after == 0 && ending != Ending::Silence {
                // It ended before the calls were made, which are made on the next one.
                assert_eq!(script.succeeded(&place), [true; 3], "{place}");
            } else {
                let came = [ends[0] <= after, ends[1] <= after, ends[2] <= after];
                assert_eq!(script.succeeded(&place), came, "{place}");
                assert_eq!(scene.executed(), [after > 0; 3], "{place}");
            }
            if ending == Ending::Silence {
                sleep(NOTICED).await;
                assert_eq!(scene.link.dialled(), 2, "{place}: noticed within {NOTICED:?}");
            }
            scene.works_again(&place).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn connection_that_ends_within_the_requests_executes_the_whole_ones_only() {
    let ends = requests();
    for ending in ENDINGS {
        for after in 1..=ends[2] {
            let place = format!("{ending:?} after {after} bytes of the requests");
            let scene = Scene::new().await;
            scene.link.flaw(Flaw::cut(Way::ToServer, ending).after(after));
            let script = scene.play().await;
            let succeeded = script.succeeded(&place);
            let whole = [ends[0] <= after, ends[1] <= after, ends[2] <= after];
            let executed = scene.executed();
            assert_eq!(executed, whole, "{place}");
            for (succeeded, executed) in succeeded.into_iter().zip(executed) {
                assert!(executed || !succeeded, "{place}: answered without having run");
            }
            if ending == Ending::Silence {
                sleep(NOTICED).await;
                assert_eq!(scene.link.dialled(), 2, "{place}: noticed within {NOTICED:?}");
            }
            scene.works_again(&place).await;
        }
    }
}

/// How many bytes each way a handshake takes.
async fn handshake() -> [u64; 2] {
    let scene = Scene::new().await;
    WAYS.map(|way| scene.link.passed(way))
}

#[tokio::test(start_paused = true)]
async fn first_connection_that_ends_within_the_handshake_is_an_error_in_time() {
    for (way, bytes) in WAYS.into_iter().zip(handshake().await) {
        for ending in ENDINGS {
            for after in 0..bytes {
                let place = format!("{ending:?} after {after} bytes {way:?}");
                let (server, link) = (Server::new(Profile::Valkey9), Link::new());
                link.flaw(Flaw::cut(way, ending).after(after));
                let begun = Instant::now();
                let error = Client::with_config(config(&server, &link)).await.unwrap_err();
                assert!(begun.elapsed() <= 3 * SECOND + MS, "{place}: {:?}", begun.elapsed());
                assert_eq!(
                    (error.kind(), error.outcome()),
                    (ErrorKind::Connect, Outcome::NotSent),
                    "{place}: {error}"
                );
                link.reap();
                sleep(MS).await;
                assert_eq!((link.open(), server.connections()), (0, 0), "{place}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn later_connection_that_ends_within_the_handshake_is_dialled_again() {
    for (way, bytes) in WAYS.into_iter().zip(handshake().await) {
        for (first, ending) in (0..).zip(ENDINGS) {
            for after in (first..bytes).step_by(3) {
                let place = format!("{ending:?} after {after} bytes {way:?}");
                let scene = Scene::new().await;
                scene.link.flaw(Flaw::cut(way, ending).after(after).on_connection(1));
                scene.link.cut(Ending::Reset);
                sleep(MS).await;
                let called = scene.client.incr("two").await;
                if ending == Ending::Silence {
                    let error = called.unwrap_err();
                    assert_eq!(
                        (error.kind(), error.outcome()),
                        (ErrorKind::Timeout, Outcome::NotSent),
                        "{place}"
                    );
                    sleep(3 * SECOND).await;
                    assert!(!scene.executed()[1], "{place}: not sent is never sent later");
                } else {
                    assert_eq!(called.unwrap(), 8, "{place}");
                }
                assert_eq!(scene.link.dialled(), 3, "{place}");
                scene.works_again(&place).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn reply_that_is_damaged_costs_at_most_the_connection() {
    let ends = ends(REPLIES);
    for after in 0..ends[2] {
        for bit in 0..8 {
            let place = format!("bit {bit} of byte {after} of the replies");
            let scene = Scene::new().await;
            scene.link.flaw(Flaw::flip(Way::ToClient, 1 << bit).after(after));
            let mut script = scene.play().await;
            // Nobody can tell a value that was changed on its way; whoever it was meant for has it.
            if (ends[0]..ends[1]).contains(&after) && script.incr.is_ok() {
                script.incr = Ok(8);
            }
            if (ends[1]..ends[2]).contains(&after) && script.get.is_ok() {
                script.get = Ok(Some("three".into()));
            }
            for error in [script.set.err(), script.incr.err(), script.get.err()] {
                let Some(error) = error else { continue };
                let refused = error.kind() == ErrorKind::Server; // what the changed byte says
                assert!(refused || error.outcome() == Outcome::Unknown, "{place}: {error}");
            }
            sleep(NOTICED).await;
            scene.works_again(&place).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn request_that_is_damaged_costs_at_most_the_connection() {
    for after in 0..requests()[2] {
        for bits in [0x01, 0x10, 0x80] {
            let place = format!("bits {bits:02x} of byte {after} of the requests");
            let scene = Scene::new().await;
            scene.link.flaw(Flaw::flip(Way::ToServer, bits).after(after));
            scene.play().await;
            sleep(NOTICED).await;
            scene.works_again(&place).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_lost_cost_at_most_the_connection() {
    for (way, bytes) in [(Way::ToServer, requests()[2]), (Way::ToClient, ends(REPLIES)[2])] {
        for after in 0..bytes {
            for lost in [1, 4, 9] {
                let place = format!("{lost} bytes lost after {after} {way:?}");
                let scene = Scene::new().await;
                scene.link.flaw(Flaw::lose(way, lost).after(after));
                scene.play().await;
                sleep(NOTICED).await;
                scene.works_again(&place).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn drip_of_one_byte_is_slow_and_nothing_else() {
    let (server, link) = (Server::new(Profile::Valkey9), Link::new());
    server.set("two", "7");
    server.set("three", "three");
    let config = config(&server, &link).response_timeout(4 * SECOND);
    let client = Client::with_config(config).await.unwrap();
    let scene = Scene { server, link, client };
    for way in WAYS {
        scene.link.drip(way, 1, 10 * MS);
    }
    let begun = Instant::now();
    let get = scene.client.command("GET").arg("three").send::<String>();
    let (set, incr, get) =
        tokio::join!(scene.client.set("one", "one"), scene.client.incr("two"), get);
    assert_eq!((set.unwrap(), incr.unwrap(), get.unwrap().as_str()), ((), 8, "three"));
    assert!(begun.elapsed() > 10 * MS * 60);
    scene.link.heal();
    assert_eq!(scene.link.dialled(), 1);
    scene.works_again("drip").await;
}

#[tokio::test(start_paused = true)]
async fn drip_that_is_slower_than_deadlines_keeps_nobody_beyond_them() {
    let scene = Scene::new().await;
    scene.link.drip(Way::ToClient, 1, SECOND / 2);
    for _ in 0..20 {
        let begun = Instant::now();
        let error = scene.client.ping().await.unwrap_err();
        assert!(error.is_timeout(), "{error}");
        assert!(begun.elapsed() <= SECOND + MS);
    }
    scene.link.heal();
    sleep(SECOND).await;
    scene.works_again("drip").await;
}

#[tokio::test(start_paused = true)]
async fn tiny_windows_change_nothing() {
    for window in [1, 2, 3, 7, 64] {
        let (server, link) = (Server::new(Profile::Valkey9), Link::new());
        link.window(window);
        server.set("two", "7");
        server.set("three", "three");
        let client = Client::with_config(config(&server, &link)).await.unwrap();
        let scene = Scene { server, link, client };
        assert_eq!(scene.play().await.succeeded("tiny window"), [true; 3]);
        let large = "x".repeat(200 * window);
        let calls = (0..20).map(|number| {
            let (client, large) = (scene.client.clone(), format!("{number}{large}"));
            tokio::spawn(async move {
                let echoed: String = client.command("ECHO").arg(&large).send().await.unwrap();
                assert!(echoed == large);
            })
        });
        for call in calls.collect::<Vec<_>>() {
            call.await.unwrap();
        }
        scene.works_again("tiny window").await;
    }
}
