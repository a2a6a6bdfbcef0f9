//! A worker process, as its supervisor sees it: started, listened to, stopped, killed.

use crate::ledger;
use crate::line::{Line, Nanos, now};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};

/// What was heard from which worker.
#[derive(Debug)]
pub(crate) struct Heard(pub(crate) ledger::Body, pub(crate) Line);

/// A running worker. It ends with this value.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) number: ledger::Body,
    child: Child,
    listener: Option<JoinHandle<()>>,
}

impl Body {
    /// Starts this program once more, with these words.
    pub(crate) fn start(number: ledger::Body, words: &[String], heard: &Sender<Heard>) -> Self {
        let program = std::env::current_exe().expect("a program knows its file");
        let mut child = Command::new(program)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a program that runs can be run again");
        let output = child.stdout.take().expect("it was asked for");
        let heard = heard.clone();
        let listener = thread::spawn(move || {
            for text in BufReader::new(output).lines().map_while(Result::ok) {
                // The last line of one that was killed may be cut short.
                let Ok(line) = text.parse() else { continue };
                if heard.send(Heard(number, line)).is_err() {
                    return;
                }
            }
        });
        Self { number, child, listener: Some(listener) }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Tells it what to do next.
    pub(crate) fn tell(&mut self, order: &str) {
        let input = self.child.stdin.as_mut();
        // Whoever is dead does not listen, and is missed elsewhere.
        let _ = input.map(|input| writeln!(input, "{order}"));
    }

    /// Lets it end in order.
    pub(crate) fn finish(&mut self) {
        self.child.stdin = None;
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) {
        let _ = self.child.wait(); // it is our child, and there is nothing to wait for if it has been waited for
        self.listener.take().into_iter().for_each(|listener| listener.join().unwrap_or_default());
    }

    /// Kills it, and tells when it was surely dead.
    pub(crate) fn kill(&mut self) -> Nanos {
        let _ = self.child.kill(); // one that has ended by itself is as dead
        self.wait();
        now()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(self.child.id(), signal);
    }
}

/// Sends a signal to a process that we have started and not waited for.
pub(crate) fn send(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("processes have numbers");
    kill_process(pid, signal).expect("a child that was not waited for can be sent a signal");
}

impl Drop for Body {
    fn drop(&mut self) {
        self.kill();
    }
}
