//! The queries of a request, evaluated.

use super::line::Line;
use super::parse::{Expr, Operator, parse};
use super::{Error, function};
use model::cloudwatch::{MetricDataQuery, MetricStat};
use std::collections::{BTreeMap, BTreeSet};

/// Where points come from.
pub trait Source {
    fn metric(&self, stat: &MetricStat) -> Line;
    /// Lines of the metrics that a search finds, in order of their labels.
    fn search(
        &self,
        search: &super::search::Search,
        stat: &str,
        period: u32,
    ) -> Result<Vec<Line>, String>;
}

/// The time that is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Milliseconds; inclusive, exclusive.
    pub start: i64,
    pub end: i64,
    /// Periods begin here and at multiples of their length from here.
    pub origin: i64,
    /// How long sixty seconds of a period last.
    pub minute_ms: i64,
}

impl Window {
    pub fn slots(&self, period_ms: i64) -> impl Iterator<Item = i64> {
        /// More than any request may ask for.
        const MOST: usize = 1_000_000;
        let period = period_ms.max(1);
        let first = (self.start - self.origin).div_euclid(period) * period + self.origin;
        let end = self.end;
        std::iter::successors(Some(first), move |t| t.checked_add(period))
            .take_while(move |t| *t < end)
            .take(MOST)
    }
    pub fn period_ms(&self, seconds: u32) -> i64 {
        (i64::from(seconds) * self.minute_ms / 60).max(1)
    }
}

/// What a query came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub lines: Vec<Line>,
    /// It is one of several that the query found, even if it is the only one.
    pub array: bool,
    /// Points were left out, since they were no numbers.
    pub dropped: bool,
}

#[derive(Debug, Clone)]
pub enum Value {
    Number(f64),
    /// Only functions look at texts, and they look at the tree.
    Text,
    One(Line),
    Many(Vec<Line>),
}

/// Evaluates queries that [`check`] has passed; each once, whoever names it.
pub struct Evaluation<'a> {
    queries: &'a [MetricDataQuery],
    pub(super) source: &'a dyn Source,
    pub(super) window: Window,
    done: BTreeMap<&'a str, Value>,
    open: BTreeSet<&'a str>,
}

impl<'a> Evaluation<'a> {
    pub fn new(queries: &'a [MetricDataQuery], source: &'a dyn Source, window: Window) -> Self {
        Self {
            queries,
            source,
            window,
            done: BTreeMap::new(),
            open: BTreeSet::new(),
        }
    }

    pub fn answer(&mut self, query: &'a MetricDataQuery) -> Result<Answer, Error> {
        let why = |why| Error {
            id: query.id.clone(),
            why,
        };
        let (mut lines, array) = match self.query(query).map_err(why)? {
            Value::One(line) => (vec![line], false),
            Value::Many(lines) => (lines, true),
            Value::Number(_) | Value::Text => {
                return Err(why("The expression does not return a time series: wrap a single value in TIME_SERIES().".into()));
            }
        };
        let mut dropped = false;
        for line in &mut lines {
            let before = line.points.len();
            line.points.retain(|(_, v)| v.is_finite());
            dropped |= line.points.len() < before;
        }
        Ok(Answer {
            lines,
            array,
            dropped,
        })
    }

    fn query(&mut self, query: &'a MetricDataQuery) -> Result<Value, String> {
        if let Some(done) = self.done.get(query.id.as_str()) {
            return Ok(done.clone());
        }
        if !self.open.insert(&query.id) {
            return Err(format!("'{}' refers to itself.", query.id));
        }
        let value = match (&query.metric, &query.expression) {
            (Some(metric), _) => Ok(Value::One(self.source.metric(metric))),
            (None, Some(text)) => parse(text).and_then(|expr| self.value(&expr)),
            (None, None) => Err("There is neither a metric nor an expression.".into()),
        };
        self.open.remove(query.id.as_str());
        let value = match value? {
            // An expression is called by its id, unless it only passes metrics on.
            Value::One(line) if query.metric.is_none() => Value::One(Line {
                label: query.id.as_str().into(),
                properties: None,
                ..line
            }),
            other => other,
        };
        self.done.insert(&query.id, value.clone());
        Ok(value)
    }

    /// The lines of the request's metrics whose ids contain `part`.
    pub(super) fn metrics(&mut self, part: &str) -> Result<Vec<Line>, String> {
        let mut lines = Vec::new();
        for query in self
            .queries
            .iter()
            .filter(|q| q.metric.is_some() && q.id.contains(part))
        {
            if let Value::One(line) = self.query(query)? {
                lines.push(line);
            }
        }
        Ok(lines)
    }

    /// The period of what has none of its own: the shortest of the request's metrics.
    pub(super) fn period_ms(&self) -> i64 {
        let shortest = self
            .queries
            .iter()
            .filter_map(|q| q.metric.as_ref())
            .map(|m| m.period)
            .min();
        self.window.period_ms(shortest.unwrap_or(60))
    }

    pub(super) fn value(&mut self, expr: &Expr) -> Result<Value, String> {
        match expr {
            Expr::Number(n) => Ok(Value::Number(*n)),
            Expr::Text(_) => Ok(Value::Text),
            Expr::Name(name) => match self.queries.iter().find(|q| q.id == *name) {
                Some(query) => self.query(query),
                None => Err(format!("'{name}' is the Id of no query of this request.")),
            },
            Expr::Array(items) => {
                let mut lines = Vec::new();
                for item in items {
                    match self.value(item)? {
                        Value::One(line) => lines.push(line),
                        Value::Many(more) => lines.extend(more),
                        Value::Number(_) | Value::Text => {
                            return Err("An array holds time series only.".into());
                        }
                    }
                }
                Ok(Value::Many(lines))
            }
            Expr::Negative(inner) => Ok(match self.value(inner)? {
                Value::Number(n) => Value::Number(-n),
                Value::One(line) => Value::One(line.map(|v| -v)),
                Value::Many(lines) => Value::Many(lines.iter().map(|l| l.map(|v| -v)).collect()),
                Value::Text => return Err("A text has no negative.".into()),
            }),
            Expr::Binary(operator, left, right) => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                binary(*operator, left, right)
            }
            Expr::Call(name, arguments) => function::call(self, name, arguments),
        }
    }
}

fn binary(operator: Operator, left: Value, right: Value) -> Result<Value, String> {
    let f = |a: f64, b: f64| apply(operator, a, b);
    Ok(match (left, right) {
        (Value::Number(a), Value::Number(b)) => Value::Number(f(a, b)),
        (Value::Number(a), Value::One(b)) => Value::One(b.map(|b| f(a, b))),
        (Value::One(a), Value::Number(b)) => Value::One(a.map(|a| f(a, b))),
        (Value::One(a), Value::One(b)) => Value::One(a.join(&b, f)),
        (Value::Number(a), Value::Many(b)) => {
            Value::Many(b.iter().map(|b| b.map(|b| f(a, b))).collect())
        }
        (Value::Many(a), Value::Number(b)) => {
            Value::Many(a.iter().map(|a| a.map(|a| f(a, b))).collect())
        }
        (Value::Many(a), Value::One(b)) => Value::Many(a.iter().map(|a| a.join(&b, f)).collect()),
        (Value::One(a), Value::Many(b)) => {
            Value::Many(b.iter().map(|b| b.join(&a, |b, a| f(a, b))).collect())
        }
        (Value::Many(_), Value::Many(_)) => {
            return Err(format!(
                "Operator {operator:?} cannot take an array of time series on both sides."
            ));
        }
        (Value::Text, _) | (_, Value::Text) => {
            return Err(format!("Operator {operator:?} cannot take a text."));
        }
    })
}

fn apply(operator: Operator, a: f64, b: f64) -> f64 {
    use Operator as O;
    let truth = |t: bool| f64::from(u8::from(t));
    match operator {
        O::Plus => a + b,
        O::Minus => a - b,
        O::Times => a * b,
        O::Divide => a / b,
        O::Power => a.powf(b),
        // What is not known is neither more nor less.
        _ if a.is_nan() || b.is_nan() => f64::NAN,
        O::Or => truth(a != 0.0 || b != 0.0),
        O::And => truth(a != 0.0 && b != 0.0),
        O::Equal => truth(a == b),
        O::NotEqual => truth(a != b),
        O::Less => truth(a < b),
        O::LessOrEqual => truth(a <= b),
        O::Greater => truth(a > b),
        O::GreaterOrEqual => truth(a >= b),
    }
}

/// Whether all expressions could be evaluated: they parse, name what there is, do not go in
/// circles and give functions what they take. Evaluates them on nothing.
pub fn check(queries: &[MetricDataQuery]) -> Result<(), Error> {
    struct Nothing;
    impl Source for Nothing {
        fn metric(&self, stat: &MetricStat) -> Line {
            Line {
                period_ms: i64::from(stat.period) * 1000,
                ..Line::default()
            }
        }
        fn search(&self, _: &super::search::Search, _: &str, _: u32) -> Result<Vec<Line>, String> {
            Ok(Vec::new())
        }
    }
    let window = Window {
        start: 0,
        end: 0,
        origin: 0,
        minute_ms: 60_000,
    };
    let mut evaluation = Evaluation::new(queries, &Nothing, window);
    for query in queries {
        let value = evaluation.query(query);
        value.map_err(|why| Error {
            id: query.id.clone(),
            why,
        })?;
        // Whether it is a time series matters only if it is asked for.
        if query.return_data {
            evaluation.answer(query)?;
        }
    }
    Ok(())
}
