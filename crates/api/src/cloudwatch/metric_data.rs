//! GetMetricData: metrics and expressions, a page at a time.

use super::error::{Result, invalid, missing};
use super::query::{MetricDataQuery, records, validation};
use super::statistics::{rounded, seconds};
use crate::Ctx;
use jiff::tz::Offset;
use metrics::math::{Answer, Evaluation, Line, Stored, Window, label};
use model::cloudwatch as record;
use serde::{Deserialize, Serialize};
use wire::Timestamp;

/// Queries of one call, and points of one answer.
const MAX_QUERIES: usize = 500;
const MAX_DATAPOINTS: usize = 100_800;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetMetricData {
    metric_data_queries: Vec<MetricDataQuery>,
    start_time: Timestamp,
    end_time: Timestamp,
    next_token: Option<String>,
    scan_by: Option<String>,
    max_datapoints: Option<usize>,
    label_options: Option<LabelOptions>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LabelOptions {
    timezone: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct MetricData {
    metric_data_results: Vec<Series>,
    next_token: Option<String>,
    messages: Vec<Message>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Series {
    id: String,
    label: String,
    timestamps: Vec<Timestamp>,
    values: Vec<f64>,
    status_code: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    messages: Vec<Message>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Message {
    code: &'static str,
    value: &'static str,
}

pub fn get(ctx: &mut Ctx, input: GetMetricData) -> Result<MetricData> {
    match seconds(input.start_time, input.end_time) {
        1.. => {}
        0 => {
            return Err(validation(
                "The parameter StartTime must not equal parameter EndTime.",
            ));
        }
        _ => {
            return Err(validation(
                "The parameter EndTime must be greater than StartTime.",
            ));
        }
    }
    if input.metric_data_queries.is_empty() {
        return Err(missing("MetricDataQueries"));
    }
    if input.metric_data_queries.len() > MAX_QUERIES {
        return Err(validation(format!(
            "The collection MetricDataQueries must not have a size greater than {MAX_QUERIES}."
        )));
    }
    let newest_first = match input.scan_by.as_deref() {
        None | Some("TimestampDescending") => true,
        Some("TimestampAscending") => false,
        Some(other) => {
            return Err(invalid(format!(
                "The value {other} for parameter ScanBy is not supported."
            )));
        }
    };
    let offset = match input.label_options.and_then(|o| o.timezone) {
        None => Offset::UTC,
        Some(text) => label::offset(&text).ok_or_else(|| {
            validation(format!(
                "The value {text} for parameter LabelOptions.Timezone is not of the form +0130."
            ))
        })?,
    };
    let mut page = Page::new(input.max_datapoints, input.next_token.as_deref())?;
    let queries = records(ctx, input.metric_data_queries)?;
    // The shortest period decides how the start is rounded.
    let shortest = queries
        .iter()
        .filter_map(|q| q.metric.as_ref())
        .map(|m| m.period)
        .min();
    let start = rounded(ctx.now, input.start_time, shortest.unwrap_or(60));
    let window = Window {
        start: start.as_millisecond(),
        end: input.end_time.0.as_millisecond(),
        origin: 0,
        minute_ms: 60_000,
    };
    let source = Stored {
        metrics: &ctx.cloud.metrics,
        scope: &ctx.scope,
        window,
    };
    let mut evaluation = Evaluation::new(&queries, &source, window);
    let mut results = Vec::new();
    for query in queries.iter().filter(|q| q.return_data) {
        let answer = evaluation
            .answer(query)
            .map_err(|error| validation(error.to_string()))?;
        for line in &answer.lines {
            let mut points = line.points.clone();
            if newest_first {
                points.reverse();
            }
            let Some((points, complete)) = page.take(points) else {
                continue;
            };
            results.push(Series {
                id: query.id.clone(),
                label: labelled(ctx, query, &answer, line, offset),
                timestamps: points.iter().map(|(at, _)| time(*at)).collect(),
                values: points.iter().map(|(_, v)| *v).collect(),
                status_code: if complete { "Complete" } else { "PartialData" },
                messages: if answer.dropped {
                    vec![ARITHMETIC]
                } else {
                    Vec::new()
                },
            });
        }
    }
    Ok(MetricData {
        metric_data_results: results,
        next_token: page.token(),
        messages: Vec::new(),
    })
}

const ARITHMETIC: Message = Message {
    code: "ArithmeticError",
    value: "One or more data-points have been dropped due to non-numeric values (NaN, -Infinite, +Infinite)",
};

/// The query's label; of several lines, each with its own beside.
fn labelled(
    ctx: &Ctx,
    query: &record::MetricDataQuery,
    answer: &Answer,
    line: &Line,
    offset: Offset,
) -> String {
    let Some(given) = &query.label else {
        return line.label.to_string();
    };
    let text = label::expand(given, line, &ctx.scope, offset);
    if answer.array && !given.contains("${") {
        return format!("{text} {}", line.label);
    }
    text
}

fn time(ms: i64) -> Timestamp {
    jiff::Timestamp::from_millisecond(ms)
        .unwrap_or_default()
        .into()
}

/// Which points of all results are given: the token says how many came before.
struct Page {
    skip: usize,
    left: usize,
    given: usize,
    more: bool,
}

impl Page {
    fn new(most: Option<usize>, token: Option<&str>) -> Result<Self> {
        let skip = match token {
            None | Some("") => 0,
            Some(token) => token
                .parse()
                .map_err(|_| super::alarm_describe::bad_token())?,
        };
        let left = most.unwrap_or(MAX_DATAPOINTS).min(MAX_DATAPOINTS);
        if left == 0 {
            return Err(validation("MaxDatapoints must be greater than 0."));
        }
        Ok(Self {
            skip,
            left,
            given: skip,
            more: false,
        })
    }

    /// The part of a result that is on this page, and whether it is whole now. `None` where all
    /// of it lies on other pages; a result without points is on the page where it would begin.
    fn take<T>(&mut self, mut points: Vec<T>) -> Option<(Vec<T>, bool)> {
        if points.is_empty() {
            return (self.skip == 0 && !self.more).then_some((points, true));
        }
        if self.skip >= points.len() {
            self.skip -= points.len();
            return None;
        }
        points.drain(..self.skip);
        self.skip = 0;
        let complete = points.len() <= self.left;
        points.truncate(self.left);
        self.more |= !complete;
        self.left -= points.len();
        self.given += points.len();
        (!points.is_empty()).then_some((points, complete))
    }

    fn token(&self) -> Option<String> {
        self.more.then(|| self.given.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::Page;

    #[test]
    fn pages_give_every_point_once() {
        let results = [vec![1, 2, 3], vec![], vec![4], vec![5, 6, 7, 8]];
        for most in 1..9 {
            let mut seen = vec![Vec::new(); results.len()];
            let mut token: Option<String> = None;
            loop {
                let mut page = Page::new(Some(most), token.as_deref()).unwrap();
                let mut on_page = 0;
                for (result, seen) in results.iter().zip(&mut seen) {
                    if let Some((points, complete)) = page.take(result.clone()) {
                        on_page += points.len();
                        seen.extend(points);
                        assert_eq!(complete, seen == result);
                    }
                }
                assert!(on_page <= most);
                token = page.token();
                if token.is_none() {
                    break;
                }
            }
            assert_eq!(seen, results);
        }
        assert!(Page::new(None, Some("x")).is_err());
        assert!(Page::new(Some(0), None).is_err());
    }
}
