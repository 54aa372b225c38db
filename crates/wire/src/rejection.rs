//! Why the bytes of a request do not fit the input of its action.
//!
//! The decoders say what is wrong and where; which AWS error that becomes
//! differs by protocol and is decided in one place, [`Rejection::into_error`].

use crate::error::ApiError;
use crate::protocol::Protocol;
use serde::de;
use std::fmt::{self, Write};

#[derive(Clone, Debug, PartialEq)]
pub struct Rejection {
    /// From the root to the member at fault, in names of the wire.
    pub path: Vec<Step>,
    pub fault: Fault,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Member(String),
    /// Position in a list, from 1.
    Index(u32),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    Missing,
    /// No member of that name exists.
    Unknown,
    /// The value of an enum is none of those allowed.
    NotAllowed {
        value: String,
        allowed: Vec<String>,
    },
    /// The value cannot be read; `why` is a fragment such as "expected an integer".
    Invalid {
        value: String,
        why: String,
    },
    /// The request as a whole cannot be read.
    Malformed(String),
}

impl Rejection {
    pub fn malformed(why: String) -> Self {
        Self {
            path: Vec::new(),
            fault: Fault::Malformed(why),
        }
    }

    /// The same fault, seen from one level further out. One that has no place
    /// yet is about the value found there.
    pub(crate) fn at(mut self, step: Step, value: impl FnOnce() -> String) -> Self {
        if let (true, Fault::Malformed(why)) = (self.path.is_empty(), &mut self.fault) {
            let why = std::mem::take(why);
            self.fault = Fault::Invalid {
                value: value(),
                why,
            };
        }
        // Errors are rare and paths short: no need to build it the other way round.
        self.path.insert(0, step);
        self
    }

    /// The error AWS's services of that protocol answer with.
    pub fn into_error(self, protocol: Protocol) -> ApiError {
        match protocol {
            Protocol::Ec2 => self.into_ec2(),
            Protocol::Query => self.into_query(),
            Protocol::Json10 | Protocol::Json11 | Protocol::Cbor | Protocol::RestJson => {
                self.into_json()
            }
            Protocol::RestXml | Protocol::S3 => self.into_rest(),
        }
    }

    /// EC2's own codes: docs.aws.amazon.com/ec2/latest/devguide/errors-overview.html
    fn into_ec2(self) -> ApiError {
        let name = self.dotted();
        match self.fault {
            Fault::Missing => {
                let message = format!("The request must contain the parameter {name}");
                ApiError::client("MissingParameter", message)
            }
            Fault::Unknown => {
                let message = format!("The parameter {name} is not recognized");
                ApiError::client("UnknownParameter", message)
            }
            Fault::NotAllowed { value, allowed } => {
                let allowed = allowed.join(", ");
                let message = format!(
                    "Value ({value}) for parameter {name} is invalid. Allowed values: {allowed}"
                );
                ApiError::client("InvalidParameterValue", message)
            }
            Fault::Invalid { value, why } => {
                let message = format!(
                    "Value ({value}) for parameter {name} is invalid. {}",
                    sentence(&why)
                );
                ApiError::client("InvalidParameterValue", message)
            }
            Fault::Malformed(why) => ApiError::client("InvalidQueryParameter", sentence(&why)),
        }
    }

    /// The wording of the framework behind AWS's Query services (IAM, STS, ELBv2, Auto Scaling).
    fn into_query(self) -> ApiError {
        match &self.fault {
            Fault::Missing | Fault::NotAllowed { .. } => self.into_constraint("ValidationError"),
            Fault::Unknown => {
                let message = format!("The parameter {} is not recognized", self.dotted());
                ApiError::client("InvalidQueryParameter", message)
            }
            Fault::Invalid { value, why } => {
                let at = self.dotted();
                let message = format!("Value '{value}' at {at}: {why}");
                ApiError::client("MalformedInput", message)
            }
            Fault::Malformed(why) => ApiError::client("MalformedQueryString", sentence(why)),
        }
    }

    fn into_json(self) -> ApiError {
        match &self.fault {
            Fault::Missing | Fault::NotAllowed { .. } => {
                self.into_constraint("ValidationException")
            }
            Fault::Unknown => {
                let message = format!("The parameter {} is not recognized", self.dotted());
                ApiError::client("ValidationException", message)
            }
            Fault::Invalid { value, why } => {
                let at = self.dotted();
                let message = format!("Value '{value}' at {at}: {why}");
                ApiError::client("SerializationException", message)
            }
            Fault::Malformed(why) => ApiError::client("SerializationException", sentence(why)),
        }
    }

    fn into_rest(self) -> ApiError {
        let name = self.dotted();
        match self.fault {
            Fault::Missing => ApiError::client("InvalidRequest", format!("{name} is missing")),
            Fault::Malformed(why) => ApiError::client("InvalidRequest", sentence(&why)),
            Fault::Unknown => {
                let message = format!("{name} is not recognized");
                ApiError::client("InvalidArgument", message)
            }
            Fault::NotAllowed { value, .. } | Fault::Invalid { value, .. } => {
                let message = format!("Value ({value}) for {name} is invalid");
                ApiError::client("InvalidArgument", message)
            }
        }
    }

    fn into_constraint(self, code: &'static str) -> ApiError {
        let (value, constraint) = match &self.fault {
            Fault::NotAllowed { value, allowed } => {
                let set = allowed.join(", ");
                let constraint = format!("Member must satisfy enum value set: [{set}]");
                (format!("'{value}'"), constraint)
            }
            _ => ("null".to_owned(), "Member must not be null".to_owned()),
        };
        let at = self.member_path();
        let message = format!(
            "1 validation error detected: Value {value} at '{at}' failed to satisfy constraint: {constraint}"
        );
        ApiError::client(code, message)
    }

    /// `TagSpecification.1.ResourceType`
    fn dotted(&self) -> String {
        let steps: Vec<String> = self.path.iter().map(Step::to_string).collect();
        steps.join(".")
    }

    /// `tags.1.member.resourceType`, as in the messages of validation errors.
    fn member_path(&self) -> String {
        let mut out = String::new();
        for step in &self.path {
            if !out.is_empty() {
                out.push('.');
            }
            match step {
                Step::Member(name) => push_lower_first(&mut out, name),
                Step::Index(index) => _ = write!(out, "{index}.member"),
            }
        }
        out
    }
}

/// Faults are fragments; what the caller reads starts with a capital and ends with a stop.
fn sentence(fragment: &str) -> String {
    let mut chars = fragment.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    let mut out: String = first.into_iter().chain(chars).collect();
    if !out.ends_with('.') {
        out.push('.');
    }
    out
}

/// Lowers the first letter as AWS's messages do: `RoleArn` → `roleArn`.
fn push_lower_first(out: &mut String, name: &str) {
    let mut chars = name.chars();
    out.extend(chars.next().map(|first| first.to_ascii_lowercase()));
    out.push_str(chars.as_str());
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(name) => f.write_str(name),
            Self::Index(index) => write!(f, "{index}"),
        }
    }
}

impl std::error::Error for Rejection {}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {:?}", self.fault, self.path)
    }
}

impl de::Error for Rejection {
    fn custom<T: fmt::Display>(why: T) -> Self {
        Self::malformed(why.to_string())
    }

    fn invalid_type(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::custom(format_args!("expected {expected}"))
    }

    fn invalid_value(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::custom(format_args!("expected {expected}"))
    }

    fn missing_field(field: &'static str) -> Self {
        Self {
            path: vec![Step::Member(field.to_owned())],
            fault: Fault::Missing,
        }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self {
            path: Vec::new(),
            fault: Fault::NotAllowed {
                value: variant.to_owned(),
                allowed: expected.iter().map(|name| (*name).to_owned()).collect(),
            },
        }
    }
}
