//! Starts private Redis and Valkey servers for tests, each on a port or socket of its own.
//!
//! A server ends with the value that stands for it, and also when the test process is killed: a small watchdog waits
//! on a pipe that only the test process holds open. Which program is started is decided by [`program`]; one that is
//! missing fails the test with the line that installs it, unless `TENURE_SERVERS=none` leaves all of them out.
#![allow(dead_code, reason = "each test binary that includes this file uses a part of it")]

// Also where this file is included by its path.
#[path = "real/process.rs"]
mod process;

use process::Process;
use std::env;
use std::fmt::Write as _;
use std::fs::{self, DirBuilder};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// How often another port is tried when somebody took the one that had been free.
const CLASHES: usize = 10;

/// A server that the project is tested against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Redis6_2,
    Redis7_0,
    Valkey9_1,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Redis6_2, Self::Redis7_0, Self::Valkey9_1];

    /// Whether the server knows a command, of those that not all know; only such a one can stand in a rule.
    pub(crate) fn has(self, command: &str) -> bool {
        match command {
            "delifeq" => matches!(self, Self::Valkey9_1),
            "delex" => false,
            _ => true,
        }
    }

    /// The environment variable that names its program.
    fn variable(self) -> &'static str {
        match self {
            Self::Redis6_2 => "TENURE_REDIS_6_2",
            Self::Redis7_0 => "TENURE_REDIS_7_0",
            Self::Valkey9_1 => "TENURE_VALKEY_9_1",
        }
    }

    /// Its folder below `target/servers`, and the name of its program.
    fn place(self) -> (&'static str, &'static str) {
        match self {
            Self::Redis6_2 => ("redis-6.2", "redis-server"),
            Self::Redis7_0 => ("redis-7.0", "redis-server"),
            Self::Valkey9_1 => ("valkey-9.1", "valkey-server"),
        }
    }

    /// How `--version` begins.
    fn calls_itself(self) -> &'static str {
        match self {
            Self::Redis6_2 => "Redis server v=6.2.",
            Self::Redis7_0 => "Redis server v=7.0.",
            Self::Valkey9_1 => "Valkey server v=9.1.",
        }
    }
}

/// How a server is set up. The default listens on a TCP port of the loopback address and lets everybody do everything.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// Listens on a unix socket instead of a TCP port.
    pub(crate) unix_socket: bool,
    /// `requirepass`.
    pub(crate) password: Option<String>,
    /// ACL rules of users, as the words after `user`: `"ann on >secret ~* &* +@all"`.
    pub(crate) users: Vec<String>,
    /// A port of its own for TLS, beside the other address.
    pub(crate) tls: Option<Certificates>,
    /// More lines of the configuration file.
    pub(crate) config: Vec<String>,
}

/// What a server shows and expects where it speaks TLS, as PEM texts.
#[derive(Debug, Clone)]
pub(crate) struct Certificates {
    pub(crate) certificate: String,
    pub(crate) key: String,
    /// Whoever signed the certificates of its clients.
    pub(crate) authority: String,
    /// Whether clients must have one.
    pub(crate) clients_show_one: bool,
}

/// What [`RealServer::signal`] sends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Signal {
    /// The server hangs, with its connections open.
    Stop,
    /// It goes on where it stopped.
    Cont,
}

impl Signal {
    fn flag(self) -> &'static str {
        match self {
            Self::Stop => "-STOP",
            Self::Cont => "-CONT",
        }
    }
}

/// Where a server listens.
#[derive(Debug, Clone)]
enum Address {
    Tcp(u16),
    Unix(PathBuf),
}

/// A running server with a folder of its own. Both are gone when this is dropped.
#[derive(Debug)]
pub(crate) struct RealServer {
    program: PathBuf,
    options: Options,
    address: Address,
    tls_port: u16,
    dir: Dir,
    process: Option<Process>,
}

impl RealServer {
    /// Whether real servers are to be tested; where not, says so past the output that the test runner captures.
    pub(crate) fn available() -> bool {
        let left_out = env::var_os("TENURE_SERVERS").is_some_and(|value| value == "none");
        if left_out {
            let line = b"TENURE_SERVERS=none: this test ran WITHOUT its real server\n";
            let _ = io::stderr().write_all(line);
        }
        !left_out
    }

    /// Starts a server and returns once it answers.
    ///
    /// # Panics
    ///
    /// If its program is missing or it does not come up; the message has the cure or the server's log.
    pub(crate) fn start(kind: Kind, options: Options) -> Self {
        let program = program(kind);
        let dir = Dir::new();
        for _ in 0..CLASHES {
            let address = if options.unix_socket {
                Address::Unix(dir.0.join("socket"))
            } else {
                Address::Tcp(free_port())
            };
            let tls_port = if options.tls.is_some() { free_port() } else { 0 };
            let text = configuration(&options, &address, tls_port, &dir.0);
            if let Some(process) = Process::start(&program, &text, &address, &dir) {
                return Self { program, options, address, tls_port, dir, process: Some(process) };
            }
        }
        panic!("{}: no free port in {CLASHES} tries", program.display());
    }

    /// An address for a client, without credentials.
    pub(crate) fn url(&self) -> String {
        match &self.address {
            Address::Tcp(port) => format!("redis://127.0.0.1:{port}"),
            Address::Unix(path) => format!("unix://{}", path.display()),
        }
    }

    /// The TCP port.
    ///
    /// # Panics
    ///
    /// If the server listens on a unix socket.
    pub(crate) fn port(&self) -> u16 {
        match self.address {
            Address::Tcp(port) => port,
            Address::Unix(_) => panic!("this server was started with a unix socket, not a port"),
        }
    }

    /// An address for a client that speaks TLS, by name or number of the host.
    ///
    /// # Panics
    ///
    /// If the server was started without.
    pub(crate) fn tls_url(&self, host: &str) -> String {
        assert_ne!(self.tls_port, 0, "this server was started without TLS");
        format!("rediss://{host}:{}", self.tls_port)
    }

    /// The unix socket.
    ///
    /// # Panics
    ///
    /// If the server listens on a TCP port.
    pub(crate) fn socket_path(&self) -> &Path {
        match &self.address {
            Address::Unix(path) => path,
            Address::Tcp(_) => panic!("this server was started with a port, not a unix socket"),
        }
    }

    /// The server's folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir.0
    }

    /// The process id.
    ///
    /// # Panics
    ///
    /// After [`kill`](Self::kill).
    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().expect("the server was killed and not started again").server.id()
    }

    /// Kills the server on the spot, as a power cut would, and waits until it is gone. Its address stays its own.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Kills the server if it still runs and starts it again, empty, at the same address.
    ///
    /// # Panics
    ///
    /// If it does not come up, or if somebody took its port in the meantime.
    pub(crate) fn restart(&mut self) {
        self.process = None;
        let text = configuration(&self.options, &self.address, self.tls_port, &self.dir.0);
        let started = Process::start(&self.program, &text, &self.address, &self.dir);
        assert!(started.is_some(), "{} was taken while its server was down", self.url());
        self.process = started;
    }

    /// Stops or continues the process.
    ///
    /// # Panics
    ///
    /// After [`kill`](Self::kill).
    pub(crate) fn signal(&self, signal: Signal) {
        let sent = Command::new("kill").arg(signal.flag()).arg(self.pid().to_string()).status();
        let sent = sent.expect("the command kill is on every unix");
        assert!(sent.success(), "kill {} {}: {sent}", signal.flag(), self.pid());
    }
}

fn configuration(options: &Options, address: &Address, tls_port: u16, dir: &Path) -> String {
    let mut text = format!("daemonize no\nsave \"\"\nappendonly no\ndir \"{}\"\n", dir.display());
    let _ = match address {
        Address::Tcp(port) => writeln!(text, "bind 127.0.0.1\nport {port}"),
        Address::Unix(path) => writeln!(text, "port 0\nunixsocket \"{}\"", path.display()),
    };
    if let Some(password) = &options.password {
        let _ = writeln!(text, "requirepass \"{password}\"");
    }
    for user in &options.users {
        let _ = writeln!(text, "user {user}");
    }
    if let Some(tls) = &options.tls {
        let files = [("cert", &tls.certificate), ("key", &tls.key), ("ca-cert", &tls.authority)];
        for (name, pem) in files {
            let path = dir.join(name);
            fs::write(&path, pem).expect("own folder is writable");
            let _ = writeln!(text, "tls-{name}-file \"{}\"", path.display());
        }
        let clients = if tls.clients_show_one { "yes" } else { "no" };
        let _ = writeln!(text, "tls-port {tls_port}\ntls-auth-clients {clients}");
    }
    for line in &options.config {
        let _ = writeln!(text, "{line}");
    }
    text
}

/// One that the kernel gives to no outgoing connection: whoever dials a server that is down could be given its very port, and
/// would talk to itself.
fn free_port() -> u16 {
    loop {
        // Other packages use this file too: chance is the standard library's.
        let port = 10_000 + (RandomState::new().hash_one(()) % 22_000) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// A folder that only this user can read, removed on drop.
#[derive(Debug)]
struct Dir(PathBuf);

impl Dir {
    /// The name is short, as the path of a unix socket has room for about a hundred bytes.
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("tenure-{}-{number}", std::process::id());
            let path = env::temp_dir().join(name);
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Self(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => panic!("no folder {} for a server: {error}", path.display()),
            }
        }
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The program of a server: the one its variable names, else the one that `tests/run` put under `target/servers`, else
/// the first on `PATH` that has the version.
fn program(kind: Kind) -> PathBuf {
    let (folder, name) = kind.place();
    if let Some(named) = env::var_os(kind.variable()) {
        let named = PathBuf::from(named);
        assert!(
            is(kind, &named),
            "{}={} is not \"{}…\" by its own --version",
            kind.variable(),
            named.display(),
            kind.calls_itself()
        );
        return named;
    }
    // Workspaces below the root include this file as well, and find what was installed for it.
    let roots = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let ours = roots.map(|root| root.join("target/servers").join(folder));
    let path = env::var_os("PATH").unwrap_or_default();
    let candidates = ours.chain(env::split_paths(&path));
    candidates.map(|folder| folder.join(name)).find(|program| is(kind, program)).unwrap_or_else(
        || {
            panic!(
                "no \"{}…\" here: run `tests/run --install-servers`, or name one in {}, or set \
                 TENURE_SERVERS=none to leave real servers out",
                kind.calls_itself(),
                kind.variable()
            )
        },
    )
}

fn is(kind: Kind, program: &Path) -> bool {
    let said = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    said.is_ok_and(|said| said.stdout.starts_with(kind.calls_itself().as_bytes()))
}
