//! Numbers, times and quoted texts appended to bytes, for heads and log lines: `write!` and its
//! `Formatter` were a tenth of what a logged request cost.

use std::cell::RefCell;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use jiff::Timestamp;

/// The longest number there is has 20 digits.
const DIGITS: usize = 20;

pub fn push_number(out: &mut Vec<u8>, number: u64) {
    // Most are parts of addresses, ports, statuses, lengths.
    match number {
        0..10 => return out.push(b'0' + number as u8),
        10..100 => return push_padded::<2>(out, number as u32),
        100..1_000 => return push_padded::<3>(out, number as u32),
        1_000..10_000 => return push_padded::<4>(out, number as u32),
        10_000..100_000 => return push_padded::<5>(out, number as u32),
        _ => {}
    }
    let mut digits = [0; 2 * DIGITS];
    let mut at = DIGITS;
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    // As many bytes each time, too many mostly: that is two instructions instead of a call.
    let end = out.len() + DIGITS - at;
    out.extend_from_slice(&digits[at..at + DIGITS]);
    out.truncate(end);
}

/// With leading zeros, to that many digits.
fn push_padded<const DIGITS: usize>(out: &mut Vec<u8>, number: u32) {
    let mut digits = [b'0'; DIGITS];
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&digits);
}

pub fn push_ip(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let [first, rest @ ..] = address.octets();
            push_number(out, first.into());
            for octet in rest {
                out.push(b'.');
                push_number(out, octet.into());
            }
        }
        // Vectors take all that is written.
        IpAddr::V6(address) => _ = write!(out, "{address}"),
    }
}

pub fn push_address(out: &mut Vec<u8>, address: SocketAddr) {
    match address {
        SocketAddr::V4(address) => {
            push_ip(out, IpAddr::V4(*address.ip()));
            out.push(b':');
            push_number(out, address.port().into());
        }
        SocketAddr::V6(address) => _ = write!(out, "{address}"),
    }
}

/// In seconds, to the millisecond.
pub fn push_seconds(out: &mut Vec<u8>, duration: Duration) {
    // Not by way of all nanoseconds, whose 128 bits are divided by a function.
    let millis = (duration.subsec_nanos() + 500_000) / 1_000_000;
    push_number(out, duration.as_secs() + u64::from(millis / 1000));
    out.push(b'.');
    push_padded::<3>(out, millis % 1000);
}

/// `2026-01-02T03:04:05.678901Z`
pub fn push_time(out: &mut Vec<u8>, at: Timestamp) {
    push_time_with(out, at, at.subsec_microsecond().unsigned_abs());
}

/// `2026-01-02T03:04:05.678000Z`
pub fn push_time_to_millis(out: &mut Vec<u8>, at: Timestamp) {
    push_time_with(out, at, at.subsec_millisecond().unsigned_abs() * 1000);
}

fn push_time_with(out: &mut Vec<u8>, at: Timestamp, micros: u32) {
    thread_local! {
        /// The last second that was written, and how.
        static SECOND: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
    }
    SECOND.with_borrow_mut(|(second, text)| {
        if *second != at.as_second() {
            *second = at.as_second();
            *text = at.strftime("%Y-%m-%dT%H:%M:%S").to_string();
        }
        out.extend_from_slice(text.as_bytes());
    });
    out.push(b'.');
    push_padded::<6>(out, micros);
    out.push(b'Z');
}

/// Fills `out` with the low digits of `number`, two of them at a time.
pub fn write_hex(out: &mut [u8], number: u64) {
    const PAIRS: [[u8; 2]; 256] = {
        let digits = b"0123456789abcdef";
        let mut pairs = [[0; 2]; 256];
        let mut byte = 0;
        while byte < 256 {
            pairs[byte] = [digits[byte >> 4], digits[byte & 15]];
            byte += 1;
        }
        pairs
    };
    let bytes = number.to_le_bytes();
    for (pair, byte) in out.rchunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&PAIRS[usize::from(byte)]);
    }
}

/// A space and the text in quotes, `-` for an empty one. Quotes, backslashes and control characters
/// are escaped, so a client cannot forge a line.
pub fn push_quoted(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(b" \"");
    if text.is_empty() {
        out.push(b'-');
    }
    push_escaped(out, text);
    out.push(b'"');
}

pub fn push_escaped(out: &mut Vec<u8>, text: &[u8]) {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    // Looks at all of them, many at a time.
    if text
        .iter()
        .fold(true, |so_far, &byte| so_far & is_plain(byte))
    {
        return out.extend_from_slice(text);
    }
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', byte]),
            byte if is_plain(byte) => out.push(byte),
            byte => _ = write!(out, "\\x{byte:02x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_written() {
        let check = |push: &dyn Fn(&mut Vec<u8>), expected: &str| {
            let mut out = Vec::new();
            push(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        };
        for number in [
            0,
            9,
            10,
            99,
            100,
            255,
            1_000,
            9_999,
            65_535,
            100_000,
            u64::MAX,
        ] {
            check(&|out| push_number(out, number), &number.to_string());
        }
        for (millis, expected) in [(0, "0.000"), (1, "0.001"), (61_050, "61.050")] {
            check(
                &|out| push_seconds(out, Duration::from_millis(millis)),
                expected,
            );
        }
        for (micros, expected) in [(1_500, "0.002"), (999_500, "1.000"), (999_499, "0.999")] {
            check(
                &|out| push_seconds(out, Duration::from_micros(micros)),
                expected,
            );
        }
        for text in ["192.0.2.1:80", "[2001:db8::1]:443"] {
            check(&|out| push_address(out, text.parse().unwrap()), text);
        }
        for text in [
            "2026-01-02T03:04:05.678901Z",
            "2026-01-02T03:04:05.000001Z",
            "1999-12-31T23:59:59.000000Z",
        ] {
            check(&|out| push_time(out, text.parse().unwrap()), text);
        }
        let time = "2026-01-02T03:04:05.678901Z".parse().unwrap();
        check(
            &|out| push_time_to_millis(out, time),
            "2026-01-02T03:04:05.678000Z",
        );
        let mut digits = [0; 8];
        write_hex(&mut digits, 0x12_3456_789a);
        assert_eq!(&digits, b"3456789a");
        check(&|out| push_quoted(out, b""), " \"-\"");
        check(
            &|out| push_quoted(out, b"a \"b\"\\\n\xff"),
            " \"a \\\"b\\\"\\\\\\x0a\\xff\"",
        );
    }
}
