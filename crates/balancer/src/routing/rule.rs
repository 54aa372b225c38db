//! The rules of a listener, compiled, and the search for the one that holds.

use std::net::IpAddr;
use std::rc::Rc;

use httparse::Header;
use ipnet::IpNet;

use super::hint::{Hint, Keys};
use super::pattern::{Patterns, Wildcard};
use super::transform::Rewrites;
use crate::config::{self, Action, Condition, Listener};
use crate::http::request::Request;
use crate::http::target::{decode_unreserved, host_name, normal_path};

/// A listener's rules in the order of their priorities, and its default.
#[derive(Debug)]
pub struct Routes {
    rules: Vec<Rule>,
    /// In the same order.
    hints: Vec<Hint>,
    default: Rc<Action>,
}

#[derive(Debug)]
struct Rule {
    priority: u32,
    matchers: Vec<Matcher>,
    rewrites: Option<Rewrites>,
    action: Rc<Action>,
}

#[derive(Debug)]
enum Matcher {
    Host(Patterns),
    Path(Patterns),
    Header { name: String, values: Patterns },
    Method(Vec<String>),
    Query(Vec<(Option<Wildcard>, Wildcard)>),
    Source(Vec<IpNet>),
}

/// What conditions look at.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub method: &'a str,
    /// Without port.
    pub host: &'a str,
    /// Without query, as sent.
    pub path: &'a str,
    pub query: Option<&'a str>,
    pub headers: &'a [Header<'a>],
    /// The peer of the TCP connection, never `X-Forwarded-For`.
    pub source: IpAddr,
}

/// What was found.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    pub action: &'a Rc<Action>,
    /// What targets are to see instead.
    pub rewrites: Option<&'a Rewrites>,
    /// 0 for the default action.
    pub priority: u32,
    /// Rules looked at, the default not counted.
    pub evaluated: u64,
}

impl<'a> Subject<'a> {
    pub fn of(request: &Request<'a, 'a>, source: IpAddr) -> Subject<'a> {
        Subject {
            method: request.method,
            host: host_name(request.host.unwrap_or("")),
            path: request.target.path,
            query: request.target.query,
            headers: request.headers,
            source,
        }
    }
}

impl Routes {
    /// What cannot be compiled matches nothing and is pushed to `problems`.
    pub fn new(listener: &Listener, problems: &mut Vec<String>) -> Routes {
        let mut sorted: Vec<&config::Rule> = listener.rules.iter().collect();
        sorted.sort_by_key(|rule| rule.priority);
        let hints = sorted.iter().map(|rule| Hint::of(&rule.conditions));
        let rules = sorted.iter().map(|rule| Rule {
            priority: rule.priority,
            matchers: rule
                .conditions
                .iter()
                .map(|condition| compile(condition, problems))
                .collect(),
            rewrites: Rewrites::new(&rule.transforms, problems),
            action: Rc::new(rule.action.clone()),
        });
        Routes {
            rules: rules.collect(),
            hints: hints.collect(),
            default: Rc::new(listener.default_action.clone()),
        }
    }

    pub fn find(&self, subject: &Subject<'_>) -> Found<'_> {
        if self.rules.is_empty() {
            return self.default(0);
        }
        let path = normal_path(subject.path);
        let query = decode_unreserved(subject.query.unwrap_or(""));
        let subject = Subject {
            path: &path,
            query: subject.query.map(|_| query.as_ref()),
            ..*subject
        };
        let keys = Keys::of(&subject);
        let hopeful = (1..)
            .zip(&self.hints)
            .filter(|(_, hint)| hint.allows(&keys));
        for (place, _) in hopeful {
            let rule = &self.rules[place - 1];
            if rule.matchers.iter().all(|matcher| matcher.holds(&subject)) {
                return Found {
                    action: &rule.action,
                    rewrites: rule.rewrites.as_ref(),
                    priority: rule.priority,
                    evaluated: place as u64,
                };
            }
        }
        self.default(self.rules.len() as u64)
    }

    fn default(&self, evaluated: u64) -> Found<'_> {
        Found {
            action: &self.default,
            rewrites: None,
            priority: 0,
            evaluated,
        }
    }
}

fn compile(condition: &Condition, problems: &mut Vec<String>) -> Matcher {
    match condition {
        Condition::HostHeader {
            values,
            regex_values,
        } => Matcher::Host(Patterns::new(values, regex_values, true, problems)),
        Condition::PathPattern {
            values,
            regex_values,
        } => Matcher::Path(Patterns::new(values, regex_values, false, problems)),
        Condition::HttpHeader {
            name,
            values,
            regex_values,
        } => Matcher::Header {
            name: name.clone(),
            values: Patterns::new(values, regex_values, true, problems),
        },
        Condition::HttpRequestMethod { values } => Matcher::Method(values.clone()),
        Condition::QueryString { values } => Matcher::Query(
            values
                .iter()
                .map(|pair| {
                    (
                        pair.key.as_deref().map(Wildcard::with_escapes),
                        Wildcard::with_escapes(&pair.value),
                    )
                })
                .collect(),
        ),
        Condition::SourceIp { values } => Matcher::Source(values.clone()),
    }
}

impl Matcher {
    fn holds(&self, subject: &Subject<'_>) -> bool {
        match self {
            Matcher::Host(patterns) => patterns.match_any(subject.host.as_bytes()),
            Matcher::Path(patterns) => patterns.match_any(subject.path.as_bytes()),
            Matcher::Header { name, values } => subject
                .headers
                .iter()
                .filter(|header| header.name.eq_ignore_ascii_case(name))
                .any(|header| values.match_any(header.value)),
            Matcher::Method(methods) => methods.iter().any(|method| method == subject.method),
            Matcher::Query(pairs) => subject.query.is_some_and(|query| {
                query
                    .split('&')
                    .filter(|pair| !pair.is_empty())
                    .any(|pair| {
                        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                        pairs.iter().any(|(key_pattern, value_pattern)| {
                            key_pattern
                                .as_ref()
                                .is_none_or(|pattern| pattern.matches(key.as_bytes()))
                                && value_pattern.matches(value.as_bytes())
                        })
                    })
            }),
            Matcher::Source(networks) => networks
                .iter()
                .any(|network| network.contains(&subject.source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{FixedResponse, Protocol, QueryValue, Rule as ConfigRule};

    fn answer(status: u16) -> Action {
        Action::FixedResponse(FixedResponse {
            status,
            ..Default::default()
        })
    }

    fn routes(rules: Vec<(u32, Vec<Condition>)>) -> Routes {
        let rules = rules
            .into_iter()
            .map(|(priority, conditions)| ConfigRule {
                priority,
                conditions,
                action: answer(priority as u16),
                transforms: vec![],
            })
            .collect();
        let listener = Listener {
            key: "l".into(),
            port: 80,
            protocol: Protocol::Http,
            tls: None,
            default_action: answer(0),
            rules,
            headers: Default::default(),
            relay: None,
        };
        let mut problems = Vec::new();
        let routes = Routes::new(&listener, &mut problems);
        assert!(problems.is_empty());
        routes
    }

    fn strings(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| value.to_string()).collect()
    }

    fn plain<'a>() -> Subject<'a> {
        Subject {
            method: "GET",
            host: "www.Example.com",
            path: "/img/a.png",
            query: Some("Version=v1&empty&x=a%62c"),
            headers: &[],
            source: IpAddr::from([10, 0, 3, 4]),
        }
    }

    fn check(condition: Condition, subject: Subject<'_>, expected: bool) {
        let found = routes(vec![(1, vec![condition.clone()])])
            .find(&subject)
            .priority;
        assert_eq!(found == 1, expected, "{condition:?}");
    }

    #[test]
    fn conditions() {
        let host = |values: &[&str]| Condition::HostHeader {
            values: strings(values),
            regex_values: vec![],
        };
        check(host(&["*.example.com"]), plain(), true);
        check(host(&["example.com", "WWW.EXAMPLE.COM"]), plain(), true);
        check(
            host(&["*.example.com"]),
            Subject {
                host: "example.com",
                ..plain()
            },
            false,
        );

        let path = |values: &[&str]| Condition::PathPattern {
            values: strings(values),
            regex_values: vec![],
        };
        check(path(&["/img/*"]), plain(), true);
        check(path(&["/IMG/*"]), plain(), false);
        check(
            path(&["/admin*"]),
            Subject {
                path: "/img/%2e./admin",
                ..plain()
            },
            true,
        );
        let expression = Condition::PathPattern {
            values: vec![],
            regex_values: strings(&[r"^/img/.*\.png$"]),
        };
        check(expression, plain(), true);

        let headers = [
            Header {
                name: "X-Env",
                value: b"Test",
            },
            Header {
                name: "x-env",
                value: b"prod-1",
            },
        ];
        let header = |value: &str| Condition::HttpHeader {
            name: "X-ENV".into(),
            values: strings(&[value]),
            regex_values: vec![],
        };
        check(
            header("PROD-?"),
            Subject {
                headers: &headers,
                ..plain()
            },
            true,
        );
        check(
            header("prod"),
            Subject {
                headers: &headers,
                ..plain()
            },
            false,
        );
        check(header("*"), plain(), false);

        let method = |values: &[&str]| Condition::HttpRequestMethod {
            values: strings(values),
        };
        check(method(&["PUT", "GET"]), plain(), true);
        check(method(&["get"]), plain(), false);

        let query = |key: Option<&str>, value: &str| Condition::QueryString {
            values: vec![QueryValue {
                key: key.map(Into::into),
                value: value.into(),
            }],
        };
        check(query(Some("version"), "V1"), plain(), true);
        check(query(Some("version"), "v2"), plain(), false);
        check(query(None, "v*"), plain(), true);
        check(query(Some("empty"), ""), plain(), true);
        check(query(Some("x"), "abc"), plain(), true);
        check(
            query(None, "*"),
            Subject {
                query: None,
                ..plain()
            },
            false,
        );

        let source = |network: &str| Condition::SourceIp {
            values: vec![network.parse().unwrap()],
        };
        check(source("10.0.0.0/16"), plain(), true);
        check(source("10.0.0.0/24"), plain(), false);
        check(source("::/0"), plain(), false);
    }

    #[test]
    fn lowest_priority_wins_and_conditions_add_up() {
        let path = |value: &str| Condition::PathPattern {
            values: strings(&[value]),
            regex_values: vec![],
        };
        let put = Condition::HttpRequestMethod {
            values: strings(&["PUT"]),
        };
        let routes = routes(vec![
            (30, vec![path("/*")]),
            (10, vec![path("/img/*"), put]),
            (20, vec![path("/img/*")]),
        ]);
        let find = |subject| {
            let found = routes.find(&subject);
            (found.priority, found.evaluated)
        };
        assert_eq!(find(plain()), (20, 2));
        assert_eq!(
            find(Subject {
                method: "PUT",
                ..plain()
            }),
            (10, 1)
        );
        assert_eq!(
            find(Subject {
                path: "/x",
                ..plain()
            }),
            (30, 3)
        );
        assert_eq!(
            find(Subject {
                path: "*",
                ..plain()
            }),
            (0, 3)
        );
    }
}
