//! Rules that the compiler does not know: which folder may import which, what stays pure, how long things get, what the
//! documentation must say, and how few crates the library stands on. Every failure names a file, a line and the rule.

#[path = "tidy/checks.rs"]
mod checks;
#[path = "tidy/source.rs"]
mod source;

use checks::{Layer, Problem};
use source::Source;
use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Who may import from whom. A folder's name ends with a slash; a module or crate that is not named is forbidden.
const LAYERS: [Layer; 21] = [
    Layer { place: "src/lib.rs", modules: &["*"], crates: &["resp", "tokio_rustls"] },
    Layer {
        place: "src/blocking/",
        modules: &["lock", "client", "config", "error"],
        crates: &["tokio"],
    },
    Layer {
        place: "src/lock/",
        modules: &["client", "config", "error", "backoff", "loss", "observe", "seam"],
        crates: &["bytes", "tokio"],
    },
    Layer {
        place: "src/client/",
        modules: &["net", "config", "url", "error", "observe", "seam", "sync"],
        crates: &["bytes", "resp", "tokio"],
    },
    Layer {
        place: "src/net/tls.rs",
        modules: &["config", "dialer", "error", "net"],
        crates: &["tokio", "tokio_rustls"],
    },
    Layer {
        place: "src/net/",
        modules: &["config", "dialer", "error", "url"],
        crates: &["bytes", "tokio"],
    },
    Layer {
        place: "src/config/tls.rs",
        modules: &["config", "error", "url"],
        crates: &["rustls_native_certs", "tokio_rustls"],
    },
    Layer {
        place: "src/config/",
        modules: &["backoff", "dialer", "error", "observe", "seam", "url"],
        crates: &["tokio"],
    },
    Layer {
        place: "src/observe/spans.rs",
        modules: &["error", "loss", "observe"],
        crates: &["tracing"],
    },
    Layer { place: "src/observe/", modules: &["error", "loss"], crates: &[] },
    Layer { place: "src/loss.rs", modules: &[], crates: &[] },
    Layer { place: "src/url.rs", modules: &["error"], crates: &[] },
    Layer { place: "src/dialer.rs", modules: &[], crates: &["tokio"] },
    Layer { place: "src/sync.rs", modules: &[], crates: &[] },
    Layer { place: "src/defects.rs", modules: &[], crates: &[] },
    Layer { place: "src/seam.rs", modules: &[], crates: &["rand", "tokio"] },
    Layer { place: "src/backoff.rs", modules: &[], crates: &[] },
    Layer { place: "src/error.rs", modules: &[], crates: &["resp"] },
    Layer { place: "resp/src/", modules: &["*"], crates: &["bytes", "memchr"] },
    Layer { place: "resp/oracle/src/", modules: &["*"], crates: &["bytes", "rand", "resp"] },
    Layer {
        place: "tests/server/",
        modules: &["*"],
        crates: &["bytes", "resp", "tenure_server", "tokio"],
    },
];

/// Deciders: told the time, handed entropy, they answer with what to do next.
const PURE: &[&str] = &[
    "src/backoff.rs",
    "src/url.rs",
    "src/client/canary.rs",
    "src/client/commands.rs",
    "src/client/crowd.rs",
    "src/client/gather.rs",
    "src/client/handshake.rs",
    "src/client/pops.rs",
    "src/client/pubsub/registry.rs",
    "src/client/pulse.rs",
    "src/client/refused.rs",
    "src/client/replies.rs",
    "src/client/route.rs",
    "src/client/slot.rs",
    "src/client/slots.rs",
    "src/client/slots/vet.rs",
    "src/client/waves.rs",
    "src/lock/answers.rs",
    "src/lock/dialect.rs",
    "src/lock/elder.rs",
    "src/lock/fairness.rs",
    "src/lock/fence.rs",
    "src/lock/lease.rs",
    "src/lock/minting.rs",
    "src/lock/options.rs",
    "src/lock/phrases.rs",
    "src/lock/speech.rs",
    "src/lock/gate/alone.rs",
    "src/lock/gate/fair.rs",
    "src/lock/gate/fair/behind.rs",
    "src/lock/gate/fair/claims.rs",
    "src/lock/gate/fair/order.rs",
    "src/lock/gate/fair/words.rs",
    "src/lock/gate/head.rs",
    "src/lock/gate/holding.rs",
    "src/lock/gate/head/asking.rs",
    "src/lock/gate/head/contended.rs",
    "src/lock/gate/head/minting.rs",
    "src/lock/gate/held.rs",
    "src/lock/gate/leaving.rs",
    "src/lock/gate/line.rs",
    "src/lock/gate/mod.rs",
    "src/lock/gate/passing.rs",
    "src/lock/gate/places.rs",
    "src/lock/gate/rivals.rs",
    "src/lock/gate/words.rs",
];

/// A feature of the library, the crates that it names itself, and how many there are then in all.
struct Feature {
    name: &'static str,
    direct: &'static [&'static str],
    third_party: usize,
}

const TLS: &[&str] = &["rustls-native-certs", "tokio-rustls"];

const FEATURES: [Feature; 6] = [
    Feature { name: "blocking", direct: &[], third_party: 13 },
    Feature { name: "tls", direct: TLS, third_party: 25 },
    Feature { name: "tls-ring", direct: TLS, third_party: 25 },
    Feature { name: "tls-aws-lc-rs", direct: TLS, third_party: 25 },
    Feature { name: "tls-rustls", direct: TLS, third_party: 23 },
    Feature { name: "tracing", direct: &["tracing"], third_party: 16 },
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file with this ending below a folder, by its path from the root, in order.
fn files(below: &str, ending: &str) -> BTreeSet<String> {
    const ELSEWHERE: [&str; 4] = ["target", "fuzz", "benches/peers", ".git"];
    let mut found = BTreeSet::new();
    let mut folders = vec![below.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).expect("a folder that was just listed") {
            let entry = entry.expect("a folder can be read to its end");
            let name = entry.file_name().into_string().expect("our names are UTF-8");
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            if entry.path().is_dir() && !ELSEWHERE.contains(&path.as_str()) {
                folders.push(path);
            } else if path.ends_with(ending) {
                found.insert(path);
            }
        }
    }
    found
}

/// Reads files and checks them, all before the first failure is reported.
fn check(files: &BTreeSet<String>, check: impl Fn(&Source) -> Vec<Problem>) {
    assert!(!files.is_empty(), "no file was checked");
    report(files.iter().flat_map(|path| check(&Source::read(root(), path))).collect());
}

fn report(problems: Vec<Problem>) {
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

/// Folders and files named `tests` inside a crate hold nothing else.
fn shipped() -> BTreeSet<String> {
    let all = ["src", "resp/src", "resp/oracle/src", "tests/server/src"];
    let all = all.iter().flat_map(|folder| files(folder, ".rs"));
    all.filter(|path| !path.contains("/tests/") && !path.ends_with("/tests.rs")).collect()
}

#[test]
fn imports_point_down() {
    let all: BTreeSet<_> = shipped();
    check(&all, |source| checks::layers(source, &LAYERS, &all));
}

#[test]
fn table_of_layers_has_no_cycle() {
    let cycles = checks::cycles(&LAYERS);
    assert!(cycles.is_empty(), "these can reach themselves: {cycles:?}");
}

#[test]
fn deciders_are_pure() {
    let mut deciders: BTreeSet<String> = PURE.iter().map(ToString::to_string).collect();
    deciders.extend(files("resp/src", ".rs"));
    check(&deciders, checks::pure);
}

#[test]
fn files_and_functions_stay_small() {
    check(&shipped(), checks::sizes);
}

#[test]
fn public_async_functions_document_cancel_safety() {
    check(&files("src", ".rs"), checks::cancel_safety);
}

#[test]
fn public_async_functions_are_dropped_at_every_poll_by_a_test() {
    let tested = fs::read_to_string(root().join("tests/it/cancel.rs")).expect("the test is there");
    // Nothing but another of them with a URL in front.
    const CONNECT: &str = "connect";
    check(&files("src", ".rs"), |source| checks::dropped(source, &tested, &[CONNECT]));
}

#[test]
fn public_fallible_functions_document_their_errors() {
    check(
        &files("src", ".rs").into_iter().chain(files("resp/src", ".rs")).collect(),
        checks::errors,
    );
}

#[test]
fn scripts_say_what_they_take_and_return() {
    let scripts = files("src", ".lua");
    assert!(!scripts.is_empty(), "no script was checked");
    let text = |path| fs::read_to_string(root().join(path)).expect("a script that was just listed");
    report(scripts.iter().flat_map(|path| checks::lua(path, &text(path))).collect());
}

#[test]
fn tests_that_catch_planted_mistakes_are_there() {
    let table = fs::read_to_string(root().join("tests/DEFECTS.md")).expect("there is a table");
    let sources: String = files("src", ".rs")
        .into_iter()
        .chain(files("tests/it", ".rs"))
        .map(|path| fs::read_to_string(root().join(path)).expect("a file that was just listed"))
        .collect();
    let (problems, named) = checks::planted("tests/DEFECTS.md", &table, &sources);
    assert!(named > 50, "only {named} tests are named");
    report(problems);
}

#[test]
fn no_file_has_unsafe_code() {
    check(&files("", ".rs"), checks::no_unsafe);
}

#[test]
fn no_file_leaves_something_open() {
    check(&files("", ".rs"), checks::nothing_left_open);
}

#[test]
fn library_stands_on_few_crates() {
    report(checks::dependencies(&tree(&[]), &[], checks::THIRD_PARTY));
}

#[test]
fn features_add_few_crates() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("there is a manifest");
    let declared = checks::features(&manifest);
    let listed: Vec<_> = FEATURES.iter().map(|feature| feature.name).collect();
    assert_eq!(declared, listed, "every feature has a row, in the manifest's order");
    for Feature { name, direct, third_party } in FEATURES {
        report(checks::dependencies(&tree(&["--features", name]), direct, third_party));
    }
}

/// What `cargo tree` says of the library alone.
fn tree(options: &[&str]) -> String {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let tree = Command::new(cargo)
        .args("tree --offline --locked -e normal --prefix depth -p tenure".split(' '))
        .args(["--target", "x86_64-unknown-linux-gnu"])
        .args(options)
        .current_dir(root())
        .output()
        .expect("cargo runs this test, so it can be run");
    let complaint = String::from_utf8_lossy(&tree.stderr);
    assert!(tree.status.success(), "cargo tree: {complaint}");
    String::from_utf8_lossy(&tree.stdout).into_owned()
}

#[test]
fn lock_file_has_no_redis_crate_of_others() {
    let text = fs::read_to_string(root().join("Cargo.lock")).expect("the lock file is committed");
    report(checks::lock_file(&text));
}
