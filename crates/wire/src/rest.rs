//! REST with JSON: an action is a method and a path; what stands in the path, behind the question
//! mark and in the body are members of one input.
//!
//! Members in the address are text, so an input reads them as such. Source:
//! `https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html`

use crate::form;
use crate::rejection::Rejection;
use crate::request::HttpRequest;
use serde_json::{Map, Value};

/// Where an action is found, and the status of its answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Route {
    pub method: &'static str,
    /// `/zonalshifts/{zonalShiftId}`: a part in braces is a member.
    pub path: &'static str,
    pub status: u16,
}

impl Route {
    /// The members that the path holds, decoded; `None` where the request is for another action.
    pub(crate) fn matches(&self, request: &HttpRequest) -> Option<Vec<(&'static str, String)>> {
        if request.method != self.method {
            return None;
        }
        let (wanted, given) = (self.path.split('/'), request.path.split('/'));
        if wanted.clone().count() != given.clone().count() {
            return None;
        }
        let mut labels = Vec::new();
        for (wanted, given) in wanted.zip(given) {
            let label = wanted.strip_prefix('{').and_then(|w| w.strip_suffix('}'));
            match label {
                Some(name) if !given.is_empty() => {
                    let value = percent_encoding::percent_decode_str(given).decode_utf8();
                    labels.push((name, value.ok()?.into_owned()));
                }
                None if wanted == given => {}
                _ => return None,
            }
        }
        Some(labels)
    }
}

/// The whole input as one JSON object.
pub(crate) fn input(
    labels: Vec<(&'static str, String)>,
    request: &HttpRequest,
) -> Result<Vec<u8>, Rejection> {
    let body = request.body.trim_ascii();
    let mut members: Map<String, Value> = match body.is_empty() {
        true => Map::new(),
        false => serde_json::from_slice(body).map_err(|e| Rejection::malformed(e.to_string()))?,
    };
    for (name, value) in form::parse(request.query.as_bytes())? {
        if !name.starts_with("X-Amz-") {
            members.insert(name.into_owned(), value.into_owned().into());
        }
    }
    for (name, value) in labels {
        members.insert(name.to_owned(), value.into());
    }
    Ok(Value::Object(members).to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_hold_members() {
        let route = Route {
            method: "GET",
            path: "/things/{id}/parts",
            status: 200,
        };
        let check = |method: &str, path: &str, expected: Option<&str>| {
            let request = HttpRequest {
                method: method.into(),
                path: path.into(),
                ..HttpRequest::default()
            };
            let found = route.matches(&request);
            let expected = expected.map(|id| vec![("id", id.to_owned())]);
            assert_eq!(found, expected, "{method} {path}");
        };
        check("GET", "/things/1/parts", Some("1"));
        check(
            "GET",
            "/things/arn%3Aaws%3Aa%2Fb/parts",
            Some("arn:aws:a/b"),
        );
        check("POST", "/things/1/parts", None);
        check("GET", "/things//parts", None);
        check("GET", "/things/1", None);
        check("GET", "/things/1/parts/2", None);
        check("GET", "/things/%ff/parts", None);
    }

    #[test]
    fn one_input_of_all_places() {
        let request = HttpRequest {
            query: "status=ACTIVE&X-Amz-Date=1".into(),
            body: br#"{"comment":"why"}"#.to_vec(),
            ..HttpRequest::default()
        };
        let input = |request: &HttpRequest| input(vec![("id", "1".into())], request);
        let text = String::from_utf8(input(&request).unwrap()).unwrap();
        assert_eq!(text, r#"{"comment":"why","id":"1","status":"ACTIVE"}"#);
        let list = HttpRequest {
            body: b"[1]".to_vec(),
            ..HttpRequest::default()
        };
        assert!(input(&list).is_err());
    }
}
