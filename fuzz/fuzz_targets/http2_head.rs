#![no_main]
//! Request heads of HTTP/2. The check is the balancer's own (`proxy/properties.rs`).

libfuzzer_sys::fuzz_target!(|data: &[u8]| balancer::properties::http2_head(data));
