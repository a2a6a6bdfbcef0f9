//! The line for a fair lock, as those of one process stand in it: they are served in the order of their coming, whatever happens to
//! their connection or the line, and few of them ask. In process, on a paused clock.

use crate::support::Counting;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tenure::{Client, Config, Lock, Options};
use tenure_server::{AclRules, Ending, Link, Profile, Server, Way};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

fn fair(client: &Client) -> Lock {
    client.lock("l").options(Options::new().lease(120 * SECOND)).fair()
}

/// Those who wait, and when each of them was served.
struct Waiters {
    begun: Instant,
    served: Arc<Mutex<Vec<(u32, Duration)>>>,
    tasks: JoinSet<()>,
}

impl Waiters {
    fn new() -> Self {
        Self { begun: Instant::now(), served: Arc::default(), tasks: JoinSet::new() }
    }

    /// Somebody waits, for so long at most, and works for ten milliseconds once it has the lock.
    fn add(&mut self, client: &Client, number: u32, patience: Duration) {
        let (lock, served, begun) = (fair(client), Arc::clone(&self.served), self.begun);
        self.tasks.spawn(async move {
            let Ok(guard) = lock.acquire_for(patience).await else { return };
            served.lock().unwrap().push((number, begun.elapsed()));
            sleep(10 * MS).await;
            guard.release().await.unwrap();
        });
    }

    async fn add_all(&mut self, client: &Client, count: u32, apart: Duration) {
        for number in 0..count {
            self.add(client, number, 1_000 * SECOND);
            sleep(apart).await;
        }
    }

    /// Who was served, in their order, and when the last one was.
    async fn end(mut self) -> (Vec<u32>, Duration) {
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        let served = self.served.lock().unwrap();
        let last = served.last().map_or(Duration::ZERO, |(_, at)| *at);
        (served.iter().map(|(number, _)| *number).collect(), last)
    }
}

async fn connect(server: &Server) -> Client {
    Client::with_config(Config::dialer(server.dialer())).await.unwrap()
}

fn lose_the_line(server: &Server) {
    server.del("{lk:l}:q");
    server.del("{lk:l}:w");
}

#[tokio::test(start_paused = true)]
async fn order_outlives_outages() {
    for seconds in [2, 9, 22] {
        for lost in [false, true] {
            let server = Server::new(Profile::Valkey9);
            let (holder, client) = (connect(&server).await, connect(&server).await);
            let (held, mut waiters) = (fair(&holder).acquire().await.unwrap(), Waiters::new());
            waiters.add_all(&client, 10, 10 * MS).await;
            sleep(4 * SECOND).await;
            server.refuse_connections(true);
            server.kill_connections();
            sleep(seconds * SECOND).await;
            if lost {
                lose_the_line(&server);
            }
            server.refuse_connections(false);
            sleep(2 * SECOND).await;
            held.release().await.unwrap();
            let (order, _) = waiters.end().await;
            assert_eq!(order, (0..10).collect::<Vec<_>>(), "{seconds} s, lost: {lost}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_had_not_asked_when_the_connection_was_lost_goes_before_nobody() {
    for (standing, crowd) in [(10, 2), (0, 100), (10, 100)] {
        let (server, link) = (Server::new(Profile::Valkey9), Link::new());
        link.window(64); // no question fits
        let holder = connect(&server).await;
        let client = Client::with_config(Config::dialer(link.over(server.dialer()))).await.unwrap();
        client.lock("other").acquire().await.unwrap().release().await.unwrap();
        let (held, mut waiters) = (fair(&holder).acquire().await.unwrap(), Waiters::new());
        waiters.add_all(&client, standing, 10 * MS).await;
        link.hold(Way::ToServer);
        for number in standing..standing + crowd {
            waiters.add(&client, number, 1_000 * SECOND);
            sleep(MS).await;
        }
        link.cut(Ending::Reset);
        lose_the_line(&server);
        link.heal();
        sleep(2 * SECOND).await;
        held.release().await.unwrap();
        let (order, _) = waiters.end().await;
        assert_eq!(order, (0..standing + crowd).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn line_that_was_lost_forms_anew_in_its_order_and_at_once() {
    let server = Server::new(Profile::Valkey9);
    let (holder, client) = (connect(&server).await, connect(&server).await);
    let (held, mut waiters) = (fair(&holder).acquire().await.unwrap(), Waiters::new());
    waiters.add_all(&client, 10, 10 * MS).await;
    lose_the_line(&server);
    held.release().await.unwrap();
    let (order, last) = waiters.end().await;
    assert_eq!(order, (0..10).collect::<Vec<_>>());
    assert!(last < 6 * SECOND, "the last one was served after {last:?}");
}

#[tokio::test(start_paused = true)]
async fn process_keeps_its_place_while_the_patience_of_its_waiters_ends() {
    let server = Server::new(Profile::Valkey9);
    let [holder, client, other] =
        [connect(&server).await, connect(&server).await, connect(&server).await];
    let (held, mut waiters) = (fair(&holder).acquire().await.unwrap(), Waiters::new());
    for number in 1..=5 {
        waiters.add(&client, number, if number == 5 { 100 } else { 5 * number } * SECOND);
    }
    sleep(SECOND).await;
    waiters.add(&other, 6, 100 * SECOND);
    sleep(18 * SECOND).await;
    held.release().await.unwrap();
    let (order, last) = waiters.end().await;
    assert_eq!(order, [4, 5, 6]);
    assert!(last < 20 * SECOND, "the last one was served after {last:?}");
}

#[tokio::test(start_paused = true)]
async fn waiters_that_may_not_publish_ask_for_their_turn() {
    let rules = AclRules::all().deny("publish");
    let server = Server::builder(Profile::Valkey9).user("mute", "p", rules).build();
    let mute = Config::dialer(server.dialer()).username("mute").password("p");
    let client = Client::with_config(mute).await.unwrap();
    let (held, mut waiters) = (fair(&client).acquire().await.unwrap(), Waiters::new());
    waiters.add_all(&client, 8, 700 * MS).await;
    held.release().await.unwrap();
    let (order, last) = waiters.end().await;
    assert_eq!(order.len(), 8);
    assert!(last < 16 * SECOND, "{order:?}, the last one was served after {last:?}");
}

#[tokio::test(start_paused = true)]
async fn thousand_waiters_ask_once_in_five_seconds() {
    let server = Server::new(Profile::Valkey9);
    let (holder, client) = (connect(&server).await, connect(&server).await);
    let (held, mut waiters) = (fair(&holder).acquire().await.unwrap(), Waiters::new());
    waiters.add_all(&client, 1_000, Duration::ZERO).await;
    sleep(10 * SECOND).await;
    let asked = || server.log().iter().filter(|logged| logged.name().starts_with("EVAL")).count();
    let before = asked();
    sleep(100 * SECOND).await;
    let asked = asked() - before;
    assert!((15..30).contains(&asked), "asked {asked} times");
    held.release().await.unwrap();
    let (order, _) = waiters.end().await;
    assert_eq!(order, (0..1_000).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn whoever_is_given_the_lock_confirms_that_if_it_keeps_it() {
    for (works, writes) in [(9, 1), (12, 2)] {
        let (server, counting) = (Server::new(Profile::Valkey9), Counting::default());
        let (ours, theirs) = (connect(&server).await, counting.config(&server));
        let lock = fair(&Client::with_config(theirs).await.unwrap());
        let held = fair(&ours).acquire().await.unwrap();
        let next = tokio::spawn(async move { lock.acquire().await.unwrap() });
        sleep(SECOND).await;
        let before = counting.writes();
        held.release().await.unwrap();
        let guard = next.await.unwrap();
        assert_eq!(counting.writes(), before, "it has its turn before anything is written");
        sleep(works * MS).await;
        guard.release().await.unwrap();
        assert_eq!(counting.writes(), before + writes, "after {works} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn grants_of_many_locks_that_are_released_soon_are_not_confirmed() {
    let server = Server::new(Profile::Valkey9);
    let clients = [connect(&server).await, connect(&server).await];
    let mut tasks = JoinSet::new();
    for number in 0..8 {
        for client in clients.clone() {
            tasks.spawn(async move {
                let lock = client.lock(format!("l{number}")).fair();
                sleep(number * MS).await;
                for _ in 0..10 {
                    let guard = lock.acquire().await.unwrap();
                    sleep(5 * MS).await;
                    guard.release().await.unwrap();
                }
            });
        }
    }
    tasks.join_all().await;
    let log = server.log();
    let confirmed = log.iter().filter(|said| said.line().contains(" IFEQ ")).count();
    assert_eq!(confirmed, 0, "of 160");
}
