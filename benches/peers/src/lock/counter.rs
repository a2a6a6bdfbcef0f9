//! How many commands clients send.
//!
//! What the server counts holds the commands of its scripts, too. Of most policies these are known by their names; where they are not,
//! as for our fair locks, the server is had to show each command it carries out, which slows it down: what it does then is not timed.

use crate::Failure;
use crate::connection::{Raw, Target};
use crate::lock::policies::{Fair, Policy as _, is_scripted};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, TcpStream};
use std::thread::{self, JoinHandle};

/// Counts from when it is begun.
pub(crate) enum Counter {
    Counted { raw: Raw, scripted: bool, before: f64 },
    Shown { stream: TcpStream, counts: JoinHandle<f64> },
}

/// Whether a policy's commands are counted only while the server shows them.
pub(crate) fn is_shown(policy: &str) -> bool {
    policy == Fair::NAME
}

impl Counter {
    pub(crate) fn begin(policy: &str, target: &Target) -> Result<Self, Failure> {
        if is_shown(policy) {
            return Self::show(target);
        }
        let (mut raw, scripted) = (Raw::connect(&target.url)?, is_scripted(policy));
        let before = raw.commands_sent(scripted)?;
        Ok(Self::Counted { raw, scripted, before })
    }

    fn show(target: &Target) -> Result<Self, Failure> {
        let mut stream = TcpStream::connect(target.url.trim_start_matches("redis://"))?;
        stream.write_all(b"MONITOR\r\n")?;
        let mut lines = BufReader::with_capacity(1 << 20, stream.try_clone()?);
        let mut line = Vec::new();
        lines.read_until(b'\n', &mut line)?;
        let counts = thread::spawn(move || {
            let mut sent = 0.0;
            loop {
                line.clear();
                match lines.read_until(b'\n', &mut line) {
                    // `+1790000000.000000 [0 127.0.0.1:4711] "GET" "key"`, or `[0 lua]`.
                    Ok(1..) if !line.windows(5).take(40).any(|part| part == b" lua]") => {
                        sent += 1.0;
                    }
                    Ok(1..) => {}
                    Ok(0) | Err(_) => return sent,
                }
            }
        });
        Ok(Self::Shown { stream, counts })
    }

    pub(crate) fn end(self) -> Result<f64, Failure> {
        match self {
            Self::Counted { mut raw, scripted, before } => {
                Ok(raw.commands_sent(scripted)? - before)
            }
            Self::Shown { stream, counts } => {
                stream.shutdown(Shutdown::Both)?;
                counts.join().map_err(|_| "the one who counts has panicked".into())
            }
        }
    }
}
