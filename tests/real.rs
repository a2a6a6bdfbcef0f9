//! The real servers that other tests stand on: that they start, are what they say, and leave nothing behind.

#[path = "it/real.rs"]
mod real;

use real::{Kind, Options, RealServer, Signal};
use std::env;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Sends inline commands and returns everything up to the end of the connection.
fn ask(mut stream: impl Read + Write, commands: &str) -> String {
    stream.write_all(format!("{commands}\r\nQUIT\r\n").as_bytes()).expect("the server reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the server answers in UTF-8");
    answer
}

fn ask_tcp(server: &RealServer, commands: &str) -> String {
    ask(TcpStream::connect(("127.0.0.1", server.port())).expect("the server listens"), commands)
}

fn ask_unix(server: &RealServer, commands: &str) -> String {
    ask(UnixStream::connect(server.socket_path()).expect("the server listens"), commands)
}

fn version(kind: Kind) -> &'static str {
    match kind {
        Kind::Redis6_2 => "redis_version:6.2.",
        Kind::Redis7_0 => "redis_version:7.0.",
        Kind::Valkey9_1 => "valkey_version:9.1.",
    }
}

/// Whether a process runs. One that ended and that nobody has waited for does not.
fn runs(pid: u32) -> bool {
    let state = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output();
    let state = state.expect("ps is installed").stdout;
    !state.is_empty() && !state.starts_with(b"Z")
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < until, "not within 10 s: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn is_what_it_says_over_tcp(kind: Kind) {
    if RealServer::available() {
        let server = RealServer::start(kind, Options::default());
        assert!(server.url().ends_with(&format!(":{}", server.port())));
        let answer = ask_tcp(&server, "PING\r\nINFO server");
        assert!(answer.starts_with("+PONG\r\n"), "{answer}");
        assert!(answer.contains(version(kind)), "{answer}");
        assert!(answer.contains(&format!("process_id:{}\r\n", server.pid())), "{answer}");
    }
}

fn is_what_it_says_over_a_unix_socket(kind: Kind) {
    if RealServer::available() {
        let options = Options { unix_socket: true, ..Options::default() };
        let server = RealServer::start(kind, options);
        let answer = ask_unix(&server, "PING\r\nINFO server");
        assert!(answer.starts_with("+PONG\r\n"), "{answer}");
        assert!(answer.contains(version(kind)), "{answer}");
        assert!(answer.contains("tcp_port:0\r\n"), "{answer}");
    }
}

#[test]
fn redis_6_2_is_what_it_says() {
    is_what_it_says_over_tcp(Kind::Redis6_2);
    is_what_it_says_over_a_unix_socket(Kind::Redis6_2);
}

#[test]
fn redis_7_0_is_what_it_says() {
    is_what_it_says_over_tcp(Kind::Redis7_0);
    is_what_it_says_over_a_unix_socket(Kind::Redis7_0);
}

#[test]
fn valkey_9_1_is_what_it_says() {
    is_what_it_says_over_tcp(Kind::Valkey9_1);
    is_what_it_says_over_a_unix_socket(Kind::Valkey9_1);
}

#[test]
fn dropped_server_leaves_neither_process_nor_folder() {
    for kind in Kind::ALL {
        if RealServer::available() {
            let server = RealServer::start(kind, Options::default());
            let (pid, dir) = (server.pid(), server.dir().to_owned());
            assert!(runs(pid) && dir.exists());
            drop(server);
            assert!(!runs(pid), "process {pid} is left");
            assert!(!dir.exists(), "{} is left", dir.display());
        }
    }
}

#[test]
fn password_and_users_are_asked_for() {
    for kind in Kind::ALL {
        if RealServer::available() {
            let server = RealServer::start(
                kind,
                Options {
                    password: Some("open sesame".to_owned()),
                    users: vec!["ann on >secret ~* &* +@all -flushall".to_owned()],
                    ..Options::default()
                },
            );
            assert!(ask_tcp(&server, "PING").starts_with("-NOAUTH"));
            assert!(ask_tcp(&server, "AUTH \"open sesame\"").starts_with("+OK"));
            assert!(ask_tcp(&server, "AUTH ann secret\r\nFLUSHALL").starts_with("+OK\r\n-NOPERM"));
        }
    }
}

#[test]
fn restarted_server_is_another_process_at_the_same_address_and_empty() {
    for kind in Kind::ALL {
        if RealServer::available() {
            let mut server = RealServer::start(kind, Options::default());
            let (port, pid) = (server.port(), server.pid());
            assert!(ask_tcp(&server, "SET key value").starts_with("+OK"));
            server.restart();
            assert_eq!(server.port(), port);
            assert_ne!(server.pid(), pid);
            assert!(ask_tcp(&server, "GET key").starts_with("$-1"));
        }
    }
}

#[test]
fn killed_server_answers_nobody_until_it_is_restarted() {
    if RealServer::available() {
        let options = Options { unix_socket: true, ..Options::default() };
        let mut server = RealServer::start(Kind::Redis7_0, options);
        let pid = server.pid();
        server.kill();
        assert!(!runs(pid));
        assert!(UnixStream::connect(server.socket_path()).is_err());
        server.restart();
        assert!(ask_unix(&server, "PING").starts_with("+PONG"));
    }
}

#[test]
fn stopped_server_answers_only_after_it_is_continued() {
    if RealServer::available() {
        let server = RealServer::start(Kind::Valkey9_1, Options::default());
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).expect("it listens");
        server.signal(Signal::Stop);
        stream.set_read_timeout(Some(Duration::from_millis(50))).expect("the stream is open");
        stream.write_all(b"PING\r\n").expect("the kernel takes it");
        let mut answer = [0; 7];
        assert!(stream.read(&mut answer).is_err(), "a stopped server answered");
        server.signal(Signal::Cont);
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("the stream is open");
        stream.read_exact(&mut answer).expect("it answers now");
        assert_eq!(&answer, b"+PONG\r\n");
    }
}

/// The test below runs this binary with this variable set, to have a test process that it can kill.
const VICTIM: &str = "TENURE_TEST_VICTIM";

#[test]
fn killed_test_process_leaves_no_server_behind() {
    if !RealServer::available() {
        return;
    }
    if env::var_os(VICTIM).is_some() {
        let server = RealServer::start(Kind::Redis7_0, Options::default());
        let line = format!("\nvictim {} {}\n", server.pid(), server.dir().display());
        std::io::stdout().write_all(line.as_bytes()).expect("the parent listens");
        loop {
            thread::park();
        }
    }
    let mut victim = Command::new(env::current_exe().expect("a test has a program"))
        .args(["--exact", "killed_test_process_leaves_no_server_behind", "--nocapture"])
        .env(VICTIM, "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the test's own program starts");
    let mut lines = BufReader::new(victim.stdout.take().expect("it is piped")).lines();
    let line = lines.find_map(|line| line.ok()?.strip_prefix("victim ").map(str::to_owned));
    let line = line.expect("the victim says what it started");
    let (pid, dir) = line.split_once(' ').expect("both stand on the line");
    let pid = pid.parse().expect("a process id");
    assert!(runs(pid));
    victim.kill().expect("it runs");
    victim.wait().expect("it is our child");
    eventually("the watchdog kills the server", || !runs(pid));
    eventually("the watchdog removes the folder", || !Path::new(dir).exists());
}
