//! Which protocol a request speaks, and what it asks for.
//!
//! One endpoint serves every service, so the service is read from the scope of
//! the signature, as AWS's own front ends do; the action from whatever the
//! protocol keeps it in.

use crate::auth::Credential;
use crate::error::ApiError;
use crate::form::{self, Pairs};
use crate::request::{HttpRequest, HttpResponse};
use std::borrow::Cow;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// ec2Query: flat lists in, `<item>` lists out.
    Ec2,
    /// awsQuery: `member` lists in and out, answers wrapped in a result.
    Query,
    Json10,
    Json11,
    /// rpc-v2-cbor.
    Cbor,
    /// restJson1: the method and the path name the action.
    RestJson,
    /// restXml with a body or members in the address: the method and the path name the action.
    RestXml,
    /// restXml as S3 has it: bound by hand; here for its errors, which nothing wraps.
    S3,
}

impl Protocol {
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Ec2 => "text/xml;charset=UTF-8",
            Self::Query => "text/xml",
            Self::Json10 => "application/x-amz-json-1.0",
            Self::Json11 => "application/x-amz-json-1.1",
            Self::Cbor => "application/cbor",
            Self::RestJson => "application/json",
            Self::RestXml => "text/xml",
            Self::S3 => "application/xml",
        }
    }

    pub(crate) fn is_xml(self) -> bool {
        matches!(self, Self::Ec2 | Self::Query | Self::RestXml | Self::S3)
    }

    /// Adds the headers that every answer of this protocol carries.
    pub(crate) fn mark(self, response: HttpResponse, request_id: &str) -> HttpResponse {
        match self {
            Self::S3 => response.with_header("x-amz-request-id", request_id),
            Self::Cbor => response
                .with_header("x-amzn-requestid", request_id)
                .with_header("smithy-protocol", CBOR_PROTOCOL),
            _ => response.with_header("x-amzn-requestid", request_id),
        }
    }
}

/// One request, told apart but not yet decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct Call<'a> {
    /// The scope of the signature; `None` when unsigned.
    pub credential: Option<Credential>,
    pub payload: Payload<'a>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Payload<'a> {
    /// ec2 or Query: the two look alike, the service says which.
    Form {
        action: String,
        version: Option<String>,
        /// Without `Action`, `Version` and what signs the request.
        params: Pairs<'a>,
    },
    Json {
        /// `GraniteServiceVersion20100801` of `X-Amz-Target: GraniteServiceVersion20100801.PutMetricData`.
        target_prefix: &'a str,
        action: &'a str,
        protocol: Protocol,
        body: &'a [u8],
    },
    Cbor {
        /// From the path, as is the action.
        service_name: &'a str,
        action: &'a str,
        body: &'a [u8],
    },
    /// Anything else: the path and the method say what it is.
    Rest(&'a HttpRequest),
}

const CBOR_PROTOCOL: &str = "rpc-v2-cbor";

impl<'a> Call<'a> {
    pub fn detect(request: &'a HttpRequest) -> Result<Self, ApiError> {
        Ok(Self {
            credential: Credential::of(request),
            payload: Payload::of(request)?,
        })
    }

    /// As signed for (`ec2`, `monitoring`, …).
    pub fn service(&self) -> Option<&str> {
        self.credential.as_ref().map(|c| c.service.as_str())
    }

    /// The name of the action; `None` for REST.
    pub fn action(&self) -> Option<&str> {
        match &self.payload {
            Payload::Form { action, .. } => Some(action),
            Payload::Json { action, .. } | Payload::Cbor { action, .. } => Some(action),
            Payload::Rest(_) => None,
        }
    }
}

impl<'a> Payload<'a> {
    /// As far as the request alone tells; a form may be ec2 after all, and REST have
    /// JSON or an XML of its own.
    pub fn protocol(&self) -> Protocol {
        match self {
            Self::Form { .. } => Protocol::Query,
            Self::Json { protocol, .. } => *protocol,
            Self::Cbor { .. } => Protocol::Cbor,
            Self::Rest(_) => Protocol::S3,
        }
    }

    fn of(request: &'a HttpRequest) -> Result<Self, ApiError> {
        if let Some(target) = request.header("x-amz-target") {
            return json(request, target);
        }
        if request.header("smithy-protocol") == Some(CBOR_PROTOCOL) {
            return cbor(request);
        }
        // Query calls go to the root; below it a form is somebody's upload to S3.
        let (is_form, raw) = match request.method.as_str() {
            _ if request.path.len() > 1 => (false, &[][..]),
            "POST" => {
                let is_form = request.media_type() == "application/x-www-form-urlencoded";
                (is_form, request.body.as_slice())
            }
            "GET" => (is_action(&request.query), request.query.as_bytes()),
            _ => (false, &[][..]),
        };
        if is_form {
            form_call(raw)
        } else {
            Ok(Self::Rest(request))
        }
    }
}

fn is_action(query: &str) -> bool {
    query.split('&').any(|pair| pair.starts_with("Action="))
}

fn json<'a>(request: &'a HttpRequest, target: &'a str) -> Result<Payload<'a>, ApiError> {
    let Some((target_prefix, action)) = target.rsplit_once('.') else {
        let message = format!("The target {target} is not recognized");
        return Err(ApiError::client("UnknownOperationException", message));
    };
    let protocol = match request.media_type().as_str() {
        "application/x-amz-json-1.0" => Protocol::Json10,
        _ => Protocol::Json11,
    };
    Ok(Payload::Json {
        target_prefix,
        action,
        protocol,
        body: &request.body,
    })
}

fn cbor(request: &HttpRequest) -> Result<Payload<'_>, ApiError> {
    let named = request.path.strip_prefix("/service/");
    let Some((service_name, action)) = named.and_then(|rest| rest.split_once("/operation/")) else {
        let message = format!("The path {} names no operation", request.path);
        return Err(ApiError::not_found("UnknownOperationException", message));
    };
    Ok(Payload::Cbor {
        service_name,
        action,
        body: &request.body,
    })
}

fn form_call(raw: &[u8]) -> Result<Payload<'_>, ApiError> {
    // Which of the two form protocols it is nobody knows yet; both word these errors alike.
    let pairs = form::parse(raw).map_err(|rejection| rejection.into_error(Protocol::Query))?;
    let mut action = None;
    let mut version = None;
    let mut params = Vec::with_capacity(pairs.len());
    for (name, value) in pairs {
        match &*name {
            "Action" => set_once(&mut action, value)?,
            "Version" => set_once(&mut version, value)?,
            // A presigned GET carries its signature among the parameters.
            _ if name.starts_with("X-Amz-") => {}
            _ => params.push((name, value)),
        }
    }
    let Some(action) = action else {
        let message = "The request must contain the parameter Action";
        return Err(ApiError::client("MissingAction", message));
    };
    Ok(Payload::Form {
        action,
        version,
        params,
    })
}

fn set_once(slot: &mut Option<String>, value: Cow<'_, str>) -> Result<(), ApiError> {
    if slot.is_some() {
        let message = "The parameters Action and Version must be given once";
        return Err(ApiError::client("MalformedQueryString", message));
    }
    *slot = Some(value.into_owned());
    Ok(())
}
