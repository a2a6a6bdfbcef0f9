//! Counts that do not drift: user-space instructions under valgrind, system calls by the kernel's own counter, allocations.
//!
//! Each is taken of a process of its own with one client in it, twice, with different numbers of operations; the difference
//! leaves out what starting and connecting cost.

use crate::Failure;
use crate::connection::contestant::{self, Flavour, Load, NAMES, What, WithPeer, with_peer};
use crate::connection::peers::{Peer, Release, Target, Tenure, TenureFenced, TenureLock};
use crate::connection::settings::Settings;
use crate::table::Table;
use std::process::Command;

/// Operations of a task, fewer and more, by the number of tasks.
fn each(tasks: usize) -> (usize, usize) {
    if tasks == 1 { (200, 1_200) } else { (4, 12) }
}

const TASKS: [usize; 2] = [1, 512];

/// What one operation costs one client.
#[derive(Debug, Clone)]
pub(crate) struct Cost {
    pub(crate) name: &'static str,
    pub(crate) flavour: Flavour,
    pub(crate) tasks: usize,
    pub(crate) instructions: Option<f64>,
    pub(crate) syscalls: Option<f64>,
    /// Writes to a socket.
    pub(crate) writes: Option<f64>,
    /// Per command, of which a pair has two.
    pub(crate) allocations: f64,
    pub(crate) allocated_bytes: f64,
}

/// Whether a name is that of a client of ours.
pub(crate) fn is_ours(name: &str) -> bool {
    [Tenure::NAME, TenureLock::NAME].contains(&name)
}

#[derive(Debug)]
pub(crate) struct Exact(pub(crate) Vec<Cost>);

impl Exact {
    pub(crate) fn measure(settings: &Settings, target: &Target) -> Result<Self, Failure> {
        let mut costs = Vec::new();
        println!("**Exact counts of a pair**\n");
        let mut table = Table::new([
            "",
            "runtime",
            "tasks",
            "instructions",
            "system calls",
            "commands/write",
            "allocations/command",
            "bytes/command",
        ]);
        for &flavour in &settings.flavours {
            for tasks in TASKS {
                for name in NAMES.into_iter().filter(|name| settings.wants_client(name)) {
                    let cost = cost(name, flavour, tasks, target)?;
                    let count = |count: Option<f64>, digits: usize| match count {
                        Some(count) => format!("{count:.digits$}"),
                        None => "?".to_owned(),
                    };
                    table.row([
                        name.to_owned(),
                        flavour.name().to_owned(),
                        tasks.to_string(),
                        count(cost.instructions, 0),
                        count(cost.syscalls, 2),
                        count(cost.writes.map(|writes| 2.0 / writes), 1),
                        format!("{:.2}", cost.allocations),
                        format!("{:.0}", cost.allocated_bytes),
                    ]);
                    costs.push(cost);
                }
            }
        }
        println!("{table}");
        Ok(Self(costs))
    }
}

/// How tenure takes a key and frees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pair {
    /// By plain commands.
    Plain,
    Lock,
    FencedLock,
}

/// What a pair costs tenure.
pub(crate) fn pair_cost(
    pair: Pair,
    flavour: Flavour,
    tasks: usize,
    target: &Target,
) -> Result<Cost, Failure> {
    let name = match pair {
        Pair::Plain => Tenure::NAME,
        Pair::Lock => TenureLock::NAME,
        Pair::FencedLock => TenureFenced::NAME,
    };
    cost(name, flavour, tasks, target)
}

fn cost(
    name: &'static str,
    flavour: Flavour,
    tasks: usize,
    target: &Target,
) -> Result<Cost, Failure> {
    let (fewer, more) = each(tasks);
    let operations = ((more - fewer) * tasks) as f64;
    let run = |each| {
        let load = Load { what: What::Pair, tasks, each, timed: false };
        process(name, flavour, load, target)
    };
    let per_pair = |(less, more): (Option<f64>, Option<f64>)| {
        less.zip(more).map(|(less, more)| (more - less) / operations)
    };
    let instructions = per_pair((instructions(&run(fewer)?)?, instructions(&run(more)?)?));
    let (less, most) = (syscalls(&run(fewer)?)?, syscalls(&run(more)?)?);
    let syscalls = per_pair((less.map(|one| one.all), most.map(|one| one.all)));
    let writes = per_pair((less.map(|one| one.writes), most.map(|one| one.writes)));
    let allocated = with_peer(name, Allocated { target, flavour, tasks });
    let (calls, bytes) = allocated.expect("the name is that of a client")?;
    let (allocations, allocated_bytes) = (calls / 2.0, bytes / 2.0);
    Ok(Cost { name, flavour, tasks, instructions, syscalls, writes, allocations, allocated_bytes })
}

/// This program again, as [`child`].
fn process(name: &str, flavour: Flavour, load: Load, target: &Target) -> Result<Command, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    let release = match &target.release {
        Release::Native => "native",
        Release::Script(digest) => digest,
    };
    let (tasks, each) = (load.tasks.to_string(), load.each.to_string());
    command.args(["work", name, flavour.name(), &tasks, &each, &target.url, release]);
    Ok(command)
}

/// `None` where there is no valgrind.
fn instructions(command: &Command) -> Result<Option<f64>, Failure> {
    let arguments = ["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"];
    let Some(said) = under("valgrind", &arguments, command)? else { return Ok(None) };
    let counted = said.lines().find_map(|line| line.split("I   refs:").nth(1));
    let counted = counted.ok_or_else(|| format!("valgrind counted nothing: {said}"))?;
    Ok(Some(counted.trim().replace(',', "").parse()?))
}

#[derive(Debug, Clone, Copy)]
struct Syscalls {
    all: f64,
    writes: f64,
}

/// `None` where there is no perf, or it may not count.
fn syscalls(command: &Command) -> Result<Option<Syscalls>, Failure> {
    const EVENTS: &str = "raw_syscalls:sys_enter,syscalls:sys_enter_sendto,\
                          syscalls:sys_enter_sendmsg,syscalls:sys_enter_writev";
    let arguments = ["stat", "-x", ";", "-e", EVENTS];
    let Some(said) = under("perf", &arguments, command)? else { return Ok(None) };
    let (mut all, mut writes) = (None, 0.0);
    for line in said.lines() {
        let mut words = line.split(';');
        let Some(count) = words.next().and_then(|word| word.parse::<f64>().ok()) else { continue };
        match words.nth(1) {
            Some("raw_syscalls:sys_enter") => all = Some(count),
            Some(event) if event.starts_with("syscalls:") => writes += count,
            _ => {}
        }
    }
    Ok(all.map(|all| Syscalls { all, writes }))
}

/// What a tool says about a command on its standard error; `None` where the tool is missing.
fn under(tool: &str, arguments: &[&str], command: &Command) -> Result<Option<String>, Failure> {
    let run = Command::new(tool)
        .args(arguments)
        .arg(command.get_program())
        .args(command.get_args())
        .output();
    let out = match run {
        Ok(out) => out,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    if out.status.success() { Ok(Some(said)) } else { Err(format!("{tool}: {said}").into()) }
}

/// The process that is counted: `work NAME RUNTIME TASKS EACH URL RELEASE`.
pub(crate) fn child(words: &[String]) -> Result<(), Failure> {
    let [name, flavour, tasks, each, url, release] = words else {
        return Err("work NAME RUNTIME TASKS EACH URL RELEASE".into());
    };
    let flavour = Flavour::ALL.into_iter().find(|one| one.name() == flavour);
    let release = match release.as_str() {
        "native" => Release::Native,
        digest => Release::Script(digest.to_owned()),
    };
    let work = Work {
        target: Target { url: url.clone(), release },
        flavour: flavour.ok_or("no such runtime")?,
        load: Load { what: What::Pair, tasks: tasks.parse()?, each: each.parse()?, timed: false },
    };
    with_peer(name, work).ok_or("no such client")?
}

struct Work {
    target: Target,
    flavour: Flavour,
    load: Load,
}

impl WithPeer for Work {
    type Out = Result<(), Failure>;

    fn with<P: Peer>(self) -> Self::Out {
        self.flavour.runtime()?.block_on(async {
            let peer = P::connect(&self.target).await?;
            contestant::work(&peer, self.load).await;
            Ok(())
        })
    }
}

struct Allocated<'a> {
    target: &'a Target,
    flavour: Flavour,
    tasks: usize,
}

impl WithPeer for Allocated<'_> {
    type Out = Result<(f64, f64), Failure>;

    /// Calls and bytes per pair, in this process.
    fn with<P: Peer>(self) -> Self::Out {
        let tasks = self.tasks;
        let runtime = self.flavour.runtime()?;
        let peer = runtime.block_on(P::connect(self.target))?;
        let count = |each| {
            let load = Load { what: What::Pair, tasks, each, timed: false };
            let mut counted = native::Allocations::default();
            // Twice, so that everything has found its size.
            for _ in 0..2 {
                counted = native::count(|| drop(runtime.block_on(contestant::work(&peer, load))));
            }
            counted
        };
        let (fewer, more) = each(tasks);
        let (less, most) = (count(fewer), count(more));
        let pairs = ((more - fewer) * tasks) as f64;
        let each = |less: u64, most: u64| (most as f64 - less as f64) / pairs;
        Ok((each(less.calls, most.calls), each(less.bytes, most.bytes)))
    }
}
