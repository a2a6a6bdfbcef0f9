//! What is talked to: a real server of our own, or a sink that knows the answers without doing the work.

#[path = "../../../sink/requests.rs"]
mod requests;

use crate::Failure;
use crate::connection::floor::Raw;
use crate::connection::peers::{READ_KEY, Release, Target, UNANSWERED_KEY};
use crate::real::{Kind, Options, RealServer};
use bytes::BytesMut;
use requests::Requests;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

/// Deletes a lock if it is ours.
pub(crate) const RELEASE: &str = include_str!("../../../../src/lock/scripts/release.lua");

/// How the server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Unix,
}

impl Transport {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Unix => "unix socket",
        }
    }
}

/// A private real server, ready to be measured with.
///
/// # Errors
///
/// If it does not answer as it should. It panics if its program is missing, and says how to get it.
pub(crate) fn start(kind: Kind, transport: Transport) -> Result<(RealServer, Target), Failure> {
    let options = Options { unix_socket: transport == Transport::Unix, ..Options::default() };
    let server = RealServer::start(kind, options);
    let mut raw = Raw::connect(&server.url())?;
    raw.ask(&["SET", READ_KEY, "0123456789abcdef0123456789abcdef0123"])?;
    let release = match kind {
        Kind::Valkey9_1 => Release::Native,
        Kind::Redis6_2 | Kind::Redis7_0 => {
            let answer = raw.ask(&["SCRIPT", "LOAD", RELEASE])?;
            let digest = answer.lines().nth(1).ok_or("no digest")?;
            Release::Script(digest.to_owned())
        }
    };
    let target = Target { url: server.url(), release };
    Ok((server, target))
}

/// A process that answers without doing anything, ended on drop.
pub(crate) struct Sink {
    child: Child,
    pub(crate) target: Target,
}

impl Sink {
    pub(crate) fn start() -> Result<Self, Failure> {
        let program = std::env::current_exe()?;
        let mut child = Command::new(program)
            .arg("sink")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut address = String::new();
        let stdout = child.stdout.take().ok_or("the child has an output")?;
        BufReader::new(stdout).read_line(&mut address)?;
        let url = format!("redis://{}", address.trim());
        Ok(Self { child, target: Target { url, release: Release::Native } })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The sink's side. Ends with its standard input, and so with whoever started it.
pub(crate) fn sink() -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    // One connection after the other, each on a thread of its own as clients keep theirs open.
    for stream in listener.incoming() {
        let stream = stream?;
        std::thread::spawn(move || serve(stream));
    }
    Ok(())
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut requests, mut answers) = (Requests::new(), BytesMut::new());
    let mut resp3 = false;
    while requests.read(&mut stream)? {
        while let Some(request) = requests.next()? {
            let words = request.words();
            if let [b"HELLO", version, ..] = words {
                resp3 = *version == b"3";
            }
            match words {
                // What a client uses to see whether answers still belong to what it asks.
                [b"PING" | b"ECHO", said] => resp::encode::bulk(said, &mut answers),
                words => answers.extend_from_slice(answer(words, resp3)),
            }
        }
        stream.write_all(&answers)?;
        answers.clear();
    }
    Ok(())
}

const HELLO_3: &[u8] = b"%7\r\n+server\r\n+valkey\r\n+version\r\n+9.0.0\r\n+proto\r\n:3\r\n\
    +id\r\n:1\r\n+mode\r\n+standalone\r\n+role\r\n+master\r\n+modules\r\n*0\r\n";

/// Enough of an answer to what clients ask when they connect, and to what is measured.
fn answer(words: &[&[u8]], resp3: bool) -> &'static [u8] {
    match words {
        [b"SET", .., b"GET"] if resp3 => b"_\r\n",
        [b"SET", .., b"GET"] => b"$-1\r\n",
        [b"DELIFEQ" | b"EVALSHA", ..] | [b"CLIENT", b"ID"] => b":1\r\n",
        [b"GET", key] if *key == UNANSWERED_KEY.as_bytes() => b"",
        [b"GET", ..] => b"$36\r\n0123456789abcdef0123456789abcdef0123\r\n",
        [b"HELLO", ..] if resp3 => HELLO_3,
        [b"HELLO", ..] => b"-NOPROTO sorry, this protocol version is not supported.\r\n",
        // DELIFEQ is known, DELEX is not.
        [b"COMMAND", ..] if resp3 => b"*2\r\n*1\r\n$7\r\ndelifeq\r\n_\r\n",
        [b"COMMAND", ..] => b"*2\r\n*1\r\n$7\r\ndelifeq\r\n*-1\r\n",
        [b"SCRIPT", ..] => b"$40\r\n0123456789abcdef0123456789abcdef01234567\r\n",
        [b"CLIENT", b"INFO"] => b"$29\r\nid=1 addr=127.0.0.1:1 name=x\n\r\n",
        [b"PING"] => b"+PONG\r\n",
        [b"INFO", ..] => b"$22\r\nredis_version:7.0.15\r\n\r\n",
        _ => b"+OK\r\n",
    }
}
