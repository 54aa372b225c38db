//! REST: an action is a method and a path; what stands in the path, behind the question mark and in
//! the body, which is JSON or XML, are members of one input.
//!
//! Members in the address are text, so an input of JSON reads them as such. Source:
//! `https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html`, `…/aws-restxml-protocol.html`

use crate::action::Action;
use crate::element::Element;
use crate::form;
use crate::rejection::Rejection;
use crate::request::HttpRequest;
use crate::tree::Tree;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Where an action is found, and the status of its answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Route {
    pub method: &'static str,
    /// `/zonalshifts/{zonalShiftId}`: a part in braces is a member. Members behind a question mark
    /// that are not called as there follow it: `/hostedzone?maxitems={MaxItems}`.
    pub path: &'static str,
    pub status: u16,
}

impl Route {
    /// The members that the path holds, decoded; `None` where the request is for another action.
    pub(crate) fn matches(&self, request: &HttpRequest) -> Option<Vec<(&'static str, String)>> {
        if request.method != self.method {
            return None;
        }
        // Route 53 has a path that ends in a slash, which not all of its clients send.
        let bare = |path: &'static str| path.split('?').next().unwrap_or_default();
        let given = request.path.strip_suffix('/').unwrap_or(&request.path);
        let (wanted, given) = (bare(self.path).split('/'), given.split('/'));
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

impl Route {
    /// The member that a parameter behind the question mark is.
    fn member<'n>(&self, parameter: &'n str) -> Cow<'n, str> {
        let (_, query) = self.path.split_once('?').unwrap_or_default();
        let mut named = query.split('&').filter_map(|pair| {
            let (name, member) = pair.split_once('=')?;
            (name == parameter).then(|| member.trim_matches(['{', '}']))
        });
        let member: Option<&'static str> = named.next();
        member.map_or(Cow::Borrowed(parameter), Cow::Borrowed)
    }
}

/// The whole input as one element: of a body of XML the members, and those in the address.
pub(crate) fn tree(
    action: &Action<impl ?Sized>,
    labels: Vec<(&'static str, String)>,
    request: &HttpRequest,
) -> Result<Tree, Rejection> {
    let value = |value: String| Tree::Element(value, Vec::new());
    let mut members = Vec::new();
    if !request.body.trim_ascii().is_empty() {
        let document = Element::read(&request.body).filter(|root| {
            let name = root.name.strip_suffix("Request");
            name == Some(action.name)
        });
        let Some(Tree::Element(_, body)) = document.map(Tree::from) else {
            let why = format!("the body is no {}Request in XML", action.name);
            return Err(Rejection::malformed(why));
        };
        members = body;
    }
    for (name, text) in form::parse(request.query.as_bytes())? {
        if !name.starts_with("X-Amz-") {
            let route = action.route.as_ref();
            let member = route.map_or(Cow::Borrowed(&*name), |r| r.member(&name));
            members.push((member.into_owned(), value(text.into_owned())));
        }
    }
    members.extend(labels.into_iter().map(|(n, v)| (n.to_owned(), value(v))));
    Ok(Tree::Element(String::new(), members))
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
    fn members_behind_the_question_mark_may_have_names_of_their_own() {
        let route = Route {
            method: "GET",
            path: "/things/{Id}?maxitems={MaxItems}&type={Kind}",
            status: 200,
        };
        assert_eq!(route.member("maxitems"), "MaxItems");
        assert_eq!(route.member("type"), "Kind");
        assert_eq!(route.member("other"), "other");
        let request = HttpRequest {
            method: "GET".into(),
            path: "/things/1/".into(),
            ..HttpRequest::default()
        };
        assert_eq!(route.matches(&request), Some(vec![("Id", "1".to_owned())]));
    }

    #[test]
    fn xml_takes_the_form_that_the_type_wants() {
        #[derive(Debug, PartialEq, serde::Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Thing {
            id: String,
            count: Option<u8>,
            #[serde(default)]
            flag: bool,
            names: Vec<String>,
            parts: Vec<Part>,
            most: Option<u8>,
        }
        #[derive(Debug, PartialEq, serde::Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Part {
            value: String,
        }
        let action = crate::action("PutThing", |(): &mut (), _: Thing| Ok(())).at(
            "POST",
            "/things/{Id}?most={Most}",
            200,
        );
        let decode = |body: &str| {
            let request = HttpRequest {
                query: "most=3&X-Amz-Date=1".into(),
                body: body.into(),
                ..HttpRequest::default()
            };
            let tree = tree(&action, vec![("Id", "a".to_owned())], &request)?;
            crate::tree::decode::<Thing>(&tree)
        };
        let body = "<?xml version='1.0'?><PutThingRequest xmlns='urn:x'>
            <Count> 7 </Count><Flag>true</Flag><Names/>
            <Parts><Part><Value>x &amp; y</Value></Part><Part><Value/></Part></Parts>
            </PutThingRequest>";
        let (thing, unclaimed) = decode(body).unwrap();
        let part = |value: &str| Part {
            value: value.into(),
        };
        let expected = Thing {
            id: "a".into(),
            count: Some(7),
            flag: true,
            names: vec![],
            parts: vec![part("x & y"), part("")],
            most: Some(3),
        };
        assert_eq!((thing, unclaimed), (expected, vec![]));
        let inside =
            |inner: &str| format!("<PutThingRequest><Names/><Parts/>{inner}</PutThingRequest>");
        let (_, unclaimed) = decode(&inside("<Odd>1</Odd>")).unwrap();
        assert_eq!(unclaimed, ["Odd"]);
        for wrong in [
            inside("<Count>x</Count>"),
            inside("<Count>300</Count>"),
            inside("<Flag>perhaps</Flag>"),
            inside("<Flag>true</Flag><Flag>true</Flag>"),
            inside("<Id><Deep/></Id>"),
            "<OtherRequest/>".to_owned(),
            "<PutThingRequest>".to_owned(),
            "{}".to_owned(),
        ] {
            assert!(decode(&wrong).is_err(), "{wrong}");
        }
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
