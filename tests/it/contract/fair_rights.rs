//! Fair locks of users who may not do everything.

/// Whoever may not subscribe asks for its turn.
mod without_subscriptions {
    use crate::contract::fair::{fair, stand};
    use crate::support::{Access, Running, User};
    use tenure::{Client, Lock, Options};

    const DEAF: User = User { name: "deaf", password: "p", denied: &["subscribe"] };
    const ACCESS: Access = Access::with_user(DEAF);

    on_every_server! {
        line_moves_on_all_the_same
    }

    fn asking(client: &Client) -> Lock {
        fair(client).options(Options::new())
    }

    async fn line_moves_on_all_the_same(server: &Running) {
        let config = || server.config().username(DEAF.name).password(DEAF.password);
        let ours = Client::with_config(config()).await.unwrap();
        let theirs = Client::with_config(config()).await.unwrap();
        let held = asking(&ours).acquire().await.unwrap();
        let first = stand(asking(&theirs), &ours, 1).await;
        let last = stand(asking(&ours), &ours, 2).await;
        held.release().await.unwrap();
        let guard = first.await.unwrap();
        assert!(!last.is_finished());
        guard.release().await.unwrap();
        last.await.unwrap().release().await.unwrap();
    }
}

/// Without scripts there is no line.
mod without_scripts {
    use crate::support::{Access, Running, User};
    use tenure::AcquireError;

    const NO_SCRIPTS: User =
        User { name: "purist", password: "p", denied: &["eval", "evalsha", "script"] };

    const ACCESS: Access = Access::with_user(NO_SCRIPTS);

    on_every_server! {
        fair_lock_says_what_is_missing
    }

    async fn fair_lock_says_what_is_missing(server: &Running) {
        let config = server.config().username(NO_SCRIPTS.name).password(NO_SCRIPTS.password);
        let client = tenure::Client::with_config(config).await.unwrap();
        let error = client.lock("l").fair().acquire().await.unwrap_err();
        assert!(matches!(error, AcquireError::Unsupported { .. }), "{error:?}");
        let words = error.to_string();
        assert!(words.contains("NOPERM") && words.contains("allow EVAL and EVALSHA"), "{words}");
    }
}

/// Whoever may not publish passes the lock on all the same; the next one is not told, and finds out when it asks.
mod without_publications {
    use crate::contract::fair::{fair, in_line, stand};
    use crate::support::{Access, Running, User};

    const MUTE: User = User { name: "mute", password: "p", denied: &["publish"] };
    const ACCESS: Access = Access::with_user(MUTE);

    on_every_server! {
        lock_is_passed_on_unheard
    }

    async fn lock_is_passed_on_unheard(server: &Running) {
        let config = server.config().username(MUTE.name).password(MUTE.password);
        let mute = tenure::Client::with_config(config).await.unwrap();
        let theirs = server.connect().await;
        let held = fair(&mute).acquire().await.unwrap();
        let next = stand(fair(&theirs), &theirs, 1).await;
        held.release().await.unwrap();
        let left = (in_line(&theirs).await, theirs.exists("lk:l").await.unwrap());
        assert_eq!(left, (0, 1), "it has the lock now, and its place no more");
        next.abort();
    }
}
