//! Instruction counts beside the committed ones, of which there is a file for each compiler.
//!
//! Frameworks for such counts keep as a baseline all that callgrind wrote, with the machine's paths in it, and need a program
//! of their own to be installed. A table of names and numbers can be read, and reviewed when it changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

pub(crate) type Failure = Box<dyn std::error::Error>;
pub(crate) type Figures = BTreeMap<String, f64>;

/// What a figure may grow by.
const TOLERANCE: f64 = 1.05;

/// All instructions of this program, from first to last, when it is run with these arguments.
///
/// # Errors
///
/// If valgrind cannot be run, or the program fails.
pub(crate) fn count(args: &[&str]) -> Result<f64, Failure> {
    let out = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args(args)
        .output()
        .map_err(|error| format!("valgrind cannot be run: {error}"))?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    let counted = said.lines().find_map(|line| line.split("Collected : ").nth(1));
    match counted {
        Some(count) if out.status.success() => Ok(count.trim().parse()?),
        _ => Err(said.into()),
    }
}

/// Prints the figures beside the committed ones; gives the names of those that have grown too much.
pub(crate) fn print(found: &Figures, committed: &Figures) -> Vec<String> {
    println!("| instructions | now | committed |\n|---|--:|--:|");
    for (name, now) in found {
        let shown = committed.get(name).map_or(String::new(), |before| format!("{before:.1}"));
        println!("| {name} | {now:.1} | {shown} |");
    }
    let grown = |(name, now): &(&String, &f64)| {
        committed.get(*name).is_some_and(|before| **now > before * TOLERANCE)
    };
    found.iter().filter(grown).map(|(name, _)| name.clone()).collect()
}

/// Compares with the committed figures.
///
/// # Errors
///
/// If there are none for this compiler, if they are for other workloads, or if one has grown.
pub(crate) fn check(of: &str, found: &Figures) -> Result<(), Failure> {
    let path = file(of)?;
    let text = fs::read_to_string(&path)
        .map_err(|error| format!("no figures for this compiler: {}: {error}", path.display()))?;
    let mut committed = Figures::new();
    for line in text.lines() {
        let (name, count) = line.split_once('\t').ok_or("a line without a tab")?;
        committed.insert(name.to_owned(), count.parse()?);
    }
    let grown = print(found, &committed);
    if !found.keys().eq(committed.keys()) {
        return Err("workloads and committed figures are not the same ones: --save them".into());
    }
    if grown.is_empty() { Ok(()) } else { Err(format!("grown by more than 5 %: {grown:?}").into()) }
}

/// Writes the figures down, to be committed.
///
/// # Errors
///
/// If the file cannot be written.
pub(crate) fn save(of: &str, found: &Figures) -> Result<(), Failure> {
    print(found, &Figures::new());
    let lines: String = found.iter().map(|(name, count)| format!("{name}\t{count:.1}\n")).collect();
    Ok(fs::write(file(of)?, lines)?)
}

/// The file with the figures for this compiler.
fn file(of: &str) -> Result<PathBuf, Failure> {
    let said = Command::new("rustc").arg("--version").output()?.stdout;
    let said = String::from_utf8(said)?;
    let version = said.split(' ').nth(1).ok_or("rustc does not say its version")?;
    // A package below the root includes this file as well.
    let roots = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let folder = roots.map(|root| root.join("benches/baselines")).find(|folder| folder.is_dir());
    let folder = folder.ok_or("there is no benches/baselines above")?;
    Ok(folder.join(format!("{of}-{version}.txt")))
}
