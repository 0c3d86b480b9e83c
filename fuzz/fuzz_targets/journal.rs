#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| toehold_fuzz::journal(data));
