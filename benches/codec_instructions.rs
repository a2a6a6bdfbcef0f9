//! How many instructions does the codec need for a reply or a command?
//!
//! ```text
//! cargo bench --bench codec_instructions               prints them
//! cargo bench --bench codec_instructions -- --check    and fails where one is 5 % above the committed figure
//! cargo bench --bench codec_instructions -- --save     and commits them to the file for this compiler
//! ```
//!
//! Each workload runs under valgrind's callgrind, once for one pipeline and once for eleven: the difference is exact, and does
//! not drift with the machine. It includes filling the buffer and dropping what came out.
#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

#[path = "workloads/command.rs"]
mod command;
#[path = "workloads/replies.rs"]
mod replies;

use bytes::BytesMut;
use resp::{Decoder, Frame, Limits, Protocol, encode};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

type Failure = Box<dyn std::error::Error>;

/// What a figure may grow by.
const TOLERANCE: f64 = 1.05;
const COMMAND: &str = "any command";
const COMMANDS: usize = 100;

fn main() -> Result<(), Failure> {
    let args: Vec<String> = env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["run", entry, workload, times] => run(entry, workload, times.parse()?),
        [] => print(&measure()?, &BTreeMap::new()).map(drop),
        ["--check"] => check(),
        ["--save"] => save(),
        _ => Err("expected nothing, --check or --save".into()),
    }
}

/// Does one workload so many times.
fn run(entry: &str, workload: &str, times: usize) -> Result<(), Failure> {
    let mut input = BytesMut::with_capacity(64 << 10);
    if entry == "encode" {
        for _ in 0..times {
            input.clear();
            (0..COMMANDS).for_each(|_| encode::command(black_box(&command::SET), &mut input));
        }
        return Ok(());
    }
    let replies = replies::replies();
    let (_, reply) =
        replies.iter().find(|(name, _)| *name == workload).ok_or("no such workload")?;
    let wire = replies::pipeline(reply);
    let mut decoder = Decoder::new(Protocol::Resp3, Limits::default());
    let mut frame = Frame::Null;
    for _ in 0..times {
        input.extend_from_slice(&wire);
        match entry {
            "frames" => {
                let mut frames = decoder.frames(&mut input);
                while frames.decode_into(&mut frame)? {
                    black_box(&frame);
                }
            }
            "decode_into" => {
                while decoder.decode_into(&mut input, &mut frame)? {
                    black_box(&frame);
                }
            }
            _ => {
                while let Some(frame) = decoder.decode(&mut input)? {
                    black_box(&frame);
                }
            }
        }
    }
    Ok(())
}

/// The instructions of every workload: for one reply, or for one command.
fn measure() -> Result<BTreeMap<String, f64>, Failure> {
    let mut found = BTreeMap::new();
    for (name, reply) in replies::replies() {
        let count = replies::pipeline(&reply).len() / reply.len();
        for entry in ["decode", "decode_into", "frames"] {
            found.insert(format!("{entry}: {name}"), per_operation(entry, name, count)?);
        }
    }
    found.insert(format!("encode: {COMMAND}"), per_operation("encode", COMMAND, COMMANDS)?);
    Ok(found)
}

fn per_operation(entry: &str, workload: &str, operations: usize) -> Result<f64, Failure> {
    let [one, eleven] = ["1", "11"].map(|times| count(entry, workload, times));
    Ok((eleven? - one?) / 10.0 / operations as f64)
}

fn count(entry: &str, workload: &str, times: &str) -> Result<f64, Failure> {
    let out = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args(["run", entry, workload, times])
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
fn print(
    found: &BTreeMap<String, f64>,
    committed: &BTreeMap<String, f64>,
) -> Result<Vec<String>, Failure> {
    let mut grown = Vec::new();
    println!("| instructions | now | committed |\n|---|--:|--:|");
    for (name, now) in found {
        let before = committed.get(name);
        let shown = before.map_or(String::new(), |before| format!("{before:.1}"));
        println!("| {name} | {now:.1} | {shown} |");
        if before.is_some_and(|before| *now > before * TOLERANCE) {
            grown.push(name.clone());
        }
    }
    Ok(grown)
}

fn check() -> Result<(), Failure> {
    let path = baseline()?;
    let text = fs::read_to_string(&path)
        .map_err(|error| format!("no figures for this compiler: {}: {error}", path.display()))?;
    let mut committed = BTreeMap::new();
    for line in text.lines() {
        let (name, count) = line.split_once('\t').ok_or("a line without a tab")?;
        committed.insert(name.to_owned(), count.parse()?);
    }
    let found = measure()?;
    let grown = print(&found, &committed)?;
    if !found.keys().eq(committed.keys()) {
        return Err("workloads and committed figures are not the same ones: --save them".into());
    }
    if grown.is_empty() { Ok(()) } else { Err(format!("grown by more than 5 %: {grown:?}").into()) }
}

fn save() -> Result<(), Failure> {
    let found = measure()?;
    print(&found, &BTreeMap::new())?;
    let lines: String = found.iter().map(|(name, count)| format!("{name}\t{count:.1}\n")).collect();
    Ok(fs::write(baseline()?, lines)?)
}

/// The file with the figures for this compiler.
fn baseline() -> Result<PathBuf, Failure> {
    let said = Command::new("rustc").arg("--version").output()?.stdout;
    let said = String::from_utf8(said)?;
    let version = said.split(' ').nth(1).ok_or("rustc does not say its version")?;
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/baselines");
    Ok(folder.join(format!("codec-{version}.txt")))
}
