#![no_main]
//! Patterns of rules against texts. The check is the balancer's own (`proxy/properties.rs`).

libfuzzer_sys::fuzz_target!(|data: &[u8]| balancer::properties::pattern(data));
