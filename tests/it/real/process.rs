//! The process of a real server, and the watchdog that ends it when the test process dies.

use super::{Address, Dir};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take from its start to its first answer, on a machine that is busy with other tests.
const START: Duration = Duration::from_secs(20);
/// What a server logs after it has bound its port and socket, so that an answer there is its own.
const BOUND: &str = "ready to accept connections";

/// A server's process and the watchdog that ends it when the test process dies.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) server: Child,
    watchdog: Child,
}

impl Process {
    /// `None` if the address was taken.
    pub(super) fn start(program: &Path, text: &str, address: &Address, dir: &Dir) -> Option<Self> {
        let (config, log) = (dir.0.join("server.conf"), dir.0.join("log"));
        fs::write(&config, text).expect("own folder is writable");
        let out = File::create(&log).expect("own folder is writable");
        let server = Command::new(program)
            .arg(&config)
            .current_dir(&dir.0)
            .stdin(Stdio::null())
            .stdout(out.try_clone().expect("a log file can be shared by two streams"))
            .stderr(out)
            .spawn()
            .unwrap_or_else(|error| panic!("{} cannot be started: {error}", program.display()));
        let watchdog = watchdog(server.id(), &dir.0);
        let mut process = Self { server, watchdog };
        let until = Instant::now() + START;
        loop {
            let said = fs::read_to_string(&log).unwrap_or_default();
            if said.to_ascii_lowercase().contains(BOUND) && answers(address) {
                return Some(process);
            }
            if let Some(status) = process.server.try_wait().expect("the server is our child") {
                let said = fs::read_to_string(&log).unwrap_or_default();
                if said.contains("Address already in use") {
                    return None;
                }
                panic!("{} ended with {status}:\n{said}", program.display());
            }
            let waited = Instant::now() < until;
            assert!(waited, "{} does not answer within {START:?}:\n{said}", program.display());
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The watchdog first: it must not live to kill whoever gets the process id next.
        for child in [&mut self.watchdog, &mut self.server] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits for the end of its input, which comes when this process ends, however it ends; then cleans up after it.
fn watchdog(pid: u32, dir: &Path) -> Child {
    Command::new("sh")
        .arg("-c")
        .arg("trap '' HUP INT TERM; read -r _; kill -9 \"$1\"; rm -rf \"$2\"")
        .arg("watchdog")
        .arg(pid.to_string())
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh is on every unix")
}

/// Whether a PING is answered: with PONG, or with the demand for credentials.
fn answers(address: &Address) -> bool {
    let answer = match address {
        Address::Tcp(port) => TcpStream::connect((Ipv4Addr::LOCALHOST, *port))
            .and_then(|stream| stream.set_read_timeout(Some(START)).and_then(|()| ping(stream))),
        Address::Unix(path) => UnixStream::connect(path)
            .and_then(|stream| stream.set_read_timeout(Some(START)).and_then(|()| ping(stream))),
    };
    answer.is_ok_and(|answer| &answer == b"+PONG" || &answer == b"-NOAU" || &answer == b"-NOPE")
}

fn ping(mut stream: impl Read + Write) -> io::Result<[u8; 5]> {
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}
