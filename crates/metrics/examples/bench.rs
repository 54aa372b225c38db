//! Measures the metric store: ingestion, alarms, and what 500 instances take for 15 days.
//!
//!     cargo run --release -p metrics --example bench [DIRECTORY [DAYS]]
//!
//! Prints one JSON object; `benches/metrics/run.py` runs it several times.

use metrics::alarm::{Rule, evaluate, look};
use metrics::{Bucket, MetricKey, Metrics, Resolution};
use model::cloudwatch::{AlarmState, MetricAlarm, MetricDataQuery, MetricStat};
use model::{Scope, Timestamp};
use std::path::Path;
use std::time::Instant;

const MINUTE: i64 = 60_000;
const START: i64 = 1_700_000_000_000 / MINUTE * MINUTE;
const ALARMS: usize = 10_000;
const INSTANCES: usize = 500;

/// What an instance with detailed monitoring has: name, unit, and how its values move.
const MEASURED: [(&str, &str, Moves); 12] = [
    ("CPUUtilization", "Percent", Moves::Percent),
    ("NetworkIn", "Bytes", Moves::Bytes),
    ("NetworkOut", "Bytes", Moves::Bytes),
    ("NetworkPacketsIn", "Count", Moves::Count),
    ("NetworkPacketsOut", "Count", Moves::Count),
    ("EBSReadBytes", "Bytes", Moves::Rarely),
    ("EBSReadOps", "Count", Moves::Rarely),
    ("EBSWriteBytes", "Bytes", Moves::Bytes),
    ("EBSWriteOps", "Count", Moves::Count),
    ("StatusCheckFailed", "Count", Moves::Never),
    ("StatusCheckFailed_Instance", "Count", Moves::Never),
    ("StatusCheckFailed_System", "Count", Moves::Never),
];
/// The first so many of them are also added up by group, type, image and over all.
const ADDED_UP: usize = 9;

#[derive(Clone, Copy)]
enum Moves {
    Percent,
    Bytes,
    Count,
    Rarely,
    Never,
}

/// Noise without patterns that a code could use (xorshift).
struct Noise(u64);

impl Noise {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
    fn value(&mut self, moves: Moves) -> f64 {
        match moves {
            Moves::Percent => self.next(400_000) as f64 / 10_000.0,
            Moves::Bytes => (200_000 + self.next(800_000)) as f64,
            Moves::Count => (300 + self.next(900)) as f64,
            Moves::Rarely if self.next(50) == 0 => (4096 * self.next(100)) as f64,
            Moves::Rarely | Moves::Never => 0.0,
        }
    }
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or_default()
}

fn scope() -> Scope {
    Scope::new("000000000000", "us-east-1")
}

fn key(name: &str, dimension: &str, value: &str) -> MetricKey {
    MetricKey::new(&scope(), "AWS/EC2", name, &[(dimension, value)])
}

fn main() {
    let dir = std::env::args().nth(1).unwrap_or_else(|| {
        let name = format!("nines-bench-metrics-{}", std::process::id());
        std::env::temp_dir().join(name).display().to_string()
    });
    let dir = Path::new(&dir);
    for part in ["ingest", "history"] {
        std::fs::create_dir_all(dir.join(part)).expect("a directory to write in");
    }
    let rate = ingest(&dir.join("ingest"));
    let alarms = alarms();
    let days = std::env::args()
        .nth(2)
        .and_then(|d| d.parse().ok())
        .unwrap_or(15);
    let history = history(&dir.join("history"), days);
    println!("{{\"points_per_second\": {rate:.0}, {alarms}, {history}}}");
    std::fs::remove_dir_all(dir).expect("the directory to go");
}

/// Points a second into 10,000 series, with the archive written beside.
fn ingest(dir: &Path) -> f64 {
    const SERIES: usize = 10_000;
    const ROUNDS: i64 = 300;
    let metrics = Metrics::open(dir).expect("a metrics database");
    let keys: Vec<MetricKey> = (0..SERIES)
        .map(|n| key("Load", "Host", &format!("host-{n}")))
        .collect();
    let mut noise = Noise(1);
    let begin = Instant::now();
    for round in 0..ROUNDS {
        let point = |key: &MetricKey| {
            let value = noise.value(Moves::Percent);
            (
                key.clone(),
                "Percent",
                at(START + round * MINUTE),
                Bucket::of(value, 1.0),
            )
        };
        metrics.put_all(keys.iter().map(point), Resolution::Standard);
    }
    metrics.flush();
    (SERIES as i64 * ROUNDS) as f64 / begin.elapsed().as_secs_f64()
}

fn alarm(n: usize) -> MetricAlarm {
    MetricAlarm {
        arn: String::new(),
        scope: scope(),
        name: format!("alarm-{n}"),
        description: None,
        actions_enabled: true,
        ok_actions: Vec::new(),
        alarm_actions: Vec::new(),
        insufficient_data_actions: Vec::new(),
        namespace: "AWS/EC2".into(),
        metric_name: "CPUUtilization".into(),
        dimensions: vec![("InstanceId".into(), format!("i-{n}"))],
        statistic: Some("Average".into()),
        extended_statistic: None,
        unit: None,
        period: 60,
        evaluation_periods: 3,
        datapoints_to_alarm: None,
        threshold: 30.0,
        comparison_operator: "GreaterThanThreshold".into(),
        treat_missing_data: None,
        evaluate_low_sample_count_percentile: None,
        updated: at(START),
        state: AlarmState::Ok,
        state_reason: String::new(),
        state_reason_data: String::new(),
        state_updated: at(START),
        state_transitioned: at(START),
        state_before: AlarmState::InsufficientData,
        metrics: Vec::new(),
        actions_due: false,
        tags: Default::default(),
    }
}

fn math(n: usize) -> MetricAlarm {
    let query = |id: &str, expression: Option<&str>| MetricDataQuery {
        id: id.into(),
        metric: expression.is_none().then(|| MetricStat {
            namespace: "AWS/EC2".into(),
            name: "CPUUtilization".into(),
            dimensions: vec![("InstanceId".into(), format!("i-{n}"))],
            period: 60,
            stat: "Average".into(),
            unit: None,
        }),
        return_data: expression.is_some(),
        expression: expression.map(str::to_owned),
        label: None,
        period: None,
    };
    MetricAlarm {
        metrics: vec![
            query("a", None),
            query("b", None),
            query("e", Some("(a + b) / 2 + FILL(a, 0)")),
        ],
        ..alarm(n)
    }
}

/// Milliseconds to judge 10,000 alarms, each on a metric of its own.
fn alarms() -> String {
    let metrics = Metrics::default();
    let mut noise = Noise(2);
    let end = START + 200 * MINUTE;
    for n in 0..ALARMS {
        let key = key("CPUUtilization", "InstanceId", &format!("i-{n}"));
        let point = |minute: i64| {
            let value = noise.value(Moves::Percent);
            (
                key.clone(),
                "Percent",
                at(START + minute * MINUTE),
                Bucket::of(value, 1.0),
            )
        };
        metrics.put_all((0..200).map(point), Resolution::Standard);
    }
    let judged = |alarms: Vec<MetricAlarm>| {
        let begin = Instant::now();
        let mut breaching = 0;
        for alarm in &alarms {
            let rule = Rule::of(alarm).expect("an operator");
            let points = look(&metrics, alarm, rule.range(), at(end), MINUTE).expect("points");
            let values: Vec<Option<f64>> = points.values.iter().map(|p| p.value).collect();
            breaching += usize::from(evaluate(&rule, &values).state == Some(AlarmState::Alarm));
        }
        let took = begin.elapsed().as_secs_f64() * 1000.0;
        assert!(breaching > 0, "none breaches");
        took
    };
    let plain = judged((0..ALARMS).map(alarm).collect());
    let expressions = judged((0..ALARMS).map(math).collect());
    format!("\"alarms_ms\": {plain:.1}, \"expression_alarms_ms\": {expressions:.1}")
}

/// Memory and disk of 500 instances with detailed monitoring after 15 days, and what reading costs.
fn history(dir: &Path, days: i64) -> String {
    let metrics = Metrics::open(dir).expect("a metrics database");
    let ids: Vec<String> = (0..INSTANCES).map(|n| format!("i-{n:017x}")).collect();
    let own: Vec<Vec<MetricKey>> = MEASURED
        .iter()
        .map(|(name, ..)| ids.iter().map(|id| key(name, "InstanceId", id)).collect())
        .collect();
    let sums: Vec<Vec<MetricKey>> = MEASURED[..ADDED_UP]
        .iter()
        .map(|(name, ..)| {
            let groups = (0..INSTANCES / 10)
                .map(|group| key(name, "AutoScalingGroupName", &format!("group-{group}")));
            let rest = [
                key(name, "InstanceType", "t3.micro"),
                key(name, "ImageId", "ami-1"),
                MetricKey::new(&scope(), "AWS/EC2", name, &[]),
            ];
            groups.chain(rest).collect()
        })
        .collect();
    let mut noise = Noise(3);
    let begin = Instant::now();
    let minutes = days * 24 * 60;
    for minute in 0..minutes {
        let now = at(START + minute * MINUTE);
        let mut points = Vec::with_capacity(INSTANCES * (MEASURED.len() + 1));
        for (i, (_, unit, moves)) in MEASURED.iter().enumerate() {
            let values: Vec<f64> = own[i].iter().map(|_| noise.value(*moves)).collect();
            let each = own[i].iter().zip(&values);
            points.extend(each.map(|(k, v)| (k.clone(), *unit, now, Bucket::of(*v, 1.0))));
            let Some(sums) = sums.get(i) else {
                continue;
            };
            // Added up here, which is what the store would come to.
            let added = |values: &[f64]| {
                let mut bucket = Bucket::default();
                for v in values {
                    bucket.merge(&Bucket::of(*v, 1.0));
                }
                bucket
            };
            let whole = added(&values);
            let groups = values.chunks(10).map(added);
            let buckets = groups.chain(std::iter::repeat_n(whole, 3));
            let sums = sums.iter().zip(buckets);
            points.extend(sums.map(|(k, bucket)| (k.clone(), *unit, now, bucket)));
        }
        metrics.put_all(points, Resolution::Standard);
        // Fifteen days pass in minutes here: the archive is given its turn.
        if minute % 60 == 0 {
            metrics.flush();
        }
        if minute == 0 || minute % (24 * 60) == 0 {
            eprintln!(
                "day {} after {:.0} s",
                minute / (24 * 60),
                begin.elapsed().as_secs_f64()
            );
        }
    }
    metrics.flush();
    let took = begin.elapsed().as_secs_f64();
    let memory = metrics.bytes();
    let read = Instant::now();
    let all = key("CPUUtilization", "InstanceId", &ids[0]);
    let points = metrics.buckets(&all, None, at(START), at(START + minutes * MINUTE), MINUTE);
    let read = read.elapsed().as_secs_f64() * 1000.0;
    assert_eq!(points.len() as i64, minutes);
    drop(metrics);
    let disk: u64 = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| Some(e.metadata().ok()?.len()))
        .sum();
    let open = Instant::now();
    let again = Metrics::open(dir).expect("a metrics database");
    let open = open.elapsed().as_secs_f64() * 1000.0;
    assert_eq!(
        again
            .buckets(&all, None, at(START), at(START + minutes * MINUTE), MINUTE)
            .len() as i64,
        minutes
    );
    let rss = resident();
    format!(
        "\"written_s\": {took:.0}, \"series_bytes\": {memory}, \"resident_bytes\": {rss}, \"disk_bytes\": {disk}, \"open_ms\": {open:.0}, \"read_15_days_ms\": {read:.1}"
    )
}

/// Memory of this process after a start on the archive.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm
        .split(' ')
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(0);
    pages * 4096
}
