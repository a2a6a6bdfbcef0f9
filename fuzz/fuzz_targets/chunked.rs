#![no_main]

resp_fuzz::fuzz!("chunked");
