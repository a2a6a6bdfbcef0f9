//! Subscriptions that are given up at any moment, on the in-process server.

use crate::client::Client;
use crate::config::Config;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;
use tenure_server::{Fault, Profile, Server};
use tokio::time::sleep;

#[tokio::test(start_paused = true)]
async fn subscriptions_that_were_given_up_leave_nothing_behind() {
    let server = Server::new(Profile::Valkey9);
    let client = Client::with_config(Config::dialer(server.dialer())).await.unwrap();
    let slowly = server.fault(Fault::delay_reply(Duration::from_millis(5)).on("SUBSCRIBE"));
    for polls in (0..4).cycle().take(100) {
        let mut subscribing = Box::pin(client.subscribe("c"));
        for _ in 0..polls {
            let polled = poll_fn(|cx| Poll::Ready(subscribing.as_mut().poll(cx).is_ready())).await;
            if polled {
                break;
            }
            sleep(Duration::from_millis(1)).await;
        }
    }
    slowly.remove();
    assert_eq!(client.hub().book().registry.size(), (0, 0, 0, 0));
    let listening = client.subscribe("other").await.unwrap();
    server.freeze();
    for _ in 0..100 {
        let mut joining = Box::pin(listening.subscribe("other"));
        let _ = poll_fn(|cx| Poll::Ready(joining.as_mut().poll(cx))).await;
        let mut joining = Box::pin(listening.subscribe("late"));
        let _ = poll_fn(|cx| Poll::Ready(joining.as_mut().poll(cx))).await;
    }
    server.thaw();
    sleep(Duration::from_secs(2)).await;
    assert_eq!(client.hub().book().calls.len(), 0);
    assert_eq!(client.hub().book().registry.size(), (1, 1, 0, 0), "one seat, one topic");
    drop(listening);
    assert_eq!(client.hub().book().registry.size(), (0, 0, 0, 0));
}
