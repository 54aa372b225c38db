#![no_main]
//! Chunked bodies and trailers. The check is the balancer's own (`proxy/properties.rs`).

libfuzzer_sys::fuzz_target!(|data: &[u8]| balancer::properties::chunked(data));
