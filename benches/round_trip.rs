//! How long does one call take that waits for its answer before the next, with nobody beside it?
//!
//! A private Valkey 9.1 over TCP and over a unix socket; a blocking socket that sends the same bytes comes first. One task on a
//! current-thread runtime, and one on two workers:
//!
//! ```text
//! cargo bench --bench round_trip
//! ```
//!
//! These blocks do not alternate, so they tell where time went since the last run, and are no ratios: for those there are
//! `uncontended` and `benches/peers`.

#![allow(missing_docs, reason = "a macro of criterion makes a public function")]

#[path = "../tests/it/real.rs"]
mod real;

use criterion::{
    BenchmarkGroup, Criterion, criterion_group, criterion_main, measurement::WallTime,
};
use real::{Kind, Options, RealServer};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};
use tenure::client::SetOptions;
use tenure::{Client, Error};
use tokio::runtime::{Builder, Runtime};

const KEY: &str = "lk:bench";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn round_trips(criterion: &mut Criterion) {
    for unix_socket in [false, true] {
        let options = Options { unix_socket, ..Options::default() };
        let server = RealServer::start(Kind::Valkey9_1, options);
        let transport = if unix_socket { "unix" } else { "tcp" };
        let mut group = criterion.benchmark_group(format!("round trip, {transport}"));
        floor(&mut group, &server, unix_socket).expect("the server listens");
        let two = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let one = Builder::new_current_thread().enable_all().build();
        for (name, runtime) in [("current-thread", one), ("two workers", two)] {
            let runtime = runtime.expect("a runtime");
            let client = runtime.block_on(Client::connect(&server.url())).expect("it listens");
            ours(&mut group, name, &runtime, &client);
        }
        group.finish();
    }
}

/// What the same bytes take over a socket that blocks.
fn floor(
    group: &mut BenchmarkGroup<'_, WallTime>,
    server: &RealServer,
    unix_socket: bool,
) -> io::Result<()> {
    if unix_socket {
        let mut stream = UnixStream::connect(server.socket_path())?;
        group.bench_function("pair, blocking socket", |bencher| {
            bencher.iter(|| raw_pair(&mut stream).expect("it answers"));
        });
    } else {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port()))?;
        stream.set_nodelay(true)?;
        group.bench_function("pair, blocking socket", |bencher| {
            bencher.iter(|| raw_pair(&mut stream).expect("it answers"));
        });
    }
    Ok(())
}

fn ours(
    group: &mut BenchmarkGroup<'_, WallTime>,
    runtime_name: &str,
    runtime: &Runtime,
    client: &Client,
) {
    let mut bench = |what: &str, work: &dyn Fn(u64) -> Duration| {
        group.bench_function(format!("{what}, {runtime_name}"), |bencher| {
            bencher.iter_custom(work);
        });
    };
    bench("pair", &|times| runtime.block_on(timed(times, || pair(client))));
    bench("get", &|times| {
        runtime.block_on(timed(times, || async { client.get(KEY).await.map(drop) }))
    });
    let lock = client.lock("bench:lock");
    bench("acquire and release", &|times| {
        runtime.block_on(timed(times, || async {
            lock.acquire()
                .await
                .expect("nobody else wants it")
                .release()
                .await
                .expect("it is ours");
            Ok(())
        }))
    });
}

/// On a task of its own, as a service does it.
async fn timed<F: Future<Output = Result<(), Error>>>(
    times: u64,
    call: impl Fn() -> F,
) -> Duration {
    let begun = Instant::now();
    for _ in 0..times {
        call().await.expect("the server answers");
    }
    begun.elapsed()
}

async fn pair(client: &Client) -> Result<(), Error> {
    let options = SetOptions::new().if_absent().expire(Duration::from_secs(10));
    assert!(client.set_with(KEY, TOKEN, &options).await?);
    assert!(client.command("DELIFEQ").arg((KEY, TOKEN)).send::<bool>().await?);
    Ok(())
}

fn raw_pair(stream: &mut (impl Read + Write)) -> io::Result<()> {
    const SET: &[u8] =
        b"*6\r\n$3\r\nSET\r\n$8\r\nlk:bench\r\n$32\r\n0123456789abcdef0123456789abcdef\r\n\
                         $2\r\nNX\r\n$2\r\nPX\r\n$5\r\n10000\r\n";
    const DEL: &[u8] =
        b"*3\r\n$7\r\nDELIFEQ\r\n$8\r\nlk:bench\r\n$32\r\n0123456789abcdef0123456789abcdef\r\n";
    let mut reply = [0; 5];
    stream.write_all(SET)?;
    stream.read_exact(&mut reply)?;
    assert_eq!(&reply, b"+OK\r\n");
    stream.write_all(DEL)?;
    stream.read_exact(&mut reply[..4])?;
    assert_eq!(&reply[..4], b":1\r\n");
    Ok(())
}

criterion_group!(benches, round_trips);
criterion_main!(benches);
