//! tenure beside other clients, in one process and one run: times only as ratios, counts exact.
//!
//! ```text
//! cargo run --release -- codec
//! cargo run --release -- connection
//! cargo run --release -- lock
//! ```

mod codec;
mod connection;
mod lock;
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
    let usages = [codec::USAGE, connection::USAGE, lock::USAGE].concat();
    format!("usage: cargo run --release -- COMMAND\n\n{usages}")
}

fn main() -> std::process::ExitCode {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_default();
    let rest: Vec<String> = words.collect();
    let done = match command.as_str() {
        "codec" => codec::run(&rest),
        "connection" => connection::run(&rest),
        "lock" => lock::run(&rest),
        // The other side of a measurement, started by this program itself.
        "sink" => connection::sink(),
        "work" => connection::child(&rest),
        "crowd" => lock::crowd_child(&rest),
        "idle" => lock::idle_child(&rest),
        "guards" => lock::guards_child(&rest),
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
