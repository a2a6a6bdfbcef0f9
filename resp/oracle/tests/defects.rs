//! Every mistake that can be planted in the codec is caught, and a table says by which property.
//!
//! Only in a build with `--cfg resp_defects`. The table is committed; `TENURE_DEFECTS=write` writes it anew.

#![cfg(resp_defects)]

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use resp_oracle::TARGETS;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::Path;

/// Cases that each property is tried with.
const CASES: u32 = 20_000;

#[test]
fn every_planted_defect_is_caught_by_the_property_that_the_table_names() {
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    let sound = catcher(0);
    let caught: Vec<_> = (1..=resp::defects::ALL.len()).map(catcher).collect();
    set_hook(hook);
    assert_eq!(sound, None, "without a defect nothing is caught");
    let mut table = String::from(HEAD);
    for (at, (&(about, what), property)) in resp::defects::ALL.iter().zip(&caught).enumerate() {
        let property = property.unwrap_or("nothing");
        writeln!(table, "| {} | `{}` | {what} | `{property}` |", at + 1, about.replace('|', "\\|"))
            .expect("a string takes everything");
    }
    println!("{table}");
    assert!(caught.iter().all(Option::is_some), "some are not caught");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("DEFECTS.md");
    if env::var("TENURE_DEFECTS").is_ok_and(|what| what == "write") {
        fs::write(&file, &table).expect("the table can be written");
    }
    let committed = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(committed, table, "TENURE_DEFECTS=write writes the table anew");
}

const HEAD: &str = "# Planted defects

What is wrong with a codec that somebody wrote in a hurry, one mistake for each rule, built into `resp` with `--cfg resp_defects` and made one at a time. Each is caught by a
property over generated cases; the first that does so is named. `tests/run` holds this table against what happens.

| | about | mistake | caught by |
|---|---|---|---|
";

/// The first property that does not hold while a mistake is made.
fn catcher(number: usize) -> Option<&'static str> {
    resp::defects::plant(number);
    let caught = TARGETS.iter().find(|target| {
        let mut rng = StdRng::seed_from_u64(1);
        (0..CASES).any(|_| {
            let case = target.generate(&mut rng);
            catch_unwind(AssertUnwindSafe(|| (target.check)(&case))).is_err()
        })
    });
    resp::defects::plant(0);
    caught.map(|target| target.name)
}
