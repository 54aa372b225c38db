#![no_main]
//! aws-chunked bodies: never longer than what came.

use libfuzzer_sys::fuzz_target;
use wire::{HttpRequest, chunked};

fuzz_target!(|data: &[u8]| {
    let request = HttpRequest {
        headers: vec![("content-encoding".to_owned(), "aws-chunked".to_owned())],
        body: data.to_vec(),
        ..HttpRequest::default()
    };
    if let Ok(decoded) = chunked::decode(&request) {
        assert!(decoded.body.len() < data.len());
    }
});
