//! What the server and the kernel alone take to hand a lock over: blocking sockets, no runtime, no library.
//!
//! Who is refused has the key tracked by asking for what is left of its lease, and reads on until it is told that the key has
//! changed. The fewest messages that a lock which is not granted by its last holder can do with.

use crate::Failure;
use crate::connection::{RELEASE, Release, Target, cpu_seconds};
use crate::lock::crowd::Crowd;
use crate::lock::policies::Policy;
use bytes::BytesMut;
use resp::{Decoder, Frame, Limits, Protocol};
use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub(super) const LEASE_MS: &str = "600000";

#[derive(Clone)]
pub(crate) struct Floor(Arc<Mutex<Wire>>, Release);

/// A key that is held, and its value.
pub(crate) type Hold = (String, String);

impl Policy for Floor {
    const NAME: &'static str = "blocking sockets";
    type Held = Hold;

    async fn connect(target: &Target) -> Result<Self, Failure> {
        let mut wire = Wire::connect(target)?;
        wire.ask(&["HELLO", "3"])?;
        wire.ask(&["CLIENT", "TRACKING", "ON", "NOLOOP"])?;
        if let Release::Script(_) = target.release {
            wire.ask(&["SCRIPT", "LOAD", RELEASE])?;
        }
        Ok(Self(Arc::new(Mutex::new(wire)), target.release.clone()))
    }

    async fn acquire(&self, name: &str) -> Hold {
        // As long as a value of ours.
        let value = format!("{:060x}", rand::random::<u128>());
        self.wire().acquire(name, &value).expect("nothing goes wrong here");
        (name.to_owned(), value)
    }

    async fn release(&self, (key, value): Hold) {
        let reply = match &self.1 {
            Release::Native => self.wire().ask(&["DELIFEQ", &key, &value]),
            Release::Script(digest) => self.wire().ask(&["EVALSHA", digest, "1", &key, &value]),
        };
        assert_eq!(reply.expect("nothing goes wrong here"), Frame::Integer(1));
    }
}

impl Floor {
    fn wire(&self) -> std::sync::MutexGuard<'_, Wire> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lock that goes round among so many who never rest, by nothing but one command after another: what everybody waits for at least,
/// and for how long the machine lets the last of them wait.
pub(crate) fn go_round(target: &Target, tasks: usize, time: Duration) -> Result<Crowd, Failure> {
    let mut wire = Wire::connect(target)?;
    let key = format!("round:{:08x}", rand::random::<u32>());
    let (begun, cpu) = (Instant::now(), cpu_seconds());
    let (mut crowd, mut waited) = (Crowd::default(), 0.0);
    // When each of them was served last; nobody has been at first.
    let mut served = VecDeque::from(vec![begun; tasks]);
    while begun.elapsed() < time {
        let value = format!("{:060x}", rand::random::<u128>());
        wire.ask(&["SET", &key, &value, "PX", LEASE_MS])?;
        let now = Instant::now();
        if let Some(asked) = served.pop_front() {
            let wait = now.duration_since(asked).as_secs_f64();
            waited += wait;
            crowd.max_wait = crowd.max_wait.max(wait);
        }
        served.push_back(now);
        crowd.holds += 1.0;
    }
    let cpu_seconds = cpu_seconds() - cpu;
    let (handovers, commands, mean_wait) = (crowd.holds, crowd.holds, waited / crowd.holds);
    let seconds = time.as_secs_f64();
    Ok(Crowd { handovers, commands, seconds, cpu_seconds, mean_wait, ..crowd })
}

pub(super) struct Wire {
    stream: TcpStream,
    decoder: Decoder,
    unread: BytesMut,
    /// That were read so far.
    pub(super) pushes: u64,
}

impl Wire {
    pub(super) fn connect(target: &Target) -> Result<Self, Failure> {
        let stream = TcpStream::connect(target.url.trim_start_matches("redis://"))?;
        stream.set_nodelay(true)?;
        let decoder = Decoder::new(Protocol::Resp3, Limits::default());
        Ok(Self { stream, decoder, unread: BytesMut::new(), pushes: 0 })
    }

    fn acquire(&mut self, key: &str, value: &str) -> Result<(), Failure> {
        loop {
            if self.ask(&["SET", key, value, "NX", "PX", LEASE_MS, "GET"])? == Frame::Null {
                return Ok(());
            }
            let before = self.pushes;
            if self.ask(&["PTTL", key])? != Frame::Integer(-2) {
                self.wait(before)?;
            }
        }
    }

    /// Reads until there are more pushes than there were.
    pub(super) fn wait(&mut self, before: u64) -> Result<(), Failure> {
        while self.pushes == before {
            self.frame()?;
        }
        Ok(())
    }

    /// Is told of what is said on a channel from now on.
    pub(super) fn subscribe(&mut self, channel: &str) -> Result<(), Failure> {
        let before = self.pushes;
        self.send(&["SUBSCRIBE", channel])?;
        self.wait(before) // the confirmation is a push
    }

    pub(super) fn ask(&mut self, args: &[&str]) -> Result<Frame, Failure> {
        self.send(args)?;
        loop {
            if let Some(reply) = self.frame()? {
                return Ok(reply);
            }
        }
    }

    fn send(&mut self, args: &[&str]) -> Result<(), Failure> {
        let mut command = format!("*{}\r\n", args.len());
        for arg in args {
            command += &format!("${}\r\n{arg}\r\n", arg.len());
        }
        Ok(self.stream.write_all(command.as_bytes())?)
    }

    /// The next frame, unless it is a push.
    fn frame(&mut self) -> Result<Option<Frame>, Failure> {
        loop {
            match self.decoder.decode(&mut self.unread)? {
                Some(Frame::Push(_)) => {
                    self.pushes += 1;
                    return Ok(None);
                }
                Some(reply) => return Ok(Some(reply)),
                None => {
                    let mut piece = [0; 4096];
                    let len = self.stream.read(&mut piece)?;
                    if len == 0 {
                        return Err("the server has hung up".into());
                    }
                    self.unread.extend_from_slice(&piece[..len]);
                }
            }
        }
    }
}
