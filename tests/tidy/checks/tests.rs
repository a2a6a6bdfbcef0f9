//! Each check, shown to fail: a small text for each rule that breaks it, beside one that does not.

use super::*;

const LAYERS: [Layer; 4] = [
    Layer { place: "src/lock/", modules: &["client", "error"], crates: &["tokio"] },
    Layer { place: "src/client/", modules: &["net", "error"], crates: &["resp"] },
    Layer { place: "src/net/", modules: &["error"], crates: &[] },
    Layer { place: "src/error.rs", modules: &[], crates: &[] },
];

fn said(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

fn layered(path: &str, text: &str) -> Vec<String> {
    let files = BTreeSet::from(["src/client/slots.rs".to_owned()]);
    said(&layers(&Source::new(path, text), &LAYERS, &files))
}

#[test]
fn import_that_points_up_is_found() {
    let up = layered("src/net/mod.rs", "use std::io;\nuse crate::lock::Guard;\n");
    assert_eq!(up, ["src/net/mod.rs:2: src/net/ may not import from lock"]);
    let inline = layered("src/error.rs", "fn f() { crate::net::dial() }");
    assert_eq!(inline, ["src/error.rs:1: src/error.rs may not import from net"]);
    let group = layered("src/lock/a.rs", "use crate::{error::{Error, Kind}, net};");
    assert_eq!(group, ["src/lock/a.rs:1: src/lock/ may not import from net"]);
}

#[test]
fn import_past_the_door_of_a_folder_is_found() {
    let behind = layered("src/lock/a.rs", "use crate::client::slots::Slots;");
    assert_eq!(behind, ["src/lock/a.rs:1: imports from client only through src/client/mod.rs"]);
    assert_eq!(layered("src/client/a.rs", "use crate::client::slots::Slots;"), [""; 0]);
    assert_eq!(layered("src/lock/a.rs", "use crate::client::Reply;"), [""; 0]);
}

#[test]
fn crate_that_a_layer_may_not_name_is_found() {
    let named = layered("src/lock/a.rs", "use tokio::time;\nuse resp::Frame;\n");
    assert_eq!(named, ["src/lock/a.rs:2: src/lock/ may not name the crate resp"]);
    let inline = layered("src/net/a.rs", "fn f(bytes: u8) { tokio::spawn(bytes) }");
    assert_eq!(inline, ["src/net/a.rs:1: src/net/ may not name the crate tokio"]);
    assert_eq!(layered("src/net/a.rs", "// tokio::spawn\nuse self::bytes::B;"), [""; 0]);
}

#[test]
fn file_without_a_layer_is_found() {
    let stray = layered("src/stray.rs", "");
    assert_eq!(stray, ["src/stray.rs:1: stands in no row of the table of layers"]);
}

#[test]
fn table_with_a_cycle_is_found() {
    assert_eq!(cycles(&LAYERS), [""; 0]);
    let [_, client, ..] = LAYERS;
    let net = Layer { place: "src/net/", modules: &["client"], crates: &[] };
    assert_eq!(cycles(&[client, net]), ["client", "net"]);
}

#[test]
fn decider_that_looks_at_the_clock_is_found() {
    let source = Source::new("src/a.rs", "fn f(now: Instant) {}\nfn g() { Instant::now() }\n");
    assert_eq!(said(&pure(&source)), ["src/a.rs:2: decides and may not use Instant::now"]);
    let source = Source::new("src/a.rs", "use tokio::time::sleep;\nuse std::net::IpAddr;\n");
    assert_eq!(pure(&source).len(), 2);
    assert_eq!(pure(&Source::new("src/a.rs", "use tokio::time::Instant;\n")), []);
    let source = Source::new("src/a.rs", "#[cfg(test)]\nmod tests {\n    use rand::rng;\n}\n");
    assert_eq!(pure(&source), []);
}

#[test]
fn long_file_and_long_function_are_found() {
    let body = "    f();\n".repeat(FUNCTION_LINES - 2);
    let fits = format!("fn f() {{\n{body}}}\n");
    assert_eq!(sizes(&Source::new("a.rs", fits)), []);
    let long = format!("fn f() {{\n    f();\n{body}}}\n");
    let rule = format!("a.rs:1: fn f has {} lines, more than 70", FUNCTION_LINES + 1);
    assert_eq!(said(&sizes(&Source::new("a.rs", long))), [rule]);
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "\n".repeat(FILE_LINES));
    assert_eq!(sizes(&Source::new("a.rs", format!("const A: u8 = 1;\n{tests}"))), []);
    let long = "const A: u8 = 1;\n".repeat(FILE_LINES + 1);
    let rule = "a.rs:1: 401 lines without tests, more than 400";
    assert_eq!(said(&sizes(&Source::new("a.rs", long))), [rule]);
}

#[test]
fn public_async_fn_without_cancel_safety_is_found() {
    let text = "/// Waits.\npub async fn wait() {}\n";
    let rule = "a.rs:2: pub fn wait documents no \"# Cancel safety\"";
    assert_eq!(said(&cancel_safety(&Source::new("a.rs", text))), [rule]);
    let text = "/// Waits.\npub fn wait() -> impl Future<Output = u8> {}\n";
    assert_eq!(cancel_safety(&Source::new("a.rs", text)).len(), 1);
    let text = "/// Waits.\n///\n/// # Cancel safety\n///\n/// Yes.\npub async fn wait() {}\n";
    assert_eq!(cancel_safety(&Source::new("a.rs", text)), []);
    assert_eq!(cancel_safety(&Source::new("a.rs", "pub(crate) async fn wait() {}\n")), []);
    assert_eq!(cancel_safety(&Source::new("a.rs", "pub fn wait() {}\n")), []);
}

#[test]
fn public_async_fn_that_no_test_drops_is_found() {
    let source = Source::new("a.rs", "pub async fn wait() {}\npub fn go() {}\n");
    let rule = "a.rs:1: pub fn wait is dropped by no test of tests/it/cancel.rs";
    assert_eq!(said(&dropped(&source, "lock.await_it()", &[])), [rule]);
    assert_eq!(dropped(&source, "lock.wait()", &[]), []);
    assert_eq!(dropped(&source, "", &["wait"]), []);
}

#[test]
fn public_fallible_fn_without_errors_is_found() {
    let text = "/// Reads.\npub fn read(f: fn(u8) -> u8) -> Result<(), Error> {}\n";
    let rule = "a.rs:2: pub fn read documents no \"# Errors\"";
    assert_eq!(said(&errors(&Source::new("a.rs", text))), [rule]);
    assert_eq!(errors(&Source::new("a.rs", "pub fn r() -> io::Result<u8> {}\n")).len(), 1);
    assert_eq!(errors(&Source::new("a.rs", "/// # Errors\npub fn r() -> Result<u8> {}\n")), []);
    assert_eq!(errors(&Source::new("a.rs", "pub fn r(a: Result<u8, E>) -> u8 {}\n")), []);
    assert_eq!(errors(&Source::new("a.rs", "fn fmt(&self) -> fmt::Result {}\n")), []);
}

#[test]
fn script_that_does_not_say_what_it_takes_is_found() {
    let good = "-- Takes.\n--   KEYS[1]  key\n--   ARGV[1]  value\n-- Returns 1.\nreturn f(KEYS[1], ARGV[1])\n";
    assert_eq!(lua("a.lua", good), []);
    let silent = good.replace("--   ARGV[1]  value\n", "").replace("-- Returns 1.\n", "");
    let rules = [
        "a.lua:3: the comment at the top does not name ARGV[1]",
        "a.lua:1: the comment at the top does not say what it returns",
    ];
    assert_eq!(said(&lua("a.lua", &silent)), rules);
}

#[test]
fn unsafe_code_is_found_and_the_word_is_not() {
    let word = concat!("un", "safe");
    let text = format!("// {word}\n#![forbid({word}_code)]\n{word} {{ f() }}\n");
    assert_eq!(said(&no_unsafe(&Source::new("a.rs", text))), ["a.rs:3: no unsafe code"]);
}

#[test]
fn mark_of_something_left_open_is_found() {
    let text = format!("fn f() {{}} // {}: later\n", concat!("TO", "DO"));
    assert_eq!(nothing_left_open(&Source::new("a.rs", text)).len(), 1);
    let other = format!("const {}: u8 = 1;\n", concat!("TO", "DOS"));
    assert_eq!(nothing_left_open(&Source::new("a.rs", other)), []);
}

#[test]
fn fifth_dependency_and_fourteenth_crate_are_found() {
    let good = "0tenure v0.1.0 (/x)\n1resp v0.1.0 (/x)\n2bytes v1.0.0\n2memchr v2.0.0\n1tokio v1.0.0\n2mio v1.0.0\n";
    assert_eq!(dependencies(good, &[], 13), []);
    let fifth = format!("{good}1serde v1.0.0\n");
    assert_eq!(dependencies(&fifth, &["serde"], 13), []);
    assert!(said(&dependencies(&fifth, &[], 13))[0].contains("serde is a dependency of ours"));
    let behind_resp = good.replace("2memchr", "2nom");
    assert!(said(&dependencies(&behind_resp, &[], 13))[0].contains("nom is a dependency of ours"));
    let rows: Vec<_> = (0..10).map(|number| format!("3crate{number} v1.0.0\n")).collect();
    assert!(
        said(&dependencies(&format!("{good}{}", rows.concat()), &[], 13))[0].contains("14 third")
    );
    assert_eq!(dependencies(&format!("{good}{}", rows[1..].concat()), &[], 13), []);
    assert_eq!(dependencies("", &[], 13).len(), 1);
}

#[test]
fn features_are_read_from_the_manifest() {
    let manifest = "[package]\nname = \"x\"\n\n[features]\n# Why.\na = [\"b\"]\nb = []\n\n[dependencies]\nc = \"1\"\n";
    assert_eq!(features(manifest), ["a", "b"]);
    assert!(features("[package]\n").is_empty());
}

#[test]
fn redis_crate_of_others_in_the_lock_file_is_found() {
    let text = "[[package]]\nname = \"redis\"\n\n[[package]]\nname = \"resp\"\n";
    assert_eq!(said(&lock_file(text)), ["Cargo.lock:2: redis is a Redis crate of others"]);
}

#[test]
fn tables_name_tests_that_are_there() {
    let table = "| 1 | `lib a::b::one` |\n| 2 | `it c::two` |\n| 3 | `tests/it` |\n";
    let (problems, named) = planted("T.md", table, "fn one() {}\nasync fn twofold() {}\n");
    assert_eq!((problems.len(), named), (1, 2));
    assert_eq!(problems[0].to_string(), "T.md:2: there is no test c::two");
}
