//! Points of a series as bytes: about one byte where nothing changes, three or four for a
//! measured value.
//!
//! A point is a header byte, the change of its distance to the point before, and its samples. Most
//! values are decimals of few digits, which are written as the difference of integers; what is none
//! takes its eight bytes. (Gorilla's XOR of neighbours was rejected: measured values differ in all
//! low bits, so it costs seven bytes where this costs three.)

use crate::bucket::{Bucket, bin, middle};

/// What a point holds, the header's lowest bits.
const ONE: u8 = 0;
const EXACT: u8 = 1;
const BINS: u8 = 2;
const OPAQUE: u8 = 3;
const KIND: u8 = 3;
/// As far from the point before as that one was.
const EVEN: u8 = 1 << 2;
/// Where a number's code lies: digits after the point, or one of the two below.
const CODE: u8 = 3;
const SAME: u8 = 6;
const RAW: u8 = 7;
/// In the place of the sum's code: sum, minimum and maximum are those of the values.
const DERIVED: u8 = 8;
/// How often each value was seen: once; else in whole numbers; else in eight bytes.
const ONCE: u8 = 1 << 6;
const WHOLE: u8 = 1 << 7;

const POWERS: [f64; 6] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5];
/// Whole numbers up to here are exact as floating point.
const EXACT_INTEGER: f64 = 9e15;

/// What is needed to go on writing or reading.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct State {
    pub slot: i64,
    step: i64,
    value: f64,
}

impl State {
    /// Before the first point of a block that starts at `slot`.
    pub fn at(slot: i64) -> Self {
        Self {
            slot,
            ..Self::default()
        }
    }
}

/// Appends a point, which is newer than the last.
pub fn write(out: &mut Vec<u8>, state: &mut State, slot: i64, bucket: &Bucket) {
    let at = out.len();
    out.push(0);
    let mut header = 0;
    let step = slot.wrapping_sub(state.slot);
    if step == state.step {
        header |= EVEN;
    } else {
        integer(out, step.wrapping_sub(state.step));
    }
    state.slot = slot;
    state.step = step;
    match bucket.values.as_slice() {
        [(value, count)]
            if *count == 1.0 && bucket.count == 1.0 && bucket.sum == *value && !bucket.coarse =>
        {
            header |= ONE | number(out, state.value, *value) << CODE;
            state.value = *value;
        }
        _ if bucket.opaque => {
            header |= OPAQUE;
            for x in [bucket.count, bucket.sum, bucket.minimum, bucket.maximum] {
                out.extend(x.to_le_bytes());
            }
        }
        values => {
            unsigned(out, values.len() as u64);
            let three = [bucket.sum, bucket.minimum, bucket.maximum];
            if !bucket.coarse && derived(values).map(f64::to_bits) == three.map(f64::to_bits) {
                out.push(DERIVED);
            } else {
                for x in three {
                    let code = number_code(0.0, x);
                    out.push(code);
                    scaled(out, code, 0.0, x);
                }
            }
            if bucket.coarse {
                header |= BINS;
                let mut last = 0;
                for (value, _) in values {
                    let bin = bin(*value);
                    integer(out, bin - last);
                    last = bin;
                }
            } else {
                // One code that suits all values.
                let code = POWERS
                    .iter()
                    .position(|power| values.iter().all(|(v, _)| fits(*v, power)))
                    .map_or(RAW, |digits| digits as u8);
                header |= EXACT | code << CODE;
                let mut last = 0.0;
                for (value, _) in values {
                    scaled(out, code, last, *value);
                    last = *value;
                }
            }
            if values.iter().all(|(_, n)| *n == 1.0) {
                header |= ONCE;
            } else if values
                .iter()
                .all(|(_, n)| n.fract() == 0.0 && (0.0..EXACT_INTEGER).contains(n))
            {
                header |= WHOLE;
                for (_, n) in values {
                    unsigned(out, *n as u64);
                }
            } else {
                for (_, n) in values {
                    out.extend(n.to_le_bytes());
                }
            }
        }
    }
    out[at] = header;
}

/// Goes to the next point and gives its samples, if it is `wanted`: what an alarm looks at lies
/// behind a hundred points that it does not. `None` at the end, and where the bytes are none of ours.
pub fn read(
    input: &mut &[u8],
    state: &mut State,
    wanted: impl Fn(i64) -> bool,
) -> Option<Option<Bucket>> {
    let header = byte(input)?;
    if header & EVEN == 0 {
        state.step = state.step.wrapping_add(read_integer(input)?);
    }
    state.slot = state.slot.wrapping_add(state.step);
    let wanted = wanted(state.slot);
    let code = header >> CODE & 7;
    let bucket = match header & KIND {
        ONE => {
            state.value = read_scaled(input, code, state.value)?;
            if !wanted {
                return Some(None);
            }
            Bucket::of(state.value, 1.0)
        }
        OPAQUE => Bucket {
            count: float(input)?,
            sum: float(input)?,
            minimum: float(input)?,
            maximum: float(input)?,
            opaque: true,
            ..Bucket::default()
        },
        kind => {
            let length = usize::try_from(read_unsigned(input)?).ok()?;
            // Each value takes a byte at least.
            if length > input.len() {
                return None;
            }
            let mut three = [0.0; 3];
            let is_derived = input.first() == Some(&DERIVED);
            if is_derived {
                byte(input)?;
            } else {
                for x in &mut three {
                    let code = byte(input)?;
                    *x = read_scaled(input, code, 0.0)?;
                }
            }
            let mut values = Vec::with_capacity(length);
            let (mut last, mut last_bin) = (0.0, 0i64);
            for _ in 0..length {
                last = if kind == BINS {
                    last_bin = last_bin.wrapping_add(read_integer(input)?);
                    middle(last_bin)
                } else {
                    read_scaled(input, code, last)?
                };
                values.push((last, 1.0));
            }
            if header & ONCE == 0 {
                for (_, n) in &mut values {
                    *n = if header & WHOLE != 0 {
                        read_unsigned(input)? as f64
                    } else {
                        float(input)?
                    };
                }
            }
            if is_derived {
                three = derived(&values);
            }
            Bucket {
                count: values.iter().map(|(_, n)| n).sum(),
                sum: three[0],
                minimum: three[1],
                maximum: three[2],
                values,
                opaque: false,
                coarse: kind == BINS,
            }
        }
    };
    Some(wanted.then_some(bucket))
}

/// Sum, minimum and maximum of values that rise, as far as those tell. A sum of fractions may
/// differ in its last bit from the one that was added up as samples came, and is then written.
fn derived(values: &[(f64, f64)]) -> [f64; 3] {
    let sum = values.iter().map(|(v, n)| v * n).sum();
    let end = |pair: Option<&(f64, f64)>| pair.map_or(0.0, |(v, _)| *v);
    [sum, end(values.first()), end(values.last())]
}

/// Writes a value after `last` and gives the code it is written in.
fn number(out: &mut Vec<u8>, last: f64, value: f64) -> u8 {
    let code = number_code(last, value);
    scaled(out, code, last, value);
    code
}

fn number_code(last: f64, value: f64) -> u8 {
    if value.to_bits() == last.to_bits() {
        return SAME;
    }
    POWERS
        .iter()
        .position(|power| fits(value, power))
        .map_or(RAW, |digits| digits as u8)
}

/// Whether the value comes back bit by bit from its integer.
fn fits(value: f64, power: &f64) -> bool {
    let scaled = (value * power).round();
    scaled.abs() < EXACT_INTEGER && (scaled as i64 as f64 / power).to_bits() == value.to_bits()
}

fn scaled(out: &mut Vec<u8>, code: u8, last: f64, value: f64) {
    match POWERS.get(usize::from(code)) {
        Some(power) => integer(
            out,
            as_integer(value, power).wrapping_sub(as_integer(last, power)),
        ),
        None if code == SAME => {}
        None => out.extend(value.to_le_bytes()),
    }
}

fn read_scaled(input: &mut &[u8], code: u8, last: f64) -> Option<f64> {
    match POWERS.get(usize::from(code)) {
        Some(power) => {
            let scaled = as_integer(last, power).wrapping_add(read_integer(input)?);
            Some(scaled as f64 / power)
        }
        None if code == SAME => Some(last),
        None => float(input),
    }
}

fn as_integer(value: f64, power: &f64) -> i64 {
    (value * power).round() as i64
}

/// Signed numbers with the sign in the lowest bit, so that small ones are short either way.
fn integer(out: &mut Vec<u8>, value: i64) {
    unsigned(out, ((value << 1) ^ (value >> 63)) as u64);
}

fn read_integer(input: &mut &[u8]) -> Option<i64> {
    let value = read_unsigned(input)?;
    Some((value >> 1) as i64 ^ -((value & 1) as i64))
}

/// Seven bits a byte, the lowest first.
fn unsigned(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn read_unsigned(input: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = byte(input)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn byte(input: &mut &[u8]) -> Option<u8> {
    let (first, rest) = input.split_first()?;
    *input = rest;
    Some(*first)
}

fn float(input: &mut &[u8]) -> Option<f64> {
    let (first, rest) = input.split_first_chunk::<8>()?;
    *input = rest;
    Some(f64::from_le_bytes(*first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(points: &[(i64, Bucket)]) -> usize {
        let Some((first, _)) = points.first() else {
            return 0;
        };
        let (mut out, mut state) = (Vec::new(), State::at(*first));
        for (slot, bucket) in points {
            write(&mut out, &mut state, *slot, bucket);
        }
        let (mut input, mut reading) = (out.as_slice(), State::at(*first));
        for (slot, bucket) in points {
            let read = read(&mut input, &mut reading, |_| true);
            assert_eq!((reading.slot, read), (*slot, Some(Some(bucket.clone()))));
        }
        assert_eq!(read(&mut input, &mut reading, |_| true), None);
        assert_eq!(state, reading);
        // The same where only every other point is wanted.
        let (mut input, mut reading) = (out.as_slice(), State::at(*first));
        for (n, (slot, bucket)) in points.iter().enumerate() {
            let wanted = n % 2 == 0;
            let read = read(&mut input, &mut reading, |at| at == *slot && wanted);
            assert_eq!(read, Some(wanted.then(|| bucket.clone())));
        }
        assert_eq!(state, reading);
        out.len()
    }

    fn minutes(values: impl IntoIterator<Item = f64>) -> Vec<(i64, Bucket)> {
        (1..)
            .map(|n| n * 60_000)
            .zip(values.into_iter().map(|v| Bucket::of(v, 1.0)))
            .collect()
    }

    #[test]
    fn sizes() {
        assert!(round_trip(&minutes([0.0; 100])) < 110);
        // A byte count and a percentage, each with noise.
        let noise = |n: u32| n.wrapping_mul(2_654_435_761) >> 16;
        let bytes = minutes((0..100).map(|n| f64::from(20_000 + noise(n) % 9000)));
        assert!(round_trip(&bytes) <= 310);
        let percent = minutes((0..100).map(|n| f64::from(120_000 + noise(n)) / 10_000.0));
        assert!(round_trip(&percent) <= 410);
        // Ten of them added up: nothing is written that the values tell.
        let ten = |minute: u32| {
            let mut sum = Bucket::default();
            for n in 0..10 {
                sum.merge(&Bucket::of(f64::from(noise(minute * 10 + n) % 900), 1.0));
            }
            (i64::from(minute) * 60_000, sum)
        };
        assert!(round_trip(&(1..=100).map(ten).collect::<Vec<_>>()) <= 1850);
    }

    fn buckets() -> impl Strategy<Value = Bucket> {
        let value = prop_oneof![
            any::<f64>().prop_filter("a number", |v| v.is_finite() && v.abs() < 1e100),
            (-1_000_000i32..1_000_000).prop_map(f64::from),
            (0i32..1_000_000).prop_map(|v| f64::from(v) / 1000.0),
        ];
        // Quarters, so that the order in which they are added up does not matter.
        let count = prop_oneof![
            Just(1.0),
            (1u32..90).prop_map(f64::from),
            (1u32..20).prop_map(|n| f64::from(n) / 4.0)
        ];
        prop_oneof![
            value.clone().prop_map(|v| Bucket::of(v, 1.0)),
            (2.0..9.0f64, value.clone(), value.clone())
                .prop_map(|(n, a, b)| Bucket::statistic_set(n, a + b, a.min(b), a.max(b))),
            prop::collection::vec((value, count), 1..200).prop_map(|values| {
                let mut whole = Bucket::default();
                for (value, count) in values {
                    whole.merge(&Bucket::of(value, count));
                }
                whole
            }),
        ]
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read(points in prop::collection::vec((1i64..10_000_000, buckets()), 1..40)) {
            let mut slot = 0;
            let points: Vec<_> = points.into_iter().map(|(step, bucket)| {
                slot += step;
                (slot, bucket)
            }).collect();
            round_trip(&points);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let (mut input, mut state) = (bytes.as_slice(), State::at(0));
            while read(&mut input, &mut state, |slot| slot % 2 == 0).is_some() {}
        }
    }
}
