//! Conditions of rules. Source: `A/rule-condition-types.html`.

use super::check::length;
use super::error::{Result, validation};
use super::regular_expression;
use ipnet::IpNet;
use model::elbv2::Condition;
use serde::{Deserialize, Serialize};

/// Of one rule, over all its conditions.
pub const MAX_VALUES: usize = 5;
pub const MAX_WILDCARDS: usize = 6;

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ConditionShape {
    field: Option<String>,
    #[serde(default)]
    values: Vec<String>,
    host_header_config: Option<Values>,
    path_pattern_config: Option<Values>,
    http_header_config: Option<HttpHeader>,
    query_string_config: Option<QueryString>,
    http_request_method_config: Option<Values>,
    source_ip_config: Option<Values>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    regex_values: Vec<String>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Values {
    #[serde(default)]
    values: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    regex_values: Vec<String>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct HttpHeader {
    http_header_name: Option<String>,
    #[serde(default)]
    values: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    regex_values: Vec<String>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct QueryString {
    #[serde(default)]
    values: Vec<KeyValue>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct KeyValue {
    key: Option<String>,
    value: Option<String>,
}

/// The conditions that a call gives.
pub fn of(shapes: &[ConditionShape]) -> Result<Vec<Condition>> {
    if shapes.is_empty() {
        return Err(validation("At least one condition must be specified"));
    }
    let mut conditions: Vec<Condition> = Vec::with_capacity(shapes.len());
    for shape in shapes {
        let condition = shape.parse()?;
        let repeatable = ["http-header", "query-string"].contains(&field(&condition));
        if !repeatable && conditions.iter().any(|c| field(c) == field(&condition)) {
            return Err(validation(format!(
                "A rule can only have one '{}' condition",
                field(&condition)
            )));
        }
        conditions.push(condition);
    }
    let values: usize = conditions.iter().map(count).sum();
    if MAX_VALUES < values {
        return Err(validation(format!(
            "A rule can only have '{MAX_VALUES}' condition values"
        )));
    }
    let wildcards: usize = conditions.iter().map(wildcards).sum();
    if MAX_WILDCARDS < wildcards {
        return Err(validation(format!(
            "A rule can only have '{MAX_WILDCARDS}' condition wildcards"
        )));
    }
    Ok(conditions)
}

impl ConditionShape {
    fn parse(&self) -> Result<Condition> {
        let Some(field) = self.field.as_deref() else {
            return Err(validation("A condition field must be specified"));
        };
        let configs = [
            ("host-header", self.host_header_config.is_some()),
            ("path-pattern", self.path_pattern_config.is_some()),
            ("http-header", self.http_header_config.is_some()),
            ("query-string", self.query_string_config.is_some()),
            (
                "http-request-method",
                self.http_request_method_config.is_some(),
            ),
            ("source-ip", self.source_ip_config.is_some()),
        ];
        if configs.iter().all(|(name, _)| *name != field) {
            return Err(validation(format!(
                "Condition field '{field}' must be one of '[path-pattern, host-header, http-header, http-request-method, query-string, source-ip]'"
            )));
        }
        if configs.iter().any(|(name, given)| *given && *name != field) {
            return Err(validation(format!(
                "The condition configuration does not match the field '{field}'"
            )));
        }
        if let Some(condition) = self.regex(field)? {
            return Ok(condition);
        }
        match field {
            "host-header" => {
                let values = self.values_of(field, self.host_header_config.as_ref())?;
                values.iter().try_for_each(|v| check_host(v))?;
                Ok(Condition::HostHeader(values))
            }
            "path-pattern" => {
                let values = self.values_of(field, self.path_pattern_config.as_ref())?;
                values.iter().try_for_each(|v| check_path(v))?;
                Ok(Condition::PathPattern(values))
            }
            "http-request-method" => {
                let values = self.values_of(field, self.http_request_method_config.as_ref())?;
                values.iter().try_for_each(|v| check_method(v))?;
                Ok(Condition::HttpRequestMethod(values))
            }
            "source-ip" => {
                let values = self.values_of(field, self.source_ip_config.as_ref())?;
                let values: Result<Vec<IpNet>> = values.iter().map(|v| source(v)).collect();
                Ok(Condition::SourceIp(values?))
            }
            "http-header" => self.http_header(),
            _ => self.query_string(),
        }
    }

    /// The condition, if its values are regular expressions.
    fn regex(&self, field: &str) -> Result<Option<Condition>> {
        let config = match field {
            "host-header" => self.host_header_config.as_ref(),
            "path-pattern" => self.path_pattern_config.as_ref(),
            "http-request-method" => self.http_request_method_config.as_ref(),
            "source-ip" => self.source_ip_config.as_ref(),
            _ => None,
        };
        let header = self.http_header_config.as_ref();
        let inner = config.map(|c| (&c.values, &c.regex_values));
        let inner = inner.or(header.map(|h| (&h.values, &h.regex_values)));
        let none = Vec::new();
        let (values, inner) = inner.unwrap_or((&none, &none));
        let expressions = match (self.regex_values.as_slice(), inner.as_slice()) {
            ([], given) | (given, []) => given,
            (outer, given) if outer == given => given,
            _ => {
                return Err(validation(format!(
                    "The regular expressions of a '{field}' condition can only be specified once"
                )));
            }
        };
        if expressions.is_empty() {
            return Ok(None);
        }
        if !self.values.is_empty() || !values.is_empty() {
            return Err(validation(format!(
                "A '{field}' condition can have either values or regular expressions, not both"
            )));
        }
        for expression in expressions {
            regular_expression::check(expression, "regexValues.member", 128)?;
        }
        let values = expressions.to_vec();
        match field {
            "host-header" => Ok(Some(Condition::HostRegex(values))),
            "path-pattern" => Ok(Some(Condition::PathRegex(values))),
            "http-header" => {
                let name = self.header_name()?;
                Ok(Some(Condition::HttpHeaderRegex { name, values }))
            }
            _ => Err(validation(format!(
                "Regular expressions cannot be specified for the condition field '{field}'"
            ))),
        }
    }

    /// The values, given in the condition itself or in its configuration.
    fn values_of(&self, field: &str, config: Option<&Values>) -> Result<Vec<String>> {
        let values = match config {
            Some(config) if !self.values.is_empty() && config.values != self.values => {
                return Err(validation(format!(
                    "The values of a '{field}' condition can only be specified once"
                )));
            }
            Some(config) => &config.values,
            None => &self.values,
        };
        some(field, values)
    }

    fn header_name(&self) -> Result<String> {
        let config = self.http_header_config.as_ref();
        let config = config.ok_or_else(|| no_values("http-header"))?;
        let name = config.http_header_name.clone().unwrap_or_default();
        length(&name, "httpHeaderConfig.httpHeaderName", 1, 40)?;
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if !name.bytes().all(token) || name.eq_ignore_ascii_case("host") {
            return Err(validation(format!(
                "HTTP header name '{name}' is not valid"
            )));
        }
        Ok(name)
    }

    fn http_header(&self) -> Result<Condition> {
        let name = self.header_name()?;
        let config = self.http_header_config.as_ref();
        let config = config.ok_or_else(|| no_values("http-header"))?;
        let values = some("http-header", &config.values)?;
        for value in &values {
            length(value, "httpHeaderConfig.values.member", 1, 128)?;
        }
        Ok(Condition::HttpHeader { name, values })
    }

    fn query_string(&self) -> Result<Condition> {
        let config = self.query_string_config.as_ref();
        let config = config.ok_or_else(|| no_values("query-string"))?;
        let mut values = Vec::with_capacity(config.values.len());
        for KeyValue { key, value } in &config.values {
            let Some(value) = value else {
                return Err(validation("A query-string condition needs a value"));
            };
            length(value, "queryStringConfig.values.member.value", 1, 128)?;
            if let Some(key) = key {
                length(key, "queryStringConfig.values.member.key", 0, 128)?;
            }
            let key = key.clone().filter(|key| !key.is_empty());
            values.push((key, value.clone()));
        }
        Ok(Condition::QueryString(some("query-string", &values)?))
    }
}

fn some<T: Clone>(field: &str, values: &[T]) -> Result<Vec<T>> {
    match values {
        [] => Err(no_values(field)),
        values => Ok(values.to_vec()),
    }
}

fn no_values(field: &str) -> wire::ApiError {
    validation(format!(
        "A condition value must be specified for field '{field}'"
    ))
}

fn bad_value(value: &str) -> wire::ApiError {
    validation(format!(
        "Condition value '{value}' contains a character that is not valid"
    ))
}

fn check_host(value: &str) -> Result<()> {
    length(value, "hostHeaderConfig.values.member", 1, 128)?;
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-.*?".contains(&b);
    if !value.bytes().all(fits) {
        return Err(bad_value(value));
    }
    let last = value.rsplit_once('.').map(|(_, last)| last);
    let letters = |last: &str| {
        last.bytes()
            .all(|b| b.is_ascii_alphabetic() || b"*?".contains(&b))
    };
    match last {
        Some(last) if letters(last) => Ok(()),
        _ => Err(validation(format!(
            "Condition value '{value}' must contain a '.' and only letters after the last one"
        ))),
    }
}

fn check_path(value: &str) -> Result<()> {
    length(value, "pathPatternConfig.values.member", 1, 128)?;
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"_-.$/~\"'@:+&*?".contains(&b);
    match value.bytes().all(fits) {
        true => Ok(()),
        false => Err(bad_value(value)),
    }
}

fn check_method(value: &str) -> Result<()> {
    length(value, "httpRequestMethodConfig.values.member", 1, 40)?;
    let fits = |b: u8| b.is_ascii_uppercase() || b == b'-' || b == b'_';
    match value.bytes().all(fits) {
        true => Ok(()),
        false => Err(bad_value(value)),
    }
}

fn source(value: &str) -> Result<IpNet> {
    let net = value.parse::<IpNet>().ok();
    net.filter(|_| value != "255.255.255.255/32")
        .ok_or_else(|| validation(format!("The IP address range '{value}' is not valid")))
}

fn count(condition: &Condition) -> usize {
    match condition {
        Condition::HostHeader(values)
        | Condition::PathPattern(values)
        | Condition::HttpHeader { values, .. }
        | Condition::HostRegex(values)
        | Condition::PathRegex(values)
        | Condition::HttpHeaderRegex { values, .. }
        | Condition::HttpRequestMethod(values) => values.len(),
        Condition::QueryString(values) => values.len(),
        Condition::SourceIp(values) => values.len(),
    }
}

fn wildcards(condition: &Condition) -> usize {
    match condition {
        Condition::HostHeader(values)
        | Condition::PathPattern(values)
        | Condition::HttpHeader { values, .. } => values.iter().map(|v| wildcards_in(v)).sum(),
        Condition::QueryString(values) => {
            let keys = values.iter().filter_map(|(key, _)| key.as_ref());
            let texts = keys.chain(values.iter().map(|(_, value)| value));
            texts.map(|v| wildcards_in(v)).sum()
        }
        Condition::HttpRequestMethod(_)
        | Condition::SourceIp(_)
        | Condition::HostRegex(_)
        | Condition::PathRegex(_)
        | Condition::HttpHeaderRegex { .. } => 0,
    }
}

/// `*` and `?` that no backslash makes literal.
fn wildcards_in(text: &str) -> usize {
    let mut escaped = false;
    let mut found = 0;
    for c in text.chars() {
        if !escaped && matches!(c, '*' | '?') {
            found += 1;
        }
        escaped = !escaped && c == '\\';
    }
    found
}

fn field(condition: &Condition) -> &'static str {
    match condition {
        Condition::HostHeader(_) | Condition::HostRegex(_) => "host-header",
        Condition::PathPattern(_) | Condition::PathRegex(_) => "path-pattern",
        Condition::HttpHeader { .. } | Condition::HttpHeaderRegex { .. } => "http-header",
        Condition::HttpRequestMethod(_) => "http-request-method",
        Condition::QueryString(_) => "query-string",
        Condition::SourceIp(_) => "source-ip",
    }
}

pub fn shapes(conditions: &[Condition]) -> Vec<ConditionShape> {
    conditions.iter().map(shape).collect()
}

fn shape(condition: &Condition) -> ConditionShape {
    let values = |values: &[String]| {
        Some(Values {
            values: values.to_vec(),
            regex_values: Vec::new(),
        })
    };
    let expressions = |values: &[String]| {
        Some(Values {
            values: Vec::new(),
            regex_values: values.to_vec(),
        })
    };
    let mut shape = ConditionShape {
        field: Some(field(condition).into()),
        ..ConditionShape::default()
    };
    match condition {
        // These two are as old as the API and have their values in both places.
        Condition::HostHeader(hosts) => {
            shape.values = hosts.clone();
            shape.host_header_config = values(hosts);
        }
        Condition::PathPattern(paths) => {
            shape.values = paths.clone();
            shape.path_pattern_config = values(paths);
        }
        Condition::HttpHeader { name, values } => {
            shape.http_header_config = Some(HttpHeader {
                http_header_name: Some(name.clone()),
                values: values.clone(),
                regex_values: Vec::new(),
            });
        }
        Condition::HostRegex(hosts) => {
            shape.regex_values = hosts.clone();
            shape.host_header_config = expressions(hosts);
        }
        Condition::PathRegex(paths) => {
            shape.regex_values = paths.clone();
            shape.path_pattern_config = expressions(paths);
        }
        Condition::HttpHeaderRegex { name, values } => {
            shape.http_header_config = Some(HttpHeader {
                http_header_name: Some(name.clone()),
                values: Vec::new(),
                regex_values: values.clone(),
            });
        }
        Condition::HttpRequestMethod(methods) => {
            shape.http_request_method_config = values(methods);
        }
        Condition::QueryString(pairs) => {
            let pairs = pairs.iter().map(|(key, value)| KeyValue {
                key: key.clone(),
                value: Some(value.clone()),
            });
            shape.query_string_config = Some(QueryString {
                values: pairs.collect(),
            });
        }
        Condition::SourceIp(nets) => {
            let nets: Vec<String> = nets.iter().map(ToString::to_string).collect();
            shape.source_ip_config = values(&nets);
        }
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(json: serde_json::Value) -> Result<Vec<Condition>> {
        let shapes: Vec<ConditionShape> = serde_json::from_value(json).unwrap();
        of(&shapes)
    }

    #[test]
    fn conditions_are_checked() {
        let check = |json: serde_json::Value, expected: bool| {
            assert_eq!(parse(json.clone()).is_ok(), expected, "{json}");
        };
        let host = |v: &str| json!([{"Field": "host-header", "HostHeaderConfig": {"Values": [v]}}]);
        check(host("*.example.com"), true);
        check(host("example"), false);
        check(host("example.c0m"), false);
        check(host("exa mple.com"), false);
        check(host(&format!("{}.com", "a".repeat(125))), false);
        let path = |v: &str| json!([{"Field": "path-pattern", "Values": [v]}]);
        check(path("/img/*"), true);
        check(path("/img/#"), false);
        check(path("/*/*/*/*/*/*"), true);
        check(path("/*/*/*/*/*/*/*"), false);
        let regex = |field: &str, config: &str, v: &str| json!([{"Field": field, config: {"RegexValues": [v]}}]);
        check(
            regex("path-pattern", "PathPatternConfig", "^/a(b|c)+$"),
            true,
        );
        check(
            regex(
                "host-header",
                "HostHeaderConfig",
                "^[a-z]+\\.example\\.com$",
            ),
            true,
        );
        check(regex("path-pattern", "PathPatternConfig", "^/(a"), false);
        check(regex("path-pattern", "PathPatternConfig", "a(?!b)"), false);
        check(
            regex("path-pattern", "PathPatternConfig", &"a".repeat(129)),
            false,
        );
        check(regex("source-ip", "SourceIpConfig", "a"), false);
        check(
            json!([{"Field": "path-pattern", "RegexValues": ["a"], "Values": ["/a"]}]),
            false,
        );
        check(
            json!([{"Field": "path-pattern", "RegexValues": ["a"]}, {"Field": "path-pattern", "Values": ["/a"]}]),
            false,
        );
        check(
            json!([{"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-A", "RegexValues": ["a"]}}]),
            true,
        );
        let method = |v: &str| json!([{"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": [v]}}]);
        check(method("GET"), true);
        check(method("get"), false);
        let source = |v: &str| json!([{"Field": "source-ip", "SourceIpConfig": {"Values": [v]}}]);
        check(source("10.0.0.0/8"), true);
        check(source("2001:db8::/32"), true);
        check(source("10.0.0.1"), false);
        check(source("255.255.255.255/32"), false);
        let header = |n: &str| json!([{"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": n, "Values": ["x"]}}]);
        check(header("X-Canary"), true);
        check(header("Host"), false);
        check(header("X Canary"), false);
        let query = json!([{"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "v", "Value": "1"}, {"Value": "beta"}]}}]);
        check(query, true);
        check(
            json!([{"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "v"}]}}]),
            false,
        );
        check(json!([]), false);
        check(json!([{"Field": "moon"}]), false);
        check(json!([{"Values": ["/"]}]), false);
        check(json!([{"Field": "path-pattern"}]), false);
        check(
            json!([{"Field": "path-pattern", "Values": ["/a"]}, {"Field": "path-pattern", "Values": ["/b"]}]),
            false,
        );
        check(
            json!([{"Field": "path-pattern", "Values": ["/a", "/b", "/c", "/d", "/e"]}]),
            true,
        );
        check(
            json!([{"Field": "path-pattern", "Values": ["/a", "/b", "/c", "/d", "/e", "/f"]}]),
            false,
        );
        check(
            json!([{"Field": "path-pattern", "HostHeaderConfig": {"Values": ["a.com"]}}]),
            false,
        );
    }

    #[test]
    fn escaped_wildcards_do_not_count() {
        assert_eq!(wildcards_in(r"a*b?"), 2);
        assert_eq!(wildcards_in(r"a\*b\?"), 0);
        assert_eq!(wildcards_in(r"a\\*"), 1);
    }
}
