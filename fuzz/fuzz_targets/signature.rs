#![no_main]
//! Signatures: whatever is made up is refused.

use libfuzzer_sys::fuzz_target;
use wire::auth::Signed;
use wire::signature::verify;

fuzz_target!(|data: &[u8]| {
    let request = fuzz::request(data);
    if let Ok(signed) = Signed::parse(&request) {
        let now = jiff::Timestamp::UNIX_EPOCH;
        assert!(verify(&request, &signed, "secret", now).is_err());
    }
});
