//! A service: the list of its actions and what its protocols need to know.
//!
//! Dispatch, the coverage table and the docs all come from that one list.

use crate::action::{Action, Answer, Input, Prepared};
use crate::error::{ApiError, ErrorStyle};
use crate::markup::{DECLARATION, close, open, push_element};
use crate::protocol::{Call, Payload, Protocol};
use crate::query::Lists;
use crate::rejection::{Fault, Rejection, Step};
use crate::request::{Body, HttpRequest, HttpResponse};
use crate::rest;
use crate::xml::{self, Headers, Text};

pub struct Service<Ctx: ?Sized> {
    /// In the scope of signatures: `ec2`, `elasticloadbalancing`, `monitoring`, …
    pub name: &'static str,
    /// Of the API, `2016-11-15`; tells unsigned Query calls apart.
    pub version: &'static str,
    pub xml_namespace: &'static str,
    pub query_kind: Option<QueryKind>,
    /// `GraniteServiceVersion20100801` where the service speaks JSON.
    pub json_target_prefix: Option<&'static str>,
    /// It speaks REST, with JSON or with XML: its actions have routes.
    pub rest: Option<Protocol>,
    /// The name in the path of rpc-v2-cbor calls.
    pub cbor_service_name: Option<&'static str>,
    /// JSON and CBOR errors also carry the Query code (`awsQueryCompatible`): where that differs from
    /// the shape's name, both.
    pub query_errors: Option<&'static [(&'static str, &'static str)]>,
    /// Turns inputs that do not fit into errors, where the service has words of its own.
    pub reject: fn(Rejection, Protocol) -> ApiError,
    pub actions: Vec<Action<Ctx>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryKind {
    Ec2,
    Query,
}

/// A call that has been decoded and waits for its turn.
pub struct Job<'s, Ctx: ?Sized> {
    pub action: &'s Action<Ctx>,
    pub protocol: Protocol,
    pub input: Box<dyn Prepared<Ctx>>,
}

impl<Ctx: ?Sized> Service<Ctx> {
    /// A service that speaks nothing yet; the caller fills in what applies.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            version: "",
            xml_namespace: "",
            query_kind: None,
            json_target_prefix: None,
            rest: None,
            cbor_service_name: None,
            query_errors: None,
            reject: Rejection::into_error,
            actions: Vec::new(),
        }
    }

    /// Whether `call` is for this service. JSON and CBOR calls name it themselves, a
    /// Query call does by its signature, an unsigned one by the version.
    pub fn answers(&self, call: &Call<'_>) -> bool {
        match &call.payload {
            Payload::Json { target_prefix, .. } => self.json_target_prefix == Some(target_prefix),
            Payload::Cbor { service_name, .. } => self.cbor_service_name == Some(service_name),
            Payload::Form { version, .. } => match call.service() {
                Some(service) => service == self.name,
                None => self.query_kind.is_some() && version.as_deref() == Some(self.version),
            },
            Payload::Rest(_) => call.service() == Some(self.name),
        }
    }

    /// Finds the action and decodes its input.
    pub fn prepare(&self, call: &Call<'_>) -> Result<Job<'_, Ctx>, ApiError> {
        let protocol = self.protocol(call);
        if let Payload::Rest(request) = &call.payload {
            return self.prepare_rest(request, protocol);
        }
        let name = call.action().unwrap_or_default();
        let spoken = match &call.payload {
            Payload::Form { .. } => self.query_kind.is_some(),
            Payload::Json { .. } => self.json_target_prefix.is_some(),
            Payload::Cbor { .. } => self.cbor_service_name.is_some(),
            Payload::Rest(_) => false,
        };
        let mut actions = self.actions.iter();
        let Some(action) = actions.find(|action| spoken && action.name == name) else {
            return Err(unknown_action(name, protocol));
        };
        let input = match &call.payload {
            Payload::Form { params, .. } if protocol == Protocol::Ec2 => {
                Input::Form(params, Lists::Flat)
            }
            Payload::Form { params, .. } => Input::Form(params, Lists::Member),
            Payload::Cbor { body, .. } => Input::Cbor(body),
            Payload::Json { body, .. } => Input::Json(body),
            Payload::Rest(_) => Input::Json(&[]),
        };
        self.job(action, protocol, input)
    }

    /// Like [`Self::prepare`]; the action is found by its route.
    fn prepare_rest(
        &self,
        request: &HttpRequest,
        protocol: Protocol,
    ) -> Result<Job<'_, Ctx>, ApiError> {
        let found = self.actions.iter().find_map(|action| {
            let labels = action.route.as_ref()?.matches(request)?;
            Some((action, labels))
        });
        let Some((action, labels)) = found.filter(|_| self.rest.is_some()) else {
            let name = format!("{} {}", request.method, request.path);
            return Err(unknown_action(&name, protocol));
        };
        let reject = |rejection| (self.reject)(rejection, protocol);
        if protocol == Protocol::RestXml {
            let tree = rest::tree(action, labels, request).map_err(reject)?;
            return self.job(action, protocol, Input::Tree(&tree));
        }
        let body = rest::input(labels, request).map_err(reject)?;
        self.job(action, protocol, Input::Json(&body))
    }

    fn job<'s>(
        &self,
        action: &'s Action<Ctx>,
        protocol: Protocol,
        input: Input<'_>,
    ) -> Result<Job<'s, Ctx>, ApiError> {
        let reject = |rejection| (self.reject)(rejection, protocol);
        let (input, unclaimed) = action.decode(input).map_err(reject)?;
        match unclaimed.into_iter().next() {
            None => Ok(Job {
                action,
                protocol,
                input,
            }),
            Some(name) => Err(reject(Rejection {
                path: vec![Step::Member(name)],
                fault: Fault::Unknown,
            })),
        }
    }

    /// The protocol in which `call` wants its answer.
    pub fn protocol(&self, call: &Call<'_>) -> Protocol {
        match &call.payload {
            Payload::Form { .. } if self.query_kind == Some(QueryKind::Ec2) => Protocol::Ec2,
            Payload::Rest(_) => self.rest.unwrap_or(Protocol::S3),
            other => other.protocol(),
        }
    }

    /// Encodes what an action returned.
    pub fn success(
        &self,
        protocol: Protocol,
        action: &str,
        answer: &dyn Answer,
        request_id: &str,
    ) -> HttpResponse {
        match self.body(protocol, action, answer, request_id) {
            Ok((body, _)) if body.is_empty() => protocol.mark(HttpResponse::new(200), request_id),
            Ok((body, headers)) => {
                let mut routed = self.actions.iter().filter(|a| a.name == action);
                let route = routed.next().and_then(|a| a.route);
                let status = route.map_or(200, |r| r.status);
                let response = HttpResponse::new(status).with_body(protocol.content_type(), body);
                let response = headers
                    .into_iter()
                    .fold(response, |r, (name, value)| r.with_header(name, value));
                protocol.mark(response, request_id)
            }
            Err(error) => self.failure(protocol, error, request_id),
        }
    }

    pub fn failure(&self, protocol: Protocol, error: ApiError, request_id: &str) -> HttpResponse {
        let style = ErrorStyle {
            xml_namespace: self.xml_namespace,
            query_errors: self.query_errors,
        };
        error.into_response(protocol, style, request_id)
    }

    /// All three steps at once, for callers that hold `ctx` anyway.
    pub fn call(&self, ctx: &mut Ctx, call: &Call<'_>, request_id: &str) -> HttpResponse {
        let ran = self.prepare(call).and_then(|job| {
            let answer = job.input.run(ctx)?;
            Ok((job.action.name, answer))
        });
        let protocol = self.protocol(call);
        match ran {
            Ok((name, answer)) => self.success(protocol, name, &*answer, request_id),
            Err(error) => self.failure(protocol, error, request_id),
        }
    }

    fn body(
        &self,
        protocol: Protocol,
        action: &str,
        answer: &dyn Answer,
        request_id: &str,
    ) -> Result<(Body, Headers), ApiError> {
        let body = match protocol {
            Protocol::Ec2 => self.ec2_body(action, answer, request_id)?.into(),
            Protocol::Query => self.query_body(action, answer, request_id)?.into(),
            Protocol::Json10 | Protocol::Json11 | Protocol::RestJson => match answer.to_json()? {
                null if null == b"null" => "{}".into(),
                body => body.into(),
            },
            // An operation without output has no body either; 0xf6 is null.
            Protocol::Cbor => match answer.to_cbor()? {
                null if null == [0xf6] => Body::default(),
                body => body.into(),
            },
            Protocol::RestXml => {
                let mut text = self.rest_body(action, answer)?;
                let headers = std::mem::take(&mut text.headers);
                return Ok((text.into(), headers));
            }
            Protocol::S3 => {
                return Err(ApiError::internal("REST answers are not made of actions"));
            }
        };
        Ok((body, Vec::new()))
    }

    fn ec2_body(
        &self,
        action: &str,
        answer: &dyn Answer,
        request_id: &str,
    ) -> Result<Text, ApiError> {
        let root = format!("{action}Response");
        let mut out = Text::default();
        out.own.push_str(DECLARATION);
        open(&mut out.own, &root, self.xml_namespace);
        push_element(&mut out.own, "requestId", request_id);
        answer.write_xml(&mut out, xml::EC2)?;
        close(&mut out.own, &root);
        Ok(out)
    }

    fn rest_body(&self, action: &str, answer: &dyn Answer) -> Result<Text, ApiError> {
        let root = format!("{action}Response");
        let mut out = Text::default();
        out.own.push_str(DECLARATION);
        open(&mut out.own, &root, self.xml_namespace);
        answer.write_xml(&mut out, xml::QUERY)?;
        close(&mut out.own, &root);
        Ok(out)
    }

    fn query_body(
        &self,
        action: &str,
        answer: &dyn Answer,
        request_id: &str,
    ) -> Result<Text, ApiError> {
        let (root, result) = (format!("{action}Response"), format!("{action}Result"));
        let mut out = Text::default();
        open(&mut out.own, &root, self.xml_namespace);
        let before = out.own.len();
        open(&mut out.own, &result, "");
        if answer.write_xml(&mut out, xml::QUERY)? {
            close(&mut out.own, &result);
        } else {
            out.own.truncate(before);
        }
        out.own.push_str("<ResponseMetadata>");
        push_element(&mut out.own, "RequestId", request_id);
        out.own.push_str("</ResponseMetadata>");
        close(&mut out.own, &root);
        Ok(out)
    }
}

fn unknown_action(name: &str, protocol: Protocol) -> ApiError {
    match protocol {
        Protocol::Ec2 | Protocol::Query => {
            let message = format!("The action {name} is not valid for this web service.");
            ApiError::client("InvalidAction", message)
        }
        _ => ApiError::client(
            "UnknownOperationException",
            format!("The operation {name} is not known."),
        ),
    }
}
