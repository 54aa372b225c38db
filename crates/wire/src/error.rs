//! An error of the API, and the only place that draws it for each protocol.

use crate::markup::{DECLARATION, open, push_element};
use crate::protocol::Protocol;
use crate::request::HttpResponse;
use std::borrow::Cow;

/// What an action refuses with: AWS's code and text.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    pub code: Cow<'static, str>,
    /// For the caller; a sentence in AWS's wording.
    pub message: String,
    /// Below 500 the caller is at fault, from there on we are.
    pub status: u16,
    /// What the error is about; S3 alone writes it.
    pub resource: Option<String>,
    /// Elements of its own that AWS adds to the error; S3 alone writes them.
    pub details: Vec<(&'static str, String)>,
}

impl ApiError {
    pub fn new(
        status: u16,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            status,
            resource: None,
            details: Vec::new(),
        }
    }

    /// The caller's mistake, status 400: what nearly every AWS error is.
    pub fn client(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(400, code, message)
    }

    /// The caller's mistake with status 404 (IAM, S3; EC2 answers 400 for what it cannot find).
    pub fn not_found(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(404, code, message)
    }

    /// Our fault. `message` goes to the caller: log the cause apart.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "InternalFailure", message)
    }

    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub fn with_resource(mut self, resource: impl Into<String>) -> Self {
        self.resource = Some(resource.into());
        self
    }

    pub fn with_detail(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.details.push((name, value.into()));
        self
    }

    fn is_sender_fault(&self) -> bool {
        self.status < 500
    }
}

/// How a service words its errors beyond what the protocol says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ErrorStyle {
    /// The namespace of Query error documents.
    pub xml_namespace: &'static str,
    /// As [`crate::Service::query_errors`].
    pub query_errors: Option<&'static [(&'static str, &'static str)]>,
}

impl ErrorStyle {
    /// What JSON and CBOR name an error by.
    fn shape<'c>(&self, code: &'c str) -> &'c str {
        let mut named = self.query_errors.unwrap_or_default().iter();
        named
            .find(|(query, _)| *query == code)
            .map_or(code, |(_, shape)| shape)
    }
}

impl ApiError {
    pub fn into_response(
        self,
        protocol: Protocol,
        style: ErrorStyle,
        request_id: &str,
    ) -> HttpResponse {
        let response = HttpResponse::new(self.status);
        let body = match protocol {
            Protocol::Ec2 => self.ec2_body(request_id),
            Protocol::Query | Protocol::RestXml => self.query_body(style.xml_namespace, request_id),
            Protocol::S3 => self.s3_body(request_id),
            Protocol::Json10 | Protocol::Json11 => self.json_body(style.shape(&self.code)),
            Protocol::RestJson => self.rest_json_body(),
            Protocol::Cbor => self.cbor_body(style.shape(&self.code)),
        };
        let mut response = protocol.mark(
            response.with_body(protocol.content_type(), body),
            request_id,
        );
        if protocol == Protocol::RestJson {
            response = response.with_header("x-amzn-errortype", &*self.code);
        }
        if style.query_errors.is_some() && !protocol.is_xml() {
            let fault = if self.is_sender_fault() {
                "Sender"
            } else {
                "Receiver"
            };
            response = response.with_header("x-amzn-query-error", format!("{};{fault}", self.code));
        }
        response
    }

    fn ec2_body(&self, request_id: &str) -> Vec<u8> {
        let mut out = String::from(DECLARATION);
        out.push_str("<Response><Errors><Error>");
        push_element(&mut out, "Code", &self.code);
        push_element(&mut out, "Message", &self.message);
        out.push_str("</Error></Errors>");
        push_element(&mut out, "RequestID", request_id);
        out.push_str("</Response>");
        out.into_bytes()
    }

    fn query_body(&self, namespace: &str, request_id: &str) -> Vec<u8> {
        let fault = if self.is_sender_fault() {
            "Sender"
        } else {
            "Receiver"
        };
        let mut out = String::new();
        open(&mut out, "ErrorResponse", namespace);
        out.push_str("<Error>");
        push_element(&mut out, "Type", fault);
        push_element(&mut out, "Code", &self.code);
        push_element(&mut out, "Message", &self.message);
        out.push_str("</Error>");
        push_element(&mut out, "RequestId", request_id);
        out.push_str("</ErrorResponse>");
        out.into_bytes()
    }

    fn s3_body(&self, request_id: &str) -> Vec<u8> {
        let mut out = String::from(DECLARATION);
        out.push_str("<Error>");
        push_element(&mut out, "Code", &self.code);
        push_element(&mut out, "Message", &self.message);
        if let Some(resource) = &self.resource {
            push_element(&mut out, "Resource", resource);
        }
        for (name, value) in &self.details {
            push_element(&mut out, name, value);
        }
        push_element(&mut out, "RequestId", request_id);
        push_element(&mut out, "HostId", request_id);
        out.push_str("</Error>");
        out.into_bytes()
    }

    fn json_body(&self, shape: &str) -> Vec<u8> {
        let body = serde_json::json!({ "__type": shape, "message": self.message });
        body.to_string().into_bytes()
    }

    /// The code is in a header; what the error says besides stands beside the message.
    fn rest_json_body(&self) -> Vec<u8> {
        let mut body = serde_json::json!({ "message": self.message });
        for (name, value) in &self.details {
            body[*name] = value.as_str().into();
        }
        body.to_string().into_bytes()
    }

    fn cbor_body(&self, shape: &str) -> Vec<u8> {
        let fields = [("__type", shape), ("message", &*self.message)];
        let fields = fields.map(|(name, value)| (name.into(), value.into()));
        let mut out = Vec::new();
        // Writing to memory cannot fail.
        let _ = ciborium::into_writer(&ciborium::Value::Map(fields.to_vec()), &mut out);
        out
    }
}
