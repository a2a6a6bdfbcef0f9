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

mod baselines;
#[path = "workloads/command.rs"]
mod command;
#[path = "workloads/replies.rs"]
mod replies;

use baselines::{Failure, Figures};
use bytes::BytesMut;
use resp::{Decoder, Frame, Limits, Protocol, encode};
use std::env;
use std::hint::black_box;

const COMMAND: &str = "any command";
const COMMANDS: usize = 100;

fn main() -> Result<(), Failure> {
    let args: Vec<String> = env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["run", entry, workload, times] => run(entry, workload, times.parse()?),
        [] => {
            baselines::print(&measure()?, &Figures::new());
            Ok(())
        }
        ["--check"] => baselines::check("codec", &measure()?),
        ["--save"] => baselines::save("codec", &measure()?),
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
fn measure() -> Result<Figures, Failure> {
    let mut found = Figures::new();
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
    let [one, eleven] = ["1", "11"].map(|times| baselines::count(&["run", entry, workload, times]));
    Ok((eleven? - one?) / 10.0 / operations as f64)
}
