//! Every series of the cloud: in memory what grows, in the archive the rest.

use crate::archive::{Archive, Changes, Error};
use crate::block::Block;
use crate::series::{self, Missing, Series, TIERS};
use crate::{Bucket, MetricKey, Statistic};
use model::{Scope, Timestamp};
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;
use std::time::Duration;

/// How much a crash may lose.
const FLUSH: Duration = Duration::from_secs(2);

/// How fine samples are kept (`StorageResolution`): by the minute or by the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    Standard,
    High,
}

/// Metrics of a cloud. Dropping them writes what is left to the archive.
#[derive(Default)]
pub struct Metrics {
    inner: Arc<Inner>,
    /// `None` without an archive.
    flusher: Option<(mpsc::Sender<Order>, Option<JoinHandle<()>>)>,
}

enum Order {
    Retain(Timestamp),
    /// Write now, and say when it is done.
    Flush(mpsc::Sender<()>),
}

/// A metric's series by unit: mostly one.
type All = HashMap<Arc<MetricKey>, Vec<(Box<str>, Series)>>;

struct Inner {
    series: RwLock<All>,
    archive: Option<Archive>,
    minute_ms: AtomicI64,
    next_id: AtomicI64,
    /// Series that the archive is to forget.
    gone: Mutex<Vec<i64>>,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            series: RwLock::default(),
            archive: None,
            minute_ms: AtomicI64::new(60_000),
            next_id: AtomicI64::new(1),
            gone: Mutex::default(),
        }
    }
}

impl Metrics {
    /// Metrics that live on in `metrics.db` in `dir`.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let archive = Archive::open(&dir.join("metrics.db"))?;
        let inner = Arc::new(Inner::load(archive)?);
        let (orders, receiver) = mpsc::channel();
        let worker = Arc::clone(&inner);
        let thread = std::thread::Builder::new()
            .name("metrics".into())
            .spawn(move || worker.serve(&receiver))
            .ok();
        if thread.is_none() {
            tracing::error!(
                "failed to start the thread that writes metrics: they are kept in memory only"
            );
        }
        Ok(Self {
            inner,
            flusher: Some((orders, thread)),
        })
    }

    /// How long a minute of the cloud lasts: a fraction of one under `--speed`, which shrinks
    /// periods, and how long they are kept, alike.
    pub fn set_minute(&self, milliseconds: i64) {
        self.inner
            .minute_ms
            .store(milliseconds.max(1), Ordering::Relaxed);
    }

    /// Adds a sample: `value` seen `count` times. `unit` is CloudWatch's, `None` when not given.
    pub fn put(&self, key: MetricKey, unit: &str, at: Timestamp, value: f64, count: f64) {
        self.put_bucket(key, unit, at, Bucket::of(value, count));
    }

    /// Adds a statistic set or several values of one moment.
    pub fn put_bucket(&self, key: MetricKey, unit: &str, at: Timestamp, bucket: Bucket) {
        self.put_all([(key, unit, at, bucket)], Resolution::Standard);
    }

    /// Adds samples, all in one go.
    pub fn put_all<'a>(
        &self,
        points: impl IntoIterator<Item = (MetricKey, &'a str, Timestamp, Bucket)>,
        resolution: Resolution,
    ) {
        let inner = &self.inner;
        let minute = inner.minute();
        let tier = match resolution {
            Resolution::Standard => series::STANDARD,
            Resolution::High => series::HIGH,
        };
        let mut all = inner.write();
        for (key, unit, at, bucket) in points {
            let slot = TIERS[tier].slot(at.as_millisecond(), minute);
            let units = match all.get_mut(&key) {
                Some(units) => units,
                None => all.entry(Arc::new(key)).or_default(),
            };
            let at = units
                .iter()
                .position(|(u, _)| **u == *unit)
                .unwrap_or_else(|| {
                    let id = inner.next_id.fetch_add(1, Ordering::Relaxed);
                    units.push((unit.into(), Series::new(id)));
                    units.len() - 1
                });
            units[at].1.add(tier, slot, bucket, inner.archive.as_ref());
        }
    }

    /// One value for each period from `start` (inclusive) to `end` (exclusive) that has samples;
    /// the timestamp is the period's start. Periods are aligned to the epoch.
    ///
    /// Without a unit, samples of every unit are taken together.
    pub fn query(
        &self,
        key: &MetricKey,
        unit: Option<&str>,
        start: Timestamp,
        end: Timestamp,
        period_ms: i64,
        statistic: &Statistic,
    ) -> Vec<(Timestamp, f64)> {
        self.buckets(key, unit, start, end, period_ms)
            .into_iter()
            .filter_map(|(at, bucket)| Some((at, statistic.of(&bucket)?)))
            .collect()
    }

    /// As [`Metrics::query`], before a statistic is taken of them.
    pub fn buckets(
        &self,
        key: &MetricKey,
        unit: Option<&str>,
        start: Timestamp,
        end: Timestamp,
        period_ms: i64,
    ) -> Vec<(Timestamp, Bucket)> {
        self.buckets_from(key, unit, start, end, period_ms, Timestamp::UNIX_EPOCH)
    }

    /// As [`Metrics::buckets`], with periods that begin at `origin` and multiples of the period
    /// before and after.
    pub fn buckets_from(
        &self,
        key: &MetricKey,
        unit: Option<&str>,
        start: Timestamp,
        end: Timestamp,
        period_ms: i64,
        origin: Timestamp,
    ) -> Vec<(Timestamp, Bucket)> {
        let period = period_ms.max(1);
        let origin = origin.as_millisecond();
        let mut points = self.inner.points(key, unit, start, end, period);
        for (slot, _) in &mut points {
            *slot = (*slot - origin).div_euclid(period) * period + origin;
        }
        points.sort_by_key(|(at, _)| *at);
        let mut periods: Vec<(Timestamp, Bucket)> = Vec::with_capacity(points.len());
        for (at, bucket) in points {
            let Ok(at) = Timestamp::from_millisecond(at) else {
                continue;
            };
            match periods.last_mut() {
                Some((last, whole)) if *last == at => whole.merge(&bucket),
                _ => periods.push((at, bucket)),
            }
        }
        periods
    }

    /// Metrics of a scope that had a sample since `since` and that `wanted` takes, sorted.
    pub fn list(
        &self,
        scope: &Scope,
        since: Timestamp,
        wanted: impl Fn(&MetricKey) -> bool,
    ) -> Vec<Arc<MetricKey>> {
        let since = since.as_millisecond();
        let all = self.inner.read();
        let mut keys: Vec<Arc<MetricKey>> = all
            .iter()
            .filter(|(key, units)| {
                key.scope == *scope
                    && units
                        .iter()
                        .any(|(_, s)| s.newest().is_some_and(|t| t >= since))
                    && wanted(key)
            })
            .map(|(key, _)| Arc::clone(key))
            .collect();
        drop(all);
        keys.sort();
        keys
    }

    /// Units under which the metric has samples.
    pub fn units(&self, key: &MetricKey) -> Vec<String> {
        let all = self.inner.read();
        let mut units: Vec<String> = all
            .get(key)
            .into_iter()
            .flatten()
            .map(|(unit, _)| unit.to_string())
            .collect();
        units.sort();
        units
    }

    /// Folds old samples into coarser periods and drops what is past its time.
    pub fn retain(&self, now: Timestamp) {
        match &self.flusher {
            // A thread that ended has said why; memory must stay bounded all the same.
            Some((orders, Some(_))) if orders.send(Order::Retain(now)).is_ok() => {}
            _ => self.inner.age(now),
        }
    }

    /// Returns when everything put so far is in the archive.
    pub fn flush(&self) {
        let (done, wait) = mpsc::channel();
        if let Some((orders, Some(_))) = &self.flusher
            && orders.send(Order::Flush(done)).is_ok()
        {
            let _ended = wait.recv();
        }
    }

    /// Memory that the points take, without the names of their metrics.
    pub fn bytes(&self) -> usize {
        let all = self.inner.read();
        all.values()
            .flatten()
            .map(|(_, series)| series.bytes())
            .sum()
    }
}

impl Drop for Metrics {
    fn drop(&mut self) {
        if let Some((orders, thread)) = self.flusher.take() {
            drop(orders);
            if let Some(thread) = thread
                && thread.join().is_err()
            {
                tracing::error!("the thread that writes metrics ended by a panic");
            }
        }
    }
}

impl Inner {
    fn load(archive: Archive) -> Result<Self, Error> {
        let mut all = All::new();
        let mut next = 1;
        for (id, name) in archive.series()? {
            next = next.max(id + 1);
            let Ok((key, unit)) = serde_json::from_str::<(MetricKey, Box<str>)>(&name) else {
                tracing::error!(
                    id,
                    name,
                    "failed to read the name of a metric: it is left out"
                );
                continue;
            };
            let mut series = Series::new(id);
            series.registered = true;
            for tier in 0..TIERS.len() {
                let mut newest = archive.newest(id, tier, series::KEPT + 1);
                let more = newest.len() > series::KEPT;
                newest.truncate(series::KEPT);
                if let Some((oldest, _)) = newest.last() {
                    let archived = more.then_some(oldest - 1);
                    series.load(tier, newest, archived);
                }
            }
            all.entry(Arc::new(key)).or_default().push((unit, series));
        }
        Ok(Self {
            series: RwLock::new(all),
            archive: Some(archive),
            next_id: AtomicI64::new(next),
            ..Self::default()
        })
    }

    fn minute(&self) -> i64 {
        self.minute_ms.load(Ordering::Relaxed)
    }
    fn read(&self) -> RwLockReadGuard<'_, All> {
        self.series.read().unwrap_or_else(PoisonError::into_inner)
    }
    fn write(&self) -> RwLockWriteGuard<'_, All> {
        self.series.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Points of every tier that is fine enough, unordered.
    fn points(
        &self,
        key: &MetricKey,
        unit: Option<&str>,
        start: Timestamp,
        end: Timestamp,
        period_ms: i64,
    ) -> Vec<(i64, Bucket)> {
        let (start, end) = (start.as_millisecond(), end.as_millisecond());
        let minute = self.minute();
        let mut points = Vec::new();
        let mut missing: Vec<Missing> = Vec::new();
        let all = self.read();
        let series = all.get(key).into_iter().flatten();
        for (_, one) in series.filter(|(u, _)| unit.is_none_or(|wanted| *wanted == **u)) {
            for (tier, resolution) in TIERS.iter().enumerate() {
                // What was folded by age is there for periods as long as it, no shorter ones.
                if tier > series::STANDARD && resolution.length_ms(minute) > period_ms {
                    continue;
                }
                if let Some(part) = one.range(tier, start, end) {
                    points.extend(part.points);
                    missing.extend(part.archived);
                }
            }
        }
        // The archive is read when nobody waits for the lock. What moves there from memory
        // meanwhile was taken from memory; what moves to a coarser tier is missed once.
        drop(all);
        let Some(archive) = &self.archive else {
            return points;
        };
        for part in missing {
            for (from, bytes) in archive.range(part.series, part.tier, start, end) {
                if !part.not.contains(&from) {
                    Block::load(from, bytes).points_in(from, start..end, &mut points);
                }
            }
        }
        points
    }

    /// Ages every series, with the lock free in between.
    fn age(&self, now: Timestamp) {
        let (now, minute) = (now.as_millisecond(), self.minute());
        let keys: Vec<Arc<MetricKey>> = self.read().keys().cloned().collect();
        for key in keys {
            let mut all = self.write();
            let Some(units) = all.get_mut(&key) else {
                continue;
            };
            for (_, one) in units.iter_mut() {
                one.age(now, minute, self.archive.as_ref());
            }
            units.retain(|(_, one)| {
                if one.is_empty() && one.registered {
                    self.gone
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(one.id);
                }
                !one.is_empty()
            });
            if units.is_empty() {
                all.remove(&key);
            }
        }
    }

    /// Writes every two seconds, and at the end.
    fn serve(&self, orders: &mpsc::Receiver<Order>) {
        loop {
            match orders.recv_timeout(FLUSH) {
                Ok(Order::Retain(now)) => self.age(now),
                Ok(Order::Flush(done)) => {
                    self.flush();
                    let _nobody_waits = done.send(());
                }
                Err(RecvTimeoutError::Timeout) => self.flush(),
                Err(RecvTimeoutError::Disconnected) => return self.flush(),
            }
        }
    }

    fn flush(&self) {
        let Some(archive) = &self.archive else {
            return;
        };
        // Between looking and marking as written, nothing may change.
        let mut all = self.write();
        let mut changes = Changes::default();
        for (key, units) in all.iter() {
            for (unit, one) in units {
                if !one.registered
                    && let Ok(name) = serde_json::to_string(&(&**key, unit))
                {
                    changes.series.push((one.id, name));
                }
                one.changes(&mut changes.rows, &mut changes.gone);
            }
        }
        let gone = std::mem::take(&mut *self.gone.lock().unwrap_or_else(PoisonError::into_inner));
        changes.gone_series = gone;
        if changes.is_empty() {
            return;
        }
        match archive.write(&changes) {
            Ok(()) => {
                for (_, one) in all.values_mut().flatten() {
                    one.written();
                }
            }
            Err(error) => {
                tracing::error!(%error, "metrics stay in memory until they can be written");
                self.gone
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .extend(changes.gone_series);
            }
        }
    }
}

#[cfg(test)]
mod tests;
