//! tenure beside other clients, in one process and one run: times only as ratios, counts exact.
//!
//! ```text
//! cargo run --release -- codec
//! ```

mod codec;
mod stats;
mod table;

#[global_allocator]
static ALLOCATOR: native::Counting = native::Counting;

const USAGE: &str = "\
usage: cargo run --release -- COMMAND

  codec [--rounds N] [--only TEXT]    parsing and encoding, in memory
";

fn main() -> std::process::ExitCode {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_default();
    let rest: Vec<String> = words.collect();
    let done = match command.as_str() {
        "codec" => codec::run(&rest),
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            std::process::ExitCode::FAILURE
        }
    }
}
