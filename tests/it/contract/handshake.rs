//! Getting in: protocols, credentials, rights, databases, names.

use crate::support::{Access, Running, User};
use std::time::Duration;
use tenure::{AcquireError, Client, ErrorKind, ProtocolChoice};

const PASSWORD: &str = "correct-horse";
const USER: User = User { name: "clerk", password: "battery", denied: &["incr"] };

mod open {
    use super::*;

    const ACCESS: Access = Access::OPEN;

    on_every_server! {
        both_protocols_carry_commands_and_locks
        database_of_the_config_is_selected
        database_that_does_not_exist_is_refused
        name_is_shown_by_the_server
        password_for_a_server_without_one_is_refused
    }

    async fn both_protocols_carry_commands_and_locks(server: &Running) {
        for protocol in [ProtocolChoice::Auto, ProtocolChoice::Resp2, ProtocolChoice::Resp3] {
            let client = Client::with_config(server.config().protocol(protocol)).await.unwrap();
            client.set("k", 1).await.unwrap();
            assert_eq!(client.incr("k").await.unwrap(), 2);
            let guard = client.lock("l").acquire().await.unwrap();
            assert!(client.lock("l").try_acquire().await.unwrap().is_none());
            guard.release().await.unwrap();
        }
    }

    async fn database_of_the_config_is_selected(server: &Running) {
        let [zero, three] = [0, 3].map(|db| server.config().db(db));
        let (zero, three) =
            (Client::with_config(zero).await.unwrap(), Client::with_config(three).await.unwrap());
        three.set("k", "three").await.unwrap();
        assert_eq!(zero.get("k").await.unwrap(), None);
        let guard = three.lock("l").acquire().await.unwrap();
        assert!(zero.lock("l").try_acquire().await.unwrap().is_some());
        assert_eq!(three.exists("lk:l").await.unwrap(), 1);
        guard.release().await.unwrap();
    }

    async fn database_that_does_not_exist_is_refused(server: &Running) {
        let error = Client::with_config(server.config().db(99)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Handshake);
        assert!(error.to_string().contains("ERR DB index is out of range"), "{error}");
    }

    async fn name_is_shown_by_the_server(server: &Running) {
        let client = Client::with_config(server.config().client_name("teller")).await.unwrap();
        let name: String = client.command("CLIENT").arg("GETNAME").send().await.unwrap();
        assert_eq!(name, "teller");
    }

    async fn password_for_a_server_without_one_is_refused(server: &Running) {
        // Redis lets the default user in with any password as long as it has none; a named user it does not know.
        let config = server.config().username("nobody").password("canary");
        let error = Client::with_config(config).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Handshake);
        assert!(error.to_string().contains("WRONGPASS"), "{error}");
        assert!(!format!("{error:?}").contains("canary"));
    }
}

mod guarded {
    use super::*;

    const ACCESS: Access = Access::with_password(PASSWORD);

    on_every_server! {
        right_password_opens_both_connections
        wrong_password_is_refused_in_the_servers_words
        missing_password_is_asked_for
    }

    async fn right_password_opens_both_connections(server: &Running) {
        for protocol in [ProtocolChoice::Resp2, ProtocolChoice::Resp3] {
            let config = server.config().protocol(protocol).password(PASSWORD);
            let client = Client::with_config(config).await.unwrap();
            client.set("k", 1).await.unwrap();
            client.lock("l").acquire().await.unwrap().release().await.unwrap();
        }
    }

    async fn wrong_password_is_refused_in_the_servers_words(server: &Running) {
        for protocol in [ProtocolChoice::Resp2, ProtocolChoice::Resp3] {
            let config = server.config().protocol(protocol).password("canary");
            let error = Client::with_config(config).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Handshake);
            assert_eq!(
                error.to_string(),
                "the server refused the connection: WRONGPASS invalid username-password pair or user is disabled.; \
                 check user and password"
            );
            assert!(!format!("{error:?}").contains("canary"));
        }
    }

    async fn missing_password_is_asked_for(server: &Running) {
        let error = Client::with_config(server.config()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Handshake);
        assert!(error.to_string().contains("NOAUTH"), "{error}");
        assert!(error.to_string().contains("give a password"), "{error}");
    }
}

mod limited {
    use super::*;

    const ACCESS: Access = Access::with_user(USER);

    on_every_server! {
        user_may_do_what_it_may
        missing_right_is_the_servers_error
        unknown_user_is_refused
    }

    async fn user_may_do_what_it_may(server: &Running) {
        let config = server.config().username(USER.name).password(USER.password);
        let client = Client::with_config(config).await.unwrap();
        client.set("k", 1).await.unwrap();
        let info: String = client.command("CLIENT").arg("INFO").send().await.unwrap();
        assert!(info.contains("user=clerk"), "{info}");
        client.lock("l").acquire().await.unwrap().release().await.unwrap();
    }

    async fn missing_right_is_the_servers_error(server: &Running) {
        let config = server.config().username(USER.name).password(USER.password);
        let client = Client::with_config(config).await.unwrap();
        let error = client.incr("k").await.unwrap_err();
        assert_eq!(error.server().unwrap().code(), "NOPERM");
    }

    async fn unknown_user_is_refused(server: &Running) {
        let config = server.config().username("stranger").password(USER.password);
        let error = Client::with_config(config).await.unwrap_err();
        assert!(error.to_string().contains("WRONGPASS"), "{error}");
    }
}

mod without_scripts {
    use super::*;

    const NO_SCRIPTS: User =
        User { name: "purist", password: "p", denied: &["eval", "evalsha", "script"] };

    const ACCESS: Access = Access::with_user(NO_SCRIPTS);

    on_every_server! {
        lock_works_without_scripts_or_says_what_is_missing
    }

    async fn lock_works_without_scripts_or_says_what_is_missing(server: &Running) {
        let config = server.config().username(NO_SCRIPTS.name).password(NO_SCRIPTS.password);
        let client = Client::with_config(config).await.unwrap();
        let acquired = client.lock("l").acquire_for(Duration::from_secs(5)).await;
        let facts = server.facts();
        if facts.delifeq || facts.delex {
            acquired.unwrap().release().await.unwrap();
        } else {
            let error = acquired.unwrap_err();
            assert!(matches!(error, AcquireError::Unsupported { .. }), "{error:?}");
            let words = error.to_string();
            assert!(words.contains("NOPERM") && words.contains("allow EVAL"), "{words}");
        }
        assert_eq!(client.exists("lk:l").await.unwrap(), 0);
    }
}

mod without_set {
    use super::*;

    const NO_SET: User = User { name: "reader", password: "p", denied: &["set"] };

    const ACCESS: Access = Access::with_user(NO_SET);

    on_every_server! {
        missing_right_ends_the_wait_for_a_lock_at_once
    }

    async fn missing_right_ends_the_wait_for_a_lock_at_once(server: &Running) {
        let config = server.config().username(NO_SET.name).password(NO_SET.password);
        let client = Client::with_config(config).await.unwrap();
        let error = client.lock("l").acquire().await.unwrap_err();
        let AcquireError::Client(error) = error else { panic!("{error:?}") };
        assert_eq!(error.server().unwrap().code(), "NOPERM");
    }
}
