//! Opens streams. A name is looked up on every dial, and all its addresses are tried, so that a host that moved, or one of
//! whose address families leads nowhere, is found all the same. The budget is the caller's.

use crate::config::Config;
use crate::net::Stream;
use crate::url::Address;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, sleep};

/// How long an address may leave an attempt unanswered before the next is tried beside it (RFC 8305 says 250 ms).
const HEAD_START: Duration = Duration::from_millis(250);

/// Opens a connection, with Nagle's algorithm off: a command that waits for company is a lock that waits.
pub(crate) async fn dial(config: &Config) -> io::Result<Stream> {
    if let Some(dial) = &config.dial {
        return dial.dial().await.map(Stream::Other);
    }
    match &config.address {
        Address::Tcp { host, port } => {
            dial_tcp(async || Ok(lookup_host((host.as_str(), *port)).await?.collect())).await
        }
        #[cfg(unix)]
        Address::Unix { path } => tokio::net::UnixStream::connect(path).await.map(Stream::Unix),
        #[cfg(not(unix))]
        Address::Unix { .. } => Err(io::Error::other("this system has no unix sockets")),
        Address::Dialer => Err(io::Error::other("there is no dialer")),
    }
}

/// Connects to one of the addresses that a name has at this moment.
async fn dial_tcp(
    look_up: impl AsyncFnOnce() -> io::Result<Vec<SocketAddr>>,
) -> io::Result<Stream> {
    let stream = race(look_up().await?, TcpStream::connect).await?;
    stream.set_nodelay(true)?;
    Ok(Stream::Tcp(stream))
}

/// Connects to the address that answers first. Each has a head start before the next, which begins at once where one fails.
async fn race<T, F>(addresses: Vec<SocketAddr>, connect: impl Fn(SocketAddr) -> F) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut waiting = alternating(addresses);
    let mut running: Vec<(SocketAddr, Pin<Box<F>>)> = Vec::new();
    let mut failures = Vec::new();
    let mut head_start = pin!(sleep(Duration::ZERO));
    poll_fn(|cx| {
        loop {
            let failed = failures.len();
            let mut at = 0;
            while let Some((address, attempt)) = running.get_mut(at) {
                match attempt.as_mut().poll(cx) {
                    Poll::Ready(Ok(connected)) => return Poll::Ready(Ok(connected)),
                    Poll::Ready(Err(error)) => {
                        failures.push((*address, error));
                        drop(running.remove(at));
                    }
                    Poll::Pending => at += 1,
                }
            }
            let over = head_start.as_mut().poll(cx).is_ready();
            match waiting.pop_front() {
                Some(address) if over || running.is_empty() || failures.len() > failed => {
                    running.push((address, Box::pin(connect(address))));
                    head_start.as_mut().reset(Instant::now() + HEAD_START);
                }
                Some(address) => {
                    waiting.push_front(address);
                    return Poll::Pending;
                }
                None if running.is_empty() => {
                    return Poll::Ready(Err(all_of(std::mem::take(&mut failures))));
                }
                None => return Poll::Pending,
            }
        }
    })
    .await
}

/// In the system's order of preference, but with the address families taking turns.
fn alternating(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (preferred, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut other = other.into_iter();
    let mut order = VecDeque::new();
    for address in preferred {
        order.push_back(address);
        order.extend(other.next());
    }
    order.extend(other);
    order
}

/// One error that tells what each address came to.
fn all_of(mut failures: Vec<(SocketAddr, io::Error)>) -> io::Error {
    if failures.len() == 1 {
        if let Some((_, only)) = failures.pop() {
            return only;
        }
    }
    let Some((_, first)) = failures.first() else {
        return io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    };
    let kind = first.kind();
    let each = failures.iter().map(|(address, error)| format!("{address}: {error}"));
    io::Error::new(kind, each.collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::future::pending;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// What an address does: the port says after how many milliseconds it answers; above 9,000 it refuses, at 9,999 it is silent.
    async fn answer(address: SocketAddr) -> io::Result<u16> {
        match address.port() {
            9_999 => pending().await,
            port @ 9_000.. => {
                sleep(Duration::from_millis(u64::from(port - 9_000))).await;
                Err(io::ErrorKind::ConnectionRefused.into())
            }
            port => {
                sleep(Duration::from_millis(u64::from(port))).await;
                Ok(port)
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silent_address_costs_the_next_one_its_head_start_only() {
        let begun = Instant::now();
        let won = race(addresses(&["[::1]:9999", "127.0.0.1:5"]), answer).await.unwrap();
        assert_eq!((won, begun.elapsed()), (5, Duration::from_millis(255)));
    }

    #[tokio::test(start_paused = true)]
    async fn address_that_refuses_costs_nothing() {
        let begun = Instant::now();
        let won = race(addresses(&["[::1]:9000", "127.0.0.1:5"]), answer).await.unwrap();
        assert_eq!((won, begun.elapsed()), (5, Duration::from_millis(5)));
    }

    #[tokio::test(start_paused = true)]
    async fn slow_address_may_still_win() {
        let begun = Instant::now();
        let won = race(addresses(&["[::1]:300", "127.0.0.1:400"]), answer).await.unwrap();
        assert_eq!((won, begun.elapsed()), (300, Duration::from_millis(300)));
    }

    #[tokio::test(start_paused = true)]
    async fn address_that_answers_in_time_is_the_only_one_asked() {
        let asked = RefCell::new(Vec::new());
        let connect = |address: SocketAddr| {
            asked.borrow_mut().push(address.port());
            answer(address)
        };
        race(addresses(&["[::1]:100", "127.0.0.1:1"]), connect).await.unwrap();
        assert_eq!(*asked.borrow(), [100]);
    }

    #[tokio::test]
    async fn name_that_has_moved_is_found_by_the_next_dial() {
        let listen = async || tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (old, new) = (listen().await, listen().await);
        let port = |stream: Stream| match stream {
            Stream::Tcp(stream) => stream.peer_addr().unwrap().port(),
            _ => panic!("that was dialled by TCP"),
        };
        let (before, after) = (old.local_addr().unwrap(), new.local_addr().unwrap());
        let found = dial_tcp(async || Ok(vec![before])).await.unwrap();
        assert_eq!(port(found), before.port());
        drop(old); // and whoever kept the address would find nobody
        assert!(dial_tcp(async || Ok(vec![before])).await.is_err());
        let found = dial_tcp(async || Ok(vec![before, after])).await.unwrap();
        assert_eq!(port(found), after.port());
        let gone = dial_tcp(async || Err(io::Error::other("no such name"))).await;
        assert!(gone.is_err_and(|error| error.to_string() == "no such name"));
    }

    #[tokio::test(start_paused = true)]
    async fn all_failures_are_told() {
        let error = race(addresses(&["[::1]:9001", "127.0.0.1:9000"]), answer).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let text = error.to_string();
        assert!(text.contains("127.0.0.1:9000: ") && text.contains("[::1]:9001: "), "{text}");
        let error = race(Vec::new(), answer).await.unwrap_err();
        assert_eq!(error.to_string(), "the name has no address");
    }

    #[test]
    fn families_take_turns_in_the_order_of_preference() {
        let given = addresses(&["[::1]:1", "[::1]:2", "[::1]:3", "1.1.1.1:4", "1.1.1.1:5"]);
        let ports: Vec<_> = alternating(given).iter().map(SocketAddr::port).collect();
        assert_eq!(ports, [1, 4, 2, 5, 3]);
        let given = addresses(&["1.1.1.1:1", "[::1]:2"]);
        let ports: Vec<_> = alternating(given).iter().map(SocketAddr::port).collect();
        assert_eq!(ports, [1, 2]);
    }
}
