#![no_main]

resp_fuzz::fuzz!("request");
