//! The rights that the README names are enough for locks, on real servers.

use crate::real::{Kind, Options as ServerOptions, RealServer};
use crate::support::{eventually, poll_once};
use std::time::Duration;
use tenure::{Client, Config, Options, Wakeup};

const SECOND: Duration = Duration::from_secs(1);

/// The words of an ACL that the README has for locks, on a server of this kind.
fn rights(kind: Kind) -> Vec<String> {
    let readme = include_str!("../../README.md");
    let passage = readme.split("On a server with ACLs, the locks need").nth(1).unwrap();
    let passage = passage.split("\n\n").next().unwrap();
    let code = passage.split('`').skip(1).step_by(2).flat_map(str::split_whitespace);
    let exists = |word: &&str| kind.has(word.trim_start_matches('+'));
    code.filter(exists).map(str::to_owned).collect()
}

/// Waits in one client until another releases, and the hand-over in one.
async fn contend(first: &Client, second: &Client, options: &Options) {
    let lock = |client: &Client| client.lock("l").options(options.clone());
    let guard = lock(first).acquire().await.unwrap();
    let (ours, theirs) = (lock(first), lock(second));
    let (mut here, mut there) = (Box::pin(ours.acquire()), Box::pin(theirs.acquire()));
    assert!(poll_once(&mut here).await.is_pending());
    assert!(poll_once(&mut there).await.is_pending());
    guard.verify().await.unwrap(); // renews
    guard.release().await.unwrap();
    let here = here.await.unwrap();
    drop(here);
    there.await.unwrap().release().await.unwrap();
}

#[tokio::test]
async fn rights_that_the_readme_names_are_enough_for_locks_and_no_more() {
    if !RealServer::available() {
        return;
    }
    for kind in Kind::ALL {
        let rights = rights(kind);
        assert!(rights.contains(&"+evalsha".to_owned()), "{rights:?}");
        let rule = format!("user keeper on >pw resetchannels -@all {}", rights.join(" "));
        let options = ServerOptions { config: vec![rule], ..ServerOptions::default() };
        let server = RealServer::start(kind, options);
        let admin = Client::connect(&server.url()).await.unwrap();
        let connect = async || {
            let config = Config::from_url(&server.url()).unwrap().username("keeper").password("pw");
            Client::with_config(config).await.unwrap()
        };
        let (first, second) = (connect().await, connect().await);
        for wakeup in [Wakeup::Auto, Wakeup::Track, Wakeup::Announce, Wakeup::Poll] {
            let options = Options::new().wakeup(wakeup).watch_at_once();
            contend(&first, &second, &options).await;
        }
        let lease = Options::new().lease(SECOND);
        let guard = first.lock("l").options(lease).acquire().await.unwrap();
        let seen = second.lock("l").inspect().await.unwrap().unwrap();
        assert_eq!(seen.holder().pid(), Some(std::process::id()));
        // The old connection is killed before the new one is relied on.
        let _: u64 = admin.command("CLIENT").arg(("KILL", "USER", "keeper")).send().await.unwrap();
        eventually("it came back", async || guard.verify().await.is_ok()).await;
        assert!(second.lock("l").try_acquire().await.unwrap().is_none());
        let seen = second.lock("l").inspect().await.unwrap().unwrap();
        assert!(second.lock("l").force_release(&seen).await.unwrap());
        guard.lost().await;
        drop(guard);
        for client in [first, second] {
            client.close(SECOND).await;
        }
        assert_eq!(admin.exists("lk:l").await.unwrap(), 0);
        let log: Vec<tenure::Frame> = admin.command("ACL").arg(("LOG", 10)).send().await.unwrap();
        assert!(log.is_empty(), "{kind:?} refused something: {log:?}");
    }
}
