//! Pipelines and transactions.

use crate::support::{Access, Running, User};
use bytes::Bytes;
use std::time::Duration;
use tenure::client::{Event, SetOptions, Ttl};
use tenure::{Client, Error, ErrorKind, Frame, Outcome};

mod open {
    use super::*;

    const ACCESS: Access = Access::OPEN;

    on_every_server! {
        pipeline_gives_each_reply_in_its_place
        pipeline_with_an_error_says_which_command_it_was
        part_that_is_a_result_keeps_its_error_to_itself
        tuple_of_another_length_is_refused_before_anything_is_sent
        refused_command_refuses_the_whole_batch
        transaction_gives_each_reply_in_its_place
        transaction_goes_on_after_a_command_that_fails
        transaction_with_a_command_that_cannot_be_queued_executes_nothing
        transactions_of_many_tasks_do_not_mix
        pushes_do_not_stand_between_the_replies_of_a_transaction
    }

    async fn pipeline_gives_each_reply_in_its_place(server: &Running) {
        let client = server.connect().await;
        let (stored, value, sum): ((), Option<Bytes>, i64) =
            client.pipeline().set("k", "v").get("k").incr("n").send().await.unwrap();
        assert_eq!((stored, value, sum), ((), Some("v".into()), 1));
        let absent = SetOptions::new().if_absent();
        let (set, new, gone, there, lives, left): (Option<()>, bool, u64, u64, bool, Ttl) = client
            .pipeline()
            .set_with("k", "w", &absent)
            .set_nx("fresh", 1)
            .del(["fresh", "none"])
            .exists(["k", "n"])
            .expire("k", Duration::from_secs(9))
            .pttl("n")
            .send()
            .await
            .unwrap();
        assert_eq!((set, new, gone, there, lives, left), (None, true, 1, 2, true, Ttl::Forever));
        let (both, told, values): ((), u64, Vec<Option<i64>>) = client
            .pipeline()
            .mset([("a", 1), ("b", 2)])
            .publish("channel", "nobody listens")
            .mget(["a", "none", "b"])
            .send()
            .await
            .unwrap();
        assert_eq!((both, told, values), ((), 0, vec![Some(1), None, Some(2)]));
        // A single command whose reply is a list is not taken for a list of replies.
        let (list,): (Vec<i64>,) = client.pipeline().mget(["a", "b"]).send().await.unwrap();
        assert_eq!(list, [1, 2]);
        let numbers: Vec<i64> = client.pipeline().incr_by("n", 4).incr("n").send().await.unwrap();
        assert_eq!(numbers, [5, 6]);
        client.pipeline().send::<()>().await.unwrap();
        assert_eq!(client.transaction().send::<Vec<i64>>().await.unwrap(), []);
    }

    async fn pipeline_with_an_error_says_which_command_it_was(server: &Running) {
        let client = server.connect().await;
        client.command("RPUSH").arg(("list", "x")).send::<()>().await.unwrap();
        let batch = || client.pipeline().set("k", 1).command("incr").arg("list").incr("k");
        for error in [
            batch().send::<()>().await.unwrap_err(),
            batch().send::<((), i64, i64)>().await.unwrap_err(),
            batch().send::<Vec<Frame>>().await.unwrap_err(),
        ] {
            assert_eq!((error.kind(), error.outcome()), (ErrorKind::Server, Outcome::Refused));
            assert_eq!(error.server().unwrap().code(), "WRONGTYPE");
            let text = error.to_string();
            assert!(text.starts_with("command 2 (INCR): WRONGTYPE Operation"), "{text}");
        }
        assert_eq!(client.get("k").await.unwrap(), Some("2".into()), "the others ran");
        let error = client.pipeline().get("k").get("none").send::<Vec<i64>>().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "command 2 (GET): the reply is null, where an integer was expected"
        );
    }

    async fn part_that_is_a_result_keeps_its_error_to_itself(server: &Running) {
        let client = server.connect().await;
        client.command("RPUSH").arg(("list", "x")).send::<()>().await.unwrap();
        let (list, sum): (Result<i64, Error>, i64) =
            client.pipeline().incr("list").incr("n").send().await.unwrap();
        assert_eq!((list.unwrap_err().server().unwrap().code(), sum), ("WRONGTYPE", 1));
        let all: Vec<Result<i64, Error>> =
            client.transaction().incr("list").incr("n").send().await.unwrap();
        assert_eq!(all.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true]);
    }

    async fn tuple_of_another_length_is_refused_before_anything_is_sent(server: &Running) {
        let client = server.connect().await;
        for batch in [client.pipeline(), client.transaction()] {
            let error = batch.set("k", 1).incr("k").send::<((),)>().await.unwrap_err();
            assert_eq!((error.kind(), error.outcome()), (ErrorKind::Refused, Outcome::NotSent));
            assert_eq!(error.to_string(), "2 commands, and their replies are to be a tuple of 1");
        }
        assert_eq!(client.exists("k").await.unwrap(), 0);
    }

    async fn refused_command_refuses_the_whole_batch(server: &Running) {
        let client = server.connect().await;
        for batch in [client.pipeline(), client.transaction()] {
            let batch = batch.set("k", 1).command("BLPOP").arg(("list", 0)).incr("k");
            let error = batch.send::<()>().await.unwrap_err();
            assert_eq!((error.kind(), error.outcome()), (ErrorKind::Refused, Outcome::NotSent));
            assert!(error.to_string().starts_with("command 2: BLPOP is refused"), "{error}");
        }
        let error = client.pipeline().set("k", ["a", "b"]).send::<()>().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        let error = client.pipeline().arg("k").send::<()>().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert_eq!(client.exists("k").await.unwrap(), 0);
    }

    async fn transaction_gives_each_reply_in_its_place(server: &Running) {
        let client = server.connect().await;
        let (sum, stored, value, list): (i64, (), Option<String>, (String, i64)) = client
            .transaction()
            .incr_by("n", 7)
            .set("k", "v")
            .get("k")
            .mget(["k", "n"])
            .send()
            .await
            .unwrap();
        assert_eq!((sum, stored, value, list), (7, (), Some("v".into()), ("v".into(), 7)));
    }

    async fn transaction_goes_on_after_a_command_that_fails(server: &Running) {
        let client = server.connect().await;
        client.command("RPUSH").arg(("list", "x")).send::<()>().await.unwrap();
        let batch = client.transaction().set("k", 1).incr("list").incr("k");
        let error = batch.send::<()>().await.unwrap_err();
        assert!(error.to_string().starts_with("command 2 (INCR): WRONGTYPE"), "{error}");
        assert_eq!(client.get("k").await.unwrap(), Some("2".into()), "the server undoes nothing");
    }

    async fn transaction_with_a_command_that_cannot_be_queued_executes_nothing(server: &Running) {
        let client = server.connect().await;
        let batch = client.transaction().set("k", 1).command("NOSUCH").arg("thing").incr("k");
        let error = batch.send::<((), Frame, i64)>().await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Server, Outcome::Refused));
        let text = error.to_string();
        let place = "nothing was executed: command 2 (NOSUCH): ERR unknown command";
        assert!(text.starts_with(place), "{text}");
        assert_eq!(client.exists("k").await.unwrap(), 0);
        let error = client.transaction().command("GET").send::<()>().await.unwrap_err();
        assert!(error.to_string().contains("wrong number of arguments"), "{error}");
        client.transaction().incr("k").send::<()>().await.unwrap();
    }

    async fn transactions_of_many_tasks_do_not_mix(server: &Running) {
        let client = server.connect().await;
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..200 {
            let client = client.clone();
            tasks.spawn(async move {
                let batch = client.transaction().set("owner", number).incr("total").get("owner");
                let (_, _, owner): ((), i64, i64) = batch.send().await.unwrap();
                assert_eq!(owner, number);
                let echoed: i64 = client.command("ECHO").arg(number).send().await.unwrap();
                assert_eq!(echoed, number);
            });
        }
        while let Some(finished) = tasks.join_next().await {
            finished.unwrap();
        }
        assert_eq!(client.get("total").await.unwrap(), Some("200".into()));
    }

    /// Servers put pushes between the elements of `EXEC`'s array, on a connection that gets pushes. None that runs transactions
    /// does.
    async fn pushes_do_not_stand_between_the_replies_of_a_transaction(server: &Running) {
        let client = server.connect().await;
        let mut messages = client.subscribe("news").await.unwrap();
        let guard = client.lock("l").acquire().await.unwrap();
        for watched in [false, true] {
            let batch = if watched {
                client.watch("k").await.unwrap().transaction()
            } else {
                client.transaction()
            };
            let (heard, _, stored, flushed, sum): (u64, Option<String>, (), (), i64) = batch
                .publish("news", "hello")
                .get("lk:l")
                .set("k", "v")
                .command("FLUSHALL")
                .incr("n")
                .send()
                .await
                .unwrap();
            assert_eq!((heard, stored, flushed, sum), (1, (), (), 1));
            let Event::Message(message) = messages.next().await.unwrap() else { panic!("a gap") };
            assert_eq!(message.read::<String>().unwrap(), "hello");
        }
        guard.release().await.unwrap_err();
        let word = |name| client.transaction().command(name).arg("news").send::<()>();
        for name in ["SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"] {
            assert_eq!(word(name).await.unwrap_err().kind(), ErrorKind::Refused);
        }
        let tracking = client.transaction().command("CLIENT").arg(("TRACKING", "ON"));
        assert_eq!(tracking.send::<()>().await.unwrap_err().kind(), ErrorKind::Refused);
    }
}

mod without_multi {
    use super::*;

    const NO_MULTI: User = User { name: "single", password: "p", denied: &["multi"] };

    const ACCESS: Access = Access::with_user(NO_MULTI);

    on_every_server! {
        transaction_of_a_user_who_may_not_is_refused_and_nothing_runs
    }

    async fn transaction_of_a_user_who_may_not_is_refused_and_nothing_runs(server: &Running) {
        let config = server.config().username(NO_MULTI.name).password(NO_MULTI.password);
        let client = Client::with_config(config).await.unwrap();
        for _ in 0..2 {
            let error = client.transaction().set("k", 1).send::<()>().await.unwrap_err();
            assert_eq!((error.kind(), error.outcome()), (ErrorKind::Server, Outcome::Refused));
            assert!(error.to_string().starts_with("MULTI was refused: NOPERM"), "{error}");
        }
        assert_eq!(client.exists("k").await.unwrap(), 0);
    }
}

mod without_exec {
    use super::*;

    const NO_EXEC: User = User { name: "starter", password: "p", denied: &["exec"] };

    const ACCESS: Access = Access::with_user(NO_EXEC);

    on_every_server! {
        refused_exec_does_not_leave_the_connection_inside_the_transaction
    }

    async fn refused_exec_does_not_leave_the_connection_inside_the_transaction(server: &Running) {
        let config = server.config().username(NO_EXEC.name).password(NO_EXEC.password);
        let client = Client::with_config(config).await.unwrap();
        let error = client.transaction().set("k", 1).send::<()>().await.unwrap_err();
        let place = "nothing was executed: EXECABORT Transaction discarded because of: NOPERM";
        assert!(error.to_string().starts_with(place), "{error}");
        let echoed: String = client.command("ECHO").arg("hello").send().await.unwrap();
        assert_eq!(echoed, "hello", "and not QUEUED");
        assert_eq!(client.exists("k").await.unwrap(), 0);
    }
}
