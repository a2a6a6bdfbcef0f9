#![no_main]

resp_fuzz::fuzz!("diff_ref");
