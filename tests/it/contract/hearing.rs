//! Being told of releases where that is not as easy as it could be: with RESP2, and without the rights.

use crate::support::{Access, Running, User};
use std::time::Duration;
use tenure::{Backoff, Client, Options, ProtocolChoice, Wakeup};
use tokio::time::timeout;

const MS: Duration = Duration::from_millis(1);
const NEVER: Duration = Duration::from_secs(60);

mod open {
    use super::*;

    const ACCESS: Access = Access::OPEN;

    on_every_server! {
        waiter_with_resp2_is_told_of_a_release
    }

    async fn waiter_with_resp2_is_told_of_a_release(server: &Running) {
        let config = server.config().protocol(ProtocolChoice::Resp2);
        let (ours, theirs) = (server.connect().await, Client::with_config(config).await.unwrap());
        let seldom = Options::new().lease(NEVER).backoff(Backoff::new(NEVER, 1.0, NEVER));
        let options = seldom.wakeup(Wakeup::Announce);
        for _ in 0..3 {
            let guard = ours.lock("l").options(options.clone()).acquire().await.unwrap();
            let lock = theirs.lock("l").options(options.clone());
            let mut waiting = Box::pin(lock.acquire());
            assert!(timeout(50 * MS, &mut waiting).await.is_err());
            guard.release().await.unwrap();
            let next = timeout(Duration::from_secs(10), waiting).await.expect("it was told");
            next.unwrap().release().await.unwrap();
        }
        theirs.close(Duration::from_secs(5)).await;
    }
}

mod mute {
    use super::*;

    const MUTE: User = User { name: "mute", password: "p", denied: &["subscribe", "publish"] };

    const ACCESS: Access = Access::with_user(MUTE);

    on_every_server! {
        user_who_may_not_publish_releases_all_the_same
        user_who_may_not_subscribe_asks_at_intervals_at_once
    }

    async fn connect(server: &Running, protocol: ProtocolChoice) -> Client {
        let config = server.config().username(MUTE.name).password(MUTE.password);
        Client::with_config(config.protocol(protocol)).await.unwrap()
    }

    async fn user_who_may_not_publish_releases_all_the_same(server: &Running) {
        let client = connect(server, ProtocolChoice::Auto).await;
        let lock = client.lock("l").options(Options::new().wakeup(Wakeup::Announce));
        lock.acquire().await.unwrap().release().await.unwrap();
        assert_eq!(client.exists("lk:l").await.unwrap(), 0);
    }

    async fn user_who_may_not_subscribe_asks_at_intervals_at_once(server: &Running) {
        for protocol in [ProtocolChoice::Resp3, ProtocolChoice::Resp2] {
            let (ours, theirs) = (server.connect().await, connect(server, protocol).await);
            let backoff = Backoff::new(20 * MS, 1.0, 20 * MS);
            let options = Options::new().lease(NEVER).backoff(backoff).wakeup(Wakeup::Announce);
            let guard = ours.lock("l").options(options.clone()).acquire().await.unwrap();
            let lock = theirs.lock("l").options(options);
            let mut waiting = Box::pin(lock.acquire());
            assert!(timeout(50 * MS, &mut waiting).await.is_err());
            guard.release().await.unwrap();
            let next = timeout(Duration::from_secs(10), waiting).await;
            next.expect("long before the lease is over").unwrap().release().await.unwrap();
        }
    }
}
