#![no_main]
//! Query and EC2 Query bodies.

use fuzz::Shape;
use libfuzzer_sys::fuzz_target;
use wire::query::{Lists, decode};

fuzz_target!(|data: &[u8]| {
    let Ok(pairs) = wire::form::parse(data) else {
        return;
    };
    let _ = decode::<Shape>(&pairs, Lists::Member);
    let _ = decode::<Shape>(&pairs, Lists::Flat);
});
