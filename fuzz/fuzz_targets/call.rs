#![no_main]
//! Telling requests apart.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let request = fuzz::request(data);
    let _ = wire::Call::detect(&request);
    let _ = wire::chunked::decode(&request);
});
