//! tenure beside other clients, in one process and one run: times only as ratios, counts exact.
//!
//! ```text
//! cargo run --release -- codec
//! ```

mod codec;
mod connection;
mod plot;
/// Starts real servers, as the tests do.
#[path = "../../../tests/it/real.rs"]
mod real;
mod stats;
mod table;

type Failure = Box<dyn std::error::Error>;

#[global_allocator]
static ALLOCATOR: native::Counting = native::Counting;

fn usage() -> String {
    format!("usage: cargo run --release -- COMMAND\n\n{}{}", codec::USAGE, connection::USAGE)
}

fn main() -> std::process::ExitCode {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_default();
    let rest: Vec<String> = words.collect();
    let done = match command.as_str() {
        "codec" => codec::run(&rest),
        "connection" => connection::run(&rest),
        // The other side of a measurement, started by this program itself.
        "sink" => connection::sink(),
        "work" => connection::child(&rest),
        _ => Err(usage().into()),
    };
    match done {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            std::process::ExitCode::FAILURE
        }
    }
}
