//! Where connections are driven: on the caller's runtime, on one that was named, on a thread of their own.

use crate::support::{eventually, poll_once};
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;
use tenure::{Client, Config, ErrorKind, Outcome};
use tenure_server::{Fault, Profile, Server};
use tokio::runtime::{Builder, Runtime};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A runtime that goes on while nobody is in it.
fn busy_runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Runs a future to its end on this thread, without any runtime.
fn without_runtime<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(done) => return done,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn client_on_a_thread_of_its_own_outlives_the_runtime_it_was_made_on() {
    let server = Server::new(Profile::Valkey9);
    let first = runtime();
    let (client, guard) = first.block_on(async {
        let config = Config::dialer(server.dialer()).own_thread();
        let client = Client::with_config(config).await.unwrap();
        let guard = client.lock("l").acquire().await.unwrap();
        (client, guard)
    });
    drop(first);
    assert!(guard.is_held());
    drop(guard);
    runtime().block_on(async {
        let again = client.lock("l").acquire_for(Duration::from_secs(5)).await.unwrap();
        again.release().await.unwrap();
    });
}

#[test]
fn commands_of_a_client_on_a_thread_of_its_own_need_no_runtime() {
    let server = Server::new(Profile::Valkey9);
    let config = Config::dialer(server.dialer()).own_thread();
    let client = without_runtime(Client::with_config(config)).unwrap();
    without_runtime(client.set("k", 1)).unwrap();
    assert_eq!(without_runtime(client.incr("k")).unwrap(), 2);
}

#[tokio::test]
async fn thread_ends_with_the_last_handle_and_guard() {
    let server = Server::new(Profile::Valkey9);
    let (dial, alive) = (server.dialer(), Arc::new(()));
    let witness = Arc::downgrade(&alive);
    let config = Config::dialer(move || {
        let (dialled, alive) = (dial(), Arc::clone(&alive));
        async move {
            // A task that only ends with the runtime it is on.
            tokio::spawn(async move {
                let _alive = alive;
                pending::<()>().await;
            });
            dialled.await
        }
    });
    let client = Client::with_config(config.own_thread()).await.unwrap();
    let guard = client.lock("l").acquire().await.unwrap();
    drop(client);
    eventually("the data connection ended", async || server.connections() == 1).await;
    guard.verify().await.unwrap(); // an answer, which only the thread can have read
    assert!(witness.upgrade().is_some(), "the guard still needs the thread");
    drop(guard);
    eventually("the thread has ended", async || witness.upgrade().is_none()).await;
    assert!(server.keys().is_empty(), "and the guard was released");
}

#[test]
fn runtime_that_was_named_opens_the_sockets_too() {
    let (home, first) = (busy_runtime(), runtime());
    let server = Server::new(Profile::Valkey9);
    let address = home.block_on(server.listen_tcp()).unwrap();
    let config = Config::from_url(&format!("redis://{address}")).unwrap();
    let client =
        first.block_on(Client::with_config(config.runtime(home.handle().clone()))).unwrap();
    drop(first);
    runtime().block_on(client.ping()).unwrap();
    let greetings = server.log().iter().filter(|entry| entry.name() == "HELLO").count();
    assert_eq!(greetings, 1, "the connection that was opened first still serves");
}

#[test]
fn runtime_that_was_named_and_has_ended_is_an_error() {
    let server = Server::new(Profile::Valkey9);
    let gone = runtime().handle().clone();
    let config = Config::dialer(server.dialer()).runtime(gone);
    let error = runtime().block_on(Client::with_config(config)).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Closed, Outcome::NotSent));
}

#[tokio::test]
async fn connecting_on_another_thread_ends_when_nobody_waits_for_it() {
    let server = Server::new(Profile::Valkey9);
    server.fault(Fault::drop_request().on("HELLO"));
    // Over TCP, so that the server's end of it lives here and not on the thread that ends.
    let address = server.listen_tcp().await.unwrap();
    let config = Config::from_url(&format!("redis://{address}")).unwrap().own_thread();
    let mut connecting = Box::pin(Client::with_config(config));
    assert!(poll_once(&mut connecting).await.is_pending());
    eventually("it was dialled", async || server.connections() == 1).await;
    drop(connecting);
    eventually("the socket was closed", async || server.connections() == 0).await;
}
