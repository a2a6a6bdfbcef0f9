//! What a client could at best come to: the same bytes over a blocking socket, encoded beforehand, replies counted and not
//! parsed.

use crate::Failure;
use crate::connection::contestant::{Block, Contestant, Kind, Load, What, block, nanos};
use crate::connection::peers::{READ_KEY, Release, Slot, Target};
use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Instant;

trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

/// A socket that is never waited for, only looked at.
struct Watched<S>(S);

impl<S: Read> Read for Watched<S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        look(|| self.0.read(into))
    }
}

impl<S: Write> Write for Watched<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        look(|| self.0.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn look(mut tries: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match tries() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::hint::spin_loop(),
            done => return done,
        }
    }
}

/// A connection by which anything can be asked.
pub(crate) struct Raw {
    stream: Box<dyn Stream>,
    reply: Vec<u8>,
}

impl Raw {
    pub(crate) fn connect(url: &str) -> io::Result<Self> {
        let stream: Box<dyn Stream> = match url.strip_prefix("unix://") {
            Some(path) => Box::new(UnixStream::connect(path)?),
            None => Box::new(tcp(url)?),
        };
        Ok(Self { stream, reply: vec![0; 256 << 10] })
    }

    /// One that keeps its core busy while it waits.
    pub(crate) fn connect_spinning(url: &str) -> io::Result<Self> {
        let stream: Box<dyn Stream> = match url.strip_prefix("unix://") {
            Some(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_nonblocking(true)?;
                Box::new(Watched(stream))
            }
            None => {
                let stream = tcp(url)?;
                stream.set_nonblocking(true)?;
                Box::new(Watched(stream))
            }
        };
        Ok(Self { stream, reply: vec![0; 256 << 10] })
    }

    /// Sends, and reads as many bytes as the answer has.
    fn exchange(&mut self, commands: &[u8], answer: usize) -> io::Result<()> {
        self.send(commands)?;
        self.hear(answer)
    }

    pub(crate) fn send(&mut self, commands: &[u8]) -> io::Result<()> {
        self.stream.write_all(commands)
    }

    /// Waits for so many bytes, whatever they are.
    pub(crate) fn hear(&mut self, answer: usize) -> io::Result<()> {
        self.stream.read_exact(&mut self.reply[..answer])
    }

    /// Sends one command and reads what comes, which must be one short reply.
    pub(crate) fn ask(&mut self, args: &[&str]) -> io::Result<String> {
        self.stream.write_all(&command(args))?;
        let len = self.stream.read(&mut self.reply)?;
        Ok(String::from_utf8_lossy(&self.reply[..len]).into_owned())
    }

    /// Commands that clients have sent since the server started, if only scripts use `GET` and `DEL`: the server counts what
    /// scripts run as well.
    pub(crate) fn commands_sent(&mut self, only_scripts_get: bool) -> io::Result<f64> {
        // By `INFO` they are counted.
        let counts =
            |name: &str| !(name == "info" || only_scripts_get && ["get", "del"].contains(&name));
        self.calls(counts)
    }

    /// How often those commands were called whose names are counted.
    pub(crate) fn calls(&mut self, counts: impl Fn(&str) -> bool) -> io::Result<f64> {
        let said = self.info("commandstats")?;
        let stats = said.lines().filter_map(|line| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let (calls, _) = rest.split_once(',')?;
            Some((name, calls.parse::<f64>().ok()?))
        });
        Ok(stats.filter(|(name, _)| counts(name)).map(|(_, calls)| calls).sum())
    }

    fn info(&mut self, section: &str) -> io::Result<String> {
        self.stream.write_all(&command(&["INFO", section]))?;
        let mut said = Vec::new();
        loop {
            let len = self.stream.read(&mut self.reply)?;
            said.extend_from_slice(&self.reply[..len]);
            if len == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let text = String::from_utf8_lossy(&said);
            let header = text.strip_prefix('$').and_then(|rest| rest.split_once("\r\n"));
            if let Some((len, body)) = header
                && len.parse::<usize>().is_ok_and(|len| body.len() >= len + 2)
            {
                return Ok(body.to_owned());
            }
        }
    }
}

fn tcp(url: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(url.trim_start_matches("redis://"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

pub(crate) fn command(args: &[&str]) -> Vec<u8> {
    let mut out = bytes::BytesMut::new();
    resp::encode::command(args, &mut out);
    out.to_vec()
}

pub(crate) fn pair(slot: &Slot, release: &Release) -> [Vec<u8>; 2] {
    let Slot { key, token } = slot;
    let release = match release {
        Release::Native => command(&["DELIFEQ", key, token]),
        Release::Script(digest) => command(&["EVALSHA", digest, "1", key, token]),
    };
    [command(&["SET", key, token, "NX", "PX", "10000"]), release]
}

pub(crate) const OK: usize = "+OK\r\n".len();
pub(crate) const ONE: usize = ":1\r\n".len();
pub(crate) const VALUE: usize = "$36\r\n\r\n".len() + 36;

/// What one task asks.
pub(crate) struct Bytes {
    pub(crate) pair: [Vec<u8>; 2],
    pub(crate) get: Vec<u8>,
}

impl Bytes {
    pub(crate) fn new(target: &Target, task: usize) -> Self {
        let pair = pair(&Slot::new(task), &target.release);
        Self { pair, get: command(&["GET", READ_KEY]) }
    }

    /// One command at a time.
    pub(crate) fn block_over(&self, raw: &mut Raw, load: Load) -> Block {
        block(load, || {
            let one = |_| {
                let begun = Instant::now();
                match load.what {
                    What::Pair => {
                        let [set, release] = &self.pair;
                        raw.exchange(set, OK).and_then(|()| raw.exchange(release, ONE))
                    }
                    What::Get => raw.exchange(&self.get, VALUE),
                }
                .expect("the server answers");
                nanos(begun)
            };
            (0..load.each).map(one).collect()
        })
    }
}

/// A socket, and nobody but its one user.
pub(crate) struct Std {
    name: &'static str,
    raw: RefCell<Raw>,
    bytes: Bytes,
}

impl Std {
    pub(crate) const BLOCKING: &str = "blocking socket";
    pub(crate) const SPINNING: &str = "spinning socket";

    /// One that sleeps until there is something.
    pub(crate) fn blocking(target: &Target) -> Result<Self, Failure> {
        let (name, raw) = (Self::BLOCKING, RefCell::new(Raw::connect(&target.url)?));
        Ok(Self { name, raw, bytes: Bytes::new(target, 999_999) })
    }

    /// One that looks until there is something: no client that looks is faster.
    pub(crate) fn spinning(target: &Target) -> Result<Self, Failure> {
        let (name, raw) = (Self::SPINNING, RefCell::new(Raw::connect_spinning(&target.url)?));
        Ok(Self { name, raw, bytes: Bytes::new(target, 999_998) })
    }
}

impl Contestant for Std {
    fn name(&self) -> &'static str {
        self.name
    }

    fn kind(&self) -> Kind {
        Kind::Floor
    }

    fn block(&self, load: Load) -> Block {
        self.bytes.block_over(&mut self.raw.borrow_mut(), load)
    }
}
