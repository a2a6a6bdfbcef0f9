//! Whoever runs out of time is told how the connection stood: the server, its silence, what was queued and in flight. In process,
//! on a paused clock.

use crate::support::poll_once;
use std::time::Duration;
use tenure::{AcquireError, CheckError, Circumstances, Client, Config, Error, Overflow};
use tenure_server::{Fault, Profile, Server};
use tokio::time::sleep;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

async fn connect(server: &Server) -> Client {
    let config = Config::dialer(server.dialer()).stall_timeout(60 * SECOND);
    Client::with_config(config).await.unwrap()
}

/// What a time-out tells, which its text tells as well.
#[track_caller]
fn told(error: &Error) -> Circumstances {
    assert!(error.is_timeout(), "{error}");
    let known = error.circumstances().unwrap_or_else(|| panic!("none in {error}"));
    assert!(error.to_string().contains(&known.to_string()), "{error}");
    known.clone()
}

#[tokio::test(start_paused = true)]
async fn subscription_tells_how_its_own_connection_stood() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    let listening = client.subscribe("a").await.unwrap();
    sleep(300 * MS).await;
    server.fault(Fault::drop_request().on("SUBSCRIBE"));
    let known = told(&listening.subscribe("b").await.unwrap_err());
    assert_eq!((known.silent_for, known.in_flight), (Some(1_300 * MS), 1));

    server.refuse_connections(true);
    server.kill_connections();
    sleep(MS).await;
    let known = told(&listening.subscribe("c").await.unwrap_err());
    assert_eq!((known.silent_for, known.in_flight), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn command_that_waits_tells_how_its_leased_connection_stood() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    let pop = client.blocking_command("BLPOP").arg(("q", 0)).timeout(SECOND);
    let known = told(&pop.send::<Option<(String, String)>>().await.unwrap_err());
    assert_eq!((known.silent_for, known.queued, known.in_flight), (Some(SECOND), 0, 1));
}

#[tokio::test(start_paused = true)]
async fn call_that_waited_for_room_tells_what_stood_in_its_way() {
    let server = Server::new(Profile::Valkey9);
    let config = Config::dialer(server.dialer()).max_queued_bytes(1).overflow(Overflow::Wait);
    let client = Client::with_config(config.stall_timeout(60 * SECOND)).await.unwrap();
    server.freeze();
    let patient = client.command("GET").arg("k").timeout(10 * SECOND);
    let mut patient = Box::pin(patient.send::<Option<String>>());
    assert!(poll_once(&mut patient).await.is_pending());
    let known = told(&client.get("k").await.unwrap_err());
    assert_eq!((known.silent_for, known.in_flight), (Some(SECOND), 1));
}

#[tokio::test(start_paused = true)]
async fn lock_tells_how_its_connection_stood() {
    let server = Server::new(Profile::Valkey9);
    let client = connect(&server).await;
    let guard = client.lock("held").acquire().await.unwrap();
    sleep(500 * MS).await;
    server.freeze();
    let Err(CheckError::Client(error)) = guard.verify().await else { panic!("nobody answers") };
    assert_eq!(told(&error).silent_for, Some(1_500 * MS));
    let Err(AcquireError::Client(error)) = client.lock("free").try_acquire().await else {
        panic!("nobody answers")
    };
    assert_eq!(told(&error).silent_for, Some(2_500 * MS));
    let refused = client.lock("free").acquire_for(SECOND).await.unwrap_err();
    let AcquireError::TimedOut { holder: None, circumstances: Some(known), .. } = &refused else {
        panic!("{refused:?}")
    };
    assert_eq!(known.silent_for, Some(3_500 * MS));
    assert_eq!(
        refused.to_string(),
        format!("exceeded timeout of 1s: the server could not be asked ({known})")
    );
    server.thaw();
    sleep(MS).await;
    server.set_for("lk:taken", "somebody else", 60 * SECOND);
    let refused = client.lock("taken").acquire_for(SECOND).await.unwrap_err();
    assert!(
        matches!(refused, AcquireError::TimedOut { holder: Some(_), circumstances: None, .. }),
        "{refused:?}"
    );
}
