//! The functions of metric math.

use super::evaluate::{Evaluation, Value, Window};
use super::line::{self, Line};
use super::parse::Expr;
use super::search::Search;
use jiff::Timestamp;
use jiff::tz::TimeZone;

type Result<T> = std::result::Result<T, String>;

/// On AWS, and not here.
const ABSENT: &[&str] = &[
    "ANOMALY_DETECTION_BAND",
    "DB_PERF_INSIGHTS",
    "INSIGHT_RULE_METRIC",
    "LAMBDA",
    "SERVICE_QUOTA",
];

/// Most lines of a search.
const MAX_FOUND: usize = 500;

pub fn call(e: &mut Evaluation<'_>, name: &str, arguments: &[Expr]) -> Result<Value> {
    let args = Arguments { name, arguments };
    match name {
        "SUM" => args.reduce(e, line::sum),
        "AVG" => args.reduce(e, line::average),
        "MIN" => args.reduce(e, line::minimum),
        "MAX" => args.reduce(e, line::maximum),
        "STDDEV" => args.reduce(e, line::deviation),
        "DATAPOINT_COUNT" => args.reduce(e, line::count),
        "ABS" => args.each(e, f64::abs),
        "CEIL" => args.each(e, f64::ceil),
        "FLOOR" => args.each(e, f64::floor),
        "LOG" => args.each(e, f64::ln),
        "LOG10" => args.each(e, f64::log10),
        "DIFF" => args.lines(e, |l| steps(l, |a, b| b.1 - a.1)),
        "DIFF_TIME" => args.lines(e, |l| steps(l, |a, b| (b.0 - a.0) as f64 / 1000.0)),
        "RATE" => args.lines(e, |l| {
            steps(l, |a, b| (b.1 - a.1) / ((b.0 - a.0) as f64 / 1000.0))
        }),
        "RUNNING_SUM" => args.lines(e, running_sum),
        "EPOCH" => args.lines(e, |l| times(l, |t| t.as_second())),
        "MINUTE" => args.lines(e, |l| times(l, |t| utc(t).minute().into())),
        "HOUR" => args.lines(e, |l| times(l, |t| utc(t).hour().into())),
        "DAY" => args.lines(e, |l| {
            times(l, |t| utc(t).weekday().to_monday_one_offset().into())
        }),
        "DATE" => args.lines(e, |l| times(l, |t| utc(t).day().into())),
        "MONTH" => args.lines(e, |l| times(l, |t| utc(t).month().into())),
        "YEAR" => args.lines(e, |l| times(l, |t| utc(t).year().into())),
        "FILL" => fill(e, &args),
        "IF" => condition(e, &args),
        "FIRST" => Ok(Value::One(
            args.array(e, 1)?.into_iter().next().unwrap_or_default(),
        )),
        "LAST" => Ok(Value::One(args.array(e, 1)?.pop().unwrap_or_default())),
        "METRICS" => {
            args.count(0, 1)?;
            let part = arguments.first().map(|_| args.text(0)).transpose()?;
            Ok(Value::Many(e.metrics(part.unwrap_or_default())?))
        }
        "METRIC_COUNT" => Ok(Value::Number(args.array(e, 1)?.len() as f64)),
        "PERIOD" => {
            args.count(1, 1)?;
            match e.value(&arguments[0])? {
                Value::One(line) => Ok(Value::Number(line.period_ms as f64 / 1000.0)),
                _ => Err(args.wants("a time series")),
            }
        }
        "REMOVE_EMPTY" => {
            let mut lines = args.array(e, 1)?;
            lines.retain(|l| !l.points.is_empty());
            Ok(Value::Many(lines))
        }
        "SLICE" => slice(e, &args),
        "SORT" => sort(e, &args),
        "SEARCH" => search(e, &args),
        "TIME_SERIES" => {
            args.count(1, 1)?;
            let Value::Number(n) = e.value(&arguments[0])? else {
                return Err(args.wants("a single value"));
            };
            let period_ms = e.period_ms();
            Ok(Value::One(Line {
                period_ms,
                points: e.window.slots(period_ms).map(|t| (t, n)).collect(),
                ..Line::default()
            }))
        }
        _ if ABSENT.contains(&name) => Err(format!("{name} is not supported by this cloud.")),
        _ => Err(format!("Unknown function '{name}'.")),
    }
}

/// What a call was given.
struct Arguments<'a> {
    name: &'a str,
    arguments: &'a [Expr],
}

impl Arguments<'_> {
    fn wants(&self, what: &str) -> String {
        format!("{} wants {what}.", self.name)
    }
    fn count(&self, least: usize, most: usize) -> Result<()> {
        let found = self.arguments.len();
        if (least..=most).contains(&found) {
            return Ok(());
        }
        Err(match (least, most) {
            (a, b) if a == b => format!("{} takes {a} arguments, not {found}.", self.name),
            (a, b) => format!("{} takes {a} to {b} arguments, not {found}.", self.name),
        })
    }
    fn text(&self, at: usize) -> Result<&str> {
        match self.arguments.get(at) {
            Some(Expr::Text(text)) => Ok(text),
            _ => Err(self.wants("a text in quotes")),
        }
    }
    fn word(&self, at: usize) -> Option<&str> {
        match self.arguments.get(at) {
            Some(Expr::Name(word)) => Some(word),
            _ => None,
        }
    }
    fn number(&self, e: &mut Evaluation<'_>, at: usize) -> Result<f64> {
        match self.arguments.get(at).map(|a| e.value(a)).transpose()? {
            Some(Value::Number(n)) => Ok(n),
            _ => Err(self.wants("a number")),
        }
    }
    /// The first argument, which is an array.
    fn array(&self, e: &mut Evaluation<'_>, most: usize) -> Result<Vec<Line>> {
        self.count(1, most)?;
        match e.value(&self.arguments[0])? {
            Value::Many(lines) => Ok(lines),
            _ => Err(self.wants("an array of time series")),
        }
    }

    /// A line becomes a number; an array becomes one line, with what is there at each time.
    fn reduce(&self, e: &mut Evaluation<'_>, f: fn(&[f64]) -> f64) -> Result<Value> {
        self.count(1, 1)?;
        Ok(match e.value(&self.arguments[0])? {
            Value::One(line) => Value::Number(f(&line.values())),
            Value::Many(lines) => {
                let mut all: Vec<(i64, f64)> =
                    lines.iter().flat_map(|l| &l.points).copied().collect();
                all.sort_by_key(|(t, _)| *t);
                let points = all.chunk_by(|a, b| a.0 == b.0).map(|same| {
                    let values: Vec<f64> = same.iter().map(|(_, v)| *v).collect();
                    (same[0].0, f(&values))
                });
                Value::One(Line {
                    label: self.name.into(),
                    period_ms: lines.iter().map(|l| l.period_ms).max().unwrap_or(60_000),
                    points: points.collect(),
                    properties: None,
                })
            }
            Value::Number(n) => Value::Number(f(&[n])),
            Value::Text => return Err(self.wants("time series")),
        })
    }

    fn each(&self, e: &mut Evaluation<'_>, f: fn(f64) -> f64) -> Result<Value> {
        self.count(1, 1)?;
        Ok(match e.value(&self.arguments[0])? {
            Value::Number(n) => Value::Number(f(n)),
            Value::One(line) => Value::One(line.map(f)),
            Value::Many(lines) => Value::Many(lines.iter().map(|l| l.map(f)).collect()),
            Value::Text => return Err(self.wants("time series")),
        })
    }

    fn lines(&self, e: &mut Evaluation<'_>, f: impl Fn(&Line) -> Line) -> Result<Value> {
        self.count(1, 1)?;
        Ok(match e.value(&self.arguments[0])? {
            Value::One(line) => Value::One(f(&line)),
            Value::Many(lines) => Value::Many(lines.iter().map(f).collect()),
            _ => return Err(self.wants("a time series or an array of them")),
        })
    }
}

/// Each point with the one before.
fn steps(line: &Line, f: impl Fn((i64, f64), (i64, f64)) -> f64) -> Line {
    line.with(
        line.points
            .windows(2)
            .map(|p| (p[1].0, f(p[0], p[1])))
            .collect(),
    )
}

fn running_sum(line: &Line) -> Line {
    let sums = line.points.iter().scan(0.0, |sum, (t, v)| {
        *sum += v;
        Some((*t, *sum))
    });
    line.with(sums.collect())
}

fn times(line: &Line, f: impl Fn(Timestamp) -> i64) -> Line {
    let of = |t: i64| Timestamp::from_millisecond(t).map_or(f64::NAN, |t| f(t) as f64);
    line.with(line.points.iter().map(|(t, _)| (*t, of(*t))).collect())
}

fn utc(at: Timestamp) -> jiff::Zoned {
    at.to_zoned(TimeZone::UTC)
}

fn fill(e: &mut Evaluation<'_>, args: &Arguments<'_>) -> Result<Value> {
    args.count(2, 2)?;
    let given = e.value(&args.arguments[0])?;
    let window = e.window;
    let filled: Box<dyn Fn(&Line) -> Line> = match args.word(1) {
        Some("REPEAT") => Box::new(move |l| repeated(l, window)),
        Some("LINEAR") => Box::new(move |l| interpolated(l, window)),
        _ => match e.value(&args.arguments[1])? {
            Value::Number(n) => Box::new(move |l| filled(l, window, |_| Some(n))),
            Value::One(other) => Box::new(move |l| filled(l, window, |t| other.at(t))),
            _ => return Err(args.wants("REPEAT, LINEAR, a number or a time series to fill with")),
        },
    };
    Ok(match given {
        Value::One(line) => Value::One(filled(&line)),
        Value::Many(lines) => Value::Many(lines.iter().map(filled).collect()),
        _ => return Err(args.wants("a time series or an array of them")),
    })
}

fn filled(line: &Line, window: Window, missing: impl Fn(i64) -> Option<f64>) -> Line {
    let points = window
        .slots(line.period_ms)
        .filter_map(|t| Some((t, line.at(t).or_else(|| missing(t))?)));
    line.with(points.collect())
}

fn repeated(line: &Line, window: Window) -> Line {
    filled(line, window, |t| {
        let before = line.points.partition_point(|(u, _)| *u < t);
        Some(line.points[before.checked_sub(1)?].1)
    })
}

fn interpolated(line: &Line, window: Window) -> Line {
    filled(line, window, |t| {
        let after = line.points.partition_point(|(u, _)| *u < t);
        let (t0, v0) = line.points[after.checked_sub(1)?];
        let (t1, v1) = *line.points.get(after)?;
        Some(v0 + (v1 - v0) * (t - t0) as f64 / (t1 - t0) as f64)
    })
}

/// `IF(condition, value[, otherwise])`: at each time of the condition.
fn condition(e: &mut Evaluation<'_>, args: &Arguments<'_>) -> Result<Value> {
    args.count(2, 3)?;
    let condition = e.value(&args.arguments[0])?;
    let then = e.value(&args.arguments[1])?;
    let otherwise = args.arguments.get(2).map(|a| e.value(a)).transpose()?;
    let at = |value: Option<&Value>, t: i64| match value {
        Some(Value::Number(n)) => Ok(Some(*n)),
        Some(Value::One(line)) => Ok(line.at(t)),
        None => Ok(None),
        Some(_) => Err(args.wants("numbers or single time series as values")),
    };
    match condition {
        Value::Number(n) => match (n != 0.0, otherwise) {
            (true, _) => Ok(then),
            (false, Some(otherwise)) => Ok(otherwise),
            (false, None) => Ok(Value::Number(f64::NAN)),
        },
        Value::One(line) => {
            // Also refuses what no point of an empty condition would ask for.
            at(Some(&then), 0)?;
            at(otherwise.as_ref(), 0)?;
            let mut points = Vec::new();
            for (t, c) in &line.points {
                let value = if *c != 0.0 {
                    Some(&then)
                } else {
                    otherwise.as_ref()
                };
                points.extend(at(value, *t)?.map(|v| (*t, v)));
            }
            Ok(Value::One(line.with(points)))
        }
        _ => Err(args.wants("a time series or a number as condition")),
    }
}

fn slice(e: &mut Evaluation<'_>, args: &Arguments<'_>) -> Result<Value> {
    args.count(2, 3)?;
    let lines = args.array(e, 3)?;
    let start = args.number(e, 1)?.max(0.0) as usize;
    let end = match args.arguments.len() {
        3 => args.number(e, 2)?.max(0.0) as usize,
        _ => usize::MAX,
    };
    let take = end.saturating_sub(start);
    Ok(Value::Many(
        lines.into_iter().skip(start).take(take).collect(),
    ))
}

fn sort(e: &mut Evaluation<'_>, args: &Arguments<'_>) -> Result<Value> {
    args.count(3, 4)?;
    let mut lines = args.array(e, 4)?;
    let by = match args.word(1) {
        Some("AVG") => line::average,
        Some("MIN") => line::minimum,
        Some("MAX") => line::maximum,
        Some("SUM") => line::sum,
        _ => return Err(args.wants("AVG, MIN, MAX or SUM to sort by")),
    };
    let descending = match args.word(2) {
        Some("ASC") => false,
        Some("DESC") => true,
        _ => return Err(args.wants("ASC or DESC as order")),
    };
    // Lines without points come last either way.
    lines.sort_by(|a, b| {
        let (a, b) = (by(&a.values()), by(&b.values()));
        let order = if descending {
            b.total_cmp(&a)
        } else {
            a.total_cmp(&b)
        };
        a.is_nan().cmp(&b.is_nan()).then(order)
    });
    if args.arguments.len() == 4 {
        lines.truncate(args.number(e, 3)?.max(0.0) as usize);
    }
    Ok(Value::Many(lines))
}

fn search(e: &mut Evaluation<'_>, args: &Arguments<'_>) -> Result<Value> {
    args.count(2, 3)?;
    let search = Search::parse(args.text(0)?)?;
    let stat = args.text(1)?;
    stat.parse::<crate::Statistic>()
        .map_err(|()| format!("'{stat}' is no statistic."))?;
    let period = match args.arguments.len() {
        3 => args.number(e, 2)?,
        _ => 300.0,
    };
    if period < 1.0 || period.fract() != 0.0 || period > 604_800.0 {
        return Err(args.wants("a period in whole seconds"));
    }
    let mut lines = e.source.search(&search, stat, period as u32)?;
    lines.truncate(MAX_FOUND);
    Ok(Value::Many(lines))
}
