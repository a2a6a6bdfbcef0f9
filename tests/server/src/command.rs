//! The commands: one table for all profiles, and what is said about a command that is not in it. Pure.

mod client;
mod connection;
mod hashes;
mod keys;
mod lists;
mod pops;
mod pubsub;
mod scripting;
mod server;
mod streams;
mod strings;
mod transactions;
mod zsets;

use crate::call::Call;
use crate::profile::Profile;
use crate::refusal::Refusal;
use crate::reply::Answer;
use bytes::Bytes;
use resp::Frame;
use std::collections::HashMap;

pub(crate) type Plain = fn(&mut Call<'_>, &[Bytes]) -> Result<Frame, Refusal>;
type Control = fn(&mut Call<'_>, &[Bytes]) -> Result<Answer, Refusal>;

/// What a command does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Run {
    /// Answers with one frame.
    Plain(Plain),
    /// Does something to its connection as well.
    Control(Control),
    /// Has subcommands only.
    Container,
}

/// Properties that `COMMAND INFO` tells and the dispatcher goes by.
pub(crate) mod flag {
    pub(crate) const WRITE: u16 = 1;
    pub(crate) const READ: u16 = 1 << 1;
    pub(crate) const DENY_OOM: u16 = 1 << 2;
    pub(crate) const ADMIN: u16 = 1 << 3;
    pub(crate) const PUBSUB: u16 = 1 << 4;
    pub(crate) const NO_SCRIPT: u16 = 1 << 5;
    pub(crate) const LOADING: u16 = 1 << 6;
    pub(crate) const STALE: u16 = 1 << 7;
    pub(crate) const FAST: u16 = 1 << 8;
    pub(crate) const NO_AUTH: u16 = 1 << 9;
    pub(crate) const NO_MULTI: u16 = 1 << 10;
    /// May have effects on other connections, though it writes no key: waits while writes are paused.
    pub(crate) const MAY_WRITE: u16 = 1 << 11;

    /// Their names, in the order in which servers list them.
    pub(super) const NAMES: [(u16, &str); 11] = [
        (WRITE, "write"),
        (READ, "readonly"),
        (DENY_OOM, "denyoom"),
        (ADMIN, "admin"),
        (PUBSUB, "pubsub"),
        (NO_SCRIPT, "noscript"),
        (LOADING, "loading"),
        (STALE, "stale"),
        (FAST, "fast"),
        (NO_AUTH, "no_auth"),
        (NO_MULTI, "no_multi"),
    ];
}

/// Where a command has its keys: first, last (negative from the end), step.
pub(crate) type Keys = (i8, i8, i8);

pub(crate) const NO_KEYS: Keys = (0, 0, 0);
pub(crate) const ONE_KEY: Keys = (1, 1, 1);
pub(crate) const ALL_KEYS: Keys = (1, -1, 1);

/// One command, or `parent|subcommand`.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    /// Number of arguments with the name; at least that many if negative.
    pub(crate) arity: i8,
    pub(crate) flags: u16,
    pub(crate) keys: Keys,
    pub(crate) run: Run,
    /// What follows the name is a subcommand.
    parent: bool,
    known: fn(Profile) -> bool,
}

pub(crate) const fn plain(
    name: &'static str,
    arity: i8,
    flags: u16,
    keys: Keys,
    run: Plain,
) -> Spec {
    Spec { name, arity, flags, keys, run: Run::Plain(run), parent: false, known: |_| true }
}

pub(crate) const fn control(name: &'static str, arity: i8, flags: u16, run: Control) -> Spec {
    Spec {
        name,
        arity,
        flags,
        keys: NO_KEYS,
        run: Run::Control(run),
        parent: false,
        known: |_| true,
    }
}

pub(crate) const fn container(name: &'static str, flags: u16) -> Spec {
    Spec {
        name,
        arity: -2,
        flags,
        keys: NO_KEYS,
        run: Run::Container,
        parent: true,
        known: |_| true,
    }
}

impl Spec {
    /// The same, for those profiles only.
    pub(crate) const fn only(self, known: fn(Profile) -> bool) -> Self {
        Self { known, ..self }
    }

    /// The same, for a command that does something on its own and has subcommands.
    pub(crate) const fn with_subcommands(self) -> Self {
        Self { parent: true, ..self }
    }

    /// The same, with keys among its arguments.
    pub(crate) const fn keyed(self, keys: Keys) -> Self {
        Self { keys, ..self }
    }

    pub(crate) fn is(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    pub(crate) fn flag_names(&self) -> impl Iterator<Item = &'static str> {
        let flags = self.flags;
        flag::NAMES.iter().filter(move |(bit, _)| flags & bit != 0).map(|(_, name)| *name)
    }

    pub(crate) fn takes(&self, args: usize) -> bool {
        let arity = usize::from(self.arity.unsigned_abs());
        if self.arity < 0 { args >= arity } else { args == arity }
    }

    /// The keys among the arguments.
    pub(crate) fn keys<'a>(&self, args: &'a [Bytes]) -> Vec<&'a Bytes> {
        let (first, last, step) = self.keys;
        let place = |at: i8| match usize::try_from(at) {
            Ok(at) => at,
            Err(_) => args.len().saturating_sub(usize::from(at.unsigned_abs())),
        };
        let (first, last) = (place(first), place(last));
        if first == 0 || step <= 0 {
            return Vec::new();
        }
        let span = args.get(first..=last.min(args.len().saturating_sub(1))).unwrap_or_default();
        span.iter().step_by(usize::from(step.unsigned_abs())).collect()
    }
}

/// The commands of one profile, by name.
#[derive(Debug)]
pub(crate) struct Table {
    profile: Profile,
    specs: HashMap<&'static str, &'static Spec>,
}

/// Every family.
const FAMILIES: &[&[Spec]] = &[
    client::TABLE,
    connection::TABLE,
    hashes::TABLE,
    keys::TABLE,
    lists::TABLE,
    pops::TABLE,
    pubsub::TABLE,
    scripting::TABLE,
    server::TABLE,
    streams::TABLE,
    strings::TABLE,
    transactions::TABLE,
    zsets::TABLE,
];

impl Table {
    pub(crate) fn new(profile: Profile) -> Self {
        let known = FAMILIES.iter().copied().flatten().filter(|spec| (spec.known)(profile));
        Self { profile, specs: known.map(|spec| (spec.name, spec)).collect() }
    }

    /// Commands without subcommands, in order of their names.
    pub(crate) fn top_level(&self) -> Vec<&'static Spec> {
        let mut specs: Vec<_> = self.specs.values().copied().collect();
        specs.retain(|spec| !spec.name.contains('|'));
        specs.sort_by_key(|spec| spec.name);
        specs
    }

    /// The subcommands of `parent`, in order of their names.
    pub(crate) fn subcommands(&self, parent: &str) -> Vec<&'static Spec> {
        let mut specs: Vec<_> = self.specs.values().copied().collect();
        specs.retain(|spec| spec.name.split_once('|').is_some_and(|(name, _)| name == parent));
        specs.sort_by_key(|spec| spec.name);
        specs
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'static Spec> {
        self.specs.get(name).copied()
    }

    /// Finds what a request asks for, and checks how many arguments it has.
    ///
    /// # Errors
    ///
    /// The server's words for a command or subcommand that it lacks, or that has too few or too many arguments.
    pub(crate) fn find(&self, args: &[Bytes]) -> Result<&'static Spec, Refusal> {
        let name = lower(args.first());
        let spec = self.get(&name).ok_or_else(|| self.unknown(args))?;
        let sub = match args.get(1) {
            Some(sub) if spec.parent => sub,
            _ if spec.takes(args.len()) => return Ok(spec),
            _ => return Err(Refusal::arity(&name)),
        };
        let full = format!("{name}|{}", lower(Some(sub)));
        match self.get(&full) {
            Some(spec) if spec.takes(args.len()) => Ok(spec),
            // 6.2 leaves it to the command to count these.
            Some(spec) if full == "client|kill" && !self.profile.since_7_0() => Ok(spec),
            Some(_) if self.profile.since_7_0() => Err(Refusal::arity(&full)),
            _ => Err(self.unknown_subcommand(&name, sub)),
        }
    }

    /// Whether a request that cannot be found is found out only when it runs: 6.2 looks at subcommands that late.
    pub(crate) fn finds_out_late(&self, args: &[Bytes]) -> bool {
        let parent = self.get(&lower(args.first())).filter(|spec| spec.parent);
        !self.profile.since_7_0() && parent.is_some() && args.len() > 1
    }

    fn unknown(&self, args: &[Bytes]) -> Refusal {
        let text = |bytes: &Bytes| {
            let shown = bytes.get(..bytes.len().min(128)).unwrap_or_default();
            String::from_utf8_lossy(shown).replace(['\r', '\n'], " ")
        };
        let name = args.first().map(text).unwrap_or_default();
        let rest = args.get(1..).unwrap_or_default();
        let mut listed = String::new();
        for arg in rest {
            if listed.len() >= 128 {
                break;
            }
            listed += &match self.profile.since_7_0() {
                true => format!("'{}' ", text(arg)),
                false => format!("`{}`, ", text(arg)),
            };
        }
        let name = if self.profile.since_7_0() { format!("'{name}'") } else { format!("`{name}`") };
        Refusal::new(format!("ERR unknown command {name}, with args beginning with: {listed}"))
    }

    fn unknown_subcommand(&self, name: &str, sub: &Bytes) -> Refusal {
        let shown = sub.get(..sub.len().min(128)).unwrap_or_default();
        let sub = String::from_utf8_lossy(shown).replace(['\r', '\n'], " ");
        let help = name.to_ascii_uppercase();
        Refusal::new(match self.profile.since_7_0() {
            true => format!("ERR unknown subcommand '{sub}'. Try {help} HELP."),
            false => format!(
                "ERR Unknown subcommand or wrong number of arguments for '{sub}'. Try {help} HELP."
            ),
        })
    }
}

/// An argument in lower case, for comparison with words of ours.
pub(crate) fn lower(arg: Option<&Bytes>) -> String {
    arg.map(|arg| String::from_utf8_lossy(arg).to_ascii_lowercase()).unwrap_or_default()
}
