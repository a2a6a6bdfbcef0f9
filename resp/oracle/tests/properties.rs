//! The properties over generated cases and over everything that the fuzzers keep.
//!
//! | environment | |
//! |---|---|
//! | `TENURE_FUZZ_CASES` | cases per property; 200,000 if not set |
//! | `TENURE_FUZZ_SEED` | where the cases begin; 1 if not set |
//! | `TENURE_FUZZ_CASE` | one case in hexadecimal digits, instead of all of these |

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use resp_oracle::Target;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind, set_hook, take_hook};
use std::path::Path;
use std::{env, fs};

macro_rules! properties {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                hold(Target::named(stringify!($name)).unwrap());
            }
        )*
    };
}

properties! { diff_ref chunked prefix round_trip alloc work stream request }

fn hold(target: Target) {
    if let Ok(case) = env::var("TENURE_FUZZ_CASE") {
        return (target.check)(&from_hex(&case));
    }
    replay(target);
    let seed: u64 = number("TENURE_FUZZ_SEED", 1);
    let mut rng = StdRng::seed_from_u64(seed);
    for at in 0..number("TENURE_FUZZ_CASES", 200_000) {
        let case = target.generate(&mut rng);
        check(target, &case, &format!("case {at} of seed {seed}"));
    }
}

/// What libFuzzer found worth keeping, and what once failed.
fn replay(target: Target) {
    for (folder, at_least) in [("corpus", 1), ("crashers", 0)] {
        let folder =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz").join(folder).join(target.name);
        let files: Vec<_> = fs::read_dir(&folder)
            .into_iter()
            .flatten()
            .map(|file| file.expect("a folder can be read").path())
            .collect();
        assert!(files.len() >= at_least, "{} has too few files", folder.display());
        for file in files {
            check(
                target,
                &fs::read(&file).expect("a file that was just listed"),
                &file.display().to_string(),
            );
        }
    }
}

fn check(target: Target, case: &[u8], what: &str) {
    let Err(panic) = catch_unwind(AssertUnwindSafe(|| (target.check)(case))) else { return };
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    let smallest = smaller(target, case.to_vec());
    set_hook(hook);
    eprintln!(
        "{} does not hold for {what}, nor for \"{}\". Again:",
        target.name,
        smallest.escape_ascii()
    );
    eprintln!("TENURE_FUZZ_CASE={} cargo test -p resp-oracle {}", to_hex(&smallest), target.name);
    resume_unwind(panic);
}

/// Leaves out what can be left out while the property does not hold.
fn smaller(target: Target, mut case: Vec<u8>) -> Vec<u8> {
    let mut len = case.len();
    while len > 0 {
        let mut at = 0;
        while at + len <= case.len() {
            let shorter = [&case[..at], &case[at + len..]].concat();
            if catch_unwind(AssertUnwindSafe(|| (target.check)(&shorter))).is_err() {
                case = shorter;
            } else {
                at += 1;
            }
        }
        len /= 2;
    }
    case
}

fn number<N: std::str::FromStr>(name: &str, otherwise: N) -> N {
    let Ok(text) = env::var(name) else { return otherwise };
    text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number"))
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> =
        text.chars().map(|digit| digit.to_digit(16).expect("hexadecimal digits")).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}
