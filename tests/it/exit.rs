//! A process whose last statement drops a guard leaves no key behind.

use crate::support::{Access, Running, Target, eventually};
use std::process::Command;
use std::time::Duration;
use tenure::{Client, Options};

const URL: &str = "TENURE_TEST_EXIT_URL";
const FLAVOR: &str = "TENURE_TEST_EXIT_FLAVOR";
/// No expiry could make the test pass.
const LEASE: Duration = Duration::from_secs(600);

async fn acquire_and_drop(url: String) {
    let client = Client::connect(&url).await.unwrap();
    let guard = client.lock("exit").options(Options::new().lease(LEASE)).acquire().await.unwrap();
    drop(guard);
}

/// The body of the child process; on its own it has nothing to do.
#[test]
fn child_process_drops_its_guard_last() {
    let (Ok(url), Ok(flavor)) = (std::env::var(URL), std::env::var(FLAVOR)) else { return };
    // What #[tokio::main] makes of an async main.
    let runtime = match flavor.as_str() {
        "current_thread" => tokio::runtime::Builder::new_current_thread().enable_all().build(),
        _ => tokio::runtime::Builder::new_multi_thread().enable_all().build(),
    };
    runtime.unwrap().block_on(acquire_and_drop(url));
    std::process::exit(0);
}

async fn check(target: Target) {
    let Some(server) = target.start(Access::OPEN).await else { return };
    let url = match &server {
        Running::Embedded { tcp: Some(url), .. } => url.clone(),
        Running::Real { server, .. } => server.url(),
        Running::Embedded { .. } => panic!("a child process needs a socket"),
    };
    let client = server.connect().await;
    for flavor in ["current_thread", "multi_thread"] {
        for _ in 0..5 {
            let child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "exit::child_process_drops_its_guard_last"])
                .env(URL, &url)
                .env(FLAVOR, flavor)
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap();
            let status = tokio::task::spawn_blocking(move || {
                let mut child = child;
                child.wait()
            });
            assert!(status.await.unwrap().unwrap().success());
            eventually("the key is gone", async || client.exists("lk:exit").await.unwrap() == 0)
                .await;
        }
    }
}

#[tokio::test]
async fn guard_dropped_by_the_last_statement_is_released_on_the_embedded_server() {
    check(Target::EmbeddedTcp(tenure_server::Profile::Redis7_0)).await;
}

#[tokio::test]
async fn guard_dropped_by_the_last_statement_is_released_on_redis() {
    check(Target::Real(crate::real::Kind::Redis7_0)).await;
}

#[tokio::test]
async fn guard_dropped_by_the_last_statement_is_released_on_valkey() {
    check(Target::Real(crate::real::Kind::Valkey9_1)).await;
}
