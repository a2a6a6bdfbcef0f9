#![no_main]

resp_fuzz::fuzz!("round_trip");
