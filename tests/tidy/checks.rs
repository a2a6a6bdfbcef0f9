//! The checks: each takes texts and answers with what is wrong, so that each can be shown to fail.

use crate::source::{Source, is_name, line, words};
use std::collections::BTreeSet;
use std::fmt;

pub(crate) const FILE_LINES: usize = 400;
pub(crate) const FUNCTION_LINES: usize = 70;
pub(crate) const THIRD_PARTY: usize = 13;

/// The only third-party crates that the library names itself.
pub(crate) const DIRECT: [&str; 4] = ["bytes", "memchr", "rand", "tokio"];

/// Clients and codecs of others. Comparing with one happens in a workspace of its own.
const REDIS_CRATES: [&str; 14] = [
    "bb8-redis",
    "deadpool-redis",
    "fred",
    "glide-core",
    "mini-redis",
    "r2d2_redis",
    "redis",
    "redis-async",
    "redis-protocol",
    "redlock",
    "rslock",
    "rustis",
    "simple-redis",
    "valkey-glide",
];

/// Crates that a `use` may name; which of them a layer may name stands in its row.
const CRATES: [&str; 10] = [
    "bytes",
    "memchr",
    "rand",
    "resp",
    "rustls_native_certs",
    "tenure",
    "tenure_server",
    "tokio",
    "tokio_rustls",
    "tracing",
];

/// What a decider has no business with.
const IMPURE: [&str; 9] = [
    "tokio",
    "rand",
    "std::net",
    "std::fs",
    "std::thread",
    "Instant::now",
    "SystemTime",
    "TcpStream",
    "UnixStream",
];

/// One thing that is wrong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    file: String,
    line: usize,
    rule: String,
}

impl Problem {
    pub(crate) fn new(file: &str, line: usize, rule: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, rule: rule.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.rule)
    }
}

/// One row of the table of layers: a file or folder and what it may import.
#[derive(Debug)]
pub(crate) struct Layer {
    /// A file, or a folder with a slash at its end.
    pub(crate) place: &'static str,
    /// Modules at the top of its crate; a folder may always import from itself.
    pub(crate) modules: &'static [&'static str],
    pub(crate) crates: &'static [&'static str],
}

impl Layer {
    fn covers(&self, path: &str) -> bool {
        path == self.place || self.place.ends_with('/') && path.starts_with(self.place)
    }

    /// The name that others import it by: `src/lock/` is `lock`, `src/url.rs` is `url`.
    fn module(&self) -> &str {
        let place = self.place.trim_end_matches('/').trim_end_matches(".rs");
        place.rsplit('/').next().unwrap_or(place)
    }
}

/// Imports only point down, and into a folder only through its door.
pub(crate) fn layers(source: &Source, layers: &[Layer], files: &BTreeSet<String>) -> Vec<Problem> {
    let Some(layer) = layers.iter().find(|layer| layer.covers(&source.path)) else {
        return vec![Problem::new(&source.path, 1, "stands in no row of the table of layers")];
    };
    let mut problems = Vec::new();
    for name in CRATES {
        let foreign = !layer.crates.contains(&name);
        for at in source.words(name).filter(|&at| foreign && names_a_crate(&source.code, at, name))
        {
            let rule = format!("{} may not name the crate {name}", layer.place);
            problems.push(Problem::new(&source.path, source.line(at), rule));
        }
    }
    if layer.modules == ["*"] {
        return problems;
    }
    for (at, path) in imports(&source.code) {
        let (module, inner) = path.split_once("::").unwrap_or((&path, ""));
        let at = source.line(at);
        if module == layer.module() || !layers.iter().any(|other| other.module() == module) {
            continue;
        }
        if !layer.modules.contains(&module) {
            let rule = format!("{} may not import from {module}", layer.place);
            problems.push(Problem::new(&source.path, at, rule));
        }
        let behind = inner.split("::").next().unwrap_or_default();
        if files.contains(&format!("src/{module}/{behind}.rs")) {
            let rule = format!("imports from {module} only through src/{module}/mod.rs");
            problems.push(Problem::new(&source.path, at, rule));
        }
    }
    problems
}

/// `tokio::x` or `use tokio;`, but neither `self::tokio` nor a variable of that name.
fn names_a_crate(code: &str, at: usize, name: &str) -> bool {
    let (before, after) = (code[..at].trim_end(), &code[at + name.len()..]);
    let own_path =
        before.ends_with("::") && !before[..before.len() - 2].ends_with([' ', '\n', '(']);
    !own_path
        && (after.starts_with("::") || before.ends_with("use") && after.starts_with([';', ' ']))
}

/// What follows each `crate::`, with groups spread out: `crate::{a::b, c}` gives `a::b` and `c`.
fn imports(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for at in words(code, "crate").filter(|&at| code[at..].starts_with("crate::")) {
        let rest = &code[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            found.push((at, path(rest)));
            continue;
        };
        let mut depth = 0_usize;
        let mut start = true;
        for (offset, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => start = true,
                c if start && is_name(c) => {
                    found.push((at + offset, path(&group[offset..])));
                    start = false;
                }
                _ => {}
            }
        }
    }
    found
}

fn path(code: &str) -> String {
    code.chars().take_while(|&c| is_name(c) || c == ':').collect()
}

/// No row imports, over any number of steps, from a row that imports from it.
pub(crate) fn cycles(layers: &[Layer]) -> Vec<String> {
    let below = |module: &str| {
        let row = layers.iter().find(|layer| layer.module() == module);
        row.map_or(&[][..], |layer| layer.modules)
    };
    let reaches_itself = |start: &str| {
        let mut seen = BTreeSet::new();
        let mut next: Vec<&str> = below(start).to_vec();
        while let Some(module) = next.pop() {
            if seen.insert(module) {
                next.extend(below(module));
            }
        }
        seen.contains(start)
    };
    let modules = layers.iter().map(Layer::module);
    modules.filter(|module| reaches_itself(module)).map(str::to_owned).collect()
}

/// A decider has no I/O, no clock and no randomness. It may know the type of an instant, not ask for one.
pub(crate) fn pure(source: &Source) -> Vec<Problem> {
    let mut problems = Vec::new();
    for name in IMPURE {
        for at in source.words(name).filter(|&at| !is_instant(&source.code[at..])) {
            let rule = format!("decides and may not use {name}");
            problems.push(Problem::new(&source.path, source.line(at), rule));
        }
    }
    problems
}

fn is_instant(code: &str) -> bool {
    code.strip_prefix("tokio::time::Instant").is_some_and(|rest| !rest.starts_with("::"))
}

/// A file and each of its functions can be taken in at a glance.
pub(crate) fn sizes(source: &Source) -> Vec<Problem> {
    let mut problems = Vec::new();
    let lines = source.lines();
    if lines > FILE_LINES {
        let rule = format!("{lines} lines without tests, more than {FILE_LINES}");
        problems.push(Problem::new(&source.path, 1, rule));
    }
    for function in source.functions() {
        if function.lines > FUNCTION_LINES {
            let (name, lines) = (&function.name, function.lines);
            let rule = format!("fn {name} has {lines} lines, more than {FUNCTION_LINES}");
            problems.push(Problem::new(&source.path, function.line, rule));
        }
    }
    problems
}

/// Every public async function says what happens when its future is dropped.
pub(crate) fn cancel_safety(source: &Source) -> Vec<Problem> {
    missing_heading(source, "# Cancel safety", |function| function.is_async())
}

/// Every public async function is called by the test that drops each future at each of its polls.
pub(crate) fn dropped(source: &Source, tested: &str, exempt: &[&str]) -> Vec<Problem> {
    let calls = |name: &str| {
        let shapes = [format!(".{name}("), format!("::{name}("), format!(".{name}::<")];
        shapes.iter().any(|shape| tested.contains(shape))
    };
    let functions = source.functions().into_iter();
    let concerned = functions.filter(|function| function.is_public() && function.is_async());
    concerned
        .filter(|function| !calls(&function.name) && !exempt.contains(&&*function.name))
        .map(|function| {
            let rule =
                format!("pub fn {} is dropped by no test of tests/it/cancel.rs", function.name);
            Problem::new(&source.path, function.line, rule)
        })
        .collect()
}

/// Every public function that can fail says how.
pub(crate) fn errors(source: &Source) -> Vec<Problem> {
    missing_heading(source, "# Errors", |function| {
        let returns = function.returns().trim_start_matches("impl Future<Output = ");
        returns.starts_with("Result<") || returns.starts_with("io::Result<")
    })
}

fn missing_heading(
    source: &Source,
    heading: &str,
    concerns: impl Fn(&crate::source::Function) -> bool,
) -> Vec<Problem> {
    let functions = source.functions().into_iter();
    let concerned = functions.filter(|function| function.is_public() && concerns(function));
    let silent = concerned.filter(|function| !function.docs.contains(heading));
    silent
        .map(|function| {
            let rule = format!("pub fn {} documents no \"{heading}\"", function.name);
            Problem::new(&source.path, function.line, rule)
        })
        .collect()
}

/// A script begins with a comment that names each of its keys and arguments, and what it returns.
pub(crate) fn lua(path: &str, text: &str) -> Vec<Problem> {
    let header: Vec<_> = text.lines().take_while(|line| line.starts_with("--")).collect();
    let header = header.join("\n");
    let mut problems = Vec::new();
    for name in ["KEYS[", "ARGV["] {
        for (at, _) in text.match_indices(name) {
            let end = text[at..].find(']').map_or(text.len(), |end| at + end + 1);
            if !header.contains(&text[at..end]) {
                let rule = format!("the comment at the top does not name {}", &text[at..end]);
                problems.push(Problem::new(path, line(text, at), rule));
            }
        }
    }
    if !header.contains("Returns") {
        problems.push(Problem::new(path, 1, "the comment at the top does not say what it returns"));
    }
    problems
}

/// The tests that a table names, as `` `lib path::to::name` `` or `` `it path::to::name` ``, are functions of the sources. Tells also how
/// many it names.
pub(crate) fn planted(path: &str, table: &str, sources: &str) -> (Vec<Problem>, usize) {
    let (mut problems, mut named) = (Vec::new(), 0);
    for (number, row) in table.lines().enumerate() {
        for cell in row.split('`') {
            let Some(test) = cell.strip_prefix("lib ").or_else(|| cell.strip_prefix("it ")) else {
                continue;
            };
            named += 1;
            let name = test.rsplit("::").next().unwrap_or_default();
            if !sources.contains(&format!("fn {name}(")) {
                problems.push(Problem::new(path, number + 1, format!("there is no test {test}")));
            }
        }
    }
    (problems, named)
}

pub(crate) fn no_unsafe(source: &Source) -> Vec<Problem> {
    let found = words(&source.code, concat!("un", "safe"));
    found.map(|at| Problem::new(&source.path, source.line(at), "no unsafe code")).collect()
}

pub(crate) fn nothing_left_open(source: &Source) -> Vec<Problem> {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    let mut problems = Vec::new();
    for mark in marks {
        for at in words(&source.text, mark) {
            let rule = format!("{mark}: finish it, or write down elsewhere what is left");
            problems.push(Problem::new(&source.path, source.line(at), rule));
        }
    }
    problems
}

/// The features that a manifest declares, in its order.
pub(crate) fn features(manifest: &str) -> Vec<&str> {
    let section = manifest.split("\n[features]\n").nth(1).unwrap_or_default();
    let rows = section.lines().take_while(|row| !row.starts_with('['));
    rows.filter(|row| !row.starts_with('#'))
        .filter_map(|row| row.split_once('=').map(|(name, _)| name.trim()))
        .collect()
}

/// What `cargo tree -e normal --prefix depth` prints for the library: few crates, and few that it names itself, the four that it
/// always stands on and `others`.
pub(crate) fn dependencies(tree: &str, others: &[&str], limit: usize) -> Vec<Problem> {
    const OURS: [&str; 2] = ["tenure", "resp"];
    let mut third_party = BTreeSet::new();
    let mut problems = Vec::new();
    let mut parents: Vec<&str> = Vec::new();
    for (at, row) in tree.lines().enumerate() {
        let digits = row.len() - row.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (Ok(depth), Some(name)) = (row[..digits].parse(), row[digits..].split(' ').next())
        else {
            problems.push(Problem::new("cargo tree", at + 1, format!("cannot be read: {row}")));
            continue;
        };
        parents.truncate(depth);
        let direct = parents.last().is_none_or(|parent| OURS.contains(parent));
        if !OURS.contains(&name) {
            third_party.insert(row[digits..].trim_end_matches(" (*)"));
            if direct && !DIRECT.contains(&name) && !others.contains(&name) {
                let rule = format!("{name} is a dependency of ours besides {DIRECT:?}");
                problems.push(Problem::new("Cargo.toml", 1, rule));
            }
        }
        parents.push(name);
    }
    if third_party.len() > limit {
        let count = third_party.len();
        let rule = format!("{count} third-party crates, more than {limit}: {third_party:?}");
        problems.push(Problem::new("Cargo.toml", 1, rule));
    }
    if third_party.is_empty() {
        problems.push(Problem::new("cargo tree", 1, "names no third-party crate at all"));
    }
    problems
}

/// No client of others gets into the lock file.
pub(crate) fn lock_file(text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (at, row) in text.lines().enumerate() {
        let name = row.strip_prefix("name = \"").and_then(|rest| rest.strip_suffix('"'));
        if let Some(name) = name.filter(|name| REDIS_CRATES.contains(name)) {
            let rule = format!("{name} is a Redis crate of others");
            problems.push(Problem::new("Cargo.lock", at + 1, rule));
        }
    }
    problems
}

#[cfg(test)]
#[path = "checks/tests.rs"]
mod tests;
