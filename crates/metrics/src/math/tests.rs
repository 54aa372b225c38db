//! Expressions on three small metrics: m1 and m2 have a gap each, m3 has no points.

use super::search::Search;
use super::*;
use crate::MetricKey;
use jiff::tz::Offset;
use model::Scope;
use model::cloudwatch::{MetricDataQuery, MetricStat};
use std::sync::Arc;

struct Points;

fn line(name: &str, values: &[Option<f64>]) -> Line {
    Line {
        label: name.into(),
        period_ms: 60_000,
        points: (0..)
            .zip(values)
            .filter_map(|(n, v)| Some((n * 60_000, (*v)?)))
            .collect(),
        properties: None,
    }
}

impl Source for Points {
    fn metric(&self, stat: &MetricStat) -> Line {
        let values: &[Option<f64>] = match stat.name.as_str() {
            "m1" => &[Some(1.0), Some(2.0), None, Some(4.0)],
            "m2" => &[Some(10.0), None, Some(30.0), Some(40.0)],
            _ => &[],
        };
        line(&stat.name, values)
    }
    fn search(&self, _: &Search, stat: &str, period: u32) -> Result<Vec<Line>, String> {
        assert_eq!((stat, period), ("Sum", 60));
        Ok(vec![line("a", &[Some(5.0)]), line("b", &[Some(7.0)])])
    }
}

fn metric(id: &str) -> MetricDataQuery {
    MetricDataQuery {
        id: id.into(),
        metric: Some(MetricStat {
            namespace: "App".into(),
            name: id.into(),
            dimensions: Vec::new(),
            period: 60,
            stat: "Sum".into(),
            unit: None,
        }),
        expression: None,
        label: None,
        return_data: false,
        period: None,
    }
}

fn expression(id: &str, text: &str) -> MetricDataQuery {
    MetricDataQuery {
        metric: None,
        expression: Some(text.into()),
        return_data: true,
        ..metric(id)
    }
}

fn evaluated(text: &str) -> Result<Answer, Error> {
    let queries = [
        metric("m1"),
        metric("m2"),
        metric("m3"),
        expression("twice", "m1 * 2"),
        expression("e", text),
    ];
    check(&queries)?;
    let window = Window {
        start: 0,
        end: 240_000,
        origin: 0,
        minute_ms: 60_000,
    };
    Evaluation::new(&queries, &Points, window).answer(&queries[4])
}

/// Each line as its values by minute, `-` where there is none.
#[track_caller]
fn gives(text: &str, expected: &[&str]) {
    let answer = evaluated(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    let shown: Vec<String> = answer
        .lines
        .iter()
        .map(|l| {
            let last = l.points.last().map_or(-1, |(t, _)| t / 60_000);
            let at = |n: i64| l.at(n * 60_000).map_or("-".to_owned(), |v| format!("{v}"));
            (0..=last).map(at).collect::<Vec<_>>().join(" ")
        })
        .collect();
    assert_eq!(shown, expected, "{text}");
}

#[track_caller]
fn fails(text: &str, why: &str) {
    let error = evaluated(text).expect_err(text);
    assert!(error.why.contains(why), "{text}: {error}");
}

#[test]
fn arithmetic_joins_on_time() {
    gives("m1 + m2", &["11 - - 44"]);
    gives("m1 + 1", &["2 3 - 5"]);
    gives("100 - m1 * 2 ^ 2", &["96 92 - 84"]);
    gives("2 ^ 3 ^ 0 * m1", &["2 4 - 8"]);
    gives("-m1 ^ 2", &["-1 -4 - -16"]);
    gives("(m1 + 1) * 2", &["4 6 - 10"]);
    gives("twice - m1", &["1 2 - 4"]);
    gives("[m1, m2] * 2", &["2 4 - 8", "20 - 60 80"]);
    gives("[m1, m2] / m1", &["1 1 - 1", "10 - - 10"]);
    gives("1e1 * m1", &["10 20 - 40"]);
}

#[test]
fn comparisons() {
    gives("m1 > 1", &["0 1 - 1"]);
    gives("m1 > 1 AND m1 < 4", &["0 1 - 0"]);
    gives("m1 == 1 || m1 >= 4", &["1 0 - 1"]);
    gives("m1 != 2 && m1 <= 4", &["1 0 - 1"]);
    gives("IF(m1 > 1, m1, 0)", &["0 2 - 4"]);
    gives("IF(m1 > 1, m2)", &["- - - 40"]);
    gives("IF(1, m1, m2)", &["1 2 - 4"]);
}

#[test]
fn functions() {
    gives("SUM([m1, m2])", &["11 2 30 44"]);
    gives("AVG(METRICS())", &["5.5 2 30 22"]);
    gives("MAX(METRICS(\"2\"))", &["10 - 30 40"]);
    gives("MIN([m1,m2])", &["1 2 30 4"]);
    gives("STDDEV([m1, m1])", &["0 0 - 0"]);
    gives("DATAPOINT_COUNT([m1, m2])", &["2 1 1 2"]);
    gives("m1 / SUM(m1) * 7", &["1 2 - 4"]);
    gives("TIME_SERIES(MAX(m2))", &["40 40 40 40"]);
    gives("TIME_SERIES(METRIC_COUNT(METRICS()))", &["3 3 3 3"]);
    gives("FILL(m1, 0)", &["1 2 0 4"]);
    gives("FILL(m1, REPEAT)", &["1 2 2 4"]);
    gives("FILL(m1, LINEAR)", &["1 2 3 4"]);
    gives("FILL(m1, m2)", &["1 2 30 4"]);
    gives("FILL(METRICS(\"m3\"), 9)", &["9 9 9 9"]);
    gives("DIFF(m1)", &["- 1 - 2"]);
    gives("DIFF_TIME(m1)", &["- 60 - 120"]);
    gives("RATE(m1) * 60", &["- 1 - 1"]);
    gives("RUNNING_SUM(m1)", &["1 3 - 7"]);
    gives("ABS(0 - m1)", &["1 2 - 4"]);
    gives("CEIL(m1 / 3)", &["1 1 - 2"]);
    gives("FLOOR(m1 / 3)", &["0 0 - 1"]);
    gives("FLOOR(LOG10(m2 * 10) * 100)", &["200 - 247 260"]);
    gives("LOG(m1 * 0 + 1)", &["0 0 - 0"]);
    gives("m1 * PERIOD(m1)", &["60 120 - 240"]);
    gives("SLICE([m1, m2], 1)", &["10 - 30 40"]);
    gives("SLICE([m1, m2, m3], 0, 1)", &["1 2 - 4"]);
    gives("FIRST([m1, m2])", &["1 2 - 4"]);
    gives("LAST([m1, m2])", &["10 - 30 40"]);
    gives(
        "SORT([m3, m1, m2], AVG, DESC)",
        &["10 - 30 40", "1 2 - 4", ""],
    );
    gives("SORT([m2, m1], MAX, ASC, 1)", &["1 2 - 4"]);
    gives("REMOVE_EMPTY([m1, m3])", &["1 2 - 4"]);
    gives("MINUTE(m1)", &["0 1 - 3"]);
    gives("EPOCH(m1) / 60", &["0 1 - 3"]);
    // 1 January 1970 was a Thursday.
    gives(
        "DAY(m1) * 10000 + YEAR(m1) + MONTH(m1) + DATE(m1) + HOUR(m1)",
        &["41972 41972 - 41972"],
    );
    gives(
        "SEARCH('{App,Host} MetricName=\"x\"', 'Sum', 60)",
        &["5", "7"],
    );
    gives("SUM(SEARCH('x', 'Sum', 60))", &["12"]);
}

#[test]
fn what_is_no_number_is_left_out() {
    let answer = evaluated("m1 / (m1 - 2)").unwrap();
    assert!(answer.dropped);
    gives("m1 / (m1 - 2)", &["-1 - - 2"]);
    gives("m3 + 1", &[""]);
}

#[test]
fn errors() {
    fails("1 + 1", "does not return a time series");
    fails("'text'", "does not return a time series");
    fails("m9", "'m9' is the Id of no query");
    fails("e + 1", "refers to itself");
    fails("FOO(m1)", "Unknown function 'FOO'");
    fails("ANOMALY_DETECTION_BAND(m1)", "not supported");
    fails("m1 +", "ends where a value is expected");
    fails("(m1", "Expected ')'");
    fails("m1 m2", "Unexpected 'm2'");
    fails("m1 # 2", "Unexpected character '#'");
    fails("SUM(m1, m2)", "takes 1 arguments, not 2");
    fails("FILL(m1)", "takes 2 arguments");
    fails("FILL(m1, NONE)", "the Id of no query");
    fails("SORT([m1], UP, ASC)", "AVG, MIN, MAX or SUM");
    fails("[m1] + [m2]", "on both sides");
    fails("[1]", "time series only");
    fails("SEARCH('{', 'Sum', 60)", "schema");
    fails("SEARCH('x', 'Most', 60)", "no statistic");
    fails("", "empty");
    fails(&"(".repeat(500), "nested deeper");
    fails(&"1+".repeat(2000), "longer than");
}

#[test]
fn searches() {
    let key = MetricKey::new(
        &Scope::new("000000000000", "us-east-1"),
        "AWS/EC2",
        "CPUUtilization",
        &[("InstanceId", "i-0abc")],
    );
    let check = |text: &str, expected: bool| {
        assert_eq!(Search::parse(text).unwrap().finds(&key), expected, "{text}");
    };
    check("{AWS/EC2,InstanceId} MetricName=\"CPUUtilization\"", true);
    check("{AWS/EC2,InstanceId}", true);
    check("{AWS/EC2}", false);
    check("{AWS/EC2,ImageId}", false);
    check("utilization", true);
    check("cpu EC2", true);
    check("cpuutilization", false);
    check("\"CPUUtilization\"", true);
    check("\"CPU\"", false);
    check("cpu AND NOT network", true);
    check("network OR cpu", true);
    check("cpu (network OR disk)", false);
    check("InstanceId=i-0abc", true);
    check(":dim.InstanceId=(\"i-1\" OR \"i-0abc\")", true);
    check("Namespace=\"AWS/EC2\" MetricName=(\"NetworkIn\")", false);
    for bad in [
        "",
        "(",
        "cpu)",
        "{a,",
        "\"x",
        "a=",
        "a OR",
        "NOT",
        &"(".repeat(900),
        &"NOT ".repeat(900),
    ] {
        assert!(Search::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn labels() {
    let scope = Scope::new("000000000000", "us-east-1");
    let of = [("InstanceId", "i-1")];
    let metric = MetricKey::new(&scope, "AWS/EC2", "CPUUtilization", &of);
    let one = Line {
        properties: Some(Arc::new(Properties {
            metric: Arc::new(metric),
            stat: "Average".into(),
            period: 60,
        })),
        ..line("cpu", &[Some(1.5), Some(4.0), Some(2.0)])
    };
    let check = |label: &str, expected: &str| {
        assert_eq!(label::expand(label, &one, &scope, Offset::UTC), expected);
    };
    check("plain", "plain");
    check(
        "${LABEL}: ${MIN}..${MAX}, last ${LAST}",
        "cpu: 1.5..4, last 2",
    );
    check(
        "avg ${AVG} sum ${SUM} of ${DATAPOINT_COUNT}",
        "avg 2.5 sum 7.5 of 3",
    );
    check(
        "${PROP('Dim.InstanceId')} ${PROP('MetricName')} ${PROP('Region')}",
        "i-1 CPUUtilization us-east-1",
    );
    check("${MAX_TIME}", "1970-01-01 00:01:00 UTC");
    check("${WHAT} ${", "${WHAT} ${");
    let east = label::offset("+0130").unwrap();
    assert_eq!(
        label::expand("${FIRST_TIME}", &one, &scope, east),
        "1970-01-01 01:30:00 UTC+01:30"
    );
    for bad in ["0130", "+130", "+9900", "+01:30", "+0é1"] {
        assert!(label::offset(bad).is_none(), "{bad}");
    }
}
