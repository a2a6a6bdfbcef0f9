//! Tells the program where hiredis is, so that it also starts under valgrind and perf, and not only by `cargo run`.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let root = std::env::var("DEP_HIREDIS_ROOT").expect("hiredis-sys says where it has installed");
    println!("cargo:rustc-link-arg-bins=-Wl,-rpath,{root}/lib");
}
