//! A run of a series' points, as bytes.

use crate::Bucket;
use crate::codec::{self, State};
use std::ops::Range;

/// Points of a block: an hour or two of minutes. Few blocks are read for an alarm, many bytes
/// share what a block costs.
pub const LENGTH: usize = 128;

/// Points from one place where a reader may begin to the next.
const STRIDE: usize = 32;

#[derive(Debug, Clone)]
pub struct Block {
    bytes: Vec<u8>,
    state: State,
    points: usize,
    /// The last place to begin at: alarms look at the newest points only.
    mark: Mark,
    /// Not yet in the archive as it is here.
    pub changed: bool,
}

/// Between two points.
#[derive(Debug, Clone, Copy)]
struct Mark {
    /// In `bytes`.
    at: u32,
    /// Points before it.
    points: u32,
    /// Before what follows.
    state: State,
}

impl Block {
    /// An empty block whose first point will be at `start`.
    pub fn new(start: i64) -> Self {
        let state = State::at(start);
        Self {
            bytes: Vec::new(),
            state,
            points: 0,
            mark: Mark {
                at: 0,
                points: 0,
                state,
            },
            changed: true,
        }
    }

    /// A block of the archive.
    pub fn load(start: i64, bytes: Vec<u8>) -> Self {
        let mut block = Self::new(start);
        block.changed = false;
        let mut rest = bytes.as_slice();
        let mut good = 0;
        while codec::read(&mut rest, &mut block.state, |_| false).is_some() {
            good = bytes.len() - rest.len();
            block.count(good);
        }
        let whole = good == bytes.len();
        block.bytes = bytes;
        // What follows a damaged point is lost; what comes must not be written after it.
        if !whole {
            let kept = block.points(start);
            block = Self::of(start, &kept);
        }
        block
    }

    /// `points`: in order, the first at `start` or later.
    pub fn of(start: i64, points: &[(i64, Bucket)]) -> Self {
        let mut block = Self::new(start);
        for (slot, bucket) in points {
            block.push(*slot, bucket);
        }
        block
    }

    pub fn push(&mut self, slot: i64, bucket: &Bucket) {
        codec::write(&mut self.bytes, &mut self.state, slot, bucket);
        self.count(self.bytes.len());
        self.changed = true;
        if self.points == LENGTH {
            self.bytes.shrink_to_fit();
        }
    }

    /// One more point, which ends there in `bytes`.
    fn count(&mut self, end: usize) {
        self.points += 1;
        if self.points.is_multiple_of(STRIDE) {
            self.mark = Mark {
                at: end as u32,
                points: self.points as u32,
                state: self.state,
            };
        }
    }

    pub fn points(&self, start: i64) -> Vec<(i64, Bucket)> {
        let mut points = Vec::with_capacity(self.points);
        self.points_in(start, i64::MIN..i64::MAX, &mut points);
        points
    }

    /// Appends those points that lie within a time.
    pub fn points_in(&self, start: i64, within: Range<i64>, points: &mut Vec<(i64, Bucket)>) {
        let mut state = State::at(start);
        let mut rest = self.bytes.as_slice();
        let mut left = self.points;
        if self.mark.state.slot < within.start {
            state = self.mark.state;
            rest = &rest[self.mark.at as usize..];
            left -= self.mark.points as usize;
        }
        for _ in 0..left {
            let point = codec::read(&mut rest, &mut state, |slot| within.contains(&slot));
            match point {
                Some(Some(bucket)) => points.push((state.slot, bucket)),
                Some(None) if state.slot < within.start => {}
                // The end, or behind what is asked for.
                _ => return,
            }
        }
    }

    /// Adds to a point in the middle, or inserts one.
    pub fn insert(&mut self, start: i64, slot: i64, bucket: &Bucket) {
        let mut points = self.points(start);
        match points.binary_search_by_key(&slot, |(s, _)| *s) {
            Ok(at) => points[at].1.merge(bucket),
            Err(at) => points.insert(at, (slot, bucket.clone())),
        }
        *self = Self::of(start, &points);
    }

    pub fn last(&self) -> i64 {
        self.state.slot
    }
    pub fn is_full(&self) -> bool {
        self.points >= LENGTH
    }
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wherever a reader begins, it sees what one sees that reads everything.
    #[test]
    fn parts_are_parts_of_the_whole() {
        let slot = |n: usize| (n * 60 + n * n % 7) as i64;
        let bucket = |n: usize| Bucket::of((n * 37 % 101) as f64 / 10.0, (1 + n % 3) as f64);
        for length in 0..=LENGTH {
            let all: Vec<_> = (0..length).map(|n| (slot(n), bucket(n))).collect();
            let made = Block::of(0, &all);
            let loaded = Block::load(0, made.bytes().to_vec());
            for block in [&made, &loaded] {
                assert_eq!(block.points(0), all);
                for from in (0..=length).map(slot) {
                    for within in [from..i64::MAX, from + 1..from + 300] {
                        let mut found = Vec::new();
                        block.points_in(0, within.clone(), &mut found);
                        let expected: Vec<_> = all
                            .iter()
                            .filter(|(at, _)| within.contains(at))
                            .cloned()
                            .collect();
                        assert_eq!(found, expected, "{within:?} of {length}");
                    }
                }
            }
        }
    }
}
