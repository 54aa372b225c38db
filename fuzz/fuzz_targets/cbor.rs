#![no_main]
//! CBOR bodies: what was read is written and read again as the same.

use fuzz::Shape;
use libfuzzer_sys::fuzz_target;
use wire::cbor::{decode, encode};

fuzz_target!(|data: &[u8]| {
    if let Ok((shape, _)) = decode::<Shape>(data) {
        let written = encode(&shape).expect("what was read can be written");
        decode::<Shape>(&written).expect("what was written can be read");
    }
});
