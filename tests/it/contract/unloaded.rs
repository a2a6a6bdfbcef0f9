//! Users who may run scripts and not load them: the first to use one sends its text, and from then on the server knows it. Who may
//! not call one by its digest either sends the text each time.

use crate::support::{Running, User, poll_once};
use tenure::{Client, FENCED_SET, Options, Script, Wakeup};
use tenure_server::Logged;

/// Without the commands that compare, so that all is done by scripts.
macro_rules! user_without {
    ($($denied:literal)*) => {
        User { name: "reader", password: "p", denied: &["script", "delifeq", "delex", $($denied),*] }
    };
}

mod by_digest {
    use super::*;
    use crate::support::Access;

    const USER: User = user_without!();
    const ACCESS: Access = Access::with_user(USER);

    on_every_server! {
        locks_of_all_kinds_work
        data_is_compared
        text_is_sent_once
    }

    async fn locks_of_all_kinds_work(server: &Running) {
        super::locks_of_all_kinds_work([connect(server, USER).await, connect(server, USER).await])
            .await;
    }

    async fn data_is_compared(server: &Running) {
        super::data_is_compared(&connect(server, USER).await).await;
    }

    async fn text_is_sent_once(server: &Running) {
        let first = connect(server, USER).await;
        use_scripts(&first).await;
        let Running::Embedded { server: embedded, .. } = server else { return };
        embedded.clear_log();
        use_scripts(&first).await;
        let again = asked(&embedded.log());
        assert!(!again.contains(&"EVAL".to_owned()), "{again:?}");
        assert!(again.contains(&"EVALSHA".to_owned()), "{again:?}");
    }
}

mod in_full {
    use super::*;
    use crate::support::Access;

    const USER: User = user_without!("evalsha");
    const ACCESS: Access = Access::with_user(USER);

    on_every_server! {
        locks_of_all_kinds_work
        data_is_compared
        locks_send_the_text_at_once
    }

    async fn locks_of_all_kinds_work(server: &Running) {
        super::locks_of_all_kinds_work([connect(server, USER).await, connect(server, USER).await])
            .await;
    }

    async fn data_is_compared(server: &Running) {
        super::data_is_compared(&connect(server, USER).await).await;
    }

    async fn locks_send_the_text_at_once(server: &Running) {
        let client = connect(server, USER).await;
        let lock = client.lock("l").fenced();
        lock.acquire().await.unwrap().release().await.unwrap();
        let Running::Embedded { server: embedded, .. } = server else { return };
        embedded.clear_log();
        for _ in 0..3 {
            lock.acquire().await.unwrap().release().await.unwrap();
        }
        assert_eq!(asked(&embedded.log()), ["EVAL"; 6]);
    }
}

async fn connect(server: &Running, user: User) -> Client {
    let config = server.config().username(user.name).password(user.password);
    Client::with_config(config).await.unwrap()
}

fn asked(log: &[Logged]) -> Vec<String> {
    log.iter().map(Logged::name).collect()
}

/// Somebody holds each kind of lock while one waits here and one elsewhere, and both get it.
async fn locks_of_all_kinds_work([ours, theirs]: [Client; 2]) {
    for wakeup in [Wakeup::Track, Wakeup::Announce] {
        for fair in [false, true] {
            let [here, there] = [&ours, &theirs].map(|client| {
                let lock = client.lock("l").options(Options::new().wakeup(wakeup));
                if fair { lock.fair() } else { lock }
            });
            let held = here.acquire().await.unwrap();
            let next = waits(async || drop(here.acquire().await.unwrap())).await;
            let last =
                waits(async || there.acquire().await.unwrap().release().await.unwrap()).await;
            held.verify().await.unwrap(); // renews
            held.release().await.unwrap();
            tokio::join!(next, last);

            let (here, there) = (here.fenced(), there.fenced());
            let held = here.acquire().await.unwrap();
            let next = waits(async || here.acquire().await.unwrap().token()).await;
            let last = waits(async || there.acquire().await.unwrap().token()).await;
            let first = held.token();
            drop(held);
            let (second, third) = tokio::join!(next, last);
            assert!(first < second.min(third) && second != third);
            there.acquire().await.unwrap().release().await.unwrap();
            assert_eq!(ours.exists("lk:l").await.unwrap(), 0);
        }
    }
    let held = ours.lock("l").acquire().await.unwrap();
    let seen = theirs.lock("l").inspect().await.unwrap().unwrap();
    assert!(theirs.lock("l").force_release(&seen).await.unwrap());
    drop(held);
}

/// A caller that waits already.
async fn waits<T>(call: impl AsyncFnOnce() -> T) -> impl Future<Output = T> {
    let mut call = Box::pin(call());
    assert!(poll_once(&mut call).await.is_pending());
    call
}

async fn data_is_compared(client: &Client) {
    client.set("k", "v").await.unwrap();
    assert!(!client.del_if_equal("k", "other").await.unwrap());
    assert!(client.del_if_equal("k", "v").await.unwrap());
    let token = client.lock("l").fenced().acquire().await.unwrap().token();
    assert!(client.fenced_set("f", token, "a").await.unwrap());
    assert_eq!(client.fenced_get("f", token).await.unwrap(), Some(Some("a".to_owned())));
    let written: bool = Script::new(FENCED_SET).run(client, "f", (token, "b")).await.unwrap();
    assert!(written);
}

async fn use_scripts(client: &Client) {
    data_is_compared(client).await;
    client.lock("l").acquire().await.unwrap().release().await.unwrap();
    client.lock("l").fair().acquire().await.unwrap().release().await.unwrap();
}
