//! A run of a series' points, as bytes.

use crate::Bucket;
use crate::codec::{self, State};
use std::ops::Range;

/// Points of a block: an hour or two of minutes. Few blocks are read for an alarm, many bytes
/// share what a block costs.
pub const LENGTH: usize = 128;

#[derive(Debug, Clone)]
pub struct Block {
    bytes: Vec<u8>,
    state: State,
    points: usize,
    /// Not yet in the archive as it is here.
    pub changed: bool,
}

impl Block {
    /// An empty block whose first point will be at `start`.
    pub fn new(start: i64) -> Self {
        Self {
            bytes: Vec::new(),
            state: State::at(start),
            points: 0,
            changed: true,
        }
    }

    /// A block of the archive.
    pub fn load(start: i64, bytes: Vec<u8>) -> Self {
        let mut state = State::at(start);
        let mut rest = bytes.as_slice();
        let mut points = 0;
        let mut good = 0;
        while codec::read(&mut rest, &mut state, |_| false).is_some() {
            points += 1;
            good = bytes.len() - rest.len();
        }
        let mut block = Self {
            bytes,
            state,
            points,
            changed: false,
        };
        // What follows a damaged point is lost; what comes must not be written after it.
        if good < block.bytes.len() {
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
        self.points += 1;
        self.changed = true;
        if self.points == LENGTH {
            self.bytes.shrink_to_fit();
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
        for _ in 0..self.points {
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
