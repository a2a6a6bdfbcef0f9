//! What is measured, from the words of the command line.

use crate::Failure;
use crate::connection::contestant::Flavour;
use crate::connection::servers::Transport;
use crate::real::Kind;

/// A part of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    /// One task, beside a blocking socket.
    Alone,
    /// Many tasks.
    Pairs,
    Get,
    /// A server that does no work.
    Sink,
    /// Instructions, system calls, allocations.
    Exact,
}

#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) server: Kind,
    pub(crate) transports: Vec<Transport>,
    pub(crate) flavours: Vec<Flavour>,
    pub(crate) tasks: Vec<usize>,
    pub(crate) rounds: Option<usize>,
    sections: Vec<Section>,
    /// Parts of names; none means everybody.
    clients: Vec<String>,
}

pub(crate) const USAGE: &str = "\
  connection                          clients against a private server
    --server redis|valkey             Redis 7.0 with a script (default), Valkey 9.1 with DELIFEQ
    --transport tcp,unix              both unless given
    --runtime current,two             current-thread, two workers; both unless given
    --tasks 1,64,512,4096             all of these unless given
    --section alone,pairs,get,sink,exact
    --client TEXT,TEXT                parts of names; everybody unless given
    --rounds N                        25 unless given
";

impl Settings {
    pub(crate) fn parse(words: &[String]) -> Result<Self, Failure> {
        use Section::{Alone, Exact, Get, Pairs, Sink};
        let mut settings = Self {
            server: Kind::Redis7_0,
            transports: vec![Transport::Tcp, Transport::Unix],
            flavours: Flavour::ALL.to_vec(),
            tasks: vec![1, 64, 512, 4_096],
            rounds: None,
            sections: vec![Alone, Pairs, Get, Sink, Exact],
            clients: Vec::new(),
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let value = words.next().ok_or_else(|| format!("{word} needs a value\n{USAGE}"))?;
            match word.as_str() {
                "--server" => {
                    let servers = [("redis", Kind::Redis7_0), ("valkey", Kind::Valkey9_1)];
                    settings.server = *list(value, &servers)?.first().ok_or("no server")?;
                }
                "--transport" => {
                    let transports = [("tcp", Transport::Tcp), ("unix", Transport::Unix)];
                    settings.transports = list(value, &transports)?;
                }
                "--runtime" => {
                    let flavours =
                        [("current", Flavour::CurrentThread), ("two", Flavour::TwoWorkers)];
                    settings.flavours = list(value, &flavours)?;
                }
                "--tasks" => {
                    let numbers: Result<_, _> = value.split(',').map(str::parse).collect();
                    settings.tasks = numbers?;
                }
                "--section" => {
                    let sections = [
                        ("alone", Alone),
                        ("pairs", Pairs),
                        ("get", Get),
                        ("sink", Sink),
                        ("exact", Exact),
                    ];
                    settings.sections = list(value, &sections)?;
                }
                "--client" => settings.clients = value.split(',').map(str::to_owned).collect(),
                "--rounds" => settings.rounds = Some(value.parse::<usize>()?.max(3)),
                _ => return Err(format!("connection does not know {word}\n{USAGE}").into()),
            }
        }
        Ok(settings)
    }

    pub(crate) fn wants(&self, section: Section) -> bool {
        self.sections.contains(&section)
    }

    pub(crate) fn wants_client(&self, name: &str) -> bool {
        self.clients.is_empty() || self.clients.iter().any(|part| name.contains(part))
    }
}

fn list<T: Copy>(value: &str, known: &[(&str, T)]) -> Result<Vec<T>, Failure> {
    let one = |word| {
        let found = known.iter().find(|(name, _)| *name == word).map(|(_, one)| *one);
        found.ok_or_else(|| format!("{word} is none of them\n{USAGE}").into())
    };
    value.split(',').map(one).collect()
}
