#![no_main]

resp_fuzz::fuzz!("alloc");
