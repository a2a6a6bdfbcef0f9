//! The server without work in a process of its own, so that what it does is not counted.

use std::io::{self, BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

/// This program as a server, in a process of its own, which ends with this.
pub(crate) struct Sink {
    child: Child,
    pub(crate) address: String,
}

impl Sink {
    /// Starts this program with the word `sink`, upon which it is to call [`listen`].
    ///
    /// # Errors
    ///
    /// If it cannot be started, or does not say where it listens.
    pub(crate) fn start() -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let child = command.arg("sink").stdout(Stdio::piped()).spawn()?;
        let mut sink = Self { child, address: String::new() };
        if let Some(said) = sink.child.stdout.take() {
            BufReader::new(said).read_line(&mut sink.address)?;
        }
        sink.address.truncate(sink.address.trim_end().len());
        Ok(sink)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Says where it listens, and serves until it is killed.
///
/// # Errors
///
/// If it cannot listen.
pub(crate) fn listen() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    for stream in listener.incoming() {
        let stream = stream?;
        std::thread::spawn(move || crate::sink::serve(stream));
    }
    Ok(())
}
