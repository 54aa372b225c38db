//! Points of one metric and unit over time, finer where they are younger.
//!
//! The newest points of a tier are open: samples still fall into them. Older ones lie in blocks of
//! bytes. With an archive, only the newest blocks and those that changed are in memory.

use crate::Bucket;
use crate::archive::{Archive, Row};
use crate::block::Block;
use std::collections::BTreeMap;

/// Points that stay open, since samples of neighbouring periods come mixed.
const OPEN: usize = 2;
/// Blocks that stay in memory: the one that grows and the one before, so that the last
/// [`crate::block::LENGTH`] points never need the archive.
pub const KEPT: usize = 2;

/// How long a point is and how long it is kept, both in minutes of the cloud; a minute is a fraction
/// of one under `--speed`. Source: `cloudwatch_concepts.html`, metrics retention.
pub struct Resolution {
    /// Sixtieths of a minute.
    length: i64,
    keep: i64,
}

const HOUR: i64 = 60;
const DAY: i64 = 24 * HOUR;
pub const TIERS: [Resolution; 4] = [
    Resolution {
        length: 1,
        keep: 3 * HOUR,
    },
    Resolution {
        length: 60,
        keep: 15 * DAY,
    },
    Resolution {
        length: 5 * 60,
        keep: 63 * DAY,
    },
    Resolution {
        length: 60 * 60,
        keep: 455 * DAY,
    },
];
/// The tiers that samples come into; those below are filled by age.
pub const HIGH: usize = 0;
pub const STANDARD: usize = 1;

impl Resolution {
    pub fn slot(&self, at: i64, minute_ms: i64) -> i64 {
        let length = self.length_ms(minute_ms);
        at.div_euclid(length) * length
    }
    pub fn length_ms(&self, minute_ms: i64) -> i64 {
        (minute_ms * self.length / 60).max(1)
    }
    pub fn keep_ms(&self, minute_ms: i64) -> i64 {
        minute_ms * self.keep
    }
}

#[derive(Debug, Default)]
pub struct Series {
    /// Number in the archive.
    pub id: i64,
    /// The archive knows this number.
    pub registered: bool,
    tiers: [Option<Box<Tier>>; TIERS.len()],
}

#[derive(Debug, Default)]
struct Tier {
    /// In order.
    open: Vec<(i64, Bucket)>,
    /// By their starts.
    blocks: BTreeMap<i64, Block>,
    /// Something is to be written to the archive.
    changed: bool,
    /// Where the newest row of the archive starts, when it also holds what is open here.
    tail_row: Option<i64>,
    /// Rows of the archive that are to go.
    gone: Vec<i64>,
    /// The newest point that is in the archive only.
    archived: Option<i64>,
}

/// What a reader takes from memory, and what the archive has to add.
pub struct Part {
    pub points: Vec<(i64, Bucket)>,
    pub archived: Option<Missing>,
}

pub struct Missing {
    pub series: i64,
    pub tier: usize,
    /// Starts of rows that memory has newer, or whose end is decided.
    pub not: Vec<i64>,
}

impl Series {
    pub fn new(id: i64) -> Self {
        Self {
            id,
            ..Self::default()
        }
    }

    pub fn add(&mut self, tier: usize, slot: i64, bucket: Bucket, archive: Option<&Archive>) {
        let id = self.id;
        let one = self.tiers[tier].get_or_insert_default();
        one.changed = true;
        one.add(slot, bucket, &|slot| archive?.block_at(id, tier, slot));
    }

    /// The points of a tier in a time.
    pub fn range(&self, tier: usize, start: i64, end: i64) -> Option<Part> {
        let one = self.tiers[tier].as_deref()?;
        let mut points: Vec<(i64, Bucket)> = Vec::new();
        let first = one
            .blocks
            .range(..=start)
            .next_back()
            .map_or(start, |(s, _)| *s);
        for (from, block) in one.blocks.range(first..end.max(first)) {
            if block.last() >= start {
                block.points_in(*from, start..end, &mut points);
            }
        }
        let open = one
            .open
            .iter()
            .filter(|(slot, _)| (start..end).contains(slot));
        points.extend(open.cloned());
        let archived = one.archived.filter(|last| *last >= start).map(|_| Missing {
            series: self.id,
            tier,
            not: one
                .blocks
                .keys()
                .chain(&one.gone)
                .chain(&one.tail_row)
                .copied()
                .collect(),
        });
        Some(Part { points, archived })
    }

    pub fn newest(&self) -> Option<i64> {
        self.tiers.iter().flatten().filter_map(|t| t.newest()).max()
    }

    /// Moves what is past its tier's time into the next one, and forgets what is past the last.
    pub fn age(&mut self, now: i64, minute_ms: i64, archive: Option<&Archive>) {
        for (tier, resolution) in TIERS.iter().enumerate() {
            let cutoff = now - resolution.keep_ms(minute_ms);
            let id = self.id;
            let Some(one) = self.tiers[tier].as_deref_mut() else {
                continue;
            };
            if let Some(archive) = archive.filter(|_| one.archived.is_some()) {
                for (start, bytes) in archive.blocks_before(id, tier, cutoff) {
                    if !one.gone.contains(&start) && one.tail_row != Some(start) {
                        one.blocks
                            .entry(start)
                            .or_insert_with(|| Block::load(start, bytes));
                    }
                }
            }
            let old = one.take_before(cutoff);
            if archive.is_none() {
                one.gone.clear();
            }
            if one.is_empty() && one.gone.is_empty() && one.tail_row.is_none() {
                self.tiers[tier] = None;
            }
            if let Some(next) = TIERS.get(tier + 1) {
                for (slot, bucket) in old {
                    self.add(tier + 1, next.slot(slot, minute_ms), bucket, archive);
                }
            }
        }
    }

    /// Nothing is left of it, here or in the archive.
    pub fn is_empty(&self) -> bool {
        self.tiers.iter().all(Option::is_none)
    }

    /// What the archive has to write and to delete.
    pub fn changes(&self, rows: &mut Vec<Row>, gone: &mut Vec<(i64, usize, i64)>) {
        for (tier, one) in self.tiers.iter().enumerate() {
            let Some(one) = one.as_deref().filter(|t| t.changed || !t.gone.is_empty()) else {
                continue;
            };
            gone.extend(one.gone.iter().map(|start| (self.id, tier, *start)));
            let tail = one.tail();
            // Open points were older than what opened first: their row starts elsewhere now.
            let moved = one.tail_row.filter(|row| {
                !one.blocks.contains_key(row) && tail.as_ref().is_none_or(|(start, _)| start != row)
            });
            gone.extend(moved.map(|start| (self.id, tier, start)));
            let rest = one.blocks.iter().filter(|(start, b)| {
                b.changed && tail.as_ref().is_none_or(|(tail, _)| tail != *start)
            });
            rows.extend(rest.map(|(start, block)| Row {
                series: self.id,
                tier,
                start: *start,
                bytes: block.bytes().to_vec(),
            }));
            if let Some((start, block)) = tail {
                rows.push(Row {
                    series: self.id,
                    tier,
                    start,
                    bytes: block.bytes().to_vec(),
                });
            }
        }
    }

    /// The archive has written them: what need not be in memory goes.
    pub fn written(&mut self) {
        self.registered = true;
        for one in self.tiers.iter_mut() {
            let Some(tier) = one.as_deref_mut() else {
                continue;
            };
            if tier.changed || !tier.gone.is_empty() {
                tier.written();
            }
            if tier.is_empty() {
                *one = None;
            }
        }
    }

    /// The newest blocks of a tier, as the archive has them; `more` of them are there only.
    pub fn load(&mut self, tier: usize, newest: Vec<(i64, Vec<u8>)>, archived: Option<i64>) {
        let one = self.tiers[tier].get_or_insert_default();
        one.archived = archived;
        for (start, bytes) in newest {
            one.blocks.insert(start, Block::load(start, bytes));
        }
    }

    pub fn bytes(&self) -> usize {
        let of = |t: &Tier| {
            size_of::<Tier>()
                + t.open.capacity() * size_of::<(i64, Bucket)>()
                + t.open
                    .iter()
                    .map(|(_, b)| b.values.capacity() * 16)
                    .sum::<usize>()
                + t.blocks
                    .values()
                    .map(|b| size_of::<(i64, Block)>() + b.bytes().len())
                    .sum::<usize>()
        };
        size_of::<Self>() + self.tiers.iter().flatten().map(|t| of(t)).sum::<usize>()
    }
}

impl Tier {
    fn newest(&self) -> Option<i64> {
        let open = self.open.last().map(|(slot, _)| *slot);
        open.or_else(|| self.blocks.last_key_value().map(|(_, b)| b.last()))
    }

    fn is_empty(&self) -> bool {
        self.open.is_empty() && self.blocks.is_empty() && self.archived.is_none()
    }

    fn add(&mut self, slot: i64, bucket: Bucket, archived: &dyn Fn(i64) -> Option<(i64, Vec<u8>)>) {
        let settled = self.blocks.last_key_value().map(|(_, b)| b.last());
        if settled.is_some_and(|last| slot <= last) {
            return self.add_late(slot, &bucket, archived);
        }
        match self.open.binary_search_by_key(&slot, |(s, _)| *s) {
            Ok(at) => self.open[at].1.merge(&bucket),
            Err(at) => self.open.insert(at, (slot, bucket)),
        }
        if self.open.len() > OPEN {
            let (slot, bucket) = self.open.remove(0);
            self.close(slot, &bucket);
        }
    }

    /// Appends a point behind all blocks.
    fn close(&mut self, slot: i64, bucket: &Bucket) {
        match self.blocks.last_entry() {
            Some(mut last) if !last.get().is_full() => last.get_mut().push(slot, bucket),
            last => {
                // The row of the last block may hold points that were open until now.
                if let Some(mut last) = last {
                    last.get_mut().changed = true;
                }
                let mut block = Block::new(slot);
                block.push(slot, bucket);
                self.blocks.insert(slot, block);
            }
        }
    }

    /// A point before the end of the blocks.
    fn add_late(
        &mut self,
        slot: i64,
        bucket: &Bucket,
        archived: &dyn Fn(i64) -> Option<(i64, Vec<u8>)>,
    ) {
        let here = self.blocks.range(..=slot).next_back().map(|(s, _)| *s);
        if self.archived.is_some()
            && let Some((start, bytes)) = archived(slot)
            && here.is_none_or(|here| start > here)
            && !self.gone.contains(&start)
            && self.tail_row != Some(start)
        {
            self.blocks.insert(start, Block::load(start, bytes));
        }
        if let Some((start, block)) = self.blocks.range_mut(..=slot).next_back() {
            if slot <= block.last() {
                return block.insert(*start, slot, bucket);
            }
            if !block.is_full() {
                return block.push(slot, bucket);
            }
        }
        let mut block = Block::new(slot);
        block.push(slot, bucket);
        self.gone.retain(|start| *start != slot);
        self.blocks.insert(slot, block);
    }

    /// Takes out the blocks that end before `cutoff`, and what is open before it.
    fn take_before(&mut self, cutoff: i64) -> Vec<(i64, Bucket)> {
        let old: Vec<i64> = self
            .blocks
            .iter()
            .filter(|(_, b)| b.last() < cutoff)
            .map(|(start, _)| *start)
            .collect();
        let mut points = Vec::new();
        for start in old {
            if let Some(block) = self.blocks.remove(&start) {
                points.extend(block.points(start));
                self.gone.push(start);
                self.changed = true;
            }
        }
        let still = self.open.iter().position(|(slot, _)| *slot >= cutoff);
        let done = still.unwrap_or(self.open.len());
        if done > 0 {
            points.extend(self.open.drain(..done));
            self.changed = true;
        }
        if self.archived.is_some_and(|last| last < cutoff) {
            self.archived = None;
        }
        points
    }

    /// The last block with the open points behind it, as the archive keeps them.
    fn tail(&self) -> Option<(i64, Block)> {
        let (start, mut block) = match self.blocks.last_key_value() {
            Some((start, block)) => (*start, block.clone()),
            None => {
                let (slot, _) = self.open.first()?;
                (*slot, Block::new(*slot))
            }
        };
        for (slot, bucket) in &self.open {
            block.push(*slot, bucket);
        }
        Some((start, block))
    }

    fn written(&mut self) {
        self.gone.clear();
        self.changed = false;
        // A tail of open points alone has a row that no block here accounts for.
        let only_open = self.blocks.is_empty().then(|| self.open.first()).flatten();
        self.tail_row = only_open.map(|(slot, _)| *slot);
        for block in self.blocks.values_mut() {
            block.changed = false;
        }
        while self.blocks.len() > KEPT
            && let Some((_, block)) = self.blocks.pop_first()
        {
            self.archived = self.archived.max(Some(block.last()));
        }
    }
}
