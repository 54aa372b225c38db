#![no_main]
//! Response heads of targets. The check is the balancer's own (`proxy/properties.rs`).

libfuzzer_sys::fuzz_target!(|data: &[u8]| balancer::properties::response(data));
