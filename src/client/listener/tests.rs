//! What is heard, in which order, and what becomes of it.

use super::*;
use crate::client::encode;
use crate::client::encode::Ink;
use crate::client::home::Home;
use crate::client::{Connection, Flush};
use crate::config::Config;
use crate::error::{ErrorKind, Outcome};
use crate::observe::Purpose;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tenure_server::{Fault, Profile, Server};
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// Writes down what it hears, as text.
#[derive(Default)]
struct Diary(Mutex<Vec<String>>);

impl Diary {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Listener for Diary {
    fn heard(&self, notices: &mut Vec<Notice>, _: Instant) -> Heard {
        let entries = notices.drain(..).map(|notice| match notice {
            Notice::Reply(tag, Ok(frame)) => format!("{tag}: {}", text(&frame)),
            Notice::Reply(tag, Err(error)) => format!("{tag}: {:?}", error.outcome()),
            Notice::Push(items) => text(&Frame::Array(items)),
        });
        self.0.lock().unwrap().extend(entries);
        Heard::Nothing
    }

    fn changed(&self, phase: &Phase) {
        let entry = match phase {
            Phase::Connecting(_) => "lost",
            Phase::Ready(_) => "ready",
            Phase::Refused(_) => "refused",
            Phase::Closed(_) => "closed",
        };
        self.0.lock().unwrap().push(entry.to_owned());
    }
}

fn text(frame: &Frame) -> String {
    match frame {
        Frame::Array(items) | Frame::Push(items) => {
            items.iter().map(text).collect::<Vec<_>>().join(" ")
        }
        Frame::Bulk(word) | Frame::Simple(word) => String::from_utf8_lossy(word).into_owned(),
        Frame::Integer(number) => number.to_string(),
        other => format!("{other:?}"),
    }
}

async fn listen(config: Config) -> (Connection, Arc<Diary>) {
    let diary = Arc::new(Diary::default());
    let listener = Arc::clone(&diary) as Arc<dyn Listener>;
    let home = Home::of(&config).unwrap();
    let connection =
        Connection::lazy(&home, config, Purpose::Locks, |_| Vec::new(), Some(listener));
    connection.ready().await.unwrap();
    sleep(MS).await;
    assert_eq!(diary.take(), ["ready"]);
    (connection, diary)
}

fn post(connection: &Connection, tag: Tag, line: &str) {
    let args: Vec<_> = line.split(' ').collect();
    let encode = |out: &mut Ink| encode::command(&args, out);
    connection.post(tag, SECOND, encode).unwrap();
}

#[test]
fn confirmations_of_every_kind_are_replies_and_messages_of_every_kind_are_not() {
    let frame = |words: &[&'static str]| {
        words.iter().map(|word| Frame::Bulk(word.as_bytes().into())).collect::<Vec<_>>()
    };
    for word in
        ["subscribe", "unsubscribe", "psubscribe", "punsubscribe", "ssubscribe", "sunsubscribe"]
    {
        let confirmation = frame(&[word, "c", "1"]);
        for mut frame in [Frame::Push(confirmation.clone()), Frame::Array(confirmation)] {
            assert!(is_reply(&frame, Protocol::Resp2), "{frame:?}");
            let before = frame.clone();
            assert_eq!(take_push(&mut frame, Protocol::Resp2), None);
            assert_eq!(frame, before);
        }
    }
    for words in [&["message", "c", "x"][..], &["smessage", "c", "x"], &["pmessage", "*", "c", "x"]]
    {
        let message = frame(words);
        for mut frame in [Frame::Push(message.clone()), Frame::Array(message.clone())] {
            assert!(!is_reply(&frame, Protocol::Resp2), "{frame:?}");
            assert_eq!(take_push(&mut frame, Protocol::Resp2).as_ref(), Some(&message));
        }
    }
}

#[test]
fn push_with_attributes_in_front_of_it_is_a_push() {
    let annotated = |frame| {
        let attributes = vec![(Frame::Null, Frame::Null)];
        Frame::Attributed(Box::new(resp::Attributed { attributes, frame }))
    };
    let words = |words: [&'static str; 3]| words.map(|word| Frame::Bulk(word.into())).to_vec();
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        let mut message = annotated(Frame::Push(words(["message", "c", "x"])));
        assert!(!is_reply(&message, protocol));
        assert_eq!(take_push(&mut message, protocol).map(|items| items.len()), Some(3));
        let mut confirmation = annotated(Frame::Push(words(["subscribe", "c", "1"])));
        assert!(is_reply(&confirmation, protocol));
        assert_eq!(take_push(&mut confirmation, protocol), None);
        assert!(matches!(confirmation, Frame::Push(_)), "it has lost them");
        assert!(is_reply(&annotated(Frame::Null), protocol));
    }
}

#[tokio::test(start_paused = true)]
async fn replies_and_pushes_are_heard_in_the_order_in_which_they_came() {
    let server = Server::new(Profile::Redis7_0);
    let (connection, diary) = listen(Config::dialer(server.dialer())).await;
    for (tag, line) in [(1, "CLIENT TRACKING ON NOLOOP"), (2, "PTTL k"), (3, "SUBSCRIBE c")] {
        post(&connection, tag, line);
    }
    connection.settle(Flush::Auto);
    sleep(MS).await;
    assert_eq!(diary.take(), ["1: OK", "2: -2", "3: subscribe c 1"]);
    server.set("k", "v");
    for (tag, line) in [(4, "PTTL k"), (5, "PUBLISH c hello"), (6, "UNSUBSCRIBE c")] {
        post(&connection, tag, line);
    }
    connection.settle(Flush::Auto);
    sleep(MS).await;
    assert_eq!(
        diary.take(),
        ["invalidate k", "4: -1", "message c hello", "5: 1", "6: unsubscribe c 0"]
    );
}

#[tokio::test(start_paused = true)]
async fn messages_on_resp2_are_no_replies() {
    let server = Server::new(Profile::Redis6_2);
    let config = Config::dialer(server.dialer()).protocol(crate::url::ProtocolChoice::Resp2);
    let (connection, diary) = listen(config).await;
    post(&connection, 1, "SUBSCRIBE c");
    connection.settle(Flush::Auto);
    sleep(MS).await;
    let config = Config::dialer(server.dialer());
    let home = Home::of(&config).unwrap();
    let publisher = Connection::connect(&home, config, |_| Vec::new()).await.unwrap();
    let publish = |out: &mut Ink| encode::command(&["PUBLISH", "c", "hello"], out);
    publisher.call(SECOND, publish).await.unwrap();
    post(&connection, 2, "PING");
    connection.settle(Flush::Auto);
    sleep(MS).await;
    assert_eq!(diary.take(), ["1: subscribe c 1", "message c hello", "2: pong "]);
}

#[tokio::test(start_paused = true)]
async fn what_was_lost_with_the_connection_is_heard_before_the_loss() {
    let server = Server::new(Profile::Valkey9);
    let (connection, diary) = listen(Config::dialer(server.dialer())).await;
    server.fault(Fault::close().on("GET"));
    post(&connection, 1, "GET k");
    connection.settle(Flush::Auto);
    sleep(SECOND).await;
    assert_eq!(diary.take(), ["1: Unknown", "lost", "ready"]);
    server.fault(Fault::delay_reply(3 * SECOND / 2).on("DEL"));
    post(&connection, 2, "DEL k");
    connection.settle(Flush::Later);
    sleep(2 * SECOND).await;
    assert_eq!(diary.take(), ["2: Unknown"], "no answer in time");
    drop(connection);
    sleep(SECOND).await;
    assert_eq!(diary.take(), ["lost", "closed"]);
    assert_eq!(server.connections(), 0);
}

#[tokio::test(start_paused = true)]
async fn flood_of_pushes_does_not_keep_replies_back() {
    let server = Server::new(Profile::Redis7_0);
    let (connection, diary) = listen(Config::dialer(server.dialer())).await;
    post(&connection, 1, "SUBSCRIBE c");
    connection.settle(Flush::Auto);
    sleep(MS).await;
    let publisher = server.connect();
    let flood = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut replies, mut commands) = tokio::io::split(publisher);
        let publish = b"*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$5\r\nhello\r\n".repeat(100);
        let mut sink = [0; 4096];
        loop {
            commands.write_all(&publish).await.unwrap();
            let _ = replies.read(&mut sink).await.unwrap();
        }
    });
    let begun = Instant::now();
    for _ in 0..20 {
        let ping = |out: &mut Ink| encode::command(&["PING"], out);
        connection.call(SECOND, ping).await.unwrap();
    }
    assert_eq!(begun.elapsed(), Duration::ZERO, "no clock ran while the flood did");
    assert!(diary.take().len() > 1_000, "it was a flood");
    flood.abort();
}

/// A crowd is callers who are about to ask again, for whose commands the driver waits with its write.
#[tokio::test(start_paused = true)]
async fn pushes_are_no_crowd_so_that_a_lone_caller_is_written_for_at_once_in_a_flood() {
    let server = Server::new(Profile::Redis7_0);
    let (connection, diary) = listen(Config::dialer(server.dialer())).await;
    post(&connection, 1, "SUBSCRIBE c");
    connection.settle(Flush::Auto);
    sleep(MS).await;
    // Each message comes in front of the reply to what published it, ten of them in one read.
    let publish = |out: &mut Ink| {
        (0..10).for_each(|_| encode::command(&["PUBLISH", "c", "hello"], out));
    };
    // A task of its own is woken before the driver takes another turn; fewer replies than bring out the canary.
    let lone = tokio::spawn(async move {
        for round in 0..20 {
            let before = connection.stats().writes;
            let reply = connection.submit_batch(SECOND, 10, publish);
            let (writes, in_flight) = (connection.stats().writes, connection.stats().in_flight);
            assert_eq!((writes, in_flight), (before + 1, 1), "in round {round} it waited");
            let (replies, lost) = reply.unwrap().await;
            assert_eq!((replies.len(), lost.is_none()), (10, true));
        }
    });
    lone.await.unwrap();
    assert_eq!(diary.take().iter().filter(|entry| *entry == "message c hello").count(), 200);
}

#[tokio::test(start_paused = true)]
async fn command_that_cannot_be_queued_is_not_heard_of() {
    let server = Server::new(Profile::Valkey9);
    let (connection, diary) = listen(Config::dialer(server.dialer())).await;
    connection.close(SECOND).await;
    assert_eq!(diary.take(), ["lost", "closed"]);
    let ping = |out: &mut Ink| encode::command(&["PING"], out);
    let error = connection.post(1, SECOND, ping).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Closed, Outcome::NotSent));
    assert!(diary.take().is_empty());
}
