//! How long do acquire and release take on a server in this very thread, over memory: without a socket, a kernel or another
//! process, what is left is the client's and the test server's own work.
//!
//! ```text
//! cargo bench --bench lock_hot_path
//! ```
//!
//! Beside it stands the pair of plain commands that goes over the wire for it, on the same server: the difference is what the
//! lock adds. Times drift with the machine; the instructions of both, which do not, are in `instructions`.

#![allow(missing_docs, reason = "a macro of criterion makes a public function")]

use criterion::{Criterion, criterion_group, criterion_main};
use std::time::Duration;
use tenure::client::SetOptions;
use tenure::{Client, Config};
use tenure_server::{Profile, Server};
use tokio::runtime::{Builder, Runtime};

const PROFILES: [(&str, Profile); 2] =
    [("Valkey 9", Profile::Valkey9), ("Redis 7.0", Profile::Redis7_0)];

fn start(profile: Profile) -> (Runtime, Client) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let config = Config::dialer(Server::new(profile).dialer());
    let client = runtime.block_on(Client::with_config(config)).expect("a connection");
    (runtime, client)
}

fn lock(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lock_hot_path");
    for (name, profile) in PROFILES {
        let (runtime, client) = start(profile);
        let lock = client.lock("job");
        group.bench_function(format!("lock, {name}"), |bencher| {
            bencher.iter(|| {
                runtime.block_on(async {
                    let guard = lock.acquire().await.expect("nobody has it");
                    guard.release().await.expect("it was ours");
                });
            });
        });
    }
    group.finish();
}

fn plain_pair(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lock_hot_path");
    let (runtime, client) = start(Profile::Valkey9);
    let options = SetOptions::new().if_absent().expire(Duration::from_secs(10));
    let token = "0".repeat(72);
    group.bench_function("plain commands, Valkey 9", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                let set = client.set_with("lk:job", &token, &options);
                assert!(set.await.expect("an answer"));
                let delete = client.command("DELIFEQ").arg(("lk:job", &token));
                assert!(delete.send::<bool>().await.expect("an answer"));
            });
        });
    });
    group.finish();
}

criterion_group!(benches, lock, plain_pair);
criterion_main!(benches);
