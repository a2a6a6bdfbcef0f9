//! The link: which bytes arrive, when, and how it ends.

use std::future::ready;
use std::io::{ErrorKind, Result};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tenure_server::{Ending, Flaw, Link, LinkStream, Profile, Server, Way};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);

/// A connection through a link: the client's end and the server's.
async fn connect(link: &Link) -> (LinkStream, DuplexStream) {
    let (near, far) = tokio::io::duplex(1024);
    let far_end = Arc::new(Mutex::new(Some(near)));
    let dial = link.over(move || {
        ready(Ok::<_, std::io::Error>(
            far_end.lock().expect("no test panics with it").take().expect("dialled once"),
        ))
    });
    (dial().await.expect("nothing is refused"), far)
}

/// What comes within a second, and how it ends: with nothing more (`...`), an end or an error.
async fn hear(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut heard = String::new();
    loop {
        let mut bytes = [0; 64];
        match timeout(SECOND, stream.read(&mut bytes)).await {
            Err(_) => return heard + "...",
            Ok(Ok(0)) => return heard + "<end>",
            Ok(Ok(count)) => heard += std::str::from_utf8(&bytes[..count]).expect("text was sent"),
            Ok(Err(error)) => return heard + &format!("<{:?}>", error.kind()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_and_ends_pass_both_ways() {
    let link = Link::new();
    let (mut client, mut server) = connect(&link).await;
    assert_eq!(link.connections(), [0]);
    client.write_all(b"request").await.unwrap();
    assert_eq!(hear(&mut server).await, "request...");
    server.write_all(b"reply").await.unwrap();
    assert_eq!(hear(&mut client).await, "reply...");
    client.shutdown().await.unwrap();
    assert_eq!(hear(&mut server).await, "<end>");
    server.write_all(b"last").await.unwrap();
    drop(server);
    assert_eq!(hear(&mut client).await, "last<end>");
    assert_eq!((link.open(), link.passed(Way::ToServer), link.passed(Way::ToClient)), (0, 7, 9));
}

#[tokio::test(start_paused = true)]
async fn cut_lets_so_many_bytes_pass_and_then_ends_as_told() {
    for after in 0..=5 {
        for (ending, client_end, server_end) in [
            (Ending::Reset, "<ConnectionReset>", "<end>"),
            (Ending::Close, "<end>", "<end>"),
            (Ending::Silence, "...", "..."),
        ] {
            for way in [Way::ToServer, Way::ToClient] {
                let link = Link::new();
                let (mut client, mut server) = connect(&link).await;
                link.flaw(Flaw::cut(way, ending).after(after));
                let passed = &"12345"[..usize::try_from(after).unwrap()];
                let (heard_by_client, heard_by_server) = match way {
                    Way::ToServer => ("", passed),
                    Way::ToClient => (passed, ""),
                };
                // Whoever writes may be told at once.
                let _ = match way {
                    Way::ToServer => client.write_all(b"12345").await,
                    Way::ToClient => server.write_all(b"12345").await,
                };
                let told = (hear(&mut client).await, hear(&mut server).await);
                let expected = (
                    format!("{heard_by_client}{client_end}"),
                    format!("{heard_by_server}{server_end}"),
                );
                assert_eq!(told, expected, "{ending:?} {way:?} after {after}");
                link.reap();
                assert_eq!(hear(&mut server).await, "<end>");
                assert_eq!(link.open(), 0);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn held_bytes_arrive_late_and_in_order_and_so_does_the_end() {
    let link = Link::new();
    let (mut client, mut server) = connect(&link).await;
    link.hold(Way::ToServer);
    client.write_all(b"12").await.unwrap();
    assert_eq!(hear(&mut server).await, "...");
    server.write_all(b"the other way is open").await.unwrap();
    assert_eq!(hear(&mut client).await, "the other way is open...");
    client.write_all(b"34").await.unwrap();
    drop(client);
    assert_eq!(hear(&mut server).await, "...");
    link.release(Way::ToServer);
    assert_eq!(hear(&mut server).await, "1234<end>");
}

#[tokio::test(start_paused = true)]
async fn drip_without_a_rest_takes_no_time_and_comes_in_drops() {
    let link = Link::new();
    let (mut client, mut server) = connect(&link).await;
    let begun = Instant::now();
    link.drip(Way::ToClient, 2, Duration::ZERO);
    server.write_all(b"12345").await.unwrap();
    // In a task, as the link is: the test itself is looked at only now and then.
    let reader = tokio::spawn(async move {
        for drop in [&b"12"[..], b"34", b"5"] {
            let mut bytes = [0; 64];
            let count = client.read(&mut bytes).await.unwrap();
            assert_eq!(&bytes[..count], drop);
        }
    });
    reader.await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn drip_and_delay_take_their_time() {
    let link = Link::new();
    let (mut client, mut server) = connect(&link).await;
    let begun = Instant::now();
    link.drip(Way::ToClient, 1, SECOND / 10);
    server.write_all(b"123456").await.unwrap();
    client.read_exact(&mut [0; 6]).await.unwrap();
    assert_eq!(begun.elapsed().as_millis() / 100, 5);

    link.heal();
    link.delay(Way::ToClient, SECOND);
    let begun = Instant::now();
    for _ in 0..3 {
        server.write_all(b"1").await.unwrap();
        sleep(SECOND / 10).await;
    }
    client.read_exact(&mut [0; 3]).await.unwrap();
    assert_eq!(begun.elapsed().as_millis() / 100, 12, "late, and not slow");
}

#[tokio::test(start_paused = true)]
async fn tiny_window_holds_the_sender_up_and_loses_nothing() {
    let link = Link::new();
    link.window(1);
    let (mut client, mut server) = connect(&link).await;
    let sent: Vec<_> = (0..10_000_u32).flat_map(u32::to_be_bytes).collect();
    let expected = sent.clone();
    let sending = tokio::spawn(async move { client.write_all(&sent).await.map(|()| client) });
    sleep(SECOND).await;
    assert!(!sending.is_finished(), "nobody has read");
    let mut heard = vec![0; expected.len()];
    server.read_exact(&mut heard).await.unwrap();
    assert!(heard == expected);
    sending.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn bytes_are_changed_lost_and_made_up_where_told() {
    for (flaw, arrives) in [
        (Flaw::flip(Way::ToClient, 0x20), "Abcdef"),
        (Flaw::flip(Way::ToClient, 0x20).after(5), "abcdeF"),
        (Flaw::lose(Way::ToClient, 2).after(1), "adef"),
        (Flaw::insert(Way::ToClient, "--").after(3), "abc--def"),
        (Flaw::insert(Way::ToClient, "--").after(6), "abcdef--"),
        (Flaw::flip(Way::ToServer, 0x20), "abcdef"),
        (Flaw::flip(Way::ToClient, 0x20).on_connection(1), "abcdef"),
    ] {
        let link = Link::new();
        let (mut client, mut server) = connect(&link).await;
        link.flaw(flaw.clone());
        server.write_all(b"abc").await.unwrap();
        server.write_all(b"def").await.unwrap();
        assert_eq!(hear(&mut client).await, format!("{arrives}..."), "{flaw:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn dials_are_refused_or_left_without_an_answer() {
    let (server, link) = (Server::new(Profile::Redis7_0), Link::new());
    let dial = link.over(server.dialer());
    link.refuse(true);
    assert_eq!(dial().await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    link.ignore(true);
    let mut dialling = dial();
    assert!(timeout(SECOND, &mut dialling).await.is_err());
    link.ignore(false);
    drop(dialling.await.unwrap());
    assert_eq!(link.dialled(), 1);
}

#[tokio::test(start_paused = true)]
async fn cut_of_all_spares_those_that_come_later() {
    let (server, link) = (Server::new(Profile::Redis7_0), Link::new());
    let dial = link.over(server.dialer());
    let mut before = dial().await.unwrap();
    link.cut(Ending::Reset);
    assert_eq!(hear(&mut before).await, "<ConnectionReset>");
    assert!(before.write_all(b"x").await.is_err());
    let mut after = dial().await.unwrap();
    after.write_all(b"PING\r\n").await.unwrap();
    assert_eq!(hear(&mut after).await, "+PONG\r\n...");
    assert_eq!((link.open(), server.connections()), (1, 1));
}

/// A pair of sockets with a link in between.
async fn sockets(link: &Link) -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let proxy = link.listen(listener.local_addr()?).await?;
    let client = TcpStream::connect(proxy.address()).await?;
    Ok((client, listener.accept().await?.0))
}

#[tokio::test]
async fn sockets_are_cut_to_the_byte_as_streams_in_memory_are() {
    for (ending, client_end) in
        [(Ending::Reset, Some(ErrorKind::ConnectionReset)), (Ending::Close, None)]
    {
        let link = Link::new();
        let (mut client, mut server) = sockets(&link).await.unwrap();
        link.flaw(Flaw::cut(Way::ToClient, ending).after(3));
        server.write_all(b"12345").await.unwrap();
        let mut heard = Vec::new();
        let end = client.read_to_end(&mut heard).await.map_err(|error| error.kind());
        // A reset may overtake what came before it.
        assert!(ending == Ending::Reset || heard == b"123", "{heard:?}");
        assert_eq!(end.err(), client_end);
        assert_eq!(server.read(&mut [0; 8]).await.is_err(), ending == Ending::Reset);
    }
}

#[tokio::test]
async fn sockets_are_held_and_released() {
    let link = Link::new();
    let (mut client, mut server) = sockets(&link).await.unwrap();
    link.hold(Way::ToServer);
    client.write_all(b"late").await.unwrap();
    drop(client);
    server.write_all(b"nobody hears it").await.unwrap();
    link.release(Way::ToServer);
    let mut heard = String::new();
    server.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "late");
}
