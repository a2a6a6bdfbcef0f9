//! Subscriptions when something goes wrong, or is slow. In process, on a paused clock.

use crate::support::{eventually, poll_once};
use std::time::Duration;
use tenure::client::{Event, Gap, Subscription};
use tenure::{Backoff, Client, Config, ErrorKind, Outcome, ProtocolChoice};
use tenure_server::{Fault, Profile, Server};
use tokio::time::{Instant, sleep};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn config(server: &Server) -> Config {
    Config::dialer(server.dialer()).reconnect(Backoff::new(3 * MS, 1.0, 3 * MS))
}

async fn connect(server: &Server) -> Client {
    Client::with_config(config(server)).await.unwrap()
}

/// What is there by now, as text.
async fn heard(subscription: &mut Subscription) -> Vec<String> {
    let mut heard = Vec::new();
    loop {
        sleep(MS).await;
        let mut next = Box::pin(subscription.next());
        let std::task::Poll::Ready(event) = poll_once(&mut next).await else { return heard };
        heard.push(match event {
            Ok(Event::Message(message)) => message.read().unwrap(),
            Ok(Event::Gap(Gap::Reconnected)) => "reconnected".to_owned(),
            Ok(Event::Gap(Gap::Lagged { missed })) => format!("missed {missed}"),
            Ok(other) => format!("{other:?}"),
            Err(error) => {
                let text = format!("{:?}", error.kind());
                if error.is_closed() {
                    heard.push(text);
                    return heard;
                }
                text
            }
        });
    }
}

async fn publish(client: &Client, channel: &str, texts: &[&str]) {
    for text in texts {
        client.publish(channel, text).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn outage_is_one_gap_between_what_came_before_and_what_comes_after() {
    for protocol in [ProtocolChoice::Resp2, ProtocolChoice::Resp3] {
        let server = Server::new(Profile::Valkey9);
        let client = Client::with_config(config(&server).protocol(protocol)).await.unwrap();
        let mut subscription = client.subscribe(["a", "b"]).await.unwrap();
        let mut other = client.subscribe("a").await.unwrap();
        publish(&client, "a", &["1", "2"]).await;
        server.refuse_connections(true);
        server.kill_connections();
        sleep(50 * MS).await;
        server.refuse_connections(false);
        sleep(50 * MS).await;
        publish(&client, "b", &["3"]).await;
        publish(&client, "a", &["4"]).await;
        assert_eq!(heard(&mut subscription).await, ["1", "2", "reconnected", "3", "4"]);
        assert_eq!(heard(&mut other).await, ["1", "2", "reconnected", "4"]);
    }
}

#[tokio::test(start_paused = true)]
async fn gap_stands_in_front_of_messages_that_come_together_with_the_confirmation() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    let mut subscription = client.subscribe("a").await.unwrap();
    server.fault(Fault::delay_reply(20 * MS).on("SUBSCRIBE"));
    server.kill_connections();
    sleep(15 * MS).await;
    publish(&client, "a", &["1", "2"]).await;
    sleep(20 * MS).await;
    assert_eq!(heard(&mut subscription).await, ["reconnected", "1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn more_channels_that_are_given_up_at_any_poll_are_not_listened_to_and_the_others_stay() {
    for delay in [Duration::ZERO, 2 * MS] {
        for polls in 1..20 {
            let server = Server::new(Profile::Redis7_0);
            let client = connect(&server).await;
            let mut subscription = client.subscribe("a").await.unwrap();
            server.fault(Fault::delay_reply(delay).on("SUBSCRIBE"));
            let mut more = Box::pin(subscription.subscribe(["a", "b"]));
            let mut ended = false;
            for _ in 0..polls {
                ended |= poll_once(&mut more).await.is_ready();
                if ended {
                    break;
                }
                sleep(MS).await;
            }
            drop(more);
            sleep(10 * MS).await;
            let told =
                [client.publish("a", "a").await.unwrap(), client.publish("b", "b").await.unwrap()];
            assert_eq!(told, [1, u64::from(ended)], "{delay:?}, {polls} polls");
            let wanted: &[&str] = if ended { &["a", "b"] } else { &["a"] };
            assert_eq!(heard(&mut subscription).await, wanted);
            if ended {
                break;
            }
        }
    }
}

/// Every message is told, or is covered by a gap that comes before anything that was published after it.
#[tokio::test(start_paused = true)]
async fn nothing_is_missed_behind_a_gap_whenever_the_connection_is_cut() {
    for cut in 0..60 {
        let server = Server::new(Profile::Redis7_0);
        let client = connect(&server).await;
        let mut subscription = client.subscribe(["a", "b", "c"]).await.unwrap();
        server.fault(Fault::cut_reply(cut).on("SUBSCRIBE").after(cut as u64 % 3).times(1));
        let publisher = tokio::spawn({
            let client = client.clone();
            async move {
                for number in 0..100 {
                    // A lost connection may have taken one with it.
                    let _ = client.publish(["a", "b", "c"][number % 3], number).await;
                    sleep(MS / 4).await;
                }
            }
        });
        sleep(5 * MS).await;
        server.kill_connections();
        publisher.await.unwrap();
        let heard = heard(&mut subscription).await;
        let gap = heard.iter().position(|event| event == "reconnected").unwrap();
        let after: Vec<i64> = heard[gap + 1..].iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(after.last(), Some(&99), "cut at {cut}: {heard:?}");
        let whole = after.windows(2).all(|pair| pair[0] + 1 == pair[1]);
        assert!(whole, "cut at {cut}: nothing is missing behind the gap: {heard:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn reader_that_is_slow_loses_the_oldest_is_told_how_many_and_disturbs_nobody() {
    let server = Server::new(Profile::Valkey9);
    let client = Client::with_config(config(&server).subscription_buffer(10_000)).await.unwrap();
    let mut slow = client.subscribe("c").await.unwrap();
    let mut quick = client.subscribe("c").await.unwrap();
    let text = "x".repeat(935); // a thousand bytes with the channel and what a message takes beside
    let mut read = 0;
    for _ in 0..1_000 {
        client.publish("c", &text).await.unwrap();
        read += heard(&mut quick).await.len();
    }
    assert_eq!(read, 1_000, "who reads in time misses nothing");
    let heard = heard(&mut slow).await;
    assert_eq!((heard[0].as_str(), heard.len()), ("missed 990", 11));
    assert_eq!(server.log().iter().filter(|entry| entry.name() == "SUBSCRIBE").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn topic_that_is_refused_after_a_reconnect_is_told_and_the_others_go_on() {
    let server = Server::new(Profile::Redis7_0);
    let client = connect(&server).await;
    let mut subscription = client.subscribe(["a", "b"]).await.unwrap();
    server.fault(Fault::error("NOPERM no").on("SUBSCRIBE").times(1));
    server.kill_connections();
    sleep(10 * MS).await;
    publish(&client, "a", &["refused"]).await;
    publish(&client, "b", &["1"]).await;
    assert_eq!(heard(&mut subscription).await, ["Server", "reconnected", "1"]);
    subscription.subscribe("a").await.unwrap();
    publish(&client, "a", &["2"]).await;
    assert_eq!(heard(&mut subscription).await, ["2"]);
}

#[tokio::test(start_paused = true)]
async fn server_that_is_busy_is_asked_again_without_haste() {
    let server = Server::new(Profile::Redis7_0);
    let client = connect(&server).await;
    server.fault(Fault::error("BUSY running a script").on("SUBSCRIBE").times(5));
    let begun = Instant::now();
    let _subscription = client.subscribe("a").await.unwrap();
    assert_eq!(begun.elapsed(), 500 * MS);
    assert_eq!(server.log().iter().filter(|entry| entry.name() == "SUBSCRIBE").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn credentials_that_were_changed_are_told_and_dialled_on_with() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    let mut subscription = client.subscribe("a").await.unwrap();
    let rule = server.fault(Fault::error("WRONGPASS invalid username-password pair").on("HELLO"));
    server.kill_connections();
    sleep(SECOND).await;
    assert_eq!(heard(&mut subscription).await, ["Handshake"], "once, however often it is tried");
    let error = client.subscribe("b").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Handshake);
    rule.remove();
    sleep(SECOND).await;
    publish(&client, "a", &["1"]).await;
    assert_eq!(heard(&mut subscription).await, ["reconnected", "1"]);
}

#[tokio::test(start_paused = true)]
async fn server_that_cannot_be_reached_is_a_time_out_that_names_the_reason() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    server.refuse_connections(true);
    let begun = Instant::now();
    let error = client.subscribe("a").await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::Unknown));
    assert!(std::error::Error::source(&error).is_some(), "{error:?}");
    assert_eq!(begun.elapsed(), 4 * SECOND, "connect time-out and response time-out");
    server.refuse_connections(false);
    sleep(SECOND).await;
    assert_eq!(server.connections(), 1, "what was given up is not opened");
    client.subscribe("a").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn subscription_that_hears_nothing_for_an_hour_is_kept_alive_on_both_protocols() {
    for protocol in [ProtocolChoice::Resp2, ProtocolChoice::Resp3] {
        let server = Server::new(Profile::Redis6_2);
        let client = Client::with_config(config(&server).protocol(protocol)).await.unwrap();
        let mut subscription = client.subscribe("a").await.unwrap();
        let pings = || server.log().iter().filter(|entry| entry.name() == "PING").count();
        let before = pings();
        sleep(3_600 * SECOND).await;
        assert!(pings() - before > 1_000, "both connections asked");
        publish(&client, "a", &["1"]).await;
        assert_eq!(heard(&mut subscription).await, ["1"]);
        server.freeze();
        sleep(5 * SECOND).await;
        server.thaw();
        sleep(SECOND).await;
        publish(&client, "a", &["2"]).await;
        assert_eq!(heard(&mut subscription).await, ["reconnected", "2"]);
    }
}

#[tokio::test(start_paused = true)]
async fn subscription_that_the_server_ends_by_itself_is_begun_again() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    let mut subscription = client.ssubscribe("a").await.unwrap();
    let asked = server.log().into_iter().find(|entry| entry.name() == "SSUBSCRIBE").unwrap();
    // What a cluster says when a slot moves away.
    let ended = Fault::stray_bytes(">3\r\n$12\r\nsunsubscribe\r\n$1\r\na\r\n:0\r\n");
    server.fault(ended.on("PING").on_connection(asked.connection).times(1));
    sleep(10 * SECOND).await;
    client.command("SPUBLISH").arg(("a", "1")).send::<()>().await.unwrap();
    assert_eq!(heard(&mut subscription).await, ["reconnected", "1"]);
}

#[tokio::test(start_paused = true)]
async fn last_subscription_closes_the_connection_and_the_next_one_opens_another() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    for _ in 0..3 {
        let first = client.subscribe("a").await.unwrap();
        let second = client.psubscribe("b*").await.unwrap();
        assert_eq!(server.connections(), 2);
        drop(first);
        sleep(SECOND).await;
        assert_eq!(server.connections(), 2);
        drop(second);
        sleep(SECOND).await;
        assert_eq!(server.connections(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn subscription_outlives_its_client_but_not_its_closing() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    let mut subscription = client.subscribe("a").await.unwrap();
    drop(client);
    let other = connect(&server).await;
    publish(&other, "a", &["1"]).await;
    assert_eq!(heard(&mut subscription).await, ["1"]);
    drop(subscription);

    let mut subscription = other.subscribe("a").await.unwrap();
    publish(&other, "a", &["2"]).await;
    other.close(SECOND).await;
    assert_eq!(heard(&mut subscription).await, ["2", "Closed"]);
    let error = subscription.subscribe("b").await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Closed, Outcome::NotSent));
    let error = other.subscribe("b").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    eventually("no connection is left", async || server.connections() == 0).await;
}

#[test]
fn subscription_whose_runtime_has_ended_says_so() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (first, second) = (runtime(), runtime());
    let server = Server::new(Profile::Valkey9);
    let mut subscription =
        first.block_on(async { connect(&server).await.subscribe("a").await.unwrap() });
    drop(first);
    let error = second.block_on(subscription.next()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    assert!(error.to_string().contains("runtime"), "{error}");
}

#[test]
fn subscribing_after_the_end_of_the_runtime_is_an_error() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (first, second) = (runtime(), runtime());
    let server = Server::new(Profile::Valkey9);
    let client = first.block_on(connect(&server));
    drop(first);
    for _ in 0..2 {
        let error = second.block_on(client.subscribe("a")).unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Closed, Outcome::NotSent));
        assert!(error.to_string().contains("runtime"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn thousand_subscriptions_to_thousand_channels_share_one_connection() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    let mut subscriptions = Vec::new();
    for number in 0..1_000 {
        subscriptions.push(client.subscribe((format!("c{number}"), "all")).await.unwrap());
    }
    assert_eq!(server.connections(), 2);
    server.kill_connections();
    sleep(SECOND).await;
    publish(&client, "all", &["news"]).await;
    client.publish("c7", "seven").await.unwrap();
    for (number, subscription) in subscriptions.iter_mut().enumerate() {
        let wanted: &[&str] =
            if number == 7 { &["reconnected", "news", "seven"] } else { &["reconnected", "news"] };
        assert_eq!(heard(subscription).await, wanted, "{number}");
    }
    drop(subscriptions);
    sleep(SECOND).await;
    assert_eq!(server.connections(), 1);
}
