#![no_main]
//! PROXY headers, read as their receiver does. The check is the balancer's own (`proxy/properties.rs`).

libfuzzer_sys::fuzz_target!(|data: &[u8]| balancer::properties::proxy_header(data));
