#![no_main]
//! Paths as rules compare them. The check is the balancer's own (`proxy/properties.rs`).

libfuzzer_sys::fuzz_target!(|data: &[u8]| balancer::properties::path(data));
