#![no_main]
//! Request heads of HTTP/1.1. The check is the balancer's own (`proxy/properties.rs`).

libfuzzer_sys::fuzz_target!(|data: &[u8]| balancer::properties::head(data));
