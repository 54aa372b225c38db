//! The store with and without an archive: both must tell the same.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap()
}

fn key(name: &str) -> MetricKey {
    MetricKey::new(&Scope::new("000000000000", "us-east-1"), "App", name, &[])
}

/// A directory that goes with the test.
struct Dir(std::path::PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("nines-metrics-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }
    fn open(&self) -> Metrics {
        Metrics::open(&self.0).unwrap()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

fn counts(metrics: &Metrics, name: &str, from: i64, to: i64, period: i64) -> Vec<(i64, f64)> {
    let statistic = Statistic::SampleCount;
    metrics
        .query(&key(name), None, at(from), at(to), period, &statistic)
        .into_iter()
        .map(|(t, v)| (t.as_millisecond(), v))
        .collect()
}

#[test]
fn points_are_there_after_the_end() {
    let dir = Dir::new("end");
    let metrics = dir.open();
    for minute in 0..1000 {
        metrics.put(key("a"), "Count", at(minute * MINUTE), minute as f64, 1.0);
    }
    let before = metrics.buckets(&key("a"), None, at(0), at(DAY), 5 * MINUTE);
    assert_eq!(before.len(), 200);
    drop(metrics);
    let metrics = dir.open();
    assert_eq!(
        metrics.buckets(&key("a"), None, at(0), at(DAY), 5 * MINUTE),
        before
    );
    assert_eq!(metrics.units(&key("a")), ["Count"]);
    // What comes late finds its place, and what is new goes on.
    metrics.put(key("a"), "Count", at(3 * MINUTE), 1.0, 1.0);
    metrics.put(key("a"), "Count", at(999 * MINUTE), 1.0, 1.0);
    metrics.put(key("a"), "Count", at(1000 * MINUTE), 1.0, 1.0);
    let check = |metrics: &Metrics| {
        let all = counts(metrics, "a", 0, DAY, MINUTE);
        assert_eq!(all.len(), 1001);
        let twice: Vec<i64> = all
            .iter()
            .filter(|(_, n)| *n == 2.0)
            .map(|(t, _)| t / MINUTE)
            .collect();
        assert_eq!(twice, [3, 999]);
    };
    check(&metrics);
    metrics.flush();
    check(&metrics);
    drop(metrics);
    check(&dir.open());
}

#[test]
fn memory_holds_what_grows_and_no_more() {
    let dir = Dir::new("memory");
    let metrics = dir.open();
    for minute in 0..20_000 {
        metrics.put(
            key("a"),
            "Count",
            at(minute * MINUTE),
            (minute * 7919 % 10_007) as f64,
            1.0,
        );
        if minute % 1000 == 999 {
            metrics.flush();
        }
    }
    assert!(metrics.bytes() < 3000, "{}", metrics.bytes());
    assert_eq!(counts(&metrics, "a", 0, 15 * DAY, MINUTE).len(), 20_000);
}

#[test]
fn old_samples_fold_into_coarser_periods_and_go() {
    let dir = Dir::new("old");
    for metrics in [Metrics::default(), dir.open()] {
        let high = |second: i64| (key("high"), "None", at(second * 1000), Bucket::of(1.0, 1.0));
        metrics.put_all((0..3600).map(high), Resolution::High);
        for minute in 0..2000 {
            metrics.put(key("a"), "None", at(minute * MINUTE), 1.0, 1.0);
        }
        metrics.flush();
        let age = |now: i64| {
            metrics.retain(at(now));
            metrics.flush();
        };
        assert_eq!(counts(&metrics, "high", 0, DAY, 1000).len(), 3600);
        age(5 * 60 * MINUTE);
        let minutes: Vec<_> = (0..60).map(|n| (n * MINUTE, 60.0)).collect();
        assert_eq!(counts(&metrics, "high", 0, DAY, 1000), minutes);
        age(17 * DAY);
        // By five minutes now, so that shorter periods see nothing.
        assert_eq!(counts(&metrics, "a", 0, 2 * DAY, MINUTE), []);
        assert_eq!(counts(&metrics, "a", 0, 2 * DAY, 5 * MINUTE).len(), 400);
        age(100 * DAY);
        assert_eq!(counts(&metrics, "a", 0, 2 * DAY, 5 * MINUTE), []);
        assert_eq!(counts(&metrics, "a", 0, 2 * DAY, 60 * MINUTE)[0], (0, 60.0));
        age(600 * DAY);
        age(601 * DAY);
        assert_eq!(metrics.bytes(), 0);
        assert!(metrics.list(&key("a").scope, at(0), |_| true).is_empty());
    }
    assert_eq!(dir.open().bytes(), 0);
}

/// How long points are kept by their length: three hours, 15, 63 and 455 days.
#[test]
fn points_are_kept_as_long_as_cloudwatch_keeps_them() {
    const HOUR: i64 = 60 * MINUTE;
    let metrics = Metrics::default();
    let second = |n: i64| (key("a"), "None", at(n * 1000), Bucket::of(1.0, 1.0));
    metrics.put_all((0..3600).map(second), Resolution::High);
    let points = |period: i64| counts(&metrics, "a", 0, HOUR, period).len();
    // What is left just before a length is over, and what an hour and a bit after it: points go
    // with the hour or two that they are kept in.
    let check = |now: i64, expected: [usize; 4]| {
        metrics.retain(at(now));
        let found = [1000, MINUTE, 5 * MINUTE, HOUR].map(points);
        assert_eq!(found, expected, "{} h", now / HOUR);
    };
    check(3 * HOUR, [3600, 60, 12, 1]);
    check(5 * HOUR, [60, 60, 12, 1]);
    check(15 * DAY, [60, 60, 12, 1]);
    check(15 * DAY + 4 * HOUR, [0, 0, 12, 1]);
    check(63 * DAY, [0, 0, 12, 1]);
    check(63 * DAY + 12 * HOUR, [0, 0, 0, 1]);
    check(455 * DAY, [0, 0, 0, 1]);
    check(455 * DAY + 7 * DAY, [0, 0, 0, 0]);
}

#[test]
fn a_minute_is_as_long_as_the_cloud_says() {
    let metrics = Metrics::default();
    metrics.set_minute(3000);
    for second in 0..6 {
        metrics.put(key("a"), "None", at(second * 1000), 1.0, 1.0);
    }
    assert_eq!(counts(&metrics, "a", 0, DAY, 3000), [(0, 3.0), (3000, 3.0)]);
}

#[test]
fn damage_costs_points_not_the_start() {
    let dir = Dir::new("damage");
    let metrics = dir.open();
    for minute in 0..300 {
        metrics.put(key("a"), "None", at(minute * MINUTE), 1.5, 1.0);
    }
    drop(metrics);
    let db = rusqlite::Connection::open(dir.0.join("metrics.db")).unwrap();
    let short =
        "UPDATE block SET bytes = CAST(substr(bytes, 1, 40) || x'ff' AS BLOB) WHERE start = 0";
    assert_eq!(db.execute(short, []).unwrap(), 1);
    drop(db);
    let left = counts(&dir.open(), "a", 0, DAY, MINUTE).len();
    assert!((100..300).contains(&left), "{left}");
}

#[derive(Debug, Clone)]
enum Step {
    Put(i64, f64),
    Flush,
    Reopen,
    Age,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        20 => (0i64..400, 0u32..100).prop_map(|(minute, v)| Step::Put(minute, f64::from(v))),
        2 => Just(Step::Flush),
        1 => Just(Step::Reopen),
        1 => Just(Step::Age),
    ];
    prop::collection::vec(step, 1..400)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    /// Samples in any order, writes, restarts and ageing: nothing is lost and nothing counts twice.
    #[test]
    fn every_sample_counts_once(steps in steps()) {
        let dir = Dir::new("once");
        let mut metrics = dir.open();
        let mut truth: BTreeMap<i64, f64> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Put(minute, value) => {
                    metrics.put(key("a"), "None", at(minute * MINUTE), value, 1.0);
                    *truth.entry(minute * MINUTE).or_default() += value;
                }
                Step::Flush => metrics.flush(),
                Step::Reopen => {
                    drop(metrics);
                    metrics = dir.open();
                }
                // Nothing is old enough yet.
                Step::Age => metrics.retain(at(10 * DAY)),
            }
        }
        let found: Vec<(i64, f64)> = metrics
            .query(&key("a"), None, at(0), at(DAY), MINUTE, &Statistic::Sum)
            .into_iter()
            .map(|(t, v)| (t.as_millisecond(), v))
            .collect();
        prop_assert_eq!(found, truth.into_iter().collect::<Vec<_>>());
    }
}
