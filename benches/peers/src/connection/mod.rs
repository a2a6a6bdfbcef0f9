//! Clients against a private server, in alternating blocks in one process.

mod contestant;
mod exact;
mod floor;
mod halves;
mod limits;
mod measure;
mod memory;
mod peers;
mod plots;
mod reach;
mod servers;
mod settings;

use crate::Failure;
use crate::real::Kind;
use contestant::What;
use exact::Exact;
use measure::{Measured, Plan};
use servers::Sink;
use settings::{Section, Settings};

pub(crate) use contestant::{Flavour, cpu_seconds};
pub(crate) use exact::{Cost, Pair, child, pair_cost};
pub(crate) use floor::Raw;
pub(crate) use peers::{Release, Target};
pub(crate) use servers::{RELEASE, Transport, sink, start};
pub(crate) use settings::USAGE;

/// Alternating blocks of this many pairs when one task works alone.
const ALONE: usize = 100;
const ALONE_BLOCKS: usize = 200;
const ROUNDS: usize = 25;

/// One load, and what everybody came to under it.
pub(crate) struct Outcome {
    pub(crate) section: Section,
    pub(crate) transport: Transport,
    pub(crate) flavour: Flavour,
    pub(crate) tasks: usize,
    pub(crate) measured: Vec<Measured>,
}

/// # Errors
///
/// For words that it does not know, and when a server or a client cannot be started.
pub(crate) fn run(words: &[String]) -> Result<(), Failure> {
    let settings = Settings::parse(words)?;
    println!("### Connection, {}\n", settings.server_name());
    let mut outcomes = Vec::new();
    let mut exact = None;
    for &transport in &settings.transports {
        let (server, target) = start(settings.server, transport)?;
        for &flavour in &settings.flavours {
            for &tasks in &settings.tasks {
                let section = if tasks == 1 { Section::Alone } else { Section::Pairs };
                let loads = [(section, What::Pair, tasks), (Section::Get, What::Get, 512)];
                let get = tasks == 512;
                for (section, what, tasks) in loads.into_iter().take(if get { 2 } else { 1 }) {
                    if !settings.wants(section) {
                        continue;
                    }
                    let all = contestant::all(&target, flavour, (what, tasks), &|name| {
                        settings.wants_client(name)
                    })?;
                    let plan = plan(&settings, section, what, tasks, server.pid());
                    let measured = measure::measure(&all, plan);
                    let at = (section, transport, flavour, tasks);
                    report(&mut outcomes, at, measured);
                }
            }
        }
        if settings.wants(Section::Exact) && transport == Transport::Tcp {
            exact = Some(Exact::measure(&settings, &target)?);
        }
    }
    let sink = Sink::start()?;
    let mut kept = Vec::new();
    if settings.wants(Section::Exact) {
        kept = memory::measure(&settings, &sink.target)?;
    }
    if settings.wants(Section::Sink) {
        for &flavour in &settings.flavours {
            let all = contestant::all(&sink.target, flavour, (What::Pair, 512), &|name| {
                settings.wants_client(name)
            })?;
            let plan = plan(&settings, Section::Sink, What::Pair, 512, sink.pid());
            let measured = measure::measure(&all, plan);
            report(&mut outcomes, (Section::Sink, Transport::Tcp, flavour, 512), measured);
        }
    }
    println!("### Reach\n\n{}", reach::table(&outcomes, exact.as_ref(), &kept));
    for path in plots::all(&outcomes, exact.as_ref())? {
        println!("plot: {}", path.display());
    }
    Ok(())
}

fn plan(settings: &Settings, section: Section, what: What, tasks: usize, server: u32) -> Plan {
    let rounds = settings.rounds;
    match section {
        Section::Alone => {
            let rounds = rounds.map_or(ALONE_BLOCKS, |rounds| rounds * 10);
            Plan { what, tasks, rounds, each: Some(ALONE), server }
        }
        _ => Plan { what, tasks, rounds: rounds.unwrap_or(ROUNDS), each: None, server },
    }
}

fn report(
    outcomes: &mut Vec<Outcome>,
    (section, transport, flavour, tasks): (Section, Transport, Flavour, usize),
    measured: Vec<Measured>,
) {
    let title = match section {
        Section::Get => format!("GET, {tasks} tasks"),
        Section::Sink => format!("pair against a sink, {tasks} tasks"),
        _ => format!("pair, {tasks} tasks"),
    };
    let title = format!("{title}, {}, {}", flavour.name(), transport.name());
    measure::print(&title, &measured, section == Section::Alone);
    outcomes.push(Outcome { section, transport, flavour, tasks, measured });
}

impl Settings {
    fn server_name(&self) -> &'static str {
        match self.server {
            Kind::Redis6_2 => "Redis 6.2, EVALSHA",
            Kind::Redis7_0 => "Redis 7.0, EVALSHA",
            Kind::Valkey9_1 => "Valkey 9.1, DELIFEQ",
        }
    }
}
